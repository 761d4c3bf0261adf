"""Code points put in place of others, one for any number: a table by code point, one pass over the bytes."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numba import njit

from .codepoints import CODE_POINTS, ONE, decode
from .strings import strings, view

Table = tuple[np.ndarray, np.ndarray, np.ndarray]


def table_of(replacements: Mapping[str, str], *, others: str | None = None) -> Table:
    """(uint8[0x110000], int64[m + 1], uint8[...]): which replacement each code point has (0: it stays), and their bytes.

    `others` replaces every code point that is not in `replacements`. At most 254 different replacements.
    """
    texts = list(dict.fromkeys([*(t for p, t in replacements.items() if t != p), *([] if others is None else [others])]))
    number = {text: i for i, text in enumerate(texts, 1)}
    which = np.full(CODE_POINTS, 0 if others is None else number[others], np.uint8)
    for point, text in replacements.items():
        which[ord(point)] = 0 if text == point else number[text]
    pieces = [text.encode() for text in texts]
    bounds = np.cumsum([0, 0, *map(len, pieces)])
    return which, bounds, np.frombuffer(b"".join(pieces) or b"\0", np.uint8)


@njit(cache=True, nogil=True)
def _new_sizes(offsets: np.ndarray, data: np.ndarray, which: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, bool]:
    """(int64[n + 1]: where each row begins once translated, whether anything changes)."""
    places, changed = np.zeros(offsets.size, np.int64), False
    for row in range(offsets.size - 1):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        size = np.int64(end - at)
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            new = which[code]
            if new:
                size += bounds[new + 1] - bounds[new] - np.int64(width)
                changed = True
            at += width
        places[row + 1] = places[row] + size
    return places, changed


@njit(cache=True, nogil=True)
def _translated(
    offsets: np.ndarray, data: np.ndarray, which: np.ndarray, bounds: np.ndarray, pool: np.ndarray, size: int
) -> np.ndarray:
    """uint8[size]: the bytes of the rows with every code point replaced that `which` has a replacement for."""
    out, n = np.empty(size, np.uint8), 0
    for row in range(offsets.size - 1):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            new = which[code]
            if new:
                for i in range(bounds[new], bounds[new + 1]):
                    out[n] = pool[i]
                    n += 1
            else:
                for i in range(at, at + width):
                    out[n] = data[i]
                    n += 1
            at += width
    return out


def translate(text: pa.StringArray, table: Table) -> pa.StringArray:
    """`text` with its code points replaced by `table` (see `table_of`). Null: null. Cost: two passes; one where nothing changes."""
    offsets, data = view(text)
    which, bounds, pool = table
    places, changed = _new_sizes(offsets, data, which, bounds)
    if not changed:
        return text
    return strings(places, _translated(offsets, data, which, bounds, pool, int(places[-1])), like=text)
