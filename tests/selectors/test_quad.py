"""The bandit: budgets, exhaustion, regret, its limits (greedy, round robin), resumption after every round, and planted truth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors.base import Pool, Selection
from tamis.selectors.parts.draw import ARMS, uniform
from tamis.selectors.quad import quad


class Kept:
    """A trace in memory."""

    def __init__(self, lines: list[list[dict[str, Any]]] | None = None) -> None:
        self.lines = list(lines or [])

    def rounds(self) -> list[list[dict[str, Any]]]:
        return list(self.lines)

    def add(self, lines: list[dict[str, Any]]) -> None:
        self.lines.append(lines)

    def pulls(self) -> list[dict[str, Any]]:
        return [line for lines in self.lines for line in lines if line["pull"]]


def world(means: list[float] | np.ndarray, rows: int | list[int], sd: float, seed: int = 0, costs: bool = False) -> tuple[Pool, np.ndarray]:
    """A pool whose column names each row's arm, in a shuffled order, and rewards about the arms' means."""
    rng = np.random.default_rng(seed)
    sizes = np.broadcast_to(rows, len(means))
    labels = rng.permutation(np.repeat(np.arange(len(means)), sizes))
    rewards = np.asarray(means)[labels] + sd * rng.normal(size=len(labels))
    cost = rng.integers(1, 30, len(labels)).astype(float) if costs else None
    names = np.array([f"{i:04d}" for i in range(len(means))], object)
    return Pool(rng.permutation(len(labels)) * 3 - 7, cost=cost, field=names[labels]), rewards


def choose(pool: Pool, rewards: np.ndarray, budget: float, trace: Kept | None = None, seed: int = 1, **more: Any) -> Selection:
    return quad(pool, budget, seed=seed, influence=lambda index: rewards[index], state=trace, cluster_key="x", **more)


def arm_of(pool: Pool) -> np.ndarray:
    assert pool.field is not None
    return pool.field.astype(int)


POLICIES: list[dict[str, Any]] = [{"policy": p} for p in ("thompson", "ucb", "successive_elimination", "discounted")]


@pytest.mark.parametrize("more", [*POLICIES, {"policy": "ucb", "alpha": float("inf")}, {"policy": "ucb", "alpha": 0.0}], ids=str)
@pytest.mark.parametrize("costs", [False, True])
def test_the_budget_is_met_to_the_row_and_nothing_is_taken_twice(more: dict[str, Any], costs: bool) -> None:
    means = np.where(np.arange(30) < 20, 1.0, -1.0)
    pool, rewards = world(means, 40, 0.5, costs=costs)
    trace = Kept()
    told = choose(pool, rewards, 300, trace, probes=4, batch=15, pilot=30, tau=0.0, **more)
    assert len(set(told.index.tolist())) == len(told.index) == len(told.gain)
    spent = len(told.index) if pool.cost is None else pool.cost[told.index].sum()
    assert 0 <= 300 - spent == pytest.approx(told.facts["left"])
    if pool.cost is None:
        assert spent == 300
    else:
        touched = np.isin(arm_of(pool), np.unique(arm_of(pool)[told.index]))
        free = touched & ~np.isin(np.arange(len(pool)), told.index) & np.isnan(told.notes["reward"])
        assert 300 - spent < pool.cost[free].min(initial=np.inf), "what is left buys no row of an arm that was taken from"
    assert sum(line["cost"] for line in trace.pulls()) == spent and trace.pulls()[-1]["left"] == 300 - spent
    assert told.facts["stopped"] == "the budget is met"


@pytest.mark.parametrize("more", POLICIES, ids=str)
def test_every_row_is_asked_about_once_at_most_and_exhausted_arms_never_again(more: dict[str, Any]) -> None:
    """Budget enough for all that is good: small arms run out on the way."""
    sizes = [1, 2, 7, 15, 16, 31, 60, 3]
    pool, rewards = world([1.0, -1.0] * 4, sizes, 0.4)
    asked: list[int] = []
    trace = Kept()

    def influence(index: np.ndarray) -> np.ndarray:
        asked.extend(index.tolist())
        return rewards[index]

    told = quad(pool, 1000, seed=3, influence=influence, state=trace, cluster_key="x", probes=4, batch=15, pilot=0, tau=0.0, **more)
    assert len(asked) == len(set(asked)) == told.facts["scored"] == (~np.isnan(told.notes["reward"])).sum()
    decided = np.zeros(8, int)
    for line in trace.pulls():
        assert decided[line["arm"]] < sizes[line["arm"]], "nothing is left of this arm"
        assert line["rows"] or line["decision"] in ("take", "close")
        if line["decision"] in ("take", "close"):
            decided[line["arm"]] += min(15, sizes[line["arm"]] - decided[line["arm"]])
    assert told.facts["picked"] == np.bincount(arm_of(pool)[told.index], minlength=8).tolist()
    good = np.isin(arm_of(pool), [0, 2, 4, 6])
    assert good[told.index].mean() > 0.9 and set(arm_of(pool)[told.index]) >= {4, 6}


def test_a_probe_is_of_the_batch_that_it_decides_on() -> None:
    pool, rewards = world([1.0, 0.9, -1.0], 100, 0.2)
    trace, place = Kept(), {}
    told = choose(pool, rewards, 120, trace, probes=5, batch=25, pilot=10, tau=0.0)
    place.update(zip(pool.ids.tolist(), range(len(pool)), strict=True))
    for line in trace.pulls():
        if line["decision"] == "take" and line["left"] > 0:
            rows = np.flatnonzero(told.notes["pull"] == line["pull"])
            assert len(rows) == line["taken"] == 25 and {place[i] for i in line["rows"]} <= set(rows.tolist())
            assert set(arm_of(pool)[rows]) == {line["arm"]} and line["rewards"] == [rewards[place[i]] for i in line["rows"]]


def test_regret_grows_slower_than_the_pulls() -> None:
    """400 arms, 40 good, the spread of a row twice the gap. Means are known only by asking."""
    means = np.where(np.arange(400) % 10 == 0, 0.5, 0.0)
    pool, rewards = world(means, 1000, 1.0)
    for more in ({"policy": "ucb", "explore": 0.5}, {"policy": "thompson"}):
        trace = Kept()
        told = choose(pool, rewards, 12_000, trace, probes=10, batch=20, tau=0.25, **more)
        regret = np.array([0.5 - means[line["arm"]] for line in trace.pulls()])[400:]  # after each was tried
        quarters = [float(q.mean()) for q in np.array_split(regret, 4)]
        assert len(regret) > 500 and quarters[0] < 0.3 and quarters[-1] < 0.75 * quarters[0], quarters
        assert min(told.facts["visits"]) >= 1
    assert means[arm_of(pool)[told.index]].mean() > 0.45, "thompson takes what it is sure of: nine rows in ten are good"


def naive_ucb(arms: list[np.ndarray], rewards: np.ndarray, alpha: float, tau: float, probes: int, batch: int, budget: int) -> list[int]:
    """SPECS 2.3 by loops over lists, each arm's rows as they are handed out: the arms in the order of their pulls."""
    sums, rows, visits, held = [0.0] * len(arms), [0] * len(arms), [0] * len(arms), [0] * len(arms)
    left, at, got, pulled = budget, [0] * len(arms), [0] * len(arms), []
    while left > 0:
        here = [a for a in range(len(arms)) if at[a] < len(arms[a])]
        new = [a for a in here if not visits[a]]

        def worth(a: int) -> float:
            return sums[a] / rows[a] + alpha * float(np.sqrt(2 * np.log(sum(visits)) / visits[a]))

        a = new[0] if new else max((a for a in here if worth(a) > tau), key=lambda a: (worth(a), -visits[a], -a), default=-1)
        if a < 0:
            break
        under = arms[a][at[a] : at[a] + batch]
        found = rewards[under[got[a] : got[a] + probes]]
        got[a] += len(found)
        sums[a], rows[a], visits[a] = sums[a] + found.sum(), rows[a] + len(found), visits[a] + 1
        pulled.append(a)
        if new:
            continue
        whole = got[a] == len(under)
        if (found.mean() if len(found) else rewards[under].mean()) > tau or (whole and rewards[under].mean() > tau):
            left -= len(under)
            at[a], got[a], held[a] = at[a] + batch, 0, 0
        elif whole or held[a] == 3:
            left -= len(under) * (not whole and sums[a] / rows[a] > tau)
            at[a], got[a], held[a] = at[a] + batch, 0, 0
        else:
            held[a] += 1
    return pulled


