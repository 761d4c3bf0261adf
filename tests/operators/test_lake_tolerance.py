"""What metadata refutes where a child may miss a share of its rows: never a child that misses no more, and all that it can prove."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.lake import families
from tamis.operators.lake.min_max import RULES, ColumnStats, ranked, refuted

INT, TEXT = families.INTEGER, families.TEXT
COLUMN = st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=1, max_size=12)
SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75])


def told(column: list[int | None], known: bool = True) -> ColumnStats:
    """What a footer says of a column; `known`: with its counts."""
    values = [v for v in column if v is not None]
    counts = {"nulls": len(column) - len(values), "rows": len(column)} if known else {}
    return ColumnStats(INT, min(values, default=None), max(values, default=None), bool(values), bool(values), **counts)


def rule(parent: dict[str, ColumnStats], child: dict[str, ColumnStats], **how: Any) -> str | None:
    facts = ranked([parent, child], np.array([0, 1]))
    found = refuted(facts[0], facts[1], np.array([0]), np.array([0]), **how)[0]
    return None if found < 0 else RULES[found]


def missed(parent: list[int | None], child: list[int | None]) -> float:
    """The share of the child's rows, as a set of values, that the parent lacks."""
    return sum(v not in parent for v in child) / len(child)


@settings(max_examples=400)
@given(COLUMN, COLUMN, SHARES, st.booleans(), st.booleans())
@example([1, 2], [9, None, None, None], 0.25, True, True)
@example([None], [1, None], 0.5, True, True)
def test_who_misses_no_more_than_the_tolerance_is_never_refuted(
    parent: list[int | None], child: list[int | None], tolerance: float, counts_of_parent: bool, counts_of_child: bool
) -> None:
    found = rule({"x": told(parent, counts_of_parent)}, {"x": told(child, counts_of_child)}, tolerance=tolerance)
    if missed(parent, child) <= tolerance:
        assert found is None, f"{found} refutes a child that misses {missed(parent, child):.2f} of its rows"


@pytest.mark.parametrize(("tolerance", "found"), [(0.0, "range"), (0.7, "range"), (0.75, None), (0.9, None)])
def test_a_column_that_lies_beside_proves_the_rows_that_are_not_null(tolerance: float, found: str | None) -> None:
    parent, child = told([1, 2, 3, None]), told([7, 8, 9, None])
    assert rule({"x": parent}, {"x": child}, tolerance=tolerance) == found


@pytest.mark.parametrize(("tolerance", "found"), [(0.0, "nulls"), (0.4, "nulls"), (0.5, None)])
def test_nulls_that_the_parent_has_none_of_are_counted(tolerance: float, found: str | None) -> None:
    assert rule({"x": told([1, 2])}, {"x": told([1, None])}, tolerance=tolerance) == found
    assert rule({"x": told([1, 2])}, {"x": told([1, None])}, tolerance=tolerance, empty=True) == (found if not tolerance else None)


@pytest.mark.parametrize(("tolerance", "found"), [(0.0, "type"), (0.7, "type"), (0.75, None)])
def test_a_parent_of_nulls_lacks_what_is_not_null(tolerance: float, found: str | None) -> None:
    assert rule({"x": told([None, None])}, {"x": told([1, 2, 3, None])}, tolerance=tolerance) == found


def test_without_counts_a_tolerance_refutes_nothing_and_none_does() -> None:
    beside = {"x": told([1, 2], known=False)}, {"x": told([8, 9], known=False)}
    assert rule(*beside) == "range" and rule(*beside, tolerance=0.01) is None


def test_values_of_partitions_refute_only_where_nothing_may_be_missed() -> None:
    """A partition of another value may hold one row of a thousand: how many, its name does not tell."""
    have = ColumnStats(TEXT, b"2024", b"2024", True, True, 0, 10, 1, frozenset({"2024"}))
    want = ColumnStats(TEXT, None, None, nulls=0, rows=10, values=frozenset({"2024", "2025"}))
    assert rule({"year": have}, {"year": want}) == "values"
    assert rule({"year": have}, {"year": want}, tolerance=0.001) is None
    assert rule({"year": want}, {"year": have}) is None, "and a part lies within the whole"


def test_one_column_is_enough_and_bags_ask_for_as_many_rows_only_where_none_may_be_missed() -> None:
    small = {"x": told([1, 2]), "y": told([5, 5])}
    large = {"x": told([1, 1, 2, 2]), "y": told([5, 5, 5, 5])}
    assert rule(small, large) is None and rule(small, large, bag=True) == "rows"
    assert rule(small, large, bag=True, tolerance=0.6) is None
    assert rule(small, large | {"y": told([9, 9, 9, 9])}, tolerance=0.6) == "range"
