"""Numbers written as text: which number a cell is, whatever program wrote it, and the cell written so again.

A CSV copy of a column of floats has `5.0` for 5, `0.10` for a price, `1e-05` for what is small. Where a text column is compared
with a column of numbers, `plain` takes such a cell for its number; `form` says how it was written, and `written` gives the
cell back from the number. What no form gives back is not taken for a number: nothing is found that could not be restored.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import families

PLAIN, PYTHON, JAVA, MINUS, ARROW, PADDED = 0, 1, 2, 3, 4, 16  # PADDED + k: zeros up to k decimals
LONGEST = 60  # of what is read as a number; keeps PADDED + k within a byte
_ZEROS = r"^-?(0|[1-9][0-9]*)\.[0-9]*0$"
_EXPONENT = r"^-?[0-9](\.[0-9]+)?[eE][+-]?[0-9]+$"
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
NUMBERS = (families.INTEGER, families.FLOAT, families.DECIMAL)
_TEXT = {pa.string().id, pa.large_string().id}
_NUMERIC = {type.id for type in (
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.decimal128(1), pa.decimal256(1),
)}


def kinds(schema: pa.Schema) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the columns that are text, and of those that are numbers. Columns of structs and dictionaries are neither."""
    told = [(name, type.id) for name, type in zip(schema.names, schema.types, strict=True)]
    return frozenset(n for n, i in told if i in _TEXT), frozenset(n for n, i in told if i in _NUMERIC)


def as_numbers(own: pa.Schema, other: pa.Schema) -> frozenset[str]:
    """Names of the columns that are text in `own` and numbers in `other`: there `own` is read as numbers.

    >>> sorted(as_numbers(pa.schema([("a", pa.string()), ("b", pa.string())]), pa.schema([("a", pa.int8()), ("c", pa.int8())])))
    ['a']
    """
    return kinds(own)[0] & kinds(other)[1]


def float_text(values: pa.Array) -> pa.Array:
    """The canonical text of each float: whole ones that are an int64 or a uint64 as whole numbers. Null: null."""
    x = np.array(pc.fill_null(pc.cast(values, pa.float64()), 0.0), dtype=np.float64)
    whole = (np.floor(x) == x) & (x >= -(2.0**63)) & (x < 2.0**64)
    told, large = pc.cast(pa.array(x), pa.string()), whole & (x >= 2.0**63)
    for here, type in ((whole & ~large, np.int64), (large, np.uint64)):
        if here.any():
            told = pc.if_else(pa.array(here), pc.cast(pa.array(np.where(here, x, 0).astype(type)), pa.string()), told)
    return pc.if_else(pc.is_valid(values), told, pa.scalar(None, pa.string()))


def plain(texts: pa.Array) -> pa.Array:
    """The canonical text of the number that each cell is; of what is no number in a known form, the cell itself. Null: null.

    Cost: linear; numbers with an exponent go through Python.

    >>> plain(pa.array(["5.0", "0.10", "1e-05", "1.0E7", "-0.0", "1.2.0", "05.0", None])).to_pylist()
    ['5', '0.1', '0.00001', '10000000', '0', '1.2.0', '05.0', None]
    """
    texts = pc.cast(texts, pa.large_string())
    short = pc.less_equal(pc.binary_length(texts), LONGEST)
    zeros = pc.and_(short, pc.match_substring_regex(texts, _ZEROS))
    if pc.any(zeros).as_py():
        cut = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
        cut = pc.if_else(pc.equal(cut, "-0"), pc.if_else(pc.equal(texts, "-0.0"), "0", texts), cut)
        texts = pc.if_else(zeros, cut, texts)
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.and_(short, pc.match_substring_regex(texts, _EXPONENT)), False)))
    if len(rows):
        given = texts.take(pa.array(rows)).to_pylist()
        numbers = [float(t) for t in given]
        arrows = pc.cast(pa.array(numbers), pa.string()).to_pylist()
        known = np.array([t in (repr(x), _java(x), a) for t, x, a in zip(given, numbers, arrows, strict=True)])
        canonical = pc.cast(float_text(pa.array(numbers)), pa.large_string())
        told = pc.if_else(pa.array(known), canonical, pa.array(given, pa.large_string()))
        mask = np.zeros(len(texts), bool)
        mask[rows] = True
        texts = pc.replace_with_mask(texts, pa.array(mask), told)
    return texts