@pytest.mark.parametrize("alpha", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_ucb_pulls_what_the_published_loop_pulls(alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool, rewards = world(rng.normal(0, 0.5, 12), 60, 0.5, seed)
    trace, labels = Kept(), arm_of(pool)
    choose(pool, rewards, 200, trace, seed=9, policy="ucb", alpha=alpha, probes=4, batch=20, pilot=0, tau=0.1)
    shuffled = [np.flatnonzero(labels == a) for a in range(12)]
    shuffled = [rows[np.argsort(uniform(9, pool.ids[rows], stream=ARMS))] for rows in shuffled]
    assert [line["arm"] for line in trace.pulls()] == naive_ucb(shuffled, rewards, alpha, 0.1, 4, 20, 200)


def test_endless_exploration_is_round_robin_and_none_is_greedy() -> None:
    pool, rewards = world(np.linspace(-1, 1, 13), 1000, 1.0)
    for budget in (100, 333, 777):
        even = choose(pool, rewards, budget, policy="ucb", alpha=float("inf"), probes=3, batch=10)
        assert max(even.facts["visits"]) - min(even.facts["visits"]) <= 1 and even.facts["pulls"] >= 13
    trace = Kept()
    choose(pool, rewards, 600, trace, policy="ucb", alpha=0.0, probes=3, batch=10, pilot=0, tau=0.0)
    sums, rows = np.zeros(13), np.zeros(13)
    for line in trace.pulls():
        if rows.all():
            assert line["arm"] == (sums / rows).argmax()
        sums[line["arm"]] += sum(line["rewards"])
        rows[line["arm"]] += len(line["rewards"])
        assert line["mean"] == pytest.approx(sums[line["arm"]] / rows[line["arm"]]) and line["bonus"] == 0


@pytest.mark.parametrize("more", [{"policy": "ucb", "alpha": 0.25}, *POLICIES], ids=str)
@pytest.mark.parametrize("scale", [2.0**-20, 4096.0])
def test_the_unit_of_rewards_does_not_matter(more: dict[str, Any], scale: float) -> None:
    pool, rewards = world(np.linspace(-1, 1, 15), 100, 1.0)
    scaled = {**more, "alpha": more["alpha"] * scale} if "alpha" in more else more
    one, other = Kept(), Kept()
    a = choose(pool, rewards, 500, one, probes=4, batch=20, pilot=60, **more)
    b = choose(pool, rewards * scale, 500, other, probes=4, batch=20, pilot=60, **scaled)
    assert a.index.tolist() == b.index.tolist() and [x["arm"] for x in one.pulls()] == [x["arm"] for x in other.pulls()]
    assert np.allclose(a.gain * scale, b.gain, rtol=1e-9)


@pytest.mark.parametrize("more", POLICIES, ids=str)
def test_it_stops_early_where_nothing_is_worth_it(more: dict[str, Any]) -> None:
    pool, rewards = world(np.zeros(6), 50, 0.1)
    told = choose(pool, rewards, 200, probes=25, batch=50, tau=5.0, **more)
    assert not len(told.index) and told.facts["left"] == 200
    assert told.facts["stopped"] == ("no arm can exceed tau" if more["policy"] != "successive_elimination" else told.facts["stopped"])
    everything = choose(pool, rewards, 10_000, probes=25, batch=50, tau=-5.0, **more)
    assert len(everything.index) == 300 and everything.facts["stopped"] == "every row is decided on"


@pytest.mark.parametrize("more", POLICIES, ids=str)
def test_broken_off_after_any_round_it_comes_to_the_same(more: dict[str, Any]) -> None:
    pool, rewards = world(np.linspace(-1, 1, 9), 60, 1.0, costs=True)
    whole = Kept()
    told = choose(pool, rewards, 2500, whole, probes=4, batch=20, pilot=20, parallel=2, **more)
    assert len(whole.lines) > 8
    for stop in range(len(whole.lines) + 1):
        asked: list[int] = []

        def influence(index: np.ndarray, asked: list[int] = asked) -> np.ndarray:
            asked.extend(index.tolist())
            return rewards[index]

        again = Kept(whole.lines[:stop])
        other = quad(pool, 2500, seed=1, influence=influence, state=again, cluster_key="x", probes=4, batch=20, pilot=20, parallel=2, **more)
        assert other.index.tolist() == told.index.tolist() and other.facts == told.facts and again.lines == whole.lines
        assert pool.ids[asked].tolist() == [i for lines in whole.lines[stop:] for line in lines for i in line["rows"]]
    with pytest.raises(ValueError, match="asked about other rows"):
        choose(pool, rewards, 2500, Kept(whole.lines), seed=2, probes=4, batch=20, pilot=20, parallel=2, **more)


def test_arms_of_one_round_are_asked_about_at_once() -> None:
    pool, rewards = world(np.linspace(-1, 1, 12), 60, 0.5)
    calls: list[int] = []

    def influence(index: np.ndarray) -> np.ndarray:
        calls.append(len(index))
        return rewards[index]

    trace = Kept()
    quad(pool, 240, seed=1, influence=influence, state=trace, cluster_key="x", probes=5, batch=20, pilot=30, parallel=4)
    assert calls[:4] == [30, 20, 20, 20] and calls == [sum(len(x["rows"]) for x in lines) for lines in trace.lines if any(x["rows"] for x in lines)]
    assert all(len({x["arm"] for x in lines}) == len(lines) <= 4 for lines in trace.lines)


@given(st.integers(0, 2**40), st.sampled_from(["thompson", "ucb", "discounted", "successive_elimination"]), st.integers(1, 30), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int, policy: str, batch: int, probes: int) -> None:
    pool, rewards = world([0.5, -0.5, 1.0, 0.0], [9, 30, 21, 14], 0.7, costs=True)
    order = np.random.default_rng(seed % 1000).permutation(len(pool))
    assert pool.cost is not None and pool.field is not None
    moved = Pool(pool.ids[order], cost=pool.cost[order], field=pool.field[order])
    one, other = Kept(), Kept()
    more: dict[str, Any] = {"policy": policy, "batch": batch, "probes": probes, "pilot": 15, "seed": seed}
    a, b = choose(pool, rewards, 400, one, **more), choose(moved, rewards[order], 400, other, **more)
    assert pool.ids[a.index].tolist() == moved.ids[b.index].tolist() and one.lines == other.lines


def test_half_of_the_clusters_are_noise() -> None:
    """At least nine tokens in ten from good clusters, at most one row in twenty asked about, on each of 20 seeds."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1000, 2000, 50)
        means = np.where(np.arange(50) % 2, 1.0, 0.0) + 0.1 * rng.normal(size=50)
        pool, rewards = world(means, sizes.tolist(), 2.0, seed, costs=True)
        assert pool.cost is not None
        told = choose(pool, rewards, 0.25 * pool.cost.sum(), seed=seed)
        good = arm_of(pool)[told.index] % 2 == 1
        assert pool.cost[told.index][good].sum() >= 0.9 * pool.cost[told.index].sum(), seed
        assert told.facts["scored"] <= 0.05 * len(pool) and told.facts["left"] < 30


def test_a_batch_that_stays_open_goes_by_the_mean_of_its_cluster() -> None:
    """Arms that lie where tau lies: without an end to patience, all their rows would be asked about."""
    pool, rewards = world(np.zeros(10), 400, 1.0)
    asked = {}
    for patience in (3, 100):
        trace, run = Kept(), dict.fromkeys(range(10), 0)
        told = choose(pool, rewards, 1500, trace, tau=0.0, batch=100, patience=patience, confidence=0.99)
        asked[patience] = told.facts["scored"]
        for line in trace.pulls()[10:]:
            run[line["arm"]] = run[line["arm"]] + 1 if line["decision"] == "hold" else 0
            assert run[line["arm"]] < patience
            if line["decision"] == "take" and line["low"] < 0 and len(line["rows"]) == 10:
                assert line["mean"] > 0
    assert asked[3] < 0.6 * asked[100]


def test_clusters_of_vectors_are_found_and_rewards_may_be_a_column() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)[rng.integers(0, 8, 800)]
    points = (centres + 0.05 * rng.normal(size=(800, 8))).astype(np.float32)
    rewards = np.where(centres[:, :3].any(axis=1), 1.0, -1.0) + rng.normal(size=800)
    pool = Pool(np.arange(800), points, rewards)
    told = quad(pool, 150, seed=0, k=8, batch=50, probes=5, pilot=40)
    assert centres[told.index][:, :3].sum() / 150 > 0.95 and told.facts["k"] == 8 and told.facts["scored"] < 240
    assert "names" not in told.facts and set(told.notes) == {"cluster", "pull", "reward"}


def drifting(labels: np.ndarray, turn: int, calls: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Arms below 5 are good at first, the others after so many calls: a model that is refreshed."""

    def influence(index: np.ndarray) -> np.ndarray:
        calls.append(len(index))
        good = (labels[index] < 5) == (len(calls) < turn)
        return np.where(good, 1.0, -1.0) + 0.3 * (index % 7 - 3)

    return influence


def test_evidence_that_fades_follows_a_model_that_changes() -> None:
    pool, _ = world(np.zeros(10), 800, 0.0)
    labels, late = arm_of(pool), {}
    for policy in ("ucb", "discounted"):
        shares = []
        for seed in range(4):
            trace = Kept()
            quad(pool, 4000, seed=seed, influence=drifting(labels, 220, []), state=trace, cluster_key="x", policy=policy, gamma=0.95,
                 probes=5, batch=10, pilot=0, tau=0.0, explore=0.5)
            shares.append(np.mean([line["arm"] >= 5 for line in trace.pulls()[225:300]]))
        late[policy] = float(np.mean(shares))
    assert late["discounted"] > 0.8 and late["discounted"] > late["ucb"] + 0.25, late


def test_a_cheap_number_says_where_to_begin() -> None:
    """60 arms, 6 good, and a number of every row that goes with the reward: with it, few of the bad arms are pulled at all."""
    means = np.where(np.arange(60) % 10 == 0, 3.0, 0.0)
    pool, rewards = world(means, 200, 1.0)
    assert pool.field is not None
    known = Pool(pool.ids, quality=5 + 0.1 * (means[arm_of(pool)] + np.random.default_rng(1).normal(size=len(pool))), field=pool.field)
    for policy in ("thompson", "ucb"):
        blind = choose(pool, rewards, 1000, policy=policy, tau=1.5, start="each")
        told = choose(known, rewards, 1000, policy=policy, tau=1.5, start="prior")
        assert sum(v > 0 for v in blind.facts["visits"]) == 60
        assert sum(v > 0 for v in told.facts["visits"]) <= 20 and told.facts["scored"] < blind.facts["scored"]
        assert means[arm_of(pool)[told.index]].mean() > 2.9


def test_neighbours_tell_each_other_and_the_weights_are_on_both_sums() -> None:
    """Two good directions of ten arms each: what is asked of one is known of its neighbours, undiminished."""
    rng = np.random.default_rng(0)
    angle = np.repeat(np.arange(20) * 0.05 + np.where(np.arange(20) >= 10, 1.0, 0.0), 100)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    rewards = np.where(angle < 0.75, 1.0, -1.0) + 2.0 * rng.normal(size=2000)
    pool = Pool(np.arange(2000), points)
    alone, told = (quad(pool, 400, seed=0, influence=lambda i: rewards[i], k=20, batch=20, probes=4, pilot=40, tau=0.0, radius=r)
                   for r in (0.0, 0.02))
    share = [(angle[c.index] < 0.75).mean() for c in (alone, told)]
    assert share[1] > 0.97 and share[1] >= share[0]
    means = np.array(told.facts["means"])
    assert np.abs(means).mean() > 0.5 and (means > 0).sum() in range(8, 13), "an echo of less weight is no lesser reward"


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"probes": 0}, "probes must be 1 or more, it is 0"), ({"batch": 0}, "batch must be 1"), ({"patience": 0}, "patience must be 1"), ({"parallel": 0}, "parallel must be 1"),
    ({"pilot": -1}, "pilot must be 0"), ({"explore": -1.0}, "explore must be 0"), ({"alpha": -1.0}, "alpha must be 0"),
    ({"radius": -0.1}, "radius must be 0"), ({"confidence": 1.0}, "confidence must be from 0.5"), ({"gamma": 0.0}, "gamma above 0"),
    ({"quantile": 1.5}, "quantile 0 to 1"), ({"pilot": 0}, "tau must be given"),
]


