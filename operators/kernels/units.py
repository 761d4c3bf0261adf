"""Numba: the lines or paragraphs of a text, which may be repeated elsewhere, as hashes and places.

A unit has a key and a check (two 64-bit hashes, 128 bits together) and three places in its row's bytes: `start`, where it
begins; `next`, where what follows it begins, one past the end of the text for the last; `prior`, where what precedes it ends.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .digest import digest
from .folding import Texts, decoded, fold, lower, scratch_size, stripped

LF, HASH, SLASH, BACKSLASH, LESS, GREATER = 10, 35, 47, 92, 60, 62
_BRACKETS = b"{}[]();"
_LATEX = (b"\\begin{", b"\\end{")


class Rules(NamedTuple):
    """Which lines are never taken for repeated: see `document_line_deduplicator`."""

    paragraphs: bool
    shortest: int
    brackets: bool
    headers: bool
    latex: bool
    html: bool


class Found(NamedTuple):
    """Units of a column: those of row i are bounds[i]:bounds[i + 1] of the others.

    Attributes:
        bounds: int64[n + 1].
        key, check: uint64[m].
        start, next, prior: int32[m], bytes from the beginning of the row.
    """

    bounds: np.ndarray
    key: np.ndarray
    check: np.ndarray
    start: np.ndarray
    next: np.ndarray
    prior: np.ndarray


@njit(cache=True, nogil=True)
def _line_end(data: np.ndarray, at: int, end: int) -> int:
    while at < end and data[at] != LF:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _is_blank(data: np.ndarray, start: int, end: int) -> bool:
    start, end = stripped(data, start, end)
    return start == end


@njit(cache=True, nogil=True)
def _unit(data: np.ndarray, at: int, end: int, paragraphs: bool) -> tuple[int, int, int]:
    """(start, end, start of the next) of the unit from `at` on; the next begins at end + 1 where there is none."""
    stop = _line_end(data, at, end)
    if not paragraphs:
        return at, stop, stop + 1
    while stop < end and _is_blank(data, at, stop):
        at, stop = stop + 1, _line_end(data, stop + 1, end)
    start, close = at, stop
    while stop < end:
        line = stop + 1
        stop = _line_end(data, line, end)
        if _is_blank(data, line, stop):
            break
        close = stop
    if close == stop:
        return start, close, end + 1
    while stop < end:
        line = stop + 1
        stop = _line_end(data, line, end)
        if not _is_blank(data, line, stop):
            return start, close, line
    return start, close, end + 1


@njit(cache=True, nogil=True)
def _points(data: np.ndarray, start: int, end: int, most: int) -> int:
    """Code points of `data[start:end]`, counted as far as `most`."""
    count = 0
    for i in range(start, end):
        count += (data[i] & 0xC0) != 0x80
        if count >= most:
            break
    return count


@njit(cache=True, nogil=True)
def _begins(data: np.ndarray, start: int, end: int, with_: bytes) -> bool:
    same = end - start >= len(with_)
    for i in range(len(with_) if same else 0):
        same &= data[start + i] == with_[i]
    return same


@njit(cache=True, nogil=True)
def _is_tag(data: np.ndarray, start: int, end: int) -> bool:
    """Whether `</?[a-z][a-z0-9]*[^>]*>?` matches the whole, ignoring case as Python does (U+017F, U+212A are letters)."""
    at = start + 1
    if at < end and data[at] == SLASH:
        at += 1
    if at >= end or data[start] != LESS:
        return False
    point, size = decoded(data, at, end)
    if not (97 <= point | 32 <= 122 or point == 0x17F or point == 0x212A):
        return False
    closed = False
    for i in range(at + size, end - 1):
        closed |= data[i] == GREATER
    return not closed


@njit(cache=True, nogil=True)
def _is_skipped(data: np.ndarray, start: int, end: int, rules: Rules) -> bool:
    """Whether a line, or a paragraph of one line, is exempt; `data[start:end]` is stripped."""
    if _points(data, start, end, max(rules.shortest, 0)) < rules.shortest:
        return True
    if rules.paragraphs and _line_end(data, start, end) < end:
        return False
    if rules.brackets:
        others = False
        for i in range(start, end):
            listed = False
            for b in _BRACKETS:
                listed |= data[i] == b
            if not listed:
                others = True
                break
        if not others:
            return True
    if start == end:
        return False
    if rules.headers and data[start] == HASH:
        return True
    if rules.latex and data[start] == BACKSLASH and (_begins(data, start, end, _LATEX[0]) or _begins(data, start, end, _LATEX[1])):
        return True
    return rules.html and data[start] == LESS and _is_tag(data, start, end)


@njit(cache=True, nogil=True)
def _room(texts: Texts) -> int:
    lines = len(texts.start)
    for row in range(len(texts.start)):
        for i in range(texts.start[row], texts.end[row]):
            lines += texts.data[i] == LF
    return lines


@njit(cache=True, nogil=True)
def _hashed(
    data: np.ndarray, start: int, end: int, lowercase: bool, table: np.ndarray, scratch: np.ndarray
) -> tuple[np.uint64, np.uint64]:
    """(key, check) of a unit's bytes, folded and stripped."""
    if len(table) == 0:
        return digest(data, *stripped(data, start, end))
    n = lower(data, start, end, table, scratch) if lowercase else fold(data, start, end, table, scratch)
    return digest(scratch, *stripped(scratch, 0, n))


@njit(cache=True, nogil=True)
def line_units(texts: Texts, folded: Texts, lowercase: bool, table: np.ndarray, rules: Rules) -> Found:
    """The lines or paragraphs of each text that are not exempt.

    `folded` is `texts`, with the rows that Python had to fold; the two have the same lines. `lowercase`: `table` does
    nothing but fold case.
    """
    n, room = len(texts.start), _room(texts)
    key, check = np.empty(room, np.uint64), np.empty(room, np.uint64)
    places = np.empty((3, room), np.int32)
    bounds, filled = np.zeros(n + 1, np.int64), 0
    scratch = np.empty(scratch_size(folded), np.uint8)
    for row in range(n):
        begin, end = texts.start[row], texts.end[row]
        other = folded.spare if folded.patched[row] else folded.data
        at, where, close, prior = begin, folded.start[row], folded.end[row], begin
        while texts.valid[row] and at <= end and begin < end:
            start, stop, following = _unit(texts.data, at, end, rules.paragraphs)
            left, right, ahead = start, stop, following
            if folded.patched[row]:
                left, right, ahead = _unit(other, where, close, rules.paragraphs)
            inner, outer = stripped(texts.data, start, stop)
            if not _is_skipped(texts.data, inner, outer, rules):
                key[filled], check[filled] = _hashed(other, left, right, lowercase, table, scratch)
                places[0, filled], places[1, filled], places[2, filled] = start - begin, following - begin, prior - begin
                filled += 1
            at, where, prior = following, ahead, stop
        bounds[row + 1] = filled
    return Found(bounds, key[:filled], check[:filled], places[0, :filled], places[1, :filled], places[2, :filled])
