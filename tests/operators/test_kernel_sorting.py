"""Sorting, counting, grouping and looking up of hashes: as sorted, Counter and dict do it."""

import random
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.kernels import buckets
from tamis.operators.kernels.jaccard import similarities, similarity
from tamis.operators.kernels.minhash import sort_hashes
from tamis.operators.kernels.radix import FINE, index_of, scatter_order
from tamis.operators.kernels.repeats import FEW, collides, find, grouped, sorted_order
from tamis.operators.kernels.row_hash import places
from tamis.operators.kernels.runs import place_of

WHOLE = (1 << 64) - 1
HASH = st.integers(0, WHOLE) | st.sampled_from([0, 1, WHOLE, WHOLE - 1, 1 << 63, (1 << 63) - 1, 1 << 56, 7 << 56])
HASHES = st.lists(HASH, max_size=40)


def u64(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64)


@given(HASHES)
def test_cutting_by_the_top_byte_keeps_the_order_within_one(values: list[int]) -> None:
    order, bounds = scatter_order(u64(values))
    assert order.tolist() == sorted(range(len(values)), key=lambda k: values[k] >> 56)
    assert len(bounds) == FINE + 1 and bounds[-1] == len(values)
    for top in {v >> 56 for v in values} | {0, 255}:
        assert [values[k] >> 56 for k in order[bounds[top] : bounds[top + 1]]] == [top] * sum(v >> 56 == top for v in values)


@given(HASHES, st.integers(1, 9))
def test_an_index_says_where_each_beginning_starts(values: list[int], bits: int) -> None:
    told = index_of(u64(sorted(values)), bits)
    assert told.tolist() == [sum(v >> (64 - bits) < top for v in values) for top in range((1 << bits) + 1)]


def many(seed: int, size: int, different: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return chance.choice(chance.integers(0, WHOLE, different, dtype=np.uint64, endpoint=True), size)


@pytest.mark.parametrize("size", [0, 1, 2, 3, FEW, FEW + 1, 1023, 1024, 1025, 20_000])
@pytest.mark.parametrize("spread", ["chance", "few values", "one value", "one slot", "descending"])
def test_hashes_are_sorted_however_they_lie(size: int, spread: str) -> None:
    values = many(size, size, {"few values": 5, "one value": 1}.get(spread, 10**4))
    if spread == "one slot":
        values >>= np.uint64(30)
    elif spread == "descending":
        values = np.sort(values)[::-1].copy()
    assert sorted_order(values).tolist() == np.argsort(values, kind="stable").tolist()
    bits = max(size - 1, 0).bit_length()
    row, spare = np.append(values, u64([9, 8])), np.empty(size, np.uint64)
    sort_hashes(row, size, spare, np.empty((1 << bits) + 1, np.int64))
    assert row[:size].tolist() == sorted(values.tolist()) and row[size:].tolist() == [9, 8]


def test_a_text_made_to_fill_one_slot_takes_no_square_of_time() -> None:
    """Two hashes that share their top bits, in turn: of no honest text, but easily found."""
    values = np.tile(u64([(5 << 60) + 2, (5 << 60) + 1]), 150_000)
    began = time.process_time()
    sort_hashes(values, len(values), np.empty_like(values), np.empty((1 << 19) + 1, np.int64))
    assert (np.diff(values) >= 0).all() and time.process_time() - began < 2


UNITS = st.lists(st.tuples(st.integers(0, 5).map(lambda k: k << 61), st.integers(0, 1), st.integers(1, 9), st.integers(0, 2)), max_size=30)


@given(UNITS, st.booleans())
def test_groups_are_those_of_a_counter(units: list[tuple[int, int, int, int]], once: bool) -> None:
    units.sort(key=lambda unit: unit[3])  # tags ascend as rows do
    key, check, weight, tag = (np.array([u[i] for u in units], np.uint64 if i < 2 else np.int64) for i in range(4))
    order = np.lexsort((check, key))
    first, total = grouped(order, key, check, weight, tag, once)
    counted: Counter[tuple[int, int]] = Counter()
    told = set()
    for k, c, w, t in units:
        if not once or (k, c, t) not in told:
            counted[k, c] += w
        told.add((k, c, t))
    assert dict(zip(((units[i][0], units[i][1]) for i in first), total.tolist(), strict=True)) == counted
    assert all(i == min(j for j, u in enumerate(units) if u[:2] == units[i][:2]) for i in first)
    assert collides(order, key, check) == any(len({c for k, c, *_ in units if k == one}) > 1 for one in {u[0] for u in units})


@given(st.sets(st.tuples(HASH, st.integers(0, 3)), max_size=25), st.lists(st.tuples(HASH, st.integers(0, 3)), max_size=12), st.integers(1, 8))
def test_units_are_found_by_both_halves_of_their_hash(known: set[tuple[int, int]], others: list[tuple[int, int]], bits: int) -> None:
    table = sorted(known)
    asked = [*others, *table[::2], *((k, 3 - c) for k, c in table)]
    halves = [u64([pair[i] for pair in asked]) for i in range(2)]
    sorted_keys = u64([k for k, _ in table])
    found = find(*halves, sorted_keys, u64([c for _, c in table]), index_of(sorted_keys, bits), bits)
    assert found.tolist() == [table.index(pair) if pair in known else -1 for pair in asked]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60), st.lists(st.tuples(st.integers(0, 31), st.integers(0, 4)), max_size=40), st.booleans())
