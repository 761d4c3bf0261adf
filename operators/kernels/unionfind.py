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


@njit(cache=True, nogil=True)
def packed(parent: np.ndarray, weight: np.ndarray, most: int) -> np.ndarray:
    """int32[n]: trees of two rows or more packed in the order of their roots into blocks that weigh `most`; -1 if alone.

    A tree is never cut, so a block can be heavier. `parent` is flattened.
    """
    n = len(parent)
    total, alone = np.zeros(n, np.int64), np.ones(n, np.bool_)
    for x in range(n):  # upwards: a parent is smaller than its child, so it is final already
        parent[x] = parent[parent[x]]
        total[parent[x]] += weight[x]
        if parent[x] != x:
            alone[x] = alone[parent[x]] = False
    number, block, held = np.full(n, -1, np.int32), 0, 0
    for x in range(n):
        if alone[x]:
            continue
        if parent[x] == x:
            if held > 0 and held + total[x] > most:
                block, held = block + 1, 0
            held += total[x]
            number[x] = block
        else:
            number[x] = number[parent[x]]
    return number
