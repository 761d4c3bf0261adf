"""Clusters of bounded size, by k-means in levels: for numbers of clusters at which one k-means would be too dear."""

import numpy as np

from .cluster import Clusters, compact, kmeans
from .draw import SAMPLE, uniform
from .lloyd import as_points, centres, squares

_DEEP = 40  # levels; halves go down to one row long before


def bounded_kmeans(
    vectors: np.ndarray, k: int, *, seed: int, most: int | None = None, ids: np.ndarray | None = None,
    iterations: int = 20, sample_per_centroid: int = 256, spherical: bool = True, threads: int | None = None,
) -> Clusters:
    """About `k` clusters, none of more than `most` rows (None: four times the even share, rounded up).

    The rows are cut into the square root of k clusters, each of these into its share of the k, and whatever is still
    larger than `most` once more; rows that no centroid tells apart are cut by hash of (seed, id). A row's centroid is
    the mean of its own cluster; it need not be the nearest of all: that is what the bound and the speed cost.

    Cost: O(n sqrt(k) d) against O(n k d) of `kmeans`.  Raises ValueError as `kmeans` does, and on `most` below 1.
    """
    ids = np.arange(len(vectors)) if ids is None else np.asarray(ids)
    most = -(-4 * len(vectors) // max(k, 1)) if most is None else most
    if most < 1:
        raise ValueError(f"most is {most}; it must be 1 or more")
    fixed = {"iterations": iterations, "sample_per_centroid": sample_per_centroid, "spherical": spherical, "threads": threads}
    top = kmeans(vectors, max(1, round(k**0.5)), seed=seed, ids=ids, **fixed)  # type: ignore[arg-type]
    groups, depth = _members(np.arange(len(vectors)), top.labels, ids), 0
    wanted = [max(1, round(k * len(rows) / len(vectors))) for rows in groups]
    done: list[np.ndarray] = []
    while groups:
        depth += 1
        halves: list[np.ndarray] = []
        for rows, parts in zip(groups, wanted, strict=True):
            parts = max(parts, -(-len(rows) // most))
            if parts == 1 or len(rows) == 1:
                done.append(rows)
                continue
            found = kmeans(vectors[rows], parts, seed=seed + depth, ids=ids[rows], **fixed).labels  # type: ignore[arg-type]
            cut = _members(rows, found, ids)
            if len(cut) == 1 or depth > _DEEP:
                by_chance = rows[np.lexsort((ids[rows], uniform(seed, ids[rows], stream=SAMPLE)))]
                cut = [by_chance[i : i + most] for i in range(0, len(rows), most)]
            done += [c for c in cut if len(c) <= most]
            halves += [c for c in cut if len(c) > most]
        groups, wanted = halves, [1] * len(halves)
    return _clusters(vectors, ids, done, spherical)


def _members(rows: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> list[np.ndarray]:
    """The rows of each label, by id, so that the order of the rows decides nothing further down."""
    order = np.lexsort((ids[rows], labels))
    return np.split(rows[order], np.cumsum(np.bincount(labels))[:-1])


def _clusters(vectors: np.ndarray, ids: np.ndarray, groups: list[np.ndarray], spherical: bool) -> Clusters:
    labels, distance = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    means = np.empty((len(groups), vectors.shape[1]), np.float32)
    for j, rows in enumerate(groups):
        points = as_points(vectors[rows], spherical)
        total = points.sum(axis=0, dtype=np.float64)[None]
        means[j] = centres(total, np.array([len(rows)]), points[:1], spherical)[0]
        labels[rows], distance[rows] = j, squares(points - means[j]) * (0.5 if spherical else 1.0)
    return compact(labels, means, distance, np.argsort(ids, kind="stable"))
