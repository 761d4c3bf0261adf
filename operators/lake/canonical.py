"""Canonical form of cells: equal values are equal words, however they are stored.

The rule is text: 5, 5.0, int8, decimal(9, 2) 5.00 and "5" are one value, because each can be cast to the others and back
without loss; so are 0.5 and "0.5", true and "true", a date and its ISO text. "05" and "5.0" are text of their own, but where
a column is read as `numbers` "5.0" is 5, and so is whatever else programs write for a number (numerals.py). A time
stamp equals the same moment in any unit; with a time zone it never equals one without. Lists and maps are compared by
their canonical JSON. NaN equals NaN, -0.0 equals 0.0. A null equals a null only, unless `missing` says otherwise.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..kernels.row_hash import INTEGER, MAYBE, NULL, TEXT, digest_texts, read_numbers
from ..kernels.strings import view
from . import families
from .families import family
from .numerals import plain

Missing = Literal["distinct", "empty"]
LARGE, FRACTION, BINARY, NESTED, TIME, DURATION, LOCAL, UTC = 2, 4, 5, 6, 7, 8, 9, 10  # tags, beside those of the kernel
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Cells:
    """Canonical cells of one column: uint8[n] tags, and two uint64[n] words each."""

    tags: np.ndarray
    a: np.ndarray
    b: np.ndarray


def cells(values: pa.Array, depth: np.ndarray | None = None, missing: Missing = "distinct", numbers: bool = False) -> Cells:
    """The canonical form of each value. `numbers`: text is read as numbers, where it is one.

    `depth` tells nulls of the leaf (0) from nulls of the structs above it. `missing="empty"`: null, NaN and "" are one.
    Null: tag 0 with the depth. Cost: linear; decimals, lists and maps go through Python, once per distinct value.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    elif pa.types.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    made = _numerals(values, missing) if numbers and family(values.type) == families.TEXT else _filled(values, missing)
    if values.null_count:
        null = np.asarray(pc.is_null(values))
        made.tags[null] = NULL
        made.a[null] = made.b[null] = 0
        if depth is not None:
            made.a[null] = made.b[null] = depth[null]
    return made


def _filled(values: pa.Array, missing: Missing) -> Cells:
    """Cells where values are; anything where they are null."""
    type = values.type
    if pa.types.is_null(type):
        return _words(np.zeros(len(values), np.uint64), NULL)
    if pa.types.is_integer(type):
        return _integers(values)
    if pa.types.is_floating(type):
        return _floats(pc.cast(values, pa.float64()), missing)
    if pa.types.is_boolean(type) or pa.types.is_date(type):
        days = pc.cast(values, pa.date32()) if pa.types.is_date(type) else values
        return _texts(pc.cast(days, pa.string()), missing)
    if family(type) == families.TEXT:
        return _texts(values if pa.types.is_large_string(type) else pc.cast(values, pa.string()), missing)
    if pa.types.is_decimal(type):
        return _texts(each_distinct(values, decimal_text), missing)
    if pa.types.is_temporal(type):
        return _moments(values)
    if family(type) == families.BINARY:
        whole = pc.cast(pc.cast(values, pa.binary()), pa.large_binary())
        return _digests(pa.Array.from_buffers(pa.large_string(), len(whole), whole.buffers(), offset=whole.offset), BINARY)
    return _digests(pa.array([json_text(v) for v in values.to_pylist()], pa.string()), NESTED)  # rare: a row at a time


def _words(words: np.ndarray, tag: int) -> Cells:
    return Cells(np.full(len(words), tag, np.uint8), words, words.copy())


def _raw(values: pa.Array, type: pa.DataType, kind: type) -> np.ndarray:
    """The numbers as a writable array; 0 for nulls."""
    return np.array(pc.fill_null(pc.cast(values, type), 0), dtype=kind)


def _integers(values: pa.Array) -> Cells:
    if not pa.types.is_uint64(values.type):
        return _words(_raw(values, pa.int64(), np.int64).view(np.uint64), INTEGER)
    made = _words(_raw(values, pa.uint64(), np.uint64), INTEGER)
    made.tags[made.a >= 1 << 63] = LARGE
    return made


def _floats(values: pa.Array, missing: Missing) -> Cells:
    x = np.array(pc.fill_null(values, 0.0), dtype=np.float64)
    nan, whole = np.isnan(x), np.floor(x) == x
    bits = np.where(nan, np.nan, x).view(np.uint64)
    small = whole & (x >= -(2.0**63)) & (x < 2.0**63)
    large = whole & (x >= 2.0**63) & (x < 2.0**64)
    bits = bits.copy()
    bits[small] = x[small].astype(np.int64).view(np.uint64)
    bits[large] = x[large].astype(np.uint64)
    made = _words(bits, FRACTION)
    made.tags[small], made.tags[large] = INTEGER, LARGE
    if missing == "empty":
        made.tags[nan], made.a[nan], made.b[nan] = NULL, 0, 0
    return made


