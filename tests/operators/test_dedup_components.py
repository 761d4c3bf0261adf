"""Components against a search through the graph; the keep rules against their words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.components import components
from tamis.operators.dedup.keep import kept


def searched(pairs, n):
    near = {x: {x} for x in range(n)}
    for a, b in pairs:
        near[a].add(b)
        near[b].add(a)
    labels = [-1] * n
    for x in range(n):
        stack = [x]
        while stack:
            y = stack.pop()
            if labels[y] < 0:
                labels[y] = x
                stack.extend(near[y])
    return labels


@settings(deadline=None)
@given(st.integers(1, 25).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
))
def test_label_is_the_smallest_row_that_can_be_reached(graph):
    n, pairs = graph
    a, b = np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)
    assert components(a, b, n).tolist() == searched(pairs, n)
    assert components(b[::-1], a[::-1], n).tolist() == searched(pairs, n)


def test_a_chain_of_a_million_rows_from_the_wrong_end():
    n = 1_000_000
    assert not components(np.arange(n - 2, -1, -1), np.arange(n - 1, 0, -1), n).any()


def test_no_edges_and_no_rows():
    nothing = np.empty(0, np.int64)
    assert components(nothing, nothing, 3).tolist() == [0, 1, 2]
    assert components(nothing, nothing, 0).tolist() == []


def test_refuses_edges_to_nowhere():
    with pytest.raises(ValueError, match="rows are 0 to 1"):
        components(np.array([0]), np.array([2]), 2)
    with pytest.raises(ValueError, match="from row -1"):
        components(np.array([-1]), np.array([1]), 2)
    with pytest.raises(ValueError, match="1 edges begin, 2 end"):
        components(np.array([0]), np.array([1, 1]), 2)


def chosen_plainly(labels, worth):
    best = {}
    for row, label in enumerate(labels):
        value = (worth[row] == worth[row], worth[row] if worth[row] == worth[row] else 0)  # NaN: less than any number
        if label not in best or value > best[label][0]:
            best[label] = (value, row)
    return [best[label][1] for label in labels]


@settings(deadline=None)
@given(st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, 2.5, -1.0, np.nan, np.inf, -np.inf]), st.integers(-2, 2)), max_size=30
))
def test_each_rule_keeps_what_it_says(rows):
    group = [g for g, _, _ in rows]
    labels = np.array([group.index(g) for g in group], np.int64)
    score, length = np.array([s for _, s, _ in rows], float), np.array([k for _, _, k in rows], np.int64)
    assert kept(labels).tolist() == labels.tolist()
    assert kept(labels, rule="best", score=score).tolist() == chosen_plainly(labels.tolist(), score)
    assert kept(labels, rule="longest", length=length).tolist() == chosen_plainly(labels.tolist(), length)
    assert kept(labels, rule="oldest", date=score).tolist() == chosen_plainly(labels.tolist(), -score)
    assert kept(labels, rule="oldest", date=length).tolist() == chosen_plainly(labels.tolist(), -length)


def test_extreme_integers_are_ordered():
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert kept(np.zeros(3, np.int64), rule="longest", length=np.array([low, high, 0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("how", "message"), [
    ({"rule": "best"}, "needs `score`"), ({"rule": "longest", "score": np.zeros(2)}, "needs `length`"),
    ({"rule": "last"}, "none of first, longest, best, oldest"), ({"rule": "best", "score": np.zeros(3)}, "2 labels, 3 values"),
    ({"rule": "oldest"}, "needs `date`"),
])
def test_refuses(how, message):
    with pytest.raises(ValueError, match=message):
        kept(np.array([0, 0]), **how)
