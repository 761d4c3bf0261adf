"""Bounded clusters hold their bound, lose no row and are not much worse than k-means."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.bounded import bounded_kmeans
from tamis.selectors.parts.cluster import kmeans


def cloud(n: int = 2000, d: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(20, d))[(rng.random(n) ** 3 * 20).astype(int)] + 0.3 * rng.normal(size=(n, d))).astype(np.float32)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("most", [7, 40, None])
def test_no_cluster_is_larger_than_the_bound(most, spherical):
    found = bounded_kmeans(cloud(), 60, seed=0, most=most, spherical=spherical)
    assert found.sizes.max() <= (most or -(-4 * 2000 // 60)) and found.sizes.sum() == 2000 and found.sizes.min() >= 1
    assert len(found.sizes) >= 30


def test_equal_rows_are_cut_too():
    found = bounded_kmeans(np.ones((1000, 4), np.float32), 3, seed=0, most=64)
    assert found.sizes.max() <= 64 and found.sizes.sum() == 1000 and found.inertia < 1e-6


def test_levels_cost_little_inertia():
    points = cloud(4000)
    flat, levels = kmeans(points, 100, seed=0), bounded_kmeans(points, 100, seed=0, most=4000)
    assert levels.inertia < 1.2 * flat.inertia * 100 / len(levels.sizes)


def test_order_of_rows_changes_nothing():
    points, ids, order = cloud(), np.arange(2000) * 3 - 50, np.random.default_rng(5).permutation(2000)
    a, b = bounded_kmeans(points, 50, seed=2, ids=ids), bounded_kmeans(points[order], 50, seed=2, ids=ids[order])
    assert (a.labels[order] == b.labels).all() and (a.centroids == b.centroids).all()


def test_a_bound_below_one_is_refused():
    with pytest.raises(ValueError, match="most is 0"):
        bounded_kmeans(cloud(10), 2, seed=0, most=0)
