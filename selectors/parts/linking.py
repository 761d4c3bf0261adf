"""Numba: pairs of rows that are alike, read out of blocks of squared distances, without a list of them being kept."""

import numpy as np
from numba import njit

CLOSE = 1e-5  # float32 squared distances of unit rows this near to the limit are worked out again in float64


@njit(cache=True, nogil=True)
def root(forest: np.ndarray, x: int) -> int:
    """The smallest member of the set of `x`; shortens the path on the way."""
    while forest[x] != x:
        forest[x] = forest[forest[x]]
        x = forest[x]
    return x


@njit(cache=True, nogil=True)
def unite(forest: np.ndarray, x: int, y: int) -> None:
    """Make the sets of `x` and `y` one; the smaller root is the root of both."""
    a, b = root(forest, x), root(forest, y)
    if a < b:
        forest[b] = a
    else:
        forest[a] = b


@njit(cache=True, nogil=True)
def flat(forest: np.ndarray) -> np.ndarray:
    """int64[n], the root of each."""
    roots = forest.copy()
    for x in range(len(roots)):  # upwards: a parent is smaller than its child, so it is final already
        roots[x] = roots[roots[x]]
    return roots


@njit(cache=True, nogil=True)
def apart(points: np.ndarray, x: int, y: int) -> float:
    """The squared distance of two rows in float64: the same whatever block they are looked at in."""
    total = 0.0
    for c in range(points.shape[1]):
        gap = np.float64(points[x, c]) - np.float64(points[y, c])
        total += gap * gap
    return total


@njit(cache=True, nogil=True)
def gaps(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[m], the squared distance of each pair of rows."""
    found = np.empty(len(a))
    for k in range(len(a)):
        found[k] = apart(points, a[k], b[k])
    return found


@njit(cache=True, nogil=True)
def scan(
    squared: np.ndarray, left: np.ndarray, right: np.ndarray, same: bool, rank: np.ndarray, points: np.ndarray, limit: float,
    forest: np.ndarray, best: np.ndarray, better: np.ndarray,
) -> int:
    """How many pairs of a row of `left` and one of `right` lie nearer than `limit`; those are united.

    `squared` float32[left, right]; `forest` by rank, so that the best row is the root. The worse row of each pair learns of the
    better one in `best` and `better` if that is the nearest so far; equally near: the best. `same`: both are rows of one
    cluster, in its order, and a pair counts once.
    """
    pairs = 0
    for i in range(len(left)):
        x = left[i]
        for j in range(len(right)):
            y = right[j]
            if same and y >= x:
                break
            d = squared[i, j]
            if d < limit + CLOSE and (d < limit - CLOSE or apart(points, x, y) < limit):
                pairs += 1
                unite(forest, rank[x], rank[y])
            worse, other = (x, y) if rank[x] > rank[y] else (y, x)
            if d < best[worse] or (d == best[worse] and rank[other] < rank[better[worse]]):
                best[worse], better[worse] = d, other
    return pairs


@njit(cache=True, nogil=True)
def climb(upward: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """int64[n]: for each row the first one that stays on its way upward, itself where it stays; -1: there is none.

    `upward` int64[n] leads from each row to a better one, -1 where there is no better one.
    """
    found = np.empty(len(upward), np.int64)
    for x in range(len(upward)):
        y = x
        while y >= 0 and not stays[y]:
            y = upward[y]
        found[x] = y
    return found
