"""Neighbours: exact ones by brute force, graph and cells at their measured recall."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.neighbours import build, calibrated, graph, recall


def rows(n: int = 3000, d: int = 32, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_exact_search_is_brute_force():
    points = rows(500)
    found, cosines = build(points).search(points[:50], 7)
    every = points[:50].astype(np.float64) @ points.T
    assert (found == np.argsort(-every, axis=1, kind="stable")[:, :7]).all()
    assert np.allclose(cosines, np.sort(every, axis=1)[:, ::-1][:, :7], atol=1e-6)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_recall_is_reached_and_is_what_is_said(kind):
    points = rows()
    index, said = calibrated(points, kind, 10, least=0.9, queries=200)
    found, _ = index.search(points[:300], 10)
    measured = recall(found, build(points).search(points[:300], 10)[0])
    assert said >= 0.9 and abs(measured - said) < 0.06
    index.effort = 1
    assert recall(index.search(points[:300], 10)[0], build(points).search(points[:300], 10)[0]) < measured


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_twice_the_same(kind):
    points = rows(800)
    (a, x), (b, y) = (build(points, kind).search(points, 5) for _ in range(2))
    assert (a == b).all() and (x == y).all()


def test_a_row_is_not_its_own_neighbour():
    points = np.concatenate([rows(60), np.repeat(rows(1, seed=9), 12, axis=0)])  # twelve equal rows
    made = graph(points, 5)
    found, cosines = made.rows, made.cosines
    assert (made.search, made.recall) == ("exact", 1.0)
    assert found.shape == (72, 5) and not (found == np.arange(72)[:, None]).any()
    assert np.allclose(cosines[60:], 1, atol=1e-5) and (found[60:] >= 60).all()


def test_recall_counts_sets():
    assert recall(np.array([[1, 2, 3]]), np.array([[3, 9, 1]])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("search", ["hnsw", "ivf"])
def test_a_graph_has_the_recall_that_it_says(search):
    points = rows(1500)
    exact, low, high = graph(points, 8), graph(points, 8, search=search, least=0.5), graph(points, 8, search=search, least=0.97)
    for made, least in ((low, 0.5), (high, 0.97)):
        assert made.search == search and made.recall >= least and made.rows.shape == exact.rows.shape
        assert not (made.rows == np.arange(1500)[:, None]).any()
        assert abs(recall(made.rows, exact.rows) - made.recall) < 0.05, "measured on 500 rows, true of all"
    assert recall(high.rows, exact.rows) >= recall(low.rows, exact.rows)


def test_a_recall_that_cannot_be_is_refused():
    for least in (0.0, 1.5):
        with pytest.raises(ValueError, match="recall is .*; it must be above 0 and at most 1"):
            graph(rows(20), 3, search="hnsw", least=least)
