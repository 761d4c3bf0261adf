"""Diversity by clusters: DivCo's static methods (Yu et al., arXiv 2409.11378), as their equations have them.

Cluster the vectors, give every cluster its part of the budget, fill the part from inside the cluster.
Where the released code departs from the paper (quotas that lose part of the budget, a softmax that is all but an
arg max; SPECS 3.6), this follows the paper.
"""

from typing import Any, Literal, get_args

import numpy as np

from .base import Pool, Selection, selector
from .parts.choose import Kind, Number, clusters_of, number_of_clusters
from .parts.cluster import Clusters
from .parts.draw import gumbel_top, quality_logits
from .parts.given import check_budget, check_ids
from .parts.quotas import by_quota

Method = Literal["kmq", "closest", "random"]


@selector("kmeans_diversity_selector", needs=("embedding",), version=2, elsewhere=True)
def kmeans_diversity(
    pool: Pool, budget: float, *, seed: int, method: Method = "kmq", k: Number = None,
    beta: float = 1.0, gamma: float = 1.0, iterations: int = 20, sample_per_centroid: int = 256, spherical: bool = True,
    clustering: Kind = "kmeans", most: int | None = None,
) -> Selection:
    """Rows from every k-means cluster in proportion to `size ** beta`, within a cluster by `method`.

    kmq: drawn with probability proportional to `quality ** gamma`, without replacement; without quality, uniformly.
    closest: nearest to the centroid first. random: uniformly; the same rows as kmq without quality.
    `k` None: the square root of the rows (`default_k`); silhouette: the power of two with the best simplified silhouette
    on 20,000 rows; agreement: that on which k-means and Gaussian mixtures agree (PPP-style, a reconstruction).
    `clustering` bounded: no cluster of more than `most` rows, for tens of thousands of clusters; kmedoids: rows as
    centres. beta 1 is the paper, 0 gives every cluster the same.

    Budget in rows: exactly `min(budget, n)`. With costs, size means the cluster's cost; rows are taken where they
    stand in their cluster's part, whatever still fits, and what a cluster leaves over goes to the others; less is
    left than the cheapest row not taken costs.

    Pick order is proportional too: row r of a cluster with quota q stands at (r - 1/2) / q, so the first half of the
    picks is about what half of the budget would have picked.

    Empty: nothing.  `gain`: kmq the row's quality (1 without), closest minus the distance, random 1.
    Notes: `cluster`, `rank` in the cluster (from 1, all rows), `distance` to its centroid.
    Facts: k, inertia, left, per cluster `sizes`, `quotas`, `picked`; `k_scores` where k was searched for.
    Cost: that of `kmeans`.  Raises ValueError on vectors, qualities or costs that are no use, with counts.
    """
    check_budget(pool, budget)
    check_ids(pool)
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; it can be {', '.join(get_args(Method))}")
    vectors = pool.embedding if pool.elsewhere is None else pool.elsewhere
    if vectors is None:
        raise ValueError("k-means needs vectors: the pool has no embedding")
    if not 0 <= beta < np.inf:
        raise ValueError(f"beta is {beta}; it must be 0 or more")
    if not len(pool):
        return _nothing(budget)
    logits = quality_logits(pool.quality if method == "kmq" else None, len(pool), gamma)
    asked, found = number_of_clusters(vectors, k, seed=seed, ids=pool.ids, spherical=spherical)
    clusters = clusters_of(
        vectors, asked, kind=clustering, seed=seed, ids=pool.ids, iterations=iterations,
        sample_per_centroid=sample_per_centroid, spherical=spherical, most=most,
    )
    best_first = _best_first(pool, clusters, method, logits, seed)
    grouped = best_first[np.argsort(clusters.labels[best_first], kind="stable")]
    index, quotas = by_quota(pool, budget, clusters.labels, grouped, beta)
    rank = np.empty(len(pool), np.int32)
    rank[grouped] = np.arange(len(pool)) - _starts(clusters.sizes)[clusters.labels[grouped]] + 1
    notes = {"cluster": clusters.labels, "rank": rank, "distance": clusters.distance}
    facts = {**_facts(pool, budget, clusters, index, quotas), **found}
    return Selection(index, _worth(pool, clusters, method)[index], notes, facts)


def _nothing(budget: float) -> Selection:
    notes = {"cluster": np.empty(0, np.int32), "rank": np.empty(0, np.int32), "distance": np.empty(0, np.float32)}
    facts: dict[str, Any] = {"k": 0, "inertia": 0.0, "left": float(budget), "sizes": [], "quotas": [], "picked": []}
    return Selection(np.empty(0, np.int64), np.empty(0), notes, facts)


def _best_first(pool: Pool, clusters: Clusters, method: Method, logits: np.ndarray, seed: int) -> np.ndarray:
    """All rows, in the order in which each cluster would give them."""
    if method == "closest":
        return np.lexsort((pool.ids, clusters.distance))
    return gumbel_top(pool.ids, logits, len(pool), seed)


def _worth(pool: Pool, clusters: Clusters, method: Method) -> np.ndarray:
    if method == "closest":
        return -clusters.distance.astype(np.float64)
    return pool.quality if method == "kmq" and pool.quality is not None else np.ones(len(pool))


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.cumsum(sizes) - sizes


def _facts(pool: Pool, budget: float, clusters: Clusters, index: np.ndarray, quotas: np.ndarray) -> dict[str, Any]:
    spent = len(index) if pool.cost is None else float(pool.cost[index].sum())
    return {
        "k": len(clusters.centroids), "inertia": clusters.inertia, "left": float(budget - spent),
        "sizes": clusters.sizes.tolist(), "quotas": quotas.tolist(),
        "picked": np.bincount(clusters.labels[index], minlength=len(clusters.centroids)).tolist(),
    }
