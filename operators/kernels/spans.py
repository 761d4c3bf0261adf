"""Stretches of text that a link or e-mail pattern could match in, and putting others in their place.

A stretch runs between blanks, line ends and angle brackets, which neither pattern can cross; it is worth a look only if it
holds an anchor that every match must have. So the regular expressions see a few short strings, not the whole text.
"""

import numpy as np
import pyarrow as pa
import regex
from numba import njit

from .strings import strings, view


def _bytes(*members: bytes) -> np.ndarray:
    table = np.zeros(256, np.bool_)
    table[list(b"".join(members))] = True
    return table


DIGITS = bytes(range(ord("0"), ord("9") + 1))
LOWER = bytes(range(ord("a"), ord("z") + 1))
FOREIGN = bytes(range(0x80, 0x100))  # any byte of a code point beyond ASCII
LETTERS = _bytes(LOWER, LOWER.upper(), FOREIGN)  # ignoring case, [a-z] also matches U+017F and U+212A
WORD = _bytes(LOWER, LOWER.upper(), FOREIGN, DIGITS, b"_-")
AFTER_COLON = _bytes(LOWER, LOWER.upper(), FOREIGN, DIGITS, b"/%")
LOCAL = _bytes(LOWER, LOWER.upper(), DIGITS, b".-+_")
DOMAIN = _bytes(LOWER, DIGITS, b".-+_")

PLAIN, BORDER, ANCHOR = 0, 1, 2
LONGEST_ENDING = 4 * 3  # bytes of a top-level domain of four letters


def _kinds(anchors: bytes) -> np.ndarray:
    kinds = np.full(256, PLAIN, np.uint8)
    kinds[list(b" \t\r\n<>")] = BORDER
    kinds[list(anchors)] = ANCHOR
    return kinds


@njit(cache=True, nogil=True)
def _is_link_anchor(
    data: np.ndarray, at: int, start: int, end: int, letters: np.ndarray, word: np.ndarray, after_colon: np.ndarray,
) -> bool:
    """Whether a link could hang on the byte at `at`: scheme:, www, or the slash after a domain's ending."""
    byte = data[at]
    if byte == ord(":"):
        return start < at < end - 1 and word[data[at - 1]] and after_colon[data[at + 1]]
    if byte == ord("/"):
        before = at - 1
        while before >= start and at - before <= LONGEST_ENDING and letters[data[before]]:
            before -= 1
        return before > start and data[before] == ord(".") and at - before > 2
    return at + 2 < end and data[at + 1] | 32 == ord("w") and data[at + 2] | 32 == ord("w")


@njit(cache=True, nogil=True)
def _stretches(
    offsets: np.ndarray, data: np.ndarray, kinds: np.ndarray, links: bool, first: np.ndarray, second: np.ndarray, third: np.ndarray,
) -> np.ndarray:
    """int64[m, 2]: begin and end of the stretches with an anchor, in order. For e-mail: an @ between `first` and `second`."""
    found = np.empty(((offsets[-1] - offsets[0]) // 3 + 1, 2), np.int64)
    count = 0
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        begin, wanted = start, False
        for at in range(start, end):
            kind = kinds[data[at]]
            if kind == BORDER:
                if wanted:
                    found[count, 0], found[count, 1] = begin, at
                    count += 1
                begin, wanted = at + 1, False
            elif kind == ANCHOR and not wanted:
                if links:
                    wanted = _is_link_anchor(data, at, start, end, first, second, third)
                else:
                    wanted = start < at < end - 1 and first[data[at - 1]] and second[data[at + 1]]
        if wanted:
            found[count, 0], found[count, 1] = begin, end
            count += 1
    return found[:count].copy()


def link_stretches(text: pa.StringArray) -> np.ndarray:
    """int64[m, 2]: the stretches, as byte positions in the column's buffer, in which a link could be."""
    return _stretches(*view(text), _kinds(b":/wW"), True, LETTERS, WORD, AFTER_COLON)  # type: ignore[no-any-return]


def email_stretches(text: pa.StringArray) -> np.ndarray:
    """int64[m, 2]: the stretches, as byte positions in the column's buffer, in which an e-mail address could be."""
    return _stretches(*view(text), _kinds(b"@"), False, LOCAL, DOMAIN, DOMAIN)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _splice(
    offsets: np.ndarray, data: np.ndarray, places: np.ndarray, new_offsets: np.ndarray, new_data: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(offsets, bytes) of the rows with the bytes at `places` replaced by the new strings."""
    removed = (places[:, 1] - places[:, 0]).sum()
    out = np.empty(offsets[-1] - offsets[0] - removed + new_offsets[-1] - new_offsets[0], np.uint8)
    bounds, size, place = np.zeros(offsets.size, np.int64), 0, 0
    for row in range(offsets.size - 1):
        at = offsets[row]
        while place < len(places) and places[place, 1] <= offsets[row + 1]:
            for piece, begin, end in ((data, at, places[place, 0]), (new_data, new_offsets[place], new_offsets[place + 1])):
                out[size : size + end - begin] = piece[begin:end]
                size += end - begin
            at = places[place, 1]
            place += 1
        out[size : size + offsets[row + 1] - at] = data[at : offsets[row + 1]]
        size += offsets[row + 1] - at
        bounds[row + 1] = size
    return bounds, out


def rewrite_stretches(text: pa.StringArray, places: np.ndarray, pattern: "regex.Pattern[str]", repl: str) -> pa.StringArray:
    """`text` with the matches of `pattern` in the stretches at `places` replaced by `repl`.

    Null: null. Cost: one Python string for each stretch. Raises ValueError where `repl` names a group that is not there.
    """
    offsets, data = view(text)
    raw = memoryview(data)  # type: ignore[arg-type]
    old = [str(raw[begin:end], "utf-8") for begin, end in places.tolist()]
    try:
        new = [pattern.sub(repl, stretch) for stretch in old]
    except (regex.error, IndexError) as problem:
        raise ValueError(f"repl {repl!r} does not fit the pattern: {problem}") from problem
    if new == old:
        return text
    bounds, spliced = _splice(offsets, data, places, *view(pa.array(new, pa.large_string())))
    return strings(bounds, spliced, like=text)
