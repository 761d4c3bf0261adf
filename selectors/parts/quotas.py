"""A budget shared out among clusters, each of which gives its rows in an order of its own."""

import numpy as np

from ..base import Pool
from .allocate import fill, share, water_fill
from .given import rows_for


def by_quota(
    pool: Pool, budget: float, labels: np.ndarray, grouped: np.ndarray, beta: float, weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """int64[m], the rows that a budget buys, in pick order, and each cluster's quota, in proportion to `size ** beta`, or to
    `weights` float64[k].

    `grouped`: the rows that can be had, cluster by cluster, each cluster's in the order in which it gives them; with costs a
    cluster's size is its cost. Row r of a cluster with quota q stands at (r - 1/2) / q. In rows exactly `min(budget, rows)`;
    with costs whatever still fits along that order.
    """
    label, k = labels[grouped], int(labels.max(initial=-1)) + 1
    cost = np.ones(len(pool)) if pool.cost is None else np.asarray(pool.cost, np.float64)
    sizes = np.bincount(label, minlength=k)
    # summed within the cluster and in its order, so that the order of the input changes no last bit
    parts = [np.cumsum(cost[rows]) for rows in np.split(grouped, np.cumsum(sizes)[:-1])]
    middle = np.concatenate([*parts, np.empty(0)]) - cost[grouped] / 2
    capacity = np.array([part[-1] if len(part) else 0.0 for part in parts])
    if weights is None:
        weights = (capacity / capacity.max()) ** beta if capacity.max(initial=0) > 0 else np.ones(len(sizes))
    if pool.cost is None:
        quotas = water_fill(sizes, weights, rows_for(pool, budget))
    else:
        quotas = share(capacity, weights, min(budget, float(capacity.sum())))
    stands = np.full(len(grouped), np.inf)
    np.divide(middle, quotas[label], out=stands, where=quotas[label] > 0)
    order = np.lexsort((np.arange(len(grouped)), stands))
    if pool.cost is None:
        return grouped[order[stands[order] < 1]], quotas
    return fill(grouped[order], cost, budget), quotas
