"""Sentences of a text, cut as a few regular expressions would cut them, and only the first of those that are equal."""

import numpy as np
from numba import njit

from .codepoints import CODE, decode
from .digest import absorbed, mixed

# Bits of the class table.
ENDS, ELLIPSIS, ENDS_QUOTED, QUOTE, BLANK, KEPT = 1, 2, 4, 8, 16, 32
NEWLINE = 10
SEED = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _decoded(data: np.ndarray, start: int, end: int, codes: np.ndarray, places: np.ndarray) -> int:
    """Fill in the code points of `data[start:end]` and where each begins (one more: the end); answers how many."""
    n, at, stop = 0, np.uint64(start), np.uint64(end)
    while at < stop:
        code, width = np.uint32(data[at]), np.uint64(1)
        if code >= 0x80:
            packed = decode(data, at, stop)
            code, width = packed >> 3, np.uint64(packed & 7)
        codes[n], places[n] = code, at
        n, at = n + 1, at + width
    places[n] = end
    return n


@njit(cache=True, nogil=True)
def _cut_line(codes: np.ndarray, kinds: np.ndarray, start: int, end: int, cuts: np.ndarray) -> None:
    """Mark where a sentence begins: after `.!?` unless a quotation mark closes it, after two ellipses, after such a mark.

    Each rule goes over the line by itself, and a code point that ended one of its matches begins no other.
    """
    i = start
    while i + 1 < end:
        hit = kinds[codes[i]] & ENDS and not kinds[codes[i + 1]] & QUOTE
        if hit:
            cuts[i + 1] = True
        i += 2 if hit else 1
    i = start
    while i + 2 < end:
        hit = kinds[codes[i]] & ELLIPSIS and kinds[codes[i + 1]] & ELLIPSIS and not kinds[codes[i + 2]] & QUOTE
        if hit:
            cuts[i + 2] = True
        i += 3 if hit else 1
    i = start
    while i + 2 < end:
        hit = kinds[codes[i]] & ENDS_QUOTED and kinds[codes[i + 1]] & QUOTE and not kinds[codes[i + 2]] & QUOTE
        if hit:
            cuts[i + 2] = True
        i += 3 if hit else 1


@njit(cache=True, nogil=True)
def _key(codes: np.ndarray, start: int, end: int, kinds: np.ndarray, lower: np.ndarray, all_count: bool) -> tuple[int, np.uint64]:
    """(length, hash) of a sentence without blanks at its ends, each code point as `lower` says, all or those that count."""
    while start < end and kinds[codes[start]] & BLANK:
        start += 1
    while start < end and kinds[codes[end - 1]] & BLANK:
        end -= 1
    length, state = 0, SEED
    for i in range(start, end):
        code = lower[codes[i]] & CODE
        if all_count or kinds[code] & KEPT:
            length, state = length + 1, absorbed(state, np.uint64(code))
    return length, mixed(state ^ np.uint64(length))


@njit(cache=True, nogil=True)
def _is_new(table: np.ndarray, key: np.uint64) -> bool:
    """Put `key` into the hash set (0: free); whether it was not there."""
    key = max(key, np.uint64(1))
    slot = key & np.uint64(table.size - 1)
    while table[slot] != 0:
        if table[slot] == key:
            return False
        slot = (slot + np.uint64(1)) & np.uint64(table.size - 1)
    table[slot] = key
    return True


@njit(cache=True, nogil=True)
def first_of_each(
    offsets: np.ndarray, data: np.ndarray, kinds: np.ndarray, lower: np.ndarray, all_count: bool, shortest: int
) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n + 1], bytes): rows of the first of equal sentences, and of those shorter than `shortest`; line breaks stay."""
    out, size = np.empty(offsets[-1] - offsets[0], np.uint8), 0
    bounds, longest = np.zeros(offsets.size, np.int64), 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    codes, places, cuts = np.empty(longest, np.uint32), np.empty(longest + 1, np.int64), np.zeros(longest + 1, np.bool_)
    for row in range(offsets.size - 1):
        n = _decoded(data, offsets[row], offsets[row + 1], codes, places)
        cuts[: n + 1] = False
        begin, sentences = 0, 0
        for i in range(n + 1):
            if i == n or codes[i] == NEWLINE:
                _cut_line(codes, kinds, begin, i, cuts)
                begin = i + 1
        for i in range(n):
            sentences += cuts[i] or codes[i] == NEWLINE
        capacity = 4
        while capacity < 2 * (sentences + 1):
            capacity *= 2
        seen, begin = np.zeros(capacity, np.uint64), 0
        for i in range(n + 1):
            ends = i == n or codes[i] == NEWLINE
            if not (ends or cuts[i]):
                continue
            length, key = _key(codes, begin, i, kinds, lower, all_count)
            if begin < i and (length < shortest or _is_new(seen, key)):
                for at in range(places[begin], places[i]):
                    out[size] = data[at]
                    size += 1
            begin = i
            if ends and i < n:
                out[size] = NEWLINE
                size, begin = size + 1, i + 1
        bounds[row + 1] = size
    return bounds, out[:size].copy()
