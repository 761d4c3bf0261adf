"""Numba: narrow tables cut by the top byte of a key, so that a deciding pass can read them range by range."""

import numpy as np
from numba import njit

FINE = 256  # slices of a table: one for each value of the top byte
_56 = np.uint64(56)


@njit(cache=True, nogil=True)
def index_of(keys: np.ndarray, bits: int) -> np.ndarray:
    """int64[2^bits + 1]: where, once they are sorted, the keys with each value of the top `bits` bits begin."""
    shift, bounds = np.uint64(64 - bits), np.zeros((1 << bits) + 1, np.int64)
    for key in keys:
        bounds[np.int64(key >> shift) + 1] += 1
    for t in range(1 << bits):
        bounds[t + 1] += bounds[t]
    return bounds


@njit(cache=True, nogil=True)
def scatter_order(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order int64[n], bounds int64[FINE + 1]): `keys[order]` ascends by top byte, in the old order within one.

    Keys of top byte t come to stand at `bounds[t]:bounds[t + 1]`.
    """
    bounds = index_of(keys, 8)
    order, place = np.empty(len(keys), np.int64), bounds.copy()
    for k in range(len(keys)):
        t = int(keys[k] >> _56)
        order[place[t]] = k
        place[t] += 1
    return order, bounds
