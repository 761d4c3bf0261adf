"""Pools without what they already hold: semantic deduplication, and pruning under a cap that keeps every cluster's rare rows."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from .base import Instead, Pool, Selection, selector
from .parts.choose import Kind, Number, clusters_of, number_of_clusters
from .parts.cluster import Clusters
from .parts.given import along, check_budget, check_ids, ended, qualities_of, vectors_of
from .parts.identity import Known, named_clusters
from .parts.prune import Ranked, across, within
from .parts.quotas import by_quota

Keep = Literal["hard", "easy"]
Linked = Literal["components", "better"]
_QUOTA = 16  # clusters looked into where no threshold says which rows could matter


@selector("semantic_deduplicator", needs=("embedding",), decides_by="eps")
def semantic_dedup(
    pool: Pool, budget: float, *, seed: int, eps: float | None = 0.05, linked: Linked = "components", keep: Keep = "hard",
    nearby: int | None = None, k: Number = None, iterations: int = 20, sample_per_centroid: int = 256, clustering: Kind = "kmeans",
    most: int | None = None, exact_up_to: int = 65_536,
) -> Selection:
    """Rows of which no two are more alike than cosine `1 - eps`; of those that are, the best one stays.

    The best is the one of the largest `quality_key`; where none is named, the one farthest from its centre (`keep: hard`, as
    published) or nearest to it (`easy`); ties to the lower id. Rows are compared with those of their cluster and, where a
    border may run between two that are alike, with those of other clusters: no pair is missed. `nearby`: only with the so
    many nearest clusters, for pools of millions.

    `linked` components: of rows linked by pairs above `1 - eps`, over however many links, one stays. better: a row leaves
    where one better row is so alike, whether that one stays or not: it is the published rule, and fewer rows leave.

    A budget is not needed. With one, of what stays the rows least alike to a better one are picked first. `eps` None: the
    budget alone decides, by that order (in rows exactly `min(budget, n)`; a smaller one is the beginning of a larger one);
    then every row is compared with those of the nearest 16 clusters, or `nearby`.
    A cluster of more than `exact_up_to` rows is searched by an index, which may miss pairs.

    Pick order: least alike to a better row first.  `gain`: 1 minus that cosine, 2 where no better row was looked at.
    Notes: `cluster`, `distance` to its centre, `alike`: that cosine.  The ledger names the row that stays and the cosine to it.
    Facts: `left`, k, `pairs` above `1 - eps`, `duplicates`, `across` (pairs compared over borders).
    Cost: that of `kmeans`, and O(n s d) for clusters of s rows, with the part of neighbouring clusters that lies near the border.
    Source: Abbas et al. 2023 (SemDeDup), which looks into one cluster at a time; SPECS 10.
    """
    _check(pool, budget, eps)
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    clusters, facts = _clusters(pool, seed, k, clustering, most, iterations, sample_per_centroid)
    best_first = _best_first(pool, clusters, keep)
    ranked = Ranked.of(vectors_of(pool), clusters, best_first)
    within(ranked, eps, exact_up_to=exact_up_to, seed=seed)
    compared = across(ranked, eps, nearby=_QUOTA if nearby is None and eps is None else nearby)
    alike, rows = ranked.alike(), np.arange(len(pool))
    least = 1.0 if eps is None else 1 - eps
    kept = ranked.components() if linked == "components" and eps is not None else ranked.standing(alike <= least)
    order = best_first[np.argsort(alike[best_first], kind="stable")]
    index = along(pool, order[kept[order] == order], budget)
    picked = np.zeros(len(pool), bool)
    picked[index] = True
    duplicate = (kept != rows) & picked[kept]
    instead = _instead(ranked, picked, duplicate, np.where(duplicate, kept, ranked.standing(picked)), least)
    facts |= {"pairs": ranked.pairs, "duplicates": int((kept != rows).sum()), "across": compared}
    notes = {"cluster": clusters.labels, "distance": clusters.distance, "alike": alike}
    return ended(pool, budget, index, 1 - alike[index], notes, facts, instead)


@selector("cluster_pruning_selector", needs=("embedding",))
def cluster_pruning(
    pool: Pool, budget: float, *, seed: int, eps: float = 0.05, beta: float = 0.0, keep: Keep = "hard", k: Number = None,
    iterations: int = 20, sample_per_centroid: int = 256, clustering: Kind = "kmeans", most: int | None = None,
    known: Known | None = None,
) -> Selection:
    """A pool brought under a cap: from every cluster its quota of the rows least alike to a better row of the cluster.

    Quotas are in proportion to `size ** beta` as far as the clusters have rows: beta 0 (the published rule) gives every cluster the
    same, so that small clusters stay whole while large ones are thinned. Size counts rows that are not above cosine
    `1 - eps` to a better one; those are taken only where the cap leaves room for more than all others. Which row is the
    better: see `semantic_deduplicator`.

    Budget in rows (the cap): exactly `min(budget, n)`, and with beta 0 what a smaller cap keeps, a larger one keeps too. With
    costs, whatever still fits.  Pick order: proportional over the clusters, duplicates last.

    `gain`: 1 minus the cosine to the most alike better row of the cluster, 2 for the best one.
    Notes: `cluster`, `rank` in the cluster (from 1, all rows), `distance`, `alike`: that cosine.  The ledger names the most
    alike row that stays.  Facts: `left`, k, `duplicates`, and per cluster `sizes`, `quotas`, `picked`.
    Cost: that of `kmeans`, and O(n s d) for clusters of s rows.
    `known`, the clusters of a lifelong pool, are the start of these, and keep their names (`parts/identity.py`).
    Source: Maharana et al. 2025 (Adapt-inf), permanent pruning; SPECS 4.5.
    """
    _check(pool, budget, eps)
    if not 0 <= beta < np.inf:
        raise ValueError(f"beta is {beta}; it must be 0 or more")
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    named = named_clusters(vectors_of(pool), known, k=k, kind=clustering, seed=seed, ids=pool.ids, iterations=iterations,
                           sample_per_centroid=sample_per_centroid, most=most)
    clusters = named.clusters
    best_first = _best_first(pool, clusters, keep)
    ranked = Ranked.of(vectors_of(pool), clusters, best_first)
    within(ranked, None)
    alike, labels = ranked.alike(), clusters.labels
    by_likeness = best_first[np.argsort(alike[best_first], kind="stable")]
    grouped = by_likeness[np.argsort(labels[by_likeness], kind="stable")]
    fresh = alike <= 1 - eps
    index, quotas = by_quota(pool, budget, labels, grouped[fresh[grouped]], beta)
    left = budget - (len(index) if pool.cost is None else float(pool.cost[index].sum()))
    more, others = by_quota(pool, max(left, 0.0), labels, grouped[~fresh[grouped]], beta)
    index, quotas = np.concatenate([index, more]), _sum(quotas, others, len(clusters.centroids))
    picked = np.zeros(len(pool), bool)
    picked[index] = True
    to = ranked.standing(picked)
    rank = np.empty(len(pool), np.int32)
    rank[grouped] = np.arange(len(pool)) - (np.cumsum(clusters.sizes) - clusters.sizes)[labels[grouped]] + 1
    facts = named.facts(known) | {"duplicates": int((~fresh).sum()), "sizes": clusters.sizes.tolist(), "quotas": quotas.tolist(),
                                  "picked": np.bincount(labels[index], minlength=len(clusters.centroids)).tolist()}
    notes = {"cluster": named.names[labels], "rank": rank, "distance": clusters.distance, "alike": alike}
    instead = _instead(ranked, picked, ~fresh & ~picked & (to >= 0), to, 1 - eps)
    return replace(ended(pool, budget, index, 1 - alike[index], notes, facts, instead), remember=named.remembered(index))


def _check(pool: Pool, budget: float, eps: float | None) -> None:
    check_budget(pool, budget)
    check_ids(pool)
    vectors_of(pool)
    if eps is not None and not 0 < eps <= 2:
        raise ValueError(f"eps is {eps}; it must be above 0 and at most 2: rows are alike above cosine 1 - eps")


def _clusters(
    pool: Pool, seed: int, k: Number, clustering: Kind, most: int | None, iterations: int, sample_per_centroid: int,
) -> tuple[Clusters, dict[str, Any]]:
    vectors = vectors_of(pool)
    asked, facts = number_of_clusters(vectors, k, seed=seed, ids=pool.ids, spherical=True)
    clusters = clusters_of(vectors, asked, kind=clustering, seed=seed, ids=pool.ids, iterations=iterations,
                           sample_per_centroid=sample_per_centroid, spherical=True, most=most)
    return clusters, {"k": len(clusters.centroids), **facts}


def _best_first(pool: Pool, clusters: Clusters, keep: Keep) -> np.ndarray:
    """All rows, those first that stay where others are like them."""
    if pool.quality is not None:
        return np.lexsort((pool.ids, -qualities_of(pool)))
    return np.lexsort((pool.ids, -clusters.distance if keep == "hard" else clusters.distance))


def _sum(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    both = np.zeros(k, np.result_type(a, b))
    both[: len(a)] += a
    both[: len(b)] += b
    return both


def _instead(ranked: Ranked, picked: np.ndarray, duplicate: np.ndarray, to: np.ndarray, least: float) -> Instead:
    row = np.where(picked, -1, to)
    return Instead(row, ranked.similarity(row), duplicate, least)
