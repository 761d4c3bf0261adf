"""kMQ, kM-closest and kM-random worked out by hand: quotas in fractions, ranks by the Gumbel numbers, picks in proportion."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.diversity import kmeans_diversity
from tamis.selectors.parts.draw import uniform

SIZES = st.lists(st.integers(1, 14), min_size=1, max_size=7)


def planted(sizes: list[int], seed: int = 0) -> Pool:
    """Tight groups around orthogonal centres, with qualities, shuffled."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.eye(8)[label] + 0.01 * rng.normal(size=(len(label), 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Pool(rng.permutation(len(label)) * 13 + 5, points.astype(np.float32), rng.integers(0, 5, len(label)).astype(float))


def largest_remainders(sizes: list[int], budget: int) -> list[int]:
    """Budget x size / all, rounded so that the sum is the budget: the largest fractions first, ties to the larger cluster."""
    exact = [Fraction(min(budget, sum(sizes)) * n, sum(sizes)) for n in sizes]
    units = [int(e) for e in exact]
    order = sorted(range(len(sizes)), key=lambda j: -(exact[j] - units[j]))
    for j in order[: min(budget, sum(sizes)) - sum(units)]:
        units[j] += 1
    return units


@settings(max_examples=30)
@given(SIZES, st.integers(0, 60), st.sampled_from(["kmq", "closest", "random"]))
def test_each_cluster_gets_its_part_and_gives_its_best(sizes: list[int], budget: int, method: str) -> None:
    pool = planted(sizes)
    chosen = kmeans_diversity(pool, budget, seed=3, method=method, k=len(sizes))  # type: ignore[arg-type]
    cluster, rank = chosen.notes["cluster"], chosen.notes["rank"]
    assert chosen.facts["sizes"] == sorted(sizes, reverse=True)
    quotas = largest_remainders(chosen.facts["sizes"], budget)
    assert chosen.facts["quotas"] == quotas == chosen.facts["picked"]
    u = uniform(3, pool.ids)
    with np.errstate(divide="ignore"):
        logit = np.log(pool.quality) if method == "kmq" else np.zeros(len(pool))
    key = logit - np.log(-np.log(u))
    for j, quota in enumerate(quotas):
        rows = np.flatnonzero(cluster == j).tolist()
        centre = pool.embedding[rows].astype(np.float64).mean(axis=0)
        away = 1 - pool.embedding @ (centre / np.linalg.norm(centre))
        first = sorted(rows, key=lambda i: away[i]) if method == "closest" else sorted(rows, key=lambda i: (-key[i], -u[i]))
        if method == "closest":  # float32 may tell neighbours apart otherwise
            assert np.allclose(away[first], sorted(chosen.notes["distance"][rows]), atol=1e-6)
            first = sorted(rows, key=lambda i: (chosen.notes["distance"][i], pool.ids[i]))
        assert [rank[i] for i in first] == list(range(1, len(rows) + 1))
        assert sorted(set(chosen.index.tolist()) & set(rows)) == sorted(first[:quota])
    gain = {"kmq": pool.quality, "closest": -chosen.notes["distance"].astype(float), "random": np.ones(len(pool))}[method]
    assert chosen.gain.tolist() == gain[chosen.index].tolist()


@settings(max_examples=30)
@given(SIZES, st.integers(1, 60))
def test_the_first_half_is_what_half_of_the_budget_would_have_picked(sizes: list[int], budget: int) -> None:
    """Row r of a quota q stands at (r - 1/2) / q: the order of the picks is proportional too, but for rounding."""
    pool = planted(sizes)
    chosen, half = (kmeans_diversity(pool, b, seed=0, k=len(sizes)) for b in (budget, budget // 2))
    cluster, quotas = chosen.notes["cluster"], np.array(chosen.facts["quotas"])
    stands = (chosen.notes["rank"][chosen.index] - 0.5) / quotas[cluster[chosen.index]]
    assert (np.diff(stands) >= 0).all()
    first = chosen.index[: len(half.index)]
    assert (np.abs(np.bincount(cluster[first], minlength=len(quotas)) - half.facts["picked"]) <= 2).all()


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
def test_beta_weighs_by_the_power_of_the_size(beta: float) -> None:
    sizes, budget = [40, 20, 8, 2], 30
    chosen = kmeans_diversity(planted(sizes), budget, seed=0, k=4, beta=beta)

    def level(height: float) -> float:
        return sum(min(n, height * n**beta) for n in sizes)

    low, high = 0.0, 1e6
    for _ in range(200):
        low, high = (low, (low + high) / 2) if level((low + high) / 2) >= budget else ((low + high) / 2, high)
    exact = [min(n, high * n**beta) for n in sizes]
    quotas = chosen.facts["quotas"]
    assert sum(quotas) == budget and all(abs(q - e) < 1 for q, e in zip(quotas, exact, strict=True))


@settings(max_examples=25)
@given(SIZES, st.integers(0, 120), st.integers(0, 10**6))
def test_in_tokens_each_cluster_spends_its_part_but_for_a_row(sizes: list[int], budget: int, seed: int) -> None:
    pool = planted(sizes, seed)
    cost = np.random.default_rng(seed).integers(1, 9, len(pool)).astype(float)
    chosen = kmeans_diversity(Pool(pool.ids, pool.embedding, pool.quality, cost), budget, seed=1, k=len(sizes))
    cluster = chosen.notes["cluster"]
    whole = np.bincount(cluster, cost, len(chosen.facts["sizes"]))
    assert np.allclose(chosen.facts["quotas"], min(budget, whole.sum()) * whole / whole.sum())
    spent = cost[chosen.index].sum()
    assert spent <= budget and chosen.facts["left"] == budget - spent
    rest = np.delete(cost, chosen.index)
    assert not len(rest) or budget - spent < rest.min()
    assert chosen.facts["picked"] == np.bincount(cluster[chosen.index], minlength=len(whole)).tolist()


def test_a_seed_draws_anew_and_the_same_seed_the_same() -> None:
    pool = planted([30, 20, 10])
    one, again, other = (kmeans_diversity(pool, 20, seed=s, k=3) for s in (1, 1, 2))
    assert one.index.tolist() == again.index.tolist() and set(one.index.tolist()) != set(other.index.tolist())
    assert one.facts["quotas"] == other.facts["quotas"], "chance is within the clusters"


def test_budgets_of_one_cluster_are_nested() -> None:
    pool = planted([40])
    picks = [kmeans_diversity(pool, b, seed=5, k=1).index.tolist() for b in range(0, 41, 8)]
    assert all(large[: len(small)] == small for small, large in pairwise(picks))


@pytest.mark.parametrize(("budget", "rows"), [(7.9, 7), (0.5, 0), (np.inf, 30)])
def test_a_budget_in_rows_is_its_whole_part(budget: float, rows: int) -> None:
    chosen = kmeans_diversity(planted([20, 10]), budget, seed=0, k=2)
    assert len(chosen.index) == rows and chosen.facts["left"] == budget - rows
