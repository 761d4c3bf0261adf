"""Bytes into code points and back, and what is known of each code point: as Python and Unicode have it."""

import string
import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.dedup import folding as tables
from tamis.operators.kernels import codepoints, evaluation, folding, linear_text
from tamis.operators.kernels.english_lists import tables as english_tables
from tamis.operators.kernels.english_words import DIGIT, LETTER, LOWER, UPPER
from tamis.operators.kernels.strings import view
from tamis.operators.kernels.terminal_marks import PUNCTUATION, TERMINAL

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
SOME = [c for c in CODES if c < 0x3100 or c % 17 == 0 or c & 0xFFF in (0, 0xFFF)]
IDENTITY = np.arange(0x110000, dtype=np.uint32)


def bytes_of(data: bytes) -> np.ndarray:
    values = np.frombuffer(data, np.uint8).copy()
    values.flags.writeable = False
    return values


def test_both_decoders_read_what_python_wrote_and_put_writes_it_again() -> None:
    everything = "".join(map(chr, SOME)).encode()
    data, at, n, out = bytes_of(everything), 0, 0, np.zeros(len(everything), np.uint8)
    for code in SOME:
        point, size = folding.decoded(data, at, data.size)
        assert (point, size) == (code, len(chr(code).encode()))
        assert code < 0x80 or int(codepoints.decode(data, np.uint64(at), np.uint64(data.size))) == code << 3 | size
        n = folding.put(out, n, code)
        at += size
    assert at == n == data.size and out.tobytes() == everything


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=5) | st.text(max_size=3).map(str.encode), max_size=8).map(b"".join))
def test_any_bytes_are_walked_through_to_the_last_and_folded_to_themselves(row: bytes) -> None:
    data, at, read = bytes_of(row), 0, ""
    while at < len(row):
        point, size = folding.decoded(data, at, len(row))
        whole = row[at : at + size].decode("utf-8", "replace")
        assert (size == 1 and point in (row[at], folding.BROKEN)) or [b & 0xC0 for b in row[at + 1 : at + size]] == [0x80] * (size - 1)
        if len(whole) == 1 and whole != "\ufffd":
            assert ord(whole) == point
        at, read = at + size, read + ("" if point == folding.BROKEN else whole)
    assert at == len(row) and regex.sub("\ufffd", "", row.decode("utf-8", "replace")) == regex.sub("\ufffd", "", read)
    for change in (folding.fold, folding.lower):
        out = np.zeros(2 * len(row) + folding.PADDING, np.uint8)
        if change is folding.fold or not any(65 <= b <= 90 for b in row):
            assert out[: change(data, 0, len(row), IDENTITY, out)].tobytes() == row


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("aZé ẞßȺȾK漢😀ΐ\x80\u3000Ǆ") | st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 9), st.booleans())
def test_folding_replaces_each_code_point_as_its_table_says(text: str, skip: int, drop: bool) -> None:
    row = text.replace("İ", "").replace("Σ", "").encode()
    data = bytes_of(b"x" * skip + row + b"x")
    table = tables.fold_table(True, drop)
    out = np.full(2 * len(row) + folding.PADDING, 255, np.uint8)
    expected = row.decode().lower()
    if drop:
        expected = regex.sub(r"[\s\d!-/:-@\[-`{-~]", "", expected)
    assert out[: folding.fold(data, skip, skip + len(row), table, out)].tobytes() == expected.encode()
    if not drop:
        assert out[: folding.lower(data, skip, skip + len(row), table, out)].tobytes() == expected.encode()
    assert out[: folding.fold(data, skip, skip + len(row), tables.NO_TABLE, out)].tobytes() == row


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["İ", "Σ", "a" * 61, "b", "ı", "\u0144", "σ", "é", "\u03a4", " "]), max_size=6).map("".join), max_size=6),
       st.integers(0, 2), st.integers(0, 2))
@example(["a" * 63 + "İ", "Σ" + "a" * 70, "a" * 62 + "İ" * 40], 0, 0)
def test_rows_whose_lower_case_looks_around_are_those_with_two_letters(rows: list[str], skip: int, drop: int) -> None:
    text = pa.array(rows, pa.string())
    text = text.slice(skip, max(len(rows) - skip - drop, 0))
    assert folding.irregular(*view(text)).tolist() == ["İ" in row or "Σ" in row for row in text.to_pylist()]


