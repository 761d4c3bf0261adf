"""Words as Python's str.split has them, each by two numbers, and what the Gopher rules ask of words.

The first number is the polynomial sum((code + 1) * BASE ** place), whose sum over words, each shifted to its place, is that
of the words written one after the other; the second is length * 4 + HAS_LETTER + HAS_PLAIN.
"""

import numpy as np
from numba import njit

from .codepoints import ONE, decode
from .digest import mixed

BASE = np.uint64(0xD6E8FEB86659FD93)
INVERSE = np.uint64(pow(int(BASE), -1, 1 << 64))
HAS_PLAIN, HAS_LETTER = 1, 2  # something that is not punctuation; a letter
ZERO = np.uint64(0)

# Bits of the class table.
BLANK, PLAIN, LETTER = 1, 2, 4


@njit(cache=True, nogil=True)
def word_runs(offsets: np.ndarray, data: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n + 1], uint64[m]): each row's words, two numbers each. `table`: uint8[0x110000], bits BLANK, PLAIN, LETTER."""
    rows = offsets.size - 1
    bounds = np.zeros(rows + 1, np.int64)
    values = np.empty(offsets[rows] - offsets[0] + rows + 2, np.uint64)  # a word and its separator: two bytes
    count = 0
    for row in range(rows):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        state, power, facts = ZERO, ONE, ZERO
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            at += width
            kind = np.uint64(table[code])
            if kind & BLANK:
                if facts:
                    values[count], values[count + 1] = state, facts
                    count += 2
                    state, power, facts = ZERO, ONE, ZERO
            else:
                state += (np.uint64(code) + ONE) * power
                power *= BASE
                facts = (facts + np.uint64(4)) | (kind >> ONE)
        if facts:
            values[count], values[count + 1] = state, facts
            count += 2
        bounds[row + 1] = count
    return bounds, values[:count].copy()


@njit(cache=True, nogil=True)
def place_of(value: np.uint64, among: np.ndarray) -> int:
    """Where `value` stands in sorted `among`; -1: nowhere. (NumPy's searchsorted takes ten times as long for one value.)"""
    low, high = 0, among.size
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if among[middle] < value else (low, middle)
    return low if low < among.size and among[low] == value else -1


