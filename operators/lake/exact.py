"""Exact containment: sets of 128-bit row hashes, compared as sets and as bags, and their order-free fingerprint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels.row_hash import places


@dataclass(frozen=True)
class RowSet:
    """Distinct row hashes in order: uint64[m] first, uint64[m] second, and int64[m] how often each row occurs."""

    first: np.ndarray
    second: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def rows(self) -> int:
        """Rows, repetitions counted."""
        return int(self.count.sum())


def cuts(first: np.ndarray, ranges: int) -> np.ndarray:
    """int64[ranges + 1]: where each of so many equal ranges of the hash space begins in sorted hashes, and their end."""
    bounds = np.array([(number << 64) // ranges for number in range(1, ranges)], np.uint64)
    return np.concatenate([[0], np.searchsorted(first, bounds), [len(first)]]).astype(np.int64)


def row_set(hashes: np.ndarray, count: np.ndarray | None = None) -> RowSet:
    """The set of uint64[2, n] row hashes. Cost: a sort, of which little is left to do where sorted runs follow each other."""
    order = np.argsort(hashes[0], kind="stable")
    first, second = hashes[:, order]
    alike = first[1:] == first[:-1]
    if (alike & (second[1:] < second[:-1])).any():  # different rows of one first hash: next to never
        order = np.lexsort((hashes[1], hashes[0]))
        first, second = hashes[:, order]
    new = np.ones(len(first), bool)
    new[1:] = ~alike | (second[1:] != second[:-1])
    at = np.flatnonzero(new)
    if count is None:
        times = np.diff(np.append(at, len(first)))
    else:
        times = np.add.reduceat(count[order], at) if len(at) else np.zeros(0, np.int64)
    return RowSet(first[at], second[at], times.astype(np.int64))


def merged(sets: Sequence[RowSet]) -> RowSet:
    """One set of several runs of one table."""
    if len(sets) == 1:
        return sets[0]
    if not sets:
        return row_set(np.empty((2, 0), np.uint64))
    hashes = np.stack([np.concatenate([s.first for s in sets]), np.concatenate([s.second for s in sets])])
    return row_set(hashes, np.concatenate([s.count for s in sets]))


def missing(child: RowSet, parent: RowSet, bag: bool = False) -> np.ndarray:
    """int64[m]: how many of each of the child's rows the parent lacks: all of them, or, of a bag, those beyond the parent's."""
    at = places(child.first, child.second, parent.first, parent.second)
    if not bag:
        return np.where(at < 0, child.count, 0)
    have = np.where(at < 0, 0, parent.count[np.maximum(at, 0)]) if len(parent) else np.zeros(len(child), np.int64)
    return np.maximum(child.count - have, 0)


def found(rows: RowSet, parent: RowSet) -> np.ndarray:
    """bool[n]: which rows are in the parent; they need be neither distinct nor in order."""
    return places(rows.first, rows.second, parent.first, parent.second) >= 0


def fingerprint(rows: RowSet) -> dict[str, str | int]:
    """Order-free fingerprint of a table's rows: equal tables, equal fingerprints; of the set, and of the bag.

    Sums and exclusive ors of the hashes; those of disjoint parts add up. Empty: zeros.
    """
    with np.errstate(over="ignore"):
        times = rows.count.astype(np.uint64)
        parts = [int(rows.first.sum(dtype=np.uint64)), int(rows.second.sum(dtype=np.uint64))]
        bag = [int((rows.first * times).sum(dtype=np.uint64)), int((rows.second * times).sum(dtype=np.uint64))]
    mixed = [int(np.bitwise_xor.reduce(lane)) for lane in (rows.first, rows.second)]  # of nothing: 0
    return {
        "set": "".join(f"{v:016x}" for v in [*parts, *mixed]), "bag": "".join(f"{v:016x}" for v in bag),
        "distinct": len(rows), "rows": rows.rows,
    }
