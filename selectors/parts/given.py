"""What a selector was given, checked before anything is computed from it."""

import numpy as np

from ..base import Pool


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
