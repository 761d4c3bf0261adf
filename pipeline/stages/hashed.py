"""Rows whose hashes differ in few bits: all hashes in one place, 16 bytes a row."""

from typing import Any

import numpy as np

from ...operators.base import Operator
from ...operators.dedup.edges import Edges
from ...operators.dedup.hamming import likeness as agreement
from ..steps import Step
from .candidates import Corpus
from .outcome import Likeness
from .tables import RANGES


def linked(corpus: Corpus, first: np.ndarray, step: Step) -> tuple[Edges, Likeness]:
    """(edges between rows with different texts, likeness of any two): by the deduplicator's own `near`."""
    op = step.op
    assert isinstance(op, Operator) and op.near is not None
    table: dict[str, Any] = corpus.keyed("keys", 0, RANGES)
    row, key = table.get("row", np.empty(0, np.int64)), table.get("key", np.empty(0, np.uint64))
    own = np.flatnonzero(first[row] == row)
    own = own[np.argsort(row[own])]
    rows, hashes = row[own], key[own]

    def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return agreement(hashes[np.searchsorted(rows, a)], hashes[np.searchsorted(rows, b)])

    return op.near(hashes, rows, **step.settings), likeness
