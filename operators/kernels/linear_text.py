"""Numba: texts as hashed words and pairs of words with TF-IDF weights, a linear model over them, and its training.

A word is a run of code points that are not special, in lower case; a special one that is no blank is a word by itself, and
all digits are the same one.
"""

from functools import cache

import numpy as np
from numba import njit

from .codepoints import CODE, CODE_POINTS, SEPARATOR, STRIPPED, decode, folds
from .digest import mixed

FACTOR = np.uint64(0xD6E8FEB86659FD93)
PAIR = np.uint64(0x9FB21C651E98DF27)
_ZERO, _1 = np.uint64(0), np.uint64(1)
LETTER, SPECIAL, BLANK = np.uint64(CODE), np.uint64(1 << STRIPPED), np.uint64(1 << SEPARATOR)


@cache
def word_table() -> np.ndarray:
    """uint32[0x110000]: `folds`, with every white space a separator and every digit a 0."""
    table = folds().copy()
    everything = [chr(code) for code in range(CODE_POINTS)]
    table[np.fromiter(map(str.isspace, everything), bool, CODE_POINTS)] |= np.uint32(1 << SEPARATOR)
    table[np.fromiter(map(str.isdecimal, everything), bool, CODE_POINTS)] = table[ord("0")]
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def _buckets(data: np.ndarray, start: int, end: int, table: np.ndarray, mask: np.uint64, out: np.ndarray) -> int:
    """Write the bucket of each word and of each pair of neighbours to `out`; answers how many."""
    at, stop = np.uint64(start), np.uint64(end)
    state, before, count = _ZERO, _ZERO, 0
    while at <= stop:
        fold, width = BLANK, _1
        if at < stop:
            code = np.uint32(data[at])
            if code >= 0x80:
                packed = decode(data, at, stop)
                code, width = packed >> 3, np.uint64(packed & 7)
            fold = np.uint64(table[code])
        at += width
        if not fold & (SPECIAL | BLANK):
            state = state * FACTOR + (fold & LETTER) + _1
            continue
        for word in (state, _ZERO if fold & BLANK else (fold & LETTER) + _1):
            if word:
                word = mixed(word)
                out[count] = np.int64(word & mask)
                count += 1
                if before:
                    out[count] = np.int64(mixed(before * PAIR + word) & mask)
                    count += 1
                before = word
        state = _ZERO
    return count


@njit(cache=True, nogil=True)
def text_features(
    offsets: np.ndarray, data: np.ndarray, table: np.ndarray, buckets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64[n + 1], int32[m], float32[m]): each row's different buckets, in order, and 1 + log(how often each is met)."""
    rows, room = offsets.size - 1, 0
    for row in range(rows):
        room += 2 * (offsets[row + 1] - offsets[row]) + 2
    bounds, places, counts = np.zeros(rows + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32)
    n, mask = 0, np.uint64(buckets - 1)
    for row in range(rows):
        out = np.empty(2 * (offsets[row + 1] - offsets[row]) + 2, np.int64)
        met = np.sort(out[: _buckets(data, offsets[row], offsets[row + 1], table, mask, out)])
        i = 0
        while i < met.size:
            first = i
            while i < met.size and met[i] == met[first]:
                i += 1
            places[n], counts[n] = met[first], 1.0 + np.log(i - first)
            n += 1
        bounds[row + 1] = n
    return bounds, places[:n].copy(), counts[:n].copy()


@njit(cache=True, nogil=True)
def unit_rows(bounds: np.ndarray, places: np.ndarray, counts: np.ndarray, idf: np.ndarray) -> None:
    """Weigh `counts` by `idf`, and make each row's a vector of length 1, in place."""
    for row in range(bounds.size - 1):
        total = 0.0
        for k in range(bounds[row], bounds[row + 1]):
            counts[k] *= idf[places[k]]
            total += np.float64(counts[k]) * np.float64(counts[k])
        if total > 0:
            length = np.sqrt(total)
            for k in range(bounds[row], bounds[row + 1]):
                counts[k] = np.float32(counts[k] / length)


@njit(cache=True, nogil=True)
def margins(bounds: np.ndarray, places: np.ndarray, values: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """float64[n]: weights times values, and `bias`, for each row."""
    told = np.full(bounds.size - 1, bias)
    for row in range(told.size):
        for k in range(bounds[row], bounds[row + 1]):
            told[row] += np.float64(weights[places[k]]) * np.float64(values[k])
    return told


@njit(cache=True, nogil=True)
def train(
    bounds: np.ndarray, places: np.ndarray, values: np.ndarray, labels: np.ndarray, order: np.ndarray, share: np.ndarray,
    weights: np.ndarray, squares: np.ndarray, rate: float, decay: float,
) -> None:
    """One epoch of logistic regression by AdaGrad, in place, rows in `order`. The last of `weights` is the bias.

    `share`: what a row of each label (0, 1) counts; `squares`: of the gradients so far; `decay`: of weights that are touched.
    """
    last = weights.size - 1
    for row in order:
        margin = weights[last]
        for k in range(bounds[row], bounds[row + 1]):
            margin += weights[places[k]] * values[k]
        gradient = (1.0 / (1.0 + np.exp(-margin)) - labels[row]) * share[labels[row]]
        for k in range(bounds[row], bounds[row + 1]):
            place = places[k]
            step = gradient * values[k] + decay * weights[place]
            squares[place] += step * step
            weights[place] -= rate * step / (np.sqrt(squares[place]) + 1e-8)
        squares[last] += gradient * gradient
        weights[last] -= rate * gradient / (np.sqrt(squares[last]) + 1e-8)
