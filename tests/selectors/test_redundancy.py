"""Semantic deduplication and cluster pruning: what they promise, by all pairs in plain NumPy; planted copies; the published rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.redundancy import cluster_pruning, semantic_dedup


def points_of(n: int, seed: int, spread: float = 0.25, d: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(max(n // 15, 1), d))[rng.integers(0, max(n // 15, 1), n)] + spread * rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def pool_of(n: int, seed: int, quality: bool = True, cost: bool = False, **more: float) -> Pool:
    rng = np.random.default_rng(seed)
    return Pool(rng.permutation(n) * 5 - 20, points_of(n, seed, **more), rng.integers(0, 9, n).astype(float) if quality else None,
                rng.integers(1, 9, n).astype(float) if cost else None)


def cosines_of(points: np.ndarray) -> np.ndarray:
    x = points.astype(np.float64)
    return 1 - ((x[:, None] - x[None]) ** 2).sum(axis=2) / 2


def rank_of(pool: Pool) -> np.ndarray:
    rank = np.empty(len(pool), np.int64)
    rank[np.lexsort((pool.ids, -pool.quality))] = np.arange(len(pool))
    return rank


@settings(max_examples=30)
@given(st.integers(1, 80), st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.4]), st.sampled_from(["components", "better"]))
def test_no_two_that_stay_are_alike_and_each_that_leaves_is_linked_to_one_that_stays(n, seed, eps, linked):
    pool = pool_of(n, seed)
    chosen = semantic_dedup(pool, n, seed=0, eps=eps, linked=linked, nearby=99, k=5)
    x, rank = cosines_of(pool.embedding), rank_of(pool)
    alike = (x > 1 - eps) & ~np.eye(n, dtype=bool)
    stays = np.zeros(n, bool)
    stays[chosen.index] = True
    assert not (alike & stays[:, None] & stays[None]).any()
    assert (stays | (alike & (rank[None] < rank[:, None])).any(axis=1) | (linked == "components")).all()
    reached = np.linalg.matrix_power(alike.astype(float) + np.eye(n), n) > 0
    to = chosen.instead.row
    assert chosen.instead.duplicate.tolist() == (~stays).tolist() and stays[to[~stays]].all() and (to[stays] == -1).all()
    assert reached[np.flatnonzero(~stays), to[~stays]].all() and (rank[to[~stays]] < rank[~stays]).all()
    assert np.allclose(chosen.instead.similarity[~stays], x[np.flatnonzero(~stays), to[~stays]], atol=1e-6)
    if linked == "components":  # exactly the best row of each component stays
        assert stays.tolist() == [rank[i] == rank[reached[i]].min() for i in range(n)]
    else:  # the published rule: no better row is alike
        assert stays.tolist() == (~(alike & (rank[None] < rank[:, None])).any(axis=1)).tolist()
    assert chosen.facts["pairs"] == alike.sum() // 2 and chosen.facts["duplicates"] == (~stays).sum()


def published(points: np.ndarray, labels: np.ndarray, distance: np.ndarray, ids: np.ndarray, eps: float) -> np.ndarray:
    """bool[n], the rows that SemDeDup's own procedure keeps: per cluster, farthest first, dropped where a row before is alike."""
    keep = np.ones(len(points), bool)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        rows = rows[np.lexsort((ids[rows], -distance[rows]))]
        x = cosines_of(points[rows])
        keep[rows] = np.tril(x, -1).max(axis=1, initial=-1) <= 1 - eps
    return keep


@pytest.mark.parametrize("eps", [0.1, 0.2])
def test_linked_better_without_neighbours_is_the_published_procedure_and_with_them_the_pairs_it_leaves_go(eps):
    pool = pool_of(600, 3, quality=False, spread=0.35)
    clusters = kmeans(pool.embedding, 24, seed=4, ids=pool.ids)
    theirs = published(pool.embedding, clusters.labels, clusters.distance, pool.ids, eps)
    same = semantic_dedup(pool, 600, seed=4, eps=eps, linked="better", nearby=0, k=24)
    assert sorted(same.index.tolist()) == np.flatnonzero(theirs).tolist()
    alike = (cosines_of(pool.embedding) > 1 - eps) & ~np.eye(600, dtype=bool)
    assert (alike & theirs[:, None] & theirs[None]).sum() // 2 > 3, "pairs split by a border"
    for linked in ("better", "components"):
        ours = np.zeros(600, bool)
        ours[semantic_dedup(pool, 600, seed=4, eps=eps, linked=linked, nearby=24, k=24).index] = True
        assert not (alike & ours[:, None] & ours[None]).any()


