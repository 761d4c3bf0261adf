"""How often n-grams repeat: a rolling hash, a filter that finds the few that can, and a table of those only."""

import numpy as np
from numba import njit

from .codepoints import decode_all

BASE = np.uint64(0xA0761D6478BD642F)  # odd: no power of it is 0
SCATTER = np.uint64(0x9E3779B97F4A7C15)
ZERO, ONE, TWO, THREE, HALF = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(32)

LARGE = 1 << 14  # n-grams, from which on a smaller filter is faster than a sharper one
BLOCK = 1024  # n-grams between two looks at the table's size
FIRST_TABLE = 64


@njit(cache=True, nogil=True)
def _roll_first(symbols: np.ndarray, n: int) -> tuple[np.uint64, np.uint64]:
    """(hash of the first n symbols, weight that a symbol has when it leaves the window)."""
    rolled, weight = ZERO, ONE
    for i in range(n):
        rolled = rolled * BASE + np.uint64(symbols[i])
        weight *= BASE
    return rolled, weight


@njit(cache=True, nogil=True)
def _visit(rolled: np.uint64, shift: np.uint64, seen: np.ndarray) -> np.uint64:
    """Marks an n-gram's slot, two bits of `seen`: 1 at the first visit, 3 from the second on. 1 if it was not the first."""
    slot = (rolled * SCATTER) >> shift
    place, byte = (slot & THREE) << ONE, np.uint64(seen[slot >> TWO])
    before = (byte >> place) & ONE
    seen[slot >> TWO] = byte | ((before << ONE | ONE) << place)
    return before


@njit(cache=True, nogil=True)
def _repeated(rolled: np.uint64, shift: np.uint64, seen: np.ndarray) -> np.uint64:
    """1 if the n-gram's slot was visited twice, else 0: then it occurs once."""
    slot = (rolled * SCATTER) >> shift
    return (np.uint64(seen[slot >> TWO]) >> ((slot & THREE) << ONE | ONE)) & ONE


@njit(cache=True, nogil=True)
def _mark(symbols: np.ndarray, n: int, shift: np.uint64, seen: np.ndarray) -> int:
    """Visits the slot of every n-gram; answers how many visits were not the first."""
    rolled, weight = _roll_first(symbols, n)
    entering, met = symbols[n:], ZERO
    for i in range(entering.size):
        met += _visit(rolled, shift, seen)
        rolled = rolled * BASE + (np.uint64(entering[i]) - np.uint64(symbols[i]) * weight)
    return int(met + _visit(rolled, shift, seen))


@njit(cache=True, nogil=True)
def _sift(
    symbols: np.ndarray, n: int, shift: np.uint64, seen: np.ndarray, rolled: np.uint64, weight: np.uint64,
    first: int, last: int, passed: np.ndarray,
) -> tuple[int, np.uint64]:
    """Writes the n-grams first..last whose slot was visited twice to the front of `passed`: (their number, the next hash)."""
    count = ZERO
    leaving, entering = symbols[first:last], symbols[first + n : last + n]
    for i in range(entering.size):
        passed[count] = rolled  # written always, kept only if counted: cheaper than a branch that no one can predict
        count += _repeated(rolled, shift, seen)
        rolled = rolled * BASE + (np.uint64(entering[i]) - np.uint64(leaving[i]) * weight)
    if entering.size < last - first:  # the very last n-gram
        passed[count] = rolled
        count += _repeated(rolled, shift, seen)
    return int(count), rolled


@njit(cache=True, nogil=True)
def _grow(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
def _tally(symbols: np.ndarray, n: int, shift: np.uint64, seen: np.ndarray, met: int) -> tuple[np.ndarray, int]:
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
def repeats(symbols: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """(counts int32[r] of the distinct n-grams that occur at least twice, number of those that occur once).

    Cost: linear; 4 to 8 bytes an n-gram for the filter (2 to 4 in a large text), 24 to 96 more for each that repeats.
    """
    windows = symbols.size - n + 1
    if windows < 2:
        return np.zeros(0, np.int32), max(windows, 0)
    bits = 6
    while (1 << bits) < windows * (8 if windows > LARGE else 16):
        bits += 1
    shift = np.uint64(64 - bits)
    seen = np.zeros(1 << (bits - 2), np.uint8)
    met = _mark(symbols, n, shift, seen)
    counts, single = _tally(symbols, n, shift, seen, met)
    repeated = 0
    for i in range(counts.size):
        single += counts[i] == 1
        counts[repeated] = counts[i]
        repeated += counts[i] > 1
    return counts[:repeated], single


@njit(cache=True, nogil=True)
def sum_of_largest(counts: np.ndarray, k: int) -> int:
    """Sum of the k largest of `counts` (k <= its length, all >= 1), by halving the range that the k-th lies in."""
    if k == 0:
        return 0
    low, high = 0, int(counts.max())  # at least k counts are above `low`, fewer than k above `high`
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
def character_repetition(offsets: np.ndarray, data: np.ndarray, n: int) -> np.ndarray:
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
def list_repetition(offsets: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """float64[n]: share of a row's n-grams of list values that occur more than once in it."""
    rows = offsets.size - 1
    shares = np.zeros(rows)
    for row in range(rows):
        windows = offsets[row + 1] - offsets[row] - n + 1
        if windows > 1:
            _, single = repeats(values[offsets[row] : offsets[row + 1]], n)
            shares[row] = (windows - single) / windows
    return shares
