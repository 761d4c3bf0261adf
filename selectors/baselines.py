"""What every other selector has to beat at the same budget."""

from typing import Literal

import numpy as np

from .base import Pool, Selection, selector
from .parts.allocate import fill
from .parts.draw import uniform
from .parts.given import check_budget, check_ids, rows_for


@selector("random_selector")
def random_rows(pool: Pool, budget: float, *, seed: int, compat: Literal["data-juicer"] | None = None) -> Selection:
    """Rows drawn uniformly without replacement: those whose hash of (seed, id) is smallest.

    Budget in rows: exactly `min(budget, n)`. With costs: along the same order, whatever still fits; less is left than
    the cheapest row not taken costs. Budgets in rows are nested: the 100 are the first 100 of the 1,000.
    A hash picks the same ones for any order of the input and any number of workers. Data-Juicer shuffles the rows as they
    lie with NumPy's generator, seed 42, and goes round again where more are asked for than there are: `compat` does so too,
    for budgets in rows; the engine repeats what `repeated_to` says.

    `gain` is 1 for each pick. Notes: `rank`, 1 for the row drawn first. Facts: `left`, what remains of the budget.
    """
    check_budget(pool, budget)
    check_ids(pool)
    order = np.lexsort((pool.ids, uniform(seed, pool.ids)))
    if compat and pool.cost is None:
        order = np.arange(len(pool)) if budget == len(pool) else np.random.default_rng(42).permutation(len(pool))
    index = order[: rows_for(pool, budget)] if pool.cost is None else fill(order, pool.cost, budget)
    rank = np.empty(len(pool), np.int32)
    rank[order] = np.arange(1, len(pool) + 1)
    spent = len(index) if pool.cost is None else float(pool.cost[index].sum())
    facts = {"left": float(budget - spent)}
    if compat and pool.cost is None and budget > len(pool):
        facts = {"left": 0.0, "repeated_to": float(budget)}
    return Selection(index, np.ones(len(index)), {"rank": rank}, facts)
