"""From edges to clusters."""

import numpy as np

from ..kernels.unionfind import labels


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
