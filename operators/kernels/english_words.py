"""Numba: English words with punctuation, contractions and units cut off: nearly as spaCy cuts them, and so datatrove.

Each run between white space is cut from both ends, then in the middle; addresses and abbreviations stay whole. The rules are
those of spaCy's English tokenizer (MIT) without its emoticons and rarer exceptions.
"""

import numpy as np
from numba import njit

from .codepoints import ONE, decode_all
from .runs import BASE, BLANK, place_of

UPPER, LOWER, DIGIT, PUNCT, QUOTE, ICON, OPENS, CLOSES, HYPHEN, LETTER, JOINT = (1 << k for k in range(4, 15))
LONGEST = 10  # code points of what is listed
DOT, PERCENT, APOSTROPHE, RIGHT_QUOTE = 46, 37, 39, 0x2019


@njit(cache=True, nogil=True)
def state_of(codes: np.ndarray, start: int, end: int) -> np.uint64:
    """The hash of `runs`: the polynomial of the code points."""
    state, power = np.uint64(0), ONE
    for i in range(start, end):
        state += (np.uint64(codes[i]) + ONE) * power
        power *= BASE
    return state


@njit(cache=True, nogil=True)
def _listed(codes: np.ndarray, start: int, end: int, hashes: np.ndarray) -> bool:
    if end - start > LONGEST or start >= end:
        return False
    return place_of(state_of(codes, start, end), hashes) >= 0


@njit(cache=True, nogil=True)
def _plain(codes: np.ndarray, start: int, end: int, kinds: np.ndarray) -> bool:
    """Whether there are letters only, or digits only."""
    same = (LETTER | DIGIT) & kinds[codes[end - 1]]
    i = start
    while i < end and same:
        same &= kinds[codes[i]]
        i += 1
    return same != 0


@njit(cache=True, nogil=True)
def _prefix(codes: np.ndarray, start: int, end: int, kinds: np.ndarray) -> int:
    """Code points that go from the front: dots, or one mark."""
    dots = start
    while dots < end and codes[dots] == DOT:
        dots += 1
    if dots - start >= 2:
        return dots - start
    plus = codes[start] == 43 and not (start + 1 < end and kinds[codes[start + 1]] & DIGIT)
    return 1 if plus or kinds[codes[start]] & OPENS else 0


@njit(cache=True, nogil=True)
def _suffix(codes: np.ndarray, start: int, end: int, kinds: np.ndarray, units: np.ndarray) -> int:
    """Code points that go from the back: dots, 's, a unit behind a digit, or one mark."""
    last = codes[end - 1]
    dots = end
    while dots > start and codes[dots - 1] == DOT:
        dots -= 1
    if end - dots >= 2:
        return end - dots
    before = kinds[codes[end - 2]] if end - start > 1 else np.uint16(0)
    if kinds[last] & CLOSES:
        return 2 if last == 0x2026 and end - start > 1 and codes[end - 2] == last else 1
    if (last == 115 or last == 83) and end - start > 2 and (codes[end - 2] == APOSTROPHE or codes[end - 2] == RIGHT_QUOTE):
        return 2
    if last == DOT and end - start > 1:
        mark = codes[end - 2]
        fine = before & (DIGIT | LOWER | PUNCT | QUOTE) or mark == PERCENT or mark == 0xB2 or mark == 45 or mark == 43
        two = before & UPPER and end - start > 2 and kinds[codes[end - 3]] & UPPER
        return 1 if fine or two else 0
    if before & DIGIT and (last == PERCENT or last == 43 or (not kinds[last] & LETTER and kinds[last] & OPENS and last > 61)):
        return 1
    at = end
    while at > start and end - at <= LONGEST and kinds[codes[at - 1]] & LETTER:
        at -= 1
    return end - at if start < at < end and kinds[codes[at - 1]] & DIGIT and _listed(codes, at, end, units) else 0


@njit(cache=True, nogil=True)
def _is_address(codes: np.ndarray, start: int, end: int, kinds: np.ndarray) -> bool:
    """Whether it is a URL, a host with a top level of letters, or an e-mail address."""
    at = start
    for i in range(start, end - 2):
        if codes[i] == 58 and codes[i + 1] == 47 and codes[i + 2] == 47:
            at = i + 3
            break
        if not (kinds[codes[i]] & (LETTER | DIGIT) or codes[i] == 43 or codes[i] == 45 or codes[i] == DOT):
            break
    stop = at
    while stop < end and not (codes[stop] == 47 or codes[stop] == 63 or codes[stop] == 35):
        if codes[stop] == 64:
            at = stop + 1
        stop += 1
    host = at
    while host < stop and codes[host] != 58:
        host += 1
    dot = -1
    for i in range(at, host):
        c = codes[i]
        if c == DOT:
            if i == at or codes[i - 1] == DOT:
                return False
            dot = i
        elif not (kinds[c] & (LETTER | DIGIT) or c == 45 or c == 95):
            return False
    if dot <= at or host - dot < 3:
        return False
    lower = True
    for i in range(dot + 1, host):
        lower &= kinds[codes[i]] & LOWER != 0
    return lower


