"""Long texts through a tokenizer: bit by bit, so that memory does not grow with them, and with the tokens of the whole.

A text that has no place to be cut at for millions of characters (no blank between letters) is cut all the same: what
is a token near that place may then be another than in the whole. The places are a matter of the text alone.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import regex

LONG = 1 << 20  # code points from which on a text is cut; a bit may be longer where there is no border
NEAR = 200  # code points at either side of a border that are looked at together
TRIES = 200  # borders that may turn out to be none, one after the other
FAR = 1 << 22  # code points behind LONG in which a border is looked for before a text is cut where there is none

_BLANK = regex.compile("[^▁Ġ ][▁Ġ ][^▁Ġ ]")  # how models write a blank within a token
_LINE = regex.compile("[^Ċ\\n][Ċ\\n][^Ċ\\n]")


def separators(vocabulary: Iterable[str]) -> str:
    """Blank and line's end, but for those that some token has within it."""
    found = " \n"
    for token in vocabulary:
        if _BLANK.search(token):
            return ""
        if _LINE.search(token):
            found = " "
    return found


def bits(text: str, pieces: Callable[[str], list[str]], between: Callable[[], str]) -> Iterator[list[str]]:
    """The tokens of `text`, in order, in lists: together what `pieces(text)` is.

    A long text is cut at a separator between letters or digits where the tokens near it are the same with the cut and without
    it; `between` answers the `separators` of the vocabulary. Where there is none for `FAR` code points it is cut where the
    tokens near it are the same, if that may be, and this alone is not proven for the whole.
    """
    start = 0
    while len(text) - start > LONG:
        end, after = _border(text, start, pieces, between()) or _anywhere(text, start + LONG, pieces)
        yield pieces(text[start:end])
        start = after
    yield pieces(text[start:] if start else text)


def _border(text: str, start: int, pieces: Callable[[str], list[str]], between: str) -> tuple[int, int] | None:
    """(where a bit from `start` on ends, where the next begins: with the blank or behind it); None: nowhere near."""
    if not between:
        return None
    border = regex.compile(rf"(?<=[\p{{L}}\p{{Nd}}])[{between}](?=[\p{{L}}\p{{Nd}}])")
    for found in islice(border.finditer(text, start + LONG, start + LONG + FAR), TRIES):
        at = found.start()
        whole, head = pieces(text[at - NEAR : at + NEAR]), pieces(text[at - NEAR : at])
        for after in (at + 1, at):
            if head + pieces(text[after : at + NEAR]) == whole:
                return at, after
    return None


def _anywhere(text: str, start: int, pieces: Callable[[str], list[str]]) -> tuple[int, int]:
    """The first place from `start` on where the tokens near it stay as they are; `start`, if there is none within `NEAR`."""
    for at in range(start, min(start + NEAR, len(text))):
        near = slice(max(0, at - NEAR), at + NEAR)
        if pieces(text[near.start : at]) + pieces(text[at : near.stop]) == pieces(text[near]):
            return at, at
    return start, start
