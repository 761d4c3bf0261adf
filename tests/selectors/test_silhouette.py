"""Silhouettes equal to scikit-learn's, and numbers of clusters found where they were planted."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.agreement import agreed_k, mixture, rand_index
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.silhouette import choose_k, default_grid, silhouette, simplified


def blobs(k: int, n: int = 1200, d: int = 24, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres, labels = rng.normal(size=(k, d)), rng.integers(0, k, n)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points = centres[labels] + spread * rng.normal(size=(n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(("spherical", "metric"), [(True, "cosine"), (False, "euclidean")])
def test_silhouettes_are_those_of_scikit_learn(spherical, metric):
    reference = pytest.importorskip("sklearn.metrics").silhouette_samples
    points, _ = blobs(7, n=1100, spread=0.4)
    labels = kmeans(points, 30, seed=0, spherical=spherical).labels
    labels[:2] = [97, 98]  # rows alone in their cluster
    theirs = reference(points.astype(np.float64), labels, metric=metric)
    assert np.abs(silhouette(points, labels, spherical=spherical) - theirs).max() < 1e-6


def test_one_cluster_has_no_silhouette():
    with pytest.raises(ValueError, match="at least 2 clusters"):
        silhouette(blobs(2)[0], np.zeros(1200, int))


def test_the_simplified_one_is_by_centroids():
    points, _ = blobs(5, n=300)
    found = kmeans(points, 5, seed=0)
    away = 1 - points.astype(np.float64) @ found.centroids.T.astype(np.float64)
    a = away[np.arange(300), found.labels]
    b = np.where(np.eye(5, dtype=bool)[found.labels], np.inf, away).min(axis=1)
    assert np.allclose(simplified(points, found), (b - a) / np.maximum(a, b), atol=1e-5)


@pytest.mark.parametrize("planted", [4, 8, 32])
@pytest.mark.parametrize("exact", [False, True])
def test_the_planted_number_is_found_within_a_grid_step(planted, exact):
    for seed in range(2):
        found = choose_k(blobs(planted, seed=seed)[0], seed=seed, grid=[2, 4, 8, 16, 32, 64], exact=exact)
        assert planted / 2 <= found.k <= planted * 2 and set(found.scores) == {2, 4, 8, 16, 32, 64}


def test_order_of_rows_changes_no_choice():
    points, _ = blobs(8)
    ids, order = np.arange(1200) * 7, np.random.default_rng(0).permutation(1200)
    one, other = choose_k(points, seed=1, ids=ids, sample=500), choose_k(points[order], seed=1, ids=ids[order], sample=500)
    assert one == other


def test_ties_go_to_the_smaller_number():
    points = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    assert choose_k(points, seed=0, grid=[3, 5, 9]).k == 3  # 5 and 9 find the same three clusters


def test_the_grid_is_powers_of_two():
    assert default_grid(100) == [2, 4, 8, 16, 32] and default_grid(10**9)[-1] == 8192 and default_grid(1) == [2, 4]


def test_rand_index_is_that_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics").adjusted_rand_score
    rng = np.random.default_rng(0)
    for k in (1, 3, 10):
        a, b = rng.integers(0, k, 200), rng.integers(0, 4, 200)
        assert rand_index(a, b) == pytest.approx(reference(a, b), abs=1e-12)
    assert rand_index(a, (a + 1) % 10) == pytest.approx(1)


def gauss(k: int, seed: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """k spherical Gaussians of deviation 1, centres `gap` x sqrt(2) apart or more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, 800)
    return (gap * np.eye(k, 12)[labels] + rng.normal(size=(800, 12))).astype(np.float32), labels


def test_agreement_finds_planted_gaussians():
    right = [agreed_k(gauss(k, seed, 6.0)[0], seed=seed, grid=range(2, 8), spherical=False).k == k
             for k in (3, 5) for seed in range(5)]
    assert sum(right) >= 9


def test_a_mixture_keeps_what_is_separate():
    points, labels = gauss(4, 0, 8.0)
    wrong = labels.copy()
    wrong[:60] = 0
    assert rand_index(mixture(points.astype(float), wrong), labels) > 0.99
