"""k-means of more vectors than memory holds: float16 on disk, read as a memory map, peak memory told.

Run: python benchmarks/kmeans_large.py --rows 10000000 --folder /tmp     (7.7 GB of disk; several minutes)
The vectors are the same 65,536 random unit rows around 1,000 centres again and again, each block turned by signs of its own.
"""

import argparse
import threading
import time
from pathlib import Path

import numpy as np

from tamis.selectors.parts.cluster import kmeans
from tamis.selectors.parts.lloyd import cores

BLOCK = 65_536


def write(path: Path, n: int, d: int) -> None:
    """Write the rows, a block at a time."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(1000, d)).astype(np.float32)
    points = centres[rng.integers(0, 1000, BLOCK)] + 0.7 * rng.standard_normal((BLOCK, d), np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    with path.open("wb") as file:
        for start in range(0, n, BLOCK):
            signs = np.where(rng.random(d) < 0.02, -1, 1).astype(np.float32)
            (points * signs)[: min(BLOCK, n - start)].astype(np.float16).tofile(file)


class Private:
    """The most private memory seen, in KiB: mapped pages are the system's, which takes them back when it wants them."""

    def __init__(self) -> None:
        self.most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            told = Path("/proc/self/status").read_text().splitlines()
            self.most = max(self.most, *(int(line.split()[1]) for line in told if line.startswith("RssAnon")))
            time.sleep(0.05)


def main() -> None:
    """Write, cluster, tell."""
    read = argparse.ArgumentParser()
    read.add_argument("--rows", type=int, default=1_000_000)
    read.add_argument("--dimensions", type=int, default=384)
    read.add_argument("-k", type=int, default=1000)
    read.add_argument("--sample", type=int, default=256)
    read.add_argument("--passes", type=int, default=0)
    read.add_argument("--iterations", type=int, default=10)
    read.add_argument("--folder", type=Path, default=Path("/tmp"))
    asked = read.parse_args()
    path = asked.folder / "kmeans_large.f16"
    began = time.perf_counter()
    if not path.exists() or path.stat().st_size != 2 * asked.rows * asked.dimensions:
        write(path, asked.rows, asked.dimensions)
    written = time.perf_counter() - began
    vectors = np.memmap(path, np.float16, "r", shape=(asked.rows, asked.dimensions))
    peak = Private()
    began = time.perf_counter()
    found = kmeans(vectors, asked.k, seed=0, sample_per_centroid=asked.sample, passes=asked.passes, iterations=asked.iterations)
    seconds = time.perf_counter() - began
    gigabytes = path.stat().st_size / 1e9
    print(f"{asked.rows:,} x {asked.dimensions} float16 ({gigabytes:.1f} GB, written in {written:.0f} s), k {asked.k}, "
          f"{asked.sample} rows a centroid, {asked.iterations} rounds, {asked.passes} passes, {cores()} cores: {seconds:.0f} s, "
          f"{len(found.centroids)} clusters, inertia {found.inertia:,.0f}, at most {peak.most / 2**20:.2f} GiB of private memory")


if __name__ == "__main__":
    main()
