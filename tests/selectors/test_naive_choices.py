"""Greedy selectors with costs against their definitions in plain loops: k-center, facility location, QDIT, DEITA, D4, lists."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.covering import facility_location, k_center, qdit
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.cover import dense, lazy_greedy, links, stochastic_greedy, worth
from tamis.selectors.parts.draw import START, uniform
from tamis.selectors.ranking import by_quality, d4, deita


def pool_of(n: int, seed: int, cost: bool, d: int = 5) -> Pool:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(4, d))[rng.integers(0, 4, n)] + 0.6 * rng.normal(size=(n, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    price = rng.integers(0, 9, n).astype(float) if cost else None
    return Pool(rng.permutation(n) * 7 - 30, points.astype(np.float32), rng.random(n), price)


def by_id(pool: Pool) -> list[int]:
    return sorted(range(len(pool)), key=lambda i: pool.ids[i])


def price_of(pool: Pool) -> list[float]:
    return [1.0] * len(pool) if pool.cost is None else pool.cost.tolist()


SHAPES = [(1, 0.0), (1, 1.0), (2, 1.0), (40, 0.0), (40, 13.0), (40, 25.5), (40, 1000.0)]


@pytest.mark.parametrize(("n", "budget"), SHAPES)
@pytest.mark.parametrize("cost", [False, True])
def test_k_center_takes_the_farthest_that_fits(n: int, budget: float, cost: bool) -> None:
    for seed in range(3):
        pool = pool_of(n, seed, cost)
        price, left, picks, gains = price_of(pool), budget if cost else float(int(min(budget, n))), list[int](), list[float]()
        away, chance = dict.fromkeys(range(n), 2.0), uniform(5, pool.ids, stream=START)
        while fits := [i for i in by_id(pool) if i not in picks and price[i] <= left]:
            at = max(fits, key=away.__getitem__) if picks else min(fits, key=chance.__getitem__)
            gains.append(away[at])
            picks.append(at)
            left -= price[at]
            away = {i: min(a, max(0.0, float(1 - pool.embedding[i] @ pool.embedding[at]))) for i, a in away.items()} | {at: 0.0}
        chosen = k_center(pool, budget, seed=5)
        assert chosen.index.tolist() == picks and np.allclose(chosen.gain, gains, atol=1e-6)
        assert np.allclose(chosen.notes["distance"], [away[i] for i in range(n)], atol=1e-6)
        assert chosen.facts["radius"] == pytest.approx(max(away.values()), abs=1e-6)
        assert (np.diff(chosen.gain) <= 1e-6).all() or cost, "in rows, each gap is no larger than the one before"


def naive_cover(similarity: np.ndarray, budget: float, price: list[float], bonus: np.ndarray, scale: float) -> tuple[list[int], list[float]]:
    """Always the row of the largest gain per cost among those that fit, ties to the lower; what is free comes first."""
    n, best, picks, gains, left = len(similarity), np.zeros(len(similarity), np.float32), list[int](), list[float](), budget
    while True:
        fits = [j for j in range(n) if j not in picks and price[j] <= left]
        if not fits:
            return picks, gains
        worths = {}
        for j in fits:
            total = 0.0
            for i in range(n):
                total += max(float(np.float32(similarity[i, j]) - best[i]), 0.0)
            worths[j] = scale * total + bonus[j]
        at = max(fits, key=lambda j: (worths[j] / price[j] if price[j] else np.inf, -j))
        picks.append(at)
        gains.append(worths[at])
        left -= price[at]
        best = np.maximum(best, similarity[:, at].astype(np.float32))


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(0, 10**6), st.integers(0, 30), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_lazy_greedy_with_costs_is_naive_greedy(n: int, seed: int, budget: int, scale: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 3, (n, n)) / 2 if ties else rng.random((n, n))
    price, bonus = rng.integers(0, 6, n).astype(float), rng.integers(0, 4, n) / 2
    picks, gains = lazy_greedy(dense(similarity), budget, cost=price, bonus=bonus, scale=scale)
    wanted = naive_cover(similarity, budget, price.tolist(), bonus, scale)
    assert picks.tolist() == wanted[0] and np.allclose(gains, wanted[1])


@pytest.mark.parametrize("cost", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_selectors_by_cover_are_naive_greedy_on_the_graph_of_neighbours(cost: bool, alpha: float) -> None:
    pool, budget = pool_of(30, 4, cost), 17.0
    order = by_id(pool)
    points = pool.embedding[order]
    graph = links(points, 6)
    matrix = np.zeros((30, 30), np.float32)
    for j in range(30):
        at = slice(graph.ends[j], graph.ends[j + 1])
        matrix[graph.row[at], j] = graph.similarity[at]
    quality = pool.quality[order]
    bonus = alpha * (quality - quality.min()) / (quality.max() - quality.min())
    scale = (1 - alpha) / float(matrix.sum(axis=0, dtype=np.float32).max())
    price = [price_of(pool)[i] for i in order]
    picks, _ = naive_cover(matrix, budget, price, bonus, scale)
    chosen = qdit(pool, budget, seed=0, alpha=alpha, neighbours=6)
    assert chosen.index.tolist() == [order[i] for i in picks]
    assert chosen.facts["objective"] == pytest.approx(matrix[:, picks].max(axis=1).sum(), rel=1e-6)
    assert np.allclose(chosen.notes["served"][order], matrix[:, picks].max(axis=1))
    if not alpha:
        plain = facility_location(pool, budget, seed=0, neighbours=6)
        assert plain.index.tolist() == chosen.index.tolist() and plain.gain.sum() == pytest.approx(plain.facts["objective"], rel=1e-6)


def test_a_stochastic_draw_that_sees_every_row_each_turn_is_lazy_greedy() -> None:
    graph = links(pool_of(50, 2, False).embedding, 10)
    lazy = lazy_greedy(graph, 9)
    everyone = stochastic_greedy(graph, 9, np.arange(50), 3, epsilon=float(np.exp(-18)))  # 50 / 9 x 18: each twice
    assert everyone[0].tolist() == lazy[0].tolist() and np.allclose(everyone[1], lazy[1])


def test_a_stochastic_draw_depends_on_ids_and_seed_alone() -> None:
    pool, order = pool_of(90, 3, False), np.random.default_rng(0).permutation(90)
    moved = Pool(pool.ids[order], pool.embedding[order])
    a, b, c = (facility_location(p, 20, seed=s, greedy="stochastic") for p, s in ((pool, 1), (moved, 1), (pool, 2)))
    assert pool.ids[a.index].tolist() == moved.ids[b.index].tolist() and sorted(a.index.tolist()) != sorted(c.index.tolist())
    graph = links(pool.embedding[by_id(pool)], 64)
    assert len(a.index) == 20 and a.facts["objective"] == pytest.approx(worth(graph, np.searchsorted(np.sort(pool.ids), pool.ids[a.index])))


@pytest.mark.parametrize("threshold", [0.2, 0.7])
@pytest.mark.parametrize("budget", [0.0, 11.0, 60.0])
def test_deita_with_costs_passes_over_what_is_alike_or_too_dear(threshold: float, budget: float) -> None:
    for seed in range(3):
        pool = pool_of(700, seed, True, d=4)
        left, picks, alike, looked = budget, list[int](), 0, dict[int, float]()
        order = sorted(range(700), key=lambda i: (-pool.quality[i], pool.ids[i]))
        for row in order:
            near = max((float(pool.embedding[row] @ pool.embedding[p]) for p in picks), default=-1.0)
            looked[row] = near
            if near > threshold:
                alike += 1
            elif pool.cost[row] <= left:
                picks.append(row)
                left -= pool.cost[row]
        chosen = deita(pool, budget, seed=0, threshold=threshold)
        assert chosen.index.tolist() == picks and chosen.facts["left"] == left
        assert chosen.gain.tolist() == pool.quality[picks].tolist()
        seen = ~np.isnan(chosen.notes["nearest"])
        assert np.allclose(chosen.notes["nearest"][seen], [looked[i] for i in np.flatnonzero(seen)], atol=1e-5)
        assert chosen.facts["alike"] <= alike and seen[picks].all()


@pytest.mark.parametrize("cost", [False, True])
@pytest.mark.parametrize(("share", "budget"), [(0.5, 10), (0.75, 30), (1.0, 10), (0.25, 70)])
def test_d4_is_its_two_steps(cost: bool, share: float, budget: float) -> None:
    """SemDeDup in plain loops, then the rows farthest from the centres of a clustering of what stays."""
    pool = pool_of(80, 6, cost)
    price, points = price_of(pool), pool.embedding
    first = kmeans(points, 9, seed=2, ids=pool.ids)
    alike = []
    for i in range(80):
        before = [j for j in range(80) if first.labels[j] == first.labels[i] and
                  (-first.distance[j], pool.ids[j]) < (-first.distance[i], pool.ids[i])]
        alike.append(max((float(points[i] @ points[j]) for j in before), default=-1.0))
    chosen = d4(pool, budget, seed=2, dedup_ratio=share, k=9)
    assert np.allclose(chosen.notes["alike"], alike, atol=1e-5)
    wanted, stay = max(Fraction(share) * Fraction(sum(price)), Fraction(min(budget, sum(price)))), list[int]()
    for i in sorted(range(80), key=lambda i: (chosen.notes["alike"][i], pool.ids[i])):
        if sum(price[j] for j in stay) < wanted:
            stay.append(i)
    assert np.flatnonzero(chosen.notes["cluster"] >= 0).tolist() == sorted(stay) and chosen.facts["deduplicated"] == 80 - len(stay)
    assert np.isnan(chosen.notes["distance"][chosen.notes["cluster"] < 0]).all()
    left, picks = budget, list[int]()
    for i in sorted(stay, key=lambda i: (-chosen.notes["distance"][i], pool.ids[i])):
        if price[i] <= left:
            picks.append(i)
            left -= price[i]
    assert chosen.index.tolist() == picks and chosen.facts["left"] == pytest.approx(left)


@pytest.mark.parametrize("order", ["largest", "smallest", "middle"])
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=15), st.integers(0, 30))
def test_lists_are_walked_in_their_order_with_what_still_fits(order: Any, rows: list[tuple[int, int]], budget: int) -> None:
    quality, cost = (np.array(column, float) for column in zip(*rows, strict=True))
    ids = np.random.default_rng(len(rows)).permutation(len(rows))
    upward = sorted(range(len(rows)), key=lambda i: (quality[i], ids[i]))
    middle = (len(rows) - 1) / 2
    walk = {"smallest": upward, "largest": sorted(upward, key=lambda i: -quality[i]),
            "middle": [upward[p] for p in sorted(range(len(rows)), key=lambda p: abs(p - middle))]}[order]
    left, picks = float(budget), []
    for i in walk:
        if cost[i] <= left:
            picks.append(i)
            left -= cost[i]
    chosen = by_quality(Pool(ids, quality=quality, cost=cost), budget, seed=0, order=order)
    assert chosen.index.tolist() == picks and chosen.facts["left"] == left
    assert [walk[r - 1] for r in chosen.notes["rank"]] == list(range(len(rows)))
