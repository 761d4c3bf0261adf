"""KMV sketch of a row set: its k smallest hashes. Enough to prove that a set is not within another, and to guess how far.

Source: Bar-Yossef et al. (2002), k minimum values; the proof of non-containment is ours.
"""

import numpy as np

from ..kernels.row_hash import places
from .exact import RowSet

SIZE = 256


def sketch(rows: RowSet, size: int = SIZE) -> RowSet:
    """The `size` smallest hashes. Sketches of the runs of a table, merged and cut again, are the sketch of the table."""
    return RowSet(rows.first[:size], rows.second[:size], rows.count[:size])


def disproved(child: RowSet, parent: RowSet, size: int = SIZE) -> bool:
    """Whether two sketches prove that the child is not within the parent.

    Below the parent's k-th smallest hash its sketch is its whole set: a hash of the child there that it lacks is a proof.
    A parent of fewer than `size` rows is known whole.
    """
    return bool((_inside(child, parent, size) < 0).any())


def containment(child: RowSet, parent: RowSet, size: int = SIZE) -> float:
    """Estimated share of the child's distinct rows that are in the parent. No evidence: 1.0."""
    inside = _inside(child, parent, size)
    return float((inside >= 0).mean()) if len(inside) else 1.0


def _inside(child: RowSet, parent: RowSet, size: int) -> np.ndarray:
    """Where the child's hashes below the parent's horizon stand in its sketch."""
    some = len(child) if len(parent) < size else int(np.searchsorted(child.first, parent.first[-1]))
    return places(child.first[:some], child.second[:some], parent.first, parent.second)
