"""Coverage-centric strata: rows from every stretch of a score's range, as many from each as it has."""

import numpy as np

from .draw import STRATA, uniform


def coverage_order(
    scores: np.ndarray, ids: np.ndarray, seed: int, *, cut_low: float = 0.05, cut_high: float = 0.05, strata: int = 50,
) -> tuple[np.ndarray, np.ndarray]:
    """int64[m], the eligible rows in pick order, and int32[n], the stratum of each row, from the lowest up; -1: not eligible.

    The shares `cut_low` and `cut_high` of the rows with the lowest and highest scores are cut (whole rows, ties by id), the
    range that is left is cut into `strata` of equal width. Every prefix takes as many of each stratum as of the others while
    it has any, drawn by hash of (seed, id): what a poor stratum lacks goes to all others. So b picks are exactly b rows, the
    first of a larger draw, and at least one of each stratum that has any where b is as many as these.

    The tails of Adapt-inf are 5 % at both ends, those of Zheng et al. the hardest only (`cut_low` 0). Released code of both
    hands the surplus on from stratum to stratum in one direction, and Adapt-inf's loses what the last ones lack.
    Raises ValueError on scores that are no numbers, with their count.  Cost: O(n log n).
    Source: Zheng et al. 2023 (CCS), algorithm 1; Maharana et al. 2025 (Adapt-inf); SPECS 4.5.
    """
    scores, ids = np.asarray(scores, np.float64), np.asarray(ids)
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(scores)} scores are NaN or infinite")
    if strata < 1 or not (cut_low >= 0 and cut_high >= 0 and cut_low + cut_high <= 1):
        raise ValueError(f"strata must be 1 or more (is {strata}), cut_low and cut_high 0 or more, together 1 at most "
                         f"(are {cut_low}, {cut_high})")
    n, stratum = len(scores), np.full(len(scores), -1, np.int32)
    upward = np.lexsort((ids, scores))
    eligible = upward[int(cut_low * n + 1e-9) : n - int(cut_high * n + 1e-9)]
    if not len(eligible):
        return eligible, stratum
    low, high = scores[eligible[0]], scores[eligible[-1]]
    place = (scores[eligible] / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)  # halves: the range may be beyond all floats
    stratum[eligible] = np.minimum((place * strata).astype(np.int32), strata - 1)
    chance = uniform(seed, ids[eligible], stream=STRATA)
    by_stratum = np.lexsort((ids[eligible], chance, stratum[eligible]))
    sizes = np.bincount(stratum[eligible], minlength=strata)
    turn = np.empty(len(eligible), np.int64)
    turn[by_stratum] = np.arange(len(eligible)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return eligible[np.lexsort((ids[eligible], chance, turn))], stratum
