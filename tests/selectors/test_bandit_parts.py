"""The parts of the bandit against statistics done by hand: sums, variance components, posteriors, intervals, arms."""

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors.bandit.arms import Arms
from tamis.selectors.bandit.evidence import LEAST, Evidence
from tamis.selectors.bandit.policies import Rules
from tamis.selectors.quad import _weights


def told(rewards: list[np.ndarray]) -> Evidence:
    """One visit of each arm."""
    found = Evidence.none(len(rewards))
    for arm, here in enumerate(rewards):
        found.add((np.arange(len(rewards)) == arm).astype(float), here)
    return found


def rules(policy: str, **more: Any) -> Rules:
    return Rules(policy, **{"probes": 10, "explore": 1.0, "alpha": None, "confidence": 0.8, "gamma": 0.9, "seed": 0, **more})  # type: ignore[arg-type]


@given(st.lists(st.lists(st.floats(-5, 5), min_size=2, max_size=9), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_sums_are_those_of_the_rows(groups: list[list[float]]) -> None:
    rewards = [np.array(g) for g in groups]
    found = told(rewards)
    assert np.allclose(found.mean(np.zeros(len(groups))), [g.mean() for g in rewards])
    assert np.allclose(found.variance(), [g.var() for g in rewards], atol=1e-9)
    pooled = sum(((g - g.mean()) ** 2).sum() for g in rewards) / (sum(map(len, rewards)) - len(rewards))
    assert found.within() == pytest.approx(pooled, abs=1e-9)
    single = Evidence.none(len(groups))
    single.add_rows(np.repeat(np.arange(len(groups)), [len(g) for g in groups]), np.concatenate(rewards))
    assert np.allclose(single.total, found.total) and np.allclose(single.squares, found.squares) and not single.visits.any()


def test_variance_between_arms_is_found_and_what_is_expected_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(3.0, 0.7, 2000)
    sizes = rng.integers(1, 12, 2000)
    rewards = [rng.normal(m, 2.0, n) for m, n in zip(true, sizes, strict=True)]
    found = told(rewards)
    within = found.within()
    middle, between = found.between(within, np.zeros(2000))
    assert within == pytest.approx(4.0, rel=0.05) and middle == pytest.approx(3.0, abs=0.1) and between == pytest.approx(0.49, rel=0.2)
    middle, rest = found.between(within, true)
    assert abs(middle) < 0.1 and rest < 0.1, "where all is foreseen, nothing is left between the arms"
    flat = told([rng.normal(0, 1.0, 20) for _ in range(50)])
    assert flat.between(flat.within(), np.zeros(50))[1] < 0.05
    assert flat.between(flat.within(), np.zeros(50))[1] >= LEAST * flat.within()


def test_nothing_known_and_one_row() -> None:
    none = Evidence.none(3)
    assert none.within() == 0 and none.between(0.0, np.zeros(3)) == (0.0, 0.0) and none.mean(np.array([1.0, 2, 3])).tolist() == [1, 2, 3]
    none.add_rows(np.array([1, 2]), np.array([1.0, 3.0]))
    assert none.within() == pytest.approx(1.0), "no arm has two rows: the spread of all"


def test_what_neighbours_tell_is_undiminished_in_the_mean() -> None:
    """`R_j += w r; T_j += w`: the released code adds w r and 1, which drags every mean towards 0."""
    found = Evidence.none(3)
    found.add(np.array([1.0, 0.25, 0.0]), np.array([2.0, 4.0]))
    assert found.mean(np.full(3, 9.0)).tolist() == [3.0, 3.0, 9.0] and found.visits.tolist() == [1.0, 0.25, 0.0]
    found.add(np.array([0.5, 1.0, 0.5]), np.array([-1.0, -1.0]))
    assert np.allclose(found.mean(np.zeros(3)), [(6 - 1) / 3, (1.5 - 2) / 2.5, -1.0])


def test_weights_fall_with_the_distance_of_centroids() -> None:
    points = np.array([[1, 0], [np.cos(0.3), np.sin(0.3)], [0, 1]], np.float32)
    near = _weights(points, 3, 0.2)(0)
    assert near[0] == 1 and near[1] == pytest.approx(1 - (1 - np.cos(0.3)) / 0.2, abs=1e-6) and near[2] == 0
    assert _weights(points, 3, 0.0)(1).tolist() == [0, 1, 0] == _weights(None, 3, 0.5)(1).tolist()


def test_evidence_fades() -> None:
    found = told([np.array([1.0, 3.0]), np.array([5.0])])
    found.fade(0.5)
    assert found.rows.tolist() == [1, 0.5] and found.visits.tolist() == [0.5, 0.5] and found.mean(np.zeros(2)).tolist() == [2, 5]


def test_the_posterior_is_that_of_a_grid() -> None:
    """The mean and the quantiles that come of prior times likelihood, summed over a fine grid of means."""
    rng = np.random.default_rng(3)
    found = told([rng.normal(m, 1.0, n) for m, n in [(0, 3), (1, 8), (2, 5), (0.5, 20), (-1, 2)]])
    within = found.within()
    middle, between = found.between(within, np.zeros(5))
    view = rules("thompson", confidence=0.9).look(found, found, np.zeros(5), 1.0, 4)
    grid = np.linspace(-8, 8, 40_001)
    for arm in range(5):
        n, mean = found.rows[arm], found.total[arm] / found.rows[arm]
        dense = np.exp(-((grid - middle) ** 2) / (2 * between) - n * (grid - mean) ** 2 / (2 * within))
        dense /= dense.sum()
        assert view.mean[arm] == pytest.approx((dense * grid).sum(), abs=1e-3)
        assert view.low[arm] == pytest.approx(grid[np.searchsorted(np.cumsum(dense), 0.1)], abs=2e-3)
        assert view.high[arm] == pytest.approx(grid[np.searchsorted(np.cumsum(dense), 1 - 0.1 / 5)], abs=2e-3)


def test_draws_of_the_posterior_are_standard_normal_and_differ_by_turn_and_seed() -> None:
    found = told([np.array([0.0, 1.0, 2.0])] * 4000)
    views = [rules("thompson", seed=s).look(found, found, np.zeros(4000), 1.0, turn) for s, turn in ((0, 0), (0, 1), (1, 0))]
    draws = [np.sort(v.bonus) / v.bonus.std() for v in views]
    for draw in draws:
        expected = np.array([NormalDist().inv_cdf((i + 0.5) / 4000) for i in range(4000)])
        assert np.abs(draw - expected)[100:-100].max() < 0.15
    assert abs(np.corrcoef(views[0].bonus, views[1].bonus)[0, 1]) < 0.06 > abs(np.corrcoef(views[0].bonus, views[2].bonus)[0, 1])
    again = rules("thompson").look(found, found, np.zeros(4000), 1.0, 0)
    assert np.array_equal(again.bonus, views[0].bonus) and np.allclose(again.index, again.mean + again.bonus)


@pytest.mark.parametrize("family", ["uniform", "rare"])
def test_empirical_bernstein_intervals_hold_together_at_all_times(family: str) -> None:
    """30 arms looked at after every row, 200 rows each, 40 times: no more failures than the confidence allows."""
    rng, failed = np.random.default_rng(1), 0
    for _ in range(40):
        draw = rng.random((30, 200)) if family == "uniform" else (rng.random((30, 200)) < 0.05).astype(float)
        true, found = 0.5 if family == "uniform" else 0.05, Evidence.none(30)
        wrong = False
        for n in range(200):
            found.add_rows(np.arange(30), draw[:, n])
            if n % 9 == 0 or n == 199:
                view = rules("successive_elimination").look(found, found, np.zeros(30), 1.0, n)
                wrong |= bool(((view.low > true) | (view.high < true)).any())
        failed += wrong
    assert failed <= 8
    assert (view.high - view.low).mean() < (1.2 if family == "uniform" else 0.8), "and they say something"


def test_what_a_policy_takes_by() -> None:
    found = told([np.array([0.0, 2.0] * 20), np.array([0.9, 1.1] * 20), np.array([-1.0, 1.0] * 20)])
    for policy, expected in (("ucb", [True] * 3), ("discounted", [True, True, False]), ("thompson", [True, True, False])):
        asked = rules(policy)
        view = asked.look(found, found, np.zeros(3), 3.0, 0)
        assert [asked.takes(view, arm, 0.8, 0.5) for arm in range(3)] == expected, policy
        assert [asked.takes(view, arm, 0.8, 2.5) for arm in range(3)] == [False] * 3
    careful = rules("successive_elimination")
    assert not careful.takes(careful.look(found, found, np.zeros(3), 3.0, 0), 0, 0.8, 0.5), "40 rows are not enough"


def test_the_bonus_of_the_paper_and_in_standard_deviations() -> None:
    found = told([np.array([0.0, 2.0]), np.array([4.0, 6.0])])
    found.add(np.array([0.0, 1.0]), np.array([4.0, 6.0]))
    by_hand = [0.1 * np.sqrt(2 * np.log(3) / t) for t in (1, 2)]
    view = rules("ucb", alpha=0.1).look(found, found, np.zeros(2), 1.0, 0)
    assert np.allclose(view.bonus, by_hand) and np.allclose(view.index, view.mean + by_hand) and np.allclose(view.mean, [1, 5])
    spread = np.sqrt(found.within() / 10)
    assert np.allclose(rules("ucb", explore=2.0).look(found, found, np.zeros(2), 1.0, 0).bonus, np.array(by_hand) / 0.1 * 2 * spread)


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_arms_hand_out_every_row_once(n: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, cost = rng.integers(0, 4, n), rng.integers(0, 9, n).astype(float)
    arms, met = Arms(labels, 4, np.arange(n), cost, seed=seed, batch=batch), []
    for arm in range(4):
        while arms.left[arm]:
            rest, here = arms.rest(arm), arms.batch(arm)
            assert arms.cheapest[arm] == cost[rest].min() and np.array_equal(here, rest[:batch]) and set(labels[here]) == {arm}
            probe = arms.probe(arm, 3)
            assert len(probe) == min(3, len(here)) and set(probe) <= set(here)
            arms.known[probe] = 1.0
            assert not set(arms.probe(arm, 3)) & set(probe)
            met += here.tolist()
            arms.next(arm)
        assert arms.cheapest[arm] == np.inf and not len(arms.batch(arm)) and not len(arms.probe(arm, 3))
    assert sorted(met) == list(range(n)) and arms.sizes.sum() == n


def test_a_batch_is_a_random_part_of_its_arm() -> None:
    """Over seeds, each row of an arm is equally often in its first batch."""
    counts = np.zeros(40)
    for seed in range(400):
        counts[Arms(np.zeros(40, int), 1, np.arange(40), np.ones(40), seed=seed, batch=10).batch(0)] += 1
    assert abs(counts - 100).max() < 40 and counts.sum() == 4000
