"""Clusters that keep their names while a pool grows: yesterday's centroids as the start of today's, split and merged by rule."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .choose import Kind, Number, clusters_of, number_of_clusters
from .cluster import Clusters, compact, default_k
from .lloyd import as_points, assign_all, cores, lloyd, squares, whole_rounds

_ROUNDS = 8  # how often what a split has left is looked at again
_LEAST = 2  # rows of a cluster that a split may leave: a single row is an outlier, no skill
_POWER = 20  # rounds of power iteration: far more than telling two sides apart takes
_HALVES = 0.5  # of the widths: two new clusters nearer than this are parts of one group that had lain across a border
_SAME = 1e-6  # centroids nearer than this are one, however narrow their clusters


@dataclass(frozen=True)
class Rules:
    """When a cluster is no longer the one it was.

    Attributes:
        split_size: split above so many times the mean number of rows of a cluster.
        split_width: split above so many times its own width (mean distance to the centre) of the time before; of one that was
            narrower than the median cluster, above so many times that median.
        merge: two become one where their centres are nearer than this share of the smaller of their widths, unless
            together they are to be split; of two clusters that are both new, than half of it.
    """

    split_size: float = 4.0
    split_width: float = 2.0
    merge: float = 0.1


@dataclass(frozen=True)
class Known:
    """The clusters of a pool as they were stored; none at first.

    Attributes:
        centroids: float32[k, d], unit rows.
        names: int64[k], distinct, never given again to another cluster.
        widths: float64[k], mean distance to the centre (1 - cosine) of the rows that the pool held when they were stored.
        following: the next name.
    """

    centroids: np.ndarray = field(default_factory=lambda: np.empty((0, 1), np.float32))
    names: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    widths: np.ndarray = field(default_factory=lambda: np.empty(0))
    following: int = 0
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Named:
    """A clustering, the name of each cluster, and what has become of the clusters known before."""

    clusters: Clusters
    names: np.ndarray
    following: int
    events: tuple[dict[str, Any], ...] = ()
    k_facts: dict[str, Any] = field(default_factory=dict)

    def facts(self, known: Known | None) -> dict[str, Any]:
        """How many clusters; of a pool's, also their names and what has become of those that were known."""
        told: dict[str, Any] = {"k": len(self.names), **self.k_facts}
        if known is None:
            return told
        stayed = len(np.intersect1d(known.names, self.names))
        return told | {"clusters": self.names.tolist(), "known": len(known.names), "kept": stayed, "events": list(self.events)}

    def remembered(self, kept: np.ndarray) -> dict[str, np.ndarray]:
        """What the next time starts from; sizes and widths are those of the rows `kept`, which is what the pool then holds."""
        labels, distance, k = self.clusters.labels[kept], self.clusters.distance[kept], len(self.names)
        return {"centroids": self.clusters.centroids, "names": self.names, "widths": _widths(labels, distance, k),
                "sizes": np.bincount(labels, minlength=k), "following": np.array([self.following])}


def named_clusters(
    vectors: np.ndarray, known: Known | None, *, k: Number, kind: Kind, seed: int, ids: np.ndarray, iterations: int,
    sample_per_centroid: int, most: int | None,
) -> Named:
    """Spherical clusters of the rows, named: from scratch (names 0, 1, 2 ... from the largest) where none are known, else `warm`.

    With clusters known, `k` bounds splits alone: up to twice that number of clusters.
    """
    if known is None or not len(known.names):
        asked, facts = number_of_clusters(vectors, k, seed=seed, ids=ids, spherical=True)
        found = clusters_of(vectors, asked, kind=kind, seed=seed, ids=ids, iterations=iterations,
                            sample_per_centroid=sample_per_centroid, spherical=True, most=most)
        count = len(found.centroids)
        first = 0 if known is None else known.following
        return Named(found, first + np.arange(count), first + count, k_facts=facts)
    asked = k if isinstance(k, int) else default_k(len(vectors))
    return warm(vectors, known, ids=ids, most=max(2 * asked, len(known.names)), iterations=iterations)


