"""Policies of quad_selector on a corpus of which half of the clusters are noise: what they take, and how many rows they ask about.

Run: python benchmarks/quad_planted.py [--seeds 20] [--clusters 100] [--rows 1000] [--share 0.25] [--good 0.5] [--first 100]

The defaults of the settings were looked for on seeds 0 to 9 of this same generator; the tables are of seeds from `--first` on.

Rewards as the released code of Quad has them: a row's standard deviation is 0.01, so that of a pull of 10 rows is 0.003; good
clusters have means about 0.005, noise about 0, both with a deviation of 0.001. Rows cost tokens, log-normal, in clusters whose
sizes differ. The budget is a share of all tokens.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.selectors.base import Pool, Selection
from tamis.selectors.baselines import random_rows
from tamis.selectors.quad import quad

SPREAD, GAP, APART = 0.01, 0.005, 0.001


@dataclass(frozen=True)
class Planted:
    """A pool, each row's reward, and whether its cluster is good."""

    pool: Pool
    rewards: np.ndarray
    good: np.ndarray


def planted(seed: int, clusters: int, rows: int, good: float) -> Planted:
    """Clusters of about so many rows, that share of them good."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(rng.lognormal(np.log(rows), 0.4, clusters), 20).astype(int)
    labels = np.repeat(np.arange(clusters), sizes)
    helps = rng.permutation(clusters) < round(good * clusters)
    means = np.where(helps, GAP, 0.0) + rng.normal(0, APART, clusters)
    rewards = means[labels] + rng.normal(0, SPREAD, len(labels))
    cost = rng.lognormal(5.5, 0.6, len(labels)).round() + 1
    names = np.array([f"c{i:03d}" for i in range(clusters)], object)
    return Planted(Pool(rng.permutation(len(labels)) * 7, cost=cost, field=names[labels]), rewards, helps[labels])


POLICIES: dict[str, dict[str, Any]] = {
    "thompson": {}, "ucb, 1 sd": {"policy": "ucb"}, "ucb, alpha 1e-4": {"policy": "ucb", "alpha": 1e-4},
    "the same, none tried first": {"policy": "ucb", "alpha": 1e-4, "start": "prior"},  # as the released code begins
    "discounted": {"policy": "discounted"}, "successive elimination": {"policy": "successive_elimination"},
    "greedy": {"policy": "ucb", "alpha": 0.0}, "round robin": {"policy": "ucb", "alpha": float("inf")},
}


def chosen(world: Planted, budget: float, seed: int, settings: dict[str, Any]) -> tuple[Selection, int]:
    """The choice of a policy, and the rows that it asked about."""
    asked: list[int] = []

    def influence(index: np.ndarray) -> np.ndarray:
        asked.extend(index.tolist())
        return world.rewards[index]

    return quad(world.pool, budget, seed=seed, influence=influence, cluster_key="cluster", **settings), len(set(asked))


def numbers(world: Planted, budget: float, index: np.ndarray, scored: int) -> tuple[float, float, float, float]:
    """Precision and recall in tokens (recall of what the budget could buy), the share of rows asked about, of the budget spent."""
    assert world.pool.cost is not None
    cost, here = world.pool.cost, world.good[index]
    spent, good = float(cost[index].sum()), float(cost[index][here].sum())
    could = min(budget, float(cost[world.good].sum()))
    return good / spent if spent else 1.0, good / could, scored / len(world.pool), spent / budget


def table(seeds: range, clusters: int, rows: int, share: float, good: float) -> dict[str, np.ndarray]:
    """Of each policy float64[seeds, 4]."""
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in (*POLICIES, "random")}
    for seed in seeds:
        world = planted(seed, clusters, rows, good)
        assert world.pool.cost is not None
        budget = share * float(world.pool.cost.sum())
        for name, settings in POLICIES.items():
            told, scored = chosen(world, budget, seed, settings)
            found[name].append(numbers(world, budget, told.index, scored))
        found["random"].append(numbers(world, budget, random_rows(world.pool, budget, seed=seed).index, 0))
    return {name: np.array(lines) for name, lines in found.items()}


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--seeds", type=int, default=20)
    read.add_argument("--clusters", type=int, default=100)
    read.add_argument("--rows", type=int, default=1000)
    read.add_argument("--share", type=float, default=0.25)
    read.add_argument("--good", type=float, default=0.5)
    read.add_argument("--first", type=int, default=100)
    asked = read.parse_args()
    print(f"{asked.clusters} clusters of about {asked.rows} rows, {asked.good:.0%} of them good; budget {asked.share:.0%} of "
          f"the tokens; seeds {asked.first} to {asked.first + asked.seeds - 1}: mean (worst)\n")
    print(f"{'policy':<28}{'precision':>15}{'recall':>15}{'rows scored':>17}{'budget spent':>14}")
    seeds = range(asked.first, asked.first + asked.seeds)
    for name, told in table(seeds, asked.clusters, asked.rows, asked.share, asked.good).items():
        mean, worst, most = told.mean(axis=0), told.min(axis=0), told.max(axis=0)
        print(f"{name:<28}{mean[0]:>7.3f} ({worst[0]:.3f}){mean[1]:>7.3f} ({worst[1]:.3f}){mean[2]:>8.1%} ({most[2]:>6.1%})"
              f"{mean[3]:>13.1%}")


if __name__ == "__main__":
    main()