@njit(cache=True, nogil=True)
def _infix(codes: np.ndarray, at: int, start: int, end: int, kinds: np.ndarray) -> int:
    """Code points of what parts two words at `at`, inside of a run; 0: nothing does."""
    c, before = codes[at], kinds[codes[at - 1]] if at > start else np.uint16(0)
    kind = kinds[c]
    if kind & (LETTER | DIGIT):
        return 0
    after = kinds[codes[at + 1]] if at + 1 < end else np.uint16(0)
    stop, most = at, end if c == DOT else min(end, at + 4)  # of hyphens no more than three in a row part words
    while stop < most and codes[stop] == c:
        stop += 1
    if c == 0x2026 or kind & ICON:
        return 1
    if c == DOT and stop - at >= 2:
        return stop - at
    if c == DOT:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if c == 44 and before & LETTER and after & LETTER:
        return 1
    if (c == 43 or c == 45 or c == 42 or c == 94) and before & DIGIT and (after & DIGIT or (at + 1 < end and codes[at + 1] == 45)):
        return 1
    if kind & HYPHEN and before & (LETTER | DIGIT):
        most = 3 if c == 45 else 2 if c == 0x2014 else 1
        return stop - at if stop - at <= most and stop < end and kinds[codes[stop]] & LETTER else 0
    return 1 if kind & JOINT and before & (LETTER | DIGIT) and after & LETTER else 0


@njit(cache=True, nogil=True)
def _contraction(codes: np.ndarray, start: int, end: int, stems: np.ndarray, together: np.ndarray) -> int:
    """Where n't, 'll, 're, 've, 'd or 'm begins, or what stands for them without an apostrophe; `end`: nowhere."""
    if _listed(codes, start, end, together):
        last, before = codes[end - 1], codes[end - 2]
        if last == 116 and (end - start != 6 or before != 111):  # nt; cannot has its o
            return end - 2
        if before == 108 or (last == 101 and (before == 114 or before == 118)) or codes[start] < 58:  # ll, re, ve; 5pm
            return end - 2
        return end - 1 if last == 100 or last == 115 or last == 109 else end - 2 if last == 97 else end - 3
    for back in (2, 3):
        at = end - back
        if at <= start or not (codes[at] == APOSTROPHE or codes[at] == RIGHT_QUOTE):
            continue
        c, d = codes[at + 1], codes[end - 1]
        if back == 2 and c == 116 and at - 1 > start and codes[at - 1] == 110:
            return at - 1
        short = back == 2 and (c == 100 or c == 109)
        long = back == 3 and ((c == 108 and d == 108) or ((c == 114 or c == 118) and d == 101))
        if (short or long) and _listed(codes, start, at, stems):
            return at
    return end


@njit(cache=True, nogil=True)
def _put(codes: np.ndarray, start: int, end: int, classes: np.ndarray, values: np.ndarray, count: int) -> int:
    facts = np.uint64(end - start) << np.uint64(2)
    for i in range(start, end):
        facts |= np.uint64(classes[codes[i]] >> 1)
    values[count], values[count + 1] = state_of(codes, start, end), facts
    return count + 2


@njit(cache=True, nogil=True)
def _middle(
    codes: np.ndarray, start: int, end: int, classes: np.ndarray, kinds: np.ndarray, stems: np.ndarray, together: np.ndarray,
    values: np.ndarray, count: int,
) -> int:
    """Write the words of what is left between prefixes and suffixes."""
    part = _contraction(codes, start, end, stems, together)
    if part < end:
        return _put(codes, part, end, classes, values, _put(codes, start, part, classes, values, count))
    if _is_address(codes, start, end, kinds):
        return _put(codes, start, end, classes, values, count)
    first, at = start, start + 1
    while at < end:
        size = _infix(codes, at, start, end, kinds)
        if size:
            count = _put(codes, first, at, classes, values, count) if at > first else count
            count = _put(codes, at, at + size, classes, values, count)
            first = at + size
        at += max(size, 1)
    return _put(codes, first, end, classes, values, count) if first < end else count


@njit(cache=True, nogil=True)
def english_runs(
    offsets: np.ndarray, data: np.ndarray, classes: np.ndarray, kinds: np.ndarray, whole: np.ndarray, units: np.ndarray,
    stems: np.ndarray, together: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As `runs.word_runs`, of English words; `classes` is what that takes, the others are `english_lists.tables`."""
    rows, maybe = offsets.size - 1, np.zeros(1 << 16, np.bool_)
    for state in together:
        maybe[state & np.uint64(0xFFFF)] = True
    bounds, values, count = np.zeros(rows + 1, np.int64), np.empty(2 * (offsets[rows] - offsets[0]) + 2, np.uint64), 0
    for row in range(rows):
        codes, at = decode_all(data, offsets[row], offsets[row + 1]), 0
        ends = np.empty(codes.size + 1, np.int64)
        while at < codes.size:
            if classes[codes[at]] & BLANK:
                at += 1
                continue
            start, stop, cut = at, at, 0
            while stop < codes.size and not classes[codes[stop]] & BLANK:
                stop += 1
            end, more = stop, True
            while more and start < end and not _plain(codes, start, end, kinds) and not _listed(codes, start, end, whole):
                size = _prefix(codes, start, end, kinds)
                if size:
                    count = _put(codes, start, start + size, classes, values, count)
                    start += size
                back = _suffix(codes, start, end, kinds, units) if start < end and not _listed(codes, start, end, whole) else 0
                if back:
                    ends[cut] = end
                    cut, end = cut + 1, end - back
                more = size + back > 0
            if start < end and _plain(codes, start, end, kinds):
                count = _put(codes, start, end, classes, values, count)
                if end - start <= LONGEST and maybe[values[count - 2] & np.uint64(0xFFFF)]:
                    count = _middle(codes, start, end, classes, kinds, stems, together, values, count - 2)
            elif start < end and _listed(codes, start, end, whole):
                count = _put(codes, start, end, classes, values, count)
            elif start < end:
                count = _middle(codes, start, end, classes, kinds, stems, together, values, count)
            for k in range(cut - 1, -1, -1):
                count = _put(codes, end, ends[k], classes, values, count)
                end = ends[k]
            at = stop
        bounds[row + 1] = count
    return bounds, values[:count].copy()