def written(numbers: pa.Array, form: int) -> pa.Array:
    """Each canonical text of a number as a program writes it that has this form. Null: null. Raises ValueError for no form."""
    if not 0 <= form < PADDED + LONGEST:
        raise ValueError(f"{form} is no form in which numbers are written")
    if form == PYTHON:
        return _mapped(numbers, lambda t: repr(float(t)))
    if form == JAVA:
        return _mapped(numbers, lambda t: _java(float(t)))
    if form == ARROW:
        fixed = pc.fill_null(pc.match_substring_regex(numbers, _NUMBER), False)
        told = pc.cast(pc.cast(pc.if_else(fixed, numbers, "0"), pa.float64()), numbers.type)
        return pc.if_else(fixed, told, numbers)
    if form == MINUS:
        return pc.if_else(pc.equal(numbers, "0"), "-0.0", numbers)
    if form <= PADDED:
        return numbers
    wanted = form - PADDED
    point = np.asarray(pc.fill_null(pc.find_substring(numbers, "."), -1))
    length = np.asarray(pc.fill_null(pc.binary_length(numbers), 0))
    lacking = np.where(point < 0, wanted, np.maximum(0, wanted - (length - point - 1)))
    fill = pa.array(["0" * k for k in range(wanted + 1)], numbers.type).take(pa.array(lacking))
    dot = pc.if_else(pa.array(point < 0), pa.scalar(".", numbers.type), pa.scalar("", numbers.type))
    fixed = pc.match_substring_regex(numbers, r"^-?[0-9]+(\.[0-9]+)?$")
    return pc.if_else(fixed, pc.binary_join_element_wise(numbers, dot, fill, pa.scalar("", numbers.type)), numbers)


def _mapped(numbers: pa.Array, tell: Callable[[str], str]) -> pa.Array:
    """`tell` of each text that is a number; whole numbers of up to seven digits take `.0` in all forms, without a call."""
    few = pc.match_substring_regex(numbers, r"^-?(0|[1-9][0-9]{0,6})$")
    zero, point = (pa.scalar(c, numbers.type) for c in "0.")
    made = pc.if_else(few, pc.binary_join_element_wise(numbers, zero, point), numbers)
    rows = np.flatnonzero(~np.asarray(pc.fill_null(few, True)))
    told = []
    for t in numbers.take(pa.array(rows)).to_pylist():  # fractions: a cell at a time
        try:
            told.append(tell(t))
        except (ValueError, OverflowError):
            told.append(t)
    mask = np.zeros(len(numbers), bool)
    mask[rows] = True
    return pc.replace_with_mask(made, pa.array(mask), pa.array(told, numbers.type)) if len(rows) else made


def _java(x: float) -> str:
    """A double as Java writes it: `1.0E7`, `1.0E-4`."""
    if x != x or x in (float("inf"), float("-inf")) or not x or 1e-3 <= abs(x) < 1e7:
        return repr(x)
    shortest = Decimal(repr(abs(x)))  # not "%e": 1e-07 is 9.99...e-08 to 17 digits
    digits = "".join(map(str, shortest.as_tuple().digits)).rstrip("0")
    sign = "-" if x < 0 else ""
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{shortest.adjusted()}"


class Handwriting:
    """How the cells of one text column are written, learned piece by piece beside the numbers that they are."""

    def __init__(self) -> None:
        self._codes: list[np.ndarray] = []
        self._alive: list[int] = []

    def learn(self, numbers: pa.Array, texts: pa.Array, asked: np.ndarray) -> pa.Array:
        """The next cells: their canonical texts, themselves, and which of them come from numbers; answers them as restored."""
        decimals = _decimals(texts)
        if not self._codes:
            self._alive = [PLAIN, PYTHON, *([PADDED + int(k) for k in [decimals.max(initial=0)] if 0 < k < LONGEST]), ARROW, JAVA]
        same = {f: _same(written(numbers, f), texts) | ~asked for f in (PLAIN, PYTHON, ARROW, JAVA, *self._alive)}
        self._alive = [f for f in self._alive if same[f].all()]
        if self._alive:
            codes = np.full(len(texts), self._alive[0], np.uint8)
        else:
            codes, left = np.zeros(len(texts), np.uint8), ~same[PLAIN]
            padded = [PADDED + int(k) for k in np.unique(decimals[left]) if 0 < k < LONGEST]
            for form in (PYTHON, *padded, ARROW, JAVA, MINUS):
                hit = left & (same[form] if form in same else _same(written(numbers, form), texts))
                codes[hit], left = form, left & ~hit
        self._codes.append(codes)
        return in_forms(numbers, codes, asked)

    def told(self) -> int | np.ndarray:
        """One form for all cells, or uint8[n], one for each."""
        if self._alive or not self._codes:
            return self._alive[0] if self._alive else PLAIN
        return np.concatenate(self._codes)


def in_forms(numbers: pa.Array, codes: int | np.ndarray, asked: np.ndarray) -> pa.Array:
    """Canonical texts of numbers as they were written: one form, or uint8[n]. Cells that are not asked for stay."""
    made = numbers
    for form in [codes] if isinstance(codes, int) else np.unique(codes[asked]).tolist():
        if form != PLAIN:
            here = asked if isinstance(codes, int) else asked & (codes == form)
            made = pc.if_else(pa.array(here), written(numbers, form), made)
    return made


def _same(one: pa.Array, other: pa.Array) -> np.ndarray:
    """bool[n]: equal, or null both."""
    alike = pc.fill_null(pc.equal(one, pc.cast(other, one.type)), False)
    return np.asarray(pc.or_(alike, pc.and_(pc.is_null(one), pc.is_null(other))))


def _decimals(texts: pa.Array) -> np.ndarray:
    """int64[n]: characters after the point; 0 where there is none."""
    point, length = (np.asarray(pc.fill_null(f, -1), np.int64) for f in (pc.find_substring(texts, "."), pc.binary_length(texts)))
    return np.where(point < 0, 0, length - point - 1)
