"""What a text is before it is hashed: tables by which kernels fold case and leave characters out."""

import string
from functools import lru_cache

import numpy as np
import pyarrow as pa
import regex

from ..kernels.codepoints import CAPITAL_I_WITH_DOT, CAPITAL_SIGMA, CODE_POINTS, text_of
from ..kernels.folding import DROP, Texts, irregular
from ..kernels.strings import view

NO_TABLE = np.empty(0, np.uint32)


@lru_cache(maxsize=1)
def code_points() -> str:
    """Every code point in order, surrogates included: position = number."""
    return text_of(np.arange(CODE_POINTS))


@lru_cache(maxsize=1)
def separators() -> np.ndarray:
    """bool[0x110000]: whether the code point is punctuation (`\\p{P}`), at which tokens end."""
    marks = np.zeros(CODE_POINTS, bool)
    marks[[found.start() for found in regex.finditer(r"\p{P}", code_points())]] = True
    return marks


@lru_cache(maxsize=4)
def fold_table(lowercase: bool, ignore_non_character: bool) -> np.ndarray:
    """uint32[m]: what `shingling.fold` makes of each code point; those from m on stay. Empty: all stay.

    `ignore_non_character` drops what Data-Juicer drops: white space, decimal digits and ASCII punctuation.
    """
    if not lowercase and not ignore_non_character:
        return NO_TABLE
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    if lowercase:
        table[[CAPITAL_SIGMA, CAPITAL_I_WITH_DOT]] = 0  # the one looks around it, the other becomes two
        table = np.frombuffer(text_of(table).lower().encode("utf-32-le", "surrogatepass"), np.uint32).copy()
        table[[CAPITAL_SIGMA, CAPITAL_I_WITH_DOT]] = ord("σ"), CAPITAL_I_WITH_DOT
    if ignore_non_character:
        drop = regex.compile(rf"\s|\d|[{regex.escape(string.punctuation)}]")
        gone = np.zeros(len(table), bool)
        gone[[found.start() for found in drop.finditer(code_points())]] = True
        table[gone[np.minimum(table, CODE_POINTS - 1)]] = DROP
    changed = np.flatnonzero(table != np.arange(len(table), dtype=np.uint32))
    return table[: changed[-1] + 1].copy()


def texts(text: pa.StringArray, lowercase: bool) -> Texts:
    """`text` (string or large_string, sliced or not) as the kernels see it, without a copy of the bytes.

    With `lowercase`, rows with İ or Σ are already folded, by Python. Raises ValueError for another type.
    """
    if pa.types.is_null(text.type):
        text = text.cast(pa.string())
    offsets, data = view(text)
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    column = Texts(offsets[:-1], offsets[1:], data, np.frombuffer(b"", np.uint8), np.zeros(len(text), bool), valid)
    odd = irregular(offsets, data) & valid if lowercase else column.patched
    if not odd.any():
        return column
    spare = pa.array([row.lower() for row in text.filter(pa.array(odd)).to_pylist()], text.type)
    ends, content = view(spare)
    start, end = offsets[:-1].copy(), offsets[1:].copy()
    start[odd], end[odd] = ends[:-1], ends[1:]
    return Texts(start, end, data, content, odd, valid)


def as_lists(values: np.ndarray, ends: np.ndarray, text: pa.StringArray) -> pa.ListArray:
    """list<uint64>, row i being `values[ends[i]:ends[i + 1]]`; null where `text` is.

    Raises ValueError where they are more than one list array holds.
    """
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{ends[-1]:,} hashes in one batch; a list array holds 2,147,483,647: make the batches smaller")
    missing = text.is_null() if text.null_count else None
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values), mask=missing)
