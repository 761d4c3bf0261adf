"""Loops that NumPy has no word for, compiled, and without the interpreter's lock so that threads run side by side."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def two_nearest(squared: np.ndarray, first: np.ndarray, best: np.ndarray, second: np.ndarray) -> None:
    """Into the three arrays: the column of each row's smallest number (the first of equals), it, and the next smallest."""
    for i in range(squared.shape[0]):
        low, next_low, at = np.inf, np.inf, 0
        for j in range(squared.shape[1]):
            value = squared[i, j]
            if value < next_low:
                if value < low:
                    next_low, low, at = low, value, j
                else:
                    next_low = value
        first[i], best[i], second[i] = at, low, next_low


@njit(cache=True, nogil=True)
def add_rows(points: np.ndarray, order: np.ndarray, ends: np.ndarray, low: int, high: int, totals: np.ndarray) -> None:
    """Add to row j of `totals`, for j from `low` to `high`, the points `order[ends[j]:ends[j + 1]]`, in that order.

    Who does which j changes no bit, so threads share the range out as they like.
    """
    for j in range(low, high):
        total = totals[j]
        for at in range(ends[j], ends[j + 1]):
            row = points[order[at]]
            for c in range(len(total)):
                total[c] += row[c]
