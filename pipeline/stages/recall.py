"""How many of the pairs that are alike were found: measured on a sample that the keys had no part in.

Two texts have the same smallest shingle with the probability of their Jaccard similarity s. Among the rows whose smallest
shingle a hash chooses, all pairs that agree in it are compared exactly; each that is alike counts 1 / s, which undoes
that likelier pairs are drawn more often (Horvitz and Thompson's estimate). Copies of one text are not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...operators.dedup.bands import bands_and_rows, candidate_probability
from ...operators.dedup.edges import REACH, Buckets, grouped
from ...operators.kernels.buckets import pairs_within
from ...operators.kernels.jaccard import similarities
from ..steps import Step
from .candidates import Corpus
from .verified import Sets

ROWS = 20_000  # about as many are sampled; a corpus of that size is measured whole
PAIRS = 1_000_000
BYTES = 64 << 20  # of their sets
_NONE = ~np.uint64(0)


@dataclass(frozen=True)
class Sample:
    """Rows that share their smallest shingle: pairs (a, b) of row numbers, and all rows in them, ascending."""

    a: np.ndarray
    b: np.ndarray
    rows: np.ndarray


def sample(corpus: Corpus, first: np.ndarray) -> Sample:
    """The pairs to be compared; none where the deduplicator has no probe."""
    nobody = np.empty(0, np.int64)
    if not corpus.pieces or not corpus.count or not corpus.probed:
        return Sample(nobody, nobody, nobody)
    smallest = corpus.column("smallest")
    chosen = np.flatnonzero((first == np.arange(len(first))) & (smallest != _NONE))
    share = min(1.0, ROWS / max(len(chosen), 1))
    if share < 1.0:
        chance = smallest[chosen] & np.uint64(0xFFFFFFFF)  # the lower half of a minimum is as good as drawn
        chosen = chosen[chance < share * 2.0**32]
    groups = grouped(smallest[chosen], chosen)
    a, b = pairs_within(*_affordable(groups, corpus.column("length")), REACH, PAIRS)
    return Sample(a, b, np.union1d(a, b))


def _affordable(groups: Buckets, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and bounds of the groups, as many of the first as have sets of BYTES together: about 4 bytes a code point."""
    place = np.arange(len(groups.rows)) - np.repeat(groups.bounds[:-1], np.diff(groups.bounds))
    size = np.where(place < REACH, length[groups.rows].astype(np.int64) * 4, 0)  # no more of a group are compared
    cost = np.append(0, np.cumsum(size))[groups.bounds]
    many = int(np.searchsorted(cost, BYTES, side="right"))
    return groups.rows, groups.bounds[:many]


def expected(step: Step) -> dict[str, Any]:
    """Bands, rows and the share of pairs at the threshold that they find, for a deduplicator that works by bands."""
    told = step.settings
    if "num_rows_per_band" not in told:
        return {}
    threshold = float(told["jaccard_threshold"])
    bands, rows = bands_and_rows(
        threshold, told["num_permutations"], told["num_bands"], told["num_rows_per_band"], told["verify"])
    return {"threshold": threshold, "bands": bands, "rows": rows,
            "expected_recall": round(candidate_probability(threshold, bands, rows), 6)}


def measured(drawn: Sample, held: Sets, labels: np.ndarray, told: Mapping[str, Any]) -> dict[str, Any]:
    """Of the sampled pairs that are alike: how many, the share that ended in one cluster, and the share expected."""
    a, b = np.searchsorted(held.rows, drawn.a), np.searchsorted(held.rows, drawn.b)
    return of_likeness(similarities(*held.lists, a, b), labels[drawn.a] == labels[drawn.b], told)


def of_likeness(likeness: np.ndarray, in_one: np.ndarray, told: Mapping[str, Any]) -> dict[str, Any]:
    """As of `measured`, for pairs of which it is known how alike they are and whether they ended in one cluster."""
    alike = likeness >= told["threshold"]
    if not alike.any():
        return {"sampled_pairs": 0}
    s, together = likeness[alike], in_one[alike]
    chance = 1.0 - (1.0 - s ** told["rows"]) ** told["bands"]
    return {"sampled_pairs": len(s), "measured_recall": round(float(np.average(together, weights=1 / s)), 6),
            "expected_of_sample": round(float(np.average(chance, weights=1 / s)), 6)}