def test_places_of_pairs_are_those_of_a_dictionary(held: list[tuple[int, int]], asked: list[tuple[int, int]], ordered: bool) -> None:
    held, asked = sorted(set(held)), sorted(asked) if ordered else asked
    columns = [u64([pair[i] for pair in pairs]) for pairs in (asked, held) for i in range(2)]
    assert places(*columns).tolist() == [held.index(pair) if pair in held else -1 for pair in asked]


def test_places_far_apart_are_reached_in_leaps_and_back() -> None:
    held = np.arange(0, 3_000_000, 3, dtype=np.uint64)
    asked = u64([2_999_997, 0, 1, 3, 2_999_996, 2_999_997, 2_999_998, WHOLE, 1_500_000, 1_499_997])
    found = places(asked, asked * np.uint64(2), held, held * np.uint64(2)).tolist()
    assert found == [999_999, 0, -1, 1, -1, 999_999, -1, -1, 500_000, 499_999]
    assert places(asked, asked, held, held * np.uint64(2)).tolist() == [-1, 0] + [-1] * 8


@given(HASHES, HASHES)
def test_the_place_of_one_value(among: list[int], asked: list[int]) -> None:
    table = u64(sorted(set(among)))
    for value in asked + among[:5]:
        assert place_of(np.uint64(value), table) == (sorted(set(among)).index(value) if value in among else -1)


ROWS = st.lists(st.lists(st.integers(0, 12), max_size=5), max_size=12)


@given(ROWS, st.integers(0, 2))
def test_ranges_are_laid_out_and_owners_found_again(rows: list[list[int]], pad: int) -> None:
    values = u64([99] * pad + [v for row in rows for v in [*row, 98]])
    start = pad + np.cumsum([0, *(len(row) + 1 for row in rows)])[:-1]
    end = start + [len(row) for row in rows]
    keys, of = buckets.flat(values, start.astype(np.int64), end.astype(np.int64))
    assert list(zip(keys.tolist(), of.tolist(), strict=True)) == [(v, i) for i, row in enumerate(rows) for v in row]
    stops = np.cumsum([len(row) for row in rows]).astype(np.int64)
    wanted = np.arange(0, len(keys), 2)
    assert buckets.owners(stops, wanted).tolist() == of[wanted].tolist()


