"""n-grams of evaluation examples in texts, against a plain search word by word."""

import random
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators.filters.decontamination import Examples, contamination, index
from tamis.operators.mappers.decontamination import cut_evaluation

RNG = random.Random(5)
VOCABULARY = [f"w{i}" for i in range(400)]
TEXTS = [" ".join(RNG.choices(VOCABULARY, k=k)) for k in (40, 13, 14, 26, 9, 8, 12, 5, 0, 60)]
NAMES = [f"eval:{i}" for i in range(len(TEXTS))]


@pytest.fixture(scope="module")
def examples() -> Examples:
    return index(NAMES, TEXTS, ngram=13, min_words=8, max_examples=10)


def words(text: str) -> list[str]:
    """The words that count, spelt out for alphabetic scripts."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = "".join(c for c in folded if c.isspace() or unicodedata.category(c)[0] in "LN")
    return kept.split()


def plain(text: str, names: list[str], texts: list[str], n: int = 13, least: int = 8) -> tuple[int, str | None, float]:
    """(n-grams that stand in examples, the example covered most, its share), by looking at every pair."""
    read, hits, best = words(text), set(), (0.0, 0, None)
    for number, (name, example) in enumerate(zip(names, texts, strict=True)):
        wanted = words(example)
        size = n if len(wanted) >= n else len(wanted)
        if len(wanted) < least:
            continue
        covered: set[int] = set()
        for at in range(len(wanted) - size + 1):
            for i in range(len(read) - size + 1):
                if read[i : i + size] == wanted[at : at + size]:
                    hits.add((i, size >= n))
                    covered |= set(range(at, at + size))
        best = max(best, (len(covered) / len(wanted), -number, name), key=lambda b: (b[0], b[1] if b[0] else 0))
    return len(hits), best[2], best[0]


def answers(texts: list[str | None], examples: Examples) -> list[Any]:
    text = pa.array(["pad", *texts, "pad"], pa.string()).slice(1, len(texts))
    return contamination(text, examples=examples).to_pylist()


def test_every_answer_is_that_of_a_plain_search(examples: Examples) -> None:
    rng, texts = random.Random(1), []
    for _ in range(60):
        parts = []
        for _ in range(rng.randint(0, 4)):
            source = rng.choice(TEXTS).split()
            at = rng.randrange(len(source) + 1)
            parts += [" ".join(rng.choices(VOCABULARY, k=rng.randint(0, 9))), " ".join(source[at : at + rng.randint(5, 30)])]
        texts.append(" ".join(parts))
    found = answers(texts, examples)
    for text, answer in zip(texts, found, strict=True):
        hits, name, share = plain(text, NAMES, TEXTS)
        assert (answer["contaminating_ngrams"], answer["contaminated_by"]) == (hits, name), text
        assert answer["contamination"] == pytest.approx(share)
    assert sum(a["contamination"] > 0 for a in found) > 8


@pytest.mark.parametrize("change", [
    str.upper, lambda t: t.replace(" ", "\n\t "), lambda t: t.replace(" ", ", "), lambda t: f"“{t}”!", lambda t: t.replace("w", "ｗ"),
    lambda t: t.replace("w1", "w\u03011"), lambda t: "before it and " + t + " after it", lambda t: t.replace(" ", " -- "),
])
def test_a_copy_is_found_in_any_dress(examples: Examples, change: Any) -> None:
    for name, text in zip(NAMES, TEXTS, strict=True):
        if len(text.split()) >= 8:
            answer = answers([change(text)], examples)[0]
            assert (answer["contaminated_by"], answer["contamination"]) == (name, 1.0)


def test_a_word_changed_every_twelve_is_not_found(examples: Examples) -> None:
    changed = ["other" if i % 12 == 11 else w for i, w in enumerate(TEXTS[0].split())]
    assert answers([" ".join(changed)], examples)[0]["contamination"] == 0.0


def test_texts_of_their_own_are_never_taken_for_copies(examples: Examples) -> None:
    rng = random.Random(2)
    texts = [" ".join(rng.choices(VOCABULARY, k=300)) for _ in range(300)]
    assert sum(a["contaminating_ngrams"] for a in answers(texts, examples)) == 0


def test_equal_hashes_are_not_enough(examples: Examples) -> None:
    other = Examples(examples.names, examples.words._replace(codes=examples.words.codes + np.uint32(1)), examples.long, examples.short, (), 0)
    assert answers([TEXTS[0]], other)[0]["contamination"] == 0.0


def test_scripts_without_blanks_are_compared_letter_by_letter() -> None:
    text = "東京は日本の首都であり、世界最大の都市の一つである。"
    examples = index(["ja"], [text], ngram=13, min_words=8, max_examples=10)
    assert answers(["前の文。" + text.replace("、", "") + "後の文", "大阪は日本の都市である。"], examples) == [
        {"contaminating_ngrams": 12, "contaminated_by": "ja", "contamination": 1.0},
        {"contaminating_ngrams": 0, "contaminated_by": None, "contamination": 0.0},
    ]


def test_templates_are_left_out_and_short_examples_told() -> None:
    template = "choose the right answer of the four that follow and say why it is so: "
    texts = [template + " ".join(f"q{i}x{k}" for k in range(6)) for i in range(12)] + ["too short"]
    examples = index([str(i) for i in range(13)], texts, ngram=13, min_words=8, max_examples=10)
    assert examples.skipped == ("12",) and examples.common == 3
    assert [a["contaminated_by"] for a in answers([template, texts[4]], examples)] == [None, "4"]
    with pytest.raises(ValueError, match="min_words"):
        index([], [], ngram=5, min_words=8, max_examples=10)


def test_null_and_empty(examples: Examples) -> None:
    none, empty = answers([None, ""], examples)
    assert none is None and empty["contamination"] == 0.0


def test_pieces_are_what_is_far_enough_from_a_copy(examples: Examples) -> None:
    copy = " ".join(TEXTS[0].split()[:16])  # four n-grams
    before, after = "é" * 10 + " before " * 60, " after " * 60
    kept, short, whole, dirty = cut_evaluation(
        pa.array([before + copy + after, "x " * 150 + copy, "no copy", TEXTS[0]]), examples=examples).to_pylist()
    assert kept == [before[:-200], (before + copy + after)[len(before) + len(copy) + 200 :]]
    assert short == [] and whole == ["no copy"] and dirty == []
    assert cut_evaluation(pa.array([TEXTS[0]]), examples=examples, max_hits=100, window=0, min_piece=-1).to_pylist() == [["", ""]]
    assert cut_evaluation(pa.array([None, ""]), examples=examples).to_pylist() == [None, [""]]


def janitor(text: str, grams: set[str], n: int = 13, window: int = 200, least: int = 200, cutoff: int = 10) -> list[str]:
    """lm-evaluation-harness's Janitor.clean_python, written again; but a clean text stays however short it is, and the one code
    point that it leaves before a middle piece goes."""
    places, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        places.append((start, at - 1))
    hits = [(places[i][0], places[i + n - 1][1]) for i in range(len(places) - n + 1) if " ".join(text.split()[i : i + n]) in grams]
    if len(hits) > cutoff or not hits:
        return [] if hits else [text]
    pieces, done, end = [], 0, -1
    for first, last in hits:
        start, end = max(0, first - window), min(len(text), last + window)
        if start - done > least:
            pieces.append(text[done:start])
        done = end + 1
    return [*pieces, text[end + 1 :]] if end < len(text) - least - 1 else pieces


def test_the_pieces_are_janitors(examples: Examples) -> None:
    grams = {" ".join(t.split()[i : i + 13]) for t in TEXTS for i in range(len(t.split()) - 12)}
    rng, texts = random.Random(4), []
    for _ in range(60):
        parts = [" ".join(rng.choices(["other", "wörter", "here"], k=rng.randint(0, 120)))]
        for _ in range(rng.randint(0, 3)):
            source = rng.choice([t for t in TEXTS if len(t.split()) > 13]).split()
            at = rng.randrange(len(source) - 12)
            parts += [" ".join(source[at : at + rng.randint(13, 17)]), " ".join(rng.choices(["other", "wörter"], k=rng.randint(0, 160)))]
        texts.append(" ".join(p for p in parts if p))
    answers = cut_evaluation(pa.array(texts), examples=examples).to_pylist()
    assert answers == [janitor(t, grams) for t in texts]
    assert sum(len(a) > 1 for a in answers) > 10 and any(a == [] for a in answers)
