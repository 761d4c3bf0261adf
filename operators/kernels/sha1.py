"""Numba: the first 32 bits of SHA-1, by which signatures elsewhere are made; of no use where forgery matters."""

import numpy as np
from numba import njit

_STEP = (np.uint32(0x5A827999), np.uint32(0x6ED9EBA1), np.uint32(0x8F1BBCDC), np.uint32(0xCA62C1D6))
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)


@njit(cache=True, nogil=True)
def _turned(x: np.uint32, by: int) -> np.uint32:
    return np.uint32(x << np.uint32(by)) | np.uint32(x >> np.uint32(32 - by))


@njit(cache=True, nogil=True)
def _block(state: np.ndarray, w: np.ndarray) -> None:
    """One block of 16 words, already in `w[:16]` (uint32[80]), into `state` uint32[5]."""
    for i in range(16, 80):
        w[i] = _turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]
    for i in range(80):
        if i < 20:
            f, k = (b & c) | (~b & d), _STEP[0]
        elif i < 40:
            f, k = b ^ c ^ d, _STEP[1]
        elif i < 60:
            f, k = (b & c) | (b & d) | (c & d), _STEP[2]
        else:
            f, k = b ^ c ^ d, _STEP[3]
        t = np.uint32(_turned(a, 5) + np.uint32(f) + e + k + w[i])
        a, b, c, d, e = t, a, _turned(b, 30), c, d
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e


@njit(cache=True, nogil=True)
def sha1_word(data: np.ndarray, start: int, end: int, state: np.ndarray, w: np.ndarray) -> np.uint32:
    """The first four bytes of the SHA-1 of `data[start:end]`, as a little-endian uint32.

    `state` uint32[5] and `w` uint32[80] are scratch.
    """
    for i in range(5):
        state[i] = np.uint32(_START[i])
    size = end - start
    blocks = (size + 8) // 64 + 1
    for block in range(blocks):
        for i in range(16):
            word = np.uint32(0)
            for k in range(4):
                at = 64 * block + 4 * i + k
                byte = data[start + at] if at < size else np.uint8(0x80 if at == size else 0)
                word = np.uint32(word << np.uint32(8)) | np.uint32(byte)
            w[i] = word
        if block == blocks - 1:
            w[14], w[15] = np.uint32((8 * size) >> 32), np.uint32((8 * size) & 0xFFFFFFFF)
        _block(state, w)
    h, low = state[0], np.uint32(0)
    for k in range(4):
        low |= np.uint32((h >> np.uint32(24 - 8 * k)) & np.uint32(0xFF)) << np.uint32(8 * k)
    return np.uint32(low)
