"""Numba: which rows share keys, which rows are the same, and which of a bucket's rows are alike.

A bucket is the rows of one key: bucket g is `rows[bounds[g]:bounds[g + 1]]`, distinct and ascending. Buckets ascend by key,
so that what is found does not depend on how the keys were cut into partitions.
"""

import numpy as np
from numba import njit

from .digest import M1, SEED, absorbed, mixed
from .jaccard import similarity
from .unionfind import root, unite

_3, _7 = np.uint64(3), np.uint64(7)
SHORT = 24  # runs up to this long are sorted by insertion


@njit(cache=True, nogil=True)
def flat(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, rows int64) of the ranges `values[start[row]:end[row]]`, one after the other."""
    total = (end - start).sum()
    keys, rows, filled = np.empty(total, np.uint64), np.empty(total, np.int64), 0
    for row in range(len(start)):
        for k in range(start[row], end[row]):
            keys[filled], rows[filled] = values[k], row
            filled += 1
    return keys, rows


@njit(cache=True, nogil=True)
def repeated(keys: np.ndarray) -> np.ndarray:
    """int64[m], ascending: the places of every key that occurs twice or more, and of a few that do not.

    One bit for each of 8 to 16 slots a key says that a key was there, another that one more was: tables small enough for
    a near cache. Most keys of a corpus are alone and never get sorted.
    """
    bits = 3
    while (1 << bits) < 8 * len(keys):
        bits += 1
    shift, met = np.uint64(64 - bits), 0
    once, twice = np.zeros(1 << (bits - 3), np.uint8), np.zeros(1 << (bits - 3), np.uint8)
    for k in range(len(keys)):
        slot = (keys[k] * M1) >> shift
        place, bit = slot >> _3, np.uint8(1) << np.uint8(slot & _7)
        if once[place] & bit:
            twice[place] |= bit
            met += 1
        once[place] |= bit
    found, filled = np.empty(2 * met + 1, np.int64), 0  # the second of a slot brings the first along
    for k in range(len(keys)):
        slot = (keys[k] * M1) >> shift
        found[filled] = k
        filled += int((twice[slot >> _3] >> np.uint8(slot & _7)) & 1)
    return found[:filled].copy()


@njit(cache=True, nogil=True)
def owners(end: np.ndarray, places: np.ndarray) -> np.ndarray:
    """int64[m]: the row of each of `places` (ascending), where row i ends before the place `end[i]` and i + 1 begins at it."""
    rows, row = np.empty(len(places), np.int64), 0
    for k in range(len(places)):
        while end[row] <= places[k]:
            row += 1
        rows[k] = row
    return rows


@njit(cache=True, nogil=True)
def _sort_run(rows: np.ndarray, low: int, high: int) -> None:
    if high - low > SHORT:
        rows[low:high] = np.sort(rows[low:high])
        return
    for i in range(low + 1, high):
        value, j = rows[i], i
        while j > low and rows[j - 1] > value:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = value


@njit(cache=True, nogil=True)
def runs(keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(keys, rows, bounds): the buckets of two different rows or more. `keys` ascend; `rows` is overwritten."""
    n = len(keys)
    bounds, found, filled, buckets, low = np.zeros(n // 2 + 2, np.int64), np.empty(n // 2 + 1, np.uint64), 0, 0, 0
    while low < n:
        high = low + 1
        while high < n and keys[high] == keys[low]:
            high += 1
        if high - low > 1:
            _sort_run(rows, low, high)
            begin = filled
            for k in range(low, high):
                if filled == begin or rows[filled - 1] != rows[k]:
                    rows[filled] = rows[k]
                    filled += 1
            if filled - begin > 1:
                found[buckets] = keys[low]
                buckets += 1
                bounds[buckets] = filled
            else:
                filled = begin
        low = high
    return found[:buckets].copy(), rows[:filled].copy(), bounds[: buckets + 1].copy()


@njit(cache=True, nogil=True)
def spanning(parent: np.ndarray, rows: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) int64: the pairs of neighbours in a bucket that were not in one set of `parent` yet, and now are."""
    a, b, filled = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64), 0
    for g in range(len(bounds) - 1):
        for k in range(bounds[g] + 1, bounds[g + 1]):
            if unite(parent, rows[k - 1], rows[k]):
                a[filled], b[filled] = rows[k - 1], rows[k]
                filled += 1
    return a[:filled].copy(), b[:filled].copy()


@njit(cache=True, nogil=True)
def key_sums(keys: np.ndarray, rows: np.ndarray, bounds: np.ndarray, n: int) -> np.ndarray:
    """uint64[n]: a hash of the set of keys that each row shares with others; 0 for a row in no bucket."""
    sums = np.zeros(n, np.uint64)
    for g in range(len(keys)):
        h = mixed(keys[g] ^ SEED) | np.uint64(1)
        for k in range(bounds[g], bounds[g + 1]):
            sums[rows[k]] += h
    return sums


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
    order: np.ndarray, leader: int, hashes: np.ndarray, sums: np.ndarray, sets: tuple[np.ndarray, np.ndarray, np.ndarray],
    first: np.ndarray,
) -> int:
    """Write to `first` the smallest row with the same shared keys (`sums`) and the same set, for each row in `order`.

    `order` lists rows by (hash, row); `sets` are (values, start, end). Answers the last such smallest row: with it as
    `leader` (at first -1) the next stretch of the order can follow.
    """
    for row in order:
        if leader < 0 or hashes[leader] != hashes[row] or sums[leader] != sums[row] or not _same(*sets, leader, row):
            leader = row
        first[row] = leader
    return leader


@njit(cache=True, nogil=True)
def ranked(rows: np.ndarray, bounds: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(members, bounds): the buckets with each row's `rank` in its place, ascending; rows of rank -1 are left out."""
    members, kept, filled, buckets = np.empty(len(rows), np.int64), np.zeros(len(bounds), np.int64), 0, 0
    for g in range(len(bounds) - 1):
        begin = filled
        for k in range(bounds[g], bounds[g + 1]):
            if rank[rows[k]] >= 0:
                members[filled] = rank[rows[k]]
                filled += 1
        if filled - begin > 1:
            _sort_run(members, begin, filled)
            buckets += 1
            kept[buckets] = filled
        else:
            filled = begin
    return members[:filled].copy(), kept[: buckets + 1].copy()


@njit(cache=True, nogil=True)
def alike(
    members: np.ndarray, bounds: np.ndarray, places: tuple[int, int], parent: np.ndarray,
    sets: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float, reach: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, similarity) of pairs that join sets of `parent`: x and y share a bucket and are alike.

    Each of `members[places[0]:places[1]]` is compared with the `reach` before it in its bucket, unless they are in one
    set of `parent` already; `sets` are (values, start, end) by member.
    """
    values, start, end = sets
    size = min(places[1] - places[0], len(parent))
    x_of, y_of, found = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.float64)
    filled = 0
    g = np.searchsorted(bounds, places[0], side="right") - 1
    for i in range(places[0], places[1]):
        while i >= bounds[g + 1]:
            g += 1
        x = members[i]
        for j in range(i - 1, max(bounds[g], i - reach) - 1, -1):
            y = members[j]
            if root(parent, x) == root(parent, y):
                continue
            value = similarity(values, start[x], end[x], start[y], end[y], threshold)
            if value >= 0.0:
                unite(parent, x, y)
                if filled == size:  # one member can join several sets
                    size *= 2
                    x_of, y_of, found = _larger(x_of, size), _larger(y_of, size), _larger(found, size)
                x_of[filled], y_of[filled], found[filled] = x, y, value
                filled += 1
    return x_of[:filled].copy(), y_of[:filled].copy(), found[:filled].copy()


@njit(cache=True, nogil=True)
def _larger(values: np.ndarray, size: int) -> np.ndarray:
    out = np.empty(size, values.dtype)
    out[: len(values)] = values
    return out


@njit(cache=True, nogil=True)
def pairs_within(rows: np.ndarray, bounds: np.ndarray, reach: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) int64: all pairs among the first `reach` rows of each bucket, bucket by bucket while they are below `most`."""
    a, b, filled = np.empty(most, np.int64), np.empty(most, np.int64), 0
    for g in range(len(bounds) - 1):
        high = min(bounds[g + 1], bounds[g] + reach)
        if filled + (high - bounds[g]) * (high - bounds[g] - 1) // 2 > most:
            break
        for i in range(bounds[g], high):
            for j in range(bounds[g], i):
                a[filled], b[filled] = rows[j], rows[i]
                filled += 1
    return a[:filled].copy(), b[:filled].copy()
