"""Candidate pairs from keys, verified by sets: the edges whose components are the clusters of duplicates.

One representation serves every deduplicator. *Keys* are list<uint64>: rows that share one are candidates (a null or
empty list takes no part). *Sets* are list<uint64>, sorted and distinct: an edge needs their exact Jaccard similarity to
reach a threshold. Exact deduplication has one key a row and the second half of its 128-bit digest as set, so that an
edge at threshold 1 means equality; MinHash has band keys and shingle hashes.

The edges given are enough to span every cluster, not all pairs: a bucket of a million rows costs a million steps, not
their square. Rows with the same keys and set are one row at first. Then each row of a bucket is compared with the
`REACH` before it, in the order of their smallest shingle, so that near-duplicates stand together in a large bucket.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..kernels.buckets import alike, first_same, list_hashes, repeated
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


def _buckets(keys: Lists) -> tuple[np.ndarray, np.ndarray]:
    """(rows, bounds): bucket g, rows of one key, ascending, at least two, is `rows[bounds[g]:bounds[g + 1]]`."""
    values, rows = repeated(*keys)
    order = np.argsort(values, kind="stable")
    values, rows = values[order], rows[order]
    fresh = np.ones(len(values), bool)
    fresh[1:] = values[1:] != values[:-1]
    begin = np.flatnonzero(fresh)
    size = np.diff(np.append(begin, len(values)))
    shared = rows[begin] != rows[begin + size - 1]
    return rows[np.repeat(shared, size)], np.append(0, np.cumsum(size[shared]))


def suspects(keys: pa.ListArray) -> np.ndarray:
    """bool[n]: the rows that share a key with another row.

    Null: false. Cost: 2 to 4 bytes a key, and 32 for each that is shared.
    """
    marks = np.zeros(len(keys), bool)
    marks[_buckets(lists(keys))[0]] = True
    return marks


def link(keys: pa.ListArray, sets: pa.ListArray | None, threshold: float = 1.0) -> Edges:
    """Edges between rows that share a key and, where `sets` are given, have a Jaccard similarity >= `threshold`.

    Their components are those of all such pairs, except where a bucket of more than `REACH` different rows hides one.
    Which rows are joined depends on neither row order nor batch borders.
    Null: a null or empty list of keys or set takes no part (only suspects need sets). Raises ValueError where lengths
    differ or `threshold` is not in (0, 1].
    Cost: one pass over the keys, one sort of the shared ones, `REACH` comparisons a row and bucket at most.
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"the threshold must be above 0 and at most 1, it is {threshold}")
    if sets is not None and len(sets) != len(keys):
        raise ValueError(f"{len(keys)} rows of keys, {len(sets)} of sets")
    by_key = lists(keys)
    nothing = np.zeros(len(keys), np.int64)
    by_set = (by_key[0], nothing, nothing) if sets is None else lists(sets)  # all empty
    takes_part = by_key[2] > by_key[1]
    if sets is not None:
        takes_part &= by_set[2] > by_set[1]
    first, ranked = _different(by_key, by_set, np.flatnonzero(takes_part))
    ranked_sets = (by_set[0], by_set[1][ranked], by_set[2][ranked])
    members, bounds = _buckets((by_key[0], by_key[1][ranked], by_key[2][ranked]))
    verified = (threshold, REACH) if sets is not None else (-1.0, 1)
    x, y, value = alike(members, bounds, len(ranked), ranked_sets, *verified)
    same = np.flatnonzero((first >= 0) & (first != np.arange(len(first))))
    a = np.concatenate([np.minimum(ranked[x], ranked[y]), first[same]])
    b = np.concatenate([np.maximum(ranked[x], ranked[y]), same])
    similarity = np.concatenate([value, np.full(len(same), np.nan if sets is None else 1.0)])
    order = np.lexsort((b, a))
    return Edges(a[order], b[order], similarity[order])


def _different(by_key: Lists, by_set: Lists, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, ranked): the first row like each row (-1: takes no part), and those firsts by (smallest shingle, hash)."""
    hashes = np.zeros(len(by_key[1]), np.uint64)
    list_hashes(*by_key, hashes)
    list_hashes(*by_set, hashes)
    first = first_same(rows[np.argsort(hashes[rows], kind="stable")], hashes, by_key, by_set)
    kept = rows[first[rows] == rows]
    return first, kept[np.lexsort((hashes[kept], by_set[0][by_set[1][kept]]))]


def jaccard(sets: pa.ListArray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[m]: exact Jaccard similarity of the sets of rows a[k] and b[k], 0 to 1. Two empty or null sets: 0.0."""
    return similarities(*lists(sets), a, b)
