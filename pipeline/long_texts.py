"""Long texts through a tokenizer: bit by bit, so that memory does not grow with them, and with the tokens of the whole."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import regex

LONG = 1 << 20  # code points from which on a text is cut; a bit may be longer where there is no border
NEAR = 200  # code points at either side of a border that are looked at together
TRIES = 200  # borders that may turn out to be none, one after the other

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
    it; `between` answers the `separators` of the vocabulary. A text without such a place is taken whole.
    """
    start = 0
    while len(text) - start > LONG and between():
        found = _border(text, start, pieces, between())
        if found is None:
            break
        end, after = found
        yield pieces(text[start:end])
        start = after
    yield pieces(text[start:] if start else text)


def _border(text: str, start: int, pieces: Callable[[str], list[str]], between: str) -> tuple[int, int] | None:
    """(where a bit from `start` on ends, where the next begins: with the blank or behind it); None: nowhere."""
    border = regex.compile(rf"(?<=[\p{{L}}\p{{Nd}}])[{between}](?=[\p{{L}}\p{{Nd}}])")
    for found in islice(border.finditer(text, start + LONG), TRIES):
        at = found.start()
        whole, head = pieces(text[at - NEAR : at + NEAR]), pieces(text[at - NEAR : at])
        for after in (at + 1, at):
            if head + pieces(text[after : at + NEAR]) == whole:
                return at, after
    return None
