"""The kernels against what Python says of every code point, and of texts that no one would write."""

import hashlib
import string
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.filters.words import splits
from tamis.operators.kernels import codepoints, ngrams
from tamis.operators.kernels.hashing import hash_strings
from tamis.operators.kernels.membership import build_set, combine, count_members
from tamis.operators.kernels.strings import list_view, lists, masked, rewrite, strings, view

texts = st.lists(st.one_of(st.none(), st.text(max_size=40), st.text(alphabet="aZé\x00漢😀\u0301 \n", max_size=300)), max_size=8)
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def test_special_characters_are_data_juicers() -> None:
    special = "".join(map(chr, np.flatnonzero(codepoints.spread(codepoints.SPECIAL))))
    assert len(special) == 1618 and set(string.punctuation + string.digits + string.whitespace) <= set(special)
    assert hashlib.sha256(special.encode()).hexdigest() == "e85250ed32e34158022cb12e7ed7bd7322d2a4664f39045646e8e345765f3251"


def test_classes_of_every_code_point() -> None:
    table = codepoints.classes()
    assert [bool(v & codepoints.ALNUM) for v in table.tolist()] == [chr(c).isalnum() for c in range(0x110000)]
    assert [c for c in range(0x110000) if table[c] & codepoints.SPACE] == [c for c in range(0x110000) if chr(c).isspace()]
    assert np.count_nonzero(table & codepoints.BLANK) == 23


def test_folds_of_every_code_point() -> None:
    table = codepoints.folds() & codepoints.CODE
    look_around = {codepoints.CAPITAL_SIGMA, codepoints.CAPITAL_I_WITH_DOT}
    wrong = [c for c in range(0x110000) if c not in look_around and chr(table[c]) != chr(c).lower()]
    assert not wrong
    assert set(np.flatnonzero(codepoints.folds() >> codepoints.SEPARATOR).tolist()) == set(map(ord, " \n\t"))


def test_every_code_point_is_decoded() -> None:
    offsets, data = view(pa.array(["".join(map(chr, CODES))]))
    assert codepoints.decode_all(data, offsets[0], offsets[1]).tolist() == CODES


@pytest.mark.parametrize("broken", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"a\xff", b"\x80\x80", b"\xf7\xbf\xbf\xbf"])
def test_broken_utf8_is_read_within_its_row(broken: bytes) -> None:
    data = np.frombuffer(broken + "😀".encode(), np.uint8)
    codes = codepoints.decode_all(data, 0, len(broken))
    assert 1 <= len(codes) <= len(broken) and codes.max() < 0x110000
    _, lengths = codepoints.count_class(np.array([0, len(broken)]), data, codepoints.classes(), np.uint8(1))
    assert lengths[0] == len(codes)


@given(texts, st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_views_and_strings_are_inverse_on_slices(rows: list[str | None], skip: int, kind: pa.DataType) -> None:
    text = pa.array(rows, kind).slice(skip)
    offsets, data = view(text)
    seen = [data[a:b].tobytes().decode() for a, b in pairwise(offsets)]
    assert [s for s, row in zip(seen, text.to_pylist(), strict=True) if row is not None] == [r for r in text.to_pylist() if r is not None]
    back = strings(offsets - offsets[0], data[offsets[0] :], like=text)
    back.validate(full=True)
    assert back.equals(text)


@given(texts, st.integers(0, 3))
def test_rewriting_touches_the_marked_rows_alone(rows: list[str | None], skip: int) -> None:
    text = pa.array(rows, pa.string()).slice(skip)
    marked = np.array([i % 2 == 0 for i in range(len(text))], np.bool_)
    expected = [r if r is None or i % 2 else r + "!" for i, r in enumerate(text.to_pylist())]
    assert rewrite(text, marked, lambda row: row + "!").to_pylist() == expected


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="reads text .* the column is int64"):
        view(pa.array([1]))


