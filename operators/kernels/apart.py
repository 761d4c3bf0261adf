"""Numba: words of simplified English set apart: *dont* is *do nt*, *0km* is *0 km*, a symbol is a word: as spaCy cuts them.

What is cut is text without punctuation (`simplifying`). From each run between blanks symbols go from both ends, and units behind
a 0; what then is left is a contraction, or is cut at each symbol within. The rules are those of spaCy's English tokenizer (MIT)
as far as they apply: no full stop, apostrophe, hyphen or address is left to look at.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .blocks import first_bit
from .digest import M1, M2, load64
from .folding import decoded

OPENS, CLOSES, MONEY, PARTS, JOINS, LETTER = 1, 2, 4, 8, 16, 32  # goes in front, at the end, behind a 0; parts; so between letters
ZERO, BLANK = 48, 32

_1, _LOW, _TOP = np.uint64(1), np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _BACKTICKS, _LETTERS = np.uint64(BLANK) * _LOW, np.uint64(96) * _LOW, np.uint64(64) * _LOW
_SHIFT = np.uint64(54)  # 1,024 slots


class Words(NamedTuple):
    """A table of words of at most 16 bytes, found by hash.

    Attributes:
        heads, tails: uint64[1024], the first eight bytes of each and those behind; 0: no word.
        cuts: int64[1024, 2], before which bytes a word is cut; 0: not.
        longest: bytes.
    """

    heads: np.ndarray
    tails: np.ndarray
    cuts: np.ndarray
    longest: int


@njit(cache=True, nogil=True)
def _loaded(data: np.ndarray, at: int, size: int) -> np.uint64:
    """`size` bytes (at most eight) as a number."""
    if size <= 0:
        return np.uint64(0)
    if at + 8 <= len(data):
        return load64(data, at) & (~np.uint64(0) >> np.uint64(64 - 8 * min(size, 8)))
    word = np.uint64(0)
    for k in range(min(size, 8)):
        word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return word


@njit(cache=True, nogil=True)
def slot_of(data: np.ndarray, start: int, stop: int, words: Words) -> np.int64:
    """Where `data[start:stop]` stands in the table; -1 - where it would: nowhere."""
    head, tail = _loaded(data, start, stop - start), _loaded(data, start + 8, stop - start - 8)
    slot = np.int64((head * M1 + tail * M2) >> _SHIFT)
    while words.heads[slot] != 0:
        if words.heads[slot] == head and words.tails[slot] == tail:
            return slot
        slot = (slot + 1) % len(words.heads)
    return -1 - slot


def table_of(words: dict[str, tuple[int, ...]]) -> Words:
    """The table of `words` -> before which of their bytes they are cut."""
    table = Words(np.zeros(1024, np.uint64), np.zeros(1024, np.uint64), np.zeros((1024, 2), np.int64),
                  max(len(w.encode()) for w in words))
    for word, cuts in words.items():
        data = np.frombuffer(word.encode().ljust(16, b"\0"), np.uint8)
        data.flags.writeable = False
        slot = -1 - slot_of(data, 0, len(word.encode()), table)
        table.heads[slot], table.tails[slot] = data.view(np.uint64)
        table.cuts[slot, : len(cuts)] = cuts
    return table


@njit(cache=True, nogil=True)
def _run(data: np.ndarray, at: int, end: int) -> tuple[int, bool]:
    """(where the run that begins at `at` ends, whether it is ASCII letters only)."""
    letters = True
    while at + 8 <= len(data):
        word = load64(data, at)
        x = word ^ _BLANKS
        size = min(first_bit((x - _LOW) & ~x & _TOP) >> 3, end - at)  # eight where there is no blank
        own = ~np.uint64(0) >> np.uint64(64 - 8 * size) if size else np.uint64(0)
        y = word ^ _BACKTICKS
        odd = (word & _TOP) | ((~word & _LETTERS) << _1) | ((y - _LOW) & ~y & _TOP)
        letters = letters and (odd & own) == 0
        at += size
        if size < 8 or at == end:
            return at, letters
    while at < end and data[at] != BLANK:
        letters = letters and 64 < data[at] < 128 and data[at] != 96
        at += 1
    return at, letters


@njit(cache=True, nogil=True)
def _contracted(data: np.ndarray, start: int, stop: int, marks: np.ndarray, words: Words) -> bool:
    """Whether `data[start:stop]` is in the table; if so, `marks` (of bytes from `start` on) tells where it is cut."""
    if stop - start > words.longest:
        return False
    slot = slot_of(data, start, stop, words)
    if slot < 0:
        return False
    for k in range(2):
        if words.cuts[slot, k]:
            marks[words.cuts[slot, k]] = True
    return True


@njit(cache=True, nogil=True)
def _suffix(data: np.ndarray, start: int, stop: int, kinds: np.ndarray, units: Words) -> int:
    """Bytes that go from the end: a symbol, or money or a unit behind a 0."""
    last = stop - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    kind = kinds[decoded(data, last, stop)[0]]
    if kind & CLOSES or (kind & MONEY and last > start and data[last - 1] == ZERO):
        return stop - last
    for at in range(stop - 1, max(start, stop - 1 - units.longest) - 1, -1):
        if data[at] == ZERO:
            return stop - at - 1 if at < stop - 1 and slot_of(data, at + 1, stop, units) >= 0 else 0
    return 0


@njit(cache=True, nogil=True)
def _parted(data: np.ndarray, start: int, stop: int, marks: np.ndarray, kinds: np.ndarray) -> None:
    """Mark where symbols within `data[start:stop]` part it; `marks` of bytes from `start` on."""
    at, before = start, 0
    while at < stop:
        point, size = decoded(data, at, stop)
        kind, further = kinds[point], at + size
        joint = kind & JOINS and before & LETTER and further < stop and data[further] != ZERO
        if at > start and (kind & PARTS or (joint and kinds[decoded(data, further, stop)[0]] & LETTER)):
            marks[at - start] = True
            marks[further - start] = True
        at, before = further, LETTER if point == ZERO else kind


@njit(cache=True, nogil=True)
def _mark(data: np.ndarray, start: int, stop: int, marks: np.ndarray, kinds: np.ndarray, words: Words, units: Words) -> None:
    """Mark before which bytes of the run `data[start:stop]` a word begins."""
    first, more = start, True
    while more and start < stop and not _contracted(data, start, stop, marks[start - first :], words):
        point, size = decoded(data, start, stop)
        opens = size if kinds[point] & OPENS else 0
        start += opens
        marks[start - first] |= opens > 0
        closes = _suffix(data, start, stop, kinds, units) if start < stop else 0
        stop -= closes
        marks[stop - first] |= closes > 0
        more = opens + closes > 0
    if start < stop and not more:
        _parted(data, start, stop, marks[start - first :], kinds)


@njit(cache=True, nogil=True)
def _place(head: np.uint64) -> np.uint64:
    return (head * M1) >> np.uint64(50)


@njit(cache=True, nogil=True)
def _beginnings(words: Words) -> np.ndarray:
    """bool[16384]: true at the `_place` of some word's first eight bytes; elsewhere there is nothing to look for."""
    maybe = np.zeros(1 << 14, np.bool_)
    for head in words.heads:
        if head:
            maybe[_place(head)] = True
    return maybe


