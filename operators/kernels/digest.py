"""Hashing of byte ranges, eight bytes at a step: the words under shingles, band keys and exact keys.

The round is xxHash64's (multiply, add, rotate, multiply), which is a bijection of the state for every input word.
Words are read little-endian, so the numbers are the same on every machine that Arrow's buffers are native to.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

M1 = np.uint64(0x9E3779B185EBCA87)
M2 = np.uint64(0xC2B2AE3D27D4EB4F)
M3, M4 = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)  # of the second lane
SEED = np.uint64(0x27D4EB2F165667C5)
_33, _29 = np.uint64(33), np.uint64(29)


@intrinsic
def load64(typingctx: Any, array: Any, index: Any) -> Any:
    """The eight bytes of a uint8 array from `index` on, as a uint64. The caller sees to `index + 8 <= len(array)`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(array, types.intp), codegen


@njit(cache=True, nogil=True)
def mixed(h: np.uint64) -> np.uint64:
    """A uint64 with every bit spread over all 64 (MurmurHash3's finaliser; a bijection)."""
    h = (h ^ (h >> _33)) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> _33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> _33)


@njit(cache=True, nogil=True)
def absorbed(h: np.uint64, word: np.uint64) -> np.uint64:
    """The uint64 state `h` after one more uint64 word."""
    h = h + word * M2
    return ((h << np.uint64(31)) | (h >> _33)) * M1


@njit(cache=True, nogil=True)
def _absorbed_too(h: np.uint64, word: np.uint64) -> np.uint64:
    h = h + word * M4
    return ((h << np.uint64(35)) | (h >> _29)) * M3


@njit(cache=True, nogil=True)
def digest(data: np.ndarray, start: int, end: int) -> tuple[np.uint64, np.uint64]:
    """Two independent 64-bit hashes of `data[start:end]` (uint8): together a 128-bit digest. Reads no byte outside."""
    size = end - start
    first = SEED + np.uint64(size) * M1
    second = mixed(first)
    p = start
    while p + 8 <= end:
        word = load64(data, p)
        first, second = absorbed(first, word), _absorbed_too(second, word)
        p += 8
    if p < end:
        word = np.uint64(0)
        for i in range(end - p):
            word |= np.uint64(data[p + i]) << np.uint64(8 * i)
        first, second = absorbed(first, word), _absorbed_too(second, word)
    return mixed(first), mixed(second)
