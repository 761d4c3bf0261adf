"""Near-duplicate removal side by side, Arrow column in memory to removed rows: documents per CPU-second and per second.

    python benchmarks/minhash.py PATH.jsonl[.zst] [--docs 20000] [--threshold 0.7] [--permutations 256] [--workers 1]
                                 [--rounds 3] [--peers SITE-PACKAGES ...] [--only NAME ...]

All take the same 5-word shingles and permutations. Rounds are interleaved; each figure is the median of its rounds. CPU
seconds are those of this process and its children, all threads. Peers that cannot be imported, here or from `--peers`, say so.
*Of the limit*: what nobody can do without is to read the texts (Parquet, zstd) and to hash each once (128 bits); the CPU-seconds
of that, measured in the same rounds, as a share of those of reading and then removing near-duplicates.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def cpu() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def limit(path: Path) -> tuple[float, float]:
    """CPU-seconds of (reading a Parquet file of texts, hashing each text once)."""
    from tamis.operators.dedup.exact import text_digests

    began = cpu()
    text = pq.read_table(path, columns=["text"]).column("text")
    read = cpu()
    for chunk in text.chunks:
        text_digests(chunk)
    return read - began, cpu() - read


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
    floor: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "text.parquet")
        pq.write_table(pa.table({"text": text}), texts, compression="zstd")
        limit(texts)
        for _ in range(how.rounds):
            for name, find in systems.items():
                floor.append(limit(texts))
                began, used = time.perf_counter(), cpu()
                find(text, how.threshold, how.permutations, how.workers)
                taken[name].append((time.perf_counter() - began, cpu() - used))
    read, hashed = np.median(floor, axis=0)
    print(f"{how.path.name}: {len(text):,} documents, {text.nbytes / 1e6:.1f} MB, {how.permutations} permutations, "
          f"{how.workers} worker(s), {how.rounds} rounds")
    print(f"the limit: {read * 1e3:.1f} ms to read {len(text):,} texts from Parquet, {hashed * 1e3:.1f} ms to hash them: "
          f"{len(text) / (read + hashed):,.0f} docs/cpu-s")
    print("| | docs/cpu-s | docs/s | of the limit | verified ahead, CPU | unverified ahead, CPU | verified ahead, wall |")
    print("|---|---|---|---|---|---|---|")
    median = {name: np.median(rounds, axis=0) for name, rounds in taken.items()}
    ours = [median.get(f"tamis, {kind}", np.full(2, np.nan)) for kind in ("verified", "unverified")]
    for name, (wall, used) in median.items():
        share = (read + hashed) / (read + used)
        print(f"| {name} | {len(text) / used:,.0f} | {len(text) / wall:,.0f} | {share:.1%} | {used / ours[0][1]:.1f}x "
              f"| {used / ours[1][1]:.1f}x | {wall / ours[0][0]:.1f}x |")


if __name__ == "__main__":
    main()
