"""k-means side by side in one run: ours, faiss itself, scikit-learn's MiniBatchKMeans.

Run: python benchmarks/kmeans.py [--rows 100000] [--dimensions 384] [-k 256]     (about two minutes)
"""

import argparse
import time
from collections.abc import Callable

import faiss
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.lloyd import cores


def rows_of(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Unit rows around 2,000 centres whose sizes fall as 1/rank, as texts lie: noise as large as the centres' spread."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(2000, d)).astype(np.float32)
    share = 1 / np.arange(1, 2001)
    points = centres[rng.choice(2000, n, p=share / share.sum())]
    points += rng.standard_normal((n, d), np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def inertia(points: np.ndarray, centroids: np.ndarray) -> float:
    """Sum of squared distances to the nearest centroid."""
    return float(faiss.knn(points, np.ascontiguousarray(centroids, np.float32), 1)[0].sum(dtype=np.float64))


def of_faiss(points: np.ndarray, k: int, rounds: int, seed: int, most: int, threads: int | None = None) -> np.ndarray:
    """faiss.Kmeans with its own random start, and the assignment of every row, as ours does both."""
    faiss.omp_set_num_threads(threads or cores())
    found = faiss.Kmeans(points.shape[1], k, niter=rounds, seed=seed, max_points_per_centroid=most, min_points_per_centroid=1)
    found.train(points)
    found.index.search(points, 1)
    return found.centroids


def of_sklearn(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """MiniBatchKMeans as it comes, and its labels of every row."""
    return MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=4096).fit(points).cluster_centers_


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--rows", type=int, default=100_000)
    read.add_argument("--dimensions", type=int, default=384)
    read.add_argument("-k", type=int, default=256)
    read.add_argument("--only", nargs="+", help="rows of the table, by their names")
    asked = read.parse_args()
    points, k = rows_of(asked.rows, asked.dimensions), asked.k
    print(f"{asked.rows:,} x {asked.dimensions} unit rows, k {k}, {cores()} cores; plain (not spherical); best of 2, seconds; "
          "inertia of all rows. Each trains, and assigns every row.\n")
    ways: dict[str, Callable[[int], np.ndarray]] = {
        "faiss, 10 rounds": lambda s: of_faiss(points, k, 10, s, 256),
        "faiss, 20 rounds": lambda s: of_faiss(points, k, 20, s, 256),
        "faiss, 20 rounds, 1 thread": lambda s: of_faiss(points, k, 20, s, 256, threads=1),
        "ours, 4 rounds": lambda s: kmeans(points, k, seed=s, spherical=False, iterations=4).centroids,
        "ours, 4 rounds, 1 thread": lambda s: kmeans(points, k, seed=s, spherical=False, iterations=4, threads=1).centroids,
        "ours, 10 rounds": lambda s: kmeans(points, k, seed=s, spherical=False, iterations=10).centroids,
        "ours, 20 rounds": lambda s: kmeans(points, k, seed=s, spherical=False, iterations=20).centroids,
        "ours, 20 rounds, 1 thread": lambda s: kmeans(points, k, seed=s, spherical=False, iterations=20, threads=1).centroids,
        "MiniBatchKMeans": lambda s: of_sklearn(points, k, s),
    }
    kmeans(points[:2000], 4, seed=0)  # compiled
    for name, way in ((n, w) for n, w in ways.items() if not asked.only or n in asked.only):
        times, used, found = [], [], []
        for seed in range(2):
            began, spent = time.perf_counter(), time.process_time()
            centroids = way(seed)
            times.append(time.perf_counter() - began)
            used.append(time.process_time() - spent)
            found.append(inertia(points, centroids))
        print(f"{name:<28} {min(times):7.2f} s   {min(used):7.2f} CPU s   inertia {np.mean(found):12,.1f}", flush=True)


if __name__ == "__main__":
    main()
