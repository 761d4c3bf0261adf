"""k-medoids: rows of the pool as centres, for any distance; FasterPAM, and CLARA where the matrix would not fit.

The `kmedoids` package has the same algorithm in Rust; it is GPL-3.0, so it is what the tests compare with, not what
an Apache-2.0 package can lean on.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from .draw import SAMPLE, START, uniform
from .lloyd import as_points, squares

LIMIT = 10_000  # rows of a distance matrix: 400 MB as float32


@dataclass(frozen=True)
class Medoids:
    """k rows, each row's nearest of them (`labels`, by place in `rows`), and the sum of the distances."""

    rows: np.ndarray
    labels: np.ndarray
    loss: float


def kmedoids(
    vectors: np.ndarray, k: int, *, seed: int, ids: np.ndarray | None = None, spherical: bool = True, samples: int = 5,
    limit: int = LIMIT,
) -> Medoids:
    """`k` medoids of the rows: FasterPAM up to `limit` rows, above it CLARA with `samples` samples of `limit` rows at most.

    Distance: 1 - cosine where spherical, else Euclidean. Equal rows stand once among the medoids where others are left.
    Cost: O(n^2) memory and time per pass up to the limit; O(samples (s^2 + n k d)) above, s = max(80 + 4k, 2000).
    Source: Schubert & Rousseeuw 2021; Kaufman & Rousseeuw 1990; SPECS 9.1.
    """
    ids = np.arange(len(vectors)) if ids is None else np.asarray(ids)
    if not 1 <= k <= len(vectors):
        raise ValueError(f"k is {k}; there are {len(vectors)} rows")
    order = np.lexsort((ids, uniform(seed, ids, stream=START)))
    points = as_points(vectors, spherical)
    if len(points) <= limit:
        medoids, _ = fasterpam(distances(points[order], points[order], spherical), np.arange(k))
        return _assigned(points, order[medoids], spherical)
    return _clara(points, k, seed, ids, spherical, samples, limit)


def distances(a: np.ndarray, b: np.ndarray, spherical: bool) -> np.ndarray:
    """float32[n, m]: 1 - cosine of unit rows, or Euclidean."""
    dots = a @ b.T
    if spherical:
        return np.clip(1 - dots, 0, 2)  # type: ignore[no-any-return]
    lengths = squares(a)[:, None] + squares(b) - 2 * dots.astype(np.float64)
    return np.sqrt(np.maximum(lengths, 0)).astype(np.float32)  # type: ignore[no-any-return]


def _assigned(points: np.ndarray, medoids: np.ndarray, spherical: bool) -> Medoids:
    labels, loss = np.empty(len(points), np.int32), 0.0
    for start in range(0, len(points), 8192):
        away = distances(points[start : start + 8192], points[medoids], spherical)
        labels[start : start + 8192] = away.argmin(axis=1)
        loss += float(away.min(axis=1).sum(dtype=np.float64))
    labels[medoids] = np.arange(len(medoids))  # among equal rows a medoid is its own
    return Medoids(medoids.astype(np.int64), labels, loss)


def _clara(
    points: np.ndarray, k: int, seed: int, ids: np.ndarray, spherical: bool, samples: int, limit: int,
) -> Medoids:
    best: Medoids | None = None
    size = min(limit, len(points), max(80 + 4 * k, 2000))
    for turn in range(samples):
        drawn = np.lexsort((ids, uniform(seed + turn, ids, stream=SAMPLE)))[:size]
        if best is not None:  # the best so far are in each later sample
            drawn = np.concatenate([best.rows, drawn[~np.isin(drawn, best.rows)]])[:size]
        found, _ = fasterpam(distances(points[drawn], points[drawn], spherical), np.arange(k))
        here = _assigned(points, drawn[found], spherical)
        if best is None or here.loss < best.loss:
            best = here
    assert best is not None
    return best


def fasterpam(away: np.ndarray, start: np.ndarray, passes: int = 100) -> tuple[np.ndarray, float]:
    """int64[k], the medoids after eager swaps until none lowers the sum of distances, and that sum.

    `away` float32[n, n]; `start` the first medoids.
    """
    medoids = start.astype(np.int64).copy()
    return medoids, float(_fasterpam(np.ascontiguousarray(away, np.float32), medoids, passes))


@njit(cache=True, nogil=True)
def _two(away: np.ndarray, medoids: np.ndarray, near: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    for o in range(away.shape[0]):
        first[o], second[o], near[o] = np.inf, np.inf, 0
        for i in range(len(medoids)):
            d = away[o, medoids[i]]
            if d < first[o]:
                second[o], first[o], near[o] = first[o], d, i
            elif d < second[o]:
                second[o] = d


@njit(cache=True, nogil=True)
def _fasterpam(away: np.ndarray, medoids: np.ndarray, passes: int) -> float:
    n, k = away.shape[0], len(medoids)
    near, first, second = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    _two(away, medoids, near, first, second)
    if k == n:
        return 0.0
    chosen = np.zeros(n, np.bool_)
    chosen[medoids] = True
    since = 0  # candidates looked at since the last swap
    for j in range(passes * n):
        j %= n
        since += 1
        if since > n:
            break
        if chosen[j]:
            continue
        change, i = best_swap(away, j, near, first, second, k)
        if change < -1e-7 * (1 + abs(change)):
            chosen[medoids[i]], chosen[j] = False, True
            medoids[i] = j
            _two(away, medoids, near, first, second)
            since = 0
    return first.sum()


@njit(cache=True, nogil=True)
def best_swap(
    away: np.ndarray, j: int, near: np.ndarray, first: np.ndarray, second: np.ndarray, k: int,
) -> tuple[float, int]:
    """By how much the sum changes when row j takes the place of the medoid that it replaces best, and which that is."""
    delta, shared = np.zeros(k), 0.0
    for o in range(away.shape[0]):
        x, own = away[o, j], near[o]
        gap = second[o] - first[o] if second[o] < np.inf else 0.0
        delta[own] += gap
        if x < first[o]:
            shared += x - first[o]
            delta[own] -= gap
        elif x < second[o] and second[o] < np.inf:
            delta[own] += x - second[o]
        elif second[o] == np.inf:  # k = 1: all of it goes to the new one
            delta[own] += x - first[o]
    best = int(np.argmin(delta))
    return shared + delta[best], best
