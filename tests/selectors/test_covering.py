"""k-center, facility location and QDIT against brute force, and against their own guarantees."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.covering import facility_location, k_center, qdit
from tamis.selectors.parts.cover import dense, lazy_greedy, links, stochastic_greedy, worth


def cloud(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(7, d))[rng.integers(0, 7, n)] + 0.5 * rng.normal(size=(n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def naive(similarity: np.ndarray, m: int, bonus: np.ndarray | None = None) -> list[int]:
    """Greedy as the definition has it: float32 differences summed in float64, ties to the lower row."""
    n, best, picks = len(similarity), np.zeros(len(similarity), np.float32), []
    for _ in range(m):
        gains = np.full(n, -np.inf)
        for j in set(range(n)) - set(picks):
            total = 0.0
            for i in range(n):
                more = np.float32(similarity[i, j]) - best[i]
                total += float(more) if more > 0 else 0.0
            gains[j] = total + (0 if bonus is None else bonus[j])
        picks.append(int(gains.argmax()))
        best = np.maximum(best, similarity[:, picks[-1]].astype(np.float32))
    return picks


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 16), st.integers(0, 10**6), st.booleans(), st.booleans())
def test_lazy_greedy_is_naive_greedy(n, seed, ties, bonus):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, (n, n)) / 4 if ties else rng.random((n, n))
    extra = rng.integers(0, 3, n).astype(float) if bonus else None
    picks, gains = lazy_greedy(dense(similarity), n, bonus=extra)
    assert picks.tolist() == naive(similarity, n, extra)
    assert (np.diff(gains) <= 1e-9).all()  # diminishing returns


@pytest.mark.parametrize("seed", range(6))
def test_greedy_reaches_its_share_of_the_best(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.random((12, 12)) ** 4
    graph = dense(similarity)
    for m in (2, 4):
        best = max(worth(graph, np.array(s)) for s in itertools.combinations(range(12), m))
        assert worth(graph, lazy_greedy(graph, m)[0]) >= (1 - 1 / np.e) * best
        drawn = [worth(graph, stochastic_greedy(graph, m, np.arange(12), s, epsilon=0.1)[0]) for s in range(30)]
        assert np.mean(drawn) >= (1 - 1 / np.e - 0.1) * best


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_a_row_adds_less_to_more(seed):
    rng = np.random.default_rng(seed)
    graph, order = dense(rng.random((9, 9))), rng.permutation(9)
    small, large, one = order[:3], order[:6], order[8:]
    gain = [worth(graph, np.append(s, one)) - worth(graph, s) for s in (small, large)]
    assert gain[0] >= gain[1] - 1e-6


def test_links_are_symmetric_and_hold_each_row_itself():
    points = cloud(200)
    graph = links(points, 9)
    matrix = np.zeros((200, 200))
    for j in range(200):
        at = slice(graph.ends[j], graph.ends[j + 1])
        assert (np.diff(graph.row[at]) > 0).all()
        matrix[graph.row[at], j] = graph.similarity[at]
    assert (matrix == matrix.T).all() and (np.diag(matrix) == 1).all()
    cosines = points.astype(np.float64) @ points.T
    nearest = np.argsort(-(cosines - 2 * np.eye(200)), axis=1)[:, :9]
    wanted = np.zeros((200, 200), bool)
    wanted[np.arange(200)[:, None], nearest] = True
    wanted = (wanted | wanted.T) & (cosines > 0) | np.eye(200, dtype=bool)
    assert np.allclose(matrix, np.where(wanted, np.minimum(cosines, 1), 0), atol=1e-5)


@pytest.mark.parametrize("choose", [k_center, facility_location, qdit])
@pytest.mark.parametrize("budget", [0, 1, 37, 120, 500])
def test_budgets_in_rows_are_met(choose, budget):
    chosen = choose(Pool(np.arange(120), cloud(120), np.arange(120.0)), budget, seed=0)
    assert len(set(chosen.index.tolist())) == len(chosen.index) == len(chosen.gain) == min(budget, 120)
    assert chosen.facts["left"] == budget - len(chosen.index)


@pytest.mark.parametrize("choose", [k_center, facility_location, qdit])
def test_tokens_are_never_exceeded_and_used_up(choose):
    cost = np.random.default_rng(0).integers(1, 40, 120).astype(float)
    chosen = choose(Pool(np.arange(120), cloud(120), np.arange(120.0), cost), 300, seed=0)
    spent = cost[chosen.index].sum()
    assert spent <= 300 and 300 - spent < np.delete(cost, chosen.index).min() and chosen.facts["left"] == 300 - spent


@pytest.mark.parametrize("choose", [k_center, facility_location, qdit])
def test_order_of_rows_changes_nothing(choose):
    points, ids, order = cloud(150), np.arange(150) * 5 - 200, np.random.default_rng(1).permutation(150)
    quality = np.random.default_rng(2).random(150)
    a, b = (choose(Pool(ids[o], points[o], quality[o]), 40, seed=3) for o in (np.arange(150), order))
    assert ids[a.index].tolist() == ids[order][b.index].tolist()


def test_k_center_is_within_twice_the_best_radius():
    for seed in range(4):
        points = cloud(14, d=3, seed=seed)
        away = 1 - points.astype(np.float64) @ points.T
        # 1 - cosine is half a squared distance: twice in distance is four times here
        best = min(away[:, list(s)].min(axis=1).max() for s in itertools.combinations(range(14), 3))
        chosen = k_center(Pool(np.arange(14), points), 3, seed=seed)
        assert chosen.facts["radius"] <= 4 * best + 1e-6
        assert chosen.facts["radius"] == pytest.approx(away[:, chosen.index].min(axis=1).max(), abs=1e-5)


def test_facility_location_takes_one_of_each_planted_group():
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(np.arange(10), 30))
    points = np.eye(16)[label] + 0.02 * rng.normal(size=(300, 16))
    for greedy in ("lazy", "stochastic"):
        chosen = facility_location(Pool(np.arange(300), points.astype(np.float32)), 10, seed=0, greedy=greedy)
        assert len(set(label[chosen.index])) >= (10 if greedy == "lazy" else 7)
        assert chosen.notes["served"][chosen.index] == pytest.approx(np.ones(10))


def test_qdit_goes_from_cover_to_quality():
    points, quality = cloud(200), np.random.default_rng(0).random(200)
    pool = Pool(np.arange(200), points, quality)
    assert qdit(pool, 20, seed=0, alpha=0).index.tolist() == facility_location(pool, 20, seed=0).index.tolist()
    assert qdit(pool, 20, seed=0, alpha=1).index.tolist() == np.argsort(-quality)[:20].tolist()
    means = [quality[qdit(pool, 20, seed=0, alpha=a).index].mean() for a in (0, 0.3, 0.6, 1)]
    assert means == sorted(means)


def test_what_is_no_use_is_refused():
    pool = Pool(np.arange(3), np.eye(3, dtype=np.float32), cost=np.ones(3))
    with pytest.raises(ValueError, match="stochastic greedy takes budgets in rows"):
        facility_location(pool, 2, seed=0, greedy="stochastic")
    with pytest.raises(ValueError, match="alpha is 2"):
        qdit(pool, 2, seed=0, alpha=2)
    with pytest.raises(ValueError, match="of 3 vectors 1 are zero"):
        k_center(Pool(np.arange(3), np.diag([1.0, 1, 0])), 2, seed=0)


@pytest.mark.parametrize("search", ["hnsw", "ivf"])
@pytest.mark.parametrize("choose", [facility_location, qdit])
def test_neighbours_searched_for_otherwise_cover_as_well(choose, search):
    pool = Pool(np.arange(900), cloud(900), np.linspace(0, 1, 900))
    exact, other = choose(pool, 60, seed=0, neighbours=16), choose(pool, 60, seed=0, neighbours=16, search=search, recall=0.98)
    assert exact.facts["search"] == "exact" and exact.facts["recall"] == 1
    assert other.facts["search"] == search and other.facts["recall"] >= 0.98
    graph = links(pool.embedding, 16)
    assert worth(graph, other.index) >= 0.99 * worth(graph, exact.index)
    again = choose(pool, 60, seed=0, neighbours=16, search=search, recall=0.98)
    assert (again.index == other.index).all()