def warm(vectors: np.ndarray, known: Known, *, ids: np.ndarray, most: int, iterations: int = 20) -> Named:
    """Clusters of the rows that begin as the known ones, each with the name it had.

    Every row goes to its nearest known centre. Clusters without rows end. Clusters too large or too wide (`Rules`) are cut in
    two across their longest axis and settled by 2-means, up to `most` clusters; the half nearer to the old centre keeps the
    name. Then all centres move by k-means over all rows, until none changes or `iterations`; then those that have come too
    near to one another are merged: the older name stays. A name that has ended is not given again.

    Events: `split` (of, new, why), `merged` (into, of), `emptied`.  The order of the rows and threads change no bit.
    Cost: O(n k d) per round.
    """
    if known.centroids.shape[1] != vectors.shape[1]:
        raise ValueError(f"the pool's clusters have {known.centroids.shape[1]} dimensions, the rows {vectors.shape[1]}")
    order = np.argsort(ids, kind="stable")
    state = _State(as_points(vectors[order], True), known)
    state.drop_empty()
    state.split(most)
    for _ in range(iterations):
        moved = whole_rounds(state.points, state.centroids, 1, True, cores())
        if np.array_equal(moved, state.centroids):
            break
        state.centroids = moved
    state.assign()
    state.drop_empty()
    state.merge()
    labels, distance = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    labels[order], distance[order] = state.labels, state.distance
    found = compact(labels, state.centroids, distance, order)
    largest_first = np.argsort(-np.bincount(labels, minlength=len(state.names)), kind="stable")[: len(found.centroids)]
    return Named(found, state.names[largest_first], state.following, tuple(state.events))


