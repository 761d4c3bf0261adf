"""Counting the words, or groups of neighbouring words, of each row that are in a small set of hashes."""

import numpy as np
from numba import njit

from .ngrams import BASE, ONE, SCATTER, ZERO


def combine(parts: np.ndarray) -> np.ndarray:
    """uint64[m]: hash of each group, from the hashes of its words, uint64[m, size]. A group of one keeps its word's."""
    groups = np.zeros(len(parts), np.uint64)
    for word in parts.T:
        groups = groups * BASE + word
    return groups


@njit(cache=True, nogil=True)
def build_set(hashes: np.ndarray) -> np.ndarray:
    """Open-addressed table of `hashes`, at most a quarter full; 0 marks an empty slot."""
    size = 16
    while size < hashes.size * 4:
        size *= 2
    table, mask = np.zeros(size, np.uint64), np.uint64(size - 1)
    for value in hashes:
        slot = (value * SCATTER) >> np.uint64(32) & mask
        while table[slot] != ZERO and table[slot] != value:
            slot = slot + ONE & mask
        table[slot] = value
    return table


@njit(cache=True, nogil=True)
def count_members(offsets: np.ndarray, values: np.ndarray, size: int, table: np.ndarray) -> np.ndarray:
    """int64[n]: windows of `size` neighbouring values of each row whose combined hash is in `table`."""
    counts = np.zeros(offsets.size - 1, np.int64)
    mask = np.uint64(table.size - 1)
    for row in range(counts.size):
        for start in range(offsets[row], offsets[row + 1] - size + 1):
            group = ZERO
            for i in range(start, start + size):
                group = group * BASE + values[i]
            slot = (group * SCATTER) >> np.uint64(32) & mask
            while table[slot] != ZERO and table[slot] != group:
                slot = slot + ONE & mask
            counts[row] += table[slot] == group and group != ZERO
    return counts
