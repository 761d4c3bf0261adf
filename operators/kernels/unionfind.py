"""Numba: disjoint sets as a parent array, the smallest member being the root."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def root(parent: np.ndarray, x: int) -> int:
    """The smallest member of the set of `x`; shortens the path on the way."""
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(cache=True, nogil=True)
def unite(parent: np.ndarray, x: int, y: int) -> bool:
    """Make the sets of `x` and `y` one; answers whether they were two."""
    a, b = root(parent, x), root(parent, y)
    if a == b:
        return False
    parent[max(a, b)] = min(a, b)
    return True


@njit(cache=True, nogil=True)
def labels(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """int64[n]: smallest member of the component of each of 0 ... n - 1, under the edges a[k] - b[k]."""
    parent = np.arange(n)
    for k in range(len(a)):
        unite(parent, a[k], b[k])
    for x in range(n):  # upwards: a parent is smaller than its child, so it is final already
        parent[x] = parent[parent[x]]
    return parent
