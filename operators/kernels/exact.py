"""Numba: a 128-bit digest of each text, folded and stripped first."""

import numpy as np
from numba import njit

from .digest import digest
from .folding import Texts, fold, scratch_size, stripped


@njit(cache=True, nogil=True)
def digests(texts: Texts, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent hashes uint64[n] of each text, folded by `table` and stripped; 0 for rows that are not valid."""
    n = len(texts.start)
    first, second = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    scratch = np.empty(scratch_size(texts), np.uint8)
    for row in range(n):
        if not texts.valid[row]:
            continue
        start, end = texts.start[row], texts.end[row]
        if texts.patched[row]:
            size = fold(texts.spare, start, end, table, scratch)
            first[row], second[row] = digest(scratch, *stripped(scratch, 0, size))
        elif len(table) > 0:
            size = fold(texts.data, start, end, table, scratch)
            first[row], second[row] = digest(scratch, *stripped(scratch, 0, size))
        else:
            first[row], second[row] = digest(texts.data, *stripped(texts.data, start, end))
    return first, second
