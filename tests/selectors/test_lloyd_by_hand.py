"""Lloyd's rounds against plain loops; blocks, threads and errors of what runs side by side; odd inputs of k-means."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.parts import lloyd as rounds
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.kernels import two_nearest
from tamis.selectors.parts.lloyd import add_by_label, as_points, blocks, centres, lloyd, side_by_side, whole_rounds


def cloud(n: int, d: int = 6, seed: int = 0, groups: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (4 * rng.normal(size=(groups, d))[rng.integers(0, groups, n)] + rng.normal(size=(n, d))).astype(np.float32)


def plain(points: np.ndarray, start: np.ndarray, turns: int, spherical: bool) -> np.ndarray:
    """The algorithm as the textbook has it, in float64, until no row moves."""
    x, centroids, before = points.astype(np.float64), start.astype(np.float64), None
    for _ in range(turns):
        labels = ((x[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
        if before is not None and (labels == before).all():
            break
        before = labels
        centroids = np.array([x[labels == j].mean(axis=0) if (labels == j).any() else centroids[j] for j in range(len(start))])
        if spherical:
            centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return centroids


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("turns", [1, 2, 30])
def test_rounds_are_the_textbooks(spherical: bool, turns: int) -> None:
    for seed in range(4):
        points = as_points(cloud(400, seed=seed), spherical)
        start = points[np.random.default_rng(seed).choice(400, 5, replace=False)]
        assert np.allclose(lloyd(points, start, turns, spherical, 2), plain(points, start, turns, spherical), atol=1e-4)


@pytest.mark.parametrize("spherical", [False, True])
def test_a_pass_over_all_rows_is_one_textbook_round_whatever_is_held(spherical: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(500)
    start = as_points(points[:7], spherical)
    wanted = plain(as_points(points, spherical), start, 1, spherical)
    for block, span in ((4096, 65536), (64, 128), (7, 100)):
        monkeypatch.setattr(rounds, "BLOCK", block)
        monkeypatch.setattr(rounds, "SPAN", span)
        found = whole_rounds(points.astype(np.float16).astype(np.float32), start, 1, spherical, 3)
        assert np.allclose(found, wanted, atol=0.02)
        assert np.allclose(whole_rounds(points, start, 1, spherical, 1), wanted, atol=1e-5)


def test_more_iterations_never_cost_inertia() -> None:
    points = cloud(800, groups=20)
    inertia = [kmeans(points, 25, seed=1, iterations=i, spherical=False).inertia for i in (1, 2, 4, 8, 16, 32)]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(inertia)) and inertia[-1] < inertia[0]


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
@settings(max_examples=30)
def test_sums_by_label_are_numpys(n: int, k: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, k, n)
    totals, wanted = np.ones((k, 3)), np.ones((k, 3))
    add_by_label(points, labels, totals, threads)
    np.add.at(wanted, labels, points.astype(np.float64))
    assert np.allclose(totals, wanted)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=12))
def test_the_two_nearest_are_the_two_smallest(rows: list[list[int]]) -> None:
    squared = np.array(rows, np.float32).reshape(-1, 3)
    first, best, second = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
    two_nearest(squared, first, best, second)
    assert [(f, b, s) for f, b, s in zip(first, best, second, strict=True)] == [(r.index(min(r)), *sorted(r)[:2]) for r in rows]


def test_of_one_column_there_is_no_second() -> None:
    first, best, second = np.empty(2, np.int32), np.empty(2, np.float32), np.empty(2, np.float32)
    two_nearest(np.array([[3.0], [0.0]], np.float32), first, best, second)
    assert first.tolist() == [0, 0] and best.tolist() == [3, 0] and np.isinf(second).all()


def test_a_centre_of_nothing_stays_where_it_was() -> None:
    before = np.array([[1.0, 0], [0, 1], [0.6, 0.8]], np.float32)
    totals, sizes = np.array([[0.0, 6], [0, 0], [0, 0]]), np.array([3, 0, 2])
    assert centres(totals, sizes, before, False).tolist() == [[0, 2], [0, 1], [0, 0]]
    spherical = centres(totals, sizes, before, True)
    assert np.allclose(spherical, [[0, 1], [0, 1], [0.6, 0.8]]), "rows that cancel out have no direction"


@pytest.mark.parametrize(("n", "size"), [(0, 3), (1, 3), (3, 3), (10, 3)])
def test_blocks_cover_all_rows_once_in_order(n: int, size: int) -> None:
    assert [i for at in blocks(n, size) for i in range(at.start, at.stop)] == list(range(n))
    assert all(0 < at.stop - at.start <= size for at in blocks(n, size))


@pytest.mark.parametrize("threads", [1, 3])
def test_answers_come_in_the_order_of_the_items_and_errors_come_through(threads: int) -> None:
    assert side_by_side(lambda i: i * i, range(20), threads) == [i * i for i in range(20)]

    def fails(i: int) -> int:
        if i == 7:
            raise ValueError("the seventh")
        return i

    with pytest.raises(ValueError, match="the seventh"):
        side_by_side(fails, range(20), threads)


@pytest.mark.parametrize("change", [
    lambda x: x.astype(np.float64), lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x[:, ::-1][:, ::-1],
], ids=["double", "fortran", "strided", "turned"])
def test_how_the_vectors_lie_in_memory_changes_nothing(change) -> None:
    points = cloud(300)
    a, b = kmeans(points, 8, seed=0), kmeans(change(points), 8, seed=0)
    assert (a.labels == b.labels).all() and (a.centroids == b.centroids).all() and a.inertia == b.inertia


def test_vectors_are_left_as_they_were() -> None:
    points = cloud(100)
    before = points.copy()
    kmeans(points, 4, seed=0, passes=2)
    assert (points == before).all()


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows to cluster"):
        kmeans(np.empty((0, 3), np.float32), 2, seed=0)
