"""Lines as Python's str.splitlines cuts them, without cutting."""

import numpy as np
from numba import njit

# \n \v \f \r and the separators U+001C to U+001E: bit = code point. The others are U+0085, U+2028 and U+2029.
ASCII_BREAKS = np.uint32(0b0111_0000_0000_0000_0011_1100_0000_0000)


# What a byte adds to a line's length: nothing if it continues a code point; or that it may begin a line break.
MAYBE_BREAK = 2
KINDS = np.ones(256, np.uint8)
KINDS[0x80:0xC0] = 0
KINDS[[*range(0x20), 0xC2, 0xE2]] = MAYBE_BREAK


@njit(cache=True, nogil=True)
def _break_width(data, at, end):  # type: ignore[no-untyped-def]
    """Bytes of the line break at `at` (\\r\\n is one), 0 where there is none."""
    byte = data[at]
    if byte < 0x20:
        if byte == 0x0D and at + 1 < end and data[at + 1] == 0x0A:
            return 2
        return (ASCII_BREAKS >> np.uint32(byte)) & 1
    if byte == 0xC2:
        return 2 if at + 1 < end and data[at + 1] == 0x85 else 0
    if byte == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and data[at + 2] & 0xFE == 0xA8:
        return 3
    return 0


@njit(cache=True, nogil=True)
def _measure(offsets, data, kinds):  # type: ignore[no-untyped-def]
    rows = offsets.size - 1
    lines, longest, lengths = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        current, most, count, total = 0, 0, 0, 0
        while at < end:
            rest, ahead = data[at:end], 0
            while ahead < rest.size and kinds[rest[ahead]] < MAYBE_BREAK:
                current += kinds[rest[ahead]]
                ahead += 1
            at += ahead
            if at == end:
                break
            width = _break_width(data, at, end)
            if width == 0:
                current += 1
                at += 1
                continue
            most, count = max(most, current), count + 1
            total += current + 1 + (data[at] == 0x0D and width == 2)
            current = 0
            at += width
        lines[row], longest[row], lengths[row] = count + (current > 0), max(most, current), total + current
    return lines, longest, lengths


def measure_lines(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per row: (lines, code points of the longest line, code points of the row), all int64[n]."""
    return _measure(offsets, data, KINDS)  # type: ignore[no-any-return]
