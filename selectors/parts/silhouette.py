"""How well clusters stand apart, and the number of clusters at which they stand apart best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cluster import Clusters, kmeans
from .draw import SAMPLE, uniform
from .lloyd import as_points, squares

_ROWS = 512  # rows of the distance matrix held at a time
_SAME = 1e-12  # distances below this share of the lengths are rounding: the rows are equal


@dataclass(frozen=True)
class Choice:
    """The number of clusters chosen, and what each one tried was worth."""

    k: int
    scores: dict[int, float]


def silhouette(vectors: np.ndarray, labels: np.ndarray, *, spherical: bool = True) -> np.ndarray:
    """float64[n], -1 to 1: (b - a) / max(a, b), a the mean distance to the own cluster, b to the nearest other one.

    Distance: 1 - cosine where spherical, else Euclidean. A row alone in its cluster: 0, as in scikit-learn.
    Cost: O(n^2 d), 512 rows of distances at a time.  Raises ValueError on fewer than 2 clusters.
    Source: Rousseeuw 1987.
    """
    groups, labels = np.unique(labels, return_inverse=True)
    if len(groups) < 2:
        raise ValueError("a silhouette needs at least 2 clusters")
    points = np.asarray(vectors, np.float64)
    if spherical:
        points = points / np.sqrt(squares(points))[:, None]
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts, sorted_points = np.cumsum(sizes) - sizes, points[order]
    lengths = squares(sorted_points)
    values = np.zeros(len(points))
    for start in range(0, len(points), _ROWS):
        here = slice(start, start + _ROWS)
        dots = points[here] @ sorted_points.T
        scale = 1.0 if spherical else squares(points[here])[:, None] + lengths
        apart = scale - dots if spherical else scale - 2 * dots
        apart = np.where(apart > _SAME * scale, apart, 0.0)
        away = apart if spherical else np.sqrt(apart)
        values[here] = _of_rows(np.add.reduceat(away, starts, axis=1), labels[here], sizes)
    return values


def _of_rows(sums: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    rows, own = np.arange(len(labels)), sizes[labels]
    a = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    b = means.min(axis=1)
    worse = np.maximum(a, b)
    return np.where((own > 1) & (worse > 0), (b - a) / np.where(worse > 0, worse, 1), 0.0)


def simplified(vectors: np.ndarray, clusters: Clusters, *, spherical: bool = True) -> np.ndarray:
    """float64[n], -1 to 1: the same with distances to centroids: the own one and the nearest other.

    Cost: O(n k d).  Source: Hruschka et al. 2004; SPECS 3.5.
    """
    import faiss

    values = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS * 8):
        here = slice(start, start + _ROWS * 8)
        squared = faiss.pairwise_distances(as_points(vectors[here], spherical), clusters.centroids).astype(np.float64)
        away = np.maximum(squared, 0) / 2 if spherical else np.sqrt(np.maximum(squared, 0))
        rows = np.arange(len(away))
        a = away[rows, clusters.labels[here]].copy()
        away[rows, clusters.labels[here]] = np.inf
        b = away.min(axis=1)
        values[here] = np.where(np.maximum(a, b) > 0, (b - a) / np.maximum(np.maximum(a, b), 1e-30), 0.0)
    return values


def choose_k(
    vectors: np.ndarray, *, seed: int, ids: np.ndarray | None = None, grid: Sequence[int] | None = None,
    exact: bool = False, sample: int = 20_000, iterations: int = 20, spherical: bool = True,
) -> Choice:
    """The number of clusters whose mean silhouette is largest, ties to the smaller; `grid` None: powers of two.

    Clusters and silhouettes are those of the `sample` rows whose hash of (seed, id) is smallest: simplified ones, or
    `exact` (O(sample^2 d), once for each number tried). A number that leaves one cluster only is worth -1.
    """
    ids = np.arange(len(vectors)) if ids is None else ids
    rows = np.lexsort((ids, uniform(seed, ids, stream=SAMPLE)))[:sample]
    rows = rows[np.argsort(ids[rows], kind="stable")]
    points, ids = as_points(vectors[rows], spherical), ids[rows]
    scores: dict[int, float] = {}
    for k in sorted({min(int(k), len(points)) for k in (default_grid(len(vectors)) if grid is None else grid)}):
        clusters = kmeans(points, k, seed=seed, ids=ids, iterations=iterations, spherical=spherical)
        if len(clusters.centroids) < 2:
            scores[k] = -1.0
        elif exact:
            scores[k] = float(silhouette(points, clusters.labels, spherical=spherical).mean())
        else:
            scores[k] = float(simplified(points, clusters, spherical=spherical).mean())
    return Choice(max(scores, key=lambda k: (scores[k], -k)), scores)


def default_grid(n: int) -> list[int]:
    """2, 4, 8 ... up to four times the square root of the rows, at most 8,192: the range that DivCo sweeps, and below."""
    most = max(2, min(8192, int(4 * n**0.5)))
    return [2**p for p in range(1, most.bit_length()) if 2**p <= most]
