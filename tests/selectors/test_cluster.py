"""k-means: planted clusters found, every row at its nearest centroid, the same bits for any order and thread count."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.cluster import default_k, kmeans
from tamis.selectors.parts.lloyd import assign, lloyd


def blobs(sizes: list[int], d: int = 24, spread: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around orthogonal centres, and their planted labels, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.eye(d)[labels] + spread * rng.normal(size=(len(labels), d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def noise(n: int, d: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_planted_clusters_are_found(seed, spherical):
    points, planted = blobs([400, 200, 100, 50, 25, 12, 6, 3] * 2)
    found = kmeans(points, 16, seed=seed, spherical=spherical)
    pairs = set(zip(found.labels.tolist(), planted.tolist(), strict=True))
    assert len(pairs) == 16
    assert found.sizes.tolist() == sorted(np.bincount(planted).tolist(), reverse=True)


@pytest.mark.parametrize("spherical", [True, False])
def test_every_row_is_at_its_nearest_centroid(spherical):
    points = noise(3000)
    found = kmeans(points, 40, seed=1, spherical=spherical)
    x = points.astype(np.float64)
    if spherical:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        assert np.allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    away = ((x[:, None, :] - found.centroids[None]) ** 2).sum(axis=2) * (0.5 if spherical else 1)
    assert np.allclose(away[np.arange(len(x)), found.labels], away.min(axis=1), atol=1e-5)
    assert np.allclose(found.distance, away.min(axis=1), atol=1e-5)
    assert found.inertia == pytest.approx(away.min(axis=1).sum(), rel=1e-5)


def test_inertia_is_that_of_a_well_kept_library():
    reference = pytest.importorskip("sklearn.cluster").KMeans(40, n_init=1, max_iter=20, random_state=0)
    points = noise(3000)
    ours = [kmeans(points, 40, seed=s, spherical=False).inertia for s in range(3)]
    assert np.mean(ours) < 1.01 * reference.fit(points).inertia_


def test_order_of_rows_changes_nothing():
    points, ids = noise(2000), np.random.default_rng(1).integers(-(2**62), 2**62, 2000)
    a = kmeans(points, 30, seed=3, ids=ids, sample_per_centroid=20)
    shuffled = np.random.default_rng(2).permutation(2000)
    b = kmeans(points[shuffled], 30, seed=3, ids=ids[shuffled], sample_per_centroid=20)
    assert (a.centroids == b.centroids).all() and a.inertia == b.inertia
    assert (a.labels[shuffled] == b.labels).all() and (a.distance[shuffled] == b.distance).all()


PRINT_DIGEST = """
import hashlib, numpy as np
from tamis.selectors.parts.cluster import kmeans
points = np.random.default_rng(0).normal(size=(6000, 96)).astype(np.float32)
found = kmeans(points, 70, seed=5)
arrays = (found.labels, found.centroids, found.distance)
print(hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest())
"""


def test_number_of_threads_changes_no_bit():
    answers = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST], env={**os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n},
            capture_output=True, text=True, check=True,
        ).stdout for n in ("1", "2", "5")
    }
    assert len(answers) == 1


def test_faiss_runs_on_one_thread_and_gets_its_own_back(monkeypatch):
    import faiss

    threads, distances, before = [], faiss.pairwise_distances, faiss.omp_get_max_threads()
    monkeypatch.setattr(
        faiss, "pairwise_distances", lambda *a: threads.append(faiss.omp_get_max_threads()) or distances(*a))
    faiss.omp_set_num_threads(3)
    try:
        kmeans(noise(50), 3, seed=0)
        assert set(threads) == {1} and faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_seed_decides():
    points = noise(1000)
    first, again, other = (kmeans(points, 20, seed=s) for s in (1, 1, 2))
    assert (first.labels == again.labels).all() and (first.centroids == again.centroids).all()
    assert (first.labels != other.labels).any()


def test_sample_is_explicit():
    points = noise(4000)
    whole, part = (kmeans(points, 10, seed=0, sample_per_centroid=s) for s in (400, 30))
    assert whole.inertia < part.inertia and len(part.labels) == 4000


@pytest.mark.parametrize("spherical", [True, False])
def test_fewer_distinct_rows_than_clusters(spherical):
    points = np.repeat(noise(5), [9, 7, 5, 3, 1], axis=0)
    found = kmeans(points, 12, seed=0, spherical=spherical)
    assert found.sizes.tolist() == [9, 7, 5, 3, 1]
    assert found.inertia < 1e-9


def test_more_clusters_than_rows():
    found = kmeans(noise(7), 100, seed=0)
    assert sorted(found.labels.tolist()) == list(range(7))
    assert kmeans(noise(1), 3, seed=0).labels.tolist() == [0]


def test_ids_are_compact_and_largest_first():
    found = kmeans(noise(500), 200, seed=0)
    assert (found.sizes > 0).all() and (np.diff(found.sizes) <= 0).all()
    assert len(found.centroids) == found.labels.max() + 1


def test_rows_without_direction_are_refused_with_counts():
    points = noise(10)
    points[3], points[5, 2], points[6, 0] = 0, np.nan, np.inf
    with pytest.raises(ValueError, match="of 10 vectors 2 hold NaN or infinity and 1 are zero"):
        kmeans(points, 2, seed=0)
    points[5:7] = 1
    assert len(kmeans(points, 2, seed=0, spherical=False).labels) == 10


@pytest.mark.parametrize("setting", ["k", "iterations", "sample_per_centroid"])
def test_settings_below_one_are_refused(setting):
    settings = {"k": 2, "iterations": 2, "sample_per_centroid": 2, setting: 0}
    with pytest.raises(ValueError, match=setting):
        kmeans(noise(10), seed=0, **settings)


def test_default_k_is_the_root():
    assert [default_k(n) for n in (0, 1, 100, 196_000, 10**9)] == [1, 1, 10, 443, 4096]


@pytest.mark.parametrize("spherical", [True, False])
def test_threads_change_no_bit(spherical):
    points = noise(9000)
    answers = [kmeans(points, 30, seed=2, spherical=spherical, passes=1, threads=t) for t in (1, 2, 5)]
    for found in answers[1:]:
        assert (found.labels == answers[0].labels).all() and (found.centroids == answers[0].centroids).all()
        assert (found.distance == answers[0].distance).all() and found.inertia == answers[0].inertia


def test_a_memory_map_of_halves_gives_the_same_clusters(tmp_path):
    points = noise(9000).astype(np.float16)
    stored = np.memmap(tmp_path / "vectors", np.float16, "w+", shape=points.shape)
    stored[:] = points
    mapped = np.memmap(tmp_path / "vectors", np.float16, "r", shape=points.shape)
    a, b = kmeans(mapped, 20, seed=0, passes=1), kmeans(points.astype(np.float32), 20, seed=0, passes=1)
    assert (a.labels == b.labels).all() and a.inertia == b.inertia


def test_rounds_over_all_rows_lower_the_inertia():
    points = noise(6000)
    part, whole = (kmeans(points, 30, seed=0, sample_per_centroid=8, passes=p).inertia for p in (0, 5))
    assert whole < 0.99 * part


def test_labels_are_exact_where_float32_cannot_tell():
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(40, 64)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    a, b = rng.integers(0, 40, (2, 3000))
    middle = centroids[a] + centroids[b] + 1e-7 * rng.normal(size=(3000, 64)).astype(np.float32)  # all but as near to both
    points = (middle / np.linalg.norm(middle, axis=1, keepdims=True)).astype(np.float32)
    labels, distance = assign(points, centroids, True)
    exact = ((points[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(axis=2)
    assert (labels == exact.argmin(axis=1)).all() and np.allclose(distance, exact.min(axis=1) / 2, atol=1e-6)
    alone = [int(assign(points[i : i + 1], centroids, True)[0][0]) for i in range(200)]
    assert alone == labels[:200].tolist()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_labels_are_exact_at_any_scale(size):
    rng = np.random.default_rng(0)
    points = (size * rng.normal(size=(500, 16))).astype(np.float32)
    centroids = (size * rng.normal(size=(20, 16))).astype(np.float32)
    labels, _ = assign(points, centroids, False)
    exact = ((points[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(axis=2)
    assert (labels == exact.argmin(axis=1)).all()


def test_a_cluster_that_runs_empty_starts_again_far_out():
    points = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8], [50, 50]], np.float32)
    start = np.array([[0, 0], [9, 9], [-99, -99]], np.float32)  # the third is nearest to nothing
    found = lloyd(points, start, 10, False, 1)
    assert sorted(found.tolist()) == [[0, 0.5], [9, 8.5], [50, 50]]
