"""Which row of a cluster stays."""

from typing import Literal

import numpy as np


def kept(
    labels: np.ndarray, *, rule: Literal["first", "longest", "best", "oldest"] = "first",
    length: np.ndarray | None = None, score: np.ndarray | None = None, date: np.ndarray | None = None,
) -> np.ndarray:
    """int64[n]: the row that stays for each row; a row that stays stands for itself.

    `labels` int64[n] as of `components`. `first`: the smallest row, as Data-Juicer keeps it. `longest`: the largest
    `length`. `best`: the largest `score`. `oldest`: the smallest `date`, a number of whatever unit.
    Ties: the smallest row. NaN: only where a cluster has nothing else.
    Raises ValueError where the rule's column is missing or has another length.
    """
    if rule == "first":
        return np.asarray(labels, np.int64)
    column = {"longest": length, "best": score, "oldest": date}.get(rule)
    if column is None:
        need = {"longest": "length", "best": "score", "oldest": "date"}.get(rule)
        raise ValueError(f"rule {rule!r} needs `{need}`" if need else f"rule {rule!r} is none of first, longest, best, oldest")
    if len(column) != len(labels):
        raise ValueError(f"{len(labels)} labels, {len(column)} values to choose by")
    order = _ascending(column) if rule == "oldest" else -_ascending(column)
    missing = np.isnan(column) if np.issubdtype(column.dtype, np.floating) else np.zeros(len(column), bool)
    # by cluster, then the worthiest, then the smallest row: the first of each cluster stays
    order = np.lexsort((np.arange(len(labels)), order, missing, labels))
    begins = np.ones(len(labels), bool)
    begins[1:] = labels[order][1:] != labels[order][:-1]
    chosen = np.empty(len(labels), np.int64)
    chosen[order] = order[begins][np.cumsum(begins) - 1]
    return chosen


def _ascending(worth: np.ndarray) -> np.ndarray:
    """Integers in the order of `worth`; equal for equal (no sign change of these: -int64.min would overflow)."""
    return np.unique(worth, return_inverse=True)[1]