def test_an_odd_letter_cut_by_the_border_of_two_rows_belongs_to_neither() -> None:
    for left, right in ((b"a\xc4", b"\xb0b"), (b"\xce", b"\xa3"), (b"x" * 80 + b"\xce", b"\xa3" + b"x" * 80)):
        assert folding.irregular(np.array([0, len(left), len(left + right)]), bytes_of(left + right)).tolist() == [False, False]


@given(st.lists(st.text("ab \x1c\u3000\x85\u200b\u2029é", max_size=8), max_size=5))
def test_ends_are_stripped_as_python_strips_them(rows: list[str]) -> None:
    offsets, data = view(pa.array(["pad\u3000", *rows, "\u3000pad"], pa.string()).slice(1, len(rows)))
    found = [folding.stripped(data, a, b) for a, b in pairwise(offsets)]
    assert [data[a:b].tobytes().decode() for a, b in found] == [row.strip() for row in rows]


def where(table: np.ndarray) -> list[int]:
    """The code points at which `table` is true, but for surrogates."""
    return [c for c in np.flatnonzero(table).tolist() if not 0xD800 <= c < 0xE000]


def test_tables_of_evaluation_words_are_unicodes() -> None:
    folds = evaluation.folds()
    bounds, pool = folds.bounds.tolist(), folds.pool.tolist()
    assert where(folds.kinds == evaluation.BLANK) == [c for c in CODES if chr(c).isspace()]
    for code in CODES:
        character, kind = chr(code), unicodedata.category(chr(code))[0]
        expected = [code] if kind in "LN" else []
        if kind not in "CPSZ" and (not unicodedata.is_normalized("NFKD", character) or character.casefold() != character):
            folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
            expected = [ord(c) for c in folded if unicodedata.category(c)[0] in "LN"]
        assert pool[bounds[code] : bounds[code + 1]] == expected


def test_letters_of_scripts_without_blanks_stand_alone() -> None:
    alone = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
    letters = {c for c in range(0x10000) if not 0xD800 <= c < 0xE000 and alone.match(chr(c)) and unicodedata.category(chr(c)) == "Lo"}
    extended = {*range(0xA9E0, 0xAA00), *range(0xAA60, 0xAA80), *range(0xFF66, 0xFFA0)}  # Shan and half-width kana: as words
    told = set(where(evaluation.folds().kinds == evaluation.ALONE))
    assert letters - told == letters & extended
    assert not [c for c in told if regex.match(r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hangul}\p{Devanagari}]", chr(c))]


def test_classes_of_words_and_their_buckets_are_pythons() -> None:
    told, english = linear_text.word_table(), english_tables()[0]
    letters, digits = [c for c in CODES if chr(c).isalpha()], [c for c in CODES if chr(c).isdecimal()]
    assert where(codepoints.classes() & codepoints.ALPHA) == where(english & LETTER) == letters
    assert where(told == told[ord("0")]) == where(english & DIGIT) == digits
    assert where(told >> codepoints.SEPARATOR & 1) == [c for c in CODES if chr(c).isspace()]
    assert where((english & (UPPER | LOWER)) == UPPER) == [c for c in letters if chr(c).isupper()]


def test_marks_that_end_sentences_are_unicodes_and_three_of_khmer() -> None:
    """Unicode has given later versions more of them, in scripts that came late."""
    ends = set(map(ord, regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, CODES)))))
    listed, marks = set(where(codepoints.spread(TERMINAL))), set(where(codepoints.spread(PUNCTUATION)))
    assert listed - ends == {0x17D6, 0x17D9, 0x17DA} and min(ends - listed) == 0x1B4E
    assert listed | set(map(ord, string.punctuation)) <= marks and not [c for c in marks if chr(c).isalpha()]


def test_rows_with_a_listed_byte_are_found_and_ranges_spread_to_their_ends() -> None:
    offsets, data = view(pa.array(["b", "", "ab", "é", "xa", "\x00"], pa.large_string()).slice(1))
    table = np.zeros(256, np.bool_)
    table[[ord("a"), 0xA9]] = True
    assert codepoints.rows_with(offsets, data, table).tolist() == [False, True, True, True, False]
    assert where(codepoints.spread("9-b 41 10ffff\n0")) == [0, 9, 10, 11, 0x41, 0x10FFFF] and not codepoints.spread("").any()
