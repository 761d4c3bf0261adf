"""Allocation against the definition in exact fractions, and against all allocations there are."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.selectors.parts.allocate import fill, share, water_fill

GROUPS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=8)


def exact_shares(sizes: list[int], weights: list[int], total: int) -> list[Fraction]:
    """SPECS 0.1 word for word, in fractions: fill what overflows, share the rest again, then the weightless groups."""
    left = Fraction(min(total, sum(sizes)))
    shares = [Fraction(0)] * len(sizes)
    for active, weight in (
        ({k for k, w in enumerate(weights) if w}, dict(enumerate(weights))),
        ({k for k, w in enumerate(weights) if not w}, dict.fromkeys(range(len(sizes)), 1)),
    ):
        while active:
            whole = sum(weight[k] for k in active)
            full = {k for k in active if left * weight[k] / whole >= sizes[k]}
            if not full:
                for k in active:
                    shares[k] = left * weight[k] / whole
                return shares
            for k in full:
                shares[k] = Fraction(sizes[k])
                left -= sizes[k]
            active -= full
    return shares


@given(GROUPS, st.integers(0, 400))
def test_shares_are_the_definitions(groups, total):
    sizes, weights = [list(x) for x in zip(*groups, strict=True)]
    assert np.allclose(share(sizes, weights, total), [float(x) for x in exact_shares(sizes, weights, total)], atol=1e-9)


@given(GROUPS, st.integers(0, 400))
def test_units_round_the_shares_and_sum_to_the_total(groups, total):
    sizes, weights = [list(x) for x in zip(*groups, strict=True)]
    units = water_fill(sizes, weights, total)
    exact = exact_shares(sizes, weights, total)
    assert units.sum() == min(total, sum(sizes))
    assert (units <= sizes).all() and (units >= 0).all()
    assert all(abs(int(u) - e) < 1 for u, e in zip(units, exact, strict=True))
    # nobody got a rounding unit before somebody with a larger fraction
    up = [e - int(e) for u, e in zip(units, exact, strict=True) if u > e]
    down = [e - int(e) for u, e in zip(units, exact, strict=True) if u < e]
    assert not up or not down or min(up) >= max(down) - Fraction(1, 10**9)


@pytest.mark.parametrize("total", range(10))
def test_units_lie_nearest_to_the_shares_of_all_allocations(total):
    sizes, weights = [3, 1, 4, 2], [5, 3, 2, 1]
    exact = exact_shares(sizes, weights, total)
    def off(units):
        return sum((u - e) ** 2 for u, e in zip(units, exact, strict=True))

    every = [u for u in product(*(range(s + 1) for s in sizes)) if sum(u) == min(total, sum(sizes))]
    assert off([int(u) for u in water_fill(sizes, weights, total)]) == min(off(u) for u in every)


ANY = st.lists(st.tuples(st.integers(1, 10**6), st.floats(1e-300, 1e300)), min_size=1, max_size=50)


@given(ANY, st.integers(0, 10**7))
def test_total_is_exact_for_any_weights(groups, total):
    sizes, weights = np.array([g[0] for g in groups]), np.array([g[1] for g in groups])
    units = water_fill(sizes, weights, total)
    assert units.sum() == min(total, sizes.sum())
    assert (units <= sizes).all() and (units >= 0).all()


def test_ties_go_to_the_lowest_group():
    assert water_fill([9, 9, 9], [1, 1, 1], 4).tolist() == [2, 1, 1]
    assert water_fill([9, 9, 9], [1, 1, 1], 5).tolist() == [2, 2, 1]


def test_weightless_groups_come_last_and_share_equally():
    assert water_fill([2, 10, 10], [1, 0, 0], 8).tolist() == [2, 3, 3]
    assert water_fill([2, 10, 10], [1, 0, 0], 2).tolist() == [2, 0, 0]


def test_nothing_to_share():
    assert water_fill([], [], 5).tolist() == []
    assert water_fill([3, 4], [1, 2], 0).tolist() == [0, 0]


@pytest.mark.parametrize(("sizes", "weights", "total", "word"), [
    ([1, 2], [1.0, np.nan], 1, "weights"), ([1, 2], [1.0, -1.0], 1, "weights"), ([-1, 2], [1.0, 1.0], 1, "sizes"),
    ([1, 2], [1.0, 1.0], -1, "total"), ([1, 2], [1.0], 1, "2 sizes, 1 weights"),
])
def test_nonsense_is_refused(sizes, weights, total, word):
    with pytest.raises(ValueError, match=word):
        water_fill(sizes, weights, total)


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(0, 300))
def test_fill_is_the_walk_that_takes_what_fits(costs, budget):
    cost, order, left, expected = np.array(costs, float), np.arange(len(costs))[::-1], budget, []
    for i in order:
        if cost[i] <= left:
            expected.append(i)
            left -= cost[i]
    assert fill(order, cost, budget).tolist() == expected
