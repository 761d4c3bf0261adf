"""Edges: verified against all pairs by brute force, bounded on hot buckets, indifferent to row order."""

import time
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import REACH, grouped, jaccard, link, lists, shared, suspects
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets

U64 = pa.list_(pa.uint64())


def column(lists, kind=U64):
    return pa.array(lists, kind)


def clusters(edges, n):
    labels = components(edges.a, edges.b, n)
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def true_pairs(keys, sets, threshold):
    pairs = set()
    for i, j in combinations(range(len(keys)), 2):
        if not set(keys[i] or ()) & set(keys[j] or ()):
            continue
        a, b = (set(sets[i] or ()), set(sets[j] or ())) if sets is not None else ({0}, {0})
        if a and b and len(a & b) / len(a | b) >= threshold:
            pairs.add((i, j))
    return pairs


def true_clusters(pairs, n):
    class Plain:
        a, b = np.array([i for i, _ in pairs], int), np.array([j for _, j in pairs], int)

    return clusters(Plain, n)


KEYS = st.none() | st.lists(st.integers(0, 6), max_size=4)
SETS = st.none() | st.sets(st.integers(0, 9), max_size=8).map(sorted)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(KEYS, SETS), max_size=14), st.sampled_from([0.3, 0.5, 0.7, 1.0]), st.booleans())
def test_small_buckets_are_linked_as_by_brute_force(rows, threshold, verify):
    keys, sets = [k for k, _ in rows], [s for _, s in rows] if verify else None
    edges = link(column(keys), None if sets is None else column(sets), threshold)
    pairs = true_pairs(keys, sets, threshold)
    assert set(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) <= pairs
    assert clusters(edges, len(rows)) == true_clusters(pairs, len(rows))
    assert sorted(zip(edges.a, edges.b, strict=True)) == list(zip(edges.a, edges.b, strict=True))
    if verify:
        assert edges.similarity.tolist() == jaccard(column(sets), edges.a, edges.b).tolist()
    else:
        assert np.isnan(edges.similarity).all()
    shared = {row for pair in true_pairs(keys, None, 0.0) for row in pair}
    assert set(np.flatnonzero(suspects(column(keys))).tolist()) == shared


def test_two_disjoint_pairs_of_one_bucket_do_not_merge():
    """Grouping verified pairs by their candidate cluster makes one of these two (STYLE.md 2.5)."""
    edges = link(column([[7]] * 4), column([[1, 2, 3, 4], [11, 12, 13, 14], [1, 2, 3, 5], [11, 12, 13, 15]]), 0.6)
    assert clusters(edges, 4) == {frozenset({0, 2}), frozenset({1, 3})}
    assert edges.similarity.tolist() == [0.6, 0.6]


def test_the_threshold_itself_counts():
    sets = column([list(range(1, 11)), list(range(1, 8))])
    assert len(link(column([[1], [1]]), sets, 0.7)) == 1
    assert len(link(column([[1], [1]]), sets, np.nextafter(0.7, 1))) == 0


def test_slices_large_lists_and_garbage_under_nulls():
    keys = column([[9], [1, 2], None, [2, 3], [3], [4], []])
    whole = link(keys, None)
    assert (whole.a.tolist(), whole.b.tolist()) == ([1, 3], [3, 4])
    part = link(keys.slice(1, 4), None)
    assert (part.a.tolist(), part.b.tolist()) == ([0, 2], [2, 3])
    large = link(keys.cast(pa.large_list(pa.uint64())), None)
    assert large.b.tolist() == whole.b.tolist()
    hidden = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array([5, 5], pa.uint64()), mask=pa.array([False, True]))
    assert len(link(hidden, None)) == 0 and not suspects(hidden).any()


