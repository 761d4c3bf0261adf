"""Quad (Zhang et al., arXiv 2409.16986): a bandit over clusters asks about few rows and takes those that help a reference set.

Where the released code departs from the paper (SPECS 2.6) this follows the paper; where the paper decides on one pull of a few
rows, the default decides on all that is known of the cluster. `ucb` is the paper's rule.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from .bandit.arms import Arms
from .bandit.asked import Asked, Influence, Trace
from .bandit.evidence import Evidence
from .bandit.loop import Bandit, Weights
from .bandit.policies import Policy, Rules
from .base import Pool, Selection, selector
from .parts.choose import Number, clusters_of, number_of_clusters
from .parts.draw import PILOT, uniform
from .parts.given import check_budget, check_ids, ended, qualities_of, rows_for, vectors_of


@selector("quad_selector", needs=("embedding",), resources={"scorer": "influence", "examples": "reference"})
def quad(
    pool: Pool, budget: float, *, seed: int, influence: Influence | None = None, state: Trace | None = None,
    policy: Policy = "thompson", k: Number = None, cluster_key: str | None = None, probes: int = 10, batch: int = 200,
    parallel: int = 1, patience: int = 4, pilot: int = 500, quantile: float = 0.5, tau: float | None = None,
    confidence: float = 0.8, explore: float = 1.0, alpha: float | None = None, gamma: float = 0.99, radius: float = 0.2,
    start: Literal["each", "prior"] = "each", model: str | None = None, reference: dict[str, Any] | None = None,
    answer_after: str | None = None, adapter: str | None = None, layers: str | None = None,
    labels: Literal["sampled", "data"] = "sampled",
    curvature: Literal["ekfac", "kfac", "diagonal", "identity"] = "ekfac", damping: float = 0.1, fit_rows: int = 1000,
    fused: bool = False, score: Literal["dot", "cosine_mean"] = "dot", product: Literal["gradient", "difference"] = "gradient",
    context: int = 1024, overlap: int = 1, max_tokens: int | None = 20480, batch_tokens: int | None = None,
    checkpointing: bool = False, precision: Literal["float32", "bfloat16"] = "float32", device: str = "cpu",
) -> Selection:
    """Rows of the clusters that a bandit finds worth more than `tau` to a reference set, by asking about few rows of each.

    Clusters are k-means (`k`), or the values of the column `cluster_key`; each is shuffled once by hash. A pull asks for the
    rewards of `probes` rows of the cluster's next `batch` rows; then the batch is taken, or held for another pull; after
    `patience` pulls the cluster's mean decides. `parallel` clusters are pulled in one round. `tau`: the `quantile` of the rewards
    of `pilot` rows drawn from the whole pool. It ends when the budget is met, or no cluster's upper bound exceeds tau.
    thompson: draws from each cluster's normal posterior, whose prior is fitted to all of them; takes where it exceeds tau with
    `confidence`, and better clusters do not hold all that is left of the budget. ucb: mean + alpha sqrt(2 ln sum T / T), alpha
    `explore` standard deviations of a pull; takes where the pull's mean exceeds tau (the paper). discounted: the same with evidence
    that fades by `gamma` a pull; takes by the mean.
    successive_elimination: in turn, by empirical-Bernstein intervals that hold together with `confidence`, however long it takes.
    Clusters within `radius` (1 - cosine of the centroids) count each other's rewards by 1 - distance / radius (not in
    successive_elimination). `start` each: every cluster is pulled once before any batch is taken; prior: it begins with what is
    expected of it.

    Rewards: of a causal model, asked for when needed (`model`, `reference` and what follows: see influence_scorer), or, without
    a model, `quality_key`. With both, quality is a cheap number whose regression on the pilot's rewards is the clusters' prior.
    Costs: rewards are per token; budgets in tokens are filled to less than the cheapest row of the clusters taken from.

    `gain`: what the row's cluster was thought to be worth.  Notes: `cluster`, `pull` (which took it; 0: none), `reward` (NaN:
    not asked).  Facts: `left`, k, tau, scored, pulls, stopped; by cluster `sizes`, `visits`, `picked`, `means`, `lows`, `highs`.
    Source: Zhang et al. 2025 (Quad), section 3; SPECS 2.
    """
    check_budget(pool, budget)
    check_ids(pool)
    _check({"probes": probes, "batch": batch, "parallel": parallel, "patience": patience}, pilot, quantile, tau, confidence, gamma)
    _least({"pilot": pilot, "explore": explore, "alpha": alpha or 0, "radius": radius}, 0)
    if not len(pool):
        return ended(pool, budget, np.empty(0, np.int64), np.empty(0))
    ask, known = _rewards(pool, influence)
    groups, centroids, names = _clusters(pool, k, cluster_key, seed)
    cost = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)
    arms = Arms(groups, int(groups.max()) + 1, pool.ids, cost, seed=seed, batch=batch)
    asked, drawn = Asked(ask, pool.ids, state), np.lexsort((pool.ids, uniform(seed, pool.ids, stream=PILOT)))[:pilot]
    bound = _pilot(arms, asked, drawn, quantile, tau)
    rules, prior = Rules(policy, probes, explore, alpha, confidence, gamma, seed), _prior(arms, drawn, known, bound)
    own, shared = _begun(arms, drawn, prior, start, rules)
    seen = arms.known[drawn] if len(drawn) else np.array([bound])
    bandit = Bandit(
        arms, float(rows_for(pool, budget)) if pool.cost is None else float(budget), asked, rules,
        _weights(centroids, len(arms), radius), own, shared, prior, bound, (float(seen.min()), float(seen.max())), parallel,
        start == "each", patience,
    )
    return _selection(pool, budget, bandit, bandit.run(), names)


def _check(counts: Mapping[str, int], pilot: int, quantile: float, tau: float | None, confidence: float, gamma: float) -> None:
    _least(counts, 1)
    if not 0.5 <= confidence < 1 or not 0 < gamma <= 1 or not 0 <= quantile <= 1:
        raise ValueError(f"confidence must be from 0.5 to below 1 (is {confidence:g}), gamma above 0 and at most 1 (is {gamma:g}), "
                         f"quantile 0 to 1 (is {quantile:g})")
    if tau is None and not pilot:
        raise ValueError("without a pilot, tau must be given: the reward above which a row is worth taking")


def _least(values: Mapping[str, float], least: int) -> None:
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name} must be {least} or more, it is {value:g}")


def _rewards(pool: Pool, influence: Influence | None) -> tuple[Influence, np.ndarray | None]:
    """Whom to ask, and the cheap number that is known of every row beside it."""
    if influence is None:
        quality = qualities_of(pool)
        return lambda index: quality[index], None
    return influence, None if pool.quality is None else qualities_of(pool)


def _clusters(pool: Pool, k: Number, key: str | None, seed: int) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The cluster of each row, from 0; their centroids and names, where there are any."""
    if key is not None:
        if pool.field is None:
            raise ValueError(f"the pool has no column {key!r}")
        names, labels = np.unique(pool.field.astype(str), return_inverse=True)
        return labels.astype(np.int64), None, names.tolist()
    count, _ = number_of_clusters(vectors_of(pool), k, seed=seed, ids=pool.ids, spherical=True)
    found = clusters_of(vectors_of(pool), count, kind="kmeans", seed=seed, ids=pool.ids, iterations=20, sample_per_centroid=256,
                        spherical=True, most=None)
    return found.labels.astype(np.int64), found.centroids, []


