"""The refinement loop: weights follow planted scores, rounds are exact and resumable, held-out halves stay apart."""

import json

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.iterative import iterative_diversity, reweighed

N, K = 600, 6


def planted(cost: bool = False) -> tuple[Pool, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(np.arange(K), N // K))
    points = np.eye(12)[label] + 0.02 * rng.normal(size=(N, 12))
    texts = np.array([f"{label[i]} {i}" for i in range(N)], object)
    price = rng.integers(1, 9, N).astype(float) if cost else None
    return Pool(np.arange(N) * 3, points.astype(np.float32), cost=price, text=texts), label


class Planted:
    """Scores by the planted group: `worth[group]`, with noise; remembers what it was asked."""

    def __init__(self, worth):
        self.worth, self.asked = worth, []

    def scores(self, train, score, seed):
        self.asked.append((set(train), set(score)))
        rng = np.random.default_rng(seed)
        return np.array([self.worth[int(t.split()[0])] for t in score]) + 0.05 * rng.normal(size=len(score))


class Memory:
    """A state in memory that breaks off after some rounds."""

    def __init__(self, most=99):
        self.told, self.most = None, most

    def load(self):
        return None if self.told is None else json.loads(self.told)

    def save(self, told):
        self.told = json.dumps(told)
        if len(told["rounds"]) >= self.most:
            raise InterruptedError


def weights_of(chosen, label) -> np.ndarray:
    """float[rounds, K]: each planted group's weight after each round."""
    group = np.array([label[chosen.notes["cluster"] == j][0] for j in range(K)])
    told = np.array(chosen.facts["weights"])
    return told[:, np.argsort(group)]


def test_planted_noise_loses_its_weight_round_by_round():
    pool, label = planted()
    chosen = iterative_diversity(pool, 300, seed=0, trainer=Planted([1, 1, 1, 1, -1, -1]), rounds=5, k=K)
    weights = weights_of(chosen, label)
    assert (np.diff(weights[:-1, 4:], axis=0) < 0).all() and (weights[-1, 4:] <= 1 / K / 3).all()
    share = np.array(chosen.facts["picked"]) / 60
    noise = np.isin([label[chosen.notes["cluster"] == j][0] for j in range(K)], [4, 5])
    assert share[0][noise].sum() == pytest.approx(1 / 3, abs=0.05) and share[-1][noise].sum() < 0.12


def test_equal_scores_change_no_weight():
    weights = np.array([0.5, 0.3, 0.2])
    labels = np.array([0, 0, 1, 2, 2])
    assert np.allclose(reweighed(weights, labels, np.full(5, 0.1), 1.0, 8.0), weights)
    assert np.allclose(reweighed(weights, labels, np.arange(5.0), 0.0, 8.0), weights)


def test_weights_are_their_formula():
    labels, scores = np.array([0, 0, 1, 1, 1]), np.array([1.0, 3.0, 0.0, 0.0, 0.0])
    found = reweighed(np.full(3, 1 / 3), labels, scores, 0.7, 4.0)
    z = np.array([1 * 2 / 6, -1 * 3 / 7, 0])  # means 2 and 0: one deviation either side; nothing known of the third
    assert np.allclose(found, np.exp(0.7 * z) / np.exp(0.7 * z).sum())


@pytest.mark.parametrize("budget", [0, 1, 7, 100, 301, 600, 5000])
@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_rounds_are_exact_and_repeat_nothing(budget, rounds):
    pool, _ = planted()
    chosen = iterative_diversity(pool, budget, seed=1, trainer=Planted([1, 2, 3, 4, 5, 6]), rounds=rounds, k=K)
    most = min(budget, N)
    assert len(set(chosen.index.tolist())) == len(chosen.index) == most and chosen.facts["left"] == budget - most
    sizes = [sum(p) for p in chosen.facts["picked"]]
    assert sizes == [most * (r + 1) // rounds - most * r // rounds for r in range(rounds)]
    turns = chosen.notes["round"]
    assert [int((turns == r + 1).sum()) for r in range(rounds)] == sizes and (turns[chosen.index] > 0).all()


def test_tokens_are_never_exceeded():
    pool, _ = planted(cost=True)
    chosen = iterative_diversity(pool, 500, seed=1, trainer=Planted([1, 2, 3, 4, 5, 6]), rounds=4, k=K)
    assert 500 - 9 < pool.cost[chosen.index].sum() <= 500


def test_what_is_scored_was_not_trained_on():
    pool, _ = planted()
    trainer = Planted([1, 2, 3, 4, 5, 6])
    iterative_diversity(pool, 200, seed=1, trainer=trainer, rounds=3, k=K)
    assert len(trainer.asked) == 4  # two halves after each round but the last
    for train, score in trainer.asked:
        assert train and score and not train & score
    assert len(trainer.asked[0][0] | trainer.asked[0][1]) == 66


def test_an_interrupted_selection_goes_on():
    pool, _ = planted()
    whole = iterative_diversity(pool, 200, seed=2, trainer=Planted([6, 2, 3, 4, 5, 1]), rounds=4, k=K)
    state, first, second = Memory(2), Planted([6, 2, 3, 4, 5, 1]), Planted([6, 2, 3, 4, 5, 1])
    with pytest.raises(InterruptedError):
        iterative_diversity(pool, 200, seed=2, trainer=first, state=state, rounds=4, k=K)
    state.most = 99
    resumed = iterative_diversity(pool, 200, seed=2, trainer=second, state=state, rounds=4, k=K)
    assert resumed.index.tolist() == whole.index.tolist() and resumed.facts == whole.facts
    assert np.array_equal(resumed.notes["score"], whole.notes["score"], equal_nan=True)
    assert len(first.asked) == 4 and len(second.asked) == 2


def test_order_of_rows_changes_nothing():
    pool, _ = planted()
    order = np.random.default_rng(1).permutation(N)
    moved = Pool(pool.ids[order], pool.embedding[order], text=pool.text[order])
    a, b = (iterative_diversity(p, 90, seed=3, trainer=Planted([1, 5, 2, 4, 3, 1]), k=K) for p in (pool, moved))
    assert pool.ids[a.index].tolist() == moved.ids[b.index].tolist()


def test_a_trainer_that_answers_nonsense_is_an_error():
    class Broken(Planted):
        def scores(self, train, score, seed):
            return np.full(len(score), np.nan)

    with pytest.raises(ValueError, match="33 of them no number, for 33 texts"):
        iterative_diversity(planted()[0], 200, seed=0, trainer=Broken([]), k=K)
    with pytest.raises(ValueError, match="rounds is .*; it must be 1 or more"):
        iterative_diversity(planted()[0], 200, seed=0, trainer=Broken([]), rounds=0)


def prose(n: int, rng: np.random.Generator) -> list[str]:
    start = ["the cat sat on", "we went down to", "she put the book on"]
    return [f"{start[i % 3]} {['the mat', 'the river', 'the table'][i % 3]} and it was good" for i in rng.integers(0, 3, n)]


def test_the_proxy_says_what_is_learned_and_what_is_noise():
    torch = pytest.importorskip("torch")
    pytest.importorskip("tokenizers")
    torch.set_num_threads(1)
    from tamis.selectors.influence.gap import ProxyTrainer
    from tamis.selectors.influence.proxy import ProxySettings

    rng = np.random.default_rng(0)
    noise = ["".join(chr(97 + c) for c in rng.integers(0, 26, 40)) for _ in range(40)]
    train, small = prose(120, rng) + noise[:30], ProxySettings(width=32, layers=1, heads=2, context=32, vocabulary=300, batch=8)
    gap, progress = (ProxyTrainer(s, settings=small).scores(train, prose(10, rng) + noise[30:], 0)
                     for s in ("gold_minus_generated", "progress"))
    assert gap.shape == (20,) and gap[:10].mean() < gap[10:].mean() - 0.5  # noise is never said as the model would
    assert progress[:10].mean() > progress[10:].mean() + 0.2  # and training does not help with it
    again = ProxyTrainer("progress", settings=small).scores(train, prose(3, np.random.default_rng(5)), 0)
    assert np.array_equal(again, ProxyTrainer("progress", settings=small).scores(train, prose(3, np.random.default_rng(5)), 0))
