"""Numba: the tokens of a text written out, so that a run of neighbours is one range of bytes, to be hashed as elsewhere."""

import numpy as np
from numba import njit

from .folding import Texts, decoded, fold, lower, scratch_size
from .shingling import CHARACTER, PUNCTUATION

Room = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@njit(cache=True, nogil=True)
def room_for(texts: Texts) -> Room:
    """Scratch memory for `row_tokens`: (folded text uint8, out uint8, begin int64, end int64)."""
    size = scratch_size(texts)
    return np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.int64), np.empty(size, np.int64)


@njit(cache=True, nogil=True)
def row_tokens(texts: Texts, row: int, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray], room: Room) -> int:
    """Write the tokens of a text to `room`, folded, one blank between them (none in CHARACTER mode); answers how many.

    Token i is `out[begin[i]:end[i]]`. A null row has none. `how`, `tables`: as of `shingle_row`.
    """
    if not texts.valid[row]:
        return 0
    text, out, begin, end = room
    mode, lowercase, separators = how[0], how[2], tables[1]
    source = texts.spare if texts.patched[row] else texts.data
    low, high = texts.start[row], texts.end[row]
    n = lower(source, low, high, tables[0], text) if lowercase else fold(source, low, high, tables[0], text)
    i, start, filled, count = 0, 0, 0, 0
    while i <= n and n > 0:
        point, size = decoded(text, i, n) if i < n else (np.int64(-1), 1)
        cut = i == n or (point == 32 if mode != PUNCTUATION else point < len(separators) and separators[point])
        stop = i
        if mode == CHARACTER:
            cut, start, stop = i < n, i, i + size
        if cut and (mode == PUNCTUATION or stop > start):
            if count > 0 and mode != CHARACTER:
                out[filled] = 32
                filled += 1
            begin[count] = filled
            for k in range(start, stop):
                out[filled] = text[k]
                filled += 1
            end[count] = filled
            count += 1
        if cut:
            start = i + size
        i += size
    return count
