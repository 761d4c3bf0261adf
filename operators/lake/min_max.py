"""Min-max pruning (MMP): edges that metadata alone refutes. It may keep a false edge and never drops a true one.

Source: Shah et al., R2D2 (SIGMOD 2024), min-max pruning; the other rules are ours, each sound by itself.
A bound that was cut short (long strings) is a bound still, but no value: only a child's exact extreme, or its whole range,
refutes. See `RULES`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import families
from .families import APART, FLOAT, ORDERED, TEXT, UNKNOWN

RULES = ("range", "type", "nulls", "distinct", "values", "rows")
_BLOCK = 2_000_000  # cells compared at a time


@dataclass(frozen=True)
class ColumnStats:
    """What metadata tells of one column of one table.

    Attributes:
        family: of families.py.
        low, high: bounds of its values (nulls and NaN aside), None where unknown: int, float, Decimal, bytes (text too).
        low_exact, high_exact: whether the bound is a value that occurs.
        nulls, rows: counts, None where unknown.
        distinct: exact count of distinct values that are not null, None where unknown.
        values: all its values, where they are known (partition columns); None stands for null.
    """

    family: int
    low: Any = None
    high: Any = None
    low_exact: bool = False
    high_exact: bool = False
    nulls: int | None = None
    rows: int | None = None
    distinct: int | None = None
    values: frozenset[str | None] | None = None

    @property
    def some(self) -> bool:
        """Whether it surely holds a value that is not null."""
        return self.low is not None or (self.nulls is not None and self.rows is not None and self.nulls < self.rows)


NOTHING = ColumnStats(UNKNOWN)


@dataclass(frozen=True)
class Facts:
    """Statistics of the tables that share one schema, as int64[tables, columns] (columns sorted by name).

    Attributes:
        low, high: ranks of the bounds among all bounds of that column in the lake; -1 where unknown.
        low_exact, high_exact, some: 0 or 1. nulls, rows, distinct: counts, -1 where unknown.
    """

    columns: tuple[str, ...]
    family: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_exact: np.ndarray
    high_exact: np.ndarray
    some: np.ndarray
    nulls: np.ndarray
    rows: np.ndarray
    distinct: np.ndarray
    values: Sequence[Mapping[str, frozenset[str | None]]] = field(default_factory=tuple)


def with_missing_empty(stats: ColumnStats) -> ColumnStats:
    """The statistics where null, NaN and "" count as one: what says nothing of other values is forgotten."""
    if stats.family not in (TEXT, FLOAT, UNKNOWN):
        return ColumnStats(stats.family, stats.low, stats.high, stats.low_exact, stats.high_exact, stats.nulls, stats.rows)
    empty_low = stats.low == b"" or stats.high == b""
    low, exact = (None, False) if empty_low else (stats.low, stats.low_exact)
    return ColumnStats(stats.family, low, None if stats.high == b"" else stats.high, exact, stats.high_exact)


def ranked(tables: Sequence[Mapping[str, ColumnStats]], of: np.ndarray) -> list[Facts]:
    """The facts of each schema; `of` (int64[n]) says which schema a table has, tables in order within it."""
    ranks = _ranks(tables)
    groups: list[list[Mapping[str, ColumnStats]]] = [[] for _ in range(int(of.max()) + 1 if len(of) else 0)]
    for table, schema in zip(tables, of.tolist(), strict=True):
        groups[schema].append(table)
    return [_facts(group, ranks) for group in groups]


def _order(family: int) -> int:
    return families.INTEGER if family in (families.FLOAT, families.DECIMAL) else family


def _ranks(tables: Sequence[Mapping[str, ColumnStats]]) -> dict[tuple[str, int], dict[Any, int]]:
    bounds: dict[tuple[str, int], set[Any]] = {}
    for table in tables:
        for name, s in table.items():
            bounds.setdefault((name, _order(s.family)), set()).update(b for b in (s.low, s.high) if b is not None)
    return {key: {value: i for i, value in enumerate(sorted(found))} for key, found in bounds.items()}


def _facts(group: Sequence[Mapping[str, ColumnStats]], ranks: Mapping[tuple[str, int], Mapping[Any, int]]) -> Facts:
    columns = tuple(sorted(group[0]))
    told = np.empty((9, len(group), len(columns)), np.int64)
    for t, table in enumerate(group):
        for c, name in enumerate(columns):
            s = table[name]
            rank = ranks[name, _order(s.family)]
            low, high = (-1 if bound is None else rank[bound] for bound in (s.low, s.high))
            nulls, rows, distinct = (-1 if count is None else count for count in (s.nulls, s.rows, s.distinct))
            told[:, t, c] = (s.family, low, high, s.low_exact, s.high_exact, s.some, nulls, rows, distinct)
    values = [{n: s.values for n, s in table.items() if s.values is not None} for table in group]
    return Facts(columns, told[0], told[1], told[2], told[3], told[4], told[5], told[6], told[7], told[8], values)


def refuted(
    parent: Facts, child: Facts, p: np.ndarray, c: np.ndarray, *, bag: bool = False, tolerance: float = 0.0, empty: bool = False
) -> np.ndarray:
    """int8[e]: for each edge (p[i] of the parent's schema, c[i] of the child's) the number of the rule that refutes it; -1: none.

    `bag`: rows count as often as they occur. `tolerance`: refute only edges that miss more than this share of the child's
    rows. `empty`: null, NaN and "" are one, and the facts were made `with_missing_empty`.
    """
    at = np.searchsorted(parent.columns, child.columns) if child.columns else np.empty(0, np.int64)
    found = np.full(len(p), -1, np.int8)
    step = max(1, _BLOCK // max(1, len(child.columns)))
    for start in range(0, len(p), step):
        part = slice(start, start + step)
        for rule, wrong in _wrong(parent, child, p[part], c[part], at, tolerance, empty):
            hit = wrong.any(axis=1) & (found[part] < 0)
            found[part][hit] = RULES.index(rule)
    if bag and child.columns and not tolerance:
        rows_p, rows_c = parent.rows.max(axis=1)[p], child.rows.max(axis=1)[c]
        found[(found < 0) & (rows_p >= 0) & (rows_c > rows_p)] = RULES.index("rows")
    if not tolerance:
        _by_values(parent, child, p, c, found)
    return found


def _wrong(
    parent: Facts, child: Facts, p: np.ndarray, c: np.ndarray, at: np.ndarray, tolerance: float, empty: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, bool[e, columns])."""
    up, own = (p[:, None], at[None, :]), (c[:, None], np.arange(len(at))[None, :])
    family_p, family_c = parent.family[up], child.family[own]
    ordered, some = ORDERED[family_p, family_c], child.some[own] == 1
    low_p, high_p, low_c, high_c = parent.low[up], parent.high[up], child.low[own], child.high[own]
    beside = ((low_p >= 0) & (high_c >= 0) & (high_c < low_p)) | ((high_p >= 0) & (low_c > high_p))
    all_null = (parent.nulls[up] >= 0) & (parent.nulls[up] == parent.rows[up])
    nulls, rows = child.nulls[own], child.rows[own]
    if tolerance:
        many = (nulls >= 0) & (rows - nulls > tolerance * rows)
        yield "range", many & ordered & beside & (family_c != FLOAT)
        yield "type", many & (APART[family_p, family_c] | all_null)
        yield "nulls", (parent.nulls[up] == 0) & (nulls > tolerance * rows) & (rows >= 0) & (not empty)
        return
    below = (child.low_exact[own] == 1) & (low_c >= 0) & (low_c < low_p)
    above = (child.high_exact[own] == 1) & (high_c >= 0) & (high_p >= 0) & (high_c > high_p)
    yield "range", ordered & (below | above | (beside & some))
    yield "type", some & (APART[family_p, family_c] | all_null)
    # under `empty`, facts of columns that can hold "" or NaN carry no counts
    yield "nulls", (nulls > 0) & (parent.nulls[up] == 0)
    several = (family_c == FLOAT) | ((family_c == TEXT) != (family_p == TEXT))  # 0.0 and -0.0, "5" and "5.0": one value
    yield "distinct", (parent.distinct[up] >= 0) & (child.distinct[own] > parent.distinct[up]) & ~several


def _by_values(parent: Facts, child: Facts, p: np.ndarray, c: np.ndarray, found: np.ndarray) -> None:
    if not any(parent.values) or not any(child.values):
        return
    for i in np.flatnonzero(found < 0).tolist():  # only where both tell all values of a column: partition columns
        have, want = parent.values[p[i]], child.values[c[i]]
        if any(name in have and not values <= have[name] for name, values in want.items()):
            found[i] = RULES.index("values")
