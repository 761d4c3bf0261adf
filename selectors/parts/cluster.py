"""Clustering: spherical or plain k-means over faiss, with every choice that faiss makes silently made explicit.

The sample is looked at in the order of its ids, in blocks that no thread count changes (lloyd.py), and every row's
label is exact. So neither the order of the rows nor the number of threads changes a bit of the answer: BLAS sums differ
in the last bit between thread counts, and k-means magnifies that into other clusters.
"""

from dataclasses import dataclass

import numpy as np

from ..base import Elsewhere
from .draw import SAMPLE, uniform
from .lloyd import BLOCK, as_points, assign_all, cores, lloyd, one_thread, squares, whole_rounds
from .seeding import candidates, spread_out


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
    vectors: np.ndarray | Elsewhere, k: int, *, seed: int, ids: np.ndarray | None = None, iterations: int = 20,
    sample_per_centroid: int = 256, spherical: bool = True, passes: int = 0, threads: int | None = None,
) -> Clusters:
    """At most `k` clusters of the rows: fewer where fewer differ or some end up empty.

    Trained on the `k * sample_per_centroid` rows whose hash of (seed, id) is smallest, from a greedy k-means++ start,
    in at most `iterations` rounds; then `passes` rounds over all rows (0: the sample says enough); then every row goes
    to its nearest centroid, exactly, ties to the lower. `ids` (default: row numbers) carry the chance. Spherical: rows
    are scaled to length 1 first. `threads` (default: all cores) change no bit. `passes` sum the rows in the order in
    which they lie: then their order may change a last bit.

    Shape: vectors float32[n, d] or float16[n, d], which may be a memory map larger than memory: the sample, and BLOCK
    rows with their distances for each thread, are held; or rows that lie elsewhere, of which the sample is held (and `passes`
    are not to be had).  Cost: O(min(n, 256 k) k d) per iteration, O(n k d) per pass
    and once more.  Raises ValueError on NaN, infinite and (spherical) zero rows, with their number.
    """
    held = Held(vectors, threads or cores()) if isinstance(vectors, np.ndarray) else vectors
    _check(held, k, iterations, sample_per_centroid, spherical)
    k, threads = min(k, len(vectors)), threads or cores()
    ids = np.arange(len(vectors)) if ids is None else ids
    order = np.argsort(ids, kind="stable")
    by_chance = order[np.argsort(uniform(seed, ids[order], stream=SAMPLE), kind="stable")]
    sample = by_chance[: k * sample_per_centroid]
    by_id = np.argsort(ids[sample], kind="stable")
    points = as_points(held.take(sample[by_id]), spherical)
    place = np.argsort(by_id, kind="stable")
    with one_thread():
        start = spread_out(points[place[: candidates(k)]], k, seed)
    centroids = lloyd(points, start, iterations, spherical, threads)
    if passes:
        assert isinstance(vectors, np.ndarray), "rounds over all rows need the rows here"
        centroids = whole_rounds(vectors, centroids, passes, spherical, threads)
    labels, distance = held.nearest(centroids, spherical)
    return compact(labels, centroids, distance, order)


def compact(labels: np.ndarray, centroids: np.ndarray, distance: np.ndarray, order: np.ndarray) -> Clusters:
    """The clusters without the empty ones, largest first; `order`: in which the distances are summed."""
    sizes = np.bincount(labels, minlength=len(centroids))
    largest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    number = np.empty(len(centroids), np.int32)
    number[largest_first] = np.arange(len(largest_first))
    return Clusters(number[labels], centroids[largest_first], distance, float(distance[order].sum(dtype=np.float64)))


@dataclass(frozen=True)
class Held:
    """Vectors that are here, or in a memory map, asked as those that are not."""

    vectors: np.ndarray
    threads: int = 1

    def __len__(self) -> int:
        """How many rows."""
        return len(self.vectors)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Those rows, read in the order in which they lie: a memory map is gone through once."""
        taken = np.empty((len(rows), self.vectors.shape[1]), self.vectors.dtype)
        order = np.argsort(rows, kind="stable")
        taken[order] = self.vectors[rows[order]]
        return taken

    def nearest(self, centroids: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
        """See `Elsewhere.nearest`."""
        return assign_all(self.vectors, centroids, spherical, self.threads)

    def unusable(self) -> tuple[int, int]:
        """See `Elsewhere.unusable`."""
        broken = zero = 0
        for start in range(0, len(self.vectors), BLOCK):
            lengths = squares(np.asarray(self.vectors[start : start + BLOCK], np.float32))
            broken, zero = broken + int((~np.isfinite(lengths)).sum()), zero + int((lengths == 0).sum())
        return broken, zero


def _check(vectors: Elsewhere, k: int, iterations: int, sample_per_centroid: int, spherical: bool) -> None:
    for name, value in (("k", k), ("iterations", iterations), ("sample_per_centroid", sample_per_centroid)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if not len(vectors):
        raise ValueError("no rows to cluster")
    broken, zero = vectors.unusable()
    if broken or (zero and spherical):
        raise ValueError(f"of {len(vectors)} vectors {broken} hold NaN or infinity and {zero} are zero: no direction")
