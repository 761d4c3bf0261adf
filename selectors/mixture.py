"""A mixture of sets by weight: how many rows of each make a pool of a given size."""

import math
from typing import Literal

import numpy as np

from .base import Pool, Selection, selector
from .parts.draw import uniform


@selector("mixture_selector", needs=("field",))
def mixture(
    pool: Pool, budget: float, *, seed: int, paths: list[str | list[str]], weights: list[float], max_sample_num: int,
    field_key: str = "__source__", groups: list[list[str]] | None = None, compat: Literal["data-juicer"] | None = None,
) -> Selection:
    """Rows of several sets, together `max_sample_num` where the sets have them, each set's share by its weight.

    Set i gives ceil(max_sample_num * w_i / sum of w) rows, the last ones what is left to the total, or all that it has: no
    row is taken twice (Data-Juicer repeats rows of a set that is too small). `groups` are the values of `field_key` of each
    set; the plan fills them in from `paths`. Drawn by hash of (seed, id); `compat`: by NumPy's shuffle with seed 42.
    Raises ValueError for weights that are negative or all 0. `gain` is 1. Source: Data-Juicer's `dataset.max_sample_num`.
    """
    assert pool.field is not None
    if len(weights) != len(paths) or min(weights) < 0 or not sum(weights) > 0:
        raise ValueError(f"weights {weights} must be {len(paths)} numbers, none negative and not all 0")
    left, picked = max_sample_num, []
    for names, weight in zip(groups or [], weights, strict=True):
        rows = np.flatnonzero(np.isin(pool.field.astype(str), names))
        wanted = min(math.ceil(max_sample_num * weight / sum(weights)), left)
        left -= wanted
        order = np.lexsort((pool.ids[rows], uniform(seed, pool.ids[rows])))
        order = np.random.default_rng(42).permutation(len(rows)) if compat else order
        picked.append(rows[order[:wanted]])
    index = np.concatenate([np.empty(0, np.int64), *picked])
    return Selection(index, np.ones(len(index)), {}, {"taken": [len(p) for p in picked]})