def _digests(texts: pa.Array, tag: int) -> Cells:
    a, b = digest_texts(*view(texts))
    return Cells(np.full(len(texts), tag, np.uint8), a, b)


def _texts(texts: pa.Array, missing: Missing) -> Cells:
    """Texts, of which those that are just how a number is written are that number."""
    made = _digests(texts, TEXT)
    tags, words = read_numbers(*view(texts))
    whole = tags == INTEGER
    made.tags[whole], made.a[whole], made.b[whole] = INTEGER, words[whole], words[whole]
    perhaps = np.flatnonzero(tags == MAYBE)
    if len(perhaps):
        _read_fractions(texts.take(pa.array(perhaps)), perhaps, made)
    if missing == "empty":
        empty = np.asarray(pc.fill_null(pc.equal(pc.binary_length(texts), 0), False))
        made.tags[empty], made.a[empty], made.b[empty] = NULL, 0, 0
    return made


def _numerals(texts: pa.Array, missing: Missing) -> Cells:
    """Texts, of which all that are a number, however it is written, are that number."""
    made = _texts(plain(texts), missing)
    named = np.flatnonzero(np.asarray(pc.is_in(texts, pa.array(["nan", "inf", "-inf"], texts.type))))
    if len(named):
        told = _floats(pc.cast(texts.take(pa.array(named)), pa.float64()), missing)
        made.tags[named], made.a[named], made.b[named] = told.tags, told.a, told.b
    return made


def _read_fractions(texts: pa.Array, rows: np.ndarray, made: Cells) -> None:
    texts = pc.fill_null(pc.cast(texts, pa.large_string()), "0")
    numbers = pc.cast(texts, pa.float64())
    same = np.asarray(pc.equal(pc.cast(numbers, pa.large_string()), texts))
    told = _floats(numbers, "distinct")
    same &= told.tags == FRACTION
    made.tags[rows[same]], made.a[rows[same]], made.b[rows[same]] = FRACTION, told.a[same], told.b[same]
    long = np.flatnonzero(~np.asarray(pc.match_substring_regex(texts, r"[.eE]")))
    for i in long:  # whole numbers of 19 digits and more: rare
        value = int(texts[int(i)].as_py())
        if -(1 << 63) <= value < 1 << 64 and str(value) == texts[int(i)].as_py():
            row, word = rows[i], np.uint64(value % (1 << 64))
            made.tags[row], made.a[row], made.b[row] = INTEGER if value < 1 << 63 else LARGE, word, word


def each_distinct(values: pa.Array, tell: Any) -> pa.Array:
    """`tell` of each value as text, called once for each distinct one. Null: null."""
    coded = values.dictionary_encode()
    told = pa.array([tell(v) for v in coded.dictionary.to_pylist()], pa.string())
    return told.take(coded.indices)


def decimal_text(value: Decimal) -> str:
    """The number without exponent and without zeros at its end."""
    told = f"{value:f}" if value else "0"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _moments(values: pa.Array) -> Cells:
    """Time stamps, times and durations as seconds and what is left of them, in two different sums."""
    type = values.type
    if pa.types.is_interval(type):
        return _digests(pa.array([None if v is None else repr(tuple(v)) for v in values.to_pylist()], pa.string()), NESTED)
    tag = TIME if pa.types.is_time(type) else DURATION if pa.types.is_duration(type) else UTC if type.tz else LOCAL
    ticks = np.int64(_TICKS[type.unit])
    count = _raw(values.view(pa.int32() if pa.types.is_time32(type) else pa.int64()), pa.int64(), np.int64)
    seconds, rest = count // ticks, (count % ticks) * (10**9 // ticks)
    with np.errstate(over="ignore"):
        a = seconds.view(np.uint64) * _ODD + rest.view(np.uint64)
        b = seconds.view(np.uint64) + rest.view(np.uint64) * _ODD
    return Cells(np.full(len(a), tag, np.uint8), a, b)


def json_text(value: Any) -> str | None:
    """Canonical JSON of a nested value: keys sorted, whole floats as integers. Null: null."""
    return None if value is None else json.dumps(_plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else {"\0float": repr(value)}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return {"\0decimal": decimal_text(value)}
    return {f"\0{type(value).__name__}": str(value)}
