"""Numba: MinHash signatures and band keys of texts, and the sorted shingle sets by which candidates are verified.

A permutation is x -> (x ^ b) * a mod 2^32 with odd a, over the upper half of each shingle hash. A block of them is held
in vector registers while all shingles of a row pass by; LLVM cuts the vectors to what the processor has.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .digest import SEED, absorbed, mixed
from .folding import Texts
from .shingling import scratch_for, shingle_row

CROWD = 256  # hashes with the same top bits, from which on they are no chance's
LANES, VECTORS = 16, 2  # uint32 in a vector, vectors in a block
BLOCK = LANES * VECTORS
_32 = np.uint64(32)


@intrinsic
def _lower_minima(typingctx: Any, hashes: Any, count: Any, a: Any, b: Any, minima: Any, first: Any) -> Any:
    """minima[k] = min(minima[k], min over hashes[:count] of (x ^ b[k]) * a[k]) for k in first ... first + BLOCK - 1."""
    i32 = ir.IntType(32)
    vector = ir.VectorType(i32, LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(argument: int) -> Any:
            return cgutils.create_struct_proxy(signature.args[argument])(context, builder, args[argument]).data

        def place(argument: int, j: int) -> Any:
            at = builder.add(args[5], ir.Constant(args[5].type, j * LANES))
            return builder.bitcast(builder.gep(data(argument), [at]), vector.as_pointer())

        times = [builder.load(place(2, j), align=4) for j in range(VECTORS)]
        flips = [builder.load(place(3, j), align=4) for j in range(VECTORS)]
        least = [cgutils.alloca_once_value(builder, builder.load(place(4, j), align=4)) for j in range(VECTORS)]
        nothing, zero = ir.Constant(vector, ir.Undefined), ir.Constant(i32, 0)
        with cgutils.for_range(builder, args[1]) as loop:
            x = builder.load(builder.gep(data(0), [loop.index]))
            spread = builder.shuffle_vector(builder.insert_element(nothing, x, zero), nothing, ir.Constant(vector, [0] * LANES))
            for j in range(VECTORS):
                value, old = builder.mul(builder.xor(spread, flips[j]), times[j]), builder.load(least[j])
                builder.store(builder.select(builder.icmp_unsigned("<", value, old), value, old), least[j])
        for j in range(VECTORS):
            builder.store(builder.load(least[j]), place(4, j), align=4)
        return context.get_dummy_value()

    return types.void(hashes, count, a, b, minima, first), codegen


@njit(cache=True, nogil=True)
def permutations(bands: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) uint32 of `bands` times `rows` permutations, padded to whole blocks. Number k is the same for any count.

    The one of minimum r of band i, number i * rows + r, stands at r * bands + i: so bands are hashed side by side.
    """
    padded = -(-bands * rows // BLOCK) * BLOCK
    a, b = np.ones(padded, np.uint32), np.zeros(padded, np.uint32)
    for i in range(bands):
        for r in range(rows):
            h = mixed(np.uint64(i * rows + r + 1) * SEED)
            a[r * bands + i], b[r * bands + i] = np.uint32(h >> _32) | np.uint32(1), np.uint32(h & np.uint64(0xFFFFFFFF))
    return a, b


@njit(cache=True, nogil=True)
def _upper_halves(hashes: np.ndarray, short: np.ndarray) -> np.uint64:
    """Write the upper halves of `hashes` to `short`; answers the smallest hash."""
    least = ~np.uint64(0)
    for i in range(len(hashes)):
        short[i] = hashes[i] >> _32
        least = min(least, hashes[i])
    return least


@njit(cache=True, nogil=True)
def band_keys(
    texts: Texts, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray], bands: int, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(keys uint64, offsets int64[n + 1], smallest uint64[n]): `bands` keys for each valid row that has a shingle.

    Key = hash(band number, its `rows` minima), so an equal key means the same band and the same values. `smallest` is
    the smallest shingle hash, one more minimum that no band uses; without a shingle the largest number that there is.
    """
    n = len(texts.start)
    scratch = scratch_for(texts)
    a, b = permutations(bands, rows)
    minima, short = np.empty(len(a), np.uint32), np.empty(len(scratch.shingles), np.uint32)
    keys, ends = np.empty(n * bands, np.uint64), np.zeros(n + 1, np.int64)
    smallest, filled = np.full(n, ~np.uint64(0)), 0
    for row in range(n):
        count = shingle_row(texts, row, how, tables, scratch)
        if count > 0:
            smallest[row] = _upper_halves(scratch.shingles[:count], short[:count])
            minima[:] = np.uint32(0xFFFFFFFF)
            for first in range(0, len(a), BLOCK):
                _lower_minima(short, count, a, b, minima, first)
            _hash_bands(minima, rows, keys[filled : filled + bands])
            filled += bands
        ends[row + 1] = filled
    return keys[:filled], ends, smallest


@njit(cache=True, nogil=True)
def _hash_bands(minima: np.ndarray, rows: int, keys: np.ndarray) -> None:
    bands = len(keys)
    for i in range(bands):
        keys[i] = SEED + np.uint64(i)
    for r in range(rows):
        some = minima[r * bands : r * bands + bands]
        for i in range(bands):
            keys[i] = absorbed(keys[i], np.uint64(some[i]))
    for i in range(bands):
        keys[i] = mixed(keys[i])


@njit(cache=True, nogil=True)
def sort_hashes(values: np.ndarray, n: int, spare: np.ndarray, count: np.ndarray) -> None:
    """Sort the first n of uint64 `values`. For hashes, spread evenly: one scatter by the top bits, then insertion.

    `spare` has room for n, `count` int64 for 2^(bits of n) + 1.
    """
    bits = 0
    while (1 << bits) < n:
        bits += 1
    shift = np.uint64(64 - bits)
    if bits > 0:
        count[: (1 << bits) + 1] = 0
        for i in range(n):
            count[np.int64(values[i] >> shift) + 1] += 1
        if count[: (1 << bits) + 1].max() > CROWD:
            values[:n].sort()
            return
        for i in range(1 << bits):
            count[i + 1] += count[i]
        for i in range(n):
            slot = np.int64(values[i] >> shift)
            spare[count[slot]] = values[i]
            count[slot] += 1
        values[:n] = spare[:n]
    for i in range(1, n):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@njit(cache=True, nogil=True)
def shingle_sets(
    texts: Texts, how: tuple[int, int, bool], tables: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(shingle hashes uint64, offsets int64[n + 1]): each valid row's, sorted and distinct."""
    n = len(texts.start)
    scratch = scratch_for(texts)
    found = scratch.shingles
    count_by_slot = np.empty(2 * len(found) + 2, np.int64)
    # room for one shingle in four bytes: memory that is not needed is never touched
    sets, ends, filled = np.empty((texts.end - texts.start).sum() // 4 + 1024, np.uint64), np.zeros(n + 1, np.int64), 0
    for row in range(n):
        count = shingle_row(texts, row, how, tables, scratch)
        sort_hashes(found, count, scratch.tokens, count_by_slot)
        if filled + count > len(sets):
            larger = np.empty(max(2 * len(sets), filled + count), np.uint64)
            larger[:filled] = sets[:filled]
            sets = larger
        for i in range(count):
            if i == 0 or found[i] != found[i - 1]:
                sets[filled] = found[i]
                filled += 1
        ends[row + 1] = filled
    return sets[:filled], ends
