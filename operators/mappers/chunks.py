"""The mapper that cuts a text into several, each a row of its own."""

import re
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from ..base import mapper


class Coder(Protocol):
    """What makes tokens of a text, and text of tokens."""

    def encode(self, text: str) -> list[int]:
        """The tokens, without special ones."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Their text."""
        ...


@mapper("text_chunk_mapper", many=True, resources={"coder": "tokenizer"})
def chunks(
    text: pa.StringArray, *, coder: Coder | None = None, max_len: int | None = None, split_pattern: str | None = r"\n\n",
    overlap_len: int = 0, tokenizer: str | None = None,
) -> pa.ListArray:
    r"""Pieces of the text, in their order: list<string>; each becomes a row that has the other columns of the text's row.

    Only `split_pattern` (`re` syntax): what is between its matches, but blanks. Only `max_len`: windows of so many code
    points, each `overlap_len` into the one before. Both: cut at the last match within `max_len`, else at `max_len` with the
    overlap. With `tokenizer` lengths are in its tokens. Empty: no piece, but one if there is a `max_len`. Null: null.
    Cost: a Python call per piece. Raises ValueError for settings that say nothing or contradict each other, and where the
    pattern matches without getting on. Source: Data-Juicer.
    >>> chunks(pa.array(["one\n\ntwo"])).to_pylist()
    [['one', 'two']]
    """
    if max_len is None and split_pattern is None:
        raise ValueError("max_len and split_pattern are both null: nothing says where to cut")
    if max_len is not None and not 0 <= overlap_len < max_len:
        raise ValueError(f"overlap_len must be from 0 to less than max_len ({max_len}), it is {overlap_len}")
    cut = _cutter(max_len, split_pattern, overlap_len, coder)
    return pa.array([None if row is None else cut(row) for row in text.to_pylist()], pa.list_(pa.string()))


def _cutter(max_len: int | None, split_pattern: str | None, overlap: int, coder: Coder | None) -> Callable[[str], list[str]]:
    try:
        pattern = re.compile(split_pattern) if split_pattern is not None else None
    except re.error as e:
        raise ValueError(f"split_pattern {split_pattern!r} is not a valid regular expression: {e}") from e
    if max_len is None:
        assert pattern is not None
        return lambda row: [piece for piece in pattern.split(row) if piece is not None and piece.strip()]
    if pattern is None:
        return lambda row: _windows(row, max_len, overlap, coder)
    return lambda row: _pieces(row, max_len, overlap, pattern, coder)


def _windows(row: str, size: int, overlap: int, coder: Coder | None) -> list[str]:
    if coder is not None:
        tokens = coder.encode(row)
        starts = range(0, len(tokens), size - overlap)
        return [coder.decode(tokens[at : at + size]) for at in starts] if len(tokens) > size else [row]
    return [row[at : at + size] for at in range(0, len(row), size - overlap)] if len(row) > size else [row]


def _pieces(row: str, size: int, overlap: int, pattern: "re.Pattern[str]", coder: Coder | None) -> list[str]:
    found: list[str] = []
    at = 0
    while True:
        tokens = coder.encode(row) if coder is not None else []
        if (len(tokens) if coder is not None else len(row) - at) <= size:
            return [*found, row[at:]]
        window = coder.decode(tokens[:size]) if coder is not None else row[at : at + size]
        last = None
        for last in pattern.finditer(window):  # noqa: B007  the last match is wanted
            pass
        piece = window if last is None else window[: last.start()]
        if piece.strip():
            found.append(piece)
        if last is not None and last.end() == 0:
            raise ValueError(f"split_pattern {pattern.pattern!r} matches nothing at the start of what is left: no cut gets on")
        if coder is None:
            at += size - overlap if last is None else last.end()
        else:
            row = coder.decode(tokens[size - overlap :]) if last is None else row[last.end() :]
