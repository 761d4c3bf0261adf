"""Lines as Python's str.splitlines cuts them, without cutting."""

import numpy as np
from numba import njit

BLOCK = 128  # bytes counted together, in a uint8
LF, CR = 0x0A, 0x0D

# What a byte adds to a line's length: nothing if it continues a code point; or that it may begin a line break.
MAYBE_BREAK = 2
KINDS = np.ones(256, np.uint8)
KINDS[0x80:0xC0] = 0
KINDS[[*range(0x20), 0xC2, 0xE2]] = MAYBE_BREAK


@njit(cache=True, nogil=True)
def _begins_break(byte: np.uint8, second: np.uint8, third: np.uint8) -> np.bool_:
    """Whether a line break begins with these bytes: LF, VT, FF, CR, U+001C to U+001E, U+0085, U+2028 or U+2029."""
    ascii_break = (np.uint8(byte - LF) < 4) | (np.uint8(byte - 0x1C) < 3)
    next_line = (byte == 0xC2) & (second == 0x85)
    separator = (byte == 0xE2) & (second == 0x80) & ((third & 0xFE) == 0xA8)
    return ascii_break | next_line | separator


@njit(cache=True, nogil=True)
def _break_width(data: np.ndarray, at: int, end: int) -> int:
    """Bytes of the line break at `at` (CR LF is one), 0 where there is none."""
    byte = data[at]
    second = data[at + 1] if at + 1 < end else np.uint8(0)
    third = data[at + 2] if at + 2 < end else np.uint8(0)
    if not _begins_break(byte, second, third):
        return 0
    if byte < 0x80:
        return 2 if byte == CR and second == LF else 1
    return 2 if byte == 0xC2 else 3


@njit(cache=True, nogil=True)
def _count_breaks(data: np.ndarray, start: int, end: int) -> int:
    """Line breaks in `data[start:end]`, CR LF as one; written so that the compiler takes many bytes at a time."""
    count, at = 0, start
    while at < end - 2:
        stop = min(at + BLOCK, end - 2)
        first, second, third = data[at:stop], data[at + 1 : stop + 1], data[at + 2 : stop + 2]
        breaks, pairs = np.uint8(0), np.uint8(0)
        for i in range(first.size):
            breaks = np.uint8(breaks + np.uint8(_begins_break(first[i], second[i], third[i])))
            pairs = np.uint8(pairs + np.uint8((first[i] == CR) & (second[i] == LF)))
        count += int(breaks) - int(pairs)
        at = stop
    while at < end:
        width = _break_width(data, at, end)
        count += (width > 0) - (width == 2 and data[at] == CR)
        at += 1
    return count


@njit(cache=True, nogil=True)
def count_lines(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """int64[n]: lines of each row."""
    lines = np.zeros(offsets.size - 1, np.int64)
    for row in range(lines.size):
        start, end = offsets[row], offsets[row + 1]
        closed = start == end  # whether the last line ends with a break
        for at in range(max(start, end - 3), end):
            width = _break_width(data, at, end)
            closed |= width > 0 and at + width == end
        lines[row] = _count_breaks(data, start, end) + (not closed)
    return lines


@njit(cache=True, nogil=True)
def _longest(offsets: np.ndarray, data: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    longest = np.zeros(offsets.size - 1, np.int64)
    for row in range(longest.size):
        at, end = offsets[row], offsets[row + 1]
        current, most = 0, 0
        while at < end:
            rest, ahead = data[at:end], 0
            while ahead < rest.size and kinds[rest[ahead]] < MAYBE_BREAK:
                current += kinds[rest[ahead]]
                ahead += 1
            at += ahead
            if at == end:
                break
            width = _break_width(data, at, end)
            if width:
                most, current = max(most, current), 0
                at += width
            else:
                current += 1
                at += 1
        longest[row] = max(most, current)
    return longest


def longest_lines(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """int64[n]: code points of the longest line of each row, without its break."""
    return _longest(offsets, data, KINDS)  # type: ignore[no-any-return]
