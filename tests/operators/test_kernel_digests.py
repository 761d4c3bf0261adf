"""Hashes against their definitions in Python's integers and hashlib, for every length, place and neighbour."""

import hashlib
import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.folding import fold_table, texts
from tamis.operators.kernels import digest as kernels
from tamis.operators.kernels import md5
from tamis.operators.kernels.buckets import key_sums, list_hashes
from tamis.operators.kernels.exact import digests
from tamis.operators.kernels.hashing import hash_strings, word_hashes
from tamis.operators.kernels.membership import build_set, combine, count_members
from tamis.operators.kernels.row_hash import add_cells, digest_texts
from tamis.operators.kernels.runs import BASE, INVERSE
from tamis.operators.kernels.strings import view
from tamis.operators.kernels.token_windows import string_hashes

WHOLE = (1 << 64) - 1
LENGTHS = [*range(0, 35), 55, 56, 63, 64, 65, 127, 128, 1000]


def mixed(h: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor & WHOLE
    return h ^ h >> 33


def turned(h: int, by: int) -> int:
    return (h << by | h >> 64 - by) & WHOLE


def first_lane(h: int, word: int) -> int:
    return turned(h + word * 0xC2B2AE3D27D4EB4F & WHOLE, 31) * 0x9E3779B185EBCA87 & WHOLE


def second_lane(h: int, word: int) -> int:
    return turned(h + word * 0xA0761D6478BD642F & WHOLE, 35) * 0xD6E8FEB86659FD93 & WHOLE


def plain_digest(row: bytes) -> tuple[int, int]:
    """The definition: little-endian words of eight bytes, the last one short."""
    first = 0x27D4EB2F165667C5 + len(row) * 0x9E3779B185EBCA87 & WHOLE
    second = mixed(first)
    for i in range(0, len(row), 8):
        word = int.from_bytes(row[i : i + 8], "little")
        first, second = first_lane(first, word), second_lane(second, word)
    return mixed(first), mixed(second)


def frozen(data: bytes) -> np.ndarray:
    values = np.frombuffer(data or b"\0", np.uint8)[: len(data)]
    values.flags.writeable = False
    return values


def test_a_digest_is_that_of_the_definition_wherever_the_bytes_stand() -> None:
    chance = np.random.default_rng(1)
    for size in LENGTHS:
        row = chance.bytes(size)
        for before in (b"", b"x", chance.bytes(13)):
            data = frozen(before + row)  # the last byte is the buffer's last: nothing may be read behind it
            assert tuple(map(int, kernels.digest(data, len(before), len(data)))) == plain_digest(row)


def test_texts_numbers_of_kernels_and_columns_have_that_digest_too() -> None:
    rows = ["", "a", "eight by", "eight byt", "é漢😀" * 9, None, "\x00", "\x00\x00", " strip me\u3000"]
    for kind in (pa.string(), pa.large_string()):
        text = pa.array(["pad", *rows, "pad"], kind).slice(1, len(rows))
        plain = [None if r is None else plain_digest(r.encode()) for r in rows]
        for found, strip in ((digest_texts(*view(text)), False), (digests(texts(text, False), fold_table(False, False), False), False),
                             (digests(texts(text, False), fold_table(False, False), True), True)):
            for row, first, second, expected in zip(rows, *(f.tolist() for f in found), plain, strict=True):
                if row is not None:
                    assert (first, second) == (plain_digest(row.strip().encode()) if strip else expected)
    folded = digests(texts(pa.array(["  Ab1 İΣ! ", "K"]), True), fold_table(True, True), True)
    assert list(zip(*(f.tolist() for f in folded), strict=True)) == [plain_digest("abi\u0307ς".encode()), plain_digest(b"k")]


def test_one_bit_of_the_text_turns_half_the_bits_of_its_digest() -> None:
    """Both lanes, and from one lane alone the other cannot be told: no two differ in the same bits."""
    row = bytearray(random.Random(2).randbytes(40))
    base, turns = plain_digest(bytes(row)), []
    for bit in range(8 * len(row)):
        row[bit // 8] ^= 1 << bit % 8
        told = tuple(map(int, kernels.digest(frozen(bytes(row)), 0, len(row))))
        turns.append([(a ^ b).bit_count() for a, b in zip(base, told, strict=True)] + [(base[0] ^ told[0] ^ base[1] ^ told[1]).bit_count()])
        row[bit // 8] ^= 1 << bit % 8
    assert np.abs(np.mean(turns, axis=0) - 32).max() < 1.5 and np.min(turns) > 10


@given(st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_steps_are_those_of_whole_numbers(h: int, word: int) -> None:
    assert int(kernels.mixed(np.uint64(h))) == mixed(h)
    assert int(kernels.absorbed(np.uint64(h), np.uint64(word))) == first_lane(h, word)


def test_the_inverse_of_the_base_undoes_it() -> None:
    assert int(BASE) * int(INVERSE) & WHOLE == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=md5.LANES), st.integers(0, 3))
def test_md5_of_neighbours_of_any_lengths_in_one_vector(sizes: list[int], low: int) -> None:
    text = np.frombuffer(random.Random(sum(sizes)).randbytes(sum(sizes) + 8), np.uint8).copy()
    end = np.cumsum(sizes) + 5
    start = end - sizes
    low = min(low, len(sizes) - 1)
    out = np.zeros(md5.LANES, np.uint64)
    md5.first_halves(text, start, end, low, len(sizes), md5.scratch(), out)
    expected = [int.from_bytes(hashlib.md5(text[a:b].tobytes()).digest()[:8], "big") for a, b in zip(start[low:], end[low:], strict=True)]
    assert out[: len(expected)].tolist() == expected


@pytest.mark.parametrize("size", LENGTHS)
def test_md5_of_each_length_beside_a_much_longer_one(size: int) -> None:
    """A message that is over keeps its state while its neighbour goes on."""
    text = np.frombuffer(random.Random(size).randbytes(size + 3000), np.uint8).copy()
    out = np.zeros(md5.LANES, np.uint64)
    md5.first_halves(text, np.array([3000, 0]), np.array([3000 + size, 3000]), 0, 2, md5.scratch(), out)
    assert int(out[0]) == int.from_bytes(hashlib.md5(text[3000:].tobytes()).digest()[:8], "big")
    assert int(out[1]) == int.from_bytes(hashlib.md5(text[:3000].tobytes()).digest()[:8], "big")


def test_string_hashes_tell_length_zeros_and_order_apart_at_the_end_of_the_buffer_too() -> None:
    rows = [b"", *(b"\0" * k for k in range(1, 20)), *(bytes([k]) for k in range(1, 256)), b"abcdefgh", b"abcdefg\0", b"habcdefg",
            b"abcdefghabcdefgh", b"a" * 63, b"a" * 64, b"a" * 65]
    text = pa.array(rows, pa.binary()).view(pa.string())
    whole = string_hashes(*view(text))
    assert len(set(whole.tolist())) == len(rows)
    for i, row in enumerate(rows):  # alone, the row ends where the buffer does
        assert string_hashes(np.array([0, len(row)]), frozen(row)).tolist() == [int(whole[i])]


@pytest.mark.parametrize("hashes", [hash_strings, lambda w: string_hashes(*view(pa.array(w)))])
def test_close_words_have_hashes_that_share_nothing(hashes: Callable[[list[str]], np.ndarray]) -> None:
    told = hashes([f"word{i}" for i in range(4096)])
    for shift in (0, 20, 52):  # any twelve bits fill a table as chance would
        slots = np.bincount((told >> np.uint64(shift)).astype(np.int64) & 4095, minlength=4096)
        assert abs((slots == 0).mean() - np.exp(-1)) < 0.03 and slots.max() < 12


@given(st.lists(st.none() | st.text("abΣİ -.\n", max_size=12), max_size=5), st.integers(0, 2))
def test_hashes_of_words_are_those_of_the_strings_they_were(rows: list[str | None], skip: int) -> None:
    text = pa.array(rows, pa.large_string()).slice(skip)
    bounds, found = word_hashes(text)
    for i, row in enumerate(text.to_pylist()):
        if row is not None:
            words = [w.lower().strip(" -.") for w in row.replace("\n", " ").split(" ")]
            assert found[bounds[i] : bounds[i + 1]].tolist() == hash_strings([w for w in words if w]).tolist()


def test_a_cell_is_its_words_its_kind_and_its_column() -> None:
    words = np.array([1, 1, 2, 1, 1], np.uint64), np.array([5, 5, 5, 6, 5], np.uint64)
    tags, seeds = np.array([1, 1, 1, 1, 3], np.uint8), (np.uint64(7), np.uint64(8))

    def row(*columns: tuple[np.uint64, np.uint64]) -> list[tuple[int, ...]]:
        sums = np.zeros((2, 5), np.uint64)
        for seed in columns:
            add_cells(sums[0], sums[1], *words, tags, *seed)
        return [tuple(pair) for pair in sums.T.tolist()]

    told = row(seeds)
    assert told[0] == told[1] and len(set(told)) == 4 and len({first for first, _ in told}) == 3  # the second word: second half
    assert told[0][0] == mixed(first_lane(first_lane(7, 1), 1)) and told[0][1] == mixed(first_lane(first_lane(8, 1), 5))
    other = (np.uint64(9), np.uint64(10))
    assert row(seeds, other) == row(other, seeds) != row(seeds, seeds) and row(seeds) != row(other)


LISTS = st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=12)


@given(LISTS)
def test_lists_have_equal_hashes_only_if_they_are_equal(rows: list[list[int]]) -> None:
    ends = np.cumsum([0, *map(len, rows)])
    hashes = np.full(len(rows), 5, np.uint64)
    list_hashes(np.array([v for row in rows for v in row], np.uint64), ends[:-1], ends[1:], hashes)
    assert len({(tuple(row), h) for row, h in zip(rows, hashes.tolist(), strict=True)}) == len(set(hashes.tolist())) == len(set(map(tuple, rows)))


@given(st.lists(st.sets(st.integers(0, 6), min_size=2), max_size=5))
def test_rows_have_equal_sums_only_if_they_share_the_same_keys(buckets: list[set[int]]) -> None:
    rows, bounds = np.array([r for b in buckets for r in sorted(b)], np.int64), np.cumsum([0, *map(len, buckets)])
    sums = key_sums(np.arange(len(buckets), dtype=np.uint64), rows, bounds, 8).tolist()
    shared = [frozenset(k for k, bucket in enumerate(buckets) if row in bucket) for row in range(8)]
    assert sums[7] == 0 and all((sums[i] == sums[j]) == (shared[i] == shared[j]) for i in range(8) for j in range(8))


def test_a_table_finds_its_members_when_they_fall_into_one_slot_and_wrap_around() -> None:
    scatter = pow(0x9E3779B97F4A7C15, -1, 1 << 64)
    close = np.array([((15 << 32) + i) * scatter & WHOLE for i in range(1, 6)], np.uint64)  # the last slot of sixteen
    table = build_set(close[:4])
    assert len(table) == 16 and sorted(set(table.tolist()) - {0}) == sorted(close[:4].tolist())
    assert count_members(np.array([0, 2, 2, 6]), np.append(close, np.uint64(0)), 1, table).tolist() == [2, 0, 2]
    assert count_members(np.array([0, 3]), close[:3], 2, build_set(combine(np.stack([close[:2], close[1:3]], axis=1)))).tolist() == [2]
    assert count_members(np.array([0, 2]), close[:2], 3, table).tolist() == [0] and build_set(close[:0]).tolist() == [0] * 16
