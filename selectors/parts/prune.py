"""Redundancy: how alike each row is to a better one, and which rows are linked; in clusters, and across their borders.

Cosines are 1 - |x - y|^2 / 2 of unit rows. What lies within rounding of a threshold is decided in float64, so neither blocks
nor threads nor the order of the rows decide whether two rows are alike.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np

from .cluster import Clusters
from .linking import climb, flat, gaps, scan
from .lloyd import as_points, cores, side_by_side
from .neighbours import build

ROWS, COLUMNS = 1024, 8192  # of a block of distances
RANGED = 256  # rows that ask an index at a time
HELD = 1 << 28  # bytes of distances from borders that are kept rather than worked out again
PROBED = 32  # cells of the index that each of them looks into
_TOLD = 0.05  # centroids nearer to each other than this have no border: rounding would decide where it lies
_NONE = np.float32(np.inf)
Guard = AbstractContextManager[Any]  # a lock, or nothing


@dataclass
class Ranked:
    """Rows cluster by cluster, the best of each first, and what is known of their likeness; a row's number here is its place.

    Attributes:
        order: int64[n], the pool's row at each place.
        starts: int64[k + 1], where each cluster begins.
        rank: int64[n], 0 for the best of all rows.
        points: float32[n, d], unit rows.
        centroids: float32[k, d].
        forest: int64[n], by rank: rows that are linked, the best as the root.
        best, better: float32[n] the squared distance to the nearest better row that was looked at, int64[n] its place;
            inf and -1: there is none.
        pairs: pairs that were found alike.
    """

    order: np.ndarray
    starts: np.ndarray
    rank: np.ndarray
    points: np.ndarray
    centroids: np.ndarray
    forest: np.ndarray
    best: np.ndarray
    better: np.ndarray
    pairs: int = 0

    @classmethod
    def of(cls, vectors: np.ndarray, clusters: Clusters, best_first: np.ndarray) -> "Ranked":
        """Nothing is known yet. `best_first` int64[n]: all rows."""
        n, rank = len(best_first), np.empty(len(best_first), np.int64)
        rank[best_first] = np.arange(n)
        order = best_first[np.argsort(clusters.labels[best_first], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(clusters.sizes)]).astype(np.int64)
        return cls(order, starts, rank[order], as_points(vectors[order], True), clusters.centroids, np.arange(n),
                   np.full(n, _NONE), np.full(n, -1))

    def rows(self, cluster: int) -> np.ndarray:
        """The places of a cluster."""
        return np.arange(self.starts[cluster], self.starts[cluster + 1])

    def alike(self) -> np.ndarray:
        """float64[n] by pool row: the cosine to the most alike better row, -1 where none was looked at."""
        found = np.full(len(self.order), -1.0)
        has = np.flatnonzero(self.better >= 0)
        found[self.order[has]] = self.cosines(has, self.better[has])
        return found

    def cosines(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """float64[m], of the places `a` and `b`."""
        return 1 - gaps(self.points, a, b) / 2

    def components(self) -> np.ndarray:
        """int64[n] by pool row: the best row of those that it is linked with, over however many links."""
        at_rank = np.empty(len(self.order), np.int64)
        at_rank[self.rank] = self.order
        found = np.empty(len(self.order), np.int64)
        found[self.order] = at_rank[flat(self.forest)[self.rank]]
        return found

    def standing(self, stays: np.ndarray) -> np.ndarray:
        """int64[n] by pool row: which row of those that stay (bool[n], by pool row) each leads to, from a row to the most alike
        better one, and on; itself where it stays, -1: none."""
        top = climb(self.better, stays[self.order])
        found = np.full(len(self.order), -1)
        found[self.order] = np.where(top >= 0, self.order[top], -1)
        return found

    def similarity(self, to: np.ndarray) -> np.ndarray:
        """float64[n] by pool row: the cosine to the pool's row `to` int64[n]; NaN where that is -1 or the row itself."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(self.order))
        found, has = np.full(len(self.order), np.nan), np.flatnonzero((to >= 0) & (to != np.arange(len(to))))
        found[has] = self.cosines(place[has], place[to[has]])
        return found


def within(ranked: Ranked, eps: float | None, *, exact_up_to: int = 65_536, seed: int = 0, threads: int | None = None) -> None:
    """Look at all pairs of rows of one cluster; those whose cosine is above `1 - eps` are linked (None: none is).

    A cluster of more than `exact_up_to` rows is asked for such pairs only, by a range search in cells of an index (IVF), which
    may miss some; without `eps` every cluster is looked at whole.  Cost: O(n s d), s the rows of a cluster.
    """
    limit = -1.0 if eps is None else 2 * eps

    def one(cluster: int) -> int:
        rows = ranked.rows(cluster)
        if eps is not None and len(rows) > exact_up_to:
            return _by_index(ranked, rows, limit, seed)
        pairs = 0
        for low in range(0, len(rows), ROWS):
            here = rows[low : low + ROWS]
            for left in range(0, low + len(here), COLUMNS):
                pairs += _look(ranked, here, rows[left : min(left + COLUMNS, low + len(here))], True, limit, nullcontext())
        return pairs

    ranked.pairs += sum(side_by_side(one, range(len(ranked.starts) - 1), threads or cores()))


