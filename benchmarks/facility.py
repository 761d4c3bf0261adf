"""Facility location side by side in one run: ours, apricot, submodlib, over the same graph of nearest neighbours.

Run: python benchmarks/facility.py [--rows 100000] [--budget 1000]
Needs, beside tamis: pip install apricot-select submodlib-py (each is left out where it is not installed).
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from tamis.selectors.parts.cover import Links, lazy_greedy, links, stochastic_greedy, worth


def rows_of(n: int, d: int) -> np.ndarray:
    """Unit rows around 2,000 centres whose sizes fall as 1/rank."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 2001)
    points = rng.normal(size=(2000, d)).astype(np.float32)[rng.choice(2000, n, p=share / share.sum())]
    points += 0.6 * rng.standard_normal((n, d), np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def matrix(graph: Links) -> csr_matrix:
    """The graph as scipy has it (it is symmetric)."""
    n = len(graph)
    return csr_matrix((graph.similarity.astype(np.float64), graph.row, graph.ends), shape=(n, n))


def of_apricot(graph: Links, budget: int) -> np.ndarray:
    """apricot's lazy greedy on the sparse matrix."""
    from apricot import FacilityLocationSelection

    return FacilityLocationSelection(budget, metric="precomputed", optimizer="lazy").fit(matrix(graph)).ranking


def of_submodlib(points: np.ndarray, neighbours: int, budget: int) -> np.ndarray:
    """submodlib's lazy greedy in its sparse mode, which finds the neighbours itself."""
    from submodlib import FacilityLocationFunction

    made = FacilityLocationFunction(n=len(points), mode="sparse", data=points, num_neighbors=neighbours, metric="cosine")
    return np.array([i for i, _ in made.maximize(budget, optimizer="LazyGreedy", show_progress=False)])


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--rows", type=int, default=100_000)
    read.add_argument("--dimensions", type=int, default=64)
    read.add_argument("--neighbours", type=int, default=32)
    read.add_argument("--budget", type=int, default=1000)
    read.add_argument("--skip", nargs="*", default=[])
    asked = read.parse_args()
    points = rows_of(asked.rows, asked.dimensions)
    lazy_greedy(links(points[:200], 4), 3), stochastic_greedy(links(points[:200], 4), 3, np.arange(200), 0)  # compiled
    began = time.perf_counter()
    graph = links(points, asked.neighbours)
    built = time.perf_counter() - began
    print(f"{asked.rows:,} x {asked.dimensions}, {asked.neighbours} neighbours, {len(graph.row):,} links (made in {built:.1f} s), "
          f"budget {asked.budget:,}; seconds of greedy alone, but submodlib's include its own neighbours\n")
    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours, lazy": lambda: lazy_greedy(graph, asked.budget)[0],
        "ours, stochastic": lambda: stochastic_greedy(graph, asked.budget, np.arange(asked.rows), 0)[0],
    }
    if importlib.util.find_spec("apricot") and "apricot" not in asked.skip:
        ways["apricot, lazy"] = lambda: of_apricot(graph, asked.budget)
    if importlib.util.find_spec("submodlib") and "submodlib" not in asked.skip:
        ways["submodlib, lazy"] = lambda: of_submodlib(points, asked.neighbours, asked.budget)
    small = links(points[:300], 8)
    if "apricot, lazy" in ways:
        of_apricot(small, 5)  # compiled
    for name, way in ways.items():
        began, spent = time.perf_counter(), time.process_time()
        picks = way()
        seconds, used = time.perf_counter() - began, time.process_time() - spent
        print(f"{name:<20} {seconds:8.2f} s {used:8.2f} CPU s  {len(picks):,} picks, worth {worth(graph, picks):,.1f}", flush=True)


if __name__ == "__main__":
    main()
