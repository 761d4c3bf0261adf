"""The clustering that a selector was asked for: how many clusters, and of which kind."""

from typing import Any, Literal

import numpy as np

from ..base import Elsewhere
from .agreement import agreed_k
from .bounded import bounded_kmeans
from .cluster import Clusters, compact, default_k, kmeans
from .lloyd import as_points, squares
from .medoids import kmedoids
from .silhouette import choose_k

Kind = Literal["kmeans", "bounded", "kmedoids"]
EXACT_ROWS = 5_000  # of an exact silhouette: its cost is their square, for each number tried
Number = int | Literal["root", "silhouette", "exact_silhouette", "agreement"] | None


def number_of_clusters(
    vectors: np.ndarray | Elsewhere, k: Number, *, seed: int, ids: np.ndarray, spherical: bool,
) -> tuple[int, dict[str, Any]]:
    """How many clusters, and facts on how that was found: `k` itself, the root of the rows (None, `root`), or the best of
    a grid by simplified `silhouette` on 20,000 rows, by the `exact_silhouette` on 5,000, or by `agreement` of k-means with Gaussian
    mixtures (PPP-style)."""
    if k is None or k == "root":
        return default_k(len(vectors)), {}
    if isinstance(k, int):
        return k, {}
    assert isinstance(vectors, np.ndarray), "a search for k needs the vectors here"
    how: dict[str, Any] = {"seed": seed, "ids": ids, "spherical": spherical}
    if k == "agreement":
        found = agreed_k(vectors, **how)
    else:
        found = choose_k(vectors, **how) if k == "silhouette" else choose_k(vectors, **how, exact=True, sample=EXACT_ROWS)
    return found.k, {"k_chosen_by": k, "k_scores": {str(k): round(score, 6) for k, score in found.scores.items()}}


def clusters_of(
    vectors: np.ndarray | Elsewhere, k: int, *, kind: Kind, seed: int, ids: np.ndarray, iterations: int, sample_per_centroid: int,
    spherical: bool, most: int | None,
) -> Clusters:
    """The clusters; `most` rows each where `kind` is bounded, medoids as centroids where it is kmedoids."""
    if kind == "kmeans":
        return kmeans(vectors, k, seed=seed, ids=ids, iterations=iterations, sample_per_centroid=sample_per_centroid,
                      spherical=spherical)
    assert isinstance(vectors, np.ndarray), f"{kind} needs the vectors here"
    if kind == "kmedoids":
        found = kmedoids(vectors, min(k, len(vectors)), seed=seed, ids=ids, spherical=spherical)
        centres = as_points(vectors[found.rows], spherical)
        away = squares(as_points(vectors, spherical) - centres[found.labels]) * (0.5 if spherical else 1.0)
        return compact(found.labels, centres, away.astype(np.float32), np.argsort(ids, kind="stable"))
    return bounded_kmeans(vectors, k, seed=seed, ids=ids, most=most, iterations=iterations,
                          sample_per_centroid=sample_per_centroid, spherical=spherical)
