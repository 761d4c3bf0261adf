"""Numbers of one choice, tables over several, and intervals for paired differences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...selectors.base import Pool
from ...selectors.parts import measures
from ...selectors.parts.cluster import default_k, kmeans

CLUSTER_SEED = 104_729  # of the clusters that coverage counts: no selector's own
DIVERSITY = ("coverage", "vendi", "distance", "apart")


def clusters_of(pool: Pool) -> np.ndarray | None:
    """int32[n], the clusters that coverage is counted by: as many as the root of the rows; None without vectors."""
    if pool.embedding is None or not len(pool):
        return None
    return kmeans(pool.embedding, default_k(len(pool)), seed=CLUSTER_SEED, ids=pool.ids).labels


def of_choice(pool: Pool, labels: np.ndarray | None, index: np.ndarray) -> dict[str, float]:
    """rows, tokens and, with vectors: coverage (share of clusters with a pick), vendi (effective number of different
    picks), distance (mean 1 - cosine of a row of the pool to its nearest pick), apart (the same among picks)."""
    assert pool.cost is not None
    told = {"rows": float(len(index)), "tokens": float(pool.cost[index].sum())}
    if labels is None or pool.embedding is None:
        return told
    return told | {
        "coverage": measures.coverage(labels, index), "vendi": measures.vendi(pool.embedding[index]),
        "distance": float(measures.nearest_pick(pool.embedding, index).mean(dtype=np.float64)),
        "apart": measures.among_picks(pool.embedding, index),
    }


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each share and name, in the order of `runs`, the mean and standard deviation over seeds of every number."""
    groups: dict[tuple[float, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["share"], run["name"]), []).append(run)
    table = []
    for (share, name), members in groups.items():
        line: dict[str, Any] = {"share": share, "name": name, "seeds": len(members)}
        for key in members[0]:
            if key not in ("share", "name", "seed"):
                values = np.array([m[key] for m in members], np.float64)
                line[key] = float(values.mean())
                line[f"{key}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        table.append(line)
    return table


def overlaps(choices: Mapping[str, Sequence[np.ndarray]]) -> dict[str, dict[str, float]]:
    """Mean overlap (Jaccard) of two contenders' choices of the same seed; with itself, of different seeds."""
    told: dict[str, dict[str, float]] = {}
    for a, first in choices.items():
        told[a] = {}
        for b, second in choices.items():
            pairs = [(x, y) for i, x in enumerate(first) for j, y in enumerate(second) if (i == j if a != b else i < j)]
            told[a][b] = float(np.mean([measures.overlap(x, y) for x, y in pairs])) if pairs else 1.0
    return told


def paired(
    mine: np.ndarray, theirs: np.ndarray, weights: np.ndarray, *, draws: int = 2000, seed: int = 0,
) -> tuple[float, float, float]:
    """The weighted mean difference mine - theirs, and its 95 % interval by bootstrap over seeds and documents.

    `mine`, `theirs` float64[seeds, documents], sums per document (of losses, of right tokens); `weights` float64[documents],
    what each is a sum over. Seeds and documents are drawn anew, both with replacement, the same for both sides.
    """
    gap, rng = mine - theirs, np.random.default_rng(seed)
    seeds, documents = gap.shape
    means = np.empty(draws)
    for i in range(draws):
        drawn = rng.integers(0, documents, documents)
        means[i] = gap[rng.integers(0, seeds, seeds)].mean(axis=0)[drawn].sum() / weights[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gap.mean(axis=0).sum() / weights.sum()), float(low), float(high)
