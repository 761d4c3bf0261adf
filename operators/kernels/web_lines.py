"""Numba: C4's rules for lines, the text put together again from those that stay, and counting what its rules for texts ask."""

import numpy as np
from numba import njit

from .breaks import _break_width as break_width
from .folding import decoded, stripped

LF, OPEN, CLOSE, BRACE = 10, 91, 93, 123
BLANK, DIGIT = 2, 4  # bits of the class table


@njit(cache=True, nogil=True)
def _stands(data: np.ndarray, at: int, end: int, words: bytes) -> bool:
    """Whether `words` (lower case) stand at `at`, in either case."""
    if at + len(words) > end:
        return False
    for i in range(len(words)):
        byte = data[at + i]
        if byte - np.uint8(65) < 26:
            byte |= np.uint8(32)
        if byte != words[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _count(data: np.ndarray, start: int, end: int, words: bytes) -> int:
    """How often `words` stand in these bytes."""
    count = 0
    for at in range(start, end - len(words) + 1):
        if data[at] | 32 == words[0] and _stands(data, at, end, words):
            count += 1
    return count


@njit(cache=True, nogil=True)
def _words(data: np.ndarray, start: int, end: int, table: np.ndarray) -> tuple[int, int]:
    """(words, code points of the longest)."""
    at, words, size, longest = start, 0, 0, 0
    while at < end:
        code, width = decoded(data, at, end)
        blank = code < table.size and table[code] & BLANK
        words += size == 0 and not blank
        size = 0 if blank else size + 1
        longest = max(longest, size)
        at += width
    return words, longest


@njit(cache=True, nogil=True)
def _citation(data: np.ndarray, at: int, end: int, table: np.ndarray) -> int:
    """Bytes of `[12]`, `[]`, `[edit]` or `[citation needed]` at `at`; 0 where there is none."""
    for words in (b"[edit]", b"[citation needed]"):
        same = at + len(words) <= end
        for i in range(len(words) if same else 0):
            same &= data[at + i] == words[i]
        if same:
            return len(words)
    i = at + 1
    while i < end:
        code, width = decoded(data, i, end)
        if not (code < table.size and table[code] & DIGIT):
            break
        i += width
    return i + 1 - at if i < end and data[i] == CLOSE else 0


@njit(cache=True, nogil=True)
def _ends_well(out: np.ndarray, start: int, end: int) -> bool:
    if start == end:
        return False
    last = out[end - 1]
    if not (last == 46 or last == 63 or last == 33 or last == 34 or last == 39):
        return False
    return not (end - start >= 3 and out[end - 1] == 46 and out[end - 2] == 46 and out[end - 3] == 46)


@njit(cache=True, nogil=True)
def _unwanted(out: np.ndarray, start: int, end: int, javascript: bool, policy: bool) -> bool:
    """Whether the line is about scripts or policies; not where it holds what sends the whole text away."""
    if _count(out, start, end, b"lorem ipsum"):
        return False
    if javascript and _count(out, start, end, b"javascript"):
        return True
    for i in range(start, end):
        if out[i] == BRACE:
            return False
    if not policy:
        return False
    found = _count(out, start, end, b"terms of use") + _count(out, start, end, b"privacy policy")
    found += _count(out, start, end, b"cookie policy") + _count(out, start, end, b"uses cookies")
    return found + _count(out, start, end, b"use of cookies") + _count(out, start, end, b"use cookies") > 0


@njit(cache=True, nogil=True)
def good_lines(
    offsets: np.ndarray, data: np.ndarray, table: np.ndarray, least: int, longest: int, citations: bool, marks: bool,
    javascript: bool, policy: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64[n + 1], bytes, int64[n]): the rows of the lines that stay, and how many lines went.

    `least` words a line; `longest` code points a word; `citations` are cut out of lines; `marks`: a line must end in one.
    """
    rows = offsets.size - 1
    out, n = np.empty(offsets[rows] - offsets[0] + rows + 1, np.uint8), 0
    bounds, gone = np.zeros(rows + 1, np.int64), np.zeros(rows, np.int64)
    for row in range(rows):
        at, end, begin = offsets[row], offsets[row + 1], n
        while at < end:
            start, width = at, 0
            while at < end:
                width = break_width(data, at, end)
                if width:
                    break
                at += 1
            first, last = stripped(data, start, at)
            at += width
            words, size = _words(data, first, last, table)
            here = n + (n > begin)
            to = here
            while first < last:
                skip = _citation(data, first, last, table) if citations and data[first] == OPEN else 0
                if skip:
                    first += skip
                    continue
                out[to] = data[first]
                to, first = to + 1, first + 1
            bad = size > longest or (marks and not _ends_well(out, here, to)) or words < least
            if bad or _unwanted(out, here, to, javascript, policy):
                gone[row] += 1
                continue
            if here > n:
                out[n] = LF
            n = to
        first, last = stripped(out, begin, n)
        for i in range(last - first):
            out[begin + i] = out[first + i]
        n = begin + last - first
        bounds[row + 1] = n
    return bounds, out[:n].copy(), gone


@njit(cache=True, nogil=True)
def lines_at(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64[m + 1], int64[m]): where each line of the rows begins (one more: where the last ends), and of which row it is."""
    count = offsets.size - 1
    for at in range(offsets[0], offsets[-1]):
        count += data[at] == LF
    starts, rows, n = np.empty(count + 1, np.int64), np.empty(count, np.int64), 0
    for row in range(offsets.size - 1):
        starts[n], rows[n] = offsets[row], row
        n += 1
        for at in range(offsets[row], offsets[row + 1]):
            if data[at] == LF:
                starts[n], rows[n] = at + 1, row
                n += 1
    starts[n] = offsets[-1]
    return starts, rows


@njit(cache=True, nogil=True)
def count_sentences(bounds: np.ndarray, words: np.ndarray, rows: np.ndarray, marks: np.ndarray, count: int) -> np.ndarray:
    """int64[count]: sentences of each row. Line i, of row rows[i], has words bounds[i]:bounds[i + 1] (two numbers each, `runs`).

    One ends in a word that is a mark (bool[0x110000]); the next begins with a word that is neither mark nor punctuation.
    """
    told = np.zeros(count, np.int64)
    for line in range(rows.size):
        ended = False
        told[rows[line]] += bounds[line + 1] > bounds[line]
        for i in range(bounds[line], bounds[line + 1], 2):
            code = words[i] - np.uint64(1)  # of a word of one code point
            mark = words[i + 1] >> np.uint64(2) == np.uint64(1) and marks[np.int64(code)]
            if ended and not mark and words[i + 1] & np.uint64(1):
                told[rows[line]] += 1
                ended = False
            ended |= mark
    return told


@njit(cache=True, nogil=True)
def count_page(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """int64[2, n]: how often `lorem ipsum` stands there; opening curly brackets."""
    told = np.zeros((2, offsets.size - 1), np.int64)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        told[0, row] = _count(data, begin, end, b"lorem ipsum")
        for at in range(begin, end):
            told[1, row] += data[at] == BRACE
    return told
