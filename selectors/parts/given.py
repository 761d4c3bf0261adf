"""What a selector was given, checked before anything is computed from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base import Instead, Pool, Selection
from .allocate import fill


def check_budget(pool: Pool, budget: float) -> None:
    """Nothing, where budget and costs are numbers of 0 or more. Raises ValueError with what is wrong and how often."""
    if not budget >= 0:
        raise ValueError(f"the budget is {budget}; it must be 0 or more")
    if pool.cost is not None:
        wrong = int((~(np.isfinite(pool.cost) & (pool.cost >= 0))).sum())
        if wrong:
            raise ValueError(f"cost must be finite and 0 or more: {wrong} of {len(pool)} rows are not")


def check_ids(pool: Pool) -> None:
    """Nothing, where all ids differ. Raises ValueError: rows of one id would share one chance."""
    repeated = len(pool) - len(np.unique(pool.ids))
    if repeated:
        raise ValueError(f"ids must be distinct: {repeated} of {len(pool)} rows repeat one")


def rows_for(pool: Pool, budget: float) -> int:
    """Rows that a budget in rows buys: its whole part, at most all."""
    return len(pool) if budget >= len(pool) else int(budget)


def by_id(pool: Pool) -> np.ndarray:
    """int64[n], the rows in the order of their ids, which does not depend on how they lie."""
    return np.argsort(pool.ids, kind="stable")


def vectors_of(pool: Pool) -> np.ndarray:
    """The vectors, all with a direction. Raises ValueError where there are none, or with the number of those that have none."""
    if pool.embedding is None:
        raise ValueError("it chooses by vectors: the pool has no embedding")
    lengths = np.einsum("ij,ij->i", pool.embedding, pool.embedding, dtype=np.float64)
    wrong = int((~(np.isfinite(lengths) & (lengths > 0))).sum())
    if wrong:
        raise ValueError(f"of {len(pool)} vectors {wrong} are zero, NaN or infinite: no direction")
    return pool.embedding


def qualities_of(pool: Pool) -> np.ndarray:
    """float64[n], the qualities. Raises ValueError where none were named, or with the number of those that are no number."""
    if pool.quality is None:
        raise ValueError("it chooses by a number: give quality_key, a numeric column or the number of an earlier step")
    quality = np.asarray(pool.quality, np.float64)
    wrong = int((~np.isfinite(quality)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(pool)} qualities are NaN or infinite")
    return quality


def along(pool: Pool, order: np.ndarray, budget: float) -> np.ndarray:
    """int64[m], the rows that a budget buys along `order`: the first ones in rows; with costs, whatever still fits."""
    return order[: rows_for(pool, budget)] if pool.cost is None else fill(order, np.asarray(pool.cost, np.float64), budget)


def ended(
    pool: Pool, budget: float, index: np.ndarray, gain: np.ndarray, notes: Mapping[str, np.ndarray] | None = None,
    facts: Mapping[str, Any] | None = None, instead: Instead | None = None,
) -> Selection:
    """The selection, with what is left of the budget as its first fact."""
    spent = len(index) if pool.cost is None else float(pool.cost[index].sum())
    told = {"left": float(budget - spent), **(facts or {})}
    return Selection(np.asarray(index, np.int64), np.asarray(gain, np.float64), notes or {}, told, instead)
