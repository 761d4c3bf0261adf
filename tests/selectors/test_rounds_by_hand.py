"""The refinement loop round by round against plain loops: shares with a floor, rows in their order, weights by Hedge."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors.base import Pool
from tamis.selectors.iterative import iterative_diversity, reweighed
from tamis.selectors.parts.allocate import share
from tamis.selectors.parts.draw import gumbel_top, quality_logits

GROUPS = [60, 40, 20, 8]


class Planted:
    """Scores by the group that the text names."""

    def __init__(self, worth: list[float]) -> None:
        self.worth = worth

    def scores(self, train, score, seed: int) -> np.ndarray:
        return np.array([self.worth[int(t.split()[0])] for t in score])


def planted(cost: bool, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(len(GROUPS)), GROUPS))
    points = np.eye(6)[label] + 0.01 * rng.normal(size=(len(label), 6))
    texts = np.empty(len(label), object)
    texts[:] = [f"{g} {i}" for i, g in enumerate(label)]
    price = rng.integers(1, 7, len(label)).astype(float) if cost else None
    return Pool(rng.permutation(len(label)), points.astype(np.float32), rng.integers(1, 5, len(label)).astype(float), price, text=texts)


@pytest.mark.parametrize("cost", [False, True])
@pytest.mark.parametrize("floor", [0.0, 0.3, 1.0])
def test_each_round_is_filled_by_shares_of_what_is_left(cost: bool, floor: float) -> None:
    pool, budget, rounds = planted(cost), 90.0, 3
    price = np.ones(len(pool)) if pool.cost is None else pool.cost
    chosen = iterative_diversity(pool, budget, seed=4, trainer=Planted([3, 1, 0, -2]), rounds=rounds, k=4, floor=floor, eta=2.0)
    labels, turn = chosen.notes["cluster"], chosen.notes["round"]
    order = gumbel_top(pool.ids, quality_logits(pool.quality, len(pool)), len(pool), 4)
    before = [np.full(4, 0.25), *map(np.array, chosen.facts["weights"])]
    for r in range(1, rounds + 1):
        free = [i for i in order if turn[i] == 0 or turn[i] >= r]
        spent = float(price[(turn > 0) & (turn < r)].sum())
        left = budget * r / rounds - spent
        room = np.array([sum(price[i] for i in free if labels[i] == j) for j in range(4)])
        parts = share(room, (1 - floor) * before[r - 1] + floor / 4, left)
        taken = [i for i in free if turn[i] == r]
        used = np.bincount(labels[taken], price[taken], 4)
        assert left - (6 if cost else 1) < used.sum() <= left + 1e-9
        assert (np.abs(used - parts) <= (12 if cost else 1)).all(), "each cluster has its share, but for a row or what fits at the end"
        for j in range(4):  # within a cluster the best come first: those that were passed over were too dear for what was left
            own = [i for i in free if labels[i] == j]
            if not cost:
                assert {i for i in taken if labels[i] == j} == set(own[: int(used[j])])
    assert chosen.gain.tolist() == [before[turn[i] - 1][labels[i]] * 4 for i in chosen.index]
    assert all(sum(w) == pytest.approx(1) for w in chosen.facts["weights"])


def test_a_floor_of_one_listens_to_nobody() -> None:
    pool = planted(False)
    loud, quiet = (iterative_diversity(pool, 40, seed=0, trainer=Planted(w), rounds=2, k=4, floor=1.0) for w in ([9, 0, 0, -9], [0, 0, 0, 0]))
    assert loud.facts["picked"] == quiet.facts["picked"] and loud.index.tolist() == quiet.index.tolist()
    assert loud.facts["weights"] != quiet.facts["weights"]


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(0, 10**6), st.floats(0, 3), st.floats(0, 20))
def test_weights_follow_groups_wherever_they_are_numbered(k: int, seed: int, eta: float, shrink: float) -> None:
    rng = np.random.default_rng(seed)
    weights, labels, scores = rng.random(k), rng.integers(0, k, 30), rng.normal(size=30)
    weights /= weights.sum()
    found, turned = reweighed(weights, labels, scores, eta, shrink), rng.permutation(k)
    assert found.sum() == pytest.approx(1) and (found > 0).all()
    moved = np.empty(k)
    moved[turned] = weights
    assert np.allclose(reweighed(moved, turned[labels], scores, eta, shrink)[turned], found)
    assert np.allclose(reweighed(weights, labels, 5 * scores - 3, eta, shrink), found), "neither scale nor origin of the scores matters"
    means = np.array([scores[labels == j].mean() if (labels == j).any() else np.nan for j in range(k)])
    seen, growth = ~np.isnan(means), found / weights
    if eta > 0 and shrink == 0 and seen.sum() > 1:
        assert (np.argsort(means[seen]) == np.argsort(growth[seen])).all()
    assert np.ptp(growth[~seen]) < 1e-9 if (~seen).any() else True


def test_a_trainer_is_asked_in_the_same_order_however_the_rows_lie() -> None:
    pool, order = planted(False), np.random.default_rng(3).permutation(sum(GROUPS))
    moved = Pool(pool.ids[order], pool.embedding[order], pool.quality[order], text=pool.text[order])

    class Listening(Planted):
        def scores(self, train, score, seed: int) -> np.ndarray:
            asked.append((list(train), list(score), seed))
            return super().scores(train, score, seed)

    told = []
    for one in (pool, moved):
        asked: list = []
        iterative_diversity(one, 30, seed=7, trainer=Listening([1, 2, 3, 4]), rounds=3, k=4)
        told.append(asked)
    assert told[0] == told[1] and [seed for *_, seed in told[0]] == [7, 7, 8, 8]


def test_a_number_of_scores_that_does_not_fit_is_told() -> None:
    class Short(Planted):
        def scores(self, train, score, seed: int) -> np.ndarray:
            return np.zeros(len(score) - 1)

    with pytest.raises(ValueError, match=r"gave \(6,\) scores, 0 of them no number, for 7 texts"):
        iterative_diversity(planted(False), 30, seed=0, trainer=Short([]), rounds=2, k=4)
