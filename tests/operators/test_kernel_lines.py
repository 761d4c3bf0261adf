"""Lines, paragraphs and sentences: what kernels count in them and leave of them, as Python's str and re do, for every setting."""

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.filters.gopher import _classes as word_classes
from tamis.operators.kernels import layout, web_lines
from tamis.operators.kernels.breaks import BLOCK, count_lines, longest_lines
from tamis.operators.kernels.codepoints import spread
from tamis.operators.kernels.runs import word_runs
from tamis.operators.kernels.strings import view
from tamis.operators.kernels.terminal_marks import PUNCTUATION, TERMINAL
from tamis.operators.mappers.web_lines import c4_lines

BREAKS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\n\n", "\n\n\n"]
WORDS = ["a", "the cat", "é", "漢字", "😀", " ", "\u3000", "\t", "#", "...", "....", "…", "•", "-", ".", "!", "?", "\u0964", "\"", "'", "[1]", "[٣٤]", "[", "]",
         "[edit]", "[citation needed]", "[Edit]", "lorem IPSUM", "JavaScript", "{", "}", "Terms of Use", "use cookies", "x" * 70, "\x1f", "\u2027", "\x84"]
TEXT = st.lists(st.sampled_from(WORDS) | st.sampled_from(BREAKS), max_size=25).map("".join)
ROWS = st.lists(TEXT | st.none(), min_size=1, max_size=5)
MARKS = spread(TERMINAL)


def column(rows: list[str | None], kind: pa.DataType | None = None) -> tuple[np.ndarray, np.ndarray]:
    return view(pa.array(["pad…\n", *rows, "\npad"], kind or pa.large_string()).slice(1, len(rows)))


@pytest.mark.parametrize("mark", BREAKS)
def test_a_break_is_found_at_every_place_of_a_block(mark: str) -> None:
    rows = [f"{'x' * before}{mark}{'y' * after}" for before in (*range(4), *range(BLOCK - 4, BLOCK + 3), 2 * BLOCK - 1) for after in (0, 1, 2, 3, 300)]
    rows += [mark * k for k in (2, 3, 127, 128, 129, 130, 257)] + [f"é{mark}" * 200]
    offsets, data = column(rows)
    assert count_lines(offsets, data).tolist() == [len(r.splitlines()) for r in rows]
    assert longest_lines(offsets, data).tolist() == [max(map(len, r.splitlines())) for r in rows]


@settings(deadline=None)
@given(ROWS)
@example(["…" * 3 + "\n… ", "....\n- a…\n", "-\n•", "\u2028•x\n \u3000- y", "..\n....."])
def test_symbols_of_lines_are_those_of_splitlines(rows: list[str | None]) -> None:
    told = layout.count_symbols(*column(rows)).T.tolist()
    for row, found in zip(rows, told, strict=True):
        if row is not None:
            lines = [line.strip() for line in row.splitlines()]
            assert found == [row.count("#"), row.count("...") + row.count("…"), len(lines), sum(s.startswith(("•", "-")) for s in lines),
                             sum(s.endswith(("...", "…")) for s in lines)]


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.booleans())
def test_pieces_between_runs_of_newlines_are_those_of_a_pattern(rows: list[str | None], least: int, strip: bool) -> None:
    told = layout.repeated_pieces(*column(rows), least, strip).T.tolist()
    for row, found in zip(rows, told, strict=True):
        if row is not None:
            pieces = re.split(rf"\n{{{least},}}", row.strip() if strip else row)
            again = [p for i, p in enumerate(pieces) if p in pieces[:i]]
            assert found == [len(pieces), len(again), sum(map(len, again))]


def test_a_thousand_pieces_are_told_apart_and_known_again() -> None:
    rows = ["\n".join(f"line {i}" for i in range(1000)), "\n".join(f"line {i % 999}" for i in range(3000)), "\n" * 1000]
    assert layout.repeated_pieces(*column(rows), 1, False)[1].tolist() == [0, 2001, 1]
    assert layout.repeated_pieces(*column(["x\n"] * 3), 1, False)[1].tolist() == [0, 0, 0]  # a row knows nothing of the others


@settings(deadline=None)
@given(ROWS, st.sampled_from([0, 1, 5, 30]))
def test_facts_of_lines_are_those_of_split(rows: list[str | None], short: int) -> None:
    told = layout.line_facts(*column(rows), MARKS, short).T.tolist()
    for row, found in zip(rows, told, strict=True):
        if row is not None:
            every = row.split("\n")
            lines = [line for line in every if line.strip()]
            again = [line for i, line in enumerate(lines) if line in lines[:i]]
            assert found == [len(lines), sum(bool(MARKS[ord(line[-1])]) for line in lines), sum(len(line) <= short for line in lines),
                             sum(map(len, again)), sum(map(len, every)), row.count("\n")]


POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def kept_lines(text: str, least: int, longest: int, citations: bool, marks: bool, javascript: bool, policy: bool) -> tuple[str, int]:
    kept, lines = [], text.splitlines()
    for line in lines:
        line = line.strip()
        words = line.split()
        if citations:
            line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        low = line.lower()
        good = len(words) >= least and all(len(w) <= longest for w in words)
        good &= not marks or (line.endswith((".", "?", "!", '"', "'")) and not line.endswith("..."))
        if "lorem ipsum" not in low:
            good &= not (javascript and "javascript" in low)
            good &= not (policy and "{" not in line and any(p in low for p in POLICY))
        kept += [line] if good else []
    return "\n".join(kept).strip(), len(lines) - len(kept)


@settings(max_examples=250, deadline=None)
@given(ROWS, st.integers(0, 3), st.sampled_from([1, 3, 69, 70, 1000]), st.lists(st.booleans(), min_size=4, max_size=4))
@example(["[1][2]a. [edit\nb[12", " \n[1]\n.", "a\n\n\nb"], 0, 1000, [True, False, False, False])
def test_lines_that_stay_are_those_of_the_rules_that_are_on(rows: list[str | None], least: int, longest: int, rules: list[bool]) -> None:
    names = ("remove_citations", "filter_no_terminal_punct", "filter_javascript", "filter_policy")
    text = pa.array(["pad", *rows, "pad"], pa.string()).slice(1, len(rows))
    told = c4_lines(text, min_words_per_line=least, max_word_length=longest, **dict(zip(names, rules, strict=True))).to_pylist()
    for row, found in zip(rows, told, strict=True):
        assert row is None or (found["text"], found["c4_lines_removed"]) == kept_lines(row, least, longest, *rules)


@pytest.mark.parametrize("phrase", [*POLICY, "javascript", "lorem ipsum"])
@pytest.mark.parametrize("change", [str.upper, str.title, lambda p: p.replace(" ", "  "), lambda p: p[:-1], lambda p: f"x{p}y", lambda p: p + p])
def test_phrases_count_in_either_case_inside_of_words_and_only_whole(phrase: str, change: Callable[[str], str]) -> None:
    line = f"see {change(phrase)} here."
    _, data, gone = web_lines.good_lines(*column([line]), word_classes(), 1, 99, False, True, True, True)
    assert (data.tobytes().decode(), int(gone[0])) == kept_lines(line, 1, 99, False, True, True, True)
    assert bool(gone[0]) == (phrase in line.lower() and phrase != "lorem ipsum")
    assert web_lines.count_page(*column([line])).T.tolist() == [[line.lower().count("lorem ipsum"), 0]]


@given(ROWS)
def test_places_of_lines_and_of_the_rows_they_are_in(rows: list[str | None]) -> None:
    offsets, data = column(rows)
    starts, of = web_lines.lines_at(offsets, data)
    found = [(int(row), data[a:b].tobytes().decode()) for row, (a, b) in zip(of, pairwise(starts), strict=True)]
    last = [i for i, (row, _) in enumerate(found) if i + 1 == len(found) or found[i + 1][0] != row]
    expected = [(i, line) for i, row in enumerate(rows) for line in (row or "").split("\n")]
    assert [(row, line if i in last else line.removesuffix("\n")) for i, (row, line) in enumerate(found)] == expected


def sentences(words: list[str]) -> int:
    """One more at the beginning, and wherever a word that is more than punctuation follows a mark."""
    count, ended = int(bool(words)), False
    for word in words:
        mark = len(word) == 1 and bool(MARKS[ord(word)])
        if ended and not mark and any(not PUNCTUATED[ord(c)] for c in word):
            count, ended = count + 1, False
        ended |= mark
    return count


PUNCTUATED = spread(PUNCTUATION)


@given(st.lists(st.lists(st.sampled_from(["a", "b.", ".", "!", "?", "。", '"', ")", "!?", "漢", ","]), max_size=8), max_size=6), st.data())
def test_sentences_begin_behind_marks(lines: list[list[str]], data: st.DataObject) -> None:
    of = np.array(sorted(data.draw(st.integers(0, 3)) for _ in lines), np.int64)
    bounds, words = word_runs(*view(pa.array([" ".join(line) for line in lines], pa.string())), word_classes())
    told = web_lines.count_sentences(bounds, words, of, MARKS, 4)
    assert told.tolist() == [sum(sentences(line) for line, row in zip(lines, of, strict=True) if row == i) for i in range(4)]
