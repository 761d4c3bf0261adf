"""Texts cut into several, against the rule told recursively, as Data-Juicer tells it."""

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.mappers.chunks import chunks
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply


class Words:
    """A coder whose tokens are the words between single blanks."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def encode(self, text: str) -> list[int]:
        for word in text.split(" "):
            if word not in self.known:
                self.known.append(word)
        return [self.known.index(word) for word in text.split(" ")] if text else []

    def decode(self, tokens: list[int]) -> str:
        return " ".join(self.known[token] for token in tokens)


def cut(text: str | None, **how: Any) -> Any:
    return chunks(pa.array([text], pa.string()), **how).to_pylist()[0]


def told(text: str, size: int, overlap: int, pattern: str) -> list[str]:
    if len(text) <= size:
        return [text]
    found = list(re.finditer(pattern, text[:size]))
    head = text[: found[-1].start()] if found else text[:size]
    rest = text[found[-1].end() :] if found else text[size - overlap :]
    return ([head] if head.strip() else []) + told(rest, size, overlap, pattern)


TEXT = st.text(st.sampled_from("ab é漢.\n"), max_size=60)


@given(st.lists(TEXT | st.none(), max_size=5), st.integers(2, 12), st.integers(0, 11), st.sampled_from(["\n", r"\. ?", r"\n\n|é", "zz"]))
def test_a_long_text_is_cut_at_the_last_match_that_fits(texts: list[str | None], size: int, overlap: int, pattern: str) -> None:
    overlap = min(overlap, size - 1)
    got = chunks(pa.array(["pad", *texts], pa.string()).slice(1), max_len=size, overlap_len=overlap, split_pattern=pattern)
    assert got.to_pylist() == [None if t is None else told(t, size, overlap, pattern) for t in texts]
    assert all(len(piece) <= size for pieces in got.to_pylist() for piece in pieces or ())


@given(TEXT, st.integers(1, 12), st.integers(0, 11))
def test_windows_begin_every_stride_and_hold_all_of_the_text(text: str, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    pieces = cut(text, max_len=size, overlap_len=overlap, split_pattern=None)
    if len(text) <= size:
        assert pieces == [text]
        return
    stride = size - overlap
    assert [text.startswith(piece, i * stride) for i, piece in enumerate(pieces)] == [True] * len(pieces)
    assert "".join(piece[:stride] for piece in pieces) == text and all(len(piece) == size for piece in pieces[: len(text) // stride - overlap])
    assert len(pieces) == -(-len(text) // stride)


@given(st.lists(st.sampled_from(["a", "b", "é", "cc"]), max_size=30), st.integers(1, 7), st.integers(0, 6))
def test_lengths_are_in_tokens_where_there_is_a_tokenizer(words: list[str], size: int, overlap: int) -> None:
    text, overlap = " ".join(words), min(overlap, size - 1)
    windows = cut(text, coder=Words(), max_len=size, overlap_len=overlap, split_pattern=None)
    expected = [" ".join(words[at : at + size]) for at in range(0, len(words), size - overlap)] if len(words) > size else [text]
    assert windows == expected
    assert cut(text, coder=Words(), max_len=size, overlap_len=overlap, split_pattern="no such") == told_in_words(words, size, overlap)


def told_in_words(words: list[str], size: int, overlap: int) -> list[str]:
    if len(words) <= size:
        return [" ".join(words)]
    return [" ".join(words[:size]), *told_in_words(words[size - overlap :], size, overlap)]


def test_a_match_within_the_tokens_comes_before_their_number() -> None:
    assert cut("one two. three four five six", coder=Words(), max_len=3, split_pattern=r"\. ") == ["one two", "three four five", "six"]


def test_only_a_pattern_leaves_what_is_between_its_matches_but_blanks() -> None:
    assert cut("one\n\n\n\ntwo\n\n \n\n\tthree") == ["one", "two", "\tthree"]
    assert cut("a1b22c", split_pattern=r"\d+") == ["a", "b", "c"] and cut("", split_pattern="x") == []
    assert cut("a-b+c", split_pattern="(-)|([+])") == ["a", "-", "b", "+", "c"], "groups are pieces too, those that took no part are not"
    assert cut(None) is None and cut("", max_len=5) == [""] and cut(" ", max_len=5) == [" "]


def test_a_hundred_thousand_pieces_are_no_recursion() -> None:
    assert cut("ab\n" * 100_000, max_len=3, split_pattern="\n") == ["ab"] * 99_999 + ["ab\n"]
    assert len(cut("x" * 200_000, max_len=3, overlap_len=1, split_pattern="\n")) == 100_000


@pytest.mark.parametrize(("how", "message"), [
    ({"split_pattern": None}, "nothing says where to cut"), ({"max_len": 4, "overlap_len": 4}, r"less than max_len \(4\), it is 4"),
    ({"max_len": 4, "overlap_len": -1}, "it is -1"), ({"max_len": 0}, r"max_len \(0\)"), ({"split_pattern": "("}, "not a valid regular expression"),
])
def test_settings_that_cannot_be_are_refused_before_a_text_is_read(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chunks(pa.array([], pa.string()), **how)


def test_a_pattern_that_matches_nothing_gets_nowhere_and_says_so() -> None:
    with pytest.raises(ValueError, match="no cut gets on"):
        cut("aaaa", max_len=2, split_pattern="^")
    assert cut("aaaa", max_len=2, split_pattern="b*") == ["aa", "aa"], "an empty match at the window's end cuts there"


def test_each_piece_is_a_row_with_the_other_columns_and_an_id_of_its_own() -> None:
    rows = [{"text": "a\n\nb", "k": 1}, {"text": "\n\n", "k": 2}, {"text": "c", "k": 3}]
    done = apply([{"text_chunk_mapper": {}}], rows)
    assert [(r["text"], r["k"]) for r in done.table.to_pylist()] == [("a", 1), ("b", 1), ("c", 3)]
    with pytest.raises(RecipeError, match="overlap"):
        apply([{"text_chunk_mapper": {"max_len": 3, "overlap_lenx": 1}}], rows)
