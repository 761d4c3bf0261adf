"""Numba: the signatures of datasketch: SHA-1 of each shingle's bytes, then its permutations, value for value."""

import numpy as np
from numba import njit

from .folding import Texts, decoded, fold, lower, scratch_size
from .sha1 import sha1_word
from .shingling import CHARACTER, PUNCTUATION

MERSENNE = np.uint64((1 << 61) - 1)
_LOW = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def _put(text: np.ndarray, start: int, end: int, filled: int, out: np.ndarray) -> int:
    for k in range(start, end):
        out[filled + k - start] = text[k]
    return filled + end - start


@njit(cache=True, nogil=True)
def _tokens(text: np.ndarray, n: int, mode: int, separators: np.ndarray, out: np.ndarray, bounds: np.ndarray) -> int:
    """Write the tokens of `text[:n]` to `out`, one blank between them (none in CHARACTER mode); answers how many.

    Token i is `out[bounds[2 * i]:bounds[2 * i + 1]]`.
    """
    i, start, filled, count = 0, 0, 0, 0
    while i <= n and n > 0:
        point, size = decoded(text, i, n) if i < n else (np.int64(-1), 1)
        cut = i == n or (point == 32 if mode != PUNCTUATION else point < len(separators) and separators[point])
        if mode == CHARACTER:
            cut, start = i < n, i
        if cut and (mode != 0 or i > start):
            end = i + size if mode == CHARACTER else i
            if count > 0 and mode != CHARACTER:
                out[filled] = 32
                filled += 1
            bounds[2 * count] = filled
            filled = _put(text, start, end, filled, out)
            bounds[2 * count + 1] = filled
            count += 1
        if cut:
            start = i + size
        i += size
    return count


@njit(cache=True, nogil=True)
def _mixed32(x: np.uint32) -> np.uint32:
    """MurmurHash3's finaliser of 32 bits."""
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(cache=True, nogil=True)
def signatures(
    texts: Texts, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray], a: np.ndarray, b: np.ndarray, legacy: bool
) -> np.ndarray:
    """uint64[n, len(a)]: minima of the permutations a * h + b; `legacy`: mod 2^61 - 1, then its lower half; else mod 2^32."""
    mode, window, lowercase = how
    rows = len(texts.start)
    size = scratch_size(texts)
    text, joined, bounds = np.empty(size, np.uint8), np.empty(2 * size, np.uint8), np.empty(2 * size, np.int64)
    state, w = np.empty(5, np.uint32), np.empty(80, np.uint32)
    out = np.full((rows, len(a)), _LOW, np.uint64)
    for row in range(rows):
        if not texts.valid[row]:
            continue
        source = texts.spare if texts.patched[row] else texts.data
        start, end = texts.start[row], texts.end[row]
        n = lower(source, start, end, tables[0], text) if lowercase else fold(source, start, end, tables[0], text)
        count = _tokens(text, n, mode, tables[1], joined, bounds)
        width = min(window, count)
        for first in range(count - width + 1 if count > 0 else 0):
            h = sha1_word(joined, bounds[2 * first], bounds[2 * (first + width - 1) + 1], state, w)
            x = np.uint64(h) if legacy else np.uint64(_mixed32(h))
            for k in range(len(a)):
                value = a[k] * x + b[k]
                value = (value % MERSENNE) & _LOW if legacy else value & _LOW
                out[row, k] = min(out[row, k], value)
    return out
