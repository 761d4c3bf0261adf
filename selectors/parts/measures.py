"""What a choice is like, measured against the pool it was made from: how much of it is covered, how diverse it is."""

import numpy as np

from .lloyd import as_points, blocks, cores, side_by_side


def vendi(vectors: np.ndarray) -> float:
    """The effective number of different rows, 1 to n: exp of the entropy of the eigenvalues of the cosines / n.

    Empty: 0.  Cost: O(n d^2 + d^3), or O(n^2 d + n^3) where there are fewer rows than dimensions.
    Source: Friedman & Dieng 2023.
    """
    if not len(vectors):
        return 0.0
    points = as_points(vectors, True).astype(np.float64)
    kernel = points.T @ points if points.shape[1] < len(points) else points @ points.T
    shares = np.linalg.eigvalsh(kernel / len(points))
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def nearest_pick(vectors: np.ndarray, index: np.ndarray) -> np.ndarray:
    """float32[n], 1 - cosine of each row of the pool to the pick nearest to it; 0 for a pick. No picks: 1.

    Cost: O(n m d), blocks of distances.
    """
    if not len(index):
        return np.ones(len(vectors), np.float32)
    picks, away = as_points(vectors[index], True), np.empty(len(vectors), np.float32)

    def one(at: slice) -> None:
        away[at] = 1 - (as_points(vectors[at], True) @ picks.T).max(axis=1)

    side_by_side(one, blocks(len(vectors)), cores())
    away[index] = 0
    return np.maximum(away, 0)


def among_picks(vectors: np.ndarray, index: np.ndarray) -> float:
    """Mean 1 - cosine of each pick to the nearest other pick: how far apart the picks are. Fewer than two: 0."""
    if len(index) < 2:
        return 0.0
    picks, total = as_points(vectors[index], True), 0.0
    for at in blocks(len(picks)):
        cosines = picks[at] @ picks.T
        cosines[np.arange(at.stop - at.start), np.arange(at.start, at.stop)] = -1
        total += float((1 - cosines.max(axis=1)).clip(0).sum(dtype=np.float64))
    return total / len(picks)


def coverage(labels: np.ndarray, index: np.ndarray) -> float:
    """The share of the clusters that hold a pick; `labels` int[n], the cluster of each row of the pool."""
    return len(np.unique(labels[index])) / max(len(np.unique(labels)), 1)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Rows that two choices have in common, of all that either has (Jaccard); two empty ones: 1."""
    together = len(np.union1d(a, b))
    return len(np.intersect1d(a, b)) / together if together else 1.0
