"""How well small selections cover planted clusters, and what quality they keep: random against closest against kMQ.

Run: python benchmarks/diversity.py      (about ten seconds; the table says how it was made)
"""

import time
from collections.abc import Callable

import numpy as np

from tamis.selectors.base import Pool, Selection
from tamis.selectors.baselines import random_rows
from tamis.selectors.diversity import kmeans_diversity

ROWS, DIMENSIONS, BLOBS, SEEDS, BUDGETS = 4000, 64, 60, 5, (60, 200, 800)
MADE = f"""{ROWS} unit vectors in {DIMENSIONS} dimensions around {BLOBS} random centres (noise 0.07 a dimension), blob
sizes falling as 1/rank, smallest 12; quality uniform in 0..1 but in every fifth blob, whose rows are junk, uniform in 0..0.1.
k-means with the default k (the root of the rows: 63). covered: planted blobs with a pick. distance: mean 1 - cosine of
a row to its nearest pick. junk: share of picks from junk blobs. Mean and standard deviation of {SEEDS} seeds, each
with a pool of its own, the same for all methods."""

METHODS: dict[str, Callable[[Pool, float, int], Selection]] = {
    "random": lambda pool, budget, seed: random_rows(pool, budget, seed=seed),
    "closest": lambda pool, budget, seed: kmeans_diversity(pool, budget, seed=seed, method="closest"),
    "kmq": lambda pool, budget, seed: kmeans_diversity(pool, budget, seed=seed),
    "kmq gamma 4": lambda pool, budget, seed: kmeans_diversity(pool, budget, seed=seed, gamma=4.0),
    "kmq beta 0": lambda pool, budget, seed: kmeans_diversity(pool, budget, seed=seed, beta=0.0),
}


def planted(seed: int) -> tuple[Pool, np.ndarray]:
    """A pool and the blob of each of its rows."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, BLOBS + 1)
    sizes = np.maximum((share / share.sum() * ROWS).astype(int), 12)
    sizes[0] += ROWS - sizes.sum()
    blob = rng.permutation(np.repeat(np.arange(BLOBS), sizes))
    points = rng.normal(size=(BLOBS, DIMENSIONS))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[blob] + 0.07 * rng.normal(size=(ROWS, DIMENSIONS))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    quality = rng.random(ROWS) * np.where(blob % 5 == 4, 0.1, 1.0)
    return Pool(np.arange(ROWS), points.astype(np.float32), quality), blob


def measure(pool: Pool, blob: np.ndarray, index: np.ndarray) -> tuple[float, float, float, float]:
    """Blobs covered, mean quality, mean distance to the nearest pick, share of junk among the picks."""
    assert pool.embedding is not None and pool.quality is not None
    nearest = 1 - (pool.embedding @ pool.embedding[index].T).max(axis=1)
    return len(np.unique(blob[index])), pool.quality[index].mean(), nearest.mean(), float((blob[index] % 5 == 4).mean())


def main() -> None:
    """Print the table."""
    print(MADE + "\n")
    heads = f"{'covered of ' + str(BLOBS):>16} {'quality':>15} {'distance':>15} {'junk':>15} {'s':>6}"
    print(f"{'budget':>6} {'method':<12} {heads}")
    pools = [planted(seed) for seed in range(SEEDS)]
    for budget in BUDGETS:
        for name, choose in METHODS.items():
            start = time.perf_counter()
            chosen = [choose(pool, budget, seed) for seed, (pool, _) in enumerate(pools)]
            seconds = (time.perf_counter() - start) / SEEDS
            rows = np.array([measure(*given, c.index) for given, c in zip(pools, chosen, strict=True)])
            mean, sd = rows.mean(axis=0), rows.std(axis=0, ddof=1)
            cells = [f"{m:6.3f} +- {s:.3f}" for m, s in zip(mean[1:], sd[1:], strict=True)]
            print(f"{budget:>6} {name:<12} {mean[0]:9.1f} +- {sd[0]:3.1f} " + " ".join(cells) + f" {seconds:6.2f}")


if __name__ == "__main__":
    main()
