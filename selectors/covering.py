"""Selectors that want every row to have a pick near it: k-center, facility location, and QDIT, which adds quality."""

from typing import Literal

import numpy as np

from .base import Pool, Selection, selector
from .parts.cover import Links, lazy_greedy, links, stochastic_greedy, worth
from .parts.draw import START, uniform
from .parts.given import by_id, check_budget, check_ids, ended, rows_for, vectors_of
from .parts.lloyd import as_points
from .parts.neighbours import Search


@selector("k_center_selector", needs=("embedding",))
def k_center(pool: Pool, budget: float, *, seed: int) -> Selection:
    """Rows picked farthest first: each next one is the row farthest from all picks so far, so the largest gap shrinks.

    The first is the row of the smallest hash. Budget in rows: exactly `min(budget, n)`; with costs, the farthest that
    still fits. At most twice the smallest largest gap possible (rows). Ties: the lower id.

    `gain`: the distance (1 - cosine) to the picks before it; the first 2.  Notes: `distance` to the nearest pick.
    Facts: `left`, `radius` (the largest distance).  Cost: O(n m d).  Source: Gonzalez 1985; DivCo's baseline.
    """
    order, points = _ordered(pool, budget)
    price = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)[order]
    away, left = np.full(len(pool), 2.0, np.float32), float(rows_for(pool, budget) if pool.cost is None else budget)
    taken = np.zeros(len(pool), bool)
    picks: list[int] = []
    gains: list[float] = []
    chance = uniform(seed, pool.ids[order], stream=START)
    while True:
        fits = ~taken & (price <= left)
        if not fits.any():
            break
        at = int(np.where(fits, away, -1).argmax()) if picks else int(np.where(fits, chance, 2).argmin())
        picks.append(at)
        gains.append(float(away[at]))
        taken[at], left = True, left - price[at]
        np.minimum(away, np.maximum(1 - points @ points[at], 0), out=away)
        away[at] = 0
    distance = np.empty(len(pool), np.float32)
    distance[order] = away
    facts = {"radius": float(away.max(initial=0))}
    return ended(pool, budget, order[np.array(picks, np.int64)], np.array(gains), {"distance": distance}, facts)


@selector("facility_location_selector", needs=("embedding",))
def facility_location(
    pool: Pool, budget: float, *, seed: int, neighbours: int = 64, greedy: Literal["lazy", "stochastic"] = "lazy",
    epsilon: float = 0.1, search: Search = "auto", recall: float = 0.95,
) -> Selection:
    """Rows that together stand for all rows best: the sum over rows of the cosine to the nearest pick, greedily.

    Cosines count between a row and its `neighbours` nearest (either way round), below 0 never. lazy: what naive greedy
    picks, at least 1 - 1/e of the best (rows); with costs, by gain per cost. stochastic: each pick is the best of
    n / m x ln(1 / epsilon) rows; budgets in rows only.

    `search`: how the neighbours are found: exact, by a graph (hnsw) or by cells (ivf), these two with as much effort as finds
    the share `recall` of the true ones, measured on 500 rows; auto: exact up to 100,000 rows of 384, hnsw above.

    `gain`: what the pick added.  Notes: `served`, each row's cosine to its nearest pick (0: none is a neighbour).
    Facts: `left`, `objective`, `search`, `recall` as measured.  Cost: that of the neighbours, then O(n neighbours).
    Source: Cornuejols et al. 1977; SPECS 9.5.
    """
    order, points = _ordered(pool, budget)
    graph = links(points, neighbours, search, recall)
    if greedy == "stochastic":
        if pool.cost is not None:
            raise ValueError("stochastic greedy takes budgets in rows; use greedy: lazy for tokens")
        picks, gains = stochastic_greedy(graph, rows_for(pool, budget), pool.ids[order], seed, epsilon=epsilon)
    else:
        picks, gains = lazy_greedy(graph, budget, cost=None if pool.cost is None else pool.cost[order])
    return _covering(pool, budget, order, graph, picks, gains)


@selector("qdit_selector", needs=("embedding",))
def qdit(
    pool: Pool, budget: float, *, seed: int, alpha: float = 0.7, neighbours: int = 64, search: Search = "auto",
    recall: float = 0.95,
) -> Selection:
    """Rows by `(1 - alpha) x facility location + alpha x quality`, greedily.

    Qualities are scaled to 0..1 over the pool, gains in facility location by the largest of a single row, so alpha
    weighs like with like: 0 is facility location, 1 the best rows alone. Without quality: facility location.
    `search`, `recall`: see `facility_location_selector`.

    `gain`: what the pick added to the sum.  Notes, facts and cost: those of `facility_location_selector`.
    Source: Bukharin & Zhao 2023 (Data Diversity Matters for Robust Instruction Tuning).
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be 0 to 1")
    order, points = _ordered(pool, budget)
    graph = links(points, neighbours, search, recall)
    bonus, share = np.zeros(len(pool)), 0.0
    if pool.quality is not None and len(pool):
        quality, share = np.asarray(pool.quality, np.float64)[order], alpha
        if not np.isfinite(quality).all():
            raise ValueError(f"{int((~np.isfinite(quality)).sum())} of {len(pool)} qualities are NaN or infinite")
        low, high = quality.min(), quality.max()
        bonus = share * (quality - low) / (high - low) if high > low else bonus
    largest = float(np.add.reduceat(graph.similarity, graph.ends[:-1]).max()) if len(pool) else 1.0  # each row has itself at least
    cost = None if pool.cost is None else pool.cost[order]
    picks, gains = lazy_greedy(graph, budget, cost=cost, bonus=bonus, scale=(1 - share) / largest)
    return _covering(pool, budget, order, graph, picks, gains)


def _ordered(pool: Pool, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows by id, and their unit vectors in that order: ties and neighbours then do not depend on how the rows lie."""
    check_budget(pool, budget)
    check_ids(pool)
    order = by_id(pool)
    return order, as_points(vectors_of(pool)[order], True)


def _covering(
    pool: Pool, budget: float, order: np.ndarray, graph: Links, picks: np.ndarray, gains: np.ndarray,
) -> Selection:
    if pool.cost is None:  # a budget of 10.5 rows is one of 10
        picks, gains = picks[: rows_for(pool, budget)], gains[: rows_for(pool, budget)]
    best = np.zeros(len(pool), np.float32)
    for j in picks:
        at = slice(graph.ends[j], graph.ends[j + 1])
        best[graph.row[at]] = np.maximum(best[graph.row[at]], graph.similarity[at])
    served = np.empty(len(pool), np.float32)
    served[order] = best
    facts = {"objective": worth(graph, picks), "search": graph.search, "recall": graph.recall}
    return ended(pool, budget, order[picks], gains, {"served": served}, facts)
