"""Words: split, lower-cased, stripped and looked up as plain Python would, with dictionaries and joined strings."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tamis.operators.filters.words import flagged_words_ratio, num_words, stopwords_ratio, words
from tamis.operators.kernels.codepoints import SPECIAL, spread
from tamis.operators.kernels.hashing import hash_strings

SPECIALS = set(map(chr, np.flatnonzero(spread(SPECIAL))))
TABLES = Path(__file__).parents[2] / "recipes" / "tables"
odd = "aZΣςσİıIßГK.'-1 \n\t\r\u00a0\u3000漢ー😀\u0301\u200b\x00\u00adǅ"
texts = st.lists(st.one_of(st.none(), st.text(max_size=60), st.text(alphabet=odd, max_size=120)), max_size=8)


def refined(row: str, lower: bool) -> list[str]:
    pieces = [piece for line in row.split("\n") for cell in line.split("\t") for piece in cell.split(" ") if piece]
    if lower:
        pieces = [piece.lower() for piece in pieces]
    places = ([i for i, c in enumerate(piece) if c not in SPECIALS] for piece in pieces)
    return [piece[plain[0] : plain[-1] + 1] for piece, plain in zip(pieces, places, strict=True) if plain]


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(rows, pa.string())


@given(texts, st.integers(0, 2))
@example(["ΟΔΟΣ ΟΔΟΣ. Σ aΣ. aΣ.b İstanbul", None, "Г г", "ABC" * 2000 + " x"], 0)
def test_words_are_those_of_python(rows: list[str | None], skip: int) -> None:
    text = column(rows).slice(skip)
    expected = [None if r is None else hash_strings(refined(r, True)).tolist() for r in text.to_pylist()]
    assert words(text).to_pylist() == expected
    assert num_words(text).to_pylist() == [None if r is None else len(refined(r, False)) for r in text.to_pylist()]


def test_every_code_point_in_a_word_and_at_its_ends() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and chr(c) not in " \n\t"]
    for row in ([f"a{p}b" for p in points], [f"{p}b{p}" for p in points], points):
        text = column(row)
        assert num_words(text).to_pylist() == [len(refined(r, False)) for r in row]
        flat = [w for r in row for w in refined(r, True)]
        assert words(text).flatten().to_numpy().tolist() == hash_strings(flat).tolist()


def test_lower_casing_decides_what_is_stripped() -> None:
    row = column(["Г"])  # special as it is, a letter once lower-cased
    assert num_words(row).to_pylist() == [0] and len(words(row).to_pylist()[0]) == 1


def test_the_feature_can_be_filtered_sliced_and_emptied() -> None:
    column_of = words(column(["a b", None, "", "c"]))
    assert column_of.type == pa.list_(pa.uint64())
    a, b, c = hash_strings(["a", "b", "c"]).tolist()
    assert column_of.filter(pa.array([True, True, False, True])).to_pylist() == [[a, b], None, [c]]
    assert stopwords_ratio(column_of.slice(1), stopwords=frozenset("c")).to_pylist() == [None, 0.0, 1.0]
    assert words(column([])).to_pylist() == [] and words(column([])).type == pa.list_(pa.uint64())


@given(texts, st.frozensets(st.text(alphabet="aσςi漢k-", min_size=1, max_size=4), max_size=6), st.sampled_from(["", "-", "a"]), st.lists(st.integers(1, 4), max_size=2))
def test_shares_are_those_of_python(rows: list[str | None], listed: frozenset[str], joint: str, sizes: list[int]) -> None:
    def share(row: str) -> float:
        plain = refined(row, True)
        every = plain + [joint.join(plain[i : i + size]) for size in sizes for i in range(len(plain) - size + 1)]
        return sum(word in listed for word in every) / len(every) if every else 0.0

    found = words(column(rows))
    settings = {"use_words_aug": bool(sizes), "words_aug_group_sizes": sizes, "words_aug_join_char": joint}
    expected = [None if row is None else share(row) for row in rows]
    assert stopwords_ratio(found, stopwords=listed, **settings).to_pylist() == expected
    assert flagged_words_ratio(found, flagged_words=listed, **settings).to_pylist() == expected


def test_groups_are_ignored_unless_asked_for() -> None:
    found = words(column(["a b"]))
    assert stopwords_ratio(found, stopwords=frozenset({"ab"}), words_aug_group_sizes=(2,)).to_pylist() == [0.0]
    assert stopwords_ratio(found, stopwords=frozenset({"ab"}), use_words_aug=True).to_pylist() == [1 / 3]


def test_with_the_lists_that_ship() -> None:
    lists = json.loads((TABLES / "stopwords.json").read_text("utf-8"))
    everything = frozenset(word for chosen in lists.values() for word in chosen)
    rows = ["The cat is on the mat, AND it purrs.", "Le chat est là; où ça ?", "猫 は ソファ の 上", "zzz qqq"]
    found = words(column(rows))
    for chosen in (frozenset(lists["en"]), frozenset(lists["fr"]), everything):
        expected = [sum(w in chosen for w in refined(r, True)) / len(refined(r, True)) for r in rows]
        assert stopwords_ratio(found, stopwords=chosen).to_pylist() == expected
        assert len(stopwords_ratio(found, stopwords=chosen, use_words_aug=True, words_aug_group_sizes=[2, 3])) == len(rows)


def test_what_is_refused() -> None:
    found = words(column(["a"]))
    with pytest.raises(ValueError, match="tokenizer model"):
        num_words(column(["a"]), tokenization=True)
    for filter_ in (lambda **s: stopwords_ratio(found, stopwords=frozenset(), **s), lambda **s: flagged_words_ratio(found, flagged_words=frozenset(), **s)):
        with pytest.raises(ValueError, match="tokenizer model"):
            filter_(tokenization=True)
        with pytest.raises(ValueError, match="at least 1"):
            filter_(use_words_aug=True, words_aug_group_sizes=(2, 0))