def _pilot(arms: Arms, asked: Asked, drawn: np.ndarray, quantile: float, tau: float | None) -> float:
    """Ask about the rows of the pilot, as round 0; answers tau."""
    (found,) = asked.rewards([drawn])
    asked.ends([{"pull": 0, "arm": -1, "rows": asked.ids[drawn].tolist(), "rewards": found.tolist(), "decision": "pilot"}])
    arms.known[drawn] = found
    return float(np.quantile(found, quantile)) if tau is None else tau


def _prior(arms: Arms, drawn: np.ndarray, known: np.ndarray | None, tau: float) -> np.ndarray:
    """float64[k], what is expected of each arm before a pull: the pilot's mean, and what a cheap number adds by regression."""
    found = arms.known[drawn]
    middle = float(found.mean()) if len(found) else tau
    expected = np.full(len(arms), middle)
    if known is None or len(found) < 3 or not known[drawn].std() > 0:
        return expected
    away = known[drawn] - known[drawn].mean()
    slope = float((away * (found - middle)).sum() / (away**2).sum())
    return expected + slope * (np.bincount(arms.labels, known, len(arms)) / arms.sizes - known[drawn].mean())  # type: ignore[no-any-return]


def _weights(centroids: np.ndarray | None, count: int, radius: float) -> Weights:
    """What a reward of an arm counts for each arm: 1 for itself, less for those about it, 0 beyond `radius`."""
    if centroids is None or not radius:
        return lambda arm: (np.arange(count) == arm).astype(np.float64)
    points = centroids.astype(np.float64)

    def weights(arm: int) -> np.ndarray:
        near = np.clip(1 - (1 - np.einsum("ij,j->i", points, points[arm])) / radius, 0.0, 1.0)
        near[arm] = 1.0
        return near

    return weights


def _begun(arms: Arms, drawn: np.ndarray, prior: np.ndarray, start: str, rules: Rules) -> tuple[Evidence, Evidence]:
    """What the pilot says of each arm; for the bounds with `start` prior, a pull of what is expected on top of that."""
    own, shared = Evidence.none(len(arms)), Evidence.none(len(arms))
    for evidence in (own, shared):
        evidence.add_rows(arms.labels[drawn], arms.known[drawn])
    if start == "prior" and rules.policy in ("ucb", "discounted"):
        for values, more in ((shared.rows, 1.0), (shared.total, prior), (shared.squares, prior**2)):
            values += rules.probes * more
        shared.visits += 1
    return own, shared


def _selection(pool: Pool, budget: float, bandit: Bandit, stopped: str, names: list[str]) -> Selection:
    index = np.concatenate([np.empty(0, np.int64), *bandit.taken])
    pull = np.zeros(len(pool), np.int32)
    for rows, number in zip(bandit.taken, bandit.pulls, strict=True):
        pull[rows] = number
    arms, view = bandit.arms, bandit.look()
    facts: dict[str, Any] = {
        "k": len(arms), "tau": bandit.tau, "scored": int((~np.isnan(arms.known)).sum()), "pulls": bandit.count, "stopped": stopped,
        "sizes": arms.sizes.tolist(), "visits": bandit.own.visits.astype(int).tolist(),
        "picked": np.bincount(arms.labels[index], minlength=len(arms)).tolist(),
        "means": view.mean.tolist(), "lows": _finite(view.low), "highs": _finite(view.high), **({"names": names} if names else {}),
    }
    notes = {"cluster": arms.labels, "pull": pull, "reward": arms.known}
    return ended(pool, budget, index, np.concatenate([np.empty(0), *bandit.gains]), notes, facts)


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
