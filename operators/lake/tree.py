"""OPT-RET on a forest, where each table has at most one undecided parent: a dynamic program in linear time.

    keep[v] = R_v + sum over children c of min(keep[c], K_(v,c) + gone[c], other_c + gone[c])
    gone[v] = sum over children c of min(keep[c], other_c + gone[c])

where other_c is the cheapest way to rebuild c from a table that surely stays (infinite where there is none).
"""

import numpy as np


def is_forest(count: int, parent: np.ndarray, child: np.ndarray) -> bool:
    """Whether each of `count` nodes has at most one parent and nobody is his own ancestor."""
    if len(np.unique(child)) < len(child):
        return False
    above = np.full(count, -1)
    above[child] = parent
    for _ in range(count.bit_length() + 1):  # pointer doubling: on a forest everyone has left the root behind
        above = np.where(above >= 0, above[above], -1)
    return not (above >= 0).any()


def tree_program(
    keep: np.ndarray, other: np.ndarray, parent: np.ndarray, child: np.ndarray, rebuild: np.ndarray
) -> tuple[np.ndarray, float]:
    """(bool[n] kept, cost) of the cheapest choice."""
    n = len(keep)
    above, price = np.full(n, -1), np.full(n, np.inf)
    above[child], price[child] = parent, rebuild
    order = _from_the_root(above)
    kept_cost, gone_cost = keep.astype(float).copy(), np.zeros(n)
    for v in order[::-1].tolist():
        u = above[v]
        if u >= 0:
            alone = min(kept_cost[v], other[v] + gone_cost[v])
            kept_cost[u] += min(alone, price[v] + gone_cost[v])
            gone_cost[u] += alone
    choice, total = np.zeros(n, bool), 0.0
    for v in order.tolist():
        u = above[v]
        way = min(other[v], price[v] if u >= 0 and choice[u] else np.inf)
        choice[v] = kept_cost[v] <= way + gone_cost[v]
        total += keep[v] if choice[v] else way
    return choice, float(total)


def _from_the_root(above: np.ndarray) -> np.ndarray:
    """Nodes, each after its parent."""
    depth = np.zeros(len(above), np.int64)
    at = above.copy()
    while (at >= 0).any():
        depth += at >= 0
        at = np.where(at >= 0, above[at], -1)
    return np.argsort(depth, kind="stable")
