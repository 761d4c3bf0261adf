"""Numba: texts as the words that count when they are compared with evaluation examples, and n-grams of those found in them.

A word is what stands between blanks, by NFKD, case folded, without marks, punctuation and symbols. A letter of a script that puts
no blanks between words (Han, kana, Thai, Lao, Khmer, Burmese) is a word by itself.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from .codepoints import CODE_POINTS, spread
from .digest import mixed
from .folding import decoded

BASE = np.uint64(0x9FB21C651E98DF27)
BLANK, ALONE = 1, 2
_ALONE = "e00-e7f e80-eff 1000-109f 1780-17ff 2e80-2fdf 3005-3007 3040-30ff 31f0-31ff 3400-4dbf 4e00-9fff f900-faff 20000-323af"
_ZERO, _1 = np.uint64(0), np.uint64(1)


class Folds(NamedTuple):
    """What becomes of each code point: `pool[bounds[c]:bounds[c + 1]]`, and `kinds` (BLANK, ALONE)."""

    bounds: np.ndarray
    pool: np.ndarray
    kinds: np.ndarray


class Words(NamedTuple):
    """Words of texts: those of text i are bounds[i]:bounds[i + 1] of the others.

    Attributes:
        bounds: int64[n + 1].
        codes: uint32, all words' code points; those of word k are places[k]:places[k + 1].
        places: int64[m + 1].
        hashes: uint64[m].
        spans: int64[m, 2], the bytes of each, in the column's buffer.
    """

    bounds: np.ndarray
    codes: np.ndarray
    places: np.ndarray
    hashes: np.ndarray
    spans: np.ndarray


class Grams(NamedTuple):
    """Where the n-grams of examples begin, by hash: gram k is at words[k] of them, and `size[k]` words long.

    Attributes:
        slots: int64, open addressing: number of the first gram of a hash, plus one.
        hashes: uint64[g], sorted.
        words, size, example: int64[g].
        width: words that are hashed.
    """

    slots: np.ndarray
    hashes: np.ndarray
    words: np.ndarray
    size: np.ndarray
    example: np.ndarray
    width: int


@cache
def folds() -> Folds:
    """The table that `read_words` goes by."""
    alone = spread(_ALONE)
    pool: list[int] = []
    kinds, bounds = np.zeros(CODE_POINTS, np.uint8), np.zeros(CODE_POINTS + 1, np.int64)
    for code in range(CODE_POINTS):
        bounds[code] = len(pool)
        character = chr(code)
        if character.isspace():
            kinds[code] = BLANK
        elif not 0x32400 <= code < 0xE0000 and code < 0xF0000 and unicodedata.category(character)[0] not in "CPS":
            folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
            pool += [ord(c) for c in folded if unicodedata.category(c)[0] in "LN"]
            kinds[code] = ALONE * alone[code]
    bounds[CODE_POINTS] = len(pool)
    return Folds(bounds, np.array(pool, np.uint32), kinds)


@njit(cache=True, nogil=True)
def read_words(offsets: np.ndarray, data: np.ndarray, bounds: np.ndarray, pool: np.ndarray, kinds: np.ndarray) -> Words:
    """The words of each row. Cost: linear; 20 bytes a byte, held while the answer is."""
    rows, room = offsets.size - 1, 0
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            code, width = decoded(data, at, end)
            code = min(code, kinds.size - 1)
            room += bounds[code + 1] - bounds[code]
            at += width
    codes, places = np.empty(room, np.uint32), np.zeros(room + 1, np.int64)
    hashes, spans = np.empty(room, np.uint64), np.empty((room, 2), np.int64)
    of_row, n, words = np.zeros(rows + 1, np.int64), 0, 0
    for row in range(rows):
        at, end, state = offsets[row], offsets[row + 1], _ZERO
        while at <= end:
            code, width, kind = 0, 1, np.uint8(BLANK)
            if at < end:
                code, width = decoded(data, at, end)
                code = min(code, kinds.size - 1)
                kind = kinds[code]
            if kind and n > places[words]:
                hashes[words] = mixed(state)
                words += 1
                places[words] = n
                state = _ZERO
            if not kind & BLANK and bounds[code + 1] > bounds[code]:
                if n == places[words]:
                    spans[words, 0] = at
                for i in range(bounds[code], bounds[code + 1]):
                    codes[n] = pool[i]
                    state = state * BASE + np.uint64(pool[i]) + _1
                    n += 1
                spans[words, 1] = at + width
                if kind & ALONE:
                    hashes[words] = mixed(state)
                    words += 1
                    places[words] = n
                    state = _ZERO
            at += width
        of_row[row + 1] = words
    return Words(of_row, codes[:n].copy(), places[: words + 1].copy(), hashes[:words].copy(), spans[:words].copy())


@njit(cache=True, nogil=True)
def gram_hashes(hashes: np.ndarray, width: int) -> np.ndarray:
    """uint64[m - width + 1]: the hash of each n-gram of words."""
    count = max(hashes.size - width + 1, 0)
    out = np.empty(count, np.uint64)
    rolled, lead = _ZERO, _1
    for i in range(width if count else 0):
        rolled = rolled * BASE + hashes[i]
        lead *= BASE
    for i in range(count):
        out[i] = mixed(rolled)
        if i + 1 < count:
            rolled = rolled * BASE + hashes[i + width] - hashes[i] * lead
    return out


@njit(cache=True, nogil=True)
def table_of(hashes: np.ndarray) -> np.ndarray:
    """int64[power of two]: open addressing of sorted hashes: the place of the first of each, plus one."""
    size = 64
    while size < 4 * hashes.size:
        size *= 2
    slots, mask = np.zeros(size, np.int64), np.uint64(size - 1)
    for i in range(hashes.size):
        if i and hashes[i] == hashes[i - 1]:
            continue
        at = hashes[i] & mask
        while slots[at]:
            at = (at + _1) & mask
        slots[at] = i + 1
    return slots


@njit(cache=True, nogil=True)
def _same(a: Words, first: int, b: Words, other: int, size: int) -> bool:
    """Whether the `size` words from `first` and from `other` on are the same, letter by letter."""
    for k in range(size):
        start, length = a.places[first + k], a.places[first + k + 1] - a.places[first + k]
        begin = b.places[other + k]
        if b.places[other + k + 1] - begin != length:
            return False
        for i in range(length):
            if a.codes[start + i] != b.codes[begin + i]:
                return False
    return True


@njit(cache=True, nogil=True)
def find_grams(read: Words, row: int, grams: Grams, known: Words, found: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """Add (word in the row, gram) of each n-gram of a row that stands in an example to `found`; answers that and its length."""
    first, last = read.bounds[row], read.bounds[row + 1]
    hashes, mask = gram_hashes(read.hashes[first:last], grams.width), np.uint64(grams.slots.size - 1)
    for i in range(hashes.size):
        at = hashes[i] & mask
        while grams.slots[at] and grams.hashes[grams.slots[at] - 1] != hashes[i]:
            at = (at + _1) & mask
        gram = grams.slots[at] - 1
        while 0 <= gram < grams.hashes.size and grams.hashes[gram] == hashes[i]:
            size = grams.size[gram]
            if first + i + size <= last and _same(read, first + i, known, grams.words[gram], size):
                if count == len(found):
                    larger = np.empty((2 * count, 2), np.int64)
                    larger[:count] = found
                    found = larger
                found[count, 0], found[count, 1] = first + i, gram
                count += 1
            gram += 1
    return found, count


@njit(cache=True, nogil=True)
def _most_covered(matches: np.ndarray, grams: Grams, known: Words, covered: np.ndarray) -> tuple[int, float]:
    """(example, share of its words) of the example that these matches cover most of; of equals the first. `covered`: scratch."""
    best, share = -1, 0.0
    order = np.argsort(grams.example[matches[:, 1]], kind="mergesort")
    at = 0
    while at < order.size:
        example, hit = grams.example[matches[order[at], 1]], 0
        begin, end = known.bounds[example], known.bounds[example + 1]
        covered[: end - begin] = False
        while at < order.size and grams.example[matches[order[at], 1]] == example:
            gram = matches[order[at], 1]
            covered[grams.words[gram] - begin : grams.words[gram] - begin + grams.size[gram]] = True
            at += 1
        for k in range(end - begin):
            hit += covered[k]
        if hit / (end - begin) > share:
            best, share = example, hit / (end - begin)
    return best, share


@njit(cache=True, nogil=True)
def overlaps(read: Words, long: Grams, short: Grams, known: Words, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64[n], int64[n], float64[n]): each row's n-grams that stand in examples; the example covered most, or -1; its share."""
    rows = read.bounds.size - 1
    hits, best, share = np.zeros(rows, np.int64), np.full(rows, -1, np.int64), np.zeros(rows)
    covered, found = np.zeros(longest, np.bool_), np.empty((64, 2), np.int64)
    for row in range(rows):
        found, count = find_grams(read, row, long, known, found, 0)
        seen = -1
        for k in range(count):
            hits[row] += found[k, 0] != seen
            seen = found[k, 0]
        middle = count
        found, count = find_grams(read, row, short, known, found, count)
        seen = -1
        for k in range(middle, count):
            hits[row] += found[k, 0] != seen
            seen = found[k, 0]
        if not count:
            continue
        matches, examples = found[:count], np.empty((2, 2))
        examples[0, 0], examples[0, 1] = _most_covered(matches[:middle], long, known, covered)
        examples[1, 0], examples[1, 1] = _most_covered(matches[middle:], short, known, covered)
        pick = 1 if examples[1, 1] > examples[0, 1] else 0
        best[row], share[row] = int(examples[pick, 0]), examples[pick, 1]
    return hits, best, share


@njit(cache=True, nogil=True)
def hit_spans(read: Words, row: int, long: Grams, short: Grams, known: Words) -> np.ndarray:
    """int64[k, 2]: the bytes of each n-gram of a row that stands in an example, in the order of the text."""
    found, middle = find_grams(read, row, long, known, np.empty((64, 2), np.int64), 0)
    found, count = find_grams(read, row, short, known, found, middle)
    spans = np.empty((count, 2), np.int64)
    for k in range(count):
        size = (long if k < middle else short).size[found[k, 1]]
        spans[k, 0], spans[k, 1] = read.spans[found[k, 0], 0], read.spans[found[k, 0] + size - 1, 1]
    return spans[np.argsort(spans[:, 0], kind="mergesort")]
