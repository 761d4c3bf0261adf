"""Content-level pruning (CLP): a few rows of the child are looked for in the parent; one that is missing refutes the edge.

Source: Shah et al., R2D2 (SIGMOD 2024), content-level pruning. Rows are drawn with replacement by hash of (seed, table,
draw), in doubling batches: draws are the same for any worker and batch, and a batch is a prefix of the next.
"""

import math

import numpy as np
import xxhash

FIRST = 8  # rows of the first batch


def rows_needed(epsilon: float, delta: float) -> int:
    """Draws after which an edge that misses a share of `epsilon` or more is still there with probability at most `delta`.

    (1 - epsilon)^t <= delta.

    >>> [rows_needed(e, 0.01) for e in (0.5, 0.1, 0.01, 0.001)]
    [7, 44, 459, 4603]
    """
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise ValueError(f"epsilon and delta lie between 0 and 1, they are {epsilon} and {delta}")
    return math.ceil(math.log(delta) / math.log1p(-epsilon))


def draws(table: str, rows: int, count: int, seed: int) -> np.ndarray:
    """int64[count]: row numbers below `rows`, uniform and independent; the first k are the same for any count >= k."""
    if not rows:
        return np.empty(0, np.int64)
    start = np.uint64(xxhash.xxh3_64_intdigest(f"{seed}\0{table}".encode()))
    with np.errstate(over="ignore"):
        z = start + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    # the remainder of a 64-bit hash: its bias is below rows / 2^64
    return (z % np.uint64(rows)).astype(np.int64)


def batches(most: int) -> list[int]:
    """Ends of the doubling batches: 8, 16, 32 ... `most`."""
    ends: list[int] = []
    while not ends or ends[-1] < most:
        ends.append(min(most, 2 * ends[-1] if ends else FIRST))
    return ends


def looked_at(missed: int | None, most: int) -> int:
    """How many of `most` draws are looked at where `missed` is the first that is not found (None: all are).

    Drawing stops with the first batch that has a miss.
    """
    return most if missed is None else next(end for end in batches(most) if end > missed)


def bound_after(t: int, batch: int, delta: float) -> float:
    """The epsilon that t found draws stand for, valid at whichever batch one stops: batch j spends delta / (j (j + 1))."""
    return 1.0 - (delta / (batch * (batch + 1))) ** (1.0 / t) if t else 1.0
