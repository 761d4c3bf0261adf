"""Words that are compared with evaluation examples, and those that a linear model weighs: each against a few lines of Python."""

import math
import unicodedata
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.filters.decontamination import Examples, index
from tamis.operators.kernels import evaluation, linear_text
from tamis.operators.kernels.codepoints import SPECIAL, spread
from tamis.operators.kernels.digest import mixed
from tamis.operators.kernels.strings import view

WHOLE = (1 << 64) - 1
SPECIALS = {chr(c) for c in np.flatnonzero(spread(SPECIAL))}
ODD = "aB  é É ﬁ½ǅßΣςİ²中한ถำ\u0e31ကひー々\n\t.,;'’-_—\u0301\u0345\x00\x1f\x85\u200b\u3000🎉٣"
TEXT = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs", "Cn"]), max_size=30)


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(["pad中", *rows, "pad"], pa.string()).slice(1, len(rows))


def read(rows: list[str | None]) -> evaluation.Words:
    return evaluation.read_words(*view(column(rows)), *evaluation.folds())


def compared(text: str) -> list[tuple[str, str]]:
    """(the letters that count, the stretch of the text that they stand in) of each word."""
    words: list[tuple[str, str]] = []
    letters = stretch = gap = ""

    def end() -> None:
        nonlocal letters, stretch, gap
        words.extend([(letters, stretch)] if letters else [])
        letters = stretch = gap = ""

    for c in text:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", c).casefold())
        kept = "".join(x for x in folded if unicodedata.category(x)[0] in "LN") if unicodedata.category(c)[0] not in "CPS" else ""
        alone = bool(evaluation.folds().kinds[ord(c)] & evaluation.ALONE)
        if c.isspace() or alone:
            end()
        if kept and not c.isspace():
            letters, stretch, gap = letters + kept, stretch + gap + c, ""
        elif stretch:
            gap += c
        if alone:
            end()
    end()
    return words


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=5))
@example(["don't ﬁnd É\u0301.", "漢字、かな ถำ", "--", "", "a\u0301\u0301 b"])
def test_words_and_their_places_are_those_of_a_walk_over_code_points(rows: list[str]) -> None:
    words, (offsets, data) = read(rows), view(column(rows))
    assert len(offsets) == len(words.bounds)
    for i, row in enumerate(rows):
        found = []
        for k in range(words.bounds[i], words.bounds[i + 1]):
            letters = "".join(map(chr, words.codes[words.places[k] : words.places[k + 1]]))
            found.append((letters, data[words.spans[k, 0] : words.spans[k, 1]].tobytes().decode()))
        assert found == compared(row)
    same = {"".join(map(chr, words.codes[words.places[k] : words.places[k + 1]])): int(h) for k, h in enumerate(words.hashes)}
    assert len(set(same.values())) == len(same)


@given(st.lists(st.integers(0, WHOLE), max_size=20), st.integers(1, 8))
def test_hashes_of_runs_are_rolled_as_they_would_be_summed(hashes: list[int], width: int) -> None:
    base, found = 0x9FB21C651E98DF27, evaluation.gram_hashes(np.array(hashes, np.uint64), width)
    sums = [sum(h * pow(base, width - 1 - j, 1 << 64) for j, h in enumerate(hashes[i : i + width])) & WHOLE for i in range(len(hashes) - width + 1)]
    assert found.tolist() == [int(mixed(np.uint64(s))) for s in sums]


@given(st.lists(st.integers(0, 3).map(lambda k: k << 32) | st.integers(0, WHOLE), max_size=60))
def test_a_table_holds_the_first_place_of_each_hash(hashes: list[int]) -> None:
    hashes.sort()
    slots = evaluation.table_of(np.array(hashes, np.uint64))
    assert sorted(slots[slots > 0].tolist()) == [hashes.index(h) + 1 for h in sorted(set(hashes))]
    for h in set(hashes):  # reached from its own slot over no empty one
        at = h % len(slots)
        while slots[at] != hashes.index(h) + 1:
            assert slots[at]
            at = (at + 1) % len(slots)


def of(texts: list[str], ngram: int = 3, least: int = 2) -> Examples:
    return index([str(i) for i in range(len(texts))], texts, ngram=ngram, min_words=least, max_examples=1000)


def overlaps(rows: list[str | None], examples: Examples) -> list[tuple[int, int, float]]:
    longest = int(np.diff(examples.words.bounds).max())
    told = evaluation.overlaps(read(rows), examples.long, examples.short, examples.words, longest)
    return list(zip(*(t.tolist() for t in told), strict=True))


def plain(row: str, texts: list[str], ngram: int, least: int) -> tuple[int, int, float]:
    words, hits, shares = row.split(), set(), []
    for number, text in enumerate(texts):
        wanted = text.split()
        size, covered = min(ngram, len(wanted)), set()
        for i in range(len(words) - size + 1):
            for at in range(len(wanted) - size + 1) if len(wanted) >= least else ():
                if words[i : i + size] == wanted[at : at + size]:
                    hits.add((i, len(wanted) >= ngram))
                    covered |= set(range(at, at + size))
        shares.append((len(covered) / max(len(wanted), 1), len(wanted) < ngram, number))
    best = min(shares, key=lambda s: (-s[0], s[1], s[2]))
    return len(hits), best[2] if best[0] else -1, best[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), min_size=1, max_size=5),
       st.lists(st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join), max_size=4), st.integers(2, 4))
def test_what_covers_a_row_is_what_a_search_of_all_places_finds(texts: list[str], rows: list[str], ngram: int) -> None:
    """Of examples covered alike a long one comes before a short one, and among these the first."""
    if all(len(t.split()) < 2 for t in texts):
        return
    assert overlaps(rows, of(texts, ngram)) == [plain(row, texts, ngram, 2) for row in rows]