@njit(cache=True, nogil=True)
def count_runs(bounds: np.ndarray, values: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """int64[5, n]: words; words with something plain; their code points; words with a letter; different ones of `listed`.

    `listed`: sorted states of words.
    """
    told = np.zeros((5, bounds.size - 1), np.int64)
    seen = np.full(listed.size, -1, np.int64)
    for row in range(bounds.size - 1):
        plain, points, letters, met = 0, np.int64(0), np.int64(0), 0
        for i in range(bounds[row], bounds[row + 1], 2):
            facts = values[i + 1]
            if facts & np.uint64(HAS_PLAIN):
                plain += 1
                points += np.int64(facts >> np.uint64(2))
            letters += np.int64((facts >> ONE) & ONE)
            place = place_of(values[i], listed)
            if place >= 0 and seen[place] != row:
                seen[place] = row
                met += 1
        told[0, row] = (bounds[row + 1] - bounds[row]) // 2
        told[1, row], told[2, row], told[3, row], told[4, row] = plain, points, letters, met
    return told


@njit(cache=True, nogil=True)
def _times(factor: np.uint64, base: np.uint64, exponent: np.uint64) -> np.uint64:
    """factor * base ** exponent."""
    while exponent:
        if exponent & ONE:
            factor *= base
        base *= base
        exponent >>= ONE
    return factor


@njit(cache=True, nogil=True)
def _prefixes(values: np.ndarray, joined: np.ndarray, apart: np.ndarray, shift: np.ndarray, points: np.ndarray) -> None:
    """Fill in, at word i, sums over the words before it, so that the n-gram i is (sum[i + n] - sum[i]) * shift[i].

    `joined`: the words written one after the other; `apart`: by their hashes, one place a word; `shift`: [2, m + 1] of the
    two; `points`: code points before.
    """
    back, step = np.empty(64, np.uint64), ONE
    for i in range(64):
        back[i] = step
        step *= INVERSE
    total, hashes, place, weight = ZERO, ZERO, ONE, ONE
    forward, onward = ONE, ONE  # BASE ** code points before, BASE ** words before
    joined[0], apart[0], shift[0, 0], shift[1, 0], points[0] = ZERO, ZERO, ONE, ONE, 0
    for i in range(values.size // 2):
        state, size = values[2 * i], values[2 * i + 1] >> np.uint64(2)
        total += state * forward
        hashes += mixed(state) * onward
        place *= back[size] if size < 64 else _times(ONE, INVERSE, size)
        weight *= INVERSE
        forward = _times(forward, BASE, size)
        onward *= BASE
        joined[i + 1], apart[i + 1], shift[0, i + 1], shift[1, i + 1] = total, hashes, place, weight
        points[i + 1] = points[i] + np.int64(size)


@njit(cache=True, nogil=True)
def _top(n: int, words: int, apart: np.ndarray, shift: np.ndarray, points: np.ndarray, keys: np.ndarray, slots: np.ndarray) -> int:
    """Code points, blanks between words too, of the most frequent n-gram times its count; of several the first one's."""
    grams = words - n + 1
    if grams < 1:
        return 0
    mask = np.uint64(slots.size - 1)
    slots[:] = 0
    counts = np.zeros(grams, np.int32)
    most = 1
    for i in range(grams):
        key = mixed((apart[i + n] - apart[i]) * shift[1, i])
        keys[i] = key
        at = key & mask
        while slots[at] and keys[slots[at] - 1] != key:
            at = (at + ONE) & mask
        if not slots[at]:
            slots[at] = i + 1
        first = slots[at] - 1
        counts[first] += 1
        most = max(most, counts[first])
    for i in range(grams):
        if counts[i] == most:
            return int(points[i + n] - points[i] + n - 1) * int(most)
    return 0


@njit(cache=True, nogil=True)
def _duplicated(
    n: int, words: int, joined: np.ndarray, shift: np.ndarray, points: np.ndarray, keys: np.ndarray, slots: np.ndarray
) -> int:
    """Code points of n-grams that were there before, taken from left to right so that none overlap."""
    mask = np.uint64(slots.size - 1)
    slots[:] = 0
    i, repeated, new = 0, 0, 0
    while i < words - n + 1:
        key = mixed((joined[i + n] - joined[i]) * shift[0, i])
        at = key & mask
        while slots[at] and keys[slots[at] - 1] != key:
            at = (at + ONE) & mask
        if slots[at]:
            repeated += points[i + n] - points[i]
            i += n
        else:
            keys[new] = key
            new += 1
            slots[at] = new
            i += 1
    return repeated


@njit(cache=True, nogil=True)
def repeated_points(bounds: np.ndarray, values: np.ndarray, tops: np.ndarray, duplicates: np.ndarray) -> np.ndarray:
    """int64[k, n]: per row, code points in its most frequent n-gram, for n in `tops`, and in repeated ones, for `duplicates`.

    Cost: linear; some 20 bytes a word while a row is looked at.
    """
    told = np.zeros((tops.size + duplicates.size, bounds.size - 1), np.int64)
    for row in range(bounds.size - 1):
        words = (bounds[row + 1] - bounds[row]) // 2
        if words < 2:
            continue
        joined, apart = np.empty(words + 1, np.uint64), np.empty(words + 1, np.uint64)
        shift, points = np.empty((2, words + 1), np.uint64), np.empty(words + 1, np.int64)
        _prefixes(values[bounds[row] : bounds[row + 1]], joined, apart, shift, points)
        size = 4
        while size < 2 * words:
            size *= 2
        keys, slots = np.empty(words, np.uint64), np.empty(size, np.int32)
        for k in range(tops.size):
            told[k, row] = _top(tops[k], words, apart, shift, points, keys, slots)
        for k in range(duplicates.size):
            told[tops.size + k, row] = _duplicated(duplicates[k], words, joined, shift, points, keys, slots)
    return told
