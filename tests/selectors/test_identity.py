"""Clusters that keep their names: warm start against a start from scratch, splits, merges; and what does not matter to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.adapt import adapt
from tamis.selectors.base import Pool
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.identity import Known, Rules, named_clusters, warm
from tamis.selectors.redundancy import cluster_pruning


def blobs(sizes: dict[int, int], seed: int, near: float = 0.03, wide: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Points near axes: float32[n, wide] and the axis of each."""
    rng = np.random.default_rng(seed)
    axes = np.concatenate([np.full(n, a) for a, n in sizes.items()])
    points = np.eye(wide)[axes] + near * rng.standard_normal((len(axes), wide))
    return points.astype(np.float32), axes


def first(points: np.ndarray, k: int, rules: Rules | None = None) -> Known:
    named = named_clusters(points, None, k=k, kind="kmeans", seed=1, ids=np.arange(len(points)), iterations=20,
                           sample_per_centroid=256, most=None)
    told = named.remembered(np.arange(len(points)))
    return Known(told["centroids"], told["names"], told["widths"], int(told["following"][0]), rules or Rules())


def axis_of(known: Known) -> dict[int, int]:
    return dict(zip(known.names.tolist(), np.argmax(known.centroids, axis=1).tolist(), strict=True))


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


def test_the_same_rows_again_change_nothing_and_agree_with_a_start_from_scratch() -> None:
    points, axes = blobs({0: 40, 1: 30, 2: 20}, 0)
    known = first(points, 3)
    found = warm(points, known, ids=np.arange(90), most=6)
    scratch = kmeans(points, 3, seed=5)
    assert found.events == () and sorted(found.names) == [0, 1, 2] and found.following == 3
    assert same_partition(found.clusters.labels, scratch.labels) and same_partition(found.clusters.labels, axes)
    assert np.allclose(found.clusters.centroids, scratch.centroids, atol=1e-6)
    assert found.clusters.inertia == pytest.approx(scratch.inertia, rel=1e-5)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.lists(st.integers(5, 40), min_size=2, max_size=4), st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_more_rows_of_known_groups_keep_every_name(seed: int, before: list[int], more: list[int]) -> None:
    old, _ = blobs(dict(enumerate(before)), seed)
    known = first(old, len(before), Rules(split_size=50.0, split_width=5.0))
    new, axes = blobs({a: n for a, n in enumerate(more) if a < len(before)}, seed + 1)
    if len(axis_of(known)) < len(before) or len(set(axis_of(known).values())) < len(before):
        return  # k-means itself had put two groups into one
    both = np.concatenate([old, new])
    found = warm(both, known, ids=np.arange(len(both)), most=2 * len(before))
    told = axis_of(known)
    assert sorted(found.names) == sorted(told) and found.events == ()
    labels = found.names[found.clusters.labels]
    assert [told[int(name)] for name in labels[len(old) :]] == axes.tolist()


def test_a_new_group_is_split_off_and_the_old_one_keeps_its_name() -> None:
    old, _ = blobs({0: 40, 1: 40}, 0, wide=40)
    known = first(old, 2)
    told = axis_of(known)
    new, _ = blobs({5: 30, 0: 5}, 1, wide=40)
    both = np.concatenate([old, new])
    found = warm(both, known, ids=np.arange(len(both)), most=4)
    labels = found.names[found.clusters.labels]
    assert {told[int(n)] for n in labels[:40]} == {0} and {told[int(n)] for n in labels[40:80]} == {1}
    assert len(set(labels[80:110].tolist())) == 1 and set(labels[110:].tolist()) == {n for n, a in told.items() if a == 0}
    assert {(e["event"], e.get("why")) for e in found.events} <= {("split", "too wide"), ("merged", None)}
    assert len(found.names) == 3 and set(found.names.tolist()) > {0, 1}, "though its rows had lain on both sides of a border"


def test_a_cluster_too_large_is_split_up_to_the_bound_on_their_number() -> None:
    old, _ = blobs({0: 20, 1: 20, 2: 20, 3: 20}, 0, near=0.1)
    known = first(old, 4, Rules(split_size=2.0))
    new, _ = blobs({0: 400}, 1, near=0.1)
    both = np.concatenate([old, new])
    for most in (4, 5, 8):
        found = warm(both, known, ids=np.arange(len(both)), most=most)
        assert len(found.names) <= most
        splits = [e for e in found.events if e["event"] == "split"]
        assert len(splits) == len(found.names) - 4 and all(e["why"] == "too large" for e in splits)
    assert len(found.names) > 4 and found.clusters.sizes.max() < 420