def test_rows_with_hundreds_of_matches_and_their_spans() -> None:
    example = " ".join(f"w{i}" for i in range(300))
    examples = of([example, "short one"], 5)
    rows = [f"é {example} é short one", f"{example} " * 3, "nothing here"]
    assert overlaps(rows, examples) == [(297, 0, 1.0), (888, 0, 1.0), (0, -1, 0.0)]
    words, data = read(rows), view(column(rows))[1]
    for row, text in enumerate(rows):
        spans = evaluation.hit_spans(words, row, examples.long, examples.short, examples.words)
        starts = [data[a:b].tobytes().decode() for a, b in spans]
        told = text.split()
        grams = [(i, " ".join(told[i : i + 5])) for i in range(len(told) - 4) if " ".join(told[i : i + 5]) in example]
        grams += [(i, "short one") for i in range(len(told) - 1) if told[i : i + 2] == ["short", "one"]]
        assert starts == [gram for _, gram in sorted(grams)]


def tokens(text: str) -> list[str]:
    """A run of what is not special, in lower case; each special one by itself; digits alike; blanks are nothing."""
    words, word = [], ""
    lowered = "".join(c if c in "İΣ" else c.lower() for c in text)
    for c in [*lowered, " "]:
        special = c in SPECIALS or c.isspace() or c.isdecimal()
        if special and word:
            words.append(word)
            word = ""
        if not special:
            word += c
        elif not c.isspace():
            words.append("0" if c.isdecimal() else c)
    return words


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT | st.text("ab1٣.,- é", max_size=40), min_size=1, max_size=5))
@example(["Don't 42 don't", "", " . ", "a", "a b a b"])
def test_features_are_words_and_pairs_of_neighbours_counted(rows: list[str]) -> None:
    table, buckets = linear_text.word_table(), 1 << 20
    bounds, places, counts = linear_text.text_features(*view(column(rows)), table, buckets)

    def bucket(word: str) -> int:
        return int(linear_text.text_features(*view(pa.array([word])), table, buckets)[1][0])

    for i, row in enumerate(rows):
        words = tokens(row)
        low, high = bounds[i], bounds[i + 1]
        assert places[low:high].tolist() == sorted(set(places[low:high].tolist()))
        often = dict(zip(places[low:high].tolist(), counts[low:high].tolist(), strict=True))
        assert sum(round(math.exp(c - 1)) for c in often.values()) == max(2 * len(words) - 1, 0)
        single = {bucket(word): n for word, n in Counter(words).items()}
        assert len(single) < len(set(words)) or all(often[b] >= 1 + math.log(n) - 1e-6 for b, n in single.items())


def test_a_pair_is_of_neighbours_in_their_order_and_no_word() -> None:
    table = linear_text.word_table()
    told = {text: set(linear_text.text_features(*view(pa.array([text])), table, 1 << 20)[1].tolist()) for text in ("a b", "b a", "a", "b", "ab", "a x b")}
    pair, other = told["a b"] - told["a"] - told["b"], told["b a"] - told["a"] - told["b"]
    assert len(pair) == len(other) == 1 and pair != other and not (pair | other) & told["ab"] and not pair & told["a x b"]


def test_rows_become_vectors_of_length_one_and_margins_their_products() -> None:
    bounds, places = np.array([0, 2, 2, 5]), np.array([1, 3, 0, 1, 2], np.int32)
    counts, idf = np.array([1.0, 2.0, 1.0, 1.5, 3.0], np.float32), np.array([0.5, 2.0, 0.0, 1.0], np.float32)
    values = counts.copy()
    linear_text.unit_rows(bounds, places, values, idf)
    dense = np.zeros((3, 4))
    for row in range(3):
        for k in range(bounds[row], bounds[row + 1]):
            dense[row, places[k]] = counts[k] * idf[places[k]]
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    unit = np.divide(dense, lengths, out=np.zeros_like(dense), where=lengths > 0)
    assert values.tolist() == pytest.approx([unit[row, places[k]] for row in range(3) for k in range(bounds[row], bounds[row + 1])], abs=1e-7)
    weights = np.array([3.0, -1.0, 7.0, 0.25], np.float32)
    assert linear_text.margins(bounds, places, values, weights, 0.5).tolist() == pytest.approx((unit @ weights + 0.5).tolist(), abs=1e-6)


def test_an_epoch_is_that_of_adagrad_written_out() -> None:
    chance = np.random.default_rng(7)
    rows, size, rate, decay = 40, 12, 0.3, 0.01
    dense = chance.random((rows, size)) * (chance.random((rows, size)) < 0.3)
    bounds = np.cumsum([0, *(dense != 0).sum(axis=1)])
    places, values = np.nonzero(dense)[1].astype(np.int32), dense[dense != 0]
    labels, share, order = chance.integers(0, 2, rows), np.array([0.5, 2.0]), chance.permutation(rows)
    found = np.zeros(size + 1), np.zeros(size + 1)
    expected, squares = np.zeros(size + 1), np.zeros(size + 1)
    for _ in range(2):
        linear_text.train(bounds, places, values, labels, order, share, *found, rate, decay)
        for row in order:
            x = np.append(dense[row], 1.0)
            gradient = (1 / (1 + math.exp(-float(expected @ x))) - labels[row]) * share[labels[row]] * x
            gradient[:-1] += decay * expected[:-1] * (dense[row] != 0)
            squares += gradient**2
            expected -= np.divide(rate * gradient, np.sqrt(squares) + 1e-8)
    assert found[0].tolist() == pytest.approx(expected.tolist()) and found[1].tolist() == pytest.approx(squares.tolist())
    assert np.abs(expected[:-1]).min() > 0
