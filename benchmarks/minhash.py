"""Near-duplicate removal side by side, Arrow column in memory to removed rows: documents per CPU-second and per second.

    python benchmarks/minhash.py PATH.jsonl[.zst] [--docs 20000] [--threshold 0.7] [--permutations 256] [--workers 1]
                                 [--rounds 3] [--peers SITE-PACKAGES ...] [--only NAME ...]

All take the same 5-word shingles and permutations. Rounds are interleaved; each figure is the median of its rounds. CPU
seconds are those of this process and its children, all threads. Peers that cannot be imported, here or from `--peers`, say so.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa


def cpu() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--permutations", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=[], help="folders in which packages are looked for after our own")
    parser.add_argument("--only", nargs="*", help="names of systems")
    how = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(how.workers)
    sys.path += how.peers
    import minhash_peers as peers
    from minhash_truth import read

    text = pa.array(read(how.path, how.docs), pa.string())
    systems = {name: find for name, find in peers.SYSTEMS.items() if not how.only or name in how.only}
    for name in list(systems):
        try:
            systems[name](text.slice(0, 200), how.threshold, how.permutations, how.workers)
        except ImportError as e:
            print(f"{name}: not installed ({e})")
            del systems[name]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    for _ in range(how.rounds):
        for name, find in systems.items():
            began, used = time.perf_counter(), cpu()
            find(text, how.threshold, how.permutations, how.workers)
            taken[name].append((time.perf_counter() - began, cpu() - used))
    print(f"{how.path.name}: {len(text):,} documents, {text.nbytes / 1e6:.1f} MB, {how.permutations} permutations, "
          f"{how.workers} worker(s), {how.rounds} rounds")
    print("| | docs/cpu-s | docs/s | verified ahead, CPU | unverified ahead, CPU | verified ahead, wall |")
    print("|---|---|---|---|---|---|")
    median = {name: np.median(rounds, axis=0) for name, rounds in taken.items()}
    ours = [median.get(f"tamis, {kind}", np.full(2, np.nan)) for kind in ("verified", "unverified")]
    for name, (wall, used) in median.items():
        print(f"| {name} | {len(text) / used:,.0f} | {len(text) / wall:,.0f} | {used / ours[0][1]:.1f}x | {used / ours[1][1]:.1f}x "
              f"| {wall / ours[0][0]:.1f}x |")


if __name__ == "__main__":
    main()
