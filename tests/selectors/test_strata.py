"""Coverage-centric selection: exact, nested, unbiased inside a stratum, as many of each stratum as of the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.coreset import ccs
from tamis.selectors.parts.allocate import water_fill
from tamis.selectors.parts.strata import coverage_order

SCORES = st.lists(st.floats(-1e6, 1e6), max_size=80)


@settings(max_examples=80)
@given(SCORES, st.integers(0, 90), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0.0, 0.1, 0.5]), st.integers(1, 60))
def test_picks_are_exact_distinct_and_water_filled(scores, budget, low, high, strata):
    scores, ids = np.array(scores, float), np.random.default_rng(len(scores)).permutation(len(scores)) * 3
    order, stratum = coverage_order(scores, ids, 7, cut_low=low, cut_high=high, strata=strata)
    n = len(scores)
    eligible = n - int(low * n + 1e-9) - int(high * n + 1e-9)
    assert len(order) == len(set(order.tolist())) == eligible == (stratum >= 0).sum()
    picks = order[:budget]
    assert len(picks) == min(budget, eligible)
    sizes, taken = np.bincount(stratum[order], minlength=strata), np.bincount(stratum[picks], minlength=strata)
    wanted = water_fill(sizes, np.ones(strata), budget)
    assert (taken <= sizes).all() and (np.abs(taken - wanted) <= 1).all()
    if budget >= (sizes > 0).sum():
        assert (taken[sizes > 0] >= 1).all()
    if eligible:
        assert scores[order].min() >= np.sort(scores)[int(low * n + 1e-9)] and stratum.max() < strata
        edges = (scores[order] - scores[order].min()) / (np.ptp(scores[order]) or 1.0) * strata
        assert np.abs(np.minimum(edges, strata - 1e-9) - stratum[order] - 0.5).max() <= 0.5 + 1e-6


def test_the_tails_are_the_ends_and_ties_are_the_ids():
    scores, ids = np.array([5.0, 1, 1, 1, 9, 9, 3, 4, 6, 7]), np.arange(10)[::-1]
    _, stratum = coverage_order(scores, ids, 0, cut_low=0.2, cut_high=0.1)
    assert np.flatnonzero(stratum < 0).tolist() == [2, 3, 4], "of three lowest those with the smaller ids, of two highest the larger"
    _, whole = coverage_order(scores, ids, 0, cut_low=0, cut_high=0)
    assert (whole >= 0).all() and whole[4] == 49 and whole[1] == 0


def test_a_draw_inside_a_stratum_is_uniform():
    """Chi-square over 4,000 seeds: 40 rows in one stratum, 8 in another, 5 of each picked."""
    scores, seen = np.repeat([0.0, 1.0], [40, 8]), np.zeros(48)
    for seed in range(4000):
        seen[coverage_order(scores, np.arange(48), seed, cut_low=0, cut_high=0, strata=2)[0][:10]] += 1
    for part, size in ((seen[:40], 40), (seen[40:], 8)):
        assert part.sum() == 20_000
        # inclusions of one draw exclude each other: their variance is (1 - 5/size) of the independent one, size/(size-1) with n fixed
        statistic = ((part - 20_000 / size) ** 2 / (20_000 / size)).sum() / ((1 - 5 / size) * size / (size - 1))
        assert statistic < {40: 80.1, 8: 27.9}[size]  # df 39, 7, p = 1e-4 (scaled to the df)


def test_the_order_of_the_rows_is_nothing_and_the_seed_is_something():
    rng = np.random.default_rng(1)
    scores, ids, moved = rng.normal(size=200), rng.integers(-(2**62), 2**62, 200), rng.permutation(200)
    order, _ = coverage_order(scores, ids, 5)
    other, _ = coverage_order(scores[moved], ids[moved], 5)
    assert ids[order].tolist() == ids[moved][other].tolist()
    assert ids[coverage_order(scores, ids, 6)[0]].tolist() != ids[order].tolist()


def test_skewed_scores_get_no_more_than_was_asked():
    """Adapt-inf's released code answers 442 rows where 400 are asked, and 3,185 of 3,500 (SPECS 4.6)."""
    rng = np.random.default_rng(0)
    pool = Pool(np.arange(4000), quality=rng.lognormal(0, 2, 4000))
    assert len(ccs(pool, 400, seed=0).index) == 400
    assert len(ccs(Pool(np.arange(4000), quality=rng.normal(size=4000)), 3500, seed=0).index) == 3500


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_smaller_budget_is_the_beginning_and_tails_come_last(small, large):
    pool = Pool(np.arange(60), quality=np.random.default_rng(3).normal(size=60) ** 3)
    a, b = sorted((small, large))
    one, other = (ccs(pool, budget, seed=2, cut_low=0.1, cut_high=0.2) for budget in (a, b))
    assert one.index.tolist() == other.index[: len(one.index)].tolist() and len(other.index) == min(b, 60)
    assert other.facts["eligible"] == 42 and (other.notes["stratum"][other.index[:42]] >= 0).all()
    assert (other.notes["stratum"][other.index[42:]] == -1).all()


@pytest.mark.parametrize(("told", "words"), [
    ({"strata": 0}, "strata must be 1 or more"), ({"cut_low": -0.1}, "cut_low"), ({"cut_low": 0.6, "cut_high": 0.6}, "together 1 at most"),
])
def test_nonsense_is_refused(told, words):
    with pytest.raises(ValueError, match=words):
        coverage_order(np.arange(5.0), np.arange(5), 0, **told)
    with pytest.raises(ValueError, match="2 of 3 scores"):
        coverage_order(np.array([np.nan, 1, np.inf]), np.arange(3), 0)


def test_a_range_beyond_all_floats_and_one_of_nothing():
    order, stratum = coverage_order(np.array([-1.7e308, 0, 1.7e308]), np.arange(3), 0, cut_low=0, cut_high=0, strata=4)
    assert stratum.tolist() == [0, 2, 3] and len(order) == 3
    assert coverage_order(np.full(4, 2.5), np.arange(4), 0, cut_low=0, cut_high=0)[1].tolist() == [0, 0, 0, 0]
    assert len(coverage_order(np.empty(0), np.empty(0, np.int64), 0)[0]) == 0
