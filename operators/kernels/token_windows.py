"""Numba: every run of a fixed number of tokens of a text, as hashes and places."""

import numpy as np
from numba import njit

from .digest import SEED, absorbed, load64, mixed
from .folding import Texts, decoded, is_space
from .units import Found

SALT = np.uint64(0xA0761D6478BD642F)  # of the second hash


@njit(cache=True, nogil=True)
def _token_hash(data: np.ndarray, p: int, end: int, h: np.uint64) -> np.uint64:
    h = h + np.uint64(end - p)
    while end - p >= 8:
        h = absorbed(h, load64(data, p))
        p += 8
    rest = np.uint64(0)
    if p + 8 <= len(data):
        rest = load64(data, p) & ((np.uint64(1) << np.uint64(8 * (end - p))) - np.uint64(1))
    else:
        for i in range(end - p):
            rest |= np.uint64(data[p + i]) << np.uint64(8 * i)
    return mixed(absorbed(h, rest))


@njit(cache=True, nogil=True)
def string_hashes(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """uint64[n]: a hash of each string `data[offsets[i]:offsets[i + 1]]`."""
    out = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(out)):
        out[i] = _token_hash(data, offsets[i], offsets[i + 1], SEED)
    return out


@njit(cache=True, nogil=True)
def _after(data: np.ndarray, at: int, end: int, inside: bool) -> int:
    """Where a run of white space (`inside` False) or of other characters (True) that begins at `at` is over."""
    while at < end:
        byte = data[at]
        if byte < 0x80:
            space, size = byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31, 1
        elif byte == 0xC2 or 0xE1 <= byte <= 0xE3:  # no other lead byte begins a space
            point, size = decoded(data, at, end)
            space = is_space(point)
        else:
            space, size = False, 1
        if space == inside:
            break
        at += size
    return at


@njit(cache=True, nogil=True)
def _tokens(data: np.ndarray, start: int, end: int, characters: bool, begin: np.ndarray, close: np.ndarray) -> int:
    """Fill in where each token of `data[start:end]` begins and ends; answers how many."""
    at, count = start, 0
    while True:
        if not characters:
            at = _after(data, at, end, False)
        if at >= end:
            return count
        begin[count] = at
        at = at + decoded(data, at, end)[1] if characters else _after(data, at, end, True)
        close[count] = at
        count += 1


@njit(cache=True, nogil=True)
def _windows(h: np.ndarray, count: int, width: int) -> None:
    """Turn token hashes h[:count] into hashes of the runs of `width` tokens, h[:count - width + 1]; `width` <= count.

    A run of 2k is the hash of two runs of k; one of any width, of the two longest of 2^j that cover it. Each step stirs,
    so that no pattern of tokens can make two runs collide as it can under a rolling polynomial.
    """
    have = 1
    while 2 * have <= width:
        for i in range(count - 2 * have + 1):
            h[i] = absorbed(h[i], h[i + have])
        have *= 2
    if have < width:
        for i in range(count - width + 1):
            h[i] = absorbed(h[i], h[i + width - have])


@njit(cache=True, nogil=True)
def window_units(texts: Texts, width: int, characters: bool) -> Found:
    """Every run of `width` tokens of each text: runs of characters that are no white space, or code points."""
    n, room, longest = len(texts.start), 0, 0
    for row in range(n):
        size = texts.end[row] - texts.start[row] if texts.valid[row] else 0
        longest = max(longest, size)
        room += size if characters else (size + 1) // 2
    key, check = np.empty(room, np.uint64), np.empty(room, np.uint64)
    places = np.empty((3, room), np.int32)
    begin, close = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    first, second = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    bounds, filled = np.zeros(n + 1, np.int64), 0
    for row in range(n):
        start, end = texts.start[row], texts.end[row]
        count = _tokens(texts.data, start, end, characters, begin, close) if texts.valid[row] else 0
        if count >= width:
            for i in range(count):
                first[i] = _token_hash(texts.data, begin[i], close[i], SEED)
                second[i] = _token_hash(texts.data, begin[i], close[i], SALT)
            _windows(first, count, width)
            _windows(second, count, width)
            for i in range(count - width + 1):
                key[filled], check[filled] = mixed(first[i]), mixed(second[i])
                places[0, filled] = begin[i] - start
                places[1, filled] = (begin[i + width] if i + width < count else end + 1) - start
                places[2, filled] = close[i - 1] - start if i > 0 else 0
                filled += 1
        bounds[row + 1] = filled
    return Found(bounds, key[:filled], check[:filled], places[0, :filled], places[1, :filled], places[2, :filled])
