"""Numba: exact Jaccard similarity of sorted sets, given as ranges of one uint64 array."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def similarity(values: np.ndarray, i: int, i_end: int, j: int, j_end: int, least: float) -> float:
    """|A and B| / |A or B| of `values[i:i_end]` and `values[j:j_end]`, or -1.0 as soon as it must be below `least`.

    Both ranges are sorted and distinct. Two empty sets: -1.0 (nothing in common to speak of).
    """
    total = (i_end - i) + (j_end - j)
    # at least this many of the `total` elements must find their equal
    needed = 2.0 * least / (1.0 + least) * total - 1e-6
    left, both = total, 0
    while i < i_end and j < j_end and left >= needed:
        x, y = values[i], values[j]
        both += x == y
        left -= x != y
        i += x <= y
        j += y <= x
    if total == 0 or left < needed:
        return -1.0
    exact = both / (total - both)
    return exact if exact >= least else -1.0


@njit(cache=True, nogil=True)
def similarities(values: np.ndarray, start: np.ndarray, end: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[m]: Jaccard of the sets of rows a[k] and b[k]; 0.0 where both are empty."""
    out = np.empty(len(a), np.float64)
    for k in range(len(a)):
        out[k] = max(similarity(values, start[a[k]], end[a[k]], start[b[k]], end[b[k]], 0.0), 0.0)
    return out
