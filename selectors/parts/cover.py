"""Facility location over a graph of nearest neighbours: how well the picks stand for every row, and greedy choices of them.

`f(S) = sum over rows i of max over j in S of s_ij`, s_ij the cosine (0 where negative, or where i and j are no
neighbours), s_ii = 1. A constant `bonus` a row may be added: f(S) + sum over S of bonus. Both are monotone and
submodular, so greedy reaches 1 - 1/e of the best for budgets in rows.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from .draw import DRAW, uniform
from .neighbours import Search, graph


@dataclass(frozen=True)
class Links:
    """The graph by columns: rows `row[ends[j]:ends[j + 1]]`, ascending, are served by j with `similarity` of them.
    `search`, `recall`: how neighbours were looked for, and the share of the true ones found of a sample."""

    ends: np.ndarray
    row: np.ndarray
    similarity: np.ndarray
    search: str = "exact"
    recall: float = 1.0

    def __len__(self) -> int:
        return len(self.ends) - 1


def links(vectors: np.ndarray, neighbours: int, search: Search = "auto", least: float = 0.95) -> Links:
    """i and j are linked where either is among the `neighbours` nearest of the other, and each row with itself.

    Cost: that of `graph` (neighbours.py); 12 bytes a link.
    """
    n = len(vectors)
    found = graph(vectors, min(neighbours, max(n - 1, 1)), search=search, least=least)
    rows, cosines = found.rows, found.cosines
    there = (rows >= 0) & (cosines > 0) & (n > 1)
    i, j, s = np.repeat(np.arange(n), rows.shape[1])[there.ravel()], rows[there], np.minimum(cosines[there], 1)
    key = np.concatenate([i * n + j, j * n + i, np.arange(n) * (n + 1)])
    key, first = np.unique(key, return_index=True)
    similarity = np.concatenate([s, s, np.ones(n)])[first].astype(np.float32)
    ends = np.searchsorted(key, np.arange(n + 1) * n)
    return Links(ends.astype(np.int64), (key % max(n, 1)).astype(np.int32), similarity, found.search, found.recall)


def dense(similarity: np.ndarray) -> Links:
    """Links of a whole matrix, for small pools and tests; `similarity` float[n, n], 0 or more, read by columns."""
    n = len(similarity)
    return Links(np.arange(n + 1, dtype=np.int64) * n, np.tile(np.arange(n, dtype=np.int32), n),
                 np.ascontiguousarray(similarity.T, np.float32).ravel())


def worth(graph_of: Links, picks: np.ndarray) -> float:
    """f of a set of rows, without bonus."""
    best = np.zeros(len(graph_of), np.float32)
    for j in picks:
        at = slice(graph_of.ends[j], graph_of.ends[j + 1])
        np.maximum.at(best, graph_of.row[at], graph_of.similarity[at])
    return float(best.sum(dtype=np.float64))


def lazy_greedy(
    graph_of: Links, budget: float, *, cost: np.ndarray | None = None, bonus: np.ndarray | None = None, scale: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """int64[m], the rows in the order of their picking, and float64[m], what each added: exactly what naive greedy picks.

    The next row is always that of the largest `scale x gain in f + bonus`, per unit of its cost, among those that still
    fit; ties to the lower row. Gains only fall, also as rounded (a sum in a fixed order rounds monotonically), so a stale
    one is a bound, and a row whose renewed gain is still on top is the one. Cost: O(links) in practice.
    Source: Minoux 1978; for costs, Khuller et al. 1999 without its guarantee's second run.
    """
    n = len(graph_of)
    price = np.ones(n) if cost is None else np.asarray(cost, np.float64)
    extra = np.zeros(n) if bonus is None else np.asarray(bonus, np.float64)
    return _lazy(graph_of.ends, graph_of.row, graph_of.similarity, float(budget), price, extra, scale)  # type: ignore[no-any-return]


def stochastic_greedy(
    graph_of: Links, budget: int, ids: np.ndarray, seed: int, *, epsilon: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for a budget in rows, each pick the best of `n / budget x ln(1 / epsilon)` rows drawn by hash of (seed, id, turn).

    1 - 1/e - epsilon of the best in expectation.  Cost: O(ln(1 / epsilon)) evaluations a row in all.
    Source: Mirzasoleiman et al. 2015.
    """
    n, budget = len(graph_of), min(int(budget), len(graph_of))
    size = int(np.ceil(n / max(budget, 1) * np.log(1 / epsilon)))
    # each turn looks at the next `size` rows of one shuffled order after the other: a draw without replacement
    turns = -(-budget * size // max(n, 1)) + 1
    walk = np.concatenate([np.lexsort((ids, uniform(seed + t, ids, stream=DRAW))) for t in range(turns)])
    found = _stochastic(graph_of.ends, graph_of.row, graph_of.similarity, budget, walk.astype(np.int64), size)
    return found  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _gain(ends: np.ndarray, row: np.ndarray, similarity: np.ndarray, best: np.ndarray, j: int) -> float:
    total = 0.0
    for at in range(ends[j], ends[j + 1]):
        more = similarity[at] - best[row[at]]
        if more > 0:
            total += more
    return total


@njit(cache=True, nogil=True)
def _take(ends: np.ndarray, row: np.ndarray, similarity: np.ndarray, best: np.ndarray, j: int) -> None:
    for at in range(ends[j], ends[j + 1]):
        if similarity[at] > best[row[at]]:
            best[row[at]] = similarity[at]


@njit(cache=True, nogil=True)
def _before(value: np.ndarray, a: int, b: int) -> bool:
    return value[a] > value[b] or (value[a] == value[b] and a < b)


@njit(cache=True, nogil=True)
def _sink(heap: np.ndarray, size: int, value: np.ndarray, at: int) -> None:
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and _before(value, heap[child + 1], heap[child]):
            child += 1
        if not _before(value, heap[child], heap[at]):
            return
        heap[at], heap[child] = heap[child], heap[at]
        at = child


@njit(cache=True, nogil=True)
def _lazy(
    ends: np.ndarray, row: np.ndarray, similarity: np.ndarray, budget: float, price: np.ndarray, extra: np.ndarray, scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    n = len(ends) - 1
    best, gain, value = np.zeros(n, np.float32), np.zeros(n), np.zeros(n)
    fresh = np.zeros(n, np.int64)  # picks made when its gain was computed
    for j in range(n):
        gain[j] = scale * _gain(ends, row, similarity, best, j) + extra[j]
        value[j] = gain[j] / price[j] if price[j] > 0 else np.inf
    heap, size = np.arange(n), n
    for at in range(n // 2, -1, -1):
        _sink(heap, size, value, at)
    picks, gains, count, left = np.empty(n, np.int64), np.empty(n), 0, budget
    while size > 0:
        j = heap[0]
        if price[j] > left:  # it will never fit again
            size -= 1
            heap[0] = heap[size]
        elif fresh[j] == count:
            picks[count], gains[count] = j, gain[j]
            count += 1
            left -= price[j]
            _take(ends, row, similarity, best, j)
            size -= 1
            heap[0] = heap[size]
        else:
            gain[j] = scale * _gain(ends, row, similarity, best, j) + extra[j]
            value[j] = gain[j] / price[j] if price[j] > 0 else np.inf
            fresh[j] = count
        _sink(heap, size, value, 0)
    return picks[:count], gains[:count]


@njit(cache=True, nogil=True)
def _stochastic(
    ends: np.ndarray, row: np.ndarray, similarity: np.ndarray, budget: int, walk: np.ndarray, size: int,
) -> tuple[np.ndarray, np.ndarray]:
    n = len(ends) - 1
    best, taken = np.zeros(n, np.float32), np.zeros(n, np.bool_)
    picks, gains, at = np.empty(budget, np.int64), np.empty(budget), 0
    for turn in range(budget):
        top, chosen, looked = -1.0, -1, 0
        while looked < size or chosen < 0:
            j = walk[at % len(walk)]
            at += 1
            looked += 1
            if taken[j]:
                continue
            more = _gain(ends, row, similarity, best, j)
            if more > top or (more == top and j < chosen):
                top, chosen = more, j
        picks[turn], gains[turn] = chosen, top
        taken[chosen] = True
        _take(ends, row, similarity, best, chosen)
    return picks, gains
