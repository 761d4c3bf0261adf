"""Coverage-centric selection: rows from every stretch of a score, easy and hard alike."""

import numpy as np

from .base import Pool, Selection, selector
from .parts.draw import STRATA, uniform
from .parts.given import along, by_id, check_budget, check_ids, ended, qualities_of
from .parts.strata import coverage_order


@selector("ccs_selector", needs=("quality",))
def ccs(
    pool: Pool, budget: float, *, seed: int, cut_low: float = 0.05, cut_high: float = 0.05, strata: int = 50,
) -> Selection:
    """Rows from all strata of the number in `quality_key`, as many from each as from the others, drawn by hash.

    The shares `cut_low` and `cut_high` of the lowest and highest numbers are cut; what is left is cut into `strata` of equal width.
    5 % at both ends is Adapt-inf's rule; for Zheng et al.'s name a score of difficulty, with `cut_low: 0` and their beta as
    `cut_high`. What was cut is taken only when nothing else is left, so a budget in rows is met exactly, and a smaller
    one is the beginning of a larger one.

    `gain`: the number.  Notes: `stratum` from 0, the lowest, -1: cut.  Facts: `left`, `eligible`.
    Source: Zheng et al. 2023 (CCS); Maharana et al. 2025 (Adapt-inf); SPECS 4.5.
    """
    check_budget(pool, budget)
    check_ids(pool)
    quality = qualities_of(pool)
    order, stratum = coverage_order(quality, pool.ids, seed, cut_low=cut_low, cut_high=cut_high, strata=strata)
    rest = by_id(pool)
    rest = rest[stratum[rest] < 0]
    rest = rest[np.argsort(uniform(seed, pool.ids[rest], stream=STRATA), kind="stable")]
    index = along(pool, np.concatenate([order, rest]), budget)
    return ended(pool, budget, index, quality[index], {"stratum": stratum}, {"eligible": len(order)})
