"""Allocation: a budget over groups, as proportional to the weights as sizes allow, and exact to the last unit."""

import numpy as np


def water_fill(sizes: np.ndarray, weights: np.ndarray, total: int) -> np.ndarray:
    """int64[k], units for each group: at most its size, in all exactly `min(total, sum of sizes)`.

    Proportional to `weights` among the groups that are not full; what rounding leaves goes to the largest fractions,
    ties to the lowest group. Groups of weight 0 get something only when all others are full, then in equal parts.
    So while nothing is full, each is less than 1 from its exact share.

    Raises ValueError on a negative or non-finite size, weight or total.  Cost: O(k log k).  Source: SPECS 0.1.
    """
    sizes = np.asarray(sizes, np.int64)
    exact = share(sizes, weights, int(total))
    units = np.minimum(np.floor(exact).astype(np.int64), sizes)
    left = min(int(total), int(sizes.sum())) - int(units.sum())
    fraction = np.where(units < sizes, exact - units, -1.0)
    order = np.argsort(-fraction, kind="stable")
    units[order[:left]] += 1
    return units


def share(capacities: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """float64[k], the same for budgets in tokens: in all `min(total, sum of capacities)` but for rounding.

    Raises ValueError on a negative or non-finite capacity, weight or total.  Cost: O(k log k).
    """
    capacities, weights = np.asarray(capacities, np.float64), np.asarray(weights, np.float64)
    for name, values in (("sizes", capacities), ("weights", weights), ("total", np.array([total]))):
        wrong = values[~(np.isfinite(values) & (values >= 0))]
        if len(wrong):
            raise ValueError(f"{name} must be finite and 0 or more, got {wrong[0]}")
    if capacities.shape != weights.shape:
        raise ValueError(f"{len(capacities)} sizes, {len(weights)} weights")
    shares = np.zeros(len(capacities))
    left = float(total)
    for group in (np.flatnonzero(weights > 0), np.flatnonzero(weights <= 0)):
        full = capacities[group]
        if left >= full.sum():
            shares[group] = full
            left -= full.sum()
            continue
        shares[group] = _level(full, np.where(weights[group] > 0, weights[group], 1.0), left)
        break
    return shares


def _level(capacities: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """Shares `min(capacity, level * weight)` with the one level at which they sum to `total` < sum of capacities."""
    weights = np.maximum(weights / weights.max(), 1e-100)  # a smaller one would vanish in the sums
    order = np.argsort(capacities / weights, kind="stable")  # they fill up in this order
    sorted_capacity, sorted_weight = capacities[order], weights[order]
    before = np.concatenate([[0.0], np.cumsum(sorted_capacity)[:-1]])
    behind = np.cumsum(sorted_weight[::-1])[::-1]
    level = (total - before) / behind  # if those before are full and those behind are not
    room = level * sorted_weight < sorted_capacity
    first = int(np.argmax(room)) if room.any() else len(order) - 1
    shares = np.minimum(level[first] * sorted_weight, sorted_capacity)
    shares[:first] = sorted_capacity[:first]
    answer = np.empty(len(order))
    answer[order] = shares
    return answer


def fill(order: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    """int64[m], the rows that a walk along `order` takes when it takes whatever still fits.

    Never over the budget; what is left of it at the end is less than the cost of any row not taken.
    Near the end only cheap rows fit: a bias of the last few picks, by their size, and of no others.
    """
    taken: list[np.ndarray] = []
    waiting, left = np.asarray(order, np.int64), float(budget)
    while len(waiting := waiting[cost[waiting] <= left]):
        spent = np.cumsum(cost[waiting])
        fits = int(np.searchsorted(spent, left, side="right"))
        taken.append(waiting[:fits])
        left -= float(spent[fits - 1])
        waiting = waiting[fits:]
    return np.concatenate(taken) if taken else np.empty(0, np.int64)
