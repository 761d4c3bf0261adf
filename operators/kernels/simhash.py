"""Numba: 64-bit SimHashes of texts, and pairs of them that differ in few bits."""

import numpy as np
from numba import njit

from .blocks import bits
from .folding import Texts
from .md5 import LANES, first_halves, scratch
from .tokens import room_for, row_tokens
from .unionfind import root, unite

BITS = 64
_1 = np.uint64(1)


@njit(cache=True, nogil=True)
def _majority(
    text: np.ndarray, begin: np.ndarray, end: np.ndarray, many: int, ones: np.ndarray,
    memory: tuple[np.ndarray, np.ndarray, np.ndarray], hashes: np.ndarray,
) -> np.uint64:
    """The bits that are set in more than half of the hashes of `text[begin[k]:end[k]]`, k < many."""
    ones[:] = 0
    for low in range(0, many, LANES):
        high = min(low + LANES, many)
        first_halves(text, begin, end, low, high, memory, hashes)
        for k in range(high - low):
            h = hashes[k]
            for bit in range(BITS):
                ones[bit] += np.int32((h >> np.uint64(bit)) & _1)
    value = np.uint64(0)
    for bit in range(BITS):
        if 2 * np.int64(ones[bit]) > many:
            value |= _1 << np.uint64(bit)
    return value


@njit(cache=True, nogil=True)
def simhashes(
    texts: Texts, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64[n], there bool[n]) of each text; a row without tokens has none. `how`, `tables`: as of `shingle_row`."""
    n, room, ones = len(texts.start), room_for(texts), np.empty(BITS, np.int32)
    hashes, memory = np.empty(LANES, np.uint64), scratch()
    out, there = np.zeros(n, np.uint64), np.zeros(n, np.bool_)
    for row in range(n):
        count = row_tokens(texts, row, how, tables, room)
        if count:
            width = min(how[1], count)
            there[row] = True
            out[row] = _majority(room[1], room[2], room[3][width - 1 :], count - width + 1, ones, memory, hashes)
    return out, there


@njit(cache=True, nogil=True)
def near_in_order(
    hashes: np.ndarray, order: np.ndarray, mask: np.uint64, most: int, parent: np.ndarray, room: np.ndarray
) -> int:
    """Unite the hashes that agree under `mask`, by which `order` sorts them, and differ in at most `most` bits.

    Writes the pairs that united two sets into `room` int64[n, 2]; answers how many.
    """
    filled, low = 0, 0
    while low < len(order):
        high = low + 1
        while high < len(order) and (hashes[order[high]] ^ hashes[order[low]]) & mask == 0:
            high += 1
        for i in range(low + 1, high):
            x = order[i]
            for j in range(low, i):
                if bits(hashes[x] ^ hashes[order[j]]) <= most and root(parent, x) != root(parent, order[j]):
                    unite(parent, x, order[j])
                    room[filled, 0], room[filled, 1] = x, order[j]
                    filled += 1
        low = high
    return filled
