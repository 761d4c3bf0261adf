"""Arms: clusters, each shuffled once by hash and handed out in batches, until nothing is left."""

import numpy as np

from ..parts.draw import ARMS, uniform


class Arms:
    """The rows of k clusters. Of each, one batch at a time is under decision: it is probed, then taken or passed over.

    Attributes:
        labels, cost: of each row of the pool: its arm, and what it costs.
        sizes: int64[k], rows of each arm.
        known: float64[n], the reward of each row that was asked about, NaN of all others.
        cheapest, costs: float64[k], what the cheapest of the rows costs that are not decided on (none: infinite), and all of them.
    """

    def __init__(self, labels: np.ndarray, count: int, ids: np.ndarray, cost: np.ndarray, *, seed: int, batch: int) -> None:
        self.labels, self.cost = labels, cost
        self.sizes = np.bincount(labels, minlength=count)
        order = np.lexsort((ids, uniform(seed, ids, stream=ARMS), labels))
        self._rows = np.split(order, np.cumsum(self.sizes)[:-1])  # any stretch of an arm is a random sample of it
        self._least = [np.append(np.minimum.accumulate(cost[rows][::-1])[::-1], np.inf) for rows in self._rows]
        self._rest = [np.append(np.cumsum(cost[rows][::-1])[::-1], 0.0) for rows in self._rows]
        self.known = np.full(len(ids), np.nan)
        self.cheapest = np.array([least[0] for least in self._least])
        self.costs = np.array([rest[0] for rest in self._rest])
        self._batch, self._at = batch, np.zeros(count, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def left(self) -> np.ndarray:
        """bool[k], the arms that still have rows to decide on."""
        return self._at < self.sizes

    def batch(self, arm: int) -> np.ndarray:
        """The rows under decision; the last batch of an arm may be smaller, or empty."""
        return self.rest(arm)[: self._batch]

    def rest(self, arm: int) -> np.ndarray:
        """All rows that have not been decided on, the batch first."""
        return self._rows[arm][self._at[arm] :]

    def probe(self, arm: int, most: int) -> np.ndarray:
        """Up to so many rows of the batch that nobody has asked about."""
        here = self.batch(arm)
        return here[np.isnan(self.known[here])][:most]

    def next(self, arm: int) -> None:
        """On to the next batch."""
        self._at[arm] = min(self._at[arm] + self._batch, self.sizes[arm])
        self.cheapest[arm], self.costs[arm] = self._least[arm][self._at[arm]], self._rest[arm][self._at[arm]]
