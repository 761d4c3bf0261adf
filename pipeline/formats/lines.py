"""Blocks of lines: a byte range of a plain file, a decompressed stream, or the elements of a JSON array."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from .compression import Unpacked
from .places import open_input, read_range
from .rows import BrokenError

STREAM_BLOCK = 8 << 20  # bytes of a decompressed stream that are parsed at a time
LINE_LIMIT = 512 << 20  # a longer line is taken for a broken file
ARRAY_LIMIT = 512 << 20  # a .json file that holds one array is read whole
BOM = b"\xef\xbb\xbf"
_STEP = 1 << 20
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]|"', re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Lines in memory, blank ones left out.

    Attributes:
        data: the bytes, with every line ended by a newline or the end.
        starts, ends: int64[n], each line in `data`, without white space around it.
        positions: int64[n], byte offset of each line's start in the (decompressed) file.
        line_of: index -> line number from 1, computed when asked; None where it would cost a download.
        newlines: how many newlines `data` has.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    positions: np.ndarray
    line_of: Callable[[int], int | None]
    newlines: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, index: int) -> bytes:
        """The bytes of a line."""
        return self.data[self.starts[index]:self.ends[index]]


def block_of(data: bytes, base: int, lines_before: Callable[[], int | None]) -> Block:
    """Cut `data`, which lies at `base` in its file, into lines."""
    if base == 0 and data.startswith(BOM):
        data, base = data[3:], 3
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    starts = np.concatenate([[0], newlines + 1]).astype(np.int64)
    ends = np.concatenate([newlines, [len(data)]]).astype(np.int64)
    starts, ends, begins = _trimmed(data, starts, ends)

    def line_of(index: int) -> int | None:
        before = lines_before()
        return None if before is None else before + 1 + int(np.searchsorted(newlines, begins[index]))

    return Block(data, starts, ends, begins + base, line_of, len(newlines))


def _trimmed(data: bytes, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines without the white space around them, blank ones left out; third: where each really begins."""
    keep = ends > starts
    starts, ends = starts[keep], ends[keep]
    if not len(starts):
        return starts, ends, starts
    begins, view = starts.copy(), np.frombuffer(data, np.uint8)
    ends = np.where(view[ends - 1] == 13, ends - 1, ends)
    blank = np.zeros(len(starts), bool)
    for i in np.flatnonzero((view[starts] <= 32) | (view[np.maximum(ends, 1) - 1] <= 32)):  # few in any real file
        line = data[starts[i]:ends[i]]
        text = line.strip(b" \t\r")
        starts[i] += len(line) - len(line.lstrip(b" \t\r"))
        ends[i], blank[i] = starts[i] + len(text), not text
    return starts[~blank], ends[~blank], begins[~blank]


def range_block(url: str, start: int, stop: int, size: int, count_lines: bool) -> Block:
    """The lines that begin at `start <= offset < stop` of a plain file. Raises BrokenError for a line beyond the limit."""
    data = read_range(url, max(0, start - 1), stop)
    base = max(0, start - 1)
    if start > 0:
        first = data.find(b"\n")
        first = len(data) if first < 0 else first + 1
        data, base = data[first:], base + first
    if data and not data.endswith(b"\n"):
        data = _completed(url, data, base, stop, size)
    memo: list[int] = []

    def lines_before() -> int | None:
        if not memo and count_lines:
            memo.append(_count_newlines(url, base))
        return memo[0] if memo else None

    return block_of(data, base, lines_before)


def _completed(url: str, data: bytes, base: int, stop: int, size: int) -> bytes:
    """`data` with the rest of its last line, which lies beyond `stop`."""
    pieces, at, step = [data], stop, 1 << 16
    begin = data.rfind(b"\n") + 1
    while at < size:
        more = read_range(url, at, min(size, at + step))
        end = more.find(b"\n") + 1
        pieces.append(more[:end] if end else more)
        if end or not more:
            break
        at, step = at + len(more), min(2 * step, 1 << 24)
        if at - base - begin > LINE_LIMIT:
            raise BrokenError(base + begin, f"a line of more than {LINE_LIMIT >> 20} MiB")
    return b"".join(pieces)


