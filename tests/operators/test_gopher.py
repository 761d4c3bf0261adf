"""Gopher's, FineWeb's and C4's rules against what their definitions say, in plain Python."""

import re
import time
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.filters import gopher, web_pages
from tamis.operators.kernels.codepoints import spread
from tamis.operators.kernels.terminal_marks import PUNCTUATION, TERMINAL
from tamis.operators.mappers import web_lines

PUNCTUATED = {chr(c) for c in np.flatnonzero(spread(PUNCTUATION))}
ENDS = tuple(chr(c) for c in np.flatnonzero(spread(TERMINAL)))
PIECES = [
    "the", "cat", "Cat", "and", "of", "--", "#", "...", "…", "12", "é", "漢字", "a", "b", "ab", "c", "the the the the the the the",
    "\n", "\n\n", "\n\n\n", "\r\n", "\u2028", "\x85", " ", "\u3000", "\t", "•", "- x", "!", "?", "。", '"', "[1]", "[edit]", "[٣]",
    "lorem ipsum", "LOREM Ipsum", "JavaScript", "{", "}", "terms of use", "Uses Cookies", "x" * 1001, "End.", "One two three.", "e.g. so.",
    "[citation needed]", "It is said.", "\x00", "😀", "\x1f",
]
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "", "\n"])), max_size=60).map(
    lambda parts: "".join(a + b for a, b in parts))


