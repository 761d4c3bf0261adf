"""Evaluation examples in texts: what each setting of the filter and of the mapper changes, and where their bounds lie."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.filters.decontamination import Examples, contamination, index, words_of
from tamis.operators.mappers.decontamination import cut_evaluation
from tamis.pipeline.run import apply

WORDS = [f"w{i}" for i in range(60)]
EXAMPLE = " ".join(WORDS[:20])


def indexed(texts: list[str], ngram: int = 13, min_words: int = 8, max_examples: int = 10) -> Examples:
    return index([f"e{i}" for i in range(len(texts))], texts, ngram=ngram, min_words=min_words, max_examples=max_examples)


def told(text: str, examples: Examples) -> tuple[int, str | None, float]:
    return tuple(contamination(pa.array([text]), examples=examples)[0].as_py().values())  # type: ignore[return-value]


@pytest.mark.parametrize(("count", "hits"), [(12, 0), (13, 1), (14, 2), (20, 8)])
def test_thirteen_words_in_a_row_are_a_copy_by_default(count: int, hits: int) -> None:
    got = told("so " + " ".join(WORDS[:count]) + " it", indexed([EXAMPLE]))
    assert got == (hits, "e0" if hits else None, pytest.approx(count / 20 if hits else 0.0))


@pytest.mark.parametrize("ngram", [1, 3, 8, 20])
def test_as_many_words_count_as_asked(ngram: int) -> None:
    examples = indexed([EXAMPLE], ngram=ngram, min_words=min(8, ngram))
    for count in (ngram - 1, ngram, ngram + 1):
        got = told(" x ".join([" ".join(WORDS[:count])]) or "x", examples)
        assert got[0] == max(0, min(count, 20) - ngram + 1)


def test_an_example_as_long_as_the_n_gram_is_long_and_a_shorter_one_is_looked_for_whole() -> None:
    thirteen, twelve, eight, seven = (" ".join(WORDS[:n]) for n in (13, 12, 8, 7))
    examples = indexed([twelve, eight, seven])
    assert examples.skipped == ("e2",) and told(seven, examples)[2] == 0.0
    assert told(eight, examples)[1:] == ("e1", 1.0) and told(" ".join(WORDS[:11]), examples)[1:] == ("e1", 1.0)
    assert told(twelve, examples)[1] == "e0" and told(thirteen, indexed([thirteen]))[0] == 1
    assert told(seven, indexed([seven], min_words=7))[1:] == ("e0", 1.0)
    assert told("one", indexed(["one"], min_words=1))[1:] == ("e0", 1.0)


@pytest.mark.parametrize(("ngram", "min_words"), [(5, 0), (5, -1), (5, 6), (0, 1)])
def test_words_that_cannot_be_asked_for_are_refused(ngram: int, min_words: int) -> None:
    with pytest.raises(ValueError, match=f"min_words must be from 1 to ngram, it is {min_words}, ngram is {ngram}"):
        indexed(["a"], ngram=ngram, min_words=min_words)


@pytest.mark.parametrize(("examples", "found"), [(3, True), (4, False)])
def test_an_n_gram_in_more_examples_than_asked_is_a_templates(examples: int, found: bool) -> None:
    template = " ".join(WORDS[:13])
    texts = [f"{template} {' '.join(f'own{i}x{k}' for k in range(5))}" for i in range(examples)]
    texts[0] += f" {template}"  # twice in one example is one example
    made = indexed(texts, max_examples=3)
    assert (told(template, made)[0] > 0) == found and (made.common > 0) != found
    assert told(texts[1], made)[1] == "e1", "its own words are found whatever they stand behind"


def test_the_example_that_is_covered_most_is_named_and_of_equals_the_first() -> None:
    half, whole = " ".join(WORDS[:26]), " ".join(WORDS[30:43])
    examples = indexed([half, whole, whole])
    assert told(f"{' '.join(WORDS[:13])} and {whole}", examples) == (2, "e1", 1.0)
    assert told(" ".join(WORDS[:13]), examples) == (1, "e0", 0.5)


@pytest.mark.parametrize(("allowed", "kept"), [(0.0, [12]), (0.65, [12, 13]), (0.75, [12, 13, 15]), (1.0, [12, 13, 15, 20])])
def test_texts_stay_up_to_the_share_that_is_allowed(tmp_path: Path, allowed: float, kept: list[int]) -> None:
    (tmp_path / "e.jsonl").write_text(json.dumps({"id": "q1", "question": EXAMPLE, "answer": "an answer of eight words that nobody repeats"}) + "\n")
    rows = [{"text": " ".join(WORDS[:n]), "n": n} for n in (12, 13, 15, 20)]
    done = apply([{"ngram_decontamination_filter": {"evaluation": str(tmp_path / "e.jsonl"), "max_ratio": allowed}}], rows)
    assert done.table.column("n").to_pylist() == kept and all("q1" in note or "e.jsonl" in note for note in done.ledger.column("note").to_pylist())
    other = apply([{"ngram_decontamination_filter": {"evaluation": [str(tmp_path / "e.jsonl")], "fields": ["answer"]}}], rows)
    assert len(other.table) == 4, "only the fields that are named are examples"


def test_marks_case_and_form_do_not_count_but_letters_do() -> None:
    examples = indexed([EXAMPLE])
    dressed = EXAMPLE.upper().replace(" ", " — ").replace("W1", "Ｗ１")
    assert told(dressed, examples)[2] == 1.0 and told(EXAMPLE.replace("w6", "v6"), examples)[:2] == (1, "e0")
    assert [len(words_of(pa.array([t])).hashes) for t in ("", "don't stop-it", "a\u0301b ½", "漢字か", "!? —")] == [0, 2, 2, 3, 0]


def test_nothing_to_look_for_finds_nothing() -> None:
    for examples in (indexed([]), indexed(["", "too few words"])):
        assert contamination(pa.array([EXAMPLE, None, ""]), examples=examples).to_pylist() == [
            {"contaminating_ngrams": 0, "contaminated_by": None, "contamination": 0.0}, None,
            {"contaminating_ngrams": 0, "contaminated_by": None, "contamination": 0.0}]
        assert examples.longest == max((len(t.split()) for t in ("", "too few words")), default=0) * (len(examples.names) > 0)


COPY = " ".join(WORDS[:13])


@pytest.mark.parametrize(("how", "kept"), [
    ({"window": 5, "min_piece": 0}, ["before the c", "r the copy"]), ({"window": 0, "min_piece": 0}, ["before the copy; ", " after the copy"]),
    ({"window": 5, "min_piece": 11}, ["before the c"]), ({"window": 5, "min_piece": 12}, []), ({}, []), ({"window": 100, "min_piece": 0}, []),
])
def test_pieces_are_cut_a_window_away_and_short_ones_go(how: dict[str, int], kept: list[str]) -> None:
    text = f"before the copy; {COPY} after the copy"
    got = cut_evaluation(pa.array([text]), examples=indexed([EXAMPLE]), **how).to_pylist()[0]
    assert got == kept


@pytest.mark.parametrize(("words", "stays"), [(22, True), (23, False)])
def test_a_text_of_more_than_ten_n_grams_goes_whole(words: int, stays: bool) -> None:
    text = "long enough " * 40 + " ".join(WORDS[:words]) + " long enough" * 40
    got = cut_evaluation(pa.array([text]), examples=indexed([" ".join(WORDS[:30])])).to_pylist()[0]
    assert bool(got) == stays
    assert cut_evaluation(pa.array([text]), examples=indexed([" ".join(WORDS[:30])]), max_hits=words - 12).to_pylist()[0] != []


@settings(max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 16), st.sampled_from([" ", " é ", "\n漢 "])), max_size=8), st.integers(0, 30), st.integers(0, 20))
def test_what_is_left_is_of_the_text_and_as_far_from_a_copy_as_asked(parts: list[Any], window: int, least: int) -> None:
    rng = random.Random(len(parts))
    text = "".join(" ".join(WORDS[:n] if copied else rng.choices(["other", "wörter", "𝒳y"], k=n)) + gap for copied, n, gap in parts)
    examples = indexed([EXAMPLE])
    pieces = cut_evaluation(pa.array(["pad", text]).slice(1), examples=examples, window=window, min_piece=least, max_hits=1000).to_pylist()[0]
    if not told(text, examples)[0]:
        assert pieces == [text]
        return
    at = 0
    for piece in pieces:
        found = text.index(piece, at)
        at = found + len(piece)
        assert len(piece) > least and told(piece, examples)[0] == 0
    assert told(" | ".join(pieces), examples)[0] == 0 or window == 0
