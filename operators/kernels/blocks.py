"""Numba: text in blocks of 64 bytes: lower case of ASCII, where blanks are, and where the runs between them begin and end.

Blocks are vectors of LLVM, which cuts them to what the processor has. A position is a bit of a mask, not a branch.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 64
_ALL, _1, _63 = ~np.uint64(0), np.uint64(1), np.uint64(63)


@intrinsic
def _block(typingctx: Any, source: Any, i: Any, out: Any, j: Any, letters: Any) -> Any:
    """Copy `source[i:i + 64]` to `out[j:j + 64]`, the first `letters` of A to Z in lower case.

    Answers two masks, bit k being byte k: (where there is a blank, where a byte is not ASCII).
    """
    i64, vector = ir.IntType(64), ir.VectorType(ir.IntType(8), BLOCK)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(argument: int) -> Any:
            data = cgutils.create_struct_proxy(signature.args[argument])(context, builder, args[argument]).data
            return builder.bitcast(builder.gep(data, [args[argument + 1]]), vector.as_pointer())

        def all_of(number: int) -> Any:
            return ir.Constant(vector, [number] * BLOCK)

        spread = ir.Constant(vector, ir.Undefined)
        spread = builder.insert_element(spread, args[4], ir.Constant(ir.IntType(32), 0))
        spread = builder.shuffle_vector(spread, spread, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK))
        content = builder.load(place(0), align=1)
        upper = builder.icmp_unsigned("<", builder.sub(content, all_of(65)), spread)
        folded = builder.select(upper, builder.or_(content, all_of(32)), content)
        builder.store(folded, place(2), align=1)
        blank = builder.bitcast(builder.icmp_unsigned("==", folded, all_of(32)), i64)
        wide = builder.bitcast(builder.icmp_signed("<", content, all_of(0)), i64)
        return context.make_tuple(builder, signature.return_type, [blank, wide])

    return types.UniTuple(types.uint64, 2)(source, types.intp, out, types.intp, types.uint8), codegen


@intrinsic
def dotted_or_sigma(typingctx: Any, source: Any, i: Any) -> Any:
    """Mask, bit k being byte k of `source[i:i + 64]`: where İ (C4 B0) or Σ (CE A3) begins. Byte i + 64 is read too."""
    vector = ir.VectorType(ir.IntType(8), BLOCK)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data

        def found(byte: int, after: int) -> Any:
            place = builder.gep(data, [builder.add(args[1], ir.Constant(args[1].type, after))])
            content = builder.load(builder.bitcast(place, vector.as_pointer()), align=1)
            return builder.icmp_unsigned("==", content, ir.Constant(vector, [byte] * BLOCK))

        both = [builder.and_(found(lead, 0), found(follow, 1)) for lead, follow in ((0xC4, 0xB0), (0xCE, 0xA3))]
        return builder.bitcast(builder.or_(*both), ir.IntType(64))

    return types.uint64(source, types.intp), codegen


@intrinsic
def first_bit(typingctx: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit of a uint64; 64 where none is set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def bits(typingctx: Any, word: Any) -> Any:
    """Number of set bits of a uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@njit(cache=True, nogil=True)
def copied(data: np.ndarray, start: int, end: int, letters: np.uint8, out: np.ndarray, masks: np.ndarray) -> None:
    """Copy `data[start:end]` to `out`, ASCII in lower case if `letters` is 26, as it is if 0; mark what is in it.

    Bit k of `masks[0, i]` says whether byte 64 * i + k is a blank, of `masks[1, i]` whether it is not ASCII. After the end
    there are blanks, at least one. `out` has room for 64 more bytes, `masks` for one more block.
    """
    n = end - start
    whole = min(n, len(data) - start - BLOCK + 1)  # blocks that begin before it end before the data do
    at, k = 0, 0
    while at < whole:
        masks[0, k], masks[1, k] = _block(data, start + at, out, at, letters)
        at, k = at + BLOCK, k + 1
    if at < n:
        for i in range(at, n):
            out[i] = data[start + i]
        masks[0, k], masks[1, k] = _block(out, at, out, at, letters)
    last, after = n // BLOCK, _ALL << np.uint64(n & 63)
    masks[0, last] |= after
    masks[1, last] &= ~after


@njit(cache=True, nogil=True)
def edges(masks: np.ndarray, low: int, high: int, out: np.ndarray, count: int) -> int:
    """Write to `out[count:]` where runs between blanks begin and end, in turn, in the blocks `low` to `high` - 1.

    `masks` as of `copied`. Answers where that ends; `out` has room for 8 more.
    """
    before = masks[0, low - 1] >> _63 if low > 0 else _1
    for k in range(low, high):
        blank = masks[0, k]
        change = blank ^ ((blank << _1) | before)
        before = blank >> _63
        found, base = bits(change), k * BLOCK
        for first in range(0, found, 8):  # eight at a time, the last of them for nothing: fewer branches to guess
            for i in range(8):
                out[count + first + i] = base + first_bit(change)
                change &= change - _1
        count += found
    return count
