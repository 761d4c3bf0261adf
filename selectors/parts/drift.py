"""Scores that were taken some time ago, brought up to date from a sample of rows that are scored again."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drift:
    """How a score has moved, told by the rows scored again.

    Attributes:
        rows: how many these are.
        slope, intercept: the line from old to new score, by least squares; 1 and 0 where none was fitted.
        before, after: root mean square difference of the new scores from the old ones, and from the line, each row judged
            by the line through all others.
        corrected: whether the line is used: it is where it predicts better than the old scores themselves.
    """

    rows: int
    slope: float
    intercept: float
    before: float
    after: float
    corrected: bool


def up_to_date(old: np.ndarray, sample: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, Drift]:
    """float64[n], the scores as they would be today, and how they were found: those of `sample` (row numbers) are `fresh`, the
    others lie on the line that leads from old to fresh, where that predicts better than doing nothing.

    Fewer than three rows, or old scores that are all one: no line.  Raises ValueError on scores that are no numbers.
    Source: SPECS 4, better than the paper.
    """
    old, fresh = np.asarray(old, np.float64), np.asarray(fresh, np.float64)
    if not (np.isfinite(old).all() and np.isfinite(fresh).all()):
        raise ValueError(f"{int((~np.isfinite(old)).sum())} of {len(old)} old scores and {int((~np.isfinite(fresh)).sum())} of "
                         f"{len(fresh)} new ones are no numbers")
    x = old[sample]
    before = float(np.sqrt(np.mean((fresh - x) ** 2))) if len(x) else 0.0
    slope, intercept, after = _line(x, fresh)
    corrected = after < before
    moved = slope * old + intercept if corrected else old.copy()
    moved[sample] = fresh
    return moved, Drift(len(x), slope, intercept, before, after, corrected)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept, and root mean square error of each point from the line through the others."""
    spread = x - x.mean() if len(x) else x
    total = float((spread * spread).sum())
    if len(x) < 3 or total <= 1e-12 * max(float((x * x).sum()), 1e-300):
        return 1.0, 0.0, np.inf
    slope = float((spread * (y - y.mean())).sum()) / total
    intercept = float(y.mean() - slope * x.mean())
    leverage = 1 / len(x) + spread * spread / total
    without = (y - slope * x - intercept) / np.maximum(1 - leverage, 1e-12)
    return slope, intercept, float(np.sqrt(np.mean(without * without)))