@pytest.mark.parametrize(("size", "different"), [(0, 1), (1, 1), (2, 1), (2, 10**4), (5000, 10**6), (5000, 2500), (5000, 3)])
def test_no_key_that_occurs_twice_is_missed_and_few_others_are_taken(size: int, different: int) -> None:
    keys = many(3, size, different)
    found = buckets.repeated(keys)
    often = Counter(keys.tolist())
    assert found.tolist() == sorted(set(found.tolist()))
    assert {k for k in range(size) if often[int(keys[k])] > 1} <= set(found.tolist())
    assert sum(often[int(keys[k])] == 1 for k in found) <= 0.15 * size


def bucketed(table: dict[int, list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys = sorted(table)
    return u64(keys), np.array([r for k in keys for r in table[k]], np.int64), np.cumsum([0, *(len(table[k]) for k in keys)])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=150))
def test_buckets_are_the_different_rows_of_each_key_that_has_two(pairs: list[tuple[int, int]]) -> None:
    pairs.sort(key=lambda pair: pair[0])
    found = buckets.runs(u64([k for k, _ in pairs]), np.array([r for _, r in pairs], np.int64))
    owned = {k: sorted({r for key, r in pairs if key == k}) for k in {k for k, _ in pairs}}
    assert all(np.array_equal(a, b) for a, b in zip(found, bucketed({k: rows for k, rows in owned.items() if len(rows) > 1}), strict=True))


TABLE = st.dictionaries(st.integers(0, 20), st.sets(st.integers(0, 29), min_size=2, max_size=30).map(sorted), max_size=6)


@given(TABLE)
def test_a_forest_of_edges_spans_the_buckets_of_rows(table: dict[int, list[int]]) -> None:
    _, rows, bounds = bucketed(table)
    parent = np.arange(30)
    a, b = buckets.spanning(parent, rows, bounds)
    sets = [{x} for x in range(30)]
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        assert any(x in row and y in row for row in table.values())
        left, right = (next(s for s in sets if z in s) for z in (x, y))
        assert left is not right  # no edge says what others said
        sets = [s for s in sets if s is not left and s is not right] + [left | right]
    joined = [{x} for x in range(30)]
    for row in table.values():
        joined = [s for s in joined if not s & set(row)] + [set().union(*(s for s in joined if s & set(row)))]
    assert sorted(map(sorted, sets)) == sorted(map(sorted, joined))


@given(TABLE, st.lists(st.integers(0, 29), unique=True, max_size=30))
def test_buckets_by_rank_lose_the_rows_without_one(table: dict[int, list[int]], chosen: list[int]) -> None:
    rank = np.full(30, -1, np.int64)
    rank[chosen] = np.arange(len(chosen))
    _, rows, bounds = bucketed(table)
    members, kept = buckets.ranked(rows, bounds, rank)
    expected = [sorted(chosen.index(r) for r in table[k] if r in chosen) for k in sorted(table)]
    assert [members[a:b].tolist() for a, b in pairwise(kept)] == [e for e in expected if len(e) > 1]


@given(TABLE, st.integers(2, 40), st.integers(0, 60))
def test_pairs_are_all_of_the_first_rows_of_each_bucket_while_there_is_room(table: dict[int, list[int]], reach: int, most: int) -> None:
    _, rows, bounds = bucketed(table)
    expected: list[tuple[int, int]] = []
    for key in sorted(table):
        few = table[key][:reach]
        if len(expected) + len(few) * (len(few) - 1) // 2 > most:
            break
        expected += [(few[j], few[i]) for i in range(len(few)) for j in range(i)]
    assert list(zip(*(x.tolist() for x in buckets.pairs_within(rows, bounds, reach, most)), strict=True)) == expected


