"""What is repeated across a corpus: units counted part by part, merged range by range, cut out where they are frequent.

A unit is a piece of a row (a line, a paragraph, a run of tokens) as two 64-bit hashes and three places; see
`kernels/units.py`. Two units are equal if both hashes are: among n different units of a corpus any two are taken for
equal with a probability below n^2 / 2^128 (1e-14 for 10^12 units), so no text needs to be compared.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..kernels import repeats as kernels
from ..kernels.strings import strings, view
from ..kernels.units import Found

UNIT = pa.struct([
    ("key", pa.uint64()), ("check", pa.uint64()), ("start", pa.int32()), ("next", pa.int32()), ("prior", pa.int32()),
])


@dataclass(frozen=True)
class Counted:
    """Different units and how often they were seen, ascending by key: `key`, `check` uint64[m], `count` int64[m]."""

    key: np.ndarray
    check: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Trimmed:
    """A column without its frequent units.

    Attributes:
        text: what is left; null where it was.
        pieces: int64[n], units that went, those that overlap counted as one.
        points: int64[n], code points that went.
    """

    text: pa.StringArray
    pieces: np.ndarray
    points: np.ndarray


def as_column(found: Found, text: pa.StringArray) -> pa.ListArray:
    """list<UNIT>[n], null where `text` is. Raises ValueError where they are more than one list array holds."""
    if len(found.key) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(found.key):,} units in one batch; a list array holds 2,147,483,647: make the batches smaller")
    missing = text.is_null() if text.null_count else None
    values = pa.StructArray.from_arrays([pa.array(column) for column in found[1:]], fields=list(UNIT))
    return pa.ListArray.from_arrays(pa.array(found.bounds, pa.int32()), values, mask=missing)


def from_column(column: pa.ListArray) -> Found:
    """The units of a list<UNIT> column, sliced or not; a null row has none."""
    begin = np.asarray(column.offsets).astype(np.int64)
    first, last = (int(begin[0]), int(begin[-1])) if len(begin) else (0, 0)
    values = column.values.slice(first, last - first)
    return Found(begin - first, *(np.asarray(values.field(i)) for i in range(values.type.num_fields)))


def count(batches: list[Found], once_a_row: bool) -> Counted:
    """How often each unit is seen in some batches: once for each row, or as often as it stands there.

    Cost: one sort of the keys.
    """
    key = np.concatenate([np.empty(0, np.uint64), *(units.key for units in batches)])
    check = np.concatenate([np.empty(0, np.uint64), *(units.check for units in batches)])
    sizes = np.concatenate([np.empty(0, np.int64), *(np.diff(units.bounds) for units in batches)])
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return _summed(key, check, np.ones(len(key), np.int64), rows, once_a_row)[0]


def merge(runs: list[Counted]) -> tuple[Counted, np.ndarray]:
    """(sums, first): the units of several counts, each with the number of the first run in which it is, int64[m].

    Cost: one sort of all keys.
    """
    if not runs:
        nothing = np.empty(0, np.uint64)
        return Counted(nothing, nothing, np.empty(0, np.int64)), np.empty(0, np.int64)
    key, check, seen = (np.concatenate(columns) for columns in zip(*((r.key, r.check, r.count) for r in runs), strict=True))
    run = np.repeat(np.arange(len(runs)), [len(r) for r in runs])
    return _summed(key, check, seen, run, once=False)


def _summed(key: np.ndarray, check: np.ndarray, weight: np.ndarray, tag: np.ndarray, once: bool) -> tuple[Counted, np.ndarray]:
    """(sums by unit, tag of the first of each); `tag` ascends."""
    order = kernels.sorted_order(key)
    if kernels.collides(order, key, check):
        order = np.lexsort((check, key))
    first, total = kernels.grouped(order, key, check, weight, tag, once)
    return Counted(key[first], check[first], total), tag[first]


class Frequent:
    """Units that go, to be looked up: `key` ascends, `check` beside it. Cost: 8 to 16 bytes each, besides the columns."""

    def __init__(self, key: np.ndarray, check: np.ndarray) -> None:
        self.key, self.check = key, check
        self._bits = max(len(key), 1).bit_length()
        self._begin = kernels.index_of(key, self._bits)

    def find(self, units: Found) -> np.ndarray:
        """int64[m]: the place of each unit among these, -1 for units that are not frequent."""
        return kernels.find(units.key, units.check, self.key, self.check, self._begin, self._bits)  # type: ignore[no-any-return]


def unseen(here: np.ndarray) -> np.ndarray:
    """int64[2, frequent ones], for `trim`: those of bool `here` stay where they are first seen, the others go everywhere."""
    return np.stack([np.where(here, -1, -2), np.zeros(len(here), np.int64)])


def trim(text: pa.StringArray, units: Found, found: np.ndarray, seen: np.ndarray, at: int = 0) -> Trimmed:
    """`text` without the units that are frequent.

    `found` as of `Frequent.find`. `seen` as of `unseen`: what was seen so far, changed in place; rows are numbered from `at`
    on. A unit that overlaps its own first occurrence leaves that whole. What goes at the end of a text takes the break
    before it along. Null: null.
    """
    offsets, data = view(text)
    sizes = np.diff(offsets)
    bounds, cuts, pieces = kernels.cuts_of(units, found, seen, at, sizes)
    if not len(cuts):
        return Trimmed(text, pieces, np.zeros(len(text), np.int64))
    ends, left, points = kernels.without(offsets, data, bounds, cuts)
    return Trimmed(strings(ends, left, like=text), pieces, points)
