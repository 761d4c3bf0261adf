"""Lines of a text that could be rows of a table, and runs of them taken out."""

import numpy as np
from numba import njit

from .codepoints import ONE, decode

NEWLINE, SPACE, TAB, BAR = 10, 32, 9, 124


@njit(cache=True, nogil=True)
def _columns(data: np.ndarray, start: int, end: int, spaces: np.ndarray) -> tuple[int, int]:
    """Fewest and most separators that the line can be read with: `\\S+?([ |\\t]\\S+?){n}`; (1, 0) where it cannot.

    A space or tab must be one; a bar may be one or part of a word; no word is empty.
    """
    low, high, size = 0, 0, 0  # size: code points since the last separator of the reading with the most of them
    bars, at = 0, np.uint64(start)  # bars: separators of the current stretch that could be a word's instead
    length = 0  # code points of the current stretch between spaces
    while at < end:
        code, width = np.uint32(data[at]), ONE
        if code >= 0x80:
            packed = decode(data, at, np.uint64(end))
            code, width = packed >> 3, np.uint64(packed & 7)
        at += width
        if code in (SPACE, TAB):
            if length == 0:
                return 1, 0
            if size == 0:  # the stretch ends in a separator bar: it is part of a word after all
                bars -= 1
            low, high = low + 1, high + bars + 1
            bars = size = length = 0
        elif spaces[code]:
            return 1, 0
        else:
            length += 1
            if code == BAR and size > 0:
                bars += 1
                size = 0
            else:
                size += 1
    if length == 0:
        return 1, 0
    if size == 0:
        bars -= 1
    return low, high + bars


@njit(cache=True, nogil=True)
def _lines(data: np.ndarray, start: int, end: int, spaces: np.ndarray) -> np.ndarray:
    """int64[m, 4]: begin, end with the newlines after it, fewest and most separators of each line that is not empty."""
    count = 1
    for i in range(start, end):
        count += data[i] == NEWLINE
    found, n, at = np.empty((count, 4), np.int64), 0, start
    while at < end:
        stop = at
        while stop < end and data[stop] != NEWLINE:
            stop += 1
        after = stop
        while after < end and data[after] == NEWLINE:
            after += 1
        if stop > at:
            low, high = _columns(data, at, stop, spaces)
            if at == start or after == stop:  # nothing before the first line, no newline after the last: no row of a table
                low, high = 1, 0
            found[n] = at, after, low, high
            n += 1
        at = after
    return found[:n]


@njit(cache=True, nogil=True)
def without_tables(
    offsets: np.ndarray, data: np.ndarray, fewest: int, most: int, spaces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n + 1], bytes): the rows without runs of two or more lines of n separators, n from `fewest` to `most` in turn."""
    out, size = np.empty(offsets[-1] - offsets[0], np.uint8), 0
    bounds = np.zeros(offsets.size, np.int64)
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        lines = _lines(data, start, end, spaces)
        for n in range(fewest, most + 1):
            kept, i = 0, 0
            while i < len(lines):
                stop = i
                while stop < len(lines) and lines[stop, 2] <= n <= lines[stop, 3]:
                    stop += 1
                if stop - i < 2:
                    stop = i + 1
                    lines[kept] = lines[i]
                    kept += 1
                i = stop
            lines = lines[:kept]
        at = start
        while at < end and data[at] == NEWLINE:  # newlines before the first line belong to no line
            out[size] = NEWLINE
            at, size = at + 1, size + 1
        for i in range(len(lines)):
            for at in range(lines[i, 0], lines[i, 1]):
                out[size] = data[at]
                size += 1
        bounds[row + 1] = size
    return bounds, out[:size].copy()
