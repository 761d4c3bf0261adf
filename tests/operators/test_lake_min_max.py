"""Min-max pruning: what it refutes is refuted, and none of the traps drops a true edge."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tamis.operators.lake import families
from tamis.operators.lake.content import batches, bound_after, draws, looked_at, rows_needed
from tamis.operators.lake.min_max import RULES, ColumnStats, ranked, refuted, with_missing_empty

INT, F, D, T, B = families.INTEGER, families.FLOAT, families.DECIMAL, families.TEXT, families.BOOLEAN


def stats(kind: int, low: Any = None, high: Any = None, **more: Any) -> ColumnStats:
    return ColumnStats(kind, low, high, **({"low_exact": low is not None, "high_exact": high is not None} | more))


def why(parent: ColumnStats, child: ColumnStats, **how: Any) -> str | None:
    facts = ranked([{"x": parent}, {"x": child}], np.array([0, 0]))[0]
    rule = refuted(facts, facts, np.array([0]), np.array([1]), **how)[0]
    return None if rule < 0 else RULES[rule]


def test_ranges() -> None:
    assert why(stats(INT, 0, 9), stats(INT, 0, 9)) is None
    assert why(stats(INT, 0, 9), stats(INT, -1, 5)) == "range"
    assert why(stats(INT, 0, 9), stats(INT, 5, 10)) == "range"
    assert why(stats(INT), stats(INT, 5, 10)) is None and why(stats(INT, 0, 9), stats(INT)) is None


@pytest.mark.parametrize(("parent", "child"), [
    (stats(F, 0.0, 9.0), stats(INT, -0, 9)), (stats(F, -0.0, 1.0), stats(F, 0.0, 1.0)), (stats(F, 0.0, 1.0), stats(F, -0.0, 1.0)),
    (stats(INT, 0, 2**62), stats(F, 0.0, 2.0**62)),
])
def test_integers_and_floats_compare_exactly(parent: ColumnStats, child: ColumnStats) -> None:
    assert why(parent, child) is None


def test_large_integers_are_not_rounded() -> None:
    assert why(stats(F, 0.0, float(2**53)), stats(INT, 0, 2**53 + 1)) == "range"


def test_decimals_are_never_ordered_against_floats() -> None:
    assert why(stats(F, 1.1, 2.0), stats(D, Decimal("1.1"), Decimal("1.5"))) is None
    assert why(stats(D, Decimal("1.10"), Decimal("2")), stats(D, Decimal("1.1"), Decimal("2.0"))) is None
    assert why(stats(D, Decimal("1.1"), Decimal("2")), stats(INT, 1, 2)) == "range"


def test_a_bound_that_was_cut_is_a_bound_and_no_value() -> None:
    # the parent's true minimum is "aaab...", its stored one "aaa"; the child's true maximum is "m" and more
    assert why(stats(T, b"aaab", b"z"), stats(T, b"aaa", b"c", low_exact=False)) is None
    assert why(stats(T, b"aaab", b"z"), stats(T, b"aaa", b"c")) == "range"
    assert why(stats(T, b"a", b"mzz", high_exact=False), stats(T, b"b", b"mza")) is None
    assert why(stats(T, b"a", b"m"), stats(T, b"b", b"n", high_exact=False)) is None
    assert why(stats(T, b"a", b"m"), stats(T, b"n", b"o", low_exact=False, high_exact=False)) == "range"


def test_other_rules() -> None:
    assert why(stats(INT, 0, 9, nulls=0, rows=5), stats(INT, 0, 9, nulls=1, rows=5)) == "nulls"
    assert why(stats(INT, 0, 9, nulls=2, rows=5), stats(INT, 0, 9, nulls=1, rows=5)) is None
    assert why(stats(INT, 0, 9, distinct=3), stats(INT, 0, 9, distinct=4)) == "distinct"
    assert why(stats(F, 0.0, 9.0, distinct=3), stats(F, 0.0, 9.0, distinct=4)) is None  # 0.0 and -0.0 are two there
    assert why(stats(INT, 0, 9, rows=3), stats(INT, 0, 9, rows=4)) is None
    assert why(stats(INT, 0, 9, rows=3), stats(INT, 0, 9, rows=4), bag=True) == "rows"
    assert why(stats(T, values=frozenset({"a", "b"})), stats(T, values=frozenset({"c"}))) == "values"
    assert why(stats(T, values=frozenset({"a", None})), stats(T, values=frozenset({None}))) is None


def test_types() -> None:
    assert why(stats(families.LOCAL, 1, 2), stats(families.UTC, 1, 2)) == "type"
    assert why(stats(INT, 1, 2), stats(B, 0, 1)) == "type"
    assert why(stats(T, b"a", b"b"), stats(INT, 5, 6)) is None and why(stats(INT, 5, 6), stats(T, b"5", b"6")) is None
    assert why(stats(INT, 1, 2), stats(B, nulls=4, rows=4)) is None  # nothing but nulls: equal to any null
    assert why(stats(INT, nulls=4, rows=4), stats(INT, 1, 2)) == "type"
    assert why(stats(INT, nulls=4, rows=4), stats(INT, nulls=4, rows=4)) is None
    assert why(stats(families.UNKNOWN), stats(INT, 1, 2)) is None
    assert why(stats(families.NESTED), stats(families.NESTED)) is None


def test_missing_as_empty_forgets_what_is_no_longer_so() -> None:
    def told(parent: ColumnStats, child: ColumnStats) -> str | None:
        return why(with_missing_empty(parent), with_missing_empty(child), empty=True)

    assert told(stats(T, b"a", b"z", nulls=1, rows=9), stats(T, b"", b"c", nulls=0, rows=3)) is None
    assert told(stats(F, 0.0, 1.0, nulls=0, rows=9), stats(F, 0.0, 1.0, nulls=3, rows=9)) is None  # NaN may stand for null
    assert told(stats(INT, 0, 1, nulls=0, rows=9), stats(INT, 0, 1, nulls=3, rows=9)) == "nulls"
    assert told(stats(INT, nulls=9, rows=9), stats(T, b"", b"", nulls=0, rows=3)) is None
    assert told(stats(T, b"b", b"z"), stats(T, b"a", b"z")) == "range"


def test_a_tolerated_share_is_not_refuted_by_one_row() -> None:
    assert why(stats(INT, 0, 9, nulls=0, rows=99), stats(INT, -1, 5, nulls=0, rows=99), tolerance=0.1) is None
    assert why(stats(INT, 0, 9, nulls=0, rows=99), stats(INT, 10, 15, nulls=0, rows=99), tolerance=0.1) == "range"
    assert why(stats(INT, 0, 9, nulls=0, rows=99), stats(INT, 10, 15, nulls=95, rows=99), tolerance=0.1) == "nulls"
    assert why(stats(INT, 0, 9, nulls=1, rows=99), stats(INT, 10, 15, nulls=95, rows=99), tolerance=0.1) is None


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    tables = [{n: stats(INT, int(a), int(a + b)) for n, a, b in zip("xyz", rng.integers(0, 9, 3), rng.integers(0, 9, 3), strict=True)}
              for _ in range(30)]
    facts = ranked(tables, np.zeros(30, np.int64))[0]
    p, c = (g.ravel() for g in np.meshgrid(np.arange(30), np.arange(30)))
    whole = refuted(facts, facts, p, c)
    monkeypatch.setattr("tamis.operators.lake.min_max._BLOCK", 7)
    assert np.array_equal(refuted(facts, facts, p, c), whole)
    brute = [all(tables[i][n].low <= tables[j][n].low and tables[j][n].high <= tables[i][n].high for n in "xyz")
             for i, j in zip(p, c, strict=True)]
    assert (whole < 0).tolist() == brute


def test_survival_of_an_altered_child_is_binomial() -> None:
    # t draws all miss the altered share with probability (1 - share)^t
    rows, t, tries = 1000, 10, 1000
    for share in (0.5, 0.1, 0.01):
        altered = np.zeros(rows, bool)
        altered[: int(share * rows)] = True
        survived = sum(not altered[draws("table", rows, t, seed)].any() for seed in range(tries))
        expected = (1 - share) ** t
        assert abs(survived - tries * expected) < 4 * math.sqrt(tries * expected * (1 - expected)) + 1


def test_draws_are_prefixes_uniform_and_of_the_seed() -> None:
    many = draws("a", 50, 5000, 3)
    assert np.array_equal(draws("a", 50, 44, 3), many[:44])
    assert not np.array_equal(draws("a", 50, 44, 4), many[:44]) and not np.array_equal(draws("b", 50, 44, 3), many[:44])
    counts = np.bincount(many, minlength=50)
    assert ((counts - 100) ** 2 / 100).sum() < 90  # chi squared, 49 degrees: 85 at one in a thousand
    assert len(draws("a", 0, 5, 0)) == 0


def test_batches_double_and_stop_at_the_first_miss() -> None:
    assert batches(459) == [8, 16, 32, 64, 128, 256, 459] and batches(5) == [5]
    assert [looked_at(missed, 459) for missed in (None, 0, 7, 8, 20, 255, 256, 458)] == [459, 8, 8, 16, 32, 256, 459, 459]
    assert rows_needed(0.01, 0.01) == 459
    assert bound_after(459, 7, 0.01) > 0.01 and bound_after(0, 1, 0.01) == 1.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        rows_needed(0, 0.5)
