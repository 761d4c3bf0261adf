"""Numba: which rows share keys, which rows are the same, and which of a bucket's rows are alike."""

import numpy as np
from numba import njit

from .digest import SEED, absorbed, mixed
from .jaccard import similarity
from .unionfind import root, unite


@njit(cache=True, nogil=True)
def repeated(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(keys uint64, rows int64), rows ascending: every key that stands in two rows or more, and a few that do not.

    Two bits count the keys of each of 8 to 16 slots a key; most keys of a corpus are alone and never get sorted.
    """
    total = (end - start).sum()
    bits = 3
    while (1 << bits) < 8 * total:
        bits += 1
    shift = np.uint64(64 - bits)
    counts = np.zeros(1 << (bits - 2), np.uint8)
    many = 0
    for row in range(len(start)):
        for k in range(start[row], end[row]):
            slot = np.int64(mixed(values[k]) >> shift)
            place = np.uint8(2 * (slot & 3))
            seen = (counts[slot >> 2] >> place) & 3
            if seen < 2:
                counts[slot >> 2] += np.uint8(1) << place
            many += 1 if seen == 2 else 2 * seen  # the second to come brings the first along
    keys, rows, filled = np.empty(many, np.uint64), np.empty(many, np.int64), 0
    for row in range(len(start)):
        for k in range(start[row], end[row]):
            slot = np.int64(mixed(values[k]) >> shift)
            if (counts[slot >> 2] >> np.uint8(2 * (slot & 3))) & 3 >= 2:
                keys[filled], rows[filled] = values[k], row
                filled += 1
    return keys[:filled], rows[:filled]


@njit(cache=True, nogil=True)
def list_hashes(values: np.ndarray, start: np.ndarray, end: np.ndarray, hashes: np.ndarray) -> None:
    """Stir the content of each row's list into its uint64 of `hashes`."""
    for row in range(len(start)):
        h = hashes[row] + SEED + np.uint64(end[row] - start[row])
        for k in range(start[row], end[row]):
            h = absorbed(h, values[k])
        hashes[row] = mixed(h)


@njit(cache=True, nogil=True)
def _same(values: np.ndarray, start: np.ndarray, end: np.ndarray, x: int, y: int) -> bool:
    if end[x] - start[x] != end[y] - start[y]:
        return False
    same = True
    for k in range(end[x] - start[x]):
        same &= values[start[x] + k] == values[start[y] + k]
    return same


@njit(cache=True, nogil=True)
def first_same(
    order: np.ndarray, hashes: np.ndarray, keys: tuple[np.ndarray, np.ndarray, np.ndarray],
    sets: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """int64[n]: smallest row with the same keys and the same set; -1 for rows that `order` leaves out.

    `order` lists rows by (hash, row); `keys` and `sets` are (values, start, end).
    """
    first = np.full(len(hashes), -1, np.int64)
    leader = -1
    for row in order:
        if leader >= 0 and hashes[leader] == hashes[row] and _same(*keys, leader, row) and _same(*sets, leader, row):
            first[row] = leader
        else:
            first[row] = leader = row
    return first


@njit(cache=True, nogil=True)
def alike(
    members: np.ndarray, bounds: np.ndarray, count: int, sets: tuple[np.ndarray, np.ndarray, np.ndarray],
    threshold: float, reach: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, similarity) of pairs that span the components of 0 ... count - 1: x and y share a bucket and are alike.

    Bucket g is `members[bounds[g]:bounds[g + 1]]`, ascending. Each member is compared with the `reach` before it, unless
    they are in one component already. A negative threshold takes each bucket as one component, similarity NaN.
    """
    values, start, end = sets
    parent = np.arange(count)
    x_of, y_of, found = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.float64)
    filled = 0
    for g in range(len(bounds) - 1):
        low = bounds[g]
        for i in range(low + 1, bounds[g + 1]):
            x = members[i]
            for j in range(i - 1, max(low, i - reach) - 1, -1):
                y = members[j]
                if root(parent, x) == root(parent, y):
                    continue
                value = np.nan
                if threshold >= 0.0:
                    value = similarity(values, start[x], end[x], start[y], end[y], threshold)
                    if value < 0.0:
                        continue
                unite(parent, x, y)
                x_of[filled], y_of[filled], found[filled] = x, y, value
                filled += 1
    return x_of[:filled], y_of[:filled], found[:filled]
