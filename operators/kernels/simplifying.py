"""Numba: text in one plain form: numbers as 0, marks as blanks, letters without accents, in lower case."""

import numpy as np
from numba import njit

from .folding import Texts, decoded

SAME, BLANK, DIGIT, OTHER, PYTHON = 0, 1, 2, 3, 4  # what becomes of a code point
POINT = np.uint8(8)  # besides: it may stand between the digits of one number
GROWTH = 3  # bytes at most for each byte: a Hangul syllable becomes three letters


@njit(cache=True, nogil=True)
def _kind(kinds: np.ndarray, point: int) -> int:
    return kinds[point] if point < len(kinds) else SAME


@njit(cache=True, nogil=True)
def _after_digits(data: np.ndarray, at: int, end: int, kinds: np.ndarray) -> int:
    while at < end:
        point, size = decoded(data, at, end)
        if _kind(kinds, point) & 7 != DIGIT:
            break
        at += size
    return at


@njit(cache=True, nogil=True)
def _after_number(data: np.ndarray, at: int, end: int, kinds: np.ndarray) -> int:
    """Where the number that begins at `at` ends: digits, and once a point or comma with digits behind it."""
    at = _after_digits(data, at, end, kinds)
    if at < end:
        point, size = decoded(data, at, end)
        if _kind(kinds, point) & POINT:
            further = _after_digits(data, at + size, end, kinds)
            if further > at + size:
                return further
    return at


@njit(cache=True, nogil=True)
def simplified(
    texts: Texts, kinds: np.ndarray, bounds: np.ndarray, letters: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bytes uint8, offsets int64[n + 1], odd bool[n]) of the plain form of each text; of an odd one nothing: Python's turn.

    `kinds` uint8[0x110000]: what becomes of each code point; `letters[bounds[p]:bounds[p + 1]]` are the bytes of one that is
    OTHER. Blanks are put together.
    """
    n = len(texts.start)
    out = np.empty(GROWTH * (texts.end - texts.start).sum() + 8, np.uint8)
    ends, odd, filled = np.zeros(n + 1, np.int64), np.zeros(n, np.bool_), 0
    for row in range(n):
        at, end, first = texts.start[row], texts.end[row], filled
        data = texts.spare if texts.patched[row] else texts.data
        while texts.valid[row] and at < end:
            point, size = decoded(data, at, end)
            kind = _kind(kinds, point) & 7
            if kind == SAME:
                for k in range(size):
                    out[filled + k] = data[at + k]
                filled += size
            elif kind == OTHER:
                for k in range(bounds[point], bounds[point + 1]):
                    out[filled] = letters[k]
                    filled += 1
            elif kind == DIGIT:
                out[filled] = 48
                filled += 1
                size = _after_number(data, at, end, kinds) - at
            elif kind == BLANK:
                if filled > first and out[filled - 1] != 32:
                    out[filled] = 32
                    filled += 1
            else:
                odd[row] = True
                filled = first
                break
            at += size
        ends[row + 1] = filled
    return out[:filled].copy(), ends, odd
