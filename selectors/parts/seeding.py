"""Where k-means starts: points far apart, drawn by hash, so that no planted cluster is left without a centroid."""

import math

import numpy as np

from .draw import START, uniform

_SAME = 1e-6  # squared distances below this share of the largest squared length are rounding: the points are equal


def spread_out(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """float32[<= k, d], rows of `points` by greedy k-means++; fewer than `k` where fewer differ.

    Each next one is drawn with probability proportional to the squared distance to those chosen, 2 + ln k times, and
    the draw that lowers the sum of these distances most is kept. The farthest point is tried as well: it finds the
    small cluster far out that draws by distance miss. `points` come in the order of their chance; the first
    `candidates(k)` are looked at.

    Cost: O(k^2 log k d), about two rounds of k-means on 256 points a centroid.
    Source: Arthur & Vassilvitskii 2007, section 5.
    """
    import faiss

    points = np.ascontiguousarray(points[: candidates(k)], np.float32)
    tries = 2 + int(math.log(k))
    chance = uniform(seed, np.arange(k * tries), stream=START).reshape(k, tries)
    floor = _SAME * float(np.einsum("ij,ij->i", points, points).max())
    chosen = [0]
    gap = _gaps(faiss.pairwise_distances(points[:1], points), floor)[0]
    while len(chosen) < min(k, len(points)):
        mass = np.cumsum(gap, dtype=np.float64)
        if mass[-1] <= 0:
            break
        drawn = np.searchsorted(mass, chance[len(chosen)] * mass[-1])
        tried = np.unique(np.append(drawn, gap.argmax()))
        after = np.minimum(gap, _gaps(faiss.pairwise_distances(points[tried], points), floor))
        best = int(after.sum(axis=1, dtype=np.float64).argmin())
        chosen.append(int(tried[best]))
        gap = after[best]
    return points[chosen]


def candidates(k: int) -> int:
    """How many rows are looked at as centres to be: 4,096, enough to meet small clusters while there are few; 4 per centroid
    once there are many and none matters much."""
    return max(4096, 4 * k)


def _gaps(squared: np.ndarray, floor: float) -> np.ndarray:
    squared[squared < floor] = 0.0
    return squared
