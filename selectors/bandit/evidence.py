"""What is known of arms: counts, sums and squares of rewards, and what they say of the spread within and between arms."""

from dataclasses import dataclass

import numpy as np

LEAST = 0.01  # of the variance within arms: the variance between them is never thought to be less


@dataclass
class Evidence:
    """Of each of k arms, float64[k]: rows asked about, the sum of their rewards and of the squares, visits. All weighted."""

    rows: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    visits: np.ndarray

    @classmethod
    def none(cls, count: int) -> "Evidence":
        """Nothing is known."""
        return cls(*np.zeros((4, count)))

    def add(self, weights: np.ndarray, rewards: np.ndarray) -> None:
        """The rewards of one pull, which count for each arm by `weights` float64[k], in the sums and in the visits alike."""
        self.rows += weights * len(rewards)
        self.total += weights * rewards.sum()
        self.squares += weights * (rewards**2).sum()
        self.visits += weights

    def add_rows(self, labels: np.ndarray, rewards: np.ndarray) -> None:
        """Rewards of single rows of the arms `labels`, which are no visit."""
        count = len(self.rows)
        self.rows += np.bincount(labels, minlength=count)
        self.total += np.bincount(labels, rewards, count)
        self.squares += np.bincount(labels, rewards**2, count)

    def fade(self, share: float) -> None:
        """Let all that is known weigh less."""
        for values in (self.rows, self.total, self.squares, self.visits):
            values *= share

    def mean(self, otherwise: np.ndarray) -> np.ndarray:
        """float64[k], the mean reward; `otherwise` of arms of which nothing is known."""
        return np.where(self.rows > 0, self.total / np.maximum(self.rows, 1e-300), otherwise)

    def variance(self) -> np.ndarray:
        """float64[k], of the rows of each arm, with n in the denominator."""
        middle = self.mean(np.zeros(len(self.rows)))
        return np.maximum(self.squares / np.maximum(self.rows, 1e-300) - middle**2, 0.0)

    def within(self) -> float:
        """The variance of a row's reward within its arm, pooled; of all rows where no arm has two. Nothing known: 0."""
        seen = self.rows > 0
        spare = float(self.rows.sum() - seen.sum())
        if spare > 0:
            return float((self.rows * self.variance())[seen].sum()) / spare
        whole = float(self.rows.sum())
        return float(self.squares.sum() / whole - (self.total.sum() / whole) ** 2) if whole else 0.0

    def between(self, within: float, offset: np.ndarray) -> tuple[float, float]:
        """The mean of the arms' true means and their variance around it, by moments; `offset` is taken off each mean first.

        Source: the estimator of one-way random effects with unequal group sizes (Searle 1971; DerSimonian & Laird 1986).
        """
        seen = self.rows > 0
        n, y = self.rows[seen], self.total[seen] / self.rows[seen] - offset[seen]
        whole = float(n.sum())
        if not whole:
            return 0.0, 0.0
        spare = whole - float((n**2).sum()) / whole
        middle = float((n * y).sum()) / whole
        raw = (float((n * (y - middle) ** 2).sum()) - (len(n) - 1) * within) / spare if spare > 1e-9 * whole else 0.0
        spread = max(raw, LEAST * within)
        weights = 1 / (spread + within / n) if spread + within > 0 else n
        return float((weights * y).sum() / weights.sum()), spread
