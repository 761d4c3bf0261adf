"""Disjoint sets: whether two were two, and trees packed into blocks whole."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.kernels.unionfind import packed, root, unite


def test_uniting_says_whether_there_were_two_sets():
    parent = np.arange(5)
    assert [unite(parent, 3, 1), unite(parent, 1, 3), unite(parent, 3, 4), unite(parent, 4, 1), unite(parent, 0, 2)] == [True, False, True, False, True]
    assert [root(parent, x) for x in range(5)] == [0, 1, 0, 1, 1]


def test_trees_fill_blocks_in_order_and_rows_alone_are_in_none():
    parent = np.array([0, 1, 0, 3, 1, 5, 3, 7])  # {0, 2} {1, 4} {3, 6}; 5 and 7 are alone
    assert packed(parent.copy(), np.full(8, 1), 4).tolist() == [0, 0, 0, 1, 0, -1, 1, -1]
    assert packed(parent.copy(), np.full(8, 1), 6).tolist() == [0, 0, 0, 0, 0, -1, 0, -1]
    assert packed(parent.copy(), np.full(8, 1), 1).tolist() == [0, 1, 0, 2, 1, -1, 2, -1], "a tree is never cut"


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25), st.lists(st.integers(0, 9), min_size=20, max_size=20), st.integers(1, 40))
def test_blocks_weigh_no_more_than_asked_unless_one_tree_does(edges, weights, most):
    parent, weight = np.arange(20), np.array(weights)
    for a, b in edges:
        unite(parent, a, b)
    roots = np.array([root(parent, x) for x in range(20)])
    number = packed(parent, weight, most)
    alone = np.bincount(roots, minlength=20)[roots] == 1
    assert ((number == -1) == alone).all()
    trees = [np.flatnonzero(roots == r) for r in np.unique(roots[~alone])]
    assert all(len(set(number[t].tolist())) == 1 for t in trees)
    order = [int(number[t[0]]) for t in trees]
    assert order == sorted(order) and set(order) == set(range(len(set(order))))
    for block in set(order):
        held = [int(weight[t].sum()) for t in trees if number[t[0]] == block]
        assert sum(held) <= most or sum(h > 0 for h in held[:-1]) == 0
