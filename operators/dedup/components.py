"""From edges to clusters."""

import numpy as np

from ..kernels.unionfind import labels
from ..kernels.unionfind import packed as _packed


def components(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """int64[n]: the smallest row of each row's component, under the edges a[k] - b[k]; a row without edges is its own.

    Being alike is not transitive, being in one component is: two rows of a cluster may be less alike than the threshold.
    Run it on verified edges only: candidates of one bucket that were not verified must not meet.
    Raises ValueError where an edge leads to a row that is not there. Cost: 8 bytes a row.
    """
    a, b = np.ascontiguousarray(a, np.int64), np.ascontiguousarray(b, np.int64)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} edges begin, {len(b)} end")
    if len(a) and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= n):
        raise ValueError(f"edges lead from row {min(a.min(), b.min())} to {max(a.max(), b.max())}; rows are 0 to {n - 1}")
    return labels(a, b, n)


def packed(parent: np.ndarray, weight: np.ndarray, most: int) -> np.ndarray:
    """int32[n]: the block that each row belongs to, 0 upwards; -1 for a row that is alone in its tree.

    `parent` int64[n] is a forest in which the smallest row of a tree is its root; trees go into blocks whole, in the order
    of their roots, as many as weigh `most` together (a larger tree is a block of its own). `weight` int64[n].
    """
    return _packed(parent, weight, most)
