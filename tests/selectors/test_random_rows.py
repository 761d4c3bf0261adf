"""The random baseline: exact, nested, of any order."""

import numpy as np
import pytest

from tamis.selectors.base import Pool
from tamis.selectors.baselines import random_rows


@pytest.mark.parametrize(("budget", "rows"), [(0, 0), (1, 1), (17.9, 17), (100, 100), (1e9, 100), (np.inf, 100)])
def test_budget_in_rows_is_met_exactly(budget, rows):
    assert len(np.unique(random_rows(Pool(np.arange(100)), budget, seed=0).index)) == rows


def test_budgets_are_nested_and_rank_says_who_would_be_next():
    small, large = (random_rows(Pool(np.arange(100)), b, seed=7) for b in (10, 11))
    assert large.index[:10].tolist() == small.index.tolist()
    assert np.flatnonzero(small.notes["rank"] == 11).tolist() == [large.index[10]]


def test_order_changes_nothing_and_the_seed_does():
    ids = np.random.default_rng(0).integers(0, 2**60, 200)
    shuffled = np.random.default_rng(1).permutation(200)
    chosen = ids[random_rows(Pool(ids), 50, seed=1).index].tolist()
    assert ids[shuffled][random_rows(Pool(ids[shuffled]), 50, seed=1).index].tolist() == chosen
    assert set(ids[random_rows(Pool(ids), 50, seed=2).index].tolist()) != set(chosen)


def test_tokens_stay_within_the_budget_and_leave_little():
    cost = np.random.default_rng(0).integers(1, 100, 300).astype(float)
    for seed in range(20):
        chosen = random_rows(Pool(np.arange(300), cost=cost), 1000, seed=seed)
        out = np.setdiff1d(np.arange(300), chosen.index)
        assert cost[chosen.index].sum() + chosen.facts["left"] == 1000
        assert 0 <= chosen.facts["left"] < cost[out].min()


def test_every_row_has_the_same_chance():
    seen = np.zeros(30)
    for seed in range(3000):
        seen[random_rows(Pool(np.arange(30)), 10, seed=seed).index] += 1
    assert ((seen - 1000) ** 2 / 1000).sum() / (2 / 3) < 66  # df 29, p = 1e-4


@pytest.mark.parametrize(("pool", "budget", "words"), [
    (Pool(np.arange(3)), -1, "budget is -1"), (Pool(np.arange(3)), np.nan, "budget is nan"),
    (Pool(np.array([4, 4, 5])), 1, "1 of 3 rows repeat"),
    (Pool(np.arange(3), cost=np.array([1, -1, np.nan])), 1, "2 of 3 rows"),
])
def test_nonsense_is_refused(pool, budget, words):
    with pytest.raises(ValueError, match=words):
        random_rows(pool, budget, seed=0)
