"""Numba: 64-bit SimHashes of texts, and pairs of them that differ in few bits."""

import numpy as np
from numba import njit

from .folding import Texts, decoded, fold, lower, scratch_size
from .md5 import LANES, first_halves, scratch
from .shingling import CHARACTER, SPACE
from .unionfind import root, unite

BITS = 64
_1, _2, _4, _56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


@njit(cache=True, nogil=True)
def _space_tokens(text: np.ndarray, n: int, begin: np.ndarray, end: np.ndarray) -> int:
    """Drop all spaces of `text[:n]` but one between tokens; note where each token is; answers how many."""
    size, count, i = 0, 0, 0
    while i < n:
        if text[i] == 32:
            i += 1
            continue
        if count:
            text[size] = 32
            size += 1
        begin[count] = size
        while i < n and text[i] != 32:
            text[size] = text[i]
            size += 1
            i += 1
        end[count] = size
        count += 1
    return count


@njit(cache=True, nogil=True)
def _part_tokens(text: np.ndarray, n: int, separators: np.ndarray, begin: np.ndarray, end: np.ndarray) -> int:
    """Put a space for each separating code point of `text[:n]`; note the parts between, empty ones too; answers how many."""
    if n == 0:
        return 0
    size, count, i = 0, 0, 0
    begin[0] = 0
    while i < n:
        point, width = decoded(text, i, n)
        if point < len(separators) and separators[point]:
            end[count] = size
            text[size] = 32
            size += 1
            count += 1
            begin[count] = size
        else:
            for k in range(width):
                text[size + k] = text[i + k]
            size += width
        i += width
    end[count] = size
    return count + 1


@njit(cache=True, nogil=True)
def _character_tokens(text: np.ndarray, n: int, begin: np.ndarray, end: np.ndarray) -> int:
    i, count = 0, 0
    while i < n:
        begin[count] = i
        i += decoded(text, i, n)[1]
        end[count] = i
        count += 1
    return count


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
    mode, window, lowercase = how
    n, room = len(texts.start), scratch_size(texts)
    text, hashes, memory = np.empty(room + 16, np.uint8), np.empty(LANES, np.uint64), scratch()
    begin, end, ones = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(BITS, np.int32)
    out, there = np.zeros(n, np.uint64), np.zeros(n, np.bool_)
    for row in range(n):
        if not texts.valid[row]:
            continue
        data = texts.spare if texts.patched[row] else texts.data
        start, stop = texts.start[row], texts.end[row]
        size = lower(data, start, stop, tables[0], text) if lowercase else fold(data, start, stop, tables[0], text)
        if mode == SPACE:
            count = _space_tokens(text, size, begin, end)
        elif mode == CHARACTER:
            count = _character_tokens(text, size, begin, end)
        else:
            count = _part_tokens(text, size, tables[1], begin, end)
        if count:
            width = min(window, count)
            there[row] = True
            out[row] = _majority(text, begin, end[width - 1 :], count - width + 1, ones, memory, hashes)
    return out, there


@njit(cache=True, nogil=True)
def differing(x: np.uint64, y: np.uint64) -> int:
    """Bits in which two hashes differ."""
    v = x ^ y
    v -= (v >> _1) & np.uint64(0x5555555555555555)
    v = (v & np.uint64(0x3333333333333333)) + ((v >> _2) & np.uint64(0x3333333333333333))
    v = (v + (v >> _4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((v * np.uint64(0x0101010101010101)) >> _56)


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
                if differing(hashes[x], hashes[order[j]]) <= most and root(parent, x) != root(parent, order[j]):
                    unite(parent, x, order[j])
                    room[filled, 0], room[filled, 1] = x, order[j]
                    filled += 1
        low = high
    return filled
