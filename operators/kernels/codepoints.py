"""Code points and their classes: UTF-8 decoding for kernels, and tables by code point that say what Python's str says."""

import re
from functools import cache

import numpy as np
from numba import njit

from .special_characters import BLANKS, SPECIAL

CODE_POINTS = 0x110000
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)  # positions are unsigned: no check for negative indices
BLOCK = np.uint64(128)  # bytes that are looked at together for being ASCII

# Bits of the class table.
ALNUM, SPECIAL_CHARACTER, SPACE, BLANK, ALPHA = 1, 2, 4, 8, 16

# Bits of the fold table above the lower-cased code point itself (21 bits).
STRIPPED, SEPARATOR = 21, 22
CODE = (1 << STRIPPED) - 1

# str.lower looks around the first and makes two code points of the second; all others are a look-up.
CAPITAL_SIGMA, CAPITAL_I_WITH_DOT = 0x3A3, 0x130


def spread(ranges: str) -> np.ndarray:
    """bool[0x110000], true at the code points of `ranges`: hexadecimal, "9-d 20-40 5b"."""
    chosen = np.zeros(CODE_POINTS, np.bool_)
    for part in ranges.split():
        first, _, last = part.partition("-")
        chosen[int(first, 16) : int(last or first, 16) + 1] = True
    return chosen


def text_of(codes: np.ndarray) -> str:
    """The text of these code points, surrogates included. Cost: a twentieth of joining `chr` of each."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


@cache
def classes() -> np.ndarray:
    """uint8[0x110000], bits ALNUM, SPECIAL_CHARACTER, SPACE, BLANK, ALPHA. ALNUM, SPACE, ALPHA: this Python's str.isalnum ..."""
    everything = text_of(np.arange(CODE_POINTS))
    table = np.zeros(CODE_POINTS, np.uint8)
    # `re` asks str.isalnum and str.isspace: asking for a million characters one by one takes five times as long
    for run in re.finditer(r"[^\W_]+", everything):
        letters = run.group().isalpha() or np.fromiter(map(str.isalpha, run.group()), np.bool_)
        table[run.start() : run.end()] = ALNUM | ALPHA * np.uint8(1) * letters
    for run in re.finditer(r"\s+", everything):
        table[run.start() : run.end()] |= SPACE
    table |= spread(SPECIAL).astype(np.uint8) * np.uint8(SPECIAL_CHARACTER)
    table |= spread(BLANKS).astype(np.uint8) * np.uint8(BLANK)
    table.flags.writeable = False
    return table


@cache
def folds() -> np.ndarray:
    """uint32[0x110000]: str.lower of each code point, with bits for what splitting into words needs to know of that.

    Bit STRIPPED: special once lower-cased. Bit SEPARATOR: space, newline or tab. The two capitals above stay as they are.
    """
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    table[[CAPITAL_SIGMA, CAPITAL_I_WITH_DOT]] = 0
    lowered = text_of(table).lower()
    table = np.frombuffer(lowered.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    table[[CAPITAL_SIGMA, CAPITAL_I_WITH_DOT]] = CAPITAL_SIGMA, CAPITAL_I_WITH_DOT
    table |= spread(SPECIAL)[table].astype(np.uint32) << STRIPPED
    table[[ord(" "), ord("\n"), ord("\t")]] |= 1 << SEPARATOR
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def decode(data: np.ndarray, at: int, end: int) -> np.uint32:
    """Code point << 3 | width in bytes, of what is at `data[at]`, a byte >= 0x80; where `end` cuts it short: U+FFFD, 1.

    One number, since numba passes pairs through memory: with them, and for ASCII too, this costs three times as much.
    """
    lead = np.uint32(data[at])
    packed = np.uint32(0xFFFD << 3 | 1)
    if lead >= 0xF0:
        if at + THREE < end:
            code = (lead & 7) << 18 | (data[at + ONE] & 63) << 12 | (data[at + TWO] & 63) << 6 | (data[at + THREE] & 63)
            packed = np.uint32(min(code, CODE_POINTS - 1) << 3 | 4)
    elif lead >= 0xE0:
        if at + TWO < end:
            packed = np.uint32(((lead & 15) << 12 | (data[at + ONE] & 63) << 6 | (data[at + TWO] & 63)) << 3 | 3)
    elif lead >= 0xC0 and at + ONE < end:
        packed = np.uint32(((lead & 31) << 6 | (data[at + ONE] & 63)) << 3 | 2)
    return packed


@njit(cache=True, nogil=True)
def _all_ascii(block: np.ndarray) -> np.bool_:
    bits = np.uint8(0)
    for i in range(block.size):
        bits |= block[i]
    return bits < 0x80


@njit(cache=True, nogil=True)
def decode_all(data: np.ndarray, start: int, end: int) -> np.ndarray:
    """uint32[...]: the code points of `data[start:end]`. Cost: four bytes for each byte, held while the answer is."""
    codes = np.empty(end - start, np.uint32)
    count, at, stop = np.uint64(0), np.uint64(start), np.uint64(end)
    while at < stop:
        block = data[at : min(at + BLOCK, stop)]
        if _all_ascii(block):
            ahead = codes[count : count + block.size]
            for i in range(block.size):
                ahead[i] = block[i]
            count, at = count + np.uint64(block.size), at + np.uint64(block.size)
            continue
        last = at + np.uint64(block.size)
        while at < last:
            code, width = np.uint32(data[at]), ONE
            if code >= 0x80:
                packed = decode(data, at, stop)
                code, width = packed >> 3, np.uint64(packed & 7)
            codes[count] = code
            count, at = count + ONE, at + width
    return codes[:count]


@njit(cache=True, nogil=True)
def count_code_points(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """int64[n]: length of each row in code points: its bytes that do not continue one."""
    lengths = np.zeros(offsets.size - 1, np.int64)
    for row in range(lengths.size):
        length = 0
        for byte in data[offsets[row] : offsets[row + 1]]:
            length += (byte & 0xC0) != 0x80
        lengths[row] = length
    return lengths


@njit(cache=True, nogil=True)
def count_class(offsets: np.ndarray, data: np.ndarray, table: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Per row: (code points whose class has the bit `wanted`, code points), both int64[n]."""
    rows = offsets.size - 1
    hits, lengths = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for row in range(rows):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        hit, length = 0, 0
        while at < end:
            block = data[at : min(at + BLOCK, end)]
            if _all_ascii(block):
                for byte in block:
                    hit += (table[byte] & wanted) != 0
                length, at = length + block.size, at + np.uint64(block.size)
                continue
            stop = at + np.uint64(block.size)
            while at < stop:
                code, width = np.uint32(data[at]), ONE
                if code >= 0x80:
                    packed = decode(data, at, end)
                    code, width = packed >> 3, np.uint64(packed & 7)
                hit += (table[code] & wanted) != 0
                length, at = length + 1, at + width
        hits[row], lengths[row] = hit, length
    return hits, lengths


@njit(cache=True, nogil=True)
def rows_with(offsets: np.ndarray, data: np.ndarray, table: np.ndarray) -> np.ndarray:
    """bool[n]: rows that hold a byte for which `table` (bool[256]) is true."""
    rows = np.zeros(offsets.size - 1, np.bool_)
    for row in range(rows.size):
        for byte in data[offsets[row] : offsets[row + 1]]:
            if table[byte]:
                rows[row] = True
                break
    return rows
