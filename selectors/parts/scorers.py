"""Which of several scores tells the rows of a cluster apart best: the one whose histogram, on a scale of its own, is flattest."""

import numpy as np

BINS, REACH = 50, 4.0  # bins of the histogram, and how many standard deviations from the mean it ends
_SAME = 1e-9  # entropies that differ by less are equal: the scorer named first is taken


def entropies(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """float64[k, s], in bits: the entropy of each scorer's histogram over each cluster's rows; -inf where all rows have one score.

    `scores` float64[s, n]. Scores are standardised in the cluster, then binned in 50 bins over 4 standard deviations either way,
    what lies beyond in the outer ones: no unit and no origin of a scorer counts (the released code of Adapt-inf bins standardised
    scores over the standard deviation of the raw ones, so the handiest unit wins; SPECS 4.6).
    Empty cluster: -inf.  Source: Maharana et al. 2025 (Adapt-inf), multi-way choice.
    """
    found = np.full((k, len(scores)), -np.inf)
    order = np.argsort(labels, kind="stable")
    for cluster, rows in enumerate(np.split(order, np.cumsum(np.bincount(labels, minlength=k))[:-1])):
        for s, score in enumerate(scores):
            here = np.sort(score[rows])  # so that the order of the rows changes no last bit of the mean
            if not len(here) or here[0] == here[-1]:
                continue
            centred = here / 2 - here[0] / 2  # first the origin, then the unit: nothing overflows
            centred /= centred[-1]
            z = np.round((centred - centred.mean()) / centred.std(), 6)
            place = np.clip((z + REACH) / (2 * REACH) * BINS, 0, BINS - 1).astype(np.int64)
            share = np.bincount(place) / len(here)
            share = share[share > 0]
            found[cluster, s] = -float((share * np.log2(share)).sum())
    return found


def chosen_scorer(found: np.ndarray) -> np.ndarray:
    """int64[k]: of each cluster the scorer of highest entropy, ties to the one named first; where all are constant, that one."""
    return np.argmax(found >= found.max(axis=1, keepdims=True) - _SAME, axis=1)
