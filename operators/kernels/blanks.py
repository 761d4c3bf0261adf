"""White space: stripped at the ends, one kind of blank within."""

import numpy as np
from numba import njit

from .codepoints import BLANK, SPACE, decode


@njit(cache=True, nogil=True)
def normalise(offsets: np.ndarray, data: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(offsets, bytes) of the rows stripped of SPACE at both ends, every BLANK left then a space; `table`: see `classes`."""
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    bounds, size = np.zeros(offsets.size, np.int64), 0
    for row in range(offsets.size - 1):
        at, end = offsets[row], offsets[row + 1]
        first = kept = size
        while at < end:
            code, width = np.uint32(data[at]), 1
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, packed & 7
            kind = table[code]
            if kind & SPACE == 0 or size > first:
                if kind & BLANK:
                    out[size] = 32
                    size += 1
                else:
                    for i in range(at, at + width):
                        out[size] = data[i]
                        size += 1
                if kind & SPACE == 0:
                    kept = size
            at += width
        bounds[row + 1] = size = kept
    return bounds, out[:size].copy()
