"""Silhouettes, partitions that agree, neighbours, medoids and measures on cases small enough to be worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.parts.agreement import agreed_k, mixture, principal, rand_index
from tamis.selectors.parts.bounded import bounded_kmeans
from tamis.selectors.parts.choose import clusters_of, number_of_clusters
from tamis.selectors.parts.cluster import default_k, kmeans
from tamis.selectors.parts.hashed import log_ratio, ngram_counts
from tamis.selectors.parts.measures import among_picks, coverage, nearest_pick, overlap, vendi
from tamis.selectors.parts.medoids import distances, kmedoids
from tamis.selectors.parts.neighbours import build, calibrated, graph
from tamis.selectors.parts.silhouette import choose_k, silhouette, simplified


def unit(n: int, d: int = 4, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


# ---- silhouettes

def test_a_silhouette_worked_out_by_hand() -> None:
    line = np.array([[0.0], [2.0], [10.0], [13.0], [40.0]])
    found = silhouette(line, np.array([7, 7, 3, 3, 9]), spherical=False)
    # own distances 2, 2, 3, 3; nearest others: to {10, 13} 11.5 and 9.5, to {0, 2} 9 and 12; alone: 0
    assert found == pytest.approx([(11.5 - 2) / 11.5, (9.5 - 2) / 9.5, (9 - 3) / 9, (12 - 3) / 12, 0.0])


@pytest.mark.parametrize("spherical", [True, False])
def test_equal_rows_have_none_and_a_row_nearer_to_others_less(spherical: bool) -> None:
    """What rounding makes of equal rows is no distance: in 7 dimensions their cosine is 1 and a bit, or a bit less."""
    found = silhouette(np.array([[0.0], [9.0], [8.0], [8.0]]), np.array([0, 0, 1, 1]), spherical=False)
    assert found[1] < 0 < found[2]
    equal = np.repeat(unit(3, 7).astype(np.float64) * 1e3, 4, axis=0)
    assert silhouette(equal[:4], np.array([0, 0, 1, 1]), spherical=spherical).tolist() == [0] * 4
    assert silhouette(equal, np.repeat([0, 1, 2], 4), spherical=spherical).tolist() == [1] * 12


@settings(max_examples=25)
@given(st.integers(4, 40), st.integers(2, 5), st.integers(0, 10**6), st.booleans())
def test_silhouettes_are_those_of_the_definition(n: int, k: int, seed: int, spherical: bool) -> None:
    points, labels = unit(n, 3, seed).astype(np.float64), np.random.default_rng(seed).integers(0, k, n)
    labels[:2] = [0, 1]
    away = 1 - points @ points.T if spherical else np.linalg.norm(points[:, None] - points[None], axis=2)
    for i, value in enumerate(silhouette(points, labels, spherical=spherical)):
        means = {j: away[i, (labels == j) & (np.arange(n) != i)].mean() for j in set(labels.tolist()) if ((labels == j) & (np.arange(n) != i)).any()}
        if (labels == labels[i]).sum() == 1:
            assert value == 0
            continue
        a, b = means[labels[i]], min(m for j, m in means.items() if j != labels[i])
        assert value == pytest.approx((b - a) / max(a, b), abs=1e-6)


def test_the_number_of_clusters_is_the_best_of_the_grid_on_the_sample() -> None:
    points, ids = unit(300, 6), np.arange(300) * 5
    found = choose_k(points, seed=2, ids=ids, grid=[2, 4, 4, 900], sample=300)
    assert set(found.scores) == {2, 4, 300}, "once each, and no more clusters than rows"
    for k, score in found.scores.items():
        assert score == pytest.approx(simplified(points, kmeans(points, k, seed=2, ids=ids)).mean(), abs=1e-6)
    assert found.k == max(found.scores, key=lambda k: (found.scores[k], -k))
    assert choose_k(np.ones((5, 2), np.float32), seed=0, grid=[1, 3]).scores == {1: -1.0, 3: -1.0}


def test_how_many_clusters_where_none_are_asked_for() -> None:
    points, ids = unit(90), np.arange(90)
    for asked in (None, "root"):
        assert number_of_clusters(points, asked, seed=0, ids=ids, spherical=True) == (default_k(90), {})
    assert number_of_clusters(points, 7, seed=0, ids=ids, spherical=True) == (7, {})
    k, facts = number_of_clusters(points, "silhouette", seed=0, ids=ids, spherical=True)
    assert facts["k_chosen_by"] == "silhouette" and str(k) in facts["k_scores"] and max(facts["k_scores"].values()) == facts["k_scores"][str(k)]


# ---- partitions

@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=14))
def test_the_rand_index_counts_pairs(rows: list[tuple[int, int]]) -> None:
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    pairs = list(combinations(range(len(rows)), 2))
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    one, other = sum(a[i] == a[j] for i, j in pairs), sum(b[i] == b[j] for i, j in pairs)
    chance, most = one * other / len(pairs), (one + other) / 2
    assert rand_index(a, b) == pytest.approx((both - chance) / (most - chance) if most != chance else 1.0)
    assert rand_index(a, b) == pytest.approx(rand_index(b, a)) and rand_index(a, a) == 1


def test_the_axes_are_those_of_largest_variance() -> None:
    points = np.random.default_rng(0).normal(size=(400, 20)) * np.arange(20, 0, -1)
    axes = principal(points.astype(np.float32))
    assert axes.shape == (400, 16) and (np.diff(axes.var(axis=0)) < 0).all()
    values = np.sort(np.linalg.eigvalsh(np.cov(points.T, bias=True)))[::-1][:16]
    assert np.allclose(axes.var(axis=0), values, rtol=1e-3) and np.abs(np.corrcoef(axes.T) - np.eye(16)).max() < 1e-3


def test_a_mixture_of_one_is_one_and_of_two_apart_is_two() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(30, 2)) + 9])
    assert mixture(points, np.zeros(90, int)).tolist() == [0] * 90
    assert rand_index(mixture(points, rng.integers(0, 2, 90) | np.repeat([0, 1], [60, 30])), np.repeat([0, 1], [60, 30])) == 1


def test_of_one_start_all_are_stable() -> None:
    found = agreed_k(unit(40, 6), seed=0, grid=[2, 3], restarts=1)
    assert set(found.scores) == {2, 3} and found.k in (2, 3)


# ---- bounds and medoids

@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 20), st.integers(0, 10**6))
def test_no_bounded_cluster_is_too_large_and_none_is_empty(n: int, k: int, most: int, seed: int) -> None:
    points = np.repeat(unit(max(n // 3, 1), 3, seed), 3, axis=0)[:n]
    found = bounded_kmeans(points, k, seed=seed, most=most)
    assert found.sizes.sum() == len(points) and 1 <= found.sizes.min() <= found.sizes.max() <= most
    for j in range(len(found.sizes)):
        mean = points[found.labels == j].astype(np.float64).mean(axis=0)
        assert np.linalg.norm(mean) < 1e-6 or np.allclose(found.centroids[j], mean / np.linalg.norm(mean), atol=1e-4)


@pytest.mark.parametrize("spherical", [True, False])
def test_medoids_as_clusters_are_rows_and_every_row_is_at_its_nearest(spherical: bool) -> None:
    points, ids = unit(50, 5, 3) * (1 if spherical else 2), np.arange(50)[::-1].copy()
    found = clusters_of(points, 6, kind="kmedoids", seed=1, ids=ids, iterations=5, sample_per_centroid=9, spherical=spherical, most=None)
    chosen = kmedoids(points, 6, seed=1, ids=ids, spherical=spherical)
    assert sorted(map(tuple, found.centroids.tolist())) == sorted(map(tuple, points[chosen.rows].tolist()))
    away = distances(points, found.centroids, spherical)
    assert np.allclose(away[np.arange(50), found.labels], away.min(axis=1), atol=1e-6) and (np.diff(found.sizes) <= 0).all()
    assert chosen.loss == pytest.approx(distances(points, points[chosen.rows], spherical).min(axis=1).sum(), rel=1e-5)
    best = min(distances(points[:9], points[list(s)], spherical).min(axis=1).sum() for s in combinations(range(9), 2))
    assert best * 0.999999 <= kmedoids(points[:9], 2, seed=0, spherical=spherical).loss <= 1.15 * best


# ---- neighbours

@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_of_few_rows_the_neighbours_are_the_others(n: int) -> None:
    points = unit(n)
    made = graph(points, 4)
    found, cosines = made.rows, made.cosines
    every = points.astype(np.float64) @ points.T
    for i in range(n):
        there = found[i] >= 0
        wanted = sorted((j for j in range(n) if j != i), key=lambda j: -every[i, j])[:4]
        assert found[i][there].tolist() == wanted and np.allclose(cosines[i][there], every[i, wanted], atol=1e-6)


def test_what_is_asked_of_an_index_need_not_be_of_length_one() -> None:
    points = unit(40)
    index = build(5 * points)
    assert (index.search(0.1 * points[:9], 3)[0] == build(points).search(points[:9], 3)[0]).all()
    rows, cosines = index.search(points[:0], 3)
    assert rows.shape == cosines.shape == (0, 3)
    assert calibrated(points, "exact", 3, queries=10)[1] == 1.0


# ---- measures

@settings(max_examples=25)
@given(st.integers(1, 25), st.integers(0, 10**6), st.data())
def test_measures_are_loops_over_all_rows(n: int, seed: int, data: st.DataObject) -> None:
    points = unit(n, 3, seed)
    index = np.array(data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n)), np.int64)
    away = 1 - points.astype(np.float64) @ points.T
    gap = nearest_pick(3 * points, index)
    assert gap == pytest.approx([min((away[i, j] for j in index), default=1.0) for i in range(n)], abs=1e-5) and not gap[index].any()
    others = [min(away[i, j] for j in index if j != i) for i in index] if len(index) > 1 else [0.0]
    assert among_picks(3 * points, index) == pytest.approx(np.mean(others), abs=1e-5)
    labels = np.arange(n) % 4
    assert coverage(labels, index) == len({i % 4 for i in index.tolist()}) / min(n, 4)
    assert 1 - 1e-6 <= vendi(points) <= n + 1e-6 and vendi(points) == pytest.approx(vendi(points[::-1] * 2), rel=1e-5)
    other = np.arange(n)[::2]
    assert overlap(index, other) == len(set(index.tolist()) & set(other.tolist())) / max(len(set(index.tolist()) | set(other.tolist())), 1)


def test_hashed_words_are_counted_and_weighed() -> None:
    (where, count), (_, none) = ngram_counts(["The the cat!", ""], 7)[0]
    assert count.sum() == 4 + 3 and (where < 7).all() and len(none) == 0, "four pieces with the mark, three pairs"
    rows, target = [(np.array([0, 1]), np.array([2, 1])), (np.array([1]), np.array([1]))], [(np.array([0, 2]), np.array([1, 1]))]
    told = log_ratio(rows, target)
    of = [np.log(np.array(p) + 1e-8) for p in ([0.5, 0, 0.5], [0.5, 0.5, 0])]
    assert told == pytest.approx([2 * (of[0][0] - of[1][0]) + of[0][1] - of[1][1], of[0][1] - of[1][1]])
