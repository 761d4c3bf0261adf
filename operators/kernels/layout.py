"""Numba: what the lines and paragraphs of a text look like: bullets, ellipses, marks at their ends, those there before."""

import numpy as np
from numba import njit

from .breaks import _break_width as break_width
from .codepoints import ONE
from .digest import digest
from .folding import decoded, stripped

LF, HASH, DASH, DOT, SPACE = 10, 35, 45, 46, 32


@njit(cache=True, nogil=True)
def _is(data: np.ndarray, at: int, end: int, a: int, b: int, c: int) -> bool:
    """Whether these three bytes stand at `at`."""
    return at + 2 < end and data[at] == a and data[at + 1] == b and data[at + 2] == c


@njit(cache=True, nogil=True)
def count_symbols(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """int64[5, n]: `#`; ellipses (`...` or …); lines as of str.splitlines; those behind a bullet (• or -); before an ellipsis."""
    told = np.zeros((5, offsets.size - 1), np.int64)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        at = begin
        while at < end:
            told[0, row] += data[at] == HASH
            dots = _is(data, at, end, DOT, DOT, DOT) or _is(data, at, end, 0xE2, 0x80, 0xA6)
            told[1, row] += dots
            at += 3 if dots else 1
        at = begin
        while at < end:
            start, width = at, 0
            while at < end:
                if data[at] < SPACE or data[at] >= 0x80:
                    width = break_width(data, at, end)
                    if width:
                        break
                at += 1
            first, last = stripped(data, start, at)
            told[2, row] += 1
            told[3, row] += first < last and (data[first] == DASH or _is(data, first, last, 0xE2, 0x80, 0xA2))
            three = max(last - 3, first)
            told[4, row] += _is(data, three, last, DOT, DOT, DOT) or _is(data, three, last, 0xE2, 0x80, 0xA6)
            at += width
    return told


@njit(cache=True, nogil=True)
def _points(data: np.ndarray, start: int, end: int) -> int:
    count = 0
    for i in range(start, end):
        count += (data[i] & 0xC0) != 0x80
    return count


@njit(cache=True, nogil=True)
def _met(data: np.ndarray, start: int, end: int, keys: np.ndarray, slots: np.ndarray, count: int) -> bool:
    """Whether these bytes were there before; if not, they are the piece `count` now."""
    first, second = digest(data, start, end)
    mask = np.uint64(slots.size - 1)
    at = first & mask
    while slots[at]:
        known = slots[at] - 1
        if keys[known, 0] == first and keys[known, 1] == second:
            return True
        at = (at + ONE) & mask
    keys[count, 0], keys[count, 1], slots[at] = first, second, count + 1
    return False


@njit(cache=True, nogil=True)
def _table(pieces: int) -> tuple[np.ndarray, np.ndarray]:
    size = 4
    while size < 2 * pieces:
        size *= 2
    return np.empty((pieces, 2), np.uint64), np.zeros(size, np.int32)


@njit(cache=True, nogil=True)
def _newlines(data: np.ndarray, start: int, end: int) -> int:
    count = 0
    for i in range(start, end):
        count += data[i] == LF
    return count


@njit(cache=True, nogil=True)
def repeated_pieces(offsets: np.ndarray, data: np.ndarray, least: int, strip: bool) -> np.ndarray:
    """int64[3, n]: the pieces between runs of `least` or more newlines; of them, those there before; their code points.

    `strip`: white space at the text's ends does not count. A text that begins with such a run has an empty piece before it.
    """
    told = np.zeros((3, offsets.size - 1), np.int64)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        if strip:
            begin, end = stripped(data, begin, end)
        keys, slots = _table(_newlines(data, begin, end) + 1)
        start, at, new = begin, begin, 0
        while at >= 0:
            run = 0
            while at < end:
                while at + run < end and data[at + run] == LF:
                    run += 1
                if run >= least:
                    break
                at, run = at + max(run, 1), 0
            told[0, row] += 1
            if _met(data, start, at, keys, slots, new):
                told[1, row] += 1
                told[2, row] += _points(data, start, at)
            else:
                new += 1
            at = start = at + run if run else -1
    return told


@njit(cache=True, nogil=True)
def line_facts(offsets: np.ndarray, data: np.ndarray, marks: np.ndarray, short: int) -> np.ndarray:
    """int64[6, n]: lines that are not blank; of them those that end in a mark, those of `short` code points or fewer; code
    points of those there before; code points of the text without newlines; newlines.

    A line runs between newlines, with the blanks at its ends. `marks`: bool[0x110000].
    """
    told = np.zeros((6, offsets.size - 1), np.int64)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        told[5, row] = _newlines(data, begin, end)
        keys, slots = _table(told[5, row] + 1)
        start, new = begin, 0
        for at in range(begin, end + 1):
            if at < end and data[at] != LF:
                continue
            size = _points(data, start, at)
            told[4, row] += size
            first, last = stripped(data, start, at)
            if first < last:
                told[0, row] += 1
                tail = at - 1
                while tail > start and data[tail] & 0xC0 == 0x80:
                    tail -= 1
                told[1, row] += marks[min(decoded(data, tail, at)[0], marks.size - 1)]
                told[2, row] += size <= short
                if _met(data, start, at, keys, slots, new):
                    told[3, row] += size
                else:
                    new += 1
            start = at + 1
    return told