def test_equal_points_and_single_outliers_are_never_split() -> None:
    points = np.concatenate([np.tile(np.eye(10)[0], (200, 1)), np.eye(10)[1:4], np.eye(10)[5:6]]).astype(np.float32)
    known = Known(np.eye(10)[:4].astype(np.float32), np.arange(4), np.zeros(4), 4)
    found = warm(points, known, ids=np.arange(len(points)), most=8)
    assert [e for e in found.events if e["event"] == "split"] == []


def test_centres_that_meet_become_one_under_the_older_name() -> None:
    points, _ = blobs({0: 60, 1: 30}, 0)
    close = np.eye(10)[[0, 0, 1]] + np.array([[0.0] * 10, [0.0, 0, 0.01] + [0.0] * 7, [0.0] * 10])
    known = Known(close.astype(np.float32), np.array([7, 3, 5]), np.full(3, 0.004), 9, Rules(merge=0.99))
    found = warm(points, known, ids=np.arange(90), most=6)
    assert sorted(found.names) == [3, 5] and [e for e in found.events if e["event"] == "merged"] == [
        {"event": "merged", "cluster": 7, "into": 3}]
    assert found.following == 9, "a name that has ended is not given again"
    apart = warm(points, replace(known, rules=Rules(merge=0.0)), ids=np.arange(90), most=6)
    assert sorted(apart.names) == [3, 5, 7]


def test_clusters_without_rows_end() -> None:
    points, _ = blobs({0: 20}, 0)
    known = Known(np.eye(10)[[0, 4]].astype(np.float32), np.array([2, 6]), np.full(2, 0.01), 8)
    found = warm(points, known, ids=np.arange(20), most=4)
    assert found.names.tolist() == [2] and found.events == ({"event": "emptied", "cluster": 6},)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_neither_the_order_of_rows_nor_of_clusters_changes_a_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, _ = blobs({0: 30, 1: 30, 6: 20}, seed, near=0.2)
    known, ids = first(points[:60], 3), rng.permutation(1000)[:80]
    order, turned = rng.permutation(80), rng.permutation(len(known.names))
    other = replace(known, centroids=known.centroids[turned], names=known.names[turned], widths=known.widths[turned])
    a, b = warm(points, known, ids=ids, most=6), warm(points[order], other, ids=ids[order], most=6)
    assert np.array_equal(a.names[a.clusters.labels][order], b.names[b.clusters.labels]) and a.events == b.events
    assert a.clusters.centroids.tobytes() == b.clusters.centroids.tobytes()


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="clusters have 10 dimensions, the rows 4"):
        warm(np.eye(4, dtype=np.float32), Known(np.eye(10, dtype=np.float32), np.arange(10), np.ones(10), 10), ids=np.arange(4), most=9)


def test_selectors_hand_on_the_clusters_of_what_they_keep() -> None:
    points, axes = blobs({0: 50, 1: 10, 2: 10}, 0)
    pool = Pool(np.arange(70), points, scores={"s": np.arange(70.0)})
    one = cluster_pruning(pool, 30, seed=1, k=3, known=Known())
    told = one.remember
    assert told["sizes"].sum() == 30 == len(one.index) and one.facts["known"] == 0 and one.facts["clusters"] == [0, 1, 2]
    assert "known" not in cluster_pruning(pool, 30, seed=1, k=3).facts
    known = Known(told["centroids"], told["names"], told["widths"], int(told["following"][0]))
    kept = points[one.index]
    for select, more in ((cluster_pruning, {}), (adapt, {"score_keys": ["s"]})):
        two = select(Pool(one.index, kept, scores={"s": axes[one.index] * 1.0 + np.arange(30)}), 12, seed=1, k=3, known=known, **more)
        assert len(two.index) == 12 and two.facts["kept"] == 3 and np.array_equal(two.notes["cluster"], one.notes["cluster"][one.index])
