"""Baselines that walk down one list: by a number (length, quality, perplexity), DEITA, D4, DSIR."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .base import Pool, Selection, selector
from .parts.cluster import default_k, kmeans
from .parts.draw import gumbel_top
from .parts.given import along, by_id, check_budget, check_ids, ended, qualities_of, rows_for, vectors_of
from .parts.hashed import log_ratio, ngram_counts
from .parts.lloyd import as_points


@selector("quality_selector", needs=("quality",))
def by_quality(
    pool: Pool, budget: float, *, seed: int, order: Literal["largest", "smallest", "middle"] = "largest",
) -> Selection:
    """Rows with the largest numbers in `quality_key`, the smallest, or those in the middle of the ranking.

    With a text length this is the length baseline, with a perplexity and `middle` the perplexity mid-range: the
    quantiles around one half, as many below as above. Ties: the lower id.

    `gain`: the number.  Notes: `rank`, 1 for the row picked first, all rows.  Facts: `left`.
    Source: Marion et al. 2023 (mid-range perplexity); Zhao et al. 2024 (length).
    """
    check_budget(pool, budget)
    check_ids(pool)
    quality = qualities_of(pool)
    upward = np.lexsort((pool.ids, quality))
    if order == "middle":
        place = np.abs(np.arange(len(pool)) - (len(pool) - 1) / 2)
        walk = upward[np.argsort(place, kind="stable")]
    else:
        walk = np.lexsort((pool.ids, -quality)) if order == "largest" else upward
    return _listed(pool, budget, walk, quality)


@selector("deita_selector", needs=("embedding", "quality"))
def deita(pool: Pool, budget: float, *, seed: int, threshold: float = 0.9) -> Selection:
    """The best rows by quality that are not alike: a row is passed over where its cosine to a better pick is above `threshold`.

    Fewer rows than the budget where no more are unlike: `left` tells. Quality: DEITA's is complexity x quality of its
    scorers; any column serves. Ties: the lower id. (The released code calls the cosine a distance; the rule is the same.)

    `gain`: the quality.  Notes: `nearest`, the cosine to the nearest pick that was there when the row's turn came, NaN
    for rows that were not looked at any more.  Facts: `left`, `alike` (rows passed over).  Cost: O(n m d) at most.
    Source: Liu et al. 2024 (DEITA), algorithm 1.
    """
    check_budget(pool, budget)
    check_ids(pool)
    quality, order = qualities_of(pool), np.lexsort((pool.ids, -qualities_of(pool)))
    points = as_points(vectors_of(pool), True)
    price = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)
    left = float(rows_for(pool, budget) if pool.cost is None else budget)
    picked, nearest, alike = np.empty(len(pool), np.int64), np.full(len(pool), np.nan), 0
    count = 0
    for start in range(0, len(pool), 512):
        rows = order[start : start + 512]
        if not (price[order[start:]] <= left).any():
            break
        best = (points[rows] @ points[picked[:count]].T).max(axis=1, initial=-1.0)
        among = points[rows] @ points[rows].T
        for i, row in enumerate(rows):
            nearest[row] = best[i]
            if best[i] > threshold:
                alike += 1
            elif price[row] <= left:
                picked[count], left, count = row, left - price[row], count + 1
                np.maximum(best, among[i], out=best)
    return ended(pool, budget, picked[:count], quality[picked[:count]], {"nearest": nearest}, {"alike": alike})


@selector("d4_selector", needs=("embedding",))
def d4(pool: Pool, budget: float, *, seed: int, dedup_ratio: float = 0.75, k: int | None = None) -> Selection:
    """Semantic duplicates out first, then the most prototypical rows: what is picked lies far from its cluster's centre.

    SemDeDup: within each k-means cluster, farthest from the centre first, a row's likeness is its largest cosine to a
    row before it; the share `dedup_ratio` of least likeness stays (more, where the budget wants more). What stays is
    clustered anew, and the rows farthest from their new centre are picked. `k` None: the root of the rows.

    `gain`: the distance (1 - cosine) to the new centre.  Notes: `cluster` of the second clustering (-1: left as a
    duplicate), `distance`, `alike` (the cosine of the first step).  Facts: `left`, `deduplicated`, k.
    Source: Tirumala et al. 2023 (D4); Abbas et al. 2023 (SemDeDup).
    """
    check_budget(pool, budget)
    check_ids(pool)
    if not 0 < dedup_ratio <= 1:
        raise ValueError(f"dedup_ratio is {dedup_ratio}; it must be above 0 and at most 1")
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    points = as_points(vectors_of(pool), True)
    first = kmeans(points, k or default_k(len(pool)), seed=seed, ids=pool.ids)
    alike = _likeness(points, first.labels, first.distance, pool.ids)
    price = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)
    by_likeness = np.lexsort((pool.ids, alike))
    wanted = max(dedup_ratio * price.sum(), min(budget, price.sum()))
    count = int(np.searchsorted(np.cumsum(price[by_likeness]), wanted * (1 - 1e-12))) + 1
    stay = np.sort(by_likeness[:count])
    second = kmeans(points[stay], k or default_k(len(stay)), seed=seed + 1, ids=pool.ids[stay])
    distance, cluster = np.full(len(pool), np.nan), np.full(len(pool), -1)
    distance[stay], cluster[stay] = second.distance, second.labels
    index = along(pool, stay[np.lexsort((pool.ids[stay], -second.distance))], budget)
    facts = {"deduplicated": len(pool) - len(stay), "k": len(second.centroids)}
    return ended(pool, budget, index, distance[index], {"cluster": cluster, "distance": distance, "alike": alike}, facts)


def _likeness(points: np.ndarray, labels: np.ndarray, distance: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """float32[n], the largest cosine to a row of the same cluster that is farther from the centre (ties: lower id); -1: none."""
    alike = np.full(len(points), -1.0, np.float32)
    order = np.lexsort((ids, -distance, labels))
    for rows in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
        for start in range(0, len(rows), 2048):
            here = rows[start : start + 2048]
            cosines = points[here] @ points[rows[: start + len(here)]].T
            before = np.arange(cosines.shape[1]) < start + np.arange(len(here))[:, None]
            alike[here] = np.where(before, cosines, -1).max(axis=1, initial=-1)
    return alike


@selector("dsir_selector", needs=("text",), resources={"target": "texts"})
def dsir(
    pool: Pool, budget: float, *, seed: int, target: Sequence[str | None], target_path: str, target_key: str = "text",
    buckets: int = 10_000, min_words: int = 0,
) -> Selection:
    """Rows that read like the target's: drawn without replacement with odds of their hashed n-grams, target against pool.

    `target`: the texts to be like, from the column `target_key` of the rows at `target_path`. Words and pairs of words
    are hashed into `buckets`; a row's log weight is the sum over its n-grams of log p_target - log p_pool, and the draw
    is Gumbel top-k with it. Longer rows have more extreme weights, as published; rows of fewer than `min_words` words
    (the authors say 100 for web text) come last.

    `gain`: the log weight.  Notes: `log_weight`.  Facts: `left`, `target_rows`.  Cost: O(words), Python's.
    Source: Xie et al. 2023 (DSIR); SPECS 10.
    """
    check_budget(pool, budget)
    check_ids(pool)
    if pool.text is None or not len(target):
        raise ValueError("dsir needs the texts of the pool, and at least one target text")
    counts, words = ngram_counts(pool.text, buckets)
    target_counts, _ = ngram_counts(target, buckets)
    weights = log_ratio(counts, target_counts)
    logits = np.where(words >= min_words, weights, -np.inf)
    order = by_id(pool)
    walk = order[gumbel_top(pool.ids[order], logits[order], len(pool), seed)]
    index = along(pool, walk, budget)
    return ended(pool, budget, index, weights[index], {"log_weight": weights}, {"target_rows": len(target)})


def _listed(pool: Pool, budget: float, walk: np.ndarray, gain: np.ndarray) -> Selection:
    rank = np.empty(len(pool), np.int32)
    rank[walk] = np.arange(1, len(pool) + 1)
    index = along(pool, walk, budget)
    return ended(pool, budget, index, gain[index], {"rank": rank})
