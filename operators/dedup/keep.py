"""Which row of a cluster stays."""

from typing import Literal

import numpy as np


def kept(
    labels: np.ndarray, *, rule: Literal["first", "longest", "best"] = "first",
    length: np.ndarray | None = None, score: np.ndarray | None = None,
) -> np.ndarray:
    """int64[n]: the row that stays for each row; a row that stays stands for itself.

    `labels` int64[n] as of `components`. `first`: the smallest row, as Data-Juicer keeps it. `longest`: the largest
    `length`. `best`: the largest `score`. Ties: the smallest row. NaN: less than any number.
    Raises ValueError where the rule's column is missing or has another length.
    """
    if rule == "first":
        return np.asarray(labels, np.int64)
    column = {"longest": length, "best": score}.get(rule)
    if column is None:
        need = {"longest": "length", "best": "score"}.get(rule)
        raise ValueError(f"rule {rule!r} needs `{need}`" if need else f"rule {rule!r} is none of first, longest, best")
    if len(column) != len(labels):
        raise ValueError(f"{len(labels)} labels, {len(column)} values to choose by")
    worth = np.where(np.isnan(column), -np.inf, column) if np.issubdtype(column.dtype, np.floating) else column
    # by cluster, then the worthiest, then the smallest row: the first of each cluster stays
    order = np.lexsort((np.arange(len(labels)), _descending(worth), labels))
    begins = np.ones(len(labels), bool)
    begins[1:] = labels[order][1:] != labels[order][:-1]
    chosen = np.empty(len(labels), np.int64)
    chosen[order] = order[begins][np.cumsum(begins) - 1]
    return chosen


def _descending(worth: np.ndarray) -> np.ndarray:
    """Integers that ascend as `worth` descends; equal for equal (no sign change: -int64.min would overflow)."""
    return -np.unique(worth, return_inverse=True)[1]