def _count_newlines(url: str, stop: int) -> int:
    count = 0
    with open_input(url) as file:
        while stop > 0 and (piece := file.read(min(stop, _STEP))):
            count += piece.count(b"\n")
            stop -= len(piece)
    return count


def stream_blocks(file: Unpacked, block: int = STREAM_BLOCK) -> Iterator[Block]:
    """The lines of a stream, about `block` bytes at a time. Raises BrokenError after the last whole line before a break."""
    base, lines, rest = 0, 0, b""
    while True:
        try:
            data = file.read(block)
        except BrokenError as e:
            raise BrokenError(base, e.reason) from e
        end = data.rfind(b"\n") + 1
        if data and not end:
            rest += data
            if len(rest) > LINE_LIMIT:
                raise BrokenError(base, f"a line of more than {LINE_LIMIT >> 20} MiB")
            continue
        whole, rest = (rest + data[:end], data[end:]) if data else (rest, b"")
        if whole:
            found = block_of(whole, base, lambda before=lines: before)  # type: ignore[misc]
            yield found
            base, lines = base + len(whole), lines + found.newlines
        if not data:
            return


def array_blocks(file: Unpacked, block: int = STREAM_BLOCK) -> Iterator[Block]:
    """The elements of the one JSON array that a file holds, as lines. Raises BrokenError where the array is not whole."""
    data = file.read(ARRAY_LIMIT + 1)
    if len(data) > ARRAY_LIMIT:
        raise BrokenError(0, f"one JSON array of more than {ARRAY_LIMIT >> 20} MiB: write one object a line (.jsonl) instead")
    held: list[tuple[int, int]] = []
    broken = None
    try:
        for start, end in array_elements(data):
            held.append((start, end))
            if end - held[0][0] >= block:
                yield _elements(data, held)
                held = []
        file.read(1)  # a damaged stream says so at its end
    except BrokenError as e:
        broken = e
    if held:
        yield _elements(data, held)
    if broken:
        raise broken


def array_elements(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each element of the array at the beginning of `data`. Raises BrokenError where it is cut off."""
    depth, begin, commas = 0, 0, 0
    for token in _TOKEN.finditer(data):
        mark = token[0]
        if mark == b'"':  # a text without end: what follows is inside it
            break
        depth += (mark in b"[{") - (mark in b"]}")
        if mark == b"[" and depth == 1:
            begin = token.end()
        elif depth == 0 or (mark == b"," and depth == 1):
            if mark == b"," or commas or data[begin:token.start()].strip():
                yield begin, token.start()
            begin, commas = token.end(), commas + 1
        if depth == 0:
            if data[begin:].strip():
                raise BrokenError(begin, "something follows the end of the array")
            return
    raise BrokenError(begin, "the array is cut off")


def _elements(data: bytes, spans: list[tuple[int, int]]) -> Block:
    """Elements as a block of their own, each on one line."""
    pieces = [data[start:end] for start, end in spans]
    lead = np.array([len(p) - len(p.lstrip()) for p in pieces], np.int64)
    pieces = [_on_one_line(p.strip()) for p in pieces]
    lengths = np.array([len(p) for p in pieces], np.int64)
    begins = np.concatenate([[0], np.cumsum(lengths + 1)])[:-1]
    positions = np.array([start for start, _ in spans], np.int64) + lead

    def line_of(index: int) -> int:
        return data.count(b"\n", 0, int(positions[index])) + 1

    return Block(b"\n".join(pieces), begins, begins + lengths, positions, line_of)


def _on_one_line(element: bytes) -> bytes:
    if b"\n" not in element:
        return element
    try:
        return orjson.dumps(orjson.loads(element))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return element  # whoever parses it says what is wrong
