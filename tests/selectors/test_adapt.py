"""Adapt-inf's selection: the scorer of highest entropy, exact budgets over clusters, coverage inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faiss")
from tamis.selectors.adapt import adapt
from tamis.selectors.base import Pool
from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.scorers import chosen_scorer, entropies


def pool_of(n: int, seed: int, cost: bool = False) -> Pool:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(4, 6))[rng.integers(0, 4, n)] + 0.3 * rng.normal(size=(n, 6))
    scores = {"ppl": rng.lognormal(0, 1, n), "el2n": rng.random(n), "flat": np.zeros(n)}
    return Pool(rng.permutation(n) * 3 - 7, points.astype(np.float32), cost=rng.integers(1, 9, n).astype(float) if cost else None, scores=scores)


KEYS = ["ppl", "el2n", "flat"]


def naive_entropy(score: np.ndarray) -> float:
    if np.ptp(score) == 0:
        return -np.inf
    z = (score - score.mean()) / score.std()
    share = np.histogram(np.clip(z, -4, 4), 50, (-4, 4))[0] / len(score)
    return -sum(p * np.log2(p) for p in share if p)


@settings(max_examples=40)
@given(st.integers(2, 200), st.integers(0, 10**6), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
def test_neither_unit_nor_origin_of_a_scorer_counts(n, seed, unit, origin):
    rng = np.random.default_rng(seed)
    scores, labels = np.array([rng.normal(size=n), rng.lognormal(size=n), rng.random(n)]), rng.integers(0, 3, n)
    plain, other = (entropies(s, labels, 4) for s in (scores, scores * unit + origin * unit))
    wanted = np.array([[naive_entropy(s[labels == j]) if (labels == j).any() else -np.inf for s in scores] for j in range(4)])
    here = np.isfinite(plain)
    assert (here == np.isfinite(wanted)).all() and (plain[3] == -np.inf).all()
    assert np.abs(plain[here] - other[here]).max(initial=0) <= 0.1 and np.abs(plain[here] - wanted[here]).max(initial=0) <= 0.1


@pytest.mark.parametrize("unit", [1e-3, 0.05, 1.0, 10.0, 100.0])
def test_the_same_shape_has_the_same_entropy_in_any_unit(unit):
    """The released code: 3.85, 5.55, 4.65, 1.48 and 0 bits at these five (SPECS 4.6)."""
    score = np.random.default_rng(0).normal(size=20_000)
    assert entropies(np.array([score * unit]), np.zeros(20_000, int), 1)[0, 0] == pytest.approx(np.log2(50 / 8 * np.sqrt(2 * np.pi * np.e)), abs=0.02)


def test_a_constant_is_never_chosen_and_spread_beats_a_spike():
    rng, n = np.random.default_rng(1), 500
    spike = np.where(rng.random(n) < 0.01, 30.0, 0.0) + 0.01 * rng.normal(size=n)
    two = np.where(rng.random(n) < 0.5, -1.0, 1.0) + 0.2 * rng.normal(size=n)
    labels = np.zeros(n, int)
    for first, second, best in ((np.ones(n), spike, 1), (spike, rng.random(n), 1), (two, spike, 0), (np.ones(n), np.ones(n) * 3, 0)):
        assert chosen_scorer(entropies(np.array([first, second]), labels, 1)).tolist() == [best]
    assert chosen_scorer(np.array([[2.0, 2.0 + 1e-12], [1.0, 1.5]])).tolist() == [0, 1]


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(0, 10**6), st.integers(0, 100), st.sampled_from(["equal", "score", "density"]))
def test_a_budget_is_met_exactly_over_the_clusters(n, seed, budget, budgets):
    pool = pool_of(n, seed)
    chosen = adapt(pool, budget, seed=2, score_keys=KEYS, budgets=budgets)
    sizes, quotas = np.array(chosen.facts["sizes"]), np.array(chosen.facts["quotas"])
    assert len(set(chosen.index.tolist())) == len(chosen.index) == min(budget, n) == quotas.sum() and (quotas <= sizes).all()
    assert chosen.facts["picked"] == quotas.tolist() and sum(chosen.facts["scorers"].values()) == len(sizes)
    cluster, named, stratum = (chosen.notes[name] for name in ("cluster", "scorer", "stratum"))
    scorer = np.array([list(pool.scores).index(name) for name in named.tolist()])
    scores = np.array([pool.scores[key] for key in KEYS])
    assert scorer.tolist() == chosen_scorer(entropies(scores, cluster, len(sizes)))[cluster].tolist()
    assert chosen.gain.tolist() == scores[scorer[chosen.index], chosen.index].tolist()
    picked = np.zeros(n, bool)
    picked[chosen.index] = True
    for j in range(len(sizes)):
        here, eligible = cluster == j, (cluster == j) & (stratum >= 0)
        assert not (picked & here & (stratum < 0)).any() or picked[eligible].all(), "what is cut comes last"
        strata = np.unique(stratum[eligible])
        if quotas[j] >= len(strata):
            assert set(stratum[eligible & picked]) == set(strata), "every stratum that has a row has a pick"
    if budgets == "equal":
        full = quotas == sizes
        assert full.all() or np.ptp(quotas[~full]) <= 1


def test_budgets_follow_what_they_are_named_for():
    pool = pool_of(600, 4)
    labels = kmeans(pool.embedding, 4, seed=0, ids=pool.ids).labels
    pool.scores["el2n"][labels == 2] *= 20
    by_score, by_density = (adapt(pool, 40, seed=0, score_keys=["el2n", "ppl"], budgets=b, k=4) for b in ("score", "density"))
    spread = np.array([pool.scores["el2n"][labels == j].std() for j in range(4)])
    assert np.abs(np.array(by_score.facts["quotas"]) - 40 * spread / spread.sum()).max() < 1
    clusters = kmeans(pool.embedding, 4, seed=0, ids=pool.ids)
    centres = clusters.centroids
    worth = np.array([clusters.distance[labels == j].mean() * (1 - centres[j] @ np.delete(centres, j, 0).T).mean() for j in range(4)])
    assert np.abs(np.array(by_density.facts["quotas"]) - 40 * worth / worth.sum()).max() < 1


@pytest.mark.parametrize("cost", [False, True])
def test_the_order_of_the_rows_changes_nothing(cost):
    pool, moved = pool_of(300, 6, cost), np.random.default_rng(0).permutation(300)
    other = Pool(pool.ids[moved], pool.embedding[moved], cost=pool.cost[moved] if cost else None, scores={k: v[moved] for k, v in pool.scores.items()})
    for budgets in ("equal", "score", "density"):
        a, b = (adapt(p, 120, seed=3, score_keys=KEYS, budgets=budgets) for p in (pool, other))
        assert pool.ids[a.index].tolist() == other.ids[b.index].tolist() and a.facts == b.facts


@pytest.mark.parametrize(("keys", "words"), [
    ([], "one or more scores"), (["ppl", "ppl"], "each once"), (["ppl", "loss"], "score_keys must name"), (["broken", "ppl"], "of 20 rows not so are 2 of broken"),
])
def test_nonsense_is_refused(keys, words):
    pool = pool_of(20, 0)
    pool.scores["broken"] = np.array([np.nan, np.inf] + [1.0] * 18)
    with pytest.raises(ValueError, match=words):
        adapt(pool, 3, seed=0, score_keys=keys)
    with pytest.raises(ValueError, match="score_keys must name"):
        adapt(Pool(np.arange(3), np.eye(3, dtype=np.float32)), 3, seed=0, score_keys=["a"])
    with pytest.raises(ValueError, match="short has 2 rows, ids has 3"):
        Pool(np.arange(3), scores={"short": np.ones(2)})
