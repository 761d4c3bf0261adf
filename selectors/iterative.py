"""DivCo's refinement loop (Yu et al., arXiv 2409.11378, algorithm 1): select, train, score, weigh the clusters anew."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from .base import Pool, Selection, selector
from .parts.allocate import fill, share
from .parts.choose import Number, clusters_of, number_of_clusters
from .parts.draw import SPLIT, gumbel_top, quality_logits, uniform
from .parts.given import check_budget, check_ids, ended, rows_for, vectors_of

Texts = Sequence[str | None]


class Trainer(Protocol):
    """What trains a model on some texts and asks it about others."""

    def scores(self, train: Texts, score: Texts, seed: int) -> np.ndarray:
        """float64[len(score)], by how much the answer in each text beats what a model trained on `train` makes of it."""


class State(Protocol):
    """What keeps the rounds that are done, so that an interrupted selection goes on from there."""

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or None."""

    def save(self, told: dict[str, Any]) -> None:
        """Keep it; whole or not at all."""


@selector("iterative_diversity_selector", needs=("embedding", "text"), resources={"trainer": "trainer"})
def iterative_diversity(
    pool: Pool, budget: float, *, seed: int, trainer: Trainer, state: State | None = None,
    model: str = "proxy", scoring: Literal["gold_minus_generated", "progress"] = "gold_minus_generated",
    answer_after: str | None = None, device: str = "auto",
    rounds: int = 3, k: Number = None, gamma: float = 1.0, eta: float = 1.0, floor: float = 0.1, shrink: float = 8.0,
) -> Selection:
    """Rows picked in rounds: after each, clusters that a model trained on the picks can still learn from weigh more.

    Weights begin equal. After a round, `w_j <- w_j exp(eta z_j)`: z_j is how many standard deviations the mean score of
    cluster j lies from that of all clusters, shrunk by n_j / (n_j + `shrink`); clusters without a scored row keep z = 0.
    `floor` is the part of each round that goes to all clusters alike, whatever they weigh. Within a cluster rows are
    drawn in proportion to quality ** gamma, as in kMQ.

    Scores are held out: what is taken is halved by hash, each half is scored by a model that was trained on the other,
    so that what was learned by heart does not look learned. `model`: `proxy` (a small one, trained from nothing), a
    folder with a causal language model (LoRA), or a .py file that trains and scores (docs/selection.md; allow_code).
    gold_minus_generated: log perplexity of the text's answer less that of the model's own, per token; it is high where
    there is something to learn, and where there is nothing but noise. progress: by how much training has lowered the
    answer's loss; noise has none. The answer begins behind `answer_after`, else at half of the text.

    Budget in rows: `min(budget, n)` exactly, in rounds that differ by at most a row; with costs, each round takes what
    fits into its part of it. With `state` the rounds that are done are not done again.

    `gain`: the weight of the row's cluster when it was picked, 1 the average.  Notes: `cluster`, `round` (0: not
    picked), `score` (of the last round; NaN: not picked).  Facts: k, `left`, and per round `weights`, `picked`.
    """
    _check(pool, budget, {"rounds": (rounds, 1, np.inf), "floor": (floor, 0, 1), "eta": (eta, 0, np.inf),
                          "shrink": (shrink, 0, np.inf)})
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    asked, searched = number_of_clusters(vectors_of(pool), k, seed=seed, ids=pool.ids, spherical=True)
    clusters = clusters_of(vectors_of(pool), asked, kind="kmeans", seed=seed, ids=pool.ids, iterations=20,
                           sample_per_centroid=256, spherical=True, most=None)
    labels, count = clusters.labels, len(clusters.centroids)
    order = gumbel_top(pool.ids, quality_logits(pool.quality, len(pool), gamma), len(pool), seed)
    known = (state.load() if state is not None else None) or {"rounds": []}
    done: list[dict[str, Any]] = known["rounds"]
    weights = np.array(done[-1]["weights"]) if done else np.full(count, 1 / count)
    place = dict(zip(pool.ids.tolist(), range(len(pool)), strict=True))
    taken = [np.array([place[i] for i in told["ids"]], np.int64) for told in done]
    gains = [np.array(told["gains"]) for told in done]
    for turn in range(len(done), rounds):
        here = _round(pool, order, labels, taken, weights, budget, turn, rounds, floor)
        taken.append(here)
        gains.append(weights[labels[here]] * count)
        scored = np.sort(np.concatenate(taken))
        scored = scored[np.argsort(pool.ids[scored], kind="stable")]
        scores = _held_out(pool, scored, trainer, seed + turn) if turn + 1 < rounds else np.empty(0)
        weights = reweighed(weights, labels[scored], scores, eta, shrink) if len(scores) else weights
        done.append({"ids": pool.ids[here].tolist(), "gains": gains[-1].tolist(), "weights": weights.tolist(),
                     "scored": pool.ids[scored].tolist() if len(scores) else [], "scores": scores.tolist()})
        if state is not None:
            state.save({"rounds": done})
    return _selection(pool, budget, labels, taken, gains, done, {"k": count, **searched}, place)