@njit(cache=True, nogil=True)
def _whole(data: np.ndarray, start: int, at: int, stop: int, marks: np.ndarray, whole: Words) -> bool:
    """Whether what is cut before byte `at` is listed as one word; `marks` of bytes from `at` on."""
    end = at + 1
    while end < stop and not marks[end - at] and end - start <= whole.longest:
        end += 1
    return end - start <= whole.longest and slot_of(data, start, end, whole) >= 0


@njit(cache=True, nogil=True)
def set_apart(
    offsets: np.ndarray, data: np.ndarray, kinds: np.ndarray, words: Words, units: Words, whole: Words
) -> tuple[np.ndarray, np.ndarray]:
    """(bytes uint8, offsets int64[n + 1]): each text with a blank more wherever one of its words is cut.

    `kinds` uint8[0x110000]: the bits above. Cost: one pass; one byte of scratch memory for each of the longest run.
    """
    out, ends = np.empty(2 * (offsets[-1] - offsets[0]) + 8, np.uint8), np.zeros(len(offsets), np.int64)
    filled, marks, maybe, longest = 0, np.zeros(64, np.bool_), _beginnings(words), words.longest
    for row in range(len(offsets) - 1):
        at = copied = offsets[row]
        while at < offsets[row + 1]:
            start = at
            stop, letters = _run(data, at, offsets[row + 1])
            at = stop + 1
            size = stop - start
            if size < 2 or (letters and (size > longest or not maybe[_place(_loaded(data, start, size))])):
                continue
            if len(marks) <= stop - start:
                marks = np.zeros(2 * (stop - start), np.bool_)
            if not letters:
                _mark(data, start, stop, marks, kinds, words, units)
            elif not _contracted(data, start, stop, marks, words):
                continue
            first = start
            for k in range(stop - start):
                if marks[k] and not _whole(data, first, start + k, stop, marks[k:], whole):
                    size, first = start + k - copied, start + k
                    out[filled : filled + size] = data[copied:first]
                    out[filled + size] = BLANK
                    filled, copied = filled + size + 1, first
            marks[: stop - start + 1] = False
        size = offsets[row + 1] - copied
        out[filled : filled + size] = data[copied : offsets[row + 1]]
        filled += size
        ends[row + 1] = filled
    return out[:filled], ends
