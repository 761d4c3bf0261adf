"""Filters of several rules: each bound lets its own value pass, null asks nothing, and every other setting changes what it says."""

import math
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.filters import gopher, web_pages
from tamis.operators.mappers.web_lines import c4_lines

TEXTS = [
    "", "The cat and the dog have # been to the sea... with 3 of them.\n• one\n- two\n\nThe cat and the dog have been…", "a b a b a b a b a b a b",
    "One. Two! Is it {three}?\nLorem ipsum dolor.\nOne. Two! Is it {three}?", "x" * 40 + "\n" + "x" * 40 + "\n\n" + "y. " * 12, "漢字 かな。\n漢字 かな。\n",
]
FILTERS = [gopher.gopher_quality, gopher.gopher_repetition, gopher.fineweb_quality, web_pages.c4_quality]


def answers(function: Callable[..., Any], texts: list[str], **how: Any) -> list[dict[str, Any]]:
    text = pa.array(texts, pa.string())
    return function(*([text] if function is web_pages.c4_quality else [text, gopher.runs(text)]), **how).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("function", FILTERS, ids=lambda f: f.__name__)
def test_a_bound_lets_its_own_value_pass_and_nothing_beyond(function: Callable[..., Any]) -> None:
    op = declared(function)
    bounds = [(rule, end) for rule in op.rules for end in (rule.low, rule.high) if end]
    off: dict[str, Any] = {end: None for _, end in bounds}
    assert {a[op.stats[-1]] for a in answers(function, TEXTS, **off)} == {0}
    shared = {end for _, end in bounds if sum(e == end for _, e in bounds) > 1}  # one setting for two rules: the other one set aside by 0
    for rule, end in bounds:
        for text in TEXTS:
            (number,) = {a[rule.stat] for a in answers(function, [text], **off)}
            beyond = math.nextafter(number, math.inf if end == rule.low else -math.inf)
            at = answers(function, [text], **(off | {end: number}))[0]
            past = answers(function, [text], **(off | {end: beyond}))[0]
            others = sum(at[r.stat] > number for r, e in bounds if e == end and r is not rule) if end in shared else 0
            assert at[op.stats[-1]] == others, (end, text)
            assert past[op.stats[-1]] >= others + 1, (end, text)


@settings(max_examples=80)
@given(st.data(), st.sampled_from(FILTERS), st.sampled_from(TEXTS))
def test_how_many_are_broken_is_what_one_by_one_comes_to(data: st.DataObject, function: Callable[..., Any], text: str) -> None:
    op = declared(function)
    told = answers(function, [text])[0]
    names = sorted({end for rule in op.rules for end in (rule.low, rule.high) if end})
    asked = {n: data.draw(st.none() | st.sampled_from([*(told[r.stat] for r in op.rules if n in (r.low, r.high)), 0, 0.5, 5]), n) for n in names}
    broken = 0
    for rule in op.rules:
        low, high = (asked[end] if end else None for end in (rule.low, rule.high))
        broken += (low is not None and told[rule.stat] < low) or (high is not None and told[rule.stat] > high)
    assert answers(function, [text], **asked)[0] == told | {op.stats[-1]: broken}


PUBLISHED = {  # Rae et al. 2021, A1.1 and table A1; Penedo et al. 2024, 3.6; Raffel et al. 2020, 2.2
    "gopher_quality": {"min_doc_words": 50, "max_doc_words": 100_000, "min_avg_word_length": 3, "max_avg_word_length": 10, "max_symbol_word_ratio": 0.1,
                       "max_bullet_lines_ratio": 0.9, "max_ellipsis_lines_ratio": 0.3, "min_alpha_words_ratio": 0.8, "min_stop_words": 2},
    "gopher_repetition": {"max_dup_line_frac": 0.3, "max_dup_para_frac": 0.3, "max_dup_line_char_frac": 0.2, "max_dup_para_char_frac": 0.2,
                          "max_top_2_gram": 0.2, "max_top_3_gram": 0.18, "max_top_4_gram": 0.16, "max_dup_5_grams": 0.15, "max_dup_6_grams": 0.14,
                          "max_dup_7_grams": 0.13, "max_dup_8_grams": 0.12, "max_dup_9_grams": 0.11, "max_dup_10_grams": 0.1, "min_doc_characters": 1},
    "fineweb_quality": {"min_line_punct_ratio": 0.12, "max_short_line_ratio": 0.67, "max_char_duplicates_ratio": 0.01, "max_new_line_ratio": 0.3},
    "c4_quality": {"min_num_sentences": 5, "max_lorem_ipsum": 0, "max_curly_brackets": 0},
}


