"""What to keep: chains by a dynamic program over their last kept table, trees and small graphs by trying every set, prices as written."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.lake import milp, retention
from tamis.operators.lake.content import batches, bound_after, draws, rows_needed
from tamis.operators.lake.costs import Prices, latency, rebuild_cost, retain_cost
from tamis.operators.lake.retention import Problem, Retention, greedy, keep_all, retain
from tamis.operators.lake.tree import is_forest, tree_program

NONE = np.empty(0, np.int64)


def problem(keep: list[float], edges: list[tuple[int, int, float]], must: tuple[int, ...] = (), copies: int = 1) -> Problem:
    columns = list(zip(*edges, strict=True)) if edges else [(), (), ()]
    forced = np.zeros(len(keep), bool)
    forced[list(must)] = True
    return Problem(np.array(keep, float), np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], float), forced, copies)


def chain(sizes: list[float], accesses: list[float], prices: Prices) -> tuple[Problem, float]:
    """Each table within all before it, the larger the dearer to read; and the least cost, state by state."""
    size, n = np.array(sizes), len(sizes)
    keep = retain_cost(size, np.ones(n), prices)
    cost = {(u, v): float(rebuild_cost(size[[u]], size[[v]], np.zeros(1), np.array([accesses[v]]), prices)[0]) for u in range(n) for v in range(u + 1, n)}
    best = {0: float(keep[0])}  # the last kept table -> the least cost so far
    for v in range(1, n):
        following = {last: total + cost[last, v] for last, total in best.items()}
        following[v] = min(best.values()) + float(keep[v])
        best = following
    return problem(keep.tolist(), [(u, v, c) for (u, v), c in cost.items()]), min(best.values())


@settings(max_examples=80)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=9, unique=True), st.data())
def test_a_chain_with_all_its_edges_costs_what_its_dynamic_program_finds(sizes: list[int], data: st.DataObject) -> None:
    accesses = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 20.0]), min_size=len(sizes), max_size=len(sizes)))
    prices = data.draw(st.sampled_from([Prices(), Prices(storage=1.0), Prices(read=0.1, write=0.0)]))
    asked, least = chain([s * 1e9 for s in sorted(sizes, reverse=True)], accesses, prices)
    chosen = retain(asked)
    assert chosen.cost == pytest.approx(least) and chosen.gap < 1e-6


def all_sets(keep: np.ndarray, other: np.ndarray, parent: np.ndarray, child: np.ndarray, rebuild: np.ndarray) -> float:
    best = math.inf
    for kept in itertools.product([True, False], repeat=len(keep)):
        cost = 0.0
        for v in range(len(keep)):
            ways = [other[v], *(rebuild[e] for e in range(len(child)) if child[e] == v and kept[parent[e]])]
            cost += keep[v] if kept[v] else min(ways)
        best = min(best, cost)
    return best


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(-1, 8), st.integers(0, 20), st.integers(0, 20), st.none() | st.integers(0, 20)), min_size=1, max_size=8), st.permutations(range(8)))
def test_the_tree_program_is_as_good_as_trying_every_set(nodes: list[Any], names: list[int]) -> None:
    """Nodes may be numbered in any order, so that a parent stands behind its child."""
    n = len(nodes)
    name = [x for x in names if x < n]
    edges = [(name[above % v], name[v], float(price)) for v, (above, _, price, _) in enumerate(nodes) if above >= 0 and v]
    asked = problem([0.0] * n, edges)
    keep, other = np.zeros(n), np.full(n, np.inf)
    for v, (_, price, _, aside) in enumerate(nodes):
        keep[name[v]], other[name[v]] = price, math.inf if aside is None else aside
    assert is_forest(n, asked.parent, asked.child)
    kept, cost = tree_program(keep, other, asked.parent, asked.child, asked.rebuild)
    assert cost == pytest.approx(all_sets(keep, other, asked.parent, asked.child, asked.rebuild))
    roots = set(range(n)) - set(asked.child.tolist())
    assert all(kept[r] or np.isfinite(other[r]) for r in roots), "nothing to rebuild it from"


@given(st.integers(1, 7), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8, unique=True))
def test_a_forest_has_one_parent_each_and_no_circle(n: int, pairs: list[tuple[int, int]]) -> None:
    pairs = [(u % n, v % n) for u, v in pairs]
    above = {}
    for u, v in pairs:
        above.setdefault(v, []).append(u)
    plain = all(len(us) == 1 for us in above.values())
    for v in range(n) if plain else ():
        seen = [v]
        while seen[-1] in above and len(seen) <= n:
            seen.append(above[seen[-1]][0])
        plain &= len(seen) <= n
    parent, child = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    assert is_forest(n, parent, child) == plain


EDGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 12)), max_size=16, unique_by=lambda e: e[:2])


@settings(max_examples=120)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=7), EDGES, st.sets(st.integers(0, 6), max_size=2), st.integers(1, 3))
def test_every_plan_can_be_carried_out_and_none_is_cheaper(keep: list[int], edges: list[Any], must: set[int], copies: int) -> None:
    n = len(keep)
    edges = [(u, v, c) for u, v, c in edges if u < n and v < n and u != v]
    asked = problem([float(k) for k in keep], edges, tuple(m for m in must if m < n), copies)
    best = math.inf
    for kept in itertools.product([True, False], repeat=n):
        ways = [[c for u, v, c in edges if v == t and kept[u]] for t in range(n)]
        if all(kept[t] or (t not in must and len(ways[t]) >= copies) for t in range(n)):
            best = min(best, sum(keep[t] if kept[t] else min(ways[t]) for t in range(n)))
    chosen, simple = retain(asked), greedy(asked)
    assert chosen.cost == pytest.approx(best) and chosen.bound <= chosen.cost
    assert best - 1e-9 <= simple.cost <= keep_all(asked) == sum(keep)
    for made in (chosen, simple):
        assert all(made.kept[t] for t in must if t < n) and ((made.edge >= 0) == ~made.kept).all()
        assert made.cost == pytest.approx(asked.keep[made.kept].sum() + asked.rebuild[made.edge[made.edge >= 0]].sum())
        for t in np.flatnonzero(~made.kept).tolist():
            assert asked.child[made.edge[t]] == t and made.kept[asked.parent[made.edge[t]]]
            kept_ways = [c for u, v, c in edges if v == t and made.kept[u]]
            assert len(kept_ways) >= copies and (made is simple or asked.rebuild[made.edge[t]] == min(kept_ways))


def test_how_each_part_was_solved_is_told() -> None:
    star = [(0, 1, 1.0), (0, 2, 1.0)]  # 0 surely stays: 1 and 2 are each alone
    line = [(3, 4, 1.0), (4, 5, 1.0), (3, 5, 3.0)]
    ring = [(6, 7, 1.0), (7, 6, 1.0), (7, 8, 2.0), (8, 7, 2.0)]
    made = retain(problem([9, 5, 5, 9, 9, 9, 5, 5, 5, 3], [*star, *line, *ring]))
    assert made.solved == {"fixed": 3, "alone": 2, "tree": 1, "integer": 1}
    assert made.kept.tolist() == [True, False, False, True, False, False, False, True, False, True]
    assert made.cost == 9 + 1 + 1 + 9 + 1 + 3 + 5 + 1 + 2 + 3


def test_a_program_out_of_time_keeps_all_and_owns_that_it_may_be_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.optimize

    class Nothing:
        x = None

    monkeypatch.setattr(scipy.optimize, "milp", lambda *a, **k: Nothing())
    kept, bound = milp.solved(np.array([1.0, 2.0]), np.full(2, np.inf), np.array([0, 1]), np.array([1, 0]), np.array([0.1, 0.1]), 1, np.zeros(2, np.int64), 0.0)
    assert kept.all() and bound == 0.0
    made = retain(problem([5.0, 5.0, 1.0], [(0, 1, 1.0), (1, 0, 1.0)]))
    assert made.cost == 11.0 and made.bound == 1.0 and made.gap == pytest.approx(10 / 11)


def test_a_gap_is_a_share_of_the_cost() -> None:
    def told(cost: float, bound: float) -> float:
        return Retention(np.ones(1, bool), NONE, cost, bound).gap

    assert (told(10.0, 8.0), told(0.0, 0.0), told(1.0, 1.0 + 1e-12)) == (pytest.approx(0.2), 0.0, 0.0)


def test_tiny_prices_do_not_drown_in_the_solvers_tolerances() -> None:
    ring = [(0, 1, 2e-13), (1, 0, 1e-13), (1, 2, 5e-14), (2, 1, 5e-14)]
    made = retain(problem([1e-12, 1.1e-12, 1.2e-12], ring))
    assert made.cost == pytest.approx(1.1e-12 + 1e-13 + 5e-14, rel=1e-9) and made.kept.tolist() == [False, True, False]


@given(*[st.floats(0, 100, allow_subnormal=False)] * 4, *[st.integers(1, 10**12)] * 2, *[st.floats(0, 1000, allow_subnormal=False)] * 2)
def test_costs_are_linear_in_prices_and_bytes(storage: float, maintenance: float, read: float, write: float, big: int, small: int, runs: float, accesses: float) -> None:
    prices = Prices(storage, maintenance, read, write, read_speed=2e8, write_speed=1e8, start=3.0)
    parent, child = np.array([float(big)]), np.array([float(small)])
    assert retain_cost(child, np.array([runs]), prices)[0] == pytest.approx(storage * small / 1e9 + maintenance * runs * small / 1e9)
    expected = accesses * (read * big / 1e9 + write * small / 1e9)
    assert rebuild_cost(parent, child, np.zeros(1), np.array([accesses]), prices)[0] == pytest.approx(expected)
    assert rebuild_cost(parent, child, child, np.array([accesses]), prices)[0] == pytest.approx(expected + storage * small / 1e9)
    assert latency(parent, child, prices)[0] == pytest.approx(3 + big / 2e8 + small / 1e8)


@given(st.floats(1e-4, 0.99), st.floats(1e-4, 0.99))
def test_as_many_draws_as_the_bound_asks_and_not_one_more(epsilon: float, delta: float) -> None:
    t = rows_needed(epsilon, delta)
    assert (1 - epsilon) ** t <= delta * (1 + 1e-9) and (t == 1 or (1 - epsilon) ** (t - 1) > delta * (1 - 1e-9))
    assert batches(t)[-1] == t and all(b == min(t, 8 * 2**i) for i, b in enumerate(batches(t)))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.0), (-0.1, 0.5), (0.5, 2.0)])
def test_shares_that_bound_nothing_are_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        rows_needed(epsilon, delta)


def test_a_bound_that_holds_whenever_one_stops_spends_delta_only_once() -> None:
    """A table that misses a little more than `bound_after` says would pass unseen at that batch with no more than its part of delta."""
    spent = 0.0
    for batch, t in enumerate(batches(4000), 1):
        share = bound_after(t, batch, 0.05)
        spent += (1 - share) ** t
        assert 0 < share < 1
    assert spent == pytest.approx(0.05 * (1 - 1 / (len(batches(4000)) + 1))) and bound_after(0, 3, 0.05) == 1.0


def test_draws_are_independent_of_neighbours_and_reach_every_row() -> None:
    for rows in (1, 2, 3, 1000):
        drawn = draws("t", rows, 20 * rows, 7)
        assert drawn.min() >= 0 and drawn.max() < rows and (rows > 3 or len(set(drawn.tolist())) == rows)
    pairs = draws("t", 2, 4001, 0)
    same = (pairs[1:] == pairs[:-1]).mean()
    assert 0.46 < same < 0.54 and draws("t", 10, 0, 0).tolist() == []
    assert retention.keep_all(problem([1.0, 2.5], [])) == 3.5
