"""Lloyd's rounds and the assignment to the nearest centroid: the same bits on any number of threads.

Distances are taken block by block, blocks of a fixed size, each by one thread with faiss's BLAS on one thread; sums go
by cluster, each in the order of the rows. So threads decide who computes, never what.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from . import on_gpu
from .kernels import add_rows, two_nearest

BLOCK = 4096  # rows at a time, each with its distance to every centroid
SEARCHED = 4 * BLOCK  # rows at a time where faiss keeps the nearest only
SPAN = 16 * BLOCK  # rows held as float32 at a time where the vectors are larger than memory
_CLOSE = 5e-6  # of the squared lengths: squared float32 distances that differ by less are told apart in float64

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def cores() -> int:
    """How many threads this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, faiss and its BLAS run on one thread of this thread's own."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def side_by_side(function: Callable[[Item], Answer], items: Iterable[Item], threads: int) -> list[Answer]:
    """The answers in the order of the items; each computed with faiss on one thread."""
    def alone(item: Item) -> Answer:
        with one_thread():
            return function(item)

    if threads <= 1:
        return [alone(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(alone, items))


def blocks(n: int, size: int = BLOCK) -> list[slice]:
    """0 to n in slices of `size` rows, the last one shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def squares(rows: np.ndarray) -> np.ndarray:
    """float64[n], the squared length of each row."""
    return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)


def as_points(rows: np.ndarray, spherical: bool) -> np.ndarray:
    """The rows as float32, C-ordered, scaled to length 1 where asked."""
    if not spherical:
        return np.ascontiguousarray(rows, np.float32)
    points = np.array(rows, np.float32, order="C")  # a copy: it is scaled in place
    points /= np.sqrt(squares(points))[:, None]
    return points


def lloyd(points: np.ndarray, start: np.ndarray, rounds: int, spherical: bool, threads: int) -> np.ndarray:
    """float32[k, d] after at most that many rounds, fewer where no row changes its cluster any more.

    A cluster that runs empty starts again at the row that is farthest from its centroid.
    """
    import faiss

    centroids, before = start, np.empty(0, np.int32)
    for _ in range(rounds):
        def nearest(at: slice, among: np.ndarray = centroids) -> tuple[np.ndarray, np.ndarray]:
            return faiss.knn(points[at], among, 1)

        near = side_by_side(nearest, blocks(len(points), SEARCHED), threads)
        labels = np.concatenate([found[:, 0] for _, found in near]).astype(np.int32)
        if np.array_equal(labels, before):
            break
        before = labels
        totals, sizes = np.zeros(start.shape), np.bincount(labels, minlength=len(start))
        add_by_label(points, labels, totals, threads)
        centroids = centres(totals, sizes, centroids, spherical)
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            away = np.concatenate([d[:, 0] for d, _ in near])
            centroids[empty] = points[np.argsort(-away, kind="stable")[: len(empty)]]
    return centroids


def add_by_label(points: np.ndarray, labels: np.ndarray, totals: np.ndarray, threads: int) -> None:
    """Add each point to its label's row of `totals` (float64[k, d]), in the order of the points."""
    k = len(totals)
    order = np.argsort(labels, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=k))]).astype(np.int64)
    cuts = np.searchsorted(ends, np.linspace(0, len(points), 4 * threads + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], np.minimum(cuts, k), [k]]))
    pairs = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    side_by_side(lambda pair: add_rows(points, order, ends, *pair, totals), pairs, threads)


def centres(totals: np.ndarray, sizes: np.ndarray, before: np.ndarray, spherical: bool) -> np.ndarray:
    """float32[k, d]: the means, of length 1 where spherical; where there are none, or no direction, what was before."""
    means = totals / np.maximum(sizes, 1)[:, None]
    if spherical:
        lengths = np.sqrt(squares(means))
        means /= np.where(lengths > 0, lengths, 1.0)[:, None]
        sizes = np.where(lengths > 0, sizes, 0)
    return np.where(sizes[:, None] > 0, means, before).astype(np.float32)


def assign(points: np.ndarray, centroids: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
    """int32[n], the centroid nearest to each point, and float32[n], the distance to it (`Clusters.distance`).

    Exact: all centroids are looked at, and where float32 cannot tell the two nearest apart float64 does; equal
    distances go to the lower number. So a label does not depend on the rows that it was computed beside.
    """
    import faiss

    n = len(points)
    labels, best, second = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    squared = faiss.pairwise_distances(points, centroids)
    two_nearest(squared, labels, best, second)
    unsure = _CLOSE * (squares(points) + float(squares(centroids).max(initial=0.0)))  # what rounding can amount to
    for i in np.flatnonzero(second - best <= unsure):
        close = np.flatnonzero(squared[i] <= second[i] + 2 * unsure[i])
        gaps = centroids[close].astype(np.float64) - points[i].astype(np.float64)
        labels[i] = close[int((gaps * gaps).sum(axis=1).argmin())]
    return labels, _away(points, centroids, labels, spherical)


def assign_all(vectors: np.ndarray, centroids: np.ndarray, spherical: bool, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """`assign` of every row, block by block: vectors may be a memory map, or float16. Where a GPU is at hand and there is
    enough to do, it finds the nearest; the bits are the same."""
    def one(at: slice) -> None:
        points = as_points(vectors[at], spherical)
        asked = (points, centroids, spherical)
        labels[at], distance[at] = assign(*asked) if gpu is None else assign_on(gpu, *asked)

    gpu = on_gpu.accelerator() if len(vectors) * len(centroids) >= on_gpu.WORTH else None
    labels, distance = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    size = BLOCK if gpu is None else max(1, min(SPAN, on_gpu.AT_ONCE // len(centroids)))
    side_by_side(one, blocks(len(vectors), size), threads if gpu is None else 1)
    return labels, distance


def assign_on(device: str, points: np.ndarray, centroids: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
    """`assign`, to the bit, by torch's `device`: rows whose two nearest it cannot tell apart are looked at again here."""
    labels, gap = on_gpu.nearest_two(points, centroids, device)
    lengths = squares(points) + float(squares(centroids).max(initial=0.0))
    unsure = np.flatnonzero(gap <= 2 * _CLOSE * lengths)
    labels[unsure] = assign(points[unsure], centroids, spherical)[0]
    return labels, _away(points, centroids, labels, spherical)


def _away(points: np.ndarray, centroids: np.ndarray, labels: np.ndarray, spherical: bool) -> np.ndarray:
    """float32[n], the distance of each point to its centroid: |x - c|^2 = 2 (1 - cos) for unit x and c, without the cancellation
    of 1 - x.c."""
    return (squares(points - centroids[labels]) * (0.5 if spherical else 1.0)).astype(np.float32)


def whole_rounds(vectors: np.ndarray, centroids: np.ndarray, rounds: int, spherical: bool, threads: int) -> np.ndarray:
    """float32[k, d] after that many rounds over all rows, of which SPAN are in memory at a time."""
    for _ in range(rounds):
        totals, sizes = np.zeros(centroids.shape), np.zeros(len(centroids), np.int64)
        for start in range(0, len(vectors), SPAN):
            points = as_points(vectors[start : start + SPAN], spherical)
            labels, _ = assign_all(points, centroids, False, threads)
            add_by_label(points, labels, totals, threads)
            sizes += np.bincount(labels, minlength=len(centroids))
        centroids = centres(totals, sizes, centroids, spherical)
    return centroids
