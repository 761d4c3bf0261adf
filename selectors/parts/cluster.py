"""Clustering: spherical or plain k-means over faiss, with every choice that faiss makes silently made explicit.

Rows are looked at in the order of their ids and faiss runs on one thread, so neither the order of the rows nor the
number of threads changes a bit of the answer: BLAS sums differ in the last bit between thread counts, and k-means
magnifies that into other clusters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .draw import SAMPLE, uniform
from .seeding import spread_out

_BLOCK = 8192  # rows assigned at a time: 8192 x k distances are in memory


@dataclass(frozen=True)
class Clusters:
    """A partition of n rows into k groups, none empty, numbered from the largest down.

    Attributes:
        labels: int32[n], the group of each row.
        centroids: float32[k, d]; unit rows where the clustering is spherical.
        distance: float32[n] to the own centroid: 1 - cosine (0 to 2) where spherical, else squared Euclidean.
        inertia: sum of `distance`.
    """

    labels: np.ndarray
    centroids: np.ndarray
    distance: np.ndarray
    inertia: float

    @property
    def sizes(self) -> np.ndarray:
        """int64[k], rows of each group."""
        return np.bincount(self.labels, minlength=len(self.centroids)).astype(np.int64)


def default_k(n: int) -> int:
    """Number of clusters where none is asked for: the square root of the rows, rounded, from 1 to 4,096.

    228 for Alpaca's 52k rows, 443 for WizardLM's 196k: inside the range 64 to 8,192 that DivCo sweeps, and low in it;
    its best was 2,048 for 196k rows, on evidence of one data set (SPECS 3.4).
    """
    return int(np.clip(round(n**0.5), 1, 4096))


def kmeans(
    vectors: np.ndarray, k: int, *, seed: int, ids: np.ndarray | None = None, iterations: int = 20,
    sample_per_centroid: int = 256, spherical: bool = True,
) -> Clusters:
    """At most `k` clusters of the rows: fewer where fewer differ or some end up empty.

    Trained on the `k * sample_per_centroid` rows whose hash of (seed, id) is smallest, from a greedy k-means++ start;
    then every row goes to its nearest centroid, ties to the first centroid of the start.
    `ids` (default: row numbers) carry the chance. Spherical: rows are scaled to length 1 first.

    Shape: vectors float32[n, d].  Cost: O(min(n, 256 k) k d) per iteration, O(n k d) once, one thread; no copy of
    `vectors`.  Raises ValueError on NaN, infinite and (spherical) zero rows, with their number.
    """
    _check(vectors, k, iterations, sample_per_centroid, spherical)
    k = min(k, len(vectors))
    ids = np.arange(len(vectors)) if ids is None else ids
    order = np.argsort(ids, kind="stable")
    by_chance = order[np.argsort(uniform(seed, ids[order], stream=SAMPLE), kind="stable")]
    sample = by_chance[: k * sample_per_centroid]
    with _one_thread():
        start = spread_out(_points(vectors, sample, spherical), k, seed)
        rows = sample[np.argsort(ids[sample], kind="stable")]
        centroids = _lloyd(_points(vectors, rows, spherical), start, iterations, spherical)
        labels, distance = _assign(vectors, order, centroids, spherical)
    sizes = np.bincount(labels, minlength=len(centroids))
    largest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    number = np.empty(len(centroids), np.int32)
    number[largest_first] = np.arange(len(largest_first))
    return Clusters(number[labels], centroids[largest_first], distance, float(distance[order].sum(dtype=np.float64)))


def _check(vectors: np.ndarray, k: int, iterations: int, sample_per_centroid: int, spherical: bool) -> None:
    for name, value in (("k", k), ("iterations", iterations), ("sample_per_centroid", sample_per_centroid)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if not len(vectors):
        raise ValueError("no rows to cluster")
    squares = _squares(vectors)
    broken, zero = int((~np.isfinite(squares)).sum()), int((squares == 0).sum())
    if broken or (zero and spherical):
        raise ValueError(f"of {len(vectors)} vectors {broken} hold NaN or infinity and {zero} are zero: no direction")


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)


def _points(vectors: np.ndarray, rows: np.ndarray, spherical: bool) -> np.ndarray:
    """The rows, as float32 and C-ordered, scaled to length 1 where asked."""
    points = np.ascontiguousarray(vectors[rows], np.float32)
    if spherical:
        points /= np.sqrt(_squares(points))[:, None]
    return points


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _lloyd(points: np.ndarray, start: np.ndarray, iterations: int, spherical: bool) -> np.ndarray:
    """float32[k, d] after that many rounds; faiss refills a cluster that runs empty by splitting a large one."""
    import faiss

    k, d = start.shape
    # its own sampling is switched off by the two limits; its seed then decides nothing
    limits = {"max_points_per_centroid": len(points), "min_points_per_centroid": 1}
    trained = faiss.Kmeans(d, k, niter=iterations, spherical=spherical, seed=1, **limits)
    trained.train(points, init_centroids=start)
    return np.ascontiguousarray(trained.centroids, np.float32)


def _assign(
    vectors: np.ndarray, order: np.ndarray, centroids: np.ndarray, spherical: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroid of every row and the distance to it, block by block along `order`."""
    import faiss

    labels, distance = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        points = _points(vectors, rows, spherical)
        nearest = faiss.pairwise_distances(points, centroids).argmin(axis=1)
        labels[rows] = nearest
        away = points - centroids[nearest]
        # |x - c|^2 = 2 (1 - cos) for unit x and c, without the cancellation of 1 - x.c
        distance[rows] = _squares(away) * (0.5 if spherical else 1.0)
    return labels, distance