@given(st.lists(st.none() | st.lists(st.integers(0, 9)), max_size=12), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_keys_in_lists_share_what_keys_in_a_table_share(rows, skipped):
    column = pa.array(rows, pa.list_(pa.uint64())).slice(skipped)
    table = [(key, row) for row, keys in enumerate(column.to_pylist()) for key in keys or []]
    keys, owners = np.array([key for key, _ in table], np.uint64), np.array([row for _, row in table], np.int64)
    found, same = shared(lists(column)), grouped(keys, owners)
    owned = {key: sorted({row for other, row in table if other == key}) for key, _ in table}
    assert found.keys.tolist() == sorted(key for key, members in owned.items() if len(members) > 1)
    for i, key in enumerate(found.keys.tolist()):
        assert found.rows[found.bounds[i] : found.bounds[i + 1]].tolist() == owned[key]
    assert all(np.array_equal(x, y) for x, y in zip(vars(found).values(), vars(same).values(), strict=True))


def test_no_rows_and_no_keys():
    for keys in (column([]), column([None, []]), column([[1], [2]])):
        assert len(link(keys, keys)) == 0 and not suspects(keys).any()


@pytest.mark.parametrize(("arguments", "message"), [
    ((column([[1]]), None, 0.0), "above 0"),
    ((column([[1]]), None, 1.5), "at most 1"),
    ((column([[1]]), column([]), 0.7), "1 rows of keys, 0 of sets"),
    ((pa.array([[1]], pa.list_(pa.int64())), None, 0.7), "lists of uint64"),
    ((pa.array([1], pa.uint64()), None, 0.7), "lists of uint64"),
])
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        link(*arguments)


def planted(seed, families=120, similarities=(0.5, 0.62, 0.7, 0.75, 0.8, 0.9, 0.97)):
    """Random texts, each with versions of several likenesses, among templates that share a third of their words."""
    rng, rows = np.random.default_rng(seed), []
    template = [f"t{n}" for n in range(40)]
    for _ in range(families):
        words = [f"w{n}" for n in rng.choice(50_000, 80)]
        rows += [" ".join(words), " ".join(template + words)]
        for similarity in similarities:
            share = 1 - (2 * similarity / (1 + similarity)) ** 0.25  # of words changed, each of which breaks 4 pairs
            changed = [f"x{rng.integers(10**9)}" if rng.random() < share / 1.2 else word for word in words]
            rows.append(" ".join(changed))
    order = rng.permutation(len(rows))
    return [rows[i] for i in order]


def test_verified_clusters_of_planted_near_duplicates_are_those_of_all_pairs():
    rows = planted(11)
    text = pa.array(rows)
    keys, sets = minhash_keys(text, window_size=4), shingle_sets(text, window_size=4)
    held = [set(row) for row in sets.to_pylist()]
    truth = set()
    for i, j in combinations(range(len(rows)), 2):
        if len(held[i] & held[j]) * 1.7 >= 0.7 * (len(held[i]) + len(held[j])) - 1e-9:
            truth.add((i, j))
    edges = link(keys, sets, 0.7)
    assert set(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) <= truth  # precision 1
    labels = components(edges.a, edges.b, len(rows))
    together = np.mean([labels[i] == labels[j] for i, j in truth])
    assert len(truth) > 500 and together >= 0.98
    marks = suspects(keys)
    assert all(marks[i] and marks[j] for i, j in zip(edges.a, edges.b, strict=True))
    some = link(keys, pa.array([s if m else None for s, m in zip(sets.to_pylist(), marks, strict=True)], U64), 0.7)
    assert np.array_equal(some.a, edges.a) and np.array_equal(some.b, edges.b)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_clusters_do_not_depend_on_row_order(seed):
    """Also where buckets are larger than REACH, so that not all pairs are compared."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**63, 60, dtype=np.uint64)
    sets = [np.unique(np.where(rng.random(60) < 0.25, rng.integers(0, 2**63, 60, dtype=np.uint64), base)) for _ in range(3 * REACH)]
    sets += sets[:20]
    keys = [[int(rng.integers(3)), 10 + int(rng.integers(3))] for _ in range(3 * REACH)]
    keys += keys[:20]
    order = rng.permutation(len(sets))
    first = clusters(link(column(keys), column(sets), 0.5), len(sets))
    shuffled = link(column([keys[i] for i in order]), column([sets[i] for i in order]), 0.5)
    assert {frozenset(order[list(c)].tolist()) for c in clusters(shuffled, len(sets))} == first


def test_a_hot_bucket_of_different_near_duplicates_is_found_through_its_neighbours():
    """5,000 rows, one key, 500 families of ten: most of each family meet within REACH."""
    rng = np.random.default_rng(5)
    sets = []
    for _ in range(500):
        core = rng.integers(0, 2**63, 95, dtype=np.uint64)
        sets += [np.sort(np.append(core, rng.integers(0, 2**63, 5, dtype=np.uint64))) for _ in range(10)]
    edges = link(column([[1]] * 5000), column(sets), 0.8)
    labels = components(edges.a, edges.b, 5000).reshape(500, 10)
    pairs = np.mean([labels[:, i] == labels[:, j] for i, j in combinations(range(10), 2)])
    assert pairs > 0.9 and all(len(np.unique(labels[:, k])) == 500 for k in range(10))


def wall(function):
    started = time.perf_counter()
    return function(), time.perf_counter() - started


def test_a_million_rows_of_one_key_take_seconds():
    n = 1_000_000
    one = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), pa.array(np.full(n, 42, np.uint64)))
    edges, seconds = wall(lambda: link(one, one))
    assert len(edges) == n - 1 and not components(edges.a, edges.b, n).any() and seconds < 10
    counted = pa.ListArray.from_arrays(one.offsets, pa.array(np.arange(n, dtype=np.uint64)))
    edges, seconds = wall(lambda: link(one, counted, 0.7))
    assert len(edges) == 0 and seconds < 20


def test_a_hundred_thousand_equal_texts_and_one_that_is_nearly_equal():
    text = pa.array(["the same words over and over again until the end of it"] * 100_000
                    + ["the same words over and over again until the end of this"])
    keys, sets = minhash_keys(text), shingle_sets(text)
    edges, seconds = wall(lambda: link(keys, sets, 0.7))
    assert len(edges) == 100_000 and seconds < 10
    assert (edges.similarity[:-1] == 1.0).all() and (edges.a == 0).all()
    assert edges.similarity[-1] == pytest.approx(7 / 9)


def test_a_bucket_without_likeness_costs_reach_comparisons_a_row():
    """100,000 different rows share a key: their square would be 5e9 comparisons."""
    rng = np.random.default_rng(0)
    n, size = 100_000, 20
    values = np.sort(rng.integers(0, 2**63, (n, size), dtype=np.uint64), axis=1).ravel()
    sets = pa.ListArray.from_arrays(pa.array(np.arange(0, n * size + 1, size, dtype=np.int32)), pa.array(values))
    same = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), pa.array(np.full(n, 42, np.uint64)))
    edges, seconds = wall(lambda: link(same, sets, 0.7))
    assert len(edges) == 0 and seconds < 15
