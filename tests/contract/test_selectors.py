"""What every selector of the catalog that takes a budget owes: budgets held, no row twice, the order of the rows nothing."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors import catalog
from tamis.selectors.base import Pool, Selection, Selector

WORDS = ["river", "stone", "bridge", "market", "letter", "window"]
BUDGETED = [s for s in catalog.table() if "field" not in s.needs and s.name not in ("mixture_selector",)]
SCARCE = ("deita_selector", "semantic_deduplicator", "quad_selector")  # may answer fewer: what is alike is passed over


class Flat:
    """A trainer to whom all is one."""

    def scores(self, train, score, seed):
        return np.zeros(len(score))


SETTINGS = {"adapt_selector": {"score_keys": ["a", "b"]}}
HANDED = {"target": {"target": ["river stone"], "target_path": "x"}, "trainer": {"trainer": Flat()}}


def pool_of(n: int, cost: bool, seed: int = 0, same: bool = False) -> Pool:
    rng = np.random.default_rng(seed)
    points = np.ones((n, 6)) if same else rng.normal(size=(n, 6))
    texts = np.empty(n, object)
    texts[:] = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(n)]
    return Pool(
        rng.permutation(n) * 17 - 40, points.astype(np.float32), rng.integers(1, 50, n).astype(float),
        rng.integers(1, 12, n).astype(float) if cost else None, text=texts,
        scores={"a": rng.random(n), "b": rng.integers(0, 3, n).astype(float)},
    )


def choose(op: Selector, pool: Pool, budget: float, seed: int = 3) -> Selection:
    handed = {k: v for keyword in op.resources for k, v in HANDED.get(keyword, {}).items()}
    return op.function(pool, budget, seed=seed, **handed, **SETTINGS.get(op.name, {}))


def moved(pool: Pool, order: np.ndarray) -> Pool:
    columns = {k: getattr(pool, k) for k in ("ids", "embedding", "quality", "cost", "text")}
    return Pool(**{k: None if v is None else v[order] for k, v in columns.items()}, scores={k: v[order] for k, v in pool.scores.items()})


@pytest.mark.parametrize("op", BUDGETED, ids=lambda s: s.name)
@pytest.mark.parametrize("n", [0, 1, 2, 61])
@pytest.mark.parametrize("budget", [0, 1, 17, 61, 10**6])
def test_a_budget_in_rows_is_met(op, n, budget):
    chosen = choose(op, pool_of(n, cost=False), budget)
    index = chosen.index
    assert len(set(index.tolist())) == len(index) == len(chosen.gain) and index.dtype == np.int64
    assert len(index) == min(n, budget) or (op.name in SCARCE and len(index) < min(n, budget))
    assert all(len(note) == n for note in chosen.notes.values()) and chosen.facts["left"] == budget - len(index)


@pytest.mark.parametrize("op", BUDGETED, ids=lambda s: s.name)
@pytest.mark.parametrize("budget", [0, 5, 100, 10**6])
def test_a_budget_in_tokens_is_never_exceeded(op, budget):
    pool = pool_of(61, cost=True)
    chosen = choose(op, pool, budget)
    spent = pool.cost[chosen.index].sum()
    assert spent <= budget and chosen.facts["left"] == pytest.approx(budget - spent)
    rest = np.delete(pool.cost, chosen.index)
    if op.name not in SCARCE and len(rest):
        assert budget - spent < rest.min()


@pytest.mark.parametrize("op", BUDGETED, ids=lambda s: s.name)
@pytest.mark.parametrize("cost", [False, True])
def test_order_of_rows_changes_no_choice(op, cost):
    pool, order = pool_of(61, cost), np.random.default_rng(9).permutation(61)
    other = moved(pool, order)
    a, b = choose(op, pool, 40), choose(op, other, 40)
    assert pool.ids[a.index].tolist() == other.ids[b.index].tolist()
    assert np.allclose(a.gain, b.gain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("op", BUDGETED, ids=lambda s: s.name)
def test_rows_that_are_all_alike_are_no_trouble(op):
    chosen = choose(op, pool_of(40, cost=False, same=True), 11)
    assert len(set(chosen.index.tolist())) == len(chosen.index) <= 11
    assert len(chosen.index) == 11 or op.name in SCARCE


@pytest.mark.parametrize("op", BUDGETED, ids=lambda s: s.name)
def test_what_is_no_budget_is_refused(op):
    for budget in (-1, float("nan")):
        with pytest.raises(ValueError, match="the budget is"):
            choose(op, pool_of(5, cost=False), budget)
    pool = pool_of(5, cost=False)
    with pytest.raises(ValueError, match="ids must be distinct"):
        choose(op, Pool(np.zeros(5, int), pool.embedding, pool.quality, text=pool.text, scores=pool.scores), 2)
