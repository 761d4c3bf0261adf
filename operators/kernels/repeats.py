"""Numba: units counted, looked up, and cut out of their texts."""

import numpy as np
from numba import njit

from .radix import index_of
from .units import Found

FEW = 64  # sorted by insertion


@njit(cache=True, nogil=True)
def sorted_order(key: np.ndarray) -> np.ndarray:
    """int64[n]: the order that sorts `key`, equal ones as they stand. For hashes: one scatter by the top bits does most."""
    n, bits = len(key), 1
    while (1 << bits) * 8 < n:
        bits += 1
    shift = np.uint64(64 - bits)
    begin, order = index_of(key, bits), np.empty(n, np.int64)
    place = begin.copy()
    for i in range(n):
        slot = int(key[i] >> shift)
        order[place[slot]] = i
        place[slot] += 1
    for slot in range(1 << bits):
        low, high = begin[slot], begin[slot + 1]
        if high - low > FEW:  # some key is there many times
            inside = order[low:high].copy()
            order[low:high] = inside[np.argsort(key[inside], kind="mergesort")]
            continue
        for i in range(low + 1, high):
            x, j = order[i], i
            while j > low and key[order[j - 1]] > key[x]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = x
    return order


@njit(cache=True, nogil=True)
def collides(order: np.ndarray, key: np.ndarray, check: np.ndarray) -> bool:
    """Whether two units have the same key and another check; `order` sorts by key."""
    found = False
    for i in range(1, len(order)):
        found |= key[order[i]] == key[order[i - 1]] and check[order[i]] != check[order[i - 1]]
    return found


@njit(cache=True, nogil=True)
def grouped(
    order: np.ndarray, key: np.ndarray, check: np.ndarray, weight: np.ndarray, tag: np.ndarray, once: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(first, sum int64) of each group of equal (key, check), in `order`, by which equal ones stand together.

    `first` is the place of the group's first member. With `once`, members of one `tag` count once.
    """
    first, total, filled = np.empty(len(order), np.int64), np.empty(len(order), np.int64), -1
    for i in range(len(order)):
        x = order[i]
        w = order[i - 1] if i > 0 else x
        if i == 0 or key[x] != key[w] or check[x] != check[w]:
            filled += 1
            first[filled], total[filled] = x, weight[x]
        elif not once or tag[x] != tag[w]:
            total[filled] += weight[x]
    return first[: filled + 1].copy(), total[: filled + 1].copy()


@njit(cache=True, nogil=True)
def find(
    key: np.ndarray, check: np.ndarray, known: np.ndarray, checks: np.ndarray, begin: np.ndarray, bits: int
) -> np.ndarray:
    """int64[m]: place of each unit among the `known` (sorted, with their `checks` and `index_of`), -1 for the others."""
    shift, found = np.uint64(64 - bits), np.full(len(key), -1, np.int64)
    for i in range(len(key)):
        slot = int(key[i] >> shift)
        for at in range(begin[slot], begin[slot + 1]):
            if known[at] == key[i] and checks[at] == check[i]:
                found[i] = at
                break
    return found


@njit(cache=True, nogil=True)
def _joined(spans: np.ndarray, count: int, size: int, cuts: np.ndarray, filled: int) -> int:
    """Write the union of spans[:count] (start, next, prior) as cuts from `filled` on; answers how many there are then.

    A run that reaches the end of the text, which has `size` bytes, takes along what stands between it and what precedes it.
    """
    order = np.argsort(spans[:count, 0], kind="mergesort")
    k = 0
    while k < count:
        start, stop, prior = spans[order[k], 0], spans[order[k], 1], spans[order[k], 2]
        k += 1
        while k < count and spans[order[k], 0] <= stop:
            stop = max(stop, spans[order[k], 1])
            k += 1
        if stop > size:
            start, stop = prior, size
        if stop > start:
            cuts[filled, 0], cuts[filled, 1] = start, stop
            filled += 1
    return filled


@njit(cache=True, nogil=True)
def cuts_of(
    units: Found, found: np.ndarray, seen: np.ndarray, at: int, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bounds int64[n + 1], cuts int64[m, 2], pieces int64[n]): the bytes of each row that go.

    `found`: place of each unit among the frequent ones, -1 for the others. `seen` int64[2, frequent ones]: the row in which
    each was first seen (-1: not yet, -2: in no row of these), and where it ended there; rows are numbered from `at` on. A
    frequent unit that is seen for the first time stays; the others go, but for what they share with that very one.
    `pieces`: units that go, those that overlap counted as one. Units of a row ascend by start and by next.
    """
    n = len(sizes)
    bounds, pieces, filled = np.zeros(n + 1, np.int64), np.zeros(n, np.int64), 0
    cuts, spans = np.empty((int((found >= 0).sum()), 2), np.int64), np.empty((int((found >= 0).sum()), 3), np.int64)
    for row in range(n):
        count, last = 0, 0
        for i in range(units.bounds[row], units.bounds[row + 1]):
            f = found[i]
            if f < 0:
                continue
            start, following = int(units.start[i]), int(units.next[i])
            if seen[0, f] == -1:
                seen[0, f], seen[1, f] = at + row, following
                continue
            begin = max(start, seen[1, f]) if seen[0, f] == at + row else start
            if begin < following:
                pieces[row] += start >= last
                last = following
                spans[count, 0], spans[count, 1] = begin, following
                spans[count, 2] = units.prior[i] if begin == start else begin
                count += 1
        if count:
            filled = _joined(spans, count, sizes[row], cuts, filled)
        bounds[row + 1] = filled
    return bounds, cuts[:filled], pieces


@njit(cache=True, nogil=True)
def without(
    offsets: np.ndarray, data: np.ndarray, bounds: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(offsets int64[n + 1], bytes, code points that went int64[n]) of the rows without their cuts."""
    n, gone = len(offsets) - 1, 0
    for k in range(len(cuts)):
        gone += cuts[k, 1] - cuts[k, 0]
    out, ends, lost = np.empty(offsets[n] - offsets[0] - gone, np.uint8), np.zeros(n + 1, np.int64), np.zeros(n, np.int64)
    size = 0
    for row in range(n):
        at = offsets[row]
        for k in range(bounds[row], bounds[row + 1]):
            begin, end = offsets[row] + cuts[k, 0], offsets[row] + cuts[k, 1]
            out[size : size + begin - at] = data[at:begin]
            size += begin - at
            at = end
            for i in range(begin, end):
                lost[row] += (data[i] & 0xC0) != 0x80
        out[size : size + offsets[row + 1] - at] = data[at : offsets[row + 1]]
        size += offsets[row + 1] - at
        ends[row + 1] = size
    return ends, out, lost
