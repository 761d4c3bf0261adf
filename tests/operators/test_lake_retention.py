"""OPT-RET against exhaustive search; the tree program against both; promises that every plan keeps."""

import itertools

import numpy as np
import pytest

from tamis.operators.lake.costs import Prices, latency, rebuild_cost, retain_cost
from tamis.operators.lake.milp import solved
from tamis.operators.lake.retention import Problem, greedy, keep_all, retain
from tamis.operators.lake.tree import is_forest, tree_program


def random_problem(seed: int, most: int = 10, copies: int = 1, cycles: bool = True) -> Problem:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most + 1))
    pairs = [(u, v) for u in range(n) for v in range(n) if u != v and (cycles or u < v)]
    edges = [p for p in pairs if rng.random() < 0.35]
    parent, child = (np.array([e[i] for e in edges], np.int64) for i in (0, 1))
    return Problem(rng.integers(1, 30, n).astype(float), parent, child, rng.integers(1, 30, len(edges)).astype(float),
                   rng.random(n) < 0.1, copies)


def exhaustive(p: Problem) -> float:
    """The least cost over all sets of kept tables."""
    n = len(p.keep)
    kept = np.array(list(itertools.product([True, False], repeat=n)))
    cost = np.where((p.must & ~kept).any(axis=1), np.inf, (kept * p.keep).sum(axis=1))
    for v in range(n):
        into = np.flatnonzero(p.child == v)
        there = kept[:, p.parent[into]]
        least = np.where(there, p.rebuild[into], np.inf).min(axis=1, initial=np.inf)
        cost += np.where(kept[:, v], 0.0, np.where(there.sum(axis=1) >= p.copies, least, np.inf))
    return float(cost.min())


def check(p: Problem, chosen: object) -> None:
    kept, edge = chosen.kept, chosen.edge  # type: ignore[attr-defined]
    assert not (p.must & ~kept).any()
    for v in np.flatnonzero(~kept):
        e = edge[v]
        assert p.child[e] == v and kept[p.parent[e]]
        assert kept[p.parent[p.child == v]].sum() >= p.copies
    assert (edge[kept] == -1).all()


@pytest.mark.parametrize("copies", [1, 2])
def test_the_plan_costs_what_exhaustive_search_finds(copies: int) -> None:
    for seed in range(150):
        p = random_problem(seed, most=12, copies=copies, cycles=seed % 2 == 0)
        chosen = retain(p)
        check(p, chosen)
        assert chosen.cost == pytest.approx(exhaustive(p)), seed
        assert chosen.bound <= chosen.cost + 1e-9 and chosen.gap < 1e-6
        simple = greedy(p)
        check(p, simple)
        assert chosen.cost <= simple.cost + 1e-9 <= keep_all(p) + 1e-6


def test_the_integer_program_alone_is_right_too() -> None:
    for seed in range(40):
        p = random_problem(1000 + seed, most=8)
        n = len(p.keep)
        free = Problem(p.keep, p.parent, p.child, p.rebuild, np.zeros(n, bool))
        kept, bound = solved(p.keep, np.full(n, np.inf), p.parent, p.child, p.rebuild, 1, np.zeros(n, np.int64), 10.0)
        assert bound == pytest.approx(exhaustive(free))
        assert kept.any()


def test_the_tree_program_equals_the_integer_program_on_forests() -> None:
    for seed in range(120):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 11))
        child = np.array([v for v in range(1, n) if rng.random() < 0.8], np.int64)
        parent = np.array([rng.integers(0, v) for v in child], np.int64)
        keep, rebuild = rng.integers(1, 30, n).astype(float), rng.integers(1, 30, len(child)).astype(float)
        other = np.where(rng.random(n) < 0.3, rng.integers(1, 30, n), np.inf)
        assert is_forest(n, parent, child)
        kept, cost = tree_program(keep, other, parent, child, rebuild)
        _, bound = solved(keep, other, parent, child, rebuild, 1, np.zeros(n, np.int64), 10.0)
        assert cost == pytest.approx(bound), seed
        told = keep[kept].sum() + sum(
            min([other[v], *(k for u, c, k in zip(parent, child, rebuild, strict=True) if c == v and kept[u])])
            for v in np.flatnonzero(~kept))
        assert told == pytest.approx(cost)


def test_a_circle_is_no_forest() -> None:
    assert not is_forest(3, np.array([0, 1, 2]), np.array([1, 2, 0]))
    assert not is_forest(3, np.array([0, 1]), np.array([2, 2]))
    assert is_forest(1, np.empty(0, np.int64), np.empty(0, np.int64))


@pytest.mark.parametrize("equal", [2, 3, 6])
def test_of_equal_tables_all_but_one_go(equal: int) -> None:
    pairs = [(u, v) for u in range(equal) for v in range(equal) if u != v]
    p = Problem(np.full(equal, 5.0), *(np.array(c) for c in zip(*pairs, strict=True)), np.full(len(pairs), 1.0), np.zeros(equal, bool))
    chosen = retain(p)
    assert chosen.kept.sum() == 1 and chosen.cost == 5 + (equal - 1)
    two = retain(Problem(p.keep, p.parent, p.child, p.rebuild, p.must, copies=2))
    assert two.kept.sum() == min(2, equal)


def test_a_chain_may_skip_its_middle() -> None:
    # 0 holds 1 holds 2, with the edge that follows; rebuilding 2 from 1 would be cheap, but keeping 1 is dear
    p = Problem(np.array([10.0, 9.0, 5.0]), np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([2.0, 1.0, 3.0]), np.zeros(3, bool))
    chosen = retain(p)
    assert chosen.kept.tolist() == [True, False, False] and chosen.cost == 15


def test_nothing_to_choose_from() -> None:
    p = Problem(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, bool))
    assert retain(p).cost == 0 and retain(p).gap == 0


def test_costs_are_the_written_formulas() -> None:
    prices = Prices(storage=2, maintenance=3, read=5, write=7, read_speed=1e9, write_speed=5e8, start=1)
    size, read = np.array([1e9]), np.array([2e9])
    assert retain_cost(size, np.array([4.0]), prices)[0] == 2 + 3 * 4
    assert rebuild_cost(read, size, np.array([5e8]), np.array([6.0]), prices)[0] == 6 * (5 * 2 + 7 * 1) + 2 * 0.5
    assert latency(read, size, prices)[0] == 1 + 2 + 2
