"""OPT-RET as an integer program, by HiGHS through `scipy.optimize.milp`."""

import numpy as np


def solved(
    keep: np.ndarray, other: np.ndarray, parent: np.ndarray, child: np.ndarray, rebuild: np.ndarray,
    copies: int, have: np.ndarray, seconds: float,
) -> tuple[np.ndarray, float]:
    """(bool[n] kept, lower bound of the cost) of one component.

    `other`: float64[n], the cheapest way from a table that surely stays, infinite where there is none. `have`: int64[n],
    how many such parents there are. Variables: x per node, z per node with another way, y per edge.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    n, m = len(keep), len(parent)
    ways = np.flatnonzero(np.isfinite(other))
    z, y = n + np.arange(len(ways)), n + len(ways) + np.arange(m)
    cost = np.concatenate([keep, other[ways], rebuild])
    size = len(cost)
    # x_v + z_v + sum y_e = 1
    rows, cols = np.concatenate([np.arange(n), ways, child]), np.concatenate([np.arange(n), z, y])
    one = LinearConstraint(coo_array((np.ones(len(rows)), (rows, cols)), shape=(n, size)).tocsc(), 1, 1)
    # y_e - x_u <= 0
    rows, cols = np.concatenate([np.arange(m), np.arange(m)]), np.concatenate([y, parent])
    signs = np.concatenate([np.ones(m), -np.ones(m)])
    held = LinearConstraint(coo_array((signs, (rows, cols)), shape=(m, size)).tocsc(), -np.inf, 0)
    # sum over parents of x_u + copies x_v >= copies - have_v
    rows, cols = np.concatenate([child, np.arange(n)]), np.concatenate([parent, np.arange(n)])
    times = np.concatenate([np.ones(m), np.full(n, float(copies))])
    enough = LinearConstraint(coo_array((times, (rows, cols)), shape=(n, size)).tocsc(), copies - have, np.inf)
    whole = np.concatenate([np.ones(n), np.zeros(size - n)])
    scale = max(float(cost.max()), 1e-300)  # prices of small tables lie far below the solver's tolerances
    found = milp(cost / scale, integrality=whole, bounds=Bounds(0, 1), constraints=[one, held, *([enough] if copies > 1 else [])],
                 options={"time_limit": seconds, "mip_rel_gap": 0.0})
    if found.x is None:  # out of time before the first choice: keep all, which always can be
        return np.ones(n, bool), 0.0
    return found.x[:n] > 0.5, float(found.mip_dual_bound) * scale
