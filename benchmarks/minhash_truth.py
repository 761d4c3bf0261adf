"""What is truly alike: all pairs of rows whose sets reach a Jaccard similarity, exactly; and the corpora to look in."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard
from numba import njit

from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import lists
from tamis.operators.kernels.jaccard import similarities


def read(path: Path, most: int) -> list[str]:
    """The first `most` texts of a JSONL file."""
    raw = path.open("rb")
    plain = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
    rows = []
    for line in io.TextIOWrapper(plain, encoding="utf-8"):
        rows.append(json.loads(line)["text"])
        if len(rows) == most:
            break
    return rows


@njit(cache=True)
def pairs_of_groups(rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Codes (a << 32 | b) of all pairs within each group."""
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


def truly_removed(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """bool[n]: the rows that have an earlier one in the component of their true pairs."""
    return components(a, b, n) != np.arange(n)
