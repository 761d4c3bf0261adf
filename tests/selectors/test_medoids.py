"""k-medoids: the swap formula against brute force, no swap left that helps, CLARA near it, the Rust package's answer."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.medoids import _two, best_swap, distances, fasterpam, kmedoids


def cloud(n: int, d: int = 8, seed: int = 0, blobs: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = 2 * rng.normal(size=(blobs, d))[rng.integers(0, blobs, n)] + 0.4 * rng.normal(size=(n, d))
    return points.astype(np.float32)


def loss(away: np.ndarray, medoids: np.ndarray) -> float:
    return float(away[:, medoids].min(axis=1).sum(dtype=np.float64))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_change_of_a_swap_is_what_brute_force_finds(k):
    points = cloud(60)
    away, medoids = distances(points, points, False), np.arange(k)
    near, first, second = np.zeros(60, np.int64), np.zeros(60), np.zeros(60)
    _two(away, medoids, near, first, second)
    for j in range(k, 60):
        change, i = best_swap(away, j, near, first, second, k)
        all_changes = [loss(away, np.where(np.arange(k) == at, j, medoids)) - loss(away, medoids) for at in range(k)]
        assert change == pytest.approx(min(all_changes), abs=1e-4)
        assert all_changes[i] == pytest.approx(min(all_changes), abs=1e-4)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_no_swap_is_left_that_helps(k):
    points = cloud(90, seed=k)
    away = distances(points, points, False)
    medoids, total = fasterpam(away, np.arange(k))
    assert total == pytest.approx(loss(away, medoids), rel=1e-6)
    swaps = [loss(away, np.where(np.arange(k) == at, j, medoids)) for at in range(k) for j in range(90)]
    assert min(swaps) >= total - 1e-3
    if k == 1:
        assert medoids[0] == away.sum(axis=0).argmin()


def test_the_loss_is_that_of_the_kmedoids_package():
    reference = pytest.importorskip("kmedoids")
    points = cloud(400, seed=3, blobs=12)
    away = distances(points, points, False)
    theirs = min(reference.fasterpam(away, 12, random_state=s).loss for s in range(3))
    ours = min(kmedoids(points, 12, seed=s, spherical=False).loss for s in range(3))
    assert ours <= 1.01 * theirs


def test_clara_is_within_five_in_a_hundred():
    points = cloud(6000, blobs=10)
    whole, sampled = (kmedoids(points, 10, seed=0, spherical=False, limit=limit) for limit in (10_000, 1000))
    assert whole.loss <= sampled.loss <= 1.05 * whole.loss
    assert len(set(sampled.rows.tolist())) == 10


@pytest.mark.parametrize("limit", [10_000, 100])
def test_order_of_rows_changes_nothing(limit):
    points, ids, order = cloud(300), np.arange(300) * 11, np.random.default_rng(0).permutation(300)
    a = kmedoids(points, 5, seed=1, ids=ids, limit=limit)
    b = kmedoids(points[order], 5, seed=1, ids=ids[order], limit=limit)
    assert ids[a.rows].tolist() == ids[order][b.rows].tolist() and (a.labels[order] == b.labels).all()


def test_edges():
    points = cloud(5)
    assert kmedoids(points, 5, seed=0).loss == pytest.approx(0, abs=1e-5)
    assert kmedoids(points[:1], 1, seed=0).rows.tolist() == [0]
    with pytest.raises(ValueError, match="k is 6; there are 5 rows"):
        kmedoids(points, 6, seed=0)
