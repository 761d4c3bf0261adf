"""Adapt-inf's selection (Maharana et al., ICLR 2025) over given vectors and given scores."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from .base import Pool, Selection, selector
from .parts.choose import Kind, Number
from .parts.cluster import Clusters
from .parts.draw import STRATA, uniform
from .parts.given import check_budget, check_ids, ended, vectors_of
from .parts.identity import Known, named_clusters
from .parts.quotas import by_quota
from .parts.scorers import chosen_scorer, entropies
from .parts.strata import coverage_order

Budgets = Literal["equal", "score", "density"]
_NEAR = 20  # other clusters whose distance says how far out a cluster lies


@selector("adapt_selector", needs=("embedding", "scores"))
def adapt(
    pool: Pool, budget: float, *, seed: int, score_keys: list[str], budgets: Budgets = "equal", k: Number = None,
    cut_low: float = 0.05, cut_high: float = 0.05, strata: int = 50, iterations: int = 20, sample_per_centroid: int = 256,
    clustering: Kind = "kmeans", most: int | None = None, known: Known | None = None,
) -> Selection:
    """Rows from every cluster of the vectors, inside it from all strata of the score that tells its rows apart best.

    The vectors are whatever skills shall be told by (gradients, hidden states, embeddings). `score_keys` names numeric columns or
    numbers of earlier steps, such as perplexity, EL2N, entropy, GraNd. Each cluster takes the one whose standardised
    histogram over its rows has the highest entropy, whatever its unit; ties to the one named first; one that is
    constant never, unless all are. Inside, rows are drawn as `ccs_selector` draws them.

    `budgets` equal: every cluster the same, as far as it has rows (the published default). score: in proportion to the standard
    deviation in the cluster of the first of `score_keys`. density: to the mean distance of its rows to its centre times that
    of its centre to the 20 nearest others.

    Budget in rows: exactly `min(budget, n)`; with costs, whatever still fits.  Pick order: proportional over the clusters.
    `gain`: the score by which the row's cluster draws.  Notes: `cluster`, `scorer` (its name), `stratum`
    (-1: cut), `distance`.  Facts: `left`, k, per cluster `sizes`, `quotas`, `picked`; `scorers`: how many clusters each one draws.
    `known`, the clusters of a lifelong pool, are the start of these, and keep their names (`parts/identity.py`).
    Raises ValueError on scores that are no numbers, with their count.
    """
    check_budget(pool, budget)
    check_ids(pool)
    vectors, scores = vectors_of(pool), _scores(pool, score_keys)
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    named = named_clusters(vectors, known, k=k, kind=clustering, seed=seed, ids=pool.ids, iterations=iterations,
                           sample_per_centroid=sample_per_centroid, most=most)
    clusters = named.clusters
    count, labels = len(clusters.centroids), clusters.labels
    scorer = chosen_scorer(entropies(scores, labels, count))
    own = scores[scorer[labels], np.arange(len(pool))]
    grouped, stratum = _grouped(pool, labels, own, seed, {"cut_low": cut_low, "cut_high": cut_high, "strata": strata})
    index, quotas = by_quota(pool, budget, labels, grouped, 0.0, _weights(budgets, clusters, scores[0]))
    told: dict[str, Any] = {
        **named.facts(known), "sizes": clusters.sizes.tolist(), "quotas": quotas.tolist(),
        "picked": np.bincount(labels[index], minlength=count).tolist(),
        "scorers": {name: int((scorer == s).sum()) for s, name in enumerate(score_keys)},
    }
    notes = {"cluster": named.names[labels], "scorer": np.array(score_keys)[scorer[labels]], "stratum": stratum,
             "distance": clusters.distance}
    return replace(ended(pool, budget, index, own[index], notes, told), remember=named.remembered(index))


def _scores(pool: Pool, score_keys: list[str]) -> np.ndarray:
    missing = [key for key in score_keys if key not in (pool.scores or {})]
    if missing or not score_keys or len(set(score_keys)) < len(score_keys):
        raise ValueError(f"score_keys must name one or more scores of the pool, each once; it names {score_keys}")
    assert pool.scores is not None
    scores = np.array([np.asarray(pool.scores[key], np.float64) for key in score_keys])
    wrong = {key: int((~np.isfinite(s)).sum()) for key, s in zip(score_keys, scores, strict=True) if not np.isfinite(s).all()}
    if wrong:
        told = ", ".join(f"{n} of {key}" for key, n in wrong.items())
        raise ValueError(f"scores must be numbers: of {len(pool)} rows not so are {told}")
    return scores


def _grouped(pool: Pool, labels: np.ndarray, own: np.ndarray, seed: int, how: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """All rows cluster by cluster, each in the order in which coverage-centric selection gives them, what it cuts last."""
    stratum, order = np.full(len(pool), -1, np.int32), np.lexsort((pool.ids, labels))
    found = []
    for rows in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
        picks, stratum[rows] = coverage_order(own[rows], pool.ids[rows], seed, **how)
        rest = rows[stratum[rows] < 0]
        found += [rows[picks], rest[np.argsort(uniform(seed, pool.ids[rest], stream=STRATA), kind="stable")]]
    return np.concatenate(found), stratum


def _weights(budgets: Budgets, clusters: Clusters, score: np.ndarray) -> np.ndarray:
    """float64[k], in proportion to which the budget is shared out; where all would be 0, all the same."""
    k = len(clusters.centroids)
    groups = [np.flatnonzero(clusters.labels == j) for j in range(k)]
    if budgets == "score":
        weights = np.array([np.sort(score[rows]).std() for rows in groups])
    elif budgets == "density":
        centres = clusters.centroids / np.linalg.norm(clusters.centroids, axis=1, keepdims=True)
        away = np.sort(1 - centres @ centres.T, axis=1)[:, 1 : 1 + _NEAR]  # the nearest is the centre itself
        outer = away.mean(axis=1) if k > 1 else np.ones(1)
        weights = np.maximum(outer, 0) * np.array([np.sort(clusters.distance[rows]).mean(dtype=np.float64) for rows in groups])
    else:
        weights = np.ones(k)
    return weights if weights.any() else np.ones(k)
