"""kM-Closest, kM-Random and kMQ against what the paper's equations promise (SPECS 3, "What to test")."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool, Selection
from tamis.selectors.diversity import kmeans_diversity

METHODS = ["kmq", "closest", "random"]
SIZES = [400, 200, 100, 50, 25, 12, 6, 3]


def planted(sizes: list[int] = SIZES, d: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.eye(d)[labels] + 0.02 * rng.normal(size=(len(labels), d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def same(a: Selection, b: Selection) -> bool:
    return a.index.tolist() == b.index.tolist() and a.gain.tolist() == b.gain.tolist() and a.facts == b.facts


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [0, 1, 5, 100, 333, 796, 10_000])
def test_quotas_are_exact_and_proportional(method, budget):
    points, _ = planted()
    chosen = kmeans_diversity(Pool(np.arange(796), points), budget, seed=1, method=method, k=8)
    assert len(set(chosen.index.tolist())) == len(chosen.index) == min(budget, 796)
    sizes, quotas = np.array(chosen.facts["sizes"]), np.array(chosen.facts["quotas"])
    assert sizes.tolist() == SIZES and chosen.facts["picked"] == quotas.tolist()
    assert chosen.facts["left"] == budget - quotas.sum()
    assert (np.abs(quotas - min(budget, 796) * sizes / 796) < 1).all() and (quotas <= sizes).all()


@pytest.mark.parametrize("method", METHODS)
def test_notes_tell_why(method):
    points, _ = planted()
    chosen = kmeans_diversity(Pool(np.arange(796), points), 100, seed=1, method=method, k=8)
    cluster, rank, quotas = chosen.notes["cluster"], chosen.notes["rank"], np.array(chosen.facts["quotas"])
    assert sorted(chosen.index.tolist()) == np.flatnonzero(rank <= quotas[cluster]).tolist()
    for j, size in enumerate(SIZES):
        assert sorted(rank[cluster == j].tolist()) == list(range(1, size + 1))
    if method == "closest":
        order = np.lexsort((rank, cluster))
        assert (np.diff(chosen.notes["distance"][order])[np.diff(cluster[order]) == 0] >= 0).all()


def test_without_quality_kmq_is_random():
    points, _ = planted()
    kmq, constant, random = (
        kmeans_diversity(Pool(np.arange(796), points, quality), 100, seed=4, method=method, k=8)
        for quality, method in ((None, "kmq"), (np.full(796, 3.7), "kmq"), (None, "random"))
    )
    assert kmq.index.tolist() == constant.index.tolist() == random.index.tolist()


def test_constant_quality_draws_every_row_equally_often():
    points, _ = planted([30])
    seen = np.zeros(30)
    for seed in range(2000):
        seen[kmeans_diversity(Pool(np.arange(30), points, np.ones(30)), 10, seed=seed, k=1, iterations=1).index] += 1
    assert ((seen - seen.mean()) ** 2 / seen.mean()).sum() / (2 / 3) < 66  # df 29, p = 1e-4


def test_a_dominant_quality_is_always_picked():
    points, labels = planted()
    quality = np.ones(796)
    best = [int(np.flatnonzero(labels == j)[0]) for j in range(4)]
    quality[best] = 1e9
    for seed in range(50):
        chosen = kmeans_diversity(Pool(np.arange(796), points, quality), 40, seed=seed, k=8)
        assert set(best) <= set(chosen.index.tolist())


def test_quality_raises_quality_and_gamma_more():
    points, _ = planted()
    quality = np.random.default_rng(0).random(796)
    plain, once, four = (
        kmeans_diversity(Pool(np.arange(796), points, quality), 100, seed=0, k=8, gamma=g) for g in (0.0, 1.0, 4.0)
    )
    assert quality[plain.index].mean() + 0.05 < quality[once.index].mean() < quality[four.index].mean() - 0.05
    assert once.gain.tolist() == quality[once.index].tolist()


def test_no_quality_is_drawn_only_when_nothing_else_is_left():
    points, _ = planted([50])
    quality = np.where(np.arange(50) < 20, 0.0, 1.0)
    chosen = kmeans_diversity(Pool(np.arange(50), points, quality), 35, seed=0, k=1)
    assert sorted(quality[chosen.index].tolist()) == [0.0] * 5 + [1.0] * 30


@pytest.mark.parametrize("seed", range(5))
def test_closest_with_one_pick_a_blob_takes_the_medoids(seed):
    points, labels = planted([60, 40, 30, 20, 10])
    chosen = kmeans_diversity(Pool(np.arange(160), points), 5, seed=seed, method="closest", k=5, beta=0.0)
    x = points.astype(np.float64)
    away = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    members = [np.flatnonzero(labels == j) for j in range(5)]
    medoids = [int(rows[away[np.ix_(rows, rows)].sum(axis=0).argmin()]) for rows in members]
    assert sorted(chosen.index.tolist()) == sorted(medoids)


def test_beta_goes_from_equal_parts_to_the_papers():
    points, _ = planted()
    equal, half, paper = (
        kmeans_diversity(Pool(np.arange(796), points), 80, seed=0, k=8, beta=b).facts["quotas"] for b in (0.0, 0.5, 1.0)
    )
    assert equal == [12, 12, 12, 12, 12, 11, 6, 3]  # 80 over 8 is 10; what two are too small for goes to the others
    assert paper[0] > half[0] > equal[0] and paper[7] < half[7] <= equal[7]


def test_a_prefix_is_a_smaller_selection():
    points, _ = planted()
    chosen = kmeans_diversity(Pool(np.arange(796), points), 200, seed=0, k=8)
    quotas = np.array(chosen.facts["quotas"])
    for m in (20, 50, 100, 150):
        seen = np.bincount(chosen.notes["cluster"][chosen.index[:m]], minlength=8)
        assert (np.abs(seen - quotas * m / 200) <= 1).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("priced", [False, True])
def test_order_changes_nothing_and_the_seed_does(method, priced):
    points, _ = planted()
    rng = np.random.default_rng(1)
    ids, quality, cost = rng.integers(-(2**62), 2**62, 796), rng.random(796), rng.random(796) + 0.1
    def choose(rows, seed):
        pool = Pool(ids[rows], points[rows], quality[rows], cost[rows] if priced else None)
        chosen = kmeans_diversity(pool, 60.0, seed=seed, method=method)
        back = {n: v[np.argsort(ids[rows])].tolist() for n, v in chosen.notes.items()}
        return ids[rows][chosen.index].tolist(), chosen.gain.tolist(), back, chosen.facts

    straight, shuffled = np.arange(796), rng.permutation(796)
    assert choose(straight, 3) == choose(shuffled, 3)
    assert set(choose(straight, 3)[0]) != set(choose(straight, 4)[0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40), st.integers(0, 900), st.sampled_from(METHODS),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_tokens_stay_within_the_budget_and_leave_little(costs, budget, method, beta):
    n, cost = len(costs), np.array(costs, float)
    points = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
    chosen = kmeans_diversity(Pool(np.arange(n), points, cost=cost), budget, seed=0, method=method, beta=beta)
    out = np.setdiff1d(np.arange(n), chosen.index)
    assert len(set(chosen.index.tolist())) == len(chosen.index)
    assert cost[chosen.index].sum() + chosen.facts["left"] == budget and chosen.facts["left"] >= 0
    assert not len(out) or chosen.facts["left"] < cost[out].min()


def test_tokens_are_shared_by_the_clusters_tokens():
    points, labels = planted([300, 200, 100])
    cost = np.random.default_rng(0).integers(1, 20, 600) * np.where(labels == 2, 4.0, 1.0)
    pool = Pool(np.arange(600), points, cost=cost)
    chosen = kmeans_diversity(pool, 2000, seed=0, k=3)
    spent = np.bincount(chosen.notes["cluster"][chosen.index], cost[chosen.index], 3)
    whole = np.bincount(chosen.notes["cluster"], cost, 3)
    assert np.allclose(chosen.facts["quotas"], 2000 * whole / whole.sum())
    assert np.abs(spent - chosen.facts["quotas"]).max() <= 2 * cost.max()


def test_a_cost_of_one_is_a_row():
    points, _ = planted()
    rows = kmeans_diversity(Pool(np.arange(796), points), 100, seed=0, k=8)
    ones = kmeans_diversity(Pool(np.arange(796), points, cost=np.ones(796)), 100, seed=0, k=8)
    assert len(ones.index) == 100
    assert np.abs(np.array(ones.facts["picked"]) - rows.facts["picked"]).max() <= 1


def test_small_pools():
    empty = kmeans_diversity(Pool(np.empty(0, np.int64), np.empty((0, 4), np.float32)), 5, seed=0)
    assert len(empty.index) == 0 and set(empty.notes) == {"cluster", "rank", "distance"}
    one = kmeans_diversity(Pool(np.array([7]), np.ones((1, 4), np.float32)), 5, seed=0)
    assert one.index.tolist() == [0]
    free = kmeans_diversity(Pool(np.arange(3), np.eye(3, dtype=np.float32), cost=np.zeros(3)), 0, seed=0)
    assert sorted(free.index.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("change", "words"), [
    ({"embedding": None}, "no embedding"), ({"quality": np.array([1, -1, np.nan])}, "1 are negative and 1 NaN"),
    ({"method": "best"}, "kmq, closest, random"), ({"beta": -1.0}, "beta"), ({"gamma": np.nan}, "gamma"),
    ({"k": 0}, "k is 0"),
    ({"embedding": np.zeros((3, 2), np.float32)}, "3 are zero"), ({"ids": np.zeros(3, np.int64)}, "2 of 3 rows repeat"),
])
def test_nonsense_is_refused(change, words):
    columns = {k: v for k, v in change.items() if k in ("ids", "embedding", "quality")}
    pool = Pool(**{"ids": np.arange(3), "embedding": np.eye(3, dtype=np.float32)} | columns)
    with pytest.raises(ValueError, match=words):
        kmeans_diversity(pool, 2, seed=0, **{k: v for k, v in change.items() if k not in columns})


@pytest.mark.parametrize("k", ["silhouette", "exact_silhouette", "agreement"])
def test_the_number_of_clusters_can_be_searched_for(k):
    points, _ = planted([90] * 8)
    chosen = kmeans_diversity(Pool(np.arange(720), points), 80, seed=0, k=k)
    assert chosen.facts["k"] == 8 and chosen.facts["k_chosen_by"] == k and chosen.facts["k_scores"]["8"] > 0.8
    assert chosen.facts["picked"] == [10] * 8


@pytest.mark.parametrize("clustering", ["bounded", "kmedoids"])
def test_other_clusterings_keep_the_quotas(clustering):
    points, label = planted()
    chosen = kmeans_diversity(Pool(np.arange(796), points), 100, seed=1, k=8, clustering=clustering, most=90)
    sizes, quotas = np.array(chosen.facts["sizes"]), np.array(chosen.facts["quotas"])
    assert quotas.sum() == 100 == len(chosen.index) and (np.abs(quotas - 100 * sizes / 796) < 1).all()
    pure = [len(set(label[chosen.notes["cluster"] == j].tolist())) == 1 for j in range(len(sizes))]
    if clustering == "bounded":
        assert sizes.max() <= 90
    else:
        assert sizes.sum() == 796 and all(pure)