class _State:
    """The clusters on their way; rows are in the order of their ids."""

    def __init__(self, points: np.ndarray, known: Known) -> None:
        by_name = np.argsort(known.names, kind="stable")
        self.points, self.rules = points, known.rules
        self.centroids, self.names = known.centroids[by_name].astype(np.float32), known.names[by_name]
        narrow = float(np.median(known.widths))
        self.wide = dict(zip(self.names.tolist(), np.maximum(known.widths[by_name], narrow).tolist(), strict=True))
        self.following = self.first_new = known.following
        self.events: list[dict[str, Any]] = []
        self.siblings: set[tuple[int, int]] = set()
        self.assign()

    def assign(self) -> None:
        self.labels, self.distance = assign_all(self.points, self.centroids, True, cores())

    def sizes(self) -> np.ndarray:
        return np.bincount(self.labels, minlength=len(self.names))

    def drop_empty(self) -> None:
        stays = self.sizes() > 0
        self.events += [{"event": "emptied", "cluster": int(name)} for name in self.names[~stays]]
        number = np.cumsum(stays, dtype=np.int32) - 1
        self.centroids, self.names, self.labels = self.centroids[stays], self.names[stays], number[self.labels]

    def split(self, most: int) -> None:
        refused: set[int] = set()
        for _ in range(_ROUNDS):
            sizes, widths = self.sizes(), _widths(self.labels, self.distance, len(self.names))
            large = sizes > self.rules.split_size * len(self.points) / len(self.names)
            wide = widths > self.rules.split_width * np.array([self.wide[int(n)] for n in self.names]) + _SAME
            apart = np.array([int(name) not in refused for name in self.names])
            wanted = np.flatnonzero((large | wide) & (sizes >= 2 * _LEAST) & apart).tolist()
            wanted.sort(key=lambda i: (-sizes[i] * widths[i], self.names[i]))
            done = 0
            for i in wanted[: max(0, most - len(self.names))]:
                done += self._cut(i, "too large" if large[i] else "too wide", refused)
            if not done:
                return
            self.assign()

    def _cut(self, i: int, why: str, refused: set[int]) -> int:
        rows, name = self.points[self.labels == i], int(self.names[i])
        halves = _halves(rows)
        if halves is None:
            refused.add(name)
            return 0
        nearer = int(np.argmin(squares(halves - self.centroids[i])))
        self.centroids[i] = halves[nearer]
        self.centroids = np.concatenate([self.centroids, halves[1 - nearer][None]])
        self.names = np.append(self.names, self.following)
        self.wide[self.following] = self.wide[name]
        self.siblings.add((name, self.following))
        self.events.append({"event": "split", "cluster": name, "new": self.following, "why": why, "rows": len(rows)})
        self.following += 1
        return 1

    def merge(self) -> None:
        sizes, widths = self.sizes(), _widths(self.labels, self.distance, len(self.names))
        most = self.rules.split_size * len(self.points) / max(len(self.names), 1)
        into, free = np.arange(len(self.names)), np.ones(len(self.names), bool)  # each merges once
        for gap, a, b in self._near(widths):
            if free[a] and free[b] and (sizes[a] + sizes[b] <= most or gap <= _SAME):
                into[b], free[a], free[b] = a, False, False
                self.events.append({"event": "merged", "cluster": int(self.names[b]), "into": int(self.names[a])})
        for b in np.flatnonzero(into != np.arange(len(into))).tolist():
            middle = sizes[into[b]] * self.centroids[into[b]].astype(np.float64) + sizes[b] * self.centroids[b].astype(np.float64)
            self.centroids[into[b]] = middle / np.sqrt((middle * middle).sum())
        stays = into == np.arange(len(into))
        if not stays.all():
            self.centroids, self.names = self.centroids[stays], self.names[stays]
            self.assign()
            self.drop_empty()

    def _near(self, widths: np.ndarray) -> list[tuple[float, int, int]]:
        """(distance, older, younger) of the pairs of centres that are nearer than the rule, the nearest first."""
        found: list[tuple[float, int, int]] = []
        for a in range(len(self.names) - 1):
            gaps = squares(self.centroids[a + 1 :] - self.centroids[a]) / 2
            new = self.names >= self.first_new
            share = np.where(new[a] & new[a + 1 :], max(_HALVES, self.rules.merge), self.rules.merge)
            bound = np.maximum(share * np.minimum(widths[a], widths[a + 1 :]), _SAME)
            for j in np.flatnonzero(gaps <= bound).tolist():
                b = a + 1 + j
                older, younger = sorted((a, b), key=lambda i: int(self.names[i]))
                if (int(self.names[older]), int(self.names[younger])) not in self.siblings:
                    found.append((float(gaps[j]), older, younger))
        return sorted(found)


def _widths(labels: np.ndarray, distance: np.ndarray, k: int) -> np.ndarray:
    """float64[k]; each summed in the order of the distances, so that the order of the rows changes no bit."""
    upward = np.argsort(distance, kind="stable")
    sums = np.bincount(labels[upward], distance[upward].astype(np.float64), k)
    return np.asarray(sums / np.maximum(np.bincount(labels, minlength=k), 1))


def _halves(rows: np.ndarray) -> np.ndarray | None:
    """float32[2, d], the centres of two halves; None where the rows are one point, or a half would hold a single row."""
    middle = rows.mean(axis=0, dtype=np.float64)
    centred = rows - middle
    lengths = squares(centred)
    if lengths.max() <= _SAME:
        return None
    axis = centred[int(lengths.argmax())]
    for _ in range(_POWER):  # einsum, not BLAS, whose sums depend on the number of threads
        axis = np.einsum("i,ij->j", np.einsum("ij,j->i", centred, axis), centred)
        axis /= np.sqrt((axis * axis).sum())
    side = np.einsum("ij,j->i", centred, axis) > 0
    start = np.array([rows[~side].mean(axis=0, dtype=np.float64), rows[side].mean(axis=0, dtype=np.float64)])
    start /= np.sqrt(squares(start))[:, None]
    halves = lloyd(rows, start.astype(np.float32), 10, True, 1)
    labels, _ = assign_all(rows, halves, True, 1)
    return halves if np.bincount(labels, minlength=2).min() >= _LEAST else None
