"""The bandit itself: look, pull, decide, until the budget is met or no arm can be worth it. Each pull is a line of the trace."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..parts.allocate import fill
from .arms import Arms
from .asked import Asked
from .evidence import Evidence
from .policies import Rules, View

_NONE = np.empty(0, np.int64)
Weights = Callable[[int], np.ndarray]  # arm -> float64[k], what a reward of it counts for each arm; 1 for itself


@dataclass
class Bandit:
    """A choice under way.

    Attributes:
        left: of the budget.
        own, shared: what the arms' own rows say, and that with what neighbours told.
        prior, tau: of each arm; the reward above which a batch is worth taking.
        spread: least and largest reward seen.
        parallel: arms pulled in one round.
        each: whether every arm is pulled once before any batch is taken.
        patience: pulls of one batch after which the arm's mean decides.
        taken, gains, pulls: of each batch its rows, what their arms were thought to be worth, and the pull that took it.
        count, held: pulls so far; arm -> those of its batch under decision.
    """

    arms: Arms
    left: float
    asked: Asked
    rules: Rules
    weights: Weights
    own: Evidence
    shared: Evidence
    prior: np.ndarray
    tau: float
    spread: tuple[float, float]
    parallel: int = 1
    each: bool = True
    patience: int = 4
    taken: list[np.ndarray] = field(default_factory=list)
    gains: list[np.ndarray] = field(default_factory=list)
    pulls: list[int] = field(default_factory=list)
    count: int = 0
    held: dict[int, int] = field(default_factory=dict)
    met: bool = False

    def run(self) -> str:
        """To the end; answers why it ended."""
        tried = np.zeros(len(self.arms), bool)
        while not self._ended():
            view, left = self.look(), self.arms.left
            chosen = self._chosen(view, left, tried)
            if not len(chosen):
                return "no arm can exceed tau"
            trial = self.each and bool((left & ~tried).any())
            tried[chosen] = True
            self._round(chosen, float(view.high[left].max()), trial)
        return "the budget is met" if self.met or self.arms.left.any() else "every row is decided on"

    def look(self) -> View:
        """The arms as they stand now."""
        return self.rules.look(self.own, self.shared, self.prior, self.spread[1] - self.spread[0], self.asked.turn)

    def _ended(self) -> bool:
        return self.met or not self.left > 0 or not self.arms.cheapest.min(initial=np.inf) <= self.left

    def _chosen(self, view: View, left: np.ndarray, tried: np.ndarray) -> np.ndarray:
        """The arms of the next round: those not tried yet, best prior first; then those of largest index that can exceed tau."""
        arm, new = np.arange(len(self.arms)), left & ~tried
        if self.each and new.any():
            order, able = np.lexsort((arm, -self.prior)), new
        else:
            order, able = np.lexsort((arm, self.shared.visits, -view.index)), left & (view.high > self.tau)
        return order[able[order]][: self.parallel]

    def _round(self, chosen: np.ndarray, frontier: float, trial: bool) -> None:
        """Ask about all arms at once, then decide on one after the other; in a trial on none."""
        probes = [self.arms.probe(arm, self.rules.probes) for arm in chosen.tolist()]
        rewards, lines = self.asked.rewards(probes), []
        for arm, rows, found in zip(chosen.tolist(), probes, rewards, strict=True):
            self._learn(arm, rows, found)
        view = self.look()
        for arm, rows, found in zip(chosen.tolist(), probes, rewards, strict=True):
            self.count += 1
            decision, took = ("try", _NONE) if trial else self._decide(view, arm, found)
            told = {name: _told(getattr(view, name)[arm]) for name in ("mean", "bonus", "low", "high")}
            lines.append({"pull": self.count, "arm": arm, "rows": self.asked.ids[rows].tolist(), "rewards": found.tolist(), **told,
                          "frontier": _told(frontier), "decision": decision, "taken": len(took),
                          "cost": float(self.arms.cost[took].sum()), "left": self.left})
        self.asked.ends(lines)

    def _learn(self, arm: int, rows: np.ndarray, found: np.ndarray) -> None:
        if self.rules.policy == "discounted":
            self.shared.fade(self.rules.gamma)
        self.arms.known[rows] = found
        alone = np.zeros(len(self.arms))
        alone[arm] = 1.0
        self.own.add(alone, found)
        self.shared.add(self.weights(arm), found)
        if len(found):
            self.spread = (min(self.spread[0], float(found.min())), max(self.spread[1], float(found.max())))

    def _decide(self, view: View, arm: int, found: np.ndarray) -> tuple[str, np.ndarray]:
        """take, close (passed over) or hold (not decided yet), and the rows that were taken.

        A batch of which every row is known is not held: its own mean says; nor one that was held for long: the arm's mean does.
        """
        batch = self.arms.batch(arm)
        if self._ended():
            return "hold", _NONE
        known = self.arms.known[batch]
        whole = not np.isnan(known).any()
        reward = float(found.mean()) if len(found) else float(known.mean())
        self.held[arm] = self.held.get(arm, 0) + 1
        last = whole or (self.held[arm] >= self.patience and self.rules.policy != "successive_elimination")
        by_mean = float(known.mean() if whole else view.mean[arm]) > self.tau
        if (self.rules.takes(view, arm, reward, self.tau) and self._among_the_best(view, arm)) or (last and by_mean):
            self.held[arm] = 0
            return "take", self._take(view, arm, batch)
        if last:
            self.held[arm] = 0
            self.arms.next(arm)
        return "close" if last else "hold", _NONE

    def _among_the_best(self, view: View, arm: int) -> bool:
        """Whether the arms thought better than this one hold less than what is left of the budget.

        Else the budget would go to the first arms above tau, not to the best of them. Only thompson asks: it decides by means.
        """
        if self.rules.policy != "thompson":
            return True
        better = self.arms.left & (view.mean > view.mean[arm])
        return float(self.arms.costs[better].sum()) < self.left

    def _take(self, view: View, arm: int, batch: np.ndarray) -> np.ndarray:
        """The batch; where the budget does not buy all of it, what fits of it and of the rest of the arms that were taken from."""
        price = float(self.arms.cost[batch].sum())
        if price > self.left:
            before = {int(self.arms.labels[rows[0]]) for rows in self.taken} - {arm}
            worthy = [arm, *sorted(before, key=lambda a: (-view.mean[a], a))]
            batch = fill(np.concatenate([self.arms.rest(a) for a in worthy]), self.arms.cost, self.left)
            price, self.met = float(self.arms.cost[batch].sum()), True
        self.left -= price
        self.arms.next(arm)
        if len(batch):
            self.taken.append(batch)
            self.gains.append(view.mean[self.arms.labels[batch]])
            self.pulls.append(self.count)
        return batch


def _told(number: float) -> float | None:
    """A number as JSON has it: None where it is infinite."""
    return float(number) if np.isfinite(number) else None
