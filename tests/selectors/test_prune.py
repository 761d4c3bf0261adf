"""Likeness in clusters and across their borders against all pairs in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.parts import prune
from tamis.selectors.parts.bounded import bounded_kmeans
from tamis.selectors.parts.cluster import Clusters, kmeans
from tamis.selectors.parts.prune import Ranked, across, within


def points_of(n: int, seed: int, spread: float = 0.25, d: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(max(n // 20, 1), d))[rng.integers(0, max(n // 20, 1), n)] + spread * rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def cosines_of(points: np.ndarray) -> np.ndarray:
    x = points.astype(np.float64)
    return 1 - ((x[:, None] - x[None]) ** 2).sum(axis=2) / 2


def naive_components(linked: np.ndarray, rank: np.ndarray) -> list[int]:
    """The best row that each row can walk to."""
    found = [-1] * len(linked)
    for start in sorted(range(len(linked)), key=lambda i: rank[i]):
        todo = [start] if found[start] < 0 else []
        while todo:
            x = todo.pop()
            if found[x] < 0:
                found[x] = start
                todo += np.flatnonzero(linked[x]).tolist()
    return found


def ranked_of(points: np.ndarray, k: int, seed: int, kind=kmeans) -> tuple[Ranked, Clusters, np.ndarray]:
    clusters = kind(points, k, seed=seed)
    order = np.random.default_rng(seed).permutation(len(points))
    rank = np.empty(len(points), np.int64)
    rank[order] = np.arange(len(points))
    return Ranked.of(points, clusters, order), clusters, rank


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 9), st.integers(0, 10**6), st.sampled_from([0.005, 0.05, 0.3, 0.9]), st.sampled_from([kmeans, bounded_kmeans]))
def test_with_all_borders_looked_at_it_is_all_pairs(n, k, seed, eps, kind):
    points = points_of(n, seed)
    ranked, _, rank = ranked_of(points, k, seed, kind)
    within(ranked, eps)
    across(ranked, eps, nearby=k)
    linked = (cosines_of(points) > 1 - eps) & ~np.eye(n, dtype=bool)
    assert ranked.pairs == linked.sum() // 2
    assert ranked.components().tolist() == naive_components(linked, rank)


@settings(max_examples=25)
@given(st.integers(1, 90), st.integers(1, 9), st.integers(0, 10**6), st.integers(0, 8))
def test_likeness_is_the_largest_cosine_to_a_better_row_of_the_clusters_looked_at(n, k, seed, nearby):
    points = points_of(n, seed)
    ranked, clusters, rank = ranked_of(points, k, seed)
    within(ranked, None)
    across(ranked, None, nearby=nearby)
    x, c = cosines_of(points), clusters.centroids.astype(np.float64)
    away = ((c[:, None] - c[None]) ** 2).sum(axis=2) + np.diag(np.full(len(c), np.inf))
    near = np.zeros((len(c), len(c)), bool)
    for a in range(len(c)):
        near[a, np.argsort(away[a], kind="stable")[: min(nearby, len(c) - 1)]] = True
    near |= near.T | np.eye(len(c), dtype=bool)
    seen = near[clusters.labels][:, clusters.labels] & (rank[None] < rank[:, None])
    assert np.allclose(ranked.alike(), np.where(seen, x, -1).max(axis=1), atol=1e-6) and ranked.pairs == 0
    stays = np.random.default_rng(seed).random(n) < 0.5
    top = ranked.standing(stays)
    assert (top[stays] == np.flatnonzero(stays)).all() and (stays[top] | (top < 0)).all()
    assert (rank[top[top >= 0]] <= rank[np.flatnonzero(top >= 0)]).all()
    to = np.where(top == np.arange(n), -1, top)
    assert np.allclose(ranked.similarity(to)[to >= 0], x[np.flatnonzero(to >= 0), to[to >= 0]], atol=1e-6)
    assert np.isnan(ranked.similarity(to)[to < 0]).all()


def test_a_pair_that_a_border_splits_is_found_though_few_rows_are_compared():
    """Two blobs and between them, at the border, two rows alike: in their clusters nothing is like them."""
    rng, d = np.random.default_rng(0), 32
    blobs = np.repeat(np.eye(d)[:2], 500, axis=0) + 0.05 * rng.normal(size=(1000, d))
    middle = np.eye(d)[0] + np.eye(d)[1]
    pair = np.array([middle + 0.02 * np.eye(d)[0], middle + 0.02 * np.eye(d)[1]])
    points = np.concatenate([blobs, pair])
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    ranked, clusters, _ = ranked_of(points, 2, 0)
    assert clusters.labels[1000] != clusters.labels[1001] and cosines_of(points[-2:])[0, 1] > 0.999
    within(ranked, 0.002)
    assert ranked.pairs == 0
    compared = across(ranked, 0.002, nearby=1)
    assert ranked.pairs == 1 and compared < 100 and len(set(ranked.components()[-2:].tolist())) == 1


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("rows", [(3, 5), (64, 7), (1024, 8192)])
def test_blocks_and_threads_change_nothing(threads, rows, monkeypatch):
    points = points_of(300, 5)
    told = []
    for size, count in (((1024, 8192), 1), (rows, threads)):
        monkeypatch.setattr(prune, "ROWS", size[0])
        monkeypatch.setattr(prune, "COLUMNS", size[1])
        ranked, _, _ = ranked_of(points, 8, 3)
        within(ranked, 0.05, threads=count)
        across(ranked, 0.05, nearby=8, threads=count)
        told.append((ranked.pairs, ranked.components().tolist(), np.round(ranked.alike(), 6).tolist()))
    assert told[0] == told[1] and told[0][0] > 100


def test_a_pair_is_alike_by_float64_whatever_rounding_says():
    """Cosines within 1e-7 of the threshold, on both sides: each is decided as in float64."""
    rng = np.random.default_rng(2)
    a = rng.normal(size=(200, 16))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = rng.normal(size=(200, 16))
    b -= (b * a).sum(axis=1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    cosine = 0.95 + rng.normal(size=(200, 1)) * 1e-7
    points = np.concatenate([a, cosine * a + np.sqrt(1 - cosine**2) * b]).astype(np.float32)
    ranked, _, _ = ranked_of(points, 1, 0)
    unit = ranked.points[np.argsort(ranked.order)].astype(np.float64)
    wanted = ((unit[:, None] - unit[None]) ** 2).sum(axis=2) < 2 * 0.05
    within(ranked, 0.05)
    assert ranked.pairs == (wanted.sum() - 400) // 2 and 20 < ranked.pairs < 190


def test_a_large_cluster_is_searched_by_an_index_and_little_is_missed():
    points = points_of(3000, 1, 0.1, d=24)
    whole, _, _ = ranked_of(points, 2, 0)
    within(whole, 0.05)
    found, _, _ = ranked_of(points, 2, 0)
    within(found, 0.05, exact_up_to=500)
    assert 0.99 * whole.pairs <= found.pairs <= whole.pairs and whole.pairs > 3000
    same = found.alike() > 0.95
    assert np.allclose(found.alike()[same], whole.alike()[same], atol=1e-6) and (found.alike() <= whole.alike() + 1e-6).all()


def test_centroids_that_are_all_but_one_hide_no_pair():
    """Rows that no centroid tells apart are cut by hash: half of all pairs lie across."""
    points = np.repeat(points_of(3, 0), 40, axis=0)
    ranked, clusters, _ = ranked_of(points, 3, 0, lambda *a, **k: bounded_kmeans(*a, most=10, **k))
    assert clusters.sizes.max() <= 10
    within(ranked, 0.01)
    across(ranked, 0.01, nearby=99)
    assert ranked.pairs == 3 * 40 * 39 // 2 and len(set(ranked.components().tolist())) == 3
