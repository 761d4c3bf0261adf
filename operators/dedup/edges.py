"""Candidate pairs from keys, verified by sets: the edges whose components are the clusters of duplicates.

One representation serves every deduplicator. *Keys* are list<uint64>: rows that share one are candidates (a null or
empty list takes no part). *Sets* are list<uint64>, sorted and distinct: an edge needs their exact Jaccard similarity to
reach a threshold. Exact deduplication has one key a row and the second half of its 128-bit digest as set, so that an
edge at threshold 1 means equality; MinHash has band keys and shingle hashes.

The edges given are enough to span every cluster, not all pairs: a bucket of a million rows costs a million steps, not
their square. Rows with the same shared keys and set are one row at first. Then each row of a bucket is compared with the
`REACH` before it, in the order of their smallest shingle, so that near-duplicates stand together in a large bucket.

`link` does all of it in memory. A corpus larger than that is cut: `grouped` works on any range of keys, `joined` on any
union of candidate components, and what they find together is what `link` finds on the whole, edge by edge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ..kernels import buckets as kernels
from ..kernels.jaccard import similarities

REACH = 64  # a bucket of up to REACH + 1 different rows is compared in full
Lists = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, ascending by (a, b).

    Attributes:
        a, b: int64[m], row indices, a < b.
        similarity: float64[m], exact Jaccard; NaN where keys alone decided.
    """

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class Buckets:
    """The keys that at least two different rows share, ascending.

    Attributes:
        keys: uint64[g].
        rows: int64[m]; the rows of bucket i are `rows[bounds[i]:bounds[i + 1]]`, distinct and ascending.
        bounds: int64[g + 1].
    """

    keys: np.ndarray
    rows: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)


def lists(column: pa.ListArray) -> Lists:
    """(values uint64, start int64[n], end int64[n]) of a list<uint64> or large_list column; a null list is empty.

    Raises ValueError for another type.
    """
    list_like = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not list_like or column.type.value_type != pa.uint64():
        raise ValueError(f"keys and sets are lists of uint64, not {column.type}")
    offsets = np.asarray(column.offsets).astype(np.int64)
    start, end = offsets[:-1], offsets[1:].copy()
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        end[missing] = start[missing]
    return np.asarray(column.values), start, end


def grouped(keys: np.ndarray, rows: np.ndarray) -> Buckets:
    """The buckets of a table of `keys` uint64[m] and the int64[m] `rows` that have them, in any order.

    Cost: 2 to 4 bytes a key, and 32 for each that is shared.
    """
    at = kernels.repeated(keys)
    return _sorted(keys[at], rows[at])


def shared(keys: Lists) -> Buckets:
    """The buckets of the rows of `keys` as `lists` gives them: those of `grouped`, without a table of their rows."""
    values, start, end = keys
    if not len(start) or (start[1:] != end[:-1]).any():
        return grouped(*kernels.flat(values, start, end))
    values = values[start[0] : end[-1]]
    at = kernels.repeated(values)
    return _sorted(values[at], kernels.owners(end - start[0], at))


def _sorted(keys: np.ndarray, rows: np.ndarray) -> Buckets:
    order = np.argsort(keys)
    return Buckets(*kernels.runs(keys[order], rows[order]))


def suspects(keys: pa.ListArray) -> np.ndarray:
    """bool[n]: the rows that share a key with another row.

    Null: false. Cost: 16 bytes a key, and 32 for each that is shared.
    """
    marks = np.zeros(len(keys), bool)
    marks[shared(lists(keys)).rows] = True
    return marks