def _look(ranked: Ranked, left: np.ndarray, right: np.ndarray, same: bool, limit: float, busy: Guard) -> int:
    import faiss

    squared = faiss.pairwise_distances(ranked.points[left], ranked.points[right])
    with busy:  # two pairs of clusters may share one of them
        return int(scan(
            squared, left, right, same, ranked.rank, ranked.points, limit, ranked.forest, ranked.best, ranked.better))


def _by_index(ranked: Ranked, rows: np.ndarray, limit: float, seed: int) -> int:
    import faiss

    index, pairs = build(ranked.points[rows], "ivf", seed=seed).index, 0
    for low in range(0, len(rows), RANGED):
        options = faiss.SearchParametersIVF(nprobe=PROBED)
        ends, _, found = index.range_search(ranked.points[rows[low : low + RANGED]], 1 - limit / 2 - 1e-5, params=options)
        for i, (start, stop) in enumerate(pairwise(ends.tolist())):
            x, near = rows[low + i : low + i + 1], np.sort(rows[found[start:stop]])
            near = near[near < x[0]]
            if len(near):
                pairs += _look(ranked, x, near, True, limit, nullcontext())
    return pairs


def across(ranked: Ranked, eps: float | None, *, nearby: int | None = None, threads: int | None = None) -> int:
    """Look at pairs of rows of two clusters, of which one is among the `nearby` nearest of the other; link as `within` does.

    With `eps` only at rows near enough to the border between the two: for x of cluster a and y of cluster b the distances from
    the plane halfway between the centroids, each counted positive on the own side, are together at most |x - y|. So no pair
    of these clusters is missed, and none at all where `nearby` is None: all clusters. Answers how many pairs were compared.

    Cost: O(n nearby d) for the distances from the planes, and the pairs compared; all of the two clusters without `eps`.
    Raises ValueError on a negative `nearby`.
    """
    k = len(ranked.centroids)
    nearby = k if nearby is None else nearby
    if nearby < 0:
        raise ValueError(f"nearby is {nearby}; it must be 0 or more")
    if k < 2 or nearby == 0:
        return 0
    apart_by = _between(ranked.centroids)
    order = np.argsort(apart_by + np.where(np.eye(k, dtype=bool), np.inf, 0), axis=1, kind="stable")[:, : min(nearby, k - 1)]
    wanted = np.zeros((k, k), bool)
    np.put_along_axis(wanted, order, True, axis=1)
    wanted |= wanted.T
    reach = np.inf if eps is None else float(np.sqrt(2 * eps)) + 1e-4
    threads = threads or cores()
    nearest, held = np.full((k, k), -np.inf), dict[int, np.ndarray]()
    hold = 4 * float(wanted.sum(axis=1) @ np.diff(ranked.starts)) <= HELD
    if eps is not None:
        def lowest(a: int) -> None:
            sides = _sides(ranked, a, np.flatnonzero(wanted[a]), apart_by)
            nearest[a, wanted[a]] = sides.min(axis=0)
            if hold:
                held[a] = sides

        side_by_side(lowest, range(k), threads)
    busy = Lock()

    def side(a: int, b: int) -> np.ndarray:
        if a in held:
            return held[a][:, np.count_nonzero(wanted[a, :b])]
        return _sides(ranked, a, np.array([b]), apart_by)[:, 0]

    def one(a: int) -> tuple[int, int]:
        others = np.array([b for b in np.flatnonzero(wanted[a]) if b > a and nearest[a, b] + nearest[b, a] <= reach], np.int64)
        pairs = compared = 0
        for b in others.tolist():
            left, right = ranked.rows(a), ranked.rows(b)
            if eps is not None:
                left, right = left[side(a, b) <= reach - nearest[b, a]], right[side(b, a) <= reach - nearest[a, b]]
            found, looked = _cross(ranked, left, right, -1.0 if eps is None else 2 * eps, busy)
            pairs, compared = pairs + found, compared + looked
        return pairs, compared

    told = side_by_side(one, range(k), threads)
    ranked.pairs += sum(pairs for pairs, _ in told)
    return sum(compared for _, compared in told)


def _between(centroids: np.ndarray) -> np.ndarray:
    """float64[k, k], how far apart the centroids lie."""
    import faiss

    return np.sqrt(np.maximum(faiss.pairwise_distances(centroids, centroids), 0)).astype(np.float64)


def _sides(ranked: Ranked, a: int, others: np.ndarray, apart_by: np.ndarray) -> np.ndarray:
    """float32[rows of a, others]: how far on its own side of the plane halfway to each other centroid each row lies; -inf where
    the two centroids are too near to each other for that to be told."""
    import faiss

    rows, gap = ranked.points[ranked.starts[a] : ranked.starts[a + 1]], apart_by[a, others]
    squared = faiss.pairwise_distances(rows, ranked.centroids[np.append(a, others)])
    return np.where(gap > _TOLD, (squared[:, 1:] - squared[:, :1]) / (2 * np.maximum(gap, _TOLD)), -np.inf)


def _cross(ranked: Ranked, left: np.ndarray, right: np.ndarray, limit: float, busy: Guard) -> tuple[int, int]:
    pairs = 0
    for low in range(0, len(left), ROWS):
        for first in range(0, len(right), COLUMNS):
            pairs += _look(ranked, left[low : low + ROWS], right[first : first + COLUMNS], False, limit, busy)
    return pairs, len(left) * len(right)
