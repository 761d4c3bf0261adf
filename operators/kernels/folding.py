"""Numba: a text's bytes copied to scratch memory, code points replaced on the way as a table says.

The tables are made from Python's own `str.lower` (see `dedup/folding.py`). The common case, ASCII among few other
characters, is a vectorised copy and a patch.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .blocks import BLOCK, dotted_or_sigma, first_bit
from .digest import load64

DROP = np.uint32(0xFFFFFFFF)  # in a table: leave this code point out
BROKEN = np.int64(0x110000)  # what `decoded` answers for a byte that is not UTF-8
PADDING = 16  # bytes past the text that scratch memory must have

_TOPS = np.uint64(0x8080808080808080)
_1 = np.uint64(1)


class Texts(NamedTuple):
    """A column of texts as the kernels see it: row i is `data[start[i]:end[i]]`, or of `spare` where `patched[i]`.

    Attributes:
        start, end: int64[n].
        data, spare: uint8; `spare` holds the rows that Python had to fold.
        patched, valid: bool[n]; a row that is not valid (null) has no content.
    """

    start: np.ndarray
    end: np.ndarray
    data: np.ndarray
    spare: np.ndarray
    patched: np.ndarray
    valid: np.ndarray


@njit(cache=True, nogil=True)
def decoded(data: np.ndarray, i: int, end: int) -> tuple[np.int64, int]:
    """(code point, bytes) of the UTF-8 character at `data[i]`; (BROKEN, 1) where there is none before `end`."""
    c = np.int64(data[i])
    if c < 0x80:
        return c, 1
    size = 2 if c < 0xE0 else 3 if c < 0xF0 else 4
    if c < 0xC2 or c > 0xF4 or i + size > end:
        return BROKEN, 1
    point = c & (0x7F >> size)
    for k in range(1, size):
        follow = np.int64(data[i + k])
        if follow & 0xC0 != 0x80:
            return BROKEN, 1
        point = (point << 6) | (follow & 0x3F)
    return point, size


@njit(cache=True, nogil=True)
def put(out: np.ndarray, n: int, point: int) -> int:
    """Write `point` in UTF-8 at `out[n]`; answers where it ends."""
    if point < 0x80:
        out[n] = point
        return n + 1
    size = 2 if point < 0x800 else 3 if point < 0x10000 else 4
    for k in range(size - 1, 0, -1):
        out[n + k] = 0x80 | (point & 0x3F)
        point >>= 6
    out[n] = ((0xF00 >> size) & 0xFF) | point
    return n + size


@njit(cache=True, nogil=True)
def fold(data: np.ndarray, start: int, end: int, table: np.ndarray, out: np.ndarray) -> int:
    """Copy `data[start:end]` to `out`, each code point replaced as `table` says; answers the length in bytes.

    `table` uint32[m]: code point -> code point or DROP; those from m on stay, so an empty table copies.
    `out` has room for twice the bytes and PADDING.
    """
    if len(table) == 0:
        out[: end - start] = data[start:end]
        return end - start
    i, n = start, 0
    while i < end:
        point, size = decoded(data, i, end)
        new = table[point] if point < len(table) else np.uint32(point)
        if new == point:
            for k in range(size):
                out[n + k] = data[i + k]
            n += size
        elif new != DROP:
            n = put(out, n, np.int64(new))
        i += size
    return n


@njit(cache=True, nogil=True)
def lower(data: np.ndarray, start: int, end: int, table: np.ndarray, out: np.ndarray) -> int:
    """`fold` for a table of lower case: ASCII by a vectorised copy, the others patched in place while lengths agree."""
    seen, n = np.uint8(0), end - start
    source = data[start:end]
    for i in range(len(source)):
        c = source[i]
        seen |= c
        out[i] = c + np.uint8(32) if np.uint8(c - np.uint8(65)) < np.uint8(26) else c
    if seen < 128:
        return n
    i = 0
    out[n : n + 8] = 0
    while i < n:
        if out[i] < 128:
            i += 1 if load64(out, i) & _TOPS else 8
            continue
        point, size = decoded(out, i, n)
        if point < len(table) and table[point] != point and put(out, i, np.int64(table[point])) != i + size:
            return fold(data, start, end, table, out)
        i += size
    return n


@njit(cache=True, nogil=True)
def is_space(point: int) -> bool:
    """Whether Python's `str.strip` takes the code point away."""
    if point < 0x80:
        return point == 32 or 9 <= point <= 13 or 28 <= point <= 31
    return (
        point == 0x85 or point == 0xA0 or point == 0x1680 or 0x2000 <= point <= 0x200A
        or point == 0x2028 or point == 0x2029 or point == 0x202F or point == 0x205F or point == 0x3000
    )


@njit(cache=True, nogil=True)
def stripped(data: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """(start, end) of `data[start:end]` without white space at either side."""
    while start < end:
        point, size = decoded(data, start, end)
        if not is_space(point):
            break
        start += size
    while start < end:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:
            last -= 1
        point, size = decoded(data, last, end)
        if not is_space(point) or last + size != end:
            break
        end = last
    return start, end


@njit(cache=True, nogil=True)
def irregular(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """bool[n]: the rows with İ or Σ, whose lower case is not a matter of single code points."""
    marks = np.zeros(len(offsets) - 1, np.bool_)
    at, stop, row = offsets[0], offsets[-1], 0
    while at < stop - 1:
        if at + BLOCK < stop:
            found, step = dotted_or_sigma(data, at), BLOCK
        else:
            first, second = data[at], data[at + 1]
            found, step = np.uint64((first == 0xC4 and second == 0xB0) or (first == 0xCE and second == 0xA3)), 1
        while found != 0:
            place = at + first_bit(found)
            found &= found - _1
            while offsets[row + 1] <= place:
                row += 1
            marks[row] |= place + 1 < offsets[row + 1]
        at += step
    return marks


@njit(cache=True, nogil=True)
def scratch_size(texts: Texts) -> int:
    """Bytes of scratch memory that folding the longest row may need, PADDING included."""
    longest = 0
    for row in range(len(texts.start)):
        longest = max(longest, texts.end[row] - texts.start[row])
    return 2 * longest + 2 * PADDING
