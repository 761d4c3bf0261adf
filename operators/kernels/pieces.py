"""Words between spaces, tabs and newlines: where they are, and the text put together again from those that stay."""

import numpy as np
from numba import njit

from .codepoints import ONE, decode

SPACE, TAB, NEWLINE = 0, 1, 2  # the stronger separator wins where several stand between two words
_MARKS = np.frombuffer(b" \t\n", np.uint8)


@njit(cache=True, nogil=True)
def _strength(byte: np.uint8) -> int:
    """SPACE, TAB or NEWLINE; -1: no separator."""
    return 2 if byte == 10 else 1 if byte == 9 else 0 if byte == 32 else -1


@njit(cache=True, nogil=True)
def words_at(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n + 1]: how many words the rows before have, int64[m, 2]: begin and end of each word in `data`)."""
    counts, at = np.zeros(offsets.size, np.int64), 0
    for row in range(offsets.size - 1):
        inside = False
        for i in range(offsets[row], offsets[row + 1]):
            apart = _strength(data[i]) >= 0
            at += not apart and not inside
            inside = not apart
        counts[row + 1] = at
    places, at = np.empty((at, 2), np.int64), -1
    for row in range(offsets.size - 1):
        inside = False
        for i in range(offsets[row], offsets[row + 1]):
            apart = _strength(data[i]) >= 0
            if inside and apart:
                places[at, 1] = i
            elif not inside and not apart:
                at += 1
                places[at, 0] = i
            inside = not apart
        if inside:
            places[at, 1] = offsets[row + 1]
    return counts, places


@njit(cache=True, nogil=True)
def lengths_of(data: np.ndarray, places: np.ndarray) -> np.ndarray:
    """int64[m]: length of each word in code points."""
    lengths = np.zeros(len(places), np.int64)
    for word in range(len(places)):
        length = 0
        for byte in data[places[word, 0] : places[word, 1]]:
            length += (byte & 0xC0) != 0x80
        lengths[word] = length
    return lengths


@njit(cache=True, nogil=True)
def stripped(data: np.ndarray, places: np.ndarray, table: np.ndarray, bit: int) -> np.ndarray:
    """int64[m, 2]: the words without the code points at both ends whose class in `table` has the `bit`."""
    inner = places.copy()
    for word in range(len(places)):
        at, end = np.uint64(places[word, 0]), np.uint64(places[word, 1])
        first, last, begun = at, at, False  # last: end of the last code point that is not stripped
        while at < end:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, end)
                code, width = packed >> 3, np.uint64(packed & 7)
            at += width
            if not table[code] & bit:
                if not begun:
                    first, begun = at - width, True
                last = at
        inner[word, 0], inner[word, 1] = first, last
        if not begun:
            inner[word, 1] = inner[word, 0]
    return inner


@njit(cache=True, nogil=True)
def holding(data: np.ndarray, places: np.ndarray, bounds: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """bool[m]: the words in whose bytes one of the strings `parts[bounds[i]:bounds[i + 1]]` stands."""
    found = np.zeros(len(places), np.bool_)
    for word in range(len(places)):
        for part in range(bounds.size - 1):
            size = bounds[part + 1] - bounds[part]
            for at in range(places[word, 0], places[word, 1] - size + 1):
                same = 0
                while same < size and data[at + same] == parts[bounds[part] + same]:
                    same += 1
                if same == size:
                    found[word] = True
                    break
            if found[word]:
                break
    return found


@njit(cache=True, nogil=True)
def joined(
    offsets: np.ndarray, data: np.ndarray, counts: np.ndarray, places: np.ndarray, stays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n + 1], bytes): the rows of the words that stay, each apart from the one before by the strongest separator between."""
    out, n = np.empty(offsets[-1] - offsets[0], np.uint8), 0
    bounds = np.zeros(offsets.size, np.int64)
    for row in range(offsets.size - 1):
        first, gap, seen = True, 0, offsets[row]
        for word in range(counts[row], counts[row + 1]):
            for i in range(seen, places[word, 0]):
                gap = max(gap, _strength(data[i]))
            seen = places[word, 1]
            if not stays[word]:
                continue
            if not first:
                out[n] = _MARKS[gap]
                n += 1
            first, gap = False, 0
            for i in range(places[word, 0], places[word, 1]):
                out[n] = data[i]
                n += 1
        bounds[row + 1] = n
    return bounds, out[:n].copy()