@pytest.mark.parametrize("function", FILTERS, ids=lambda f: f.__name__)
def test_by_default_the_published_thresholds_are_asked(function: Callable[..., Any]) -> None:
    published = PUBLISHED[function.__name__]
    assert answers(function, TEXTS) == answers(function, TEXTS, **published)
    ends = {end for rule in declared(function).rules for end in (rule.low, rule.high) if end}
    assert ends == set(published) and {n: s.default for n, s in declared(function).settings.items() if n in ends} == published


def test_other_settings_change_what_is_counted() -> None:
    text = "Well, don't go - stop. (Now!)"
    blanks, apart = (answers(gopher.gopher_quality, [text], words=w)[0]["gopher_words"] for w in ("blanks", "punctuation"))
    assert (blanks, apart) == (5, 6)  # well do n't go stop now
    assert [answers(gopher.gopher_quality, [text], stop_words=s)[0]["gopher_stop_words"] for s in ((), ("go", "go"), ["stop", "Now", "now"])] == [0, 1, 2]
    lines = "x" * 10 + ".\n" + "y" * 11 + ".\n" + "é" * 12 + "."
    shares = [answers(gopher.fineweb_quality, [lines], short_line_length=n)[0]["fineweb_short_lines"] for n in (10, 11, 12, 13)]
    assert shares == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
    assert answers(gopher.fineweb_quality, ["x" * 30 + "\n" + "x" * 31])[0]["fineweb_short_lines"] == 0.5, "30 code points are short by default"


POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
PIECES = st.sampled_from([
    "It", "is", "said", "longerword", "é漢", "[1]", "[edit]", "[citation needed]", "[x]", "Javascript", "terms of USE", "privacy policy", "use cookies",
    "{", "Lorem Ipsum", ".", "...", "?", "!'", '"', "\n", "\n", "\r", "\u2028", "\t", "\u3000",
])
ROWS = st.lists(st.tuples(PIECES, st.sampled_from([" ", ""])), max_size=30).map(lambda ps: "".join(a + b for a, b in ps))


def lines_left(text: str, least: int, longest: int, citations: bool, marks: bool, javascript: bool, policy: bool) -> tuple[str, int]:
    kept, gone = [], 0
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line) if citations else line
        low = line.lower()
        bad = len(words) < least or any(len(w) > longest for w in words)
        bad |= marks and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."))
        if "lorem ipsum" not in low:
            bad |= javascript and "javascript" in low
            bad |= policy and "{" not in line and any(p in low for p in POLICY)
        gone += bad
        kept += [] if bad else [line]
    return "\n".join(kept).strip(), gone


@settings(max_examples=250)
@given(st.lists(ROWS, max_size=3), st.integers(0, 4), st.sampled_from([2, 4, 10, 1000]), *[st.booleans()] * 5)
def test_lines_of_pages_stay_by_each_setting(
    rows: list[str], least: int, longest: int, citations: bool, marks: bool, javascript: bool, policy: bool, pad: bool
) -> None:
    text = pa.array([*["pad."] * pad, *rows, None], pa.string()).slice(int(pad))
    got = c4_lines(text, min_words_per_line=least, max_word_length=longest, remove_citations=citations, filter_no_terminal_punct=marks,
                   filter_javascript=javascript, filter_policy=policy).to_pylist()
    assert got.pop() == {"text": None, "c4_lines_removed": None}
    assert [(a["text"], a["c4_lines_removed"]) for a in got] == [lines_left(r, least, longest, citations, marks, javascript, policy) for r in rows]


def test_a_negative_length_is_no_limit() -> None:
    long = "a " + "x" * 5000 + " b."
    assert [c4_lines(pa.array([long]), max_word_length=n)[0].as_py()["c4_lines_removed"] for n in (-1, 5000, 4999)] == [0, 0, 1]
