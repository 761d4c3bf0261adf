"""Numba: a text's bytes -> folded bytes -> token hashes -> shingle hashes, row by row in scratch memory.

Folding copies the text to scratch, which is what allows eight bytes to be read at a time, past a token's end.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .blocks import BLOCK, copied, edges, first_bit
from .digest import SEED, absorbed, load64, mixed
from .folding import Texts, decoded, fold, put, scratch_size

SPACE, PUNCTUATION, CHARACTER, HASHED = 0, 1, 2, 3  # HASHED: eight bytes a token, its hash

_BASE = np.uint64(0x9FB21C651E98DF27)  # of the rolling polynomial; 3 mod 4, so that _BASE - 1 is twice an odd number
_1, _7, _8 = np.uint64(1), np.uint64(7), np.uint64(8)
STRETCH = 32  # blocks of text whose runs are found before they are hashed
PLACES = STRETCH * BLOCK + 16
WIDE = 12  # windows wider than this are rolled, one after the other


class Scratch(NamedTuple):
    """Memory that one row after the other is worked on in.

    Attributes:
        text: uint8, the folded text.
        tokens, shingles: uint64, their hashes.
        masks, places: what `blocks.copied` and `blocks.edges` write.
        parts: uint64[4, ...], see `_hash_runs`.
    """

    text: np.ndarray
    tokens: np.ndarray
    shingles: np.ndarray
    masks: np.ndarray
    places: np.ndarray
    parts: np.ndarray


@njit(cache=True, nogil=True)
def _hash_range(text: np.ndarray, p: int, end: int) -> int:
    h = SEED + np.uint64(end - p)
    while end - p >= 8:
        h = absorbed(h, load64(text, p))
        p += 8
    rest = (_1 << np.uint64(8 * (end - p))) - _1
    return absorbed(h, load64(text, p) & rest)


@njit(cache=True, nogil=True)
def _hash_runs(parts: np.ndarray, tokens: np.ndarray) -> None:
    """Finish the hash of each run from its row of `parts`: state, size, next word, the word after. No branch: vector code."""
    state, sizes, words, later = parts[0], parts[1], parts[2], parts[3]
    for k in range(len(tokens)):
        long = np.uint64(0) - np.uint64(sizes[k] >= _8)  # all bits or none
        h = (state[k] & ~long) + (absorbed(state[k], words[k]) & long)
        word = (words[k] & ~long) | (later[k] & long)
        tokens[k] = absorbed(h + sizes[k], word & ((_1 << (_8 * (sizes[k] & _7))) - _1))


@njit(cache=True, nogil=True)
def split_spaces(
    text: np.ndarray, n: int, masks: np.ndarray, places: np.ndarray, parts: np.ndarray, tokens: np.ndarray
) -> int:
    """Hash the runs between spaces of `text[:n]` into `tokens`; answers how many.

    `masks` as of `blocks.copied`; `text[n:n + PADDING]` is readable; `places` and `parts` are scratch.
    """
    words, held, blocks = 0, 0, n // BLOCK + 1
    for low in range(0, blocks, STRETCH):
        held = edges(masks, low, min(low + STRETCH, blocks), places, held)
        found = held // 2
        for k in range(found):
            p, end = places[2 * k], places[2 * k + 1]
            parts[0, k], parts[1, k] = SEED, np.uint64(end - p)
            while end - p >= 16:
                parts[0, k] = absorbed(parts[0, k], load64(text, p))
                p += 8
            parts[2, k], parts[3, k] = load64(text, p), load64(text, p + 8)
        _hash_runs(parts, tokens[words : words + found])
        words += found
        places[0] = places[max(held - 1, 0)]
        held &= 1
    return words


@njit(cache=True, nogil=True)
def split_at(text: np.ndarray, n: int, separators: np.ndarray, tokens: np.ndarray) -> int:
    """Hash the parts (empty ones too) between separating code points of `text[:n]` into `tokens`; answers how many.

    `separators` bool[0x110000]. A text of no bytes has no part.
    """
    if n == 0:
        return 0
    i, start, count = 0, 0, 0
    while i < n:
        point, size = decoded(text, i, n)
        if point < len(separators) and separators[point]:
            tokens[count] = _hash_range(text, start, i)
            count += 1
            start = i + size
        i += size
    tokens[count] = _hash_range(text, start, n)
    return count + 1


@njit(cache=True, nogil=True)
def split_characters(text: np.ndarray, n: int, tokens: np.ndarray) -> int:
    """Hash each code point of `text[:n]` into `tokens`; answers how many."""
    i, count = 0, 0
    while i < n:
        point, size = decoded(text, i, n)
        tokens[count] = absorbed(SEED, np.uint64(point if size > 1 else text[i]))
        count += 1
        i += size
    return count


@njit(cache=True, nogil=True)
def windows(tokens: np.ndarray, count: int, width: int, out: np.ndarray) -> int:
    """Hash each run of `width` token hashes into `out`; answers how many. Fewer tokens than `width`: one run of all."""
    if count == 0:
        return 0
    width = min(width, count)
    salt, found = np.uint64(width) * SEED, count - width + 1
    if width > WIDE or found == 1:
        _rolled(tokens, count, width, out)
    else:
        for low in range(0, found, 512):  # what the nearest cache holds
            some = out[low : min(low + 512, found)]
            some[:] = tokens[low : low + len(some)]
            for k in range(1, width):
                following = tokens[low + k : low + k + len(some)]
                for i in range(len(some)):
                    some[i] = some[i] * _BASE + following[i]
    for i in range(found):
        out[i] = mixed(out[i] + salt)
    return found


@njit(cache=True, nogil=True)
def _rolled(tokens: np.ndarray, count: int, width: int, out: np.ndarray) -> None:
    lead, h = _1, np.uint64(0)
    for i in range(width):
        h = h * _BASE + tokens[i]
        lead = lead if i == 0 else lead * _BASE
    out[0] = h
    for i in range(width, count):
        h = (h - tokens[i - width] * lead) * _BASE + tokens[i]
        out[i - width + 1] = h


@njit(cache=True, nogil=True)
def scratch_for(texts: Texts) -> Scratch:
    """Scratch memory for `shingle_row`."""
    size = scratch_size(texts) + BLOCK
    return Scratch(
        np.empty(size, np.uint8), np.empty(size // 2, np.uint64), np.empty(size // 2, np.uint64),
        np.empty((2, size // BLOCK + 2), np.uint64), np.empty(PLACES, np.int64), np.empty((4, PLACES // 2), np.uint64))


@njit(cache=True, nogil=True)
def _patched(text: np.ndarray, n: int, wide: np.ndarray, table: np.ndarray) -> bool:
    """Whether all that is not ASCII (marked in `wide`) could be put in lower case where it stands, and was."""
    for k in range(n // BLOCK + 1):
        left = wide[k]
        while left != 0:
            bit = first_bit(left)
            at = k * BLOCK + bit
            point, size = decoded(text, at, n)
            if point < len(table) and table[point] != point and put(text, at, np.int64(table[point])) != at + size:
                return False
            left &= ~np.uint64(0) << np.uint64(min(bit + size, 63))
            left &= left - _1 if bit + size > 63 else left
    return True


@njit(cache=True, nogil=True)
def _shingles(
    data: np.ndarray, start: int, end: int, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray],
    scratch: Scratch,
) -> int:
    mode, window, lowercase = how
    text, tokens, out, masks, places, parts = scratch
    n = end - start
    if mode == HASHED:
        for i in range(n // 8):
            tokens[i] = load64(data, start + 8 * i)
        return windows(tokens, n // 8, window, out)
    copied(data, start, end, np.uint8(26 if lowercase else 0), text, masks)
    if lowercase and not _patched(text, n, masks[1], tables[0]):
        n = fold(data, start, end, tables[0], text)
        copied(text, 0, n, np.uint8(0), text, masks)
    if mode == SPACE:
        count = split_spaces(text, n, masks, places, parts, tokens)
    elif mode == CHARACTER:
        count = split_characters(text, n, tokens)
    else:
        count = split_at(text, n, tables[1], tokens)
    return windows(tokens, count, window, out)


@njit(cache=True, nogil=True)
def shingle_row(
    texts: Texts, row: int, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray],
    scratch: Scratch,
) -> int:
    """Shingle hashes of one text, into `scratch.shingles`; answers how many, duplicates included (a null row has none).

    `how` = (mode, window, lower case?); `tables` = (table of lower case, separators).
    """
    if not texts.valid[row]:
        return 0
    start, end = texts.start[row], texts.end[row]
    if texts.patched[row]:
        return _shingles(texts.spare, start, end, how, tables, scratch)
    return _shingles(texts.data, start, end, how, tables, scratch)
