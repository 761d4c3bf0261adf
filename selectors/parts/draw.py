"""Drawing: chance that is a hash of (seed, id), and weighted draws without replacement on top of it.

No generator, no state: the same id meets the same chance in any order, on any worker, in any partition. So the best
`m` of each partition, put together, hold the best `m` of all.
"""

import numpy as np

# One stream per purpose, so that two uses of one seed do not follow each other.
DRAW, SAMPLE, START, HOLD, SPLIT, STRATA, PILOT, POSTERIOR, ARMS = range(9)

_MASK = (1 << 64) - 1
_STEP = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, ids: np.ndarray, *, stream: int = DRAW) -> np.ndarray:
    """float64[n] in (0, 1), ends never met: the chance of each id.

    Source: finaliser of SplitMix64 (Steele, Lea, Flood 2014), once over the id and once over it and the seed.
    """
    key = _mix(np.array([int(seed) & _MASK], np.uint64) + _STEP * np.array([stream + 1], np.uint64))
    bits = _mix(_mix(np.asarray(ids).astype(np.int64, copy=False).view(np.uint64) + _STEP) ^ key)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def gumbel_top(ids: np.ndarray, logits: np.ndarray, m: int, seed: int) -> np.ndarray:
    """int64[min(m, n)], index of the rows drawn, first drawn first: weights `exp(logits)`, without replacement.

    Exactly successive (Plackett-Luce) sampling: the `m` largest of `logit + Gumbel(0, 1)`. A logit of -inf comes
    after all others, by hash. Equal logits give the order of `uniform`, so quality None is a uniform draw.

    Raises ValueError on NaN or +inf.  Cost: O(n log n).  Source: Yellott 1977; Kool et al. 2019; SPECS 0.2.
    """
    logits = np.asarray(logits, np.float64)
    wrong = int((np.isnan(logits) | (logits == np.inf)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(logits)} logits are NaN or +inf")
    u = uniform(seed, ids)
    keys = logits - np.log(-np.log(u))
    return np.lexsort((ids, -u, -keys))[: max(m, 0)]


def quality_logits(quality: np.ndarray | None, n: int, gamma: float = 1.0) -> np.ndarray:
    """float64[n], log-weights of a draw with probability proportional to `quality ** gamma`; None: all equal.

    gamma 0 ignores the quality, 1 is the published rule, larger is greedier. Zero quality with gamma > 0: -inf, drawn
    only when nothing else is left. A score that can be negative (a log-probability, a reward) has no such odds: give
    its exponential, or its rank. The softmax of raw scores that DivCo's code uses is all but an arg max (SPECS 3.6).

    Raises ValueError on a quality that is negative, NaN or infinite, or a negative gamma, with the counts.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}; it must be 0 or more")
    if quality is None or gamma == 0:
        _check_quality(quality)
        return np.zeros(n)
    quality = np.asarray(quality, np.float64)
    _check_quality(quality)
    with np.errstate(divide="ignore"):
        return gamma * np.log(quality)


def _check_quality(quality: np.ndarray | None) -> None:
    if quality is None:
        return
    negative, broken = int((quality < 0).sum()), int((np.isnan(quality) | (quality == np.inf)).sum())
    if negative or broken:
        raise ValueError(f"of {len(quality)} qualities {negative} are negative and {broken} NaN or infinite")
