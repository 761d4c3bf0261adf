"""The number of clusters on which k-means and Gaussian mixtures agree: a reconstruction in the manner of PPP.

Only the abstract of the paper (Sultan 2020, arXiv 2003.04372) was at hand: k-means partitions, a Gaussian mixture
validates. What follows is our reading of it (SPECS 9.2), not the authors' algorithm.
"""

from collections.abc import Sequence

import numpy as np

from .cluster import kmeans
from .draw import SAMPLE, uniform
from .silhouette import Choice, default_grid

_AXES = 16  # principal axes that the mixture sees: covariances of more would be noise
_ROUNDS = 50


def rand_index(a: np.ndarray, b: np.ndarray) -> float:
    """The adjusted Rand index of two partitions of the same rows: 1 where they are equal, about 0 where chance."""
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a, b), 1)
    pairs, ones, others = (float((c * (c - 1) / 2).sum()) for c in (table, table.sum(axis=1), table.sum(axis=0)))
    expected, most = ones * others / (len(a) * (len(a) - 1) / 2), (ones + others) / 2
    return (pairs - expected) / (most - expected) if most != expected else 1.0


def agreed_k(
    vectors: np.ndarray, *, seed: int, ids: np.ndarray | None = None, grid: Sequence[int] | None = None,
    restarts: int = 4, sample: int = 5_000, stable: float = 0.9, agreeing: float = 0.9, spherical: bool = True,
) -> Choice:
    """The largest number of clusters at which partitions are `stable` and `agreeing`; scores are agreement x stability.

    Stability: the mean adjusted Rand index between k-means of different starts. Agreement: that between k-means and the
    Gaussian mixture (diagonal covariances, on the first 16 principal axes) begun from it. Where no number passes both,
    the one of the largest product, ties to the smaller. PPP-style: see the module.
    """
    ids = np.arange(len(vectors)) if ids is None else ids
    rows = np.lexsort((ids, uniform(seed, ids, stream=SAMPLE)))[:sample]
    points = np.asarray(vectors[rows], np.float32)
    axes = principal(points)
    scores, passing = {}, []
    for k in sorted({min(int(k), len(points)) for k in (default_grid(len(points)) if grid is None else grid)}):
        runs = [kmeans(points, k, seed=seed + r, ids=ids[rows], spherical=spherical).labels for r in range(restarts)]
        same = [rand_index(x, y) for i, x in enumerate(runs) for y in runs[:i]]
        agreement = float(np.mean([rand_index(x, mixture(axes, x)) for x in runs]))
        stability = float(np.mean(same)) if same else 1.0
        scores[k] = agreement * stability
        if stability >= stable and agreement >= agreeing:
            passing.append(k)
    return Choice(max(passing) if passing else max(scores, key=lambda k: (scores[k], -k)), scores)


def principal(points: np.ndarray) -> np.ndarray:
    """float64[n, <= 16], the rows on their axes of largest variance."""
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return centred @ axes[:, ::-1][:, :_AXES]


def mixture(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64[n], the likeliest part of each row in a Gaussian mixture, by expectation maximisation begun from `labels`."""
    n, k = len(points), int(labels.max()) + 1
    floor = 1e-3 * points.var(axis=0).mean() + 1e-12
    belongs = np.zeros((n, k))
    belongs[np.arange(n), labels] = 1.0
    before = -np.inf
    for _ in range(_ROUNDS):
        mass = belongs.sum(axis=0) + 1e-9
        means = belongs.T @ points / mass[:, None]
        spread = np.maximum(belongs.T @ points**2 / mass[:, None] - means**2, 0) + floor
        # log of N(x; mean, diag spread), the square multiplied out
        logs = -0.5 * ((points**2) @ (1 / spread).T - 2 * points @ (means / spread).T + (means**2 / spread).sum(axis=1))
        logs += np.log(mass / n) - 0.5 * np.log(spread).sum(axis=1)
        most = logs.max(axis=1, keepdims=True)
        weights = np.exp(logs - most)
        total = weights.sum(axis=1, keepdims=True)
        belongs, likelihood = weights / total, float((np.log(total) + most).mean())
        if likelihood - before < 1e-6:
            break
        before = likelihood
    return belongs.argmax(axis=1)  # type: ignore[no-any-return]
