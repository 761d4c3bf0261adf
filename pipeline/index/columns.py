"""Files of numbers: one type to a file, told by its suffix; read in pages of 4 KiB, so that what is read can be counted."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PAGE = 4096  # bytes
FENCE = PAGE // 8  # keys to a page
SLICE = 8192  # numbers asked for at a time: 32 MiB of pages at most
TYPES: dict[str, np.dtype[Any]] = {".u64": np.dtype("<u8"), ".u32": np.dtype("<u4")}


@dataclass
class Tally:
    """Bytes read so far."""

    bytes: int = 0


def mapped(path: Path) -> np.ndarray:
    """All numbers of a file, memory-mapped: for whoever reads them from end to end."""
    kind = TYPES[path.suffix]
    return np.asarray(np.memmap(path, kind, "r")) if path.stat().st_size else np.empty(0, kind)


def spans(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """int64: start[0] ... stop[0] - 1, start[1] ... stop[1] - 1, and so on."""
    start, size = start.astype(np.int64), (stop - start).astype(np.int64)
    ends = np.cumsum(size)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - size), size)


class Column:
    """One file, of which only pages that are needed are read."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self.kind, self.tally = TYPES[path.suffix], tally
        self._file = path.open("rb", buffering=0)
        self._per_page = PAGE // self.kind.itemsize
        self._size = os.fstat(self._file.fileno()).st_size // self.kind.itemsize

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def take(self, at: np.ndarray) -> np.ndarray:
        """The numbers at these places, in any order. Cost: the pages that they lie in."""
        out, order = np.empty(len(at), self.kind), np.argsort(at, kind="stable")
        for low in range(0, len(at), SLICE):
            some = order[low : low + SLICE]
            page, within = np.divmod(at[some].astype(np.int64), self._per_page)
            pages, which = np.unique(page, return_inverse=True)
            out[some] = self.pages(pages)[which * self._per_page + within]
        return out

    def pages(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers in these pages (ascending, distinct), one page after the other; the last of the file is filled up with 0."""
        out = np.zeros(len(numbers) * self._per_page, self.kind)
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        for low, high in zip([0, *breaks], [*breaks, len(numbers)], strict=True):
            if high > low:
                self._read(int(numbers[low]) * PAGE, out[low * self._per_page : high * self._per_page])
        return out

    def ranges(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """The numbers start[k] ... stop[k] - 1 (ascending, apart), one range after the other."""
        size = (stop - start).astype(np.int64)
        out = np.empty(size.sum(), self.kind)
        ends = np.cumsum(size)
        breaks = np.flatnonzero(start[1:] != stop[:-1]) + 1
        for low, high in zip([0, *breaks], [*breaks, len(start)], strict=True):
            if high > low:
                self._read(int(start[low]) * self.kind.itemsize, out[ends[low] - size[low] : ends[high - 1]])
        return out

    def whole(self) -> np.ndarray:
        """All numbers."""
        return self.ranges(np.array([0]), np.array([self._size]))

    def _read(self, offset: int, into: np.ndarray) -> None:
        view = into.view(np.uint8).data
        done = 0
        while done < len(view):
            got = os.preadv(self._file.fileno(), [view[done:]], offset + done)
            if not got:
                break
            done += got
        self.tally.bytes += done


def find(keys: Column, fences: np.ndarray, wanted: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(first int64[n], count int64[n]): where each of `wanted` (ascending, distinct) begins in sorted `keys`, how often it stands.

    Counts up to `most`, at most FENCE. Cost: one or two pages for each of `wanted`, each page once.
    """
    first, count = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
    if not len(keys):
        return first, count
    left = np.maximum(np.searchsorted(fences, wanted, "left") - 1, 0)
    right = np.minimum(np.maximum(np.searchsorted(fences, wanted, "right") - 1, 0), left + 1)
    for low in range(0, len(wanted), SLICE):
        some = slice(low, low + SLICE)
        pages = np.union1d(left[some], right[some])
        values = keys.pages(pages)
        if pages[-1] == len(fences) - 1:
            values = values[: len(values) - (len(fences) * FENCE - len(keys))]
        begin = np.searchsorted(values, wanted[some], "left")
        count[some] = np.minimum(np.searchsorted(values, wanted[some], "right") - begin, most)
        page, within = np.divmod(begin, FENCE)
        first[some] = pages[np.minimum(page, len(pages) - 1)] * FENCE + within
    return first, count