def duplicates(pieces: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    again = [p for p in pieces if p in seen or seen.add(p)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def top(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def duplicated(words: list[str], n: int) -> int:
    seen, i, points = set(), 0, 0
    while i < len(words) - n + 1:
        gram = "".join(words[i : i + n])
        if gram in seen:
            points, i = points + len(gram), i + n
        else:
            seen.add(gram)
            i += 1
    return points


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def quality(text: str) -> list[float]:
    words, lines = text.split(), text.splitlines()
    plain = [w for w in words if any(c not in PUNCTUATED for c in w)]
    return [
        len(plain), ratio(sum(map(len, plain)), len(plain)), ratio(text.count("#"), len(words)),
        ratio(text.count("...") + text.count("…"), len(words)),
        ratio(sum(s.lstrip().startswith(("•", "-")) for s in lines), len(lines)),
        ratio(sum(s.rstrip().endswith(("...", "…")) for s in lines), len(lines)),
        ratio(sum(any(c.isalpha() for c in w) for w in words), len(words)), len(set(gopher.STOP_WORDS) & set(words)),
    ]


def repetition(text: str) -> list[float]:
    paras, lines, words = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text), text.split()
    told: list[float] = [len(text)]
    told += [x for pieces in (paras, lines) for d in [duplicates(pieces)] for x in (ratio(d[0], len(pieces)), ratio(d[1], len(text)))]
    told += [ratio(top(words, n), len(text)) for n in (2, 3, 4)]
    return told + [ratio(duplicated(words, n), len(text)) for n in range(5, 11)]


def fineweb(text: str) -> list[float]:
    lines = [line for line in text.split("\n") if line.strip()]
    return [
        ratio(sum(s.endswith(ENDS) for s in lines), len(lines)), ratio(sum(len(s) <= 30 for s in lines), len(lines)),
        ratio(duplicates(lines)[1], len(text.replace("\n", ""))), text.count("\n") / max(len(text.split()), 1),
    ]


POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def c4_lines(text: str) -> tuple[str, int]:
    kept, gone = [], 0
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        low, lorem = line.lower(), "lorem ipsum" in line.lower()
        if (any(len(w) > 1000 for w in words) or not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...") or len(words) < 3
                or (not lorem and ("javascript" in low or ("{" not in line and any(p in low for p in POLICY))))):
            gone += 1
        else:
            kept.append(line)
    return "\n".join(kept).strip(), gone


def column(texts: list[str]) -> tuple[pa.Array, pa.Array]:
    text = pa.array(["before", *texts, "after"], pa.string()).slice(1, len(texts))
    return text, gopher.runs(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_every_number_is_what_its_definition_says(texts: list[str]) -> None:
    text, runs = column(texts)
    for function, rules, expected in (
        (gopher.gopher_quality, gopher.QUALITY, quality), (gopher.gopher_repetition, gopher.REPETITION, repetition),
        (gopher.fineweb_quality, gopher.FINEWEB, fineweb),
    ):
        for row, answer in zip(texts, function(text, runs, words="blanks").to_pylist(), strict=True):
            assert [answer[rule.stat] for rule in rules] == pytest.approx(expected(row), abs=1e-12), row


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_c4_keeps_the_lines_that_its_definition_keeps(texts: list[str]) -> None:
    text, _ = column(texts)
    assert [(a["text"], a["c4_lines_removed"]) for a in web_lines.c4_lines(text).to_pylist()] == [c4_lines(t) for t in texts]
    for row, answer in zip(texts, web_pages.c4_quality(text).to_pylist(), strict=True):
        assert answer["c4_lorem_ipsum"] == row.lower().count("lorem ipsum") and answer["c4_curly_brackets"] == row.count("{")


@pytest.mark.parametrize("text, count", [
    ("", 0), ("One.", 1), ("No mark", 1), ("One. Two! Three?\nFour", 4), ('He said "no." Then he left.', 2), ("At 3.14 it was e.g. done.", 1),
    ("J. R. R. Tolkien wrote. So?!", 2), ("一。 二。", 2), ("Wait... what?", 1), ("  \n ", 0), ("Mr. Smith came. It was 5 p.m. then.", 2), ("So! \") Then.\n\nEnd", 3), ("(One.) Two.", 2),
])
def test_sentences(text: str, count: int) -> None:
    assert web_pages.c4_quality(pa.array([text]))[0].as_py()["c4_sentences"] == count


def test_longer_words_and_texts_too() -> None:
    rng = np.random.default_rng(0)
    vocabulary = ["w" * int(n) + str(i) for i, n in enumerate(rng.integers(1, 200, 40))]
    texts = [" ".join(rng.choice(vocabulary, size)) for size in (3, 50, 3000)] + ["ab c a bc " * 20]
    text, runs = column(texts)
    for row, answer in zip(texts, gopher.gopher_repetition(text, runs, words="blanks").to_pylist(), strict=True):
        assert [answer[rule.stat] for rule in gopher.REPETITION] == pytest.approx(repetition(row), abs=1e-12)


def test_how_many_are_broken_is_counted_by_the_settings() -> None:
    text, runs = column(["these cats and the dogs of # it is"])
    answer = gopher.gopher_quality(text, runs)[0].as_py()
    assert answer["gopher_quality_broken"] == 2 and answer["gopher_words"] == 8  # too short; "#" once in nine words
    asked: dict[str, Any] = {"min_doc_words": 8, "max_symbol_word_ratio": None}
    assert gopher.gopher_quality(text, runs, **asked)[0].as_py()["gopher_quality_broken"] == 0
    assert gopher.gopher_quality(text, runs, **asked, stop_words=("is", "it", "so"), min_stop_words=3)[0].as_py()["gopher_quality_broken"] == 1


@pytest.mark.parametrize("function", [gopher.gopher_quality, gopher.gopher_repetition, gopher.fineweb_quality, web_pages.c4_quality])
def test_rules_name_stats_and_settings_that_are_there(function: Any) -> None:
    op = declared(function)
    assert op.stats[:-1] == tuple(rule.stat for rule in op.rules)
    assert {s for rule in op.rules for s in (rule.low, rule.high) if s} <= set(op.settings)


# What spaCy 3.8 (blank English, as datatrove calls it) makes of these, recorded.
SPACY = [
    ("Don't say I'm cannot, Mr. Smith's $5.00 (10%) 5km e.g. http://a.com/b-c. well-known a,b U.S. end...",
     "Do n't say I 'm can not , Mr. Smith 's $ 5.00 ( 10 % ) 5 km e.g. http://a.com/b-c . well - known a , b U.S. end ..."),
    ('She said: "It\'s 7:30 p.m. -- maybe?" and/or (not).',
     'She said : " It \'s 7:30 p.m. -- maybe ? " and/or ( not ) .'),
    ('foo...bar 3+4 10-20 A.B.C. J. R. R. Tolkien, Ph.D.',
     'foo ... bar 3 + 4 10 - 20 A.B.C. J. R. R. Tolkien , Ph.D.'),
    ('me@x.org, www.x.org/a?b=c; x=y a/b <tag> [1] {2} *bold* _it_ #tag @you',
     'me@x.org , www.x.org/a?b=c ; x = y a / b < tag > [ 1 ] { 2 } * bold * _ it _ # tag @you'),
    ("We'll they'd John'll can't won’t isn't thats Id wed WED",
     "We 'll they 'd John'll ca n't wo n’t is n't that s I d we d WED"),
    ('naïve café—yes 漢字、かな。 «quoted» „low“ …so 😀smile a😀b',
     'naïve café — yes 漢字、かな 。 « quoted » „ low “ … so 😀 smile a 😀 b'),
    ('  \t\n mixed\u3000blanks\u2028here ',
     'mixed blanks here'),
    ('100€ €5 +5 5+ C++ 25%. 1,000 v1.2.3 12kg 12kgs 5\'10" o\'clock rock\'n\'roll',
     '100 € € 5 +5 5 + C++ 25 % . 1,000 v1.2.3 12 kg 12kgs 5\'10 " o\'clock rock\'n\'roll'),
    ('http://x.y ftp://a.bc/d,e. a.b fe.Gh i.e., x.com. 3.14.',
     'http://x.y ftp://a.bc/d,e . a.b fe . Gh i.e. , x.com . 3.14 .'),
]


def cut(text: str) -> list[str]:
    sizes = (gopher.runs(pa.array([text]))[0].values.to_numpy()[1::2] >> np.uint64(2)).astype(int)
    letters, at, found = "".join(text.split()), 0, []
    for size in sizes:
        found.append(letters[at : at + size])
        at += size
    assert at == len(letters)  # nothing is lost and nothing put in
    return found


@pytest.mark.parametrize("text, expected", SPACY)
def test_words_are_those_that_spacy_cuts(text: str, expected: str) -> None:
    assert cut(text) == expected.split()


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_words_with_punctuation_apart_are_the_whole_text(text: str) -> None:
    found = cut(text)
    assert all(found) and cut(f" {text}\u3000") == found
    answer = gopher.gopher_quality(t := pa.array([text]), gopher.runs(t))[0].as_py()
    plain = [w for w in found if any(c not in PUNCTUATED for c in w)]
    assert answer["gopher_words"] == len(plain) and answer["gopher_stop_words"] == len(set(gopher.STOP_WORDS) & set(found))
    assert answer["gopher_alpha_words"] == pytest.approx(ratio(sum(any(c.isalpha() for c in w) for w in found), len(found)))


@pytest.mark.parametrize("text", [
    "(" * 100_000 + "a" * 100_000, "a" + "=" * 200_000 + "b", "-" * 200_000, "a" + "-" * 200_000 + "b", "." * 200_000, "a." * 100_000,
    "a@" * 100_000, "://" * 70_000, "x'd" * 70_000, "1" * 200_000, "a" * 200_000 + ")" * 100_000, "5" + "k" * 200_000,
])
def test_cutting_a_hostile_run_takes_no_long(text: str) -> None:
    began = time.perf_counter()
    gopher.runs(pa.array([text]))
    assert time.perf_counter() - began < 3


def test_a_contraction_without_its_apostrophe() -> None:
    assert [w for t in ("cannot Wed gonna dont whats youre", "Ive hed") for w in cut(t)] == [
        "can", "not", "We", "d", "gon", "na", "do", "nt", "what", "s", "you", "re", "I", "ve", "he", "d"]
