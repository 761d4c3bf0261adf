"""Numba: a 128-bit digest of each text."""

import numpy as np
from numba import njit

from .digest import digest
from .folding import Texts, fold, scratch_size, stripped


@njit(cache=True, nogil=True)
def digests(texts: Texts, table: np.ndarray, strip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two independent hashes uint64[n] of each text, folded by `table` and stripped if asked; 0 for rows not valid."""
    n = len(texts.start)
    first, second = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    scratch = np.empty(scratch_size(texts), np.uint8)
    for row in range(n):
        if not texts.valid[row]:
            continue
        start, end = texts.start[row], texts.end[row]
        if texts.patched[row] or len(table) > 0:
            source = texts.spare if texts.patched[row] else texts.data
            start, end = 0, fold(source, start, end, table, scratch)
            if strip:
                start, end = stripped(scratch, start, end)
            first[row], second[row] = digest(scratch, start, end)
        else:
            if strip:
                start, end = stripped(texts.data, start, end)
            first[row], second[row] = digest(texts.data, start, end)
    return first, second
