"""Repetition: the kernels against dictionaries of n-grams."""

import resource
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tamis.operators.filters.repetition import char_rep_ratio, word_rep_ratio
from tamis.operators.filters.words import num_words, words
from tamis.operators.kernels.codepoints import SPECIAL, spread

SPECIALS = "".join(map(chr, np.flatnonzero(spread(SPECIAL))))
texts = st.lists(st.one_of(st.none(), st.text(max_size=80), st.text(alphabet="ab é漢", max_size=400)), max_size=6)


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(rows, pa.string())


def counts(items: list[str], n: int, joint: str) -> list[int]:
    seen: dict[str, int] = {}
    for i in range(len(items) - n + 1):
        gram = joint.join(items[i : i + n])
        seen[gram] = seen.get(gram, 0) + 1
    return sorted(seen.values(), reverse=True)


def by_characters(row: str, n: int) -> float:
    found = counts(list(row), n, "")
    top = min(int(np.sqrt(len(found))), len(found) - found.count(1))
    return sum(found[:top]) / sum(found) if found else 0.0


def by_words(row: str, n: int) -> float:
    plain = [w for w in (w.lower().strip(SPECIALS) for w in row.replace("\n", " ").replace("\t", " ").split(" ")) if w]
    found = counts(plain, n, " ")
    return sum(c for c in found if c > 1) / sum(found) if found else 0.0


@given(texts, st.integers(1, 12), st.integers(0, 2))
@example(["spam " * 3000, "The end. " * 50 + "Another thing.", "x" * 5000, None, "", "é" * 9, "é" * 10, "é" * 11], 10, 0)
def test_as_dictionaries_count(rows: list[str | None], n: int, skip: int) -> None:
    text = column(rows).slice(skip)
    assert char_rep_ratio(text, rep_len=n).to_pylist() == [None if r is None else by_characters(r, n) for r in text.to_pylist()]
    assert word_rep_ratio(words(text), rep_len=n).to_pylist() == [None if r is None else by_words(r, n) for r in text.to_pylist()]


def test_long_texts_with_planted_repeats() -> None:
    rng = np.random.default_rng(3)
    once = "".join(map(chr, rng.integers(0x61, 0x61 + 4000, 30_000)))
    for row in (once, once + once[:7000], once[:500] * 60, "ab" * 20_000 + once):
        assert char_rep_ratio(column([row])).to_pylist() == [pytest.approx(by_characters(row, 10), abs=1e-12)]


def test_types_and_empty_columns() -> None:
    assert char_rep_ratio(column([])).type == word_rep_ratio(words(column([]))).type == pa.float64()


@pytest.mark.parametrize("rep_len", [0, -3])
def test_what_is_refused(rep_len: int) -> None:
    with pytest.raises(ValueError, match="rep_len must be at least 1"):
        char_rep_ratio(column(["a"]), rep_len=rep_len)
    with pytest.raises(ValueError, match="rep_len must be at least 1"):
        word_rep_ratio(words(column(["a"])), rep_len=rep_len)
    with pytest.raises(ValueError, match="tokenizer model"):
        word_rep_ratio(words(column(["a"])), tokenization=True)


@pytest.mark.slow
def test_one_document_of_fifty_megabytes() -> None:
    rng = np.random.default_rng(4)
    vocabulary = ["".join(map(chr, rng.integers(97, 123, k))) for k in rng.integers(2, 12, 20_000)]
    row = " ".join(vocabulary[i] for i in rng.integers(0, 20_000, 6_700_000))
    assert len(row) > 48_000_000
    text, started = column([row]), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    share = char_rep_ratio(text).to_pylist()[0]
    assert 0 <= share < 0.5 and num_words(text).to_pylist() == [6_700_000]
    assert word_rep_ratio(words(text)).to_pylist() == [0.0]
    assert time.process_time() - started < 60
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 40 * len(row)