def test_planted_copies_leave_and_nothing_else_does():
    """A third of the rows are copies, exact or all but so, of rows that are not alike otherwise."""
    rng, base = np.random.default_rng(1), np.eye(64)[np.arange(200) % 64] + 0.4 * np.random.default_rng(0).normal(size=(200, 64))
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    of = rng.integers(0, 200, 100)
    copies = base[of] + np.where(np.arange(100) < 50, 0, 0.01)[:, None] * rng.normal(size=(100, 64))
    points = np.concatenate([base, copies / np.linalg.norm(copies, axis=1, keepdims=True)]).astype(np.float32)
    quality = np.concatenate([np.ones(200), np.zeros(100)])
    chosen = semantic_dedup(Pool(np.arange(300), points, quality), 300, seed=0)
    assert sorted(chosen.index.tolist()) == list(range(200)) and chosen.instead.row[200:].tolist() == of.tolist()
    pruned = cluster_pruning(Pool(np.arange(300), points, quality), 200, seed=0)
    assert sorted(pruned.index.tolist()) == list(range(200)) and pruned.instead.row[200:].tolist() == of.tolist()
    assert pruned.instead.duplicate[200:].all() and pruned.facts["duplicates"] == 100


@pytest.mark.parametrize("seed", range(3))
def test_thirty_percent_of_copies_at_a_cap_of_seventy(seed):
    """SPECS 4, what to test, 3: whatever the clusters, what stays is pairwise no copy, and every copy is found."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(700, 24))
    order, of = rng.permutation(1000), np.concatenate([np.arange(700), rng.integers(0, 60, 300)])
    points = (base / np.linalg.norm(base, axis=1, keepdims=True)).astype(np.float32)[of[order]]
    chosen = cluster_pruning(Pool(rng.permutation(1000), points), 700, seed=seed, eps=0.001)
    assert sorted(of[order][chosen.index].tolist()) == list(range(700))
    assert of[order][chosen.instead.row[chosen.instead.row >= 0]].tolist() == of[order][chosen.instead.row >= 0].tolist()


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(0, 10**6), st.integers(0, 100), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.02, 0.3]))
def test_a_cap_is_met_exactly_and_no_cluster_gives_more_than_it_has(n, seed, cap, beta, eps):
    pool = pool_of(n, seed)
    chosen = cluster_pruning(pool, cap, seed=1, beta=beta, eps=eps)
    sizes, quotas, picked = (np.array(chosen.facts[name]) for name in ("sizes", "quotas", "picked"))
    assert len(set(chosen.index.tolist())) == len(chosen.index) == min(cap, n) == quotas.sum()
    assert picked.tolist() == quotas.tolist() and (quotas <= sizes).all() and sizes.sum() == n
    cluster, rank, alike = (chosen.notes[name] for name in ("cluster", "rank", "alike"))
    assert sorted(chosen.index.tolist()) == np.flatnonzero(rank <= quotas[cluster]).tolist(), "the least alike of each"
    order = np.lexsort((rank, cluster))
    assert (np.diff(alike[order])[np.diff(cluster[order]) == 0] >= 0).all()
    out = np.setdiff1d(np.arange(n), chosen.index)
    if (alike[out] <= 1 - eps).any():
        assert (alike[chosen.index] <= 1 - eps).all(), "no copy stays while another row leaves"
    fresh = np.bincount(cluster[alike <= 1 - eps], minlength=len(sizes))
    full = quotas >= fresh
    if beta == 0 and not full.all():
        assert np.ptp(quotas[~full]) <= 1 and (quotas[full] <= quotas[~full].max()).all(), "equal parts, but for what is full"


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60))
def test_what_a_smaller_budget_keeps_a_larger_one_keeps(n, seed, a, b):
    pool, (small, large) = pool_of(n, seed), sorted((a, b))
    for eps in (None, 0.05):
        one, other = (semantic_dedup(pool, budget, seed=1, eps=eps) for budget in (small, large))
        assert one.index.tolist() == other.index[: len(one.index)].tolist()
        assert eps or len(other.index) == min(large, n)
        assert (np.diff(other.gain) <= 0).all() and ((other.gain > 0.05) | (eps is None)).all()
    one, other = (cluster_pruning(pool, cap, seed=1) for cap in (small, large))
    assert set(one.index.tolist()) <= set(other.index.tolist())


def test_a_quota_leaves_out_those_most_alike_to_a_better_row():
    pool = pool_of(120, 7)
    x, rank = cosines_of(pool.embedding), rank_of(pool)
    likeness = np.where(rank[None] < rank[:, None], x, -1).max(axis=1)
    chosen = semantic_dedup(pool, 50, seed=0, eps=None, nearby=99, k=6)
    assert chosen.index.tolist() == np.lexsort((rank, likeness))[:50].tolist()
    assert not chosen.instead.duplicate.any() and set(chosen.instead.row.tolist()) - {-1} <= set(chosen.index.tolist())


@pytest.mark.parametrize("function", [semantic_dedup, cluster_pruning])
@pytest.mark.parametrize("told", [{}, {"clustering": "bounded", "most": 40}, {"keep": "easy"}])
@pytest.mark.parametrize("quality", [True, False])
def test_the_order_of_the_rows_changes_neither_choice_nor_ledger(function, told, quality):
    pool, moved = pool_of(300, 2, quality), np.random.default_rng(0).permutation(300)
    other = Pool(pool.ids[moved], pool.embedding[moved], pool.quality[moved] if quality else None)
    a, b = (function(p, 170, seed=3, **told) for p in (pool, other))
    assert pool.ids[a.index].tolist() == other.ids[b.index].tolist() and a.facts == b.facts
    def names(chosen, p, order):
        row = chosen.instead.row[order]
        return np.where(row < 0, -99, p.ids[row]).tolist(), chosen.instead.duplicate[order].tolist()
    assert names(a, pool, np.argsort(pool.ids)) == names(b, other, np.argsort(other.ids))


def test_hard_keeps_the_farthest_and_easy_the_nearest():
    pool = pool_of(200, 4, quality=False)
    for keep, sign in (("hard", 1), ("easy", -1)):
        chosen = semantic_dedup(pool, 200, seed=0, keep=keep, k=8)
        out = np.flatnonzero(chosen.instead.duplicate)
        distance = sign * chosen.notes["distance"]
        assert len(out) > 20 and (distance[chosen.instead.row[out]] >= distance[out]).all()


def test_small_clusters_stay_whole_where_large_ones_are_thinned():
    rng, sizes = np.random.default_rng(0), [400, 200, 20, 10]
    labels = np.repeat(np.arange(4), sizes)
    points = np.eye(16)[labels] + 0.1 * rng.normal(size=(630, 16))
    pool = Pool(np.arange(630), (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32))
    chosen = cluster_pruning(pool, 200, seed=0, k=4, eps=0.001)
    assert np.bincount(labels[chosen.index]).tolist() == [85, 85, 20, 10]
    assert cluster_pruning(pool, 315, seed=0, k=4, beta=1.0, eps=0.001).facts["picked"] == [200, 100, 10, 5]


@pytest.mark.parametrize(("function", "told", "words"), [
    (semantic_dedup, {"eps": 0.0}, "eps is 0.0"), (semantic_dedup, {"eps": 2.5}, "above 0 and at most 2"), (cluster_pruning, {"eps": -1.0}, "eps is -1"),
    (cluster_pruning, {"beta": -1.0}, "beta is -1"), (cluster_pruning, {"beta": np.nan}, "beta is nan"), (semantic_dedup, {"k": 0}, "k is 0"),
])
def test_nonsense_is_refused(function, told, words):
    with pytest.raises(ValueError, match=words):
        function(pool_of(5, 0), 3, seed=0, **told)


def test_empty_pools():
    empty = Pool(np.empty(0, np.int64), np.empty((0, 4), np.float32))
    for function in (semantic_dedup, cluster_pruning):
        assert len(function(empty, 5, seed=0).index) == 0
