"""Near-duplicate removal, Arrow in memory to keep mask: documents per CPU-second, and what is found of the truth.

    python benchmarks/minhash.py PATH.jsonl[.zst] [--docs 20000] [--threshold 0.7] [--without-peer]

The truth is the exact Jaccard similarity of all pairs. Recall: share of the true pairs that end in one cluster. Removed:
recall and precision of the rows taken out, against those that the true pairs' clusters would take out.
Times are CPU-seconds of this process after a warm-up; reading the file and making the Arrow array are not in them.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard
from numba import njit

from tamis.operators.dedup.bands import balanced_bands, verified_bands
from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import link, lists, suspects
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets
from tamis.operators.kernels.jaccard import similarities

PERMUTATIONS, WINDOW = 256, 5


def read(path: Path, most: int) -> list[str]:
    raw = path.open("rb")
    plain = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
    rows = []
    for line in io.TextIOWrapper(plain, encoding="utf-8"):
        rows.append(json.loads(line)["text"])
        if len(rows) == most:
            break
    return rows


def verified(text: pa.Array, threshold: float) -> np.ndarray:
    keys = minhash_keys(text, jaccard_threshold=threshold)
    sets = shingle_sets(pc.if_else(pa.array(suspects(keys)), text, pa.scalar(None, text.type)))
    edges = link(keys, sets, threshold)
    return components(edges.a, edges.b, len(text))


def unverified(text: pa.Array, threshold: float) -> np.ndarray:
    edges = link(minhash_keys(text, jaccard_threshold=threshold, verify=False), None)
    return components(edges.a, edges.b, len(text))


def datasketch(text: pa.Array, threshold: float) -> np.ndarray:
    from datasketch import MinHash, MinHashLSH

    a, b = [], []
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    blank = MinHash(num_perm=PERMUTATIONS)
    for row, content in enumerate(text.to_pylist()):
        tokens = [token for token in content.lower().split(" ") if token]
        if not tokens:
            continue
        width = min(WINDOW, len(tokens))
        sketch = blank.copy()
        sketch.update_batch({" ".join(tokens[i : i + width]).encode() for i in range(len(tokens) - width + 1)})
        for other in index.query(sketch):
            a.append(other)
            b.append(row)
        index.insert(row, sketch, check_duplication=False)
    return components(np.array(a, np.int64), np.array(b, np.int64), len(text))


@njit(cache=True)
def pairs_of_groups(rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    total = 0
    for g in range(len(bounds) - 1):
        size = bounds[g + 1] - bounds[g]
        total += size * (size - 1) // 2
    out, filled = np.empty(total, np.int64), 0
    for g in range(len(bounds) - 1):
        for i in range(bounds[g], bounds[g + 1]):
            for j in range(bounds[g], i):
                out[filled] = (min(rows[i], rows[j]) << 32) | max(rows[i], rows[j])
                filled += 1
    return out


def true_pairs(sets: pa.ListArray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of rows that are as alike as `threshold`, by the prefix filter: they share one of their rarest shingles."""
    values, start, end = lists(sets)
    _, number, often = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.empty(len(often), np.int64)
    rank[np.argsort(often, kind="stable")] = np.arange(len(often))
    size = end - start
    row = np.repeat(np.arange(len(size)), size)
    order = np.lexsort((rank[number], row))
    place = np.arange(len(values)) - np.repeat(start, size)
    prefix = place < np.repeat(size - np.ceil(threshold * size - 1e-9) + 1, size)
    shingle, owner = rank[number][order][prefix], row[prefix]
    by_shingle = np.argsort(shingle, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(shingle[by_shingle], prepend=-1)), len(shingle))
    codes = np.unique(pairs_of_groups(owner[by_shingle], bounds))
    a, b = codes >> 32, codes & 0xFFFFFFFF
    alike = similarities(values, start, end, a, b) >= threshold
    return a[alike], b[alike]


def measured(
    find: Callable[[pa.Array, float], np.ndarray], text: pa.Array, threshold: float, rounds: int
) -> tuple[np.ndarray, float]:
    """Labels, and the CPU-seconds of the best of `rounds`."""
    find(text.slice(0, 200), threshold)
    least = np.inf
    for _ in range(rounds):
        started = time.process_time()
        labels = find(text, threshold)
        least = min(least, time.process_time() - started)
    return labels, least


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--docs", type=int, default=20_000)
    arguments.add_argument("--threshold", type=float, default=0.7)
    arguments.add_argument("--without-peer", action="store_true")
    how = arguments.parse_args()
    text, threshold = pa.array(read(how.path, how.docs), pa.string()), how.threshold
    a, b = true_pairs(shingle_sets(text), threshold)
    numbers = np.arange(len(text))
    gone = components(a, b, len(text)) != numbers
    print(f"{how.path.name}: {len(text):,} documents, {text.nbytes / 1e6:.1f} MB; {len(a):,} pairs with J >= {threshold}, "
          f"{gone.sum():,} rows to remove; {PERMUTATIONS} permutations, {WINDOW}-word shingles")
    systems = [
        ("tamis, verified {} x {}".format(*verified_bands(threshold, PERMUTATIONS)), verified, 3),
        ("tamis, unverified {} x {}".format(*balanced_bands(threshold, PERMUTATIONS)), unverified, 3),
    ]
    if not how.without_peer:
        systems.append(("datasketch {} x {}".format(*balanced_bands(threshold, PERMUTATIONS)), datasketch, 1))
    print(f"{'':28} {'docs/cpu-s':>10} {'MB/cpu-s':>9} {'recall':>7} {'removed: recall':>16} {'precision':>10}")
    for name, find, rounds in systems:
        labels, seconds = measured(find, text, threshold, rounds)
        removed = labels != numbers
        right = (removed & gone).sum()
        together = np.mean(labels[a] == labels[b]) if len(a) else np.nan
        print(f"{name:28} {len(text) / seconds:10,.0f} {text.nbytes / 1e6 / seconds:9.1f} {together:7.4f} "
              f"{right / max(gone.sum(), 1):16.4f} {right / max(removed.sum(), 1):10.4f}")


if __name__ == "__main__":
    main()
