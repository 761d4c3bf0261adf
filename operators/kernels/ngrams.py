"""How often n-grams repeat: a rolling hash, a filter that finds the few that can, and a table of those only."""

import numpy as np
from numba import njit

from .codepoints import decode_all

BASE = np.uint64(0xA0761D6478BD642F)  # odd: no power of it is 0
SCATTER = np.uint64(0x9E3779B97F4A7C15)
HALF, ZERO, ONE = np.uint64(32), np.uint64(0), np.uint64(1)

LARGE = 1 << 20  # n-grams, from which on memory counts more than speed
BLOCK = 1024  # n-grams between two looks at the table's size
FIRST_TABLE = 64


@njit(cache=True, nogil=True)
def _roll_first(symbols, n):  # type: ignore[no-untyped-def]
    """(hash of the first n symbols, weight that a symbol has when it leaves the window)."""
    rolled, weight = ZERO, ONE
    for i in range(n):
        rolled = rolled * BASE + np.uint64(symbols[i])
        weight *= BASE
    return rolled, weight


@njit(cache=True, nogil=True)
def _mark(symbols, n, shift, seen):  # type: ignore[no-untyped-def]
    """Makes the slot of every n-gram 1 at the first visit and 3 from the second on; answers how many were not first."""
    rolled, weight = _roll_first(symbols, n)
    entering, met = symbols[n:], ZERO
    for i in range(entering.size):
        slot = (rolled * SCATTER) >> shift
        met += np.uint64(seen[slot] & 1)
        seen[slot] = (seen[slot] << 1 | 1) & 3
        rolled = rolled * BASE + (np.uint64(entering[i]) - np.uint64(symbols[i]) * weight)
    slot = (rolled * SCATTER) >> shift
    seen[slot] = (seen[slot] << 1 | 1) & 3
    return np.int64(met)


@njit(cache=True, nogil=True)
def _sift(symbols, n, shift, seen, rolled, weight, first, last, passed):  # type: ignore[no-untyped-def]
    """Writes the n-grams first..last whose slot was visited twice to the front of `passed`: (their number, the next hash)."""
    count = ZERO
    leaving, entering = symbols[first:last], symbols[first + n : last + n]
    for i in range(entering.size):
        passed[count] = rolled  # written always, kept only if counted: cheaper than a branch that no one can predict
        count += np.uint64(seen[(rolled * SCATTER) >> shift] >> 1)
        rolled = rolled * BASE + (np.uint64(entering[i]) - np.uint64(leaving[i]) * weight)
    if entering.size < last - first:  # the very last n-gram
        passed[count] = rolled
        count += np.uint64(seen[(rolled * SCATTER) >> shift] >> 1)
    return np.int64(count), rolled


@njit(cache=True, nogil=True)
def _grow(keys, counts):  # type: ignore[no-untyped-def]
    """The same table, four times as large."""
    larger, counted = np.zeros(keys.size * 4, np.uint64), np.zeros(keys.size * 4, np.int32)
    mask = np.uint64(larger.size - 1)
    for i in range(keys.size):
        if counts[i]:
            slot = (keys[i] * SCATTER) >> HALF & mask
            while counted[slot]:
                slot = slot + ONE & mask
            larger[slot], counted[slot] = keys[i], counts[i]
    return larger, counted


@njit(cache=True, nogil=True)
def _tally(symbols, n, shift, seen, met):  # type: ignore[no-untyped-def]
    """(counts int32[...] of the table of n-grams that the filter lets through, 0 where empty; n-grams that it stops)."""
    size = FIRST_TABLE
    while size < met * 2 and size < BLOCK * 2:
        size *= 2
    keys, counts, mask = np.zeros(size, np.uint64), np.zeros(size, np.int32), np.uint64(size - 1)
    passed = np.empty(BLOCK + 1, np.uint64)
    used, stopped = 0, 0
    rolled, weight = _roll_first(symbols, n)
    windows = symbols.size - n + 1
    for first in range(0, windows, BLOCK):
        last = min(first + BLOCK, windows)
        count, rolled = _sift(symbols, n, shift, seen, rolled, weight, first, last, passed)
        stopped += last - first - count
        while keys.size < (used + count) * 2:
            keys, counts = _grow(keys, counts)
            mask = np.uint64(keys.size - 1)
        for gram in passed[:count]:
            slot = (gram * SCATTER) >> HALF & mask
            while counts[slot] and keys[slot] != gram:
                slot = slot + ONE & mask
            keys[slot] = gram
            used += counts[slot] == 0
            counts[slot] += 1
    return counts, stopped


@njit(cache=True, nogil=True)
def repeats(symbols, n):  # type: ignore[no-untyped-def]
    """(counts int32[r] of the distinct n-grams that occur at least twice, number of those that occur once).

    Cost: linear; 8 to 16 bytes an n-gram for the filter (4 to 8 in a large text), 24 to 96 more for each that repeats.
    """
    windows = symbols.size - n + 1
    if windows < 2:
        return np.zeros(0, np.int32), max(windows, 0)
    bits = 6
    while (1 << bits) < windows * (4 if windows > LARGE else 8):
        bits += 1
    shift = np.uint64(64 - bits)
    seen = np.zeros(1 << bits, np.uint8)
    met = _mark(symbols, n, shift, seen)
    counts, single = _tally(symbols, n, shift, seen, met)
    repeated = 0
    for i in range(counts.size):
        single += counts[i] == 1
        counts[repeated] = counts[i]
        repeated += counts[i] > 1
    return counts[:repeated], single


@njit(cache=True, nogil=True)
def sum_of_largest(counts, k):  # type: ignore[no-untyped-def]
    """Sum of the k largest of `counts` (k <= its length, all >= 1), by halving the range that the k-th lies in."""
    if k == 0:
        return 0
    low, high = 0, np.int64(counts.max())  # at least k counts are above `low`, fewer than k above `high`
    while high - low > 1:
        middle = (low + high) // 2
        above = 0
        for count in counts:
            above += count > middle
        low, high = (middle, high) if above >= k else (low, middle)
    total, above = 0, 0
    for count in counts:
        if count > high:
            total += count
            above += 1
    return total + (k - above) * high


@njit(cache=True, nogil=True)
def character_repetition(offsets, data, n):  # type: ignore[no-untyped-def]
    """float64[n]: share of a row's n-grams of code points that are among its most frequent repeated ones.

    The most frequent: as many as the root of the number of distinct n-grams, or as many as repeat, if those are fewer.
    """
    rows = offsets.size - 1
    shares = np.zeros(rows)
    for row in range(rows):
        codes = decode_all(data, offsets[row], offsets[row + 1])
        counts, single = repeats(codes, n)
        if counts.size:
            top = min(int(np.sqrt(counts.size + single)), counts.size)
            shares[row] = sum_of_largest(counts, top) / (codes.size - n + 1)
    return shares


@njit(cache=True, nogil=True)
def list_repetition(offsets, values, n):  # type: ignore[no-untyped-def]
    """float64[n]: share of a row's n-grams of list values that occur more than once in it."""
    rows = offsets.size - 1
    shares = np.zeros(rows)
    for row in range(rows):
        windows = offsets[row + 1] - offsets[row] - n + 1
        if windows > 1:
            _, single = repeats(values[offsets[row] : offsets[row + 1]], n)
            shares[row] = (windows - single) / windows
    return shares
