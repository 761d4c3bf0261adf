"""Numba: MD5 of many short byte ranges at once, one in each lane of a vector.

Not for secrets: for answers that agree, bit for bit, with those of tools that hash with it.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # LLVM cuts the vectors to what the processor has
WORDS = 16  # of 32 bits in a block
_SHIFTS = (7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21)
_SINES = tuple(int(abs(math.sin(i + 1)) * 2**32) & 0xFFFFFFFF for i in range(64))
_ORDER = tuple((i, 5 * i + 1, 3 * i + 5, 7 * i)[i // 16] % 16 for i in range(64))


@intrinsic
def _compress(typingctx: Any, state: Any, block: Any) -> Any:
    """One block of every lane: state uint32[4 * LANES], block uint32[WORDS * LANES], word by word."""
    vector = ir.VectorType(ir.IntType(32), LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(argument: int, j: int) -> Any:
            data = cgutils.create_struct_proxy(signature.args[argument])(context, builder, args[argument]).data
            return builder.bitcast(builder.gep(data, [ir.Constant(ir.IntType(64), j * LANES)]), vector.as_pointer())

        def same(value: int) -> Any:
            return ir.Constant(vector, [value] * LANES)

        before = [builder.load(place(0, j), align=4) for j in range(4)]
        a, b, c, d = before
        for i in range(64):
            stirred = _stirred(builder, i // 16, b, c, d, same)
            word = builder.load(place(1, _ORDER[i]), align=4)
            total = builder.add(builder.add(a, stirred), builder.add(word, same(_SINES[i])))
            shift = _SHIFTS[i // 16][i % 4]
            turned = builder.or_(builder.shl(total, same(shift)), builder.lshr(total, same(32 - shift)))
            a, b, c, d = d, builder.add(b, turned), b, c
        for j, (old, new) in enumerate(zip(before, (a, b, c, d), strict=True)):
            builder.store(builder.add(old, new), place(0, j), align=4)
        return context.get_dummy_value()

    return types.void(state, block), codegen


def _stirred(builder: Any, turn: int, b: Any, c: Any, d: Any, same: Any) -> Any:
    """The function of each of the four rounds (RFC 1321, 3.4)."""
    if turn == 0:
        return builder.xor(d, builder.and_(b, builder.xor(c, d)))
    if turn == 1:
        return builder.xor(c, builder.and_(d, builder.xor(b, c)))
    if turn == 2:
        return builder.xor(builder.xor(b, c), d)
    return builder.xor(c, builder.or_(b, builder.xor(d, same(0xFFFFFFFF))))


@njit(cache=True, nogil=True)
def _byte(text: np.ndarray, start: int, end: int, at: int, blocks: int) -> np.uint32:
    """Byte `at` of the padded message of `text[start:end]`, which has so many blocks."""
    size = end - start
    if at < size:
        return np.uint32(text[start + at])
    if at == size:
        return np.uint32(0x80)
    last = 64 * blocks - 8
    return np.uint32((8 * size) >> (8 * (at - last)) & 0xFF) if at >= last else np.uint32(0)


@njit(cache=True, nogil=True)
def _fill(text: np.ndarray, start: int, end: int, number: int, blocks: int, lane: int, block: np.ndarray) -> None:
    """Put block `number` of the padded message into its lane."""
    size = end - start
    for j in range(WORDS):
        at = 64 * number + 4 * j
        if at + 4 <= size:
            p = start + at
            word = (np.uint32(text[p]) | np.uint32(text[p + 1]) << np.uint32(8)
                    | np.uint32(text[p + 2]) << np.uint32(16) | np.uint32(text[p + 3]) << np.uint32(24))
        else:
            word = np.uint32(0)
            if at <= size or at >= 64 * blocks - 8:
                for k in range(4):
                    word |= _byte(text, start, end, at + k, blocks) << np.uint32(8 * k)
        block[j * LANES + lane] = np.uint32(word)


@njit(cache=True, nogil=True)
def scratch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory for `first_halves`."""
    return np.empty(4 * LANES, np.uint32), np.empty(4 * LANES, np.uint32), np.empty(WORDS * LANES, np.uint32)


@njit(cache=True, nogil=True)
def first_halves(
    text: np.ndarray, start: np.ndarray, end: np.ndarray, low: int, high: int,
    memory: tuple[np.ndarray, np.ndarray, np.ndarray], out: np.ndarray,
) -> None:
    """out[k - low] = the first eight bytes, big-endian, of the MD5 of `text[start[k]:end[k]]`, for low <= k < high.

    `high` - `low` is at most LANES.
    """
    state, kept, block = memory
    many = high - low
    for lane in range(LANES):
        state[lane], state[LANES + lane] = np.uint32(0x67452301), np.uint32(0xEFCDAB89)
        state[2 * LANES + lane], state[3 * LANES + lane] = np.uint32(0x98BADCFE), np.uint32(0x10325476)
    longest = 0
    for k in range(low, high):
        longest = max(longest, (end[k] - start[k] + 8) // 64 + 1)
    for number in range(longest):
        kept[:] = state
        for lane in range(many):
            k = low + lane
            blocks = (end[k] - start[k] + 8) // 64 + 1
            if number < blocks:
                _fill(text, start[k], end[k], number, blocks, lane, block)
        _compress(state, block)
        for lane in range(many):
            k = low + lane
            if number >= (end[k] - start[k] + 8) // 64 + 1:  # this message was over before
                for j in range(4):
                    state[j * LANES + lane] = kept[j * LANES + lane]
    for lane in range(many):
        word = np.uint64(0)
        for j in range(2):
            for k in range(4):
                word = word << np.uint64(8) | np.uint64(state[j * LANES + lane] >> np.uint32(8 * k) & np.uint32(0xFF))
        out[lane] = word