def link(keys: pa.ListArray, sets: pa.ListArray | None, threshold: float = 1.0) -> Edges:
    """Edges between rows that share a key and, where `sets` are given, have a Jaccard similarity >= `threshold`.

    Their components are those of all such pairs, except where a bucket of more than `REACH` different rows hides one.
    Which rows are joined depends on neither row order nor batch borders.
    Null: a null or empty list of keys or set takes no part (only suspects need sets). Raises ValueError where lengths
    differ or `threshold` is not in (0, 1].
    Cost: one pass over the keys, one sort of the shared ones, `REACH` comparisons a row and bucket at most.
    """
    if sets is not None and len(sets) != len(keys):
        raise ValueError(f"{len(keys)} rows of keys, {len(sets)} of sets")
    found = shared(lists(keys))
    if sets is None:
        _check(threshold)
        return ascending(*spanned(found, np.arange(len(keys))))
    return joined(found, lists(sets), threshold)


def spanned(buckets: Buckets, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, NaN) of edges that span the buckets beyond what `parent` int64[n] joins already; it is brought up to date.

    `parent` is a forest in which the smallest row of a tree is its root, at first `np.arange(n)`.
    """
    a, b = kernels.spanning(parent, buckets.rows, buckets.bounds)
    return a, b, np.full(len(a), np.nan)


def joined(
    buckets: Buckets, sets: Lists, threshold: float, *, most: int = 1 << 62, relieve: Callable[[], None] = lambda: None
) -> Edges:
    """`link` for rows whose buckets are known: rows are 0 to n - 1, and `sets` holds the set of each.

    `sets` may be memory-mapped: `relieve` is called whenever about `most` bytes of them have been looked at.
    Raises ValueError where `threshold` is not in (0, 1].
    """
    _check(threshold)
    values, start, end = sets
    sums = kernels.key_sums(buckets.keys, buckets.rows, buckets.bounds, len(start))
    hashes = sums.copy()
    for low, high in stretches(8 * (end - start), most):
        kernels.list_hashes(values, start[low:high], end[low:high], hashes[low:high])
        relieve()
    rows = np.flatnonzero((sums != 0) & (end > start))
    order, first, leader = rows[np.argsort(hashes[rows], kind="stable")], np.full(len(start), -1), -1
    for low, high in stretches(8 * (end - start)[order], most):
        leader = kernels.first_same(order[low:high], leader, hashes, sums, sets, first)
        relieve()
    kept = rows[first[rows] == rows]
    kept = kept[np.lexsort((hashes[kept], values[start[kept]]))]
    rank = np.full(len(start), -1)
    rank[kept] = np.arange(len(kept))
    members, bounds = kernels.ranked(buckets.rows, buckets.bounds, rank)
    by_rank = values, start[kept], end[kept]
    parent, found = np.arange(len(kept)), []
    for places in stretches(8 * (by_rank[2] - by_rank[1])[members], most):
        found.append(kernels.alike(members, bounds, places, parent, by_rank, threshold, REACH))
        relieve()
    same = np.flatnonzero((first >= 0) & (first != np.arange(len(first))))
    x, y, value = (np.concatenate(column) for column in zip(*found, strict=True)) if found else (kept[:0], kept[:0], np.empty(0))
    return ascending(
        np.append(kept[x], first[same]), np.append(kept[y], same), np.append(value, np.ones(len(same)))
    )


def _check(threshold: float) -> None:
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"the threshold must be above 0 and at most 1, it is {threshold}")


def stretches(sizes: np.ndarray, most: int) -> list[tuple[int, int]]:
    """(low, high) of consecutive stretches of `sizes` that add up to about `most` each."""
    if not len(sizes):
        return []
    ends = np.cumsum(sizes)
    cuts = np.searchsorted(ends, np.arange(1, int(ends[-1]) // most + 1) * most)
    cuts = np.unique(np.concatenate([[0], cuts + 1, [len(sizes)]]).clip(0, len(sizes)))
    return list(pairwise(cuts.tolist()))


def ascending(a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> Edges:
    """Edges with the smaller row first, in the order of (a, b)."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((b, a))
    return Edges(a[order], b[order], similarity[order])


def jaccard(sets: pa.ListArray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[m]: exact Jaccard similarity of the sets of rows a[k] and b[k], 0 to 1. Two empty or null sets: 0.0."""
    return similarities(*lists(sets), a, b)
