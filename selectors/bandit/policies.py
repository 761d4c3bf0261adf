"""Which arm is pulled, and when its batch is taken: four policies, each as numbers of every arm.

`mean` is what an arm's rows are thought to be worth, `bonus` what is added to it where arms are compared, `low` and `high`
are the interval that the decisions are made by.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from ..parts.draw import POSTERIOR, uniform
from .evidence import Evidence

Policy = Literal["thompson", "ucb", "successive_elimination", "discounted"]


@dataclass(frozen=True)
class View:
    """Each arm as a policy sees it, float64[k]: `mean`, `bonus`, `low`, `high`, and `index`: the largest is pulled."""

    mean: np.ndarray
    bonus: np.ndarray
    low: np.ndarray
    high: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class Rules:
    """What a policy is told.

    Attributes:
        policy: its name.
        probes: rows of a pull.
        explore, alpha: the weight of the bonus, in standard deviations of a pull, or (`alpha`) in the rewards' own unit.
        confidence: with which an arm is above `low`, and all arms below `high` (`successive_elimination`: both of all together).
        gamma: what of older evidence is left after a pull (`discounted`).
        seed: of the posterior's draws.
    """

    policy: Policy
    probes: int
    explore: float
    alpha: float | None
    confidence: float
    gamma: float
    seed: int

    def look(self, own: Evidence, shared: Evidence, prior: np.ndarray, span: float, turn: int) -> View:
        """All arms before round `turn`. `own`: without what neighbours told; `prior`: of each arm, `span`: of all rewards seen."""
        if self.policy == "thompson":
            return self._thompson(own, shared, prior, turn)
        if self.policy == "successive_elimination":
            return self._bernstein(own, prior, span)
        return self._upper(own, shared, prior)

    def takes(self, view: View, arm: int, reward: float, tau: float) -> bool:
        """Whether the batch of an arm is taken after a pull of the mean `reward`."""
        if self.policy == "ucb":
            return reward > tau
        return float((view.mean if self.policy == "discounted" else view.low)[arm]) > tau

    def _upper(self, own: Evidence, shared: Evidence, prior: np.ndarray) -> View:
        """Upper confidence bound: `alpha sqrt(2 ln(sum T) / T)`, alpha = `explore` x sd / sqrt(`probes`).  Source: SPECS 2.3."""
        alpha = self.explore * math.sqrt(own.within() / self.probes) if self.alpha is None else self.alpha
        mean, whole = shared.mean(prior), float(shared.visits.sum())
        rise = math.sqrt(2 * math.log(max(whole, 1.0)))
        few = np.maximum(shared.visits, 1e-12)
        bonus = np.full(len(mean), np.inf) if math.isinf(alpha) else alpha * rise / np.sqrt(few)
        return View(mean, bonus, mean - bonus, mean + bonus, mean + bonus)

    def _thompson(self, own: Evidence, shared: Evidence, prior: np.ndarray, turn: int) -> View:
        """Normal posterior of each arm's mean, its prior fitted to all arms; the index is a draw from it.

        `mean_i = (prior_i / B + S_i / W) / (1 / B + n_i / W)`, W and B the variances within and between arms (`evidence.py`).
        `low` is of each arm, `high` of all together: a few good arms among many lie far out in a normal prior.
        """
        within = max(own.within(), 1e-300)
        middle, between = own.between(within, prior)
        between = max(between, 1e-300)
        precision = 1 / between + shared.rows / within
        mean = ((middle + prior) / between + shared.total / within) / precision
        spread = 1 / np.sqrt(precision)
        draw = spread * _normal(self.seed, len(mean), turn)
        below = NormalDist().inv_cdf(self.confidence) * spread
        above = NormalDist().inv_cdf(1 - (1 - self.confidence) / len(mean)) * spread
        return View(mean, draw, mean - below, mean + above, mean + draw)

    def _bernstein(self, own: Evidence, prior: np.ndarray, span: float) -> View:
        """Empirical-Bernstein intervals that hold together, at any time; the index goes round, fewest visits first.

        `sqrt(2 V L / n) + 3 R L / n`, L = ln(3 k n (n + 1) / delta), R the span of the rewards seen so far, which stands in
        for their unknown range.  Source: Audibert, Munos & Szepesvari 2009, theorem 1, union over n and k.
        """
        mean, n = own.mean(prior), np.maximum(own.rows, 1e-12)
        logs = np.log(3 * len(n) * np.maximum(n, 1) * (n + 1) / (1 - self.confidence))
        bonus = np.where(own.rows > 0, np.sqrt(2 * own.variance() * logs / n) + 3 * span * logs / n, np.inf)
        return View(mean, bonus, mean - bonus, mean + bonus, -own.visits)


def _normal(seed: int, count: int, turn: int) -> np.ndarray:
    """float64[count], standard normal, by hash of (seed, turn, arm).  Source: Box & Muller 1958."""
    key = 2 * (turn * count + np.arange(count))
    first, second = uniform(seed, key, stream=POSTERIOR), uniform(seed, key + 1, stream=POSTERIOR)
    return np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
