"""Numba: the signatures of datasketch: SHA-1 of each shingle's bytes, then its permutations, value for value."""

import numpy as np
from numba import njit

from .folding import Texts
from .sha1 import sha1_word
from .tokens import room_for, row_tokens

MERSENNE = np.uint64((1 << 61) - 1)
_LOW = np.uint64(0xFFFFFFFF)


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
    rows, room = len(texts.start), room_for(texts)
    state, w = np.empty(5, np.uint32), np.empty(80, np.uint32)
    out = np.full((rows, len(a)), _LOW, np.uint64)
    for row in range(rows):
        count = row_tokens(texts, row, how, tables, room)
        width = min(how[1], count)
        for first in range(count - width + 1 if count > 0 else 0):
            h = sha1_word(room[1], room[2][first], room[3][first + width - 1], state, w)
            x = np.uint64(h) if legacy else np.uint64(_mixed32(h))
            for k in range(len(a)):
                value = a[k] * x + b[k]
                value = (value % MERSENNE) & _LOW if legacy else value & _LOW
                out[row, k] = min(out[row, k], value)
    return out