@pytest.mark.parametrize(("more", "said"), MISTAKES, ids=lambda x: str(x)[:30])
def test_what_cannot_be_is_refused(more: dict[str, Any], said: str) -> None:
    pool, rewards = world([0.0, 1.0], 10, 1.0)
    with pytest.raises(ValueError, match=said):
        choose(pool, rewards, 5, **more)


def test_rewards_that_are_none_are_refused() -> None:
    pool, rewards = world([0.0, 1.0], 10, 1.0)
    with pytest.raises(ValueError, match="20 rewards, 1 of them NaN or infinite"):
        choose(pool, np.where(np.arange(20) == 3, np.inf, rewards), 5)
    with pytest.raises(ValueError, match="for 20 rows there are 3 rewards"):
        quad(pool, 5, seed=0, influence=lambda index: np.ones(3), cluster_key="x")
    with pytest.raises(ValueError, match="give quality_key"):
        quad(pool, 5, seed=0, cluster_key="x")
    with pytest.raises(ValueError, match="the pool has no column 'x'"):
        quad(Pool(np.arange(3), quality=np.ones(3)), 2, seed=0, cluster_key="x")


def test_the_budget_goes_to_the_best_arms_not_to_the_first_above_tau() -> None:
    """100 arms, all above tau, ten of them far above: a greedy budget would be spent on whatever comes first."""
    means = np.where(np.arange(100) % 10 == 3, 3.0, 1.0)
    pool, rewards = world(means, 300, 2.0)
    told = choose(pool, rewards, 1500, tau=0.0)
    assert (means[arm_of(pool)[told.index]] > 2).mean() > 0.85 and told.facts["left"] == 0
    everything = choose(pool, rewards, 29_000, tau=0.0)
    assert everything.facts["left"] == 0, "where the budget reaches for all, all that is above tau is taken"