@given(st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=2), st.integers(0, 1)), max_size=20), st.data())
def test_the_first_of_the_same_rows_leads_them_across_stretches(rows: list[tuple[list[int], int]], data: st.DataObject) -> None:
    """Equal hashes of different sets, and equal sets of different keys, are told apart."""
    ends = np.cumsum([0, *(len(s) for s, _ in rows)])
    sets = (u64([v for s, _ in rows for v in s]), ends[:-1], ends[1:])
    shared = {(tuple(s), k): i for i, (s, k) in reversed(list(enumerate(rows)))}
    hashes = u64([shared[tuple(s), k] for s, k in rows])  # one for each kind of row, as a hash of content is
    order = np.lexsort((np.arange(len(rows)), hashes))
    first, leader, cut = np.full(len(rows), -1, np.int64), -1, data.draw(st.integers(0, len(rows)))
    for stretch in (order[:cut], order[cut:]):
        leader = buckets.first_same(stretch, leader, hashes, u64([k for _, k in rows]), sets, first)
    assert first.tolist() == [shared[tuple(s), k] for s, k in rows]
    clash = buckets.first_same(np.arange(len(rows)), -1, np.zeros(len(rows), np.uint64), u64([k for _, k in rows]), sets, first)
    for i in range(1, len(rows)):
        assert (first[i] == first[i - 1]) == (rows[i] == rows[i - 1])
    assert clash == (first[-1] if rows else -1)


SETS = st.lists(st.sets(st.integers(0, 9), max_size=8), min_size=2, max_size=8)


@settings(max_examples=200, deadline=None)
@given(SETS, st.integers(1, 20))
def test_likeness_is_that_of_sets_or_nothing_below_the_least(rows: list[set[int]], twentieths: int) -> None:
    ends, least = np.cumsum([0, *map(len, rows)]), twentieths / 20
    values = u64([v for row in rows for v in sorted(row)])
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows))]
    plain = [len(rows[i] & rows[j]) / len(rows[i] | rows[j]) if rows[i] | rows[j] else 0.0 for i, j in pairs]
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    assert similarities(values, ends[:-1], ends[1:], a, b).tolist() == plain
    for (i, j), expected in zip(pairs, plain, strict=True):
        found = similarity(values, ends[i], ends[i + 1], ends[j], ends[j + 1], least)
        assert found == (expected if expected >= least and expected else -1.0)


@settings(max_examples=150, deadline=None)
@given(SETS, st.lists(st.lists(st.integers(0, 7), min_size=2, unique=True), max_size=4), st.integers(1, 4), st.sampled_from([0.3, 0.6, 1.0]), st.data())
def test_alike_members_are_joined_as_by_comparing_each_with_those_before(
    rows: list[set[int]], groups: list[list[int]], reach: int, least: float, data: st.DataObject
) -> None:
    table = {k: sorted({y % len(rows) for y in group}) for k, group in enumerate(groups)}
    _, members, bounds = bucketed({k: row for k, row in table.items() if len(row) > 1})
    ends = np.cumsum([0, *map(len, rows)])
    sets = (u64([v for row in rows for v in sorted(row)]), ends[:-1], ends[1:])
    cut = data.draw(st.integers(0, len(members)))
    parent, found = np.arange(len(rows)), []
    for part in ((0, cut), (cut, len(members))):  # as by two workers, one after the other
        x, y, value = buckets.alike(members, bounds, part, parent, sets, least, reach)
        found += list(zip(x.tolist(), y.tolist(), value.tolist(), strict=True))
    label, expected = list(range(len(rows))), []
    for low, high in pairwise(bounds):
        for i in range(low, high):
            for j in range(i - 1, max(low, i - reach) - 1, -1):
                a, b = int(members[i]), int(members[j])
                union = rows[a] | rows[b]
                if label[a] != label[b] and union and len(rows[a] & rows[b]) / len(union) >= least:
                    expected.append((a, b, len(rows[a] & rows[b]) / len(union)))
                    label = [label[b] if one == label[a] else one for one in label]
    assert found == expected


def test_long_buckets_of_rows_out_of_order_are_put_in_order() -> None:
    rows = random.Random(4).sample(range(10**6), 3000) * 2
    keys, found, bounds = buckets.runs(np.zeros(6000, np.uint64), np.array(rows, np.int64))
    assert keys.tolist() == [0] and found.tolist() == sorted(rows[:3000]) and bounds.tolist() == [0, 3000]
