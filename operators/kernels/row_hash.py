"""Numba: 128-bit hashes of cells, added up over the columns of a row; and sorted sets of such hashes compared.

A row's hash is the sum of its cells' hashes, each mixed with its column's name: the order of columns does not matter, and
the hash of a projection is the sum over its columns.
"""

import numpy as np
from numba import njit

from .digest import absorbed, digest, mixed

TEXT, INTEGER, MAYBE, NULL = 3, 1, 255, 0


@njit(cache=True, nogil=True)
def add_cells(
    first: np.ndarray, second: np.ndarray, a: np.ndarray, b: np.ndarray, tags: np.ndarray, seed_a: np.uint64, seed_b: np.uint64
) -> None:
    """Add each cell's two hashes to uint64[n] `first` and `second`. Cells are two words and the tag of their kind."""
    for i in range(len(tags)):
        tag = np.uint64(tags[i])
        first[i] += mixed(absorbed(absorbed(seed_a, tag), a[i]))
        second[i] += mixed(absorbed(absorbed(seed_b, tag), b[i]))


@njit(cache=True, nogil=True)
def digest_texts(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent uint64[n] hashes of each row's bytes."""
    n = len(offsets) - 1
    a, b = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for i in range(n):
        a[i], b[i] = digest(data, offsets[i], offsets[i + 1])
    return a, b


@njit(cache=True, nogil=True)
def read_numbers(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(tags uint8[n], words uint64[n]): INTEGER with its value for a whole number of up to 18 digits as people write it,
    MAYBE for what else has the grammar of a number, TEXT for the rest. No sign but minus, no leading zeros.
    """
    n = len(offsets) - 1
    tags, words = np.full(n, TEXT, np.uint8), np.zeros(n, np.uint64)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        p = start + 1 if end > start and data[start] == 45 else start
        if p >= end or end - start > 40 or data[p] < 48 or data[p] > 57:
            continue
        value, q = np.int64(0), p
        while q < end and 48 <= data[q] <= 57:
            if q - p < 18:
                value = value * 10 + np.int64(data[q] - 48)
            q += 1
        if q - p > 1 and data[p] == 48:
            continue
        if q == end and q - p <= 18:
            if value == 0 and p > start:
                continue
            tags[i], words[i] = INTEGER, np.uint64(-value if p > start else value)
        elif q == end or _is_fraction(data, q, end):
            tags[i] = MAYBE
    return tags, words


@njit(cache=True, nogil=True)
def _is_fraction(data: np.ndarray, q: int, end: int) -> bool:
    """Whether `data[q:end]` is a fraction, an exponent or both: (.digits)?(e[+-]?digits)?"""
    if q < end and data[q] == 46:
        q += 1
        if q >= end or data[q] < 48 or data[q] > 57:
            return False
        while q < end and 48 <= data[q] <= 57:
            q += 1
    if q < end and (data[q] == 101 or data[q] == 69):
        q += 1
        if q < end and (data[q] == 43 or data[q] == 45):
            q += 1
        if q >= end or data[q] < 48 or data[q] > 57:
            return False
        while q < end and 48 <= data[q] <= 57:
            q += 1
    return q == end


@njit(cache=True, nogil=True)
def places(first: np.ndarray, second: np.ndarray, in_first: np.ndarray, in_second: np.ndarray) -> np.ndarray:
    """int64[n]: where each (first, second) stands in the sorted pairs (in_first, in_second); -1: nowhere.

    Cost: n log m, less where the asked-for pairs are sorted too.
    """
    n, m = len(first), len(in_first)
    found = np.full(n, -1, np.int64)
    low = 0
    for i in range(n):
        if i > 0 and first[i] < first[i - 1]:
            low = 0
        step, high = 1, low
        while high < m and in_first[high] < first[i]:  # a sorted question is answered from where the last one was
            low, high = high, high + step
            step *= 2
        high = min(high, m)
        while low < high:
            middle = (low + high) >> 1
            if in_first[middle] < first[i]:
                low = middle + 1
            else:
                high = middle
        at = low
        while at < m and in_first[at] == first[i]:
            if in_second[at] == second[i]:
                found[i] = at
                break
            at += 1
    return found