def _check(pool: Pool, budget: float, bounds: dict[str, tuple[float, float, float]]) -> None:
    check_budget(pool, budget)
    check_ids(pool)
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise ValueError(f"{name} is {value:g}; it must be {f'{least} or more' if most == np.inf else f'{least} to {most}'}")
    if pool.text is None and len(pool):
        raise ValueError("it trains on texts: the pool has none")


def _round(
    pool: Pool, order: np.ndarray, labels: np.ndarray, taken: list[np.ndarray], weights: np.ndarray, budget: float, turn: int,
    rounds: int, floor: float,
) -> np.ndarray:
    """The rows of one round, in the order of their picking."""
    free = np.ones(len(pool), bool)
    for rows in taken:
        free[rows] = False
    order = order[free[order]]
    price = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)
    whole = float(rows_for(pool, budget)) if pool.cost is None else budget
    upto = whole * (turn + 1) / rounds if pool.cost is not None else whole * (turn + 1) // rounds
    left = upto - sum(float(price[rows].sum()) for rows in taken)
    shares = (1 - floor) * weights + floor / len(weights)
    room = np.bincount(labels[order], price[order], len(weights))
    parts = share(room, shares, max(left, 0.0))
    grouped = order[np.argsort(labels[order], kind="stable")]
    spent = np.cumsum(price[grouped])
    starts = np.concatenate([[0.0], np.cumsum(np.bincount(labels[grouped], price[grouped], len(weights)))])[:-1]
    stands = (spent - starts[labels[grouped]] - price[grouped] / 2) / np.maximum(parts[labels[grouped]], 1e-12)
    walk = grouped[np.argsort(stands, kind="stable")]
    return walk[: int(left)] if pool.cost is None else fill(walk, price, max(left, 0.0))


def _held_out(pool: Pool, rows: np.ndarray, trainer: Trainer, seed: int) -> np.ndarray:
    """float64[n], the score of each of `rows` by a model that has not seen it."""
    assert pool.text is not None
    first = np.zeros(len(rows), bool)
    first[np.argsort(uniform(seed, pool.ids[rows], stream=SPLIT), kind="stable")[: len(rows) // 2]] = True
    scores = np.zeros(len(rows))
    for half in (first, ~first):
        if half.any():
            texts, others = pool.text[rows[~half]].tolist(), pool.text[rows[half]].tolist()
            found = np.asarray(trainer.scores(texts, others, seed), np.float64)
            wrong = int((~np.isfinite(found)).sum())
            if found.shape != (len(others),) or wrong:
                raise ValueError(f"the trainer gave {found.shape} scores, {wrong} of them no number, for {len(others)} texts")
            scores[half] = found
    return scores


def reweighed(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray, eta: float, shrink: float) -> np.ndarray:
    """float64[k], summing to 1: the weights after a round. `labels`, `scores`: of the rows that were scored.

    Hedge (Freund & Schapire 1997) with standardised gains; the paper multiplies by s_j / sum s, which is undefined for
    negative scores (SPECS 3.6, 6).
    """
    counts = np.bincount(labels, minlength=len(weights))
    means = np.bincount(labels, scores, len(weights)) / np.maximum(counts, 1)
    seen = counts > 0
    centre, spread = means[seen].mean(), means[seen].std()
    # rounding alone is no difference
    z = (means - centre) / spread if spread > 1e-12 * (1 + abs(centre)) else np.zeros(len(weights))
    z = np.where(seen, z * counts / (counts + shrink), 0.0)
    raised = weights * np.exp(eta * z)
    return raised / raised.sum()  # type: ignore[no-any-return]


def _selection(
    pool: Pool, budget: float, labels: np.ndarray, taken: list[np.ndarray], gains: list[np.ndarray], done: list[dict[str, Any]],
    facts: dict[str, Any], place: dict[int, int],
) -> Selection:
    turns, score = np.zeros(len(pool), np.int32), np.full(len(pool), np.nan)
    for turn, rows in enumerate(taken, 1):
        turns[rows] = turn
    for told in done:
        score[[place[i] for i in told["scored"]]] = told["scores"]
    facts |= {"weights": [told["weights"] for told in done],
              "picked": [np.bincount(labels[rows], minlength=facts["k"]).tolist() for rows in taken]}
    notes = {"cluster": labels, "round": turns, "score": score}
    return ended(pool, budget, np.concatenate(taken), np.concatenate(gains), notes, facts)