def test_lists_keep_nulls_and_can_be_filtered_and_sliced() -> None:
    like = pa.array(["x", None, "y", ""])
    column = lists(np.array([0, 2, 2, 3, 3]), np.array([5, 6, 7], np.uint64), like)
    assert column.type == pa.list_(pa.uint64()) and column.to_pylist() == [[5, 6], None, [7], []]
    for part in (column.slice(2), column.filter(pa.array([False, True, True, True])).slice(1), column.slice(4)):
        offsets, values = list_view(part)
        assert [values[a:b].tolist() for a, b in pairwise(offsets)] == part.to_pylist()
    assert masked(np.array([1, 2, 3, 4]), like).to_pylist() == [1, None, 3, 4]


def counted(symbols: list[int], n: int) -> tuple[list[int], int]:
    """Counts above one, sorted, and the number of n-grams that occur once: with a dictionary."""
    seen: dict[tuple[int, ...], int] = {}
    for i in range(len(symbols) - n + 1):
        seen[tuple(symbols[i : i + n])] = seen.get(tuple(symbols[i : i + n]), 0) + 1
    return sorted(c for c in seen.values() if c > 1), sum(c == 1 for c in seen.values())


@given(st.lists(st.integers(0, 5), max_size=400), st.integers(1, 12))
def test_repeats(symbols: list[int], n: int) -> None:
    counts, single = ngrams.repeats(np.array(symbols, np.uint32), n)
    assert (sorted(counts.tolist()), single) == counted(symbols, n)


@pytest.mark.parametrize("period", [1, 7, 1023, 1024, 1025, 5000, 10**6])
def test_repeats_across_blocks_and_growing_tables(period: int) -> None:
    symbols = np.resize(np.random.default_rng(1).integers(0, 2**20, period), 7001).astype(np.uint32)
    counts, single = ngrams.repeats(symbols, 3)
    assert (sorted(counts.tolist()), single) == counted(symbols.tolist(), 3)


@given(st.lists(st.integers(1, 30), min_size=1), st.data())
def test_sum_of_largest(counts: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(counts)))
    assert ngrams.sum_of_largest(np.array(counts, np.int32), k) == sum(sorted(counts, reverse=True)[:k])


def test_equal_words_and_only_they_have_equal_hashes() -> None:
    words = sorted({f"{a}{b}" for a in ["", "\x00", "a", "é", "漢", "😀", "ab" * 100] for b in ["", "\x00", "a", "b", "é", "ba"]})
    hashes = hash_strings(words)
    assert len(set(hashes.tolist())) == len(words)
    many = hash_strings([str(i) for i in range(300_000)])
    assert len(np.unique(many)) == 300_000 and len(np.unique(many >> np.uint64(32))) > 299_900 and len(np.unique(many << np.uint64(32))) > 299_900


@given(st.lists(st.lists(st.integers(0, 6), max_size=12), max_size=6), st.integers(1, 3), st.sets(st.tuples(*[st.integers(0, 6)] * 3), max_size=5))
def test_members(rows: list[list[int]], size: int, listed: set[tuple[int, ...]]) -> None:
    named = hash_strings([str(i) for i in range(7)])
    groups = {group[:size] for group in listed}
    table = build_set(combine(named[np.array(sorted(groups), np.int64).reshape(-1, size)]))
    offsets = np.cumsum([0, *map(len, rows)])
    values = named[np.array([v for row in rows for v in row], np.int64)]
    expected = [sum(tuple(row[i : i + size]) in groups for i in range(len(row) - size + 1)) for row in rows]
    assert count_members(offsets, values, size, table).tolist() == expected


@given(st.lists(st.text(alphabet="ab-", min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from(["", "-", "--"]))
def test_splits_finds_the_words_that_were_joined(words: list[str], joint: str) -> None:
    found = splits(joint.join(words), len(words), joint)
    assert tuple(words) in found and len(set(found)) == len(found)
    assert all(joint.join(parts) == joint.join(words) and all(parts) for parts in found)
