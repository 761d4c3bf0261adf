"""Numba: a text's bytes -> folded bytes -> token hashes -> shingle hashes, row by row in scratch memory.

Folding copies the text to scratch, which is what allows eight bytes to be read at a time, past a token's end.
"""

import numpy as np
from numba import njit

from .digest import SEED, absorbed, load64, mixed
from .folding import PADDING, Texts, decoded, fold, lower, scratch_size

SPACE, PUNCTUATION, CHARACTER = 0, 1, 2

_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_BASE = np.uint64(0x9FB21C651E98DF27)  # of the rolling polynomial; 3 mod 4, so that _BASE - 1 is twice an odd number
_1, _7, _56 = np.uint64(1), np.uint64(7), np.uint64(56)


@njit(cache=True, nogil=True)
def _hash_range(text: np.ndarray, p: int, end: int) -> int:
    h = SEED + np.uint64(end - p)
    while end - p >= 8:
        h = absorbed(h, load64(text, p))
        p += 8
    rest = (_1 << np.uint64(8 * (end - p))) - _1
    return absorbed(h, load64(text, p) & rest)


@njit(cache=True, nogil=True)
def split_spaces(text: np.ndarray, n: int, tokens: np.ndarray) -> int:
    """Hash the runs between spaces of `text[:n]` into `tokens`; answers how many. Eight bytes per look.

    `text[n:n + PADDING]` is readable and is overwritten with spaces.
    """
    for i in range(n, n + PADDING):
        text[i] = 32
    p, count = np.int64(0), 0
    while True:
        while p < n and text[p] == 32:
            p += 1
        if p >= n:
            return count
        start, h = p, SEED
        while True:
            word = load64(text, p)
            gap = word ^ _SPACES
            gap = (gap - _ONES) & ~gap & _TOPS  # the lowest set bit is the top bit of the first space
            if gap != 0:
                break
            h = absorbed(h, word)
            p += 8
        before = ((gap & (~gap + _1)) >> _7) - _1  # all bits of the bytes before it
        p += np.int64(((before & _ONES) * _ONES) >> _56)
        tokens[count] = absorbed(h + np.uint64(p - start), word & before)
        count += 1


@njit(cache=True, nogil=True)
def split_at(text: np.ndarray, n: int, separators: np.ndarray, tokens: np.ndarray) -> int:
    """Hash the parts (empty ones too) between separating code points of `text[:n]` into `tokens`; answers how many.

    `separators` bool[0x110000]. A text of no bytes has no part.
    """
    if n == 0:
        return 0
    i, start, count = 0, 0, 0
    while i < n:
        point, size = decoded(text, i, n)
        if point < len(separators) and separators[point]:
            tokens[count] = _hash_range(text, start, i)
            count += 1
            start = i + size
        i += size
    tokens[count] = _hash_range(text, start, n)
    return count + 1


@njit(cache=True, nogil=True)
def split_characters(text: np.ndarray, n: int, tokens: np.ndarray) -> int:
    """Hash each code point of `text[:n]` into `tokens`; answers how many."""
    i, count = 0, 0
    while i < n:
        point, size = decoded(text, i, n)
        tokens[count] = absorbed(SEED, np.uint64(point if size > 1 else text[i]))
        count += 1
        i += size
    return count


@njit(cache=True, nogil=True)
def windows(tokens: np.ndarray, count: int, width: int, out: np.ndarray) -> int:
    """Hash each run of `width` token hashes into `out`; answers how many. Fewer tokens than `width`: one run of all."""
    if count == 0:
        return 0
    width = min(width, count)
    lead, h = _1, np.uint64(0)
    for i in range(width):
        h = h * _BASE + tokens[i]
        lead = lead if i == 0 else lead * _BASE
    salt = np.uint64(width) * SEED
    out[0] = mixed(h + salt)
    for i in range(width, count):
        h = (h - tokens[i - width] * lead) * _BASE + tokens[i]
        out[i - width + 1] = mixed(h + salt)
    return count - width + 1


@njit(cache=True, nogil=True)
def scratch_for(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scratch memory for `shingle_row`: (bytes uint8, token hashes uint64, shingle hashes uint64)."""
    size = scratch_size(texts)
    return np.empty(size, np.uint8), np.empty(size // 2, np.uint64), np.empty(size // 2, np.uint64)


@njit(cache=True, nogil=True)
def _shingles(
    data: np.ndarray, start: int, end: int, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray],
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    mode, window, lowercase = how
    text, tokens, out = scratch
    n = lower(data, start, end, tables[0], text) if lowercase else fold(data, start, end, tables[0], text)
    if mode == SPACE:
        count = split_spaces(text, n, tokens)
    elif mode == CHARACTER:
        count = split_characters(text, n, tokens)
    else:
        count = split_at(text, n, tables[1], tokens)
    return windows(tokens, count, window, out)


@njit(cache=True, nogil=True)
def shingle_row(
    texts: Texts, row: int, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray],
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """Shingle hashes of one text, into `scratch[2]`; answers how many, duplicates included (a null row has none).

    `how` = (mode, window, lower case?); `tables` = (fold table, separators).
    """
    if not texts.valid[row]:
        return 0
    start, end = texts.start[row], texts.end[row]
    if texts.patched[row]:
        return _shingles(texts.spare, start, end, how, tables, scratch)
    return _shingles(texts.data, start, end, how, tables, scratch)
