"""64-bit hashes of words: one state per word, fed code point by code point, so that it is the same however it is stored."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numba import njit

from .codepoints import CODE, SEPARATOR, STRIPPED, decode, folds
from .folding import irregular
from .strings import rewrite, view

FACTOR = np.uint64(0xD6E8FEB86659FD93)  # odd, bits well mixed
ZERO, ONE, HALF = np.uint64(0), np.uint64(1), np.uint64(32)
LETTER, AT_STRIPPED, AT_SEPARATOR = np.uint64(CODE), np.uint64(STRIPPED), np.uint64(SEPARATOR)


@njit(cache=True, nogil=True)
def _absorb(state: np.uint64, code: np.integer) -> np.uint64:
    """State after one more code point; 0 is the state before the first."""
    return state * FACTOR + (np.uint64(code) + ONE)


@njit(cache=True, nogil=True)
def _finish(state: np.uint64) -> np.uint64:
    """The hash, from the last state: every bit depends on every code point."""
    state = (state ^ (state >> HALF)) * FACTOR
    return state ^ (state >> HALF)


@njit(cache=True, nogil=True)
def _hash_words(offsets: np.ndarray, data: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Word hashes of each row: (bounds int64[n + 1], hashes uint64[m]); `table`: see `folds`.

    The state is fed from a word's first plain code point on, and remembered at each plain one: what it was at the last is
    the hash of the word without the special characters at its ends. No branches: word lengths cannot be predicted.
    """
    rows = offsets.size - 1
    bounds = np.zeros(rows + 1, np.int64)
    hashes = np.empty((offsets[rows] - offsets[0] + rows) // 2 + 1, np.uint64)  # a word and its separator: two bytes
    count = ZERO
    for row in range(rows):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        inside, state, kept = ZERO, ZERO, ZERO
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            at += width
            fold = np.uint64(table[code])
            separator = (fold >> AT_SEPARATOR) & ONE
            plain = ((fold >> AT_STRIPPED) & ONE | separator) ^ ONE
            hashes[count] = kept
            count += inside & separator
            inside = (inside | plain) & (separator ^ ONE)
            state = _absorb(state, fold & LETTER) & (ZERO - inside)
            kept ^= (kept ^ state) & (ZERO - plain)
        hashes[count] = kept
        count += inside
        bounds[row + 1] = count
    words = hashes[:count].copy()
    for i in range(words.size):
        words[i] = _finish(words[i])
    return bounds, words


@njit(cache=True, nogil=True)
def _hash_rows(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """uint64[n]: each row as one word, just as it is written."""
    hashes = np.empty(offsets.size - 1, np.uint64)
    for row in range(hashes.size):
        at, end, state = np.uint64(offsets[row]), np.uint64(offsets[row + 1]), ZERO
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            at += width
            state = _absorb(state, code)
        hashes[row] = _finish(state)
    return hashes


@njit(cache=True, nogil=True)
def count_words(offsets: np.ndarray, data: np.ndarray, table: np.ndarray) -> np.ndarray:
    """int64[n]: words of each row as they are written, that hold anything but special characters.

    `table`: uint8[0x110000], bit 0: not special, bit 1: not a separator.
    """
    counts = np.zeros(offsets.size - 1, np.int64)
    for row in range(counts.size):
        at, end, count, inside = np.uint64(offsets[row]), np.uint64(offsets[row + 1]), ZERO, np.uint8(0)
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            at += width
            kind = table[code]
            count += np.uint64(kind & ~inside & np.uint8(1))
            inside = (inside | kind) & (kind >> np.uint8(1)) & np.uint8(1)
        counts[row] = count
    return counts


def word_hashes(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(bounds int64[n + 1], hashes uint64[m]) of the lower-cased, stripped words of each row.

    Cost: linear; the rare rows that need it go through Python's str.lower, whole: separators end every context of it.
    """
    needy = irregular(*view(text))
    return _hash_words(*view(rewrite(text, needy, str.lower)), folds())


def hash_strings(words: Sequence[str]) -> np.ndarray:
    """uint64[n]: the hashes that `word_hashes` gives to words already lower-cased and stripped."""
    return _hash_rows(*view(pa.array(words, pa.string())))
