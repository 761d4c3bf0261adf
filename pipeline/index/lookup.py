"""Asking an index: which documents share a key with a row, what their sets are, which document stays for them.

Only pages that hold an answer are read, and counted; what is held in memory is a key in 512 and what was asked for.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.dedup.edges import REACH
from ..errors import StaleError
from ..ledger import KEY_FIELDS
from . import layout
from .columns import Column, Tally, find
from .layout import DOCUMENTS, Manifest


@dataclass(frozen=True)
class Opened:
    """One segment: the number of its first document, its files, its fences."""

    start: int
    documents: int
    folder: Path
    columns: dict[str, Column]
    fences: np.ndarray


class Reader:
    """An index as it was when it had `limit` documents.

    Attributes:
        tally: bytes read so far.
    """

    def __init__(self, index: Path, manifest: Manifest, limit: int, stack: ExitStack) -> None:
        self.tally, self.limit, self._segments = Tally(), limit, []
        for told in (s for s in manifest.segments if s.start < limit):
            folder = layout.folder_of(index, told)
            wrong = layout.missized(index, told)
            if wrong:
                raise StaleError(f"index {index} is damaged: {wrong[0]}: build the index anew")
            try:
                columns = {name: Column(folder / name, self.tally) for name in layout.NUMBERS}
            except OSError as e:
                raise StaleError(f"index {index}: segment {told.name} is gone or damaged ({e}): build the index anew") from e
            for column in columns.values():
                stack.callback(column.close)
            fences = columns["fences.u64"].whole()
            self._segments.append(Opened(told.start, told.documents, folder, columns, fences))
        self._starts = np.array([s.start for s in self._segments], np.int64)

    def candidates(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which, document): documents that hold `keys[which]` (ascending, distinct), at most the REACH oldest of each key.

        Cost: a page of keys for each key and segment at most, and one of holders for each that is found.
        """
        left = np.full(len(keys), REACH, np.int64)
        which, documents = [], []
        for segment in self._segments:
            first, count = find(segment.columns["keys.u64"], segment.fences, keys, REACH)
            count = np.minimum(count, left)
            left -= count
            asked = np.repeat(np.arange(len(keys)), count)
            at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
            which.append(asked)
            documents.append(segment.columns["holders.u32"].take(at).astype(np.int64) + segment.start)
        if not which:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        asked, found = np.concatenate(which), np.concatenate(documents)
        known = found < self.limit  # a segment may hold later batches too; the oldest come first, so none is crowded out
        return asked[known], found[known]

    def sizes(self, documents: np.ndarray) -> np.ndarray:
        """int64[n]: how many values the set of each document (ascending, distinct) has."""
        start, stop = self._bounds(documents)
        return stop - start

    def sets(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values, sizes) of the sets of these documents (ascending, distinct). Cost: the sets, and a page or two for each."""
        start, stop = self._bounds(documents)
        found = [np.empty(0, np.uint64)]
        found += [segment.columns["sets.u64"].ranges(start[low:high], stop[low:high])
                  for segment, low, high in self._shared(documents)]
        return np.concatenate(found), stop - start

    def kept(self, documents: np.ndarray) -> np.ndarray:
        """int64[n]: the document that stays for each of these (ascending)."""
        found = [np.empty(0, np.int64)]
        for segment, low, high in self._shared(documents):
            stays = segment.columns["kept.u64"].take(documents[low:high] - segment.start)
            if (stays >= segment.start + segment.documents).any():
                raise StaleError(f"{segment.folder / 'kept.u64'} is not what was written: build the index anew")
            found.append(stays.astype(np.int64))
        return np.concatenate(found)

    def names(self, documents: np.ndarray) -> pa.Table:
        """__id__, __source__, __position__ of these documents (ascending, distinct). Cost: the row groups they lie in."""
        found = [pa.schema(KEY_FIELDS).empty_table()]
        for segment, low, high in self._shared(documents):
            within = documents[low:high] - segment.start
            with _names(segment.folder / DOCUMENTS) as file:
                rows = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
                firsts = np.cumsum([0, *rows])
                group = np.searchsorted(firsts, within, "right") - 1
                for g in np.unique(group):
                    self.tally.bytes += sum(
                        file.metadata.row_group(g).column(c).total_compressed_size for c in range(file.metadata.num_columns))
                    found.append(file.read_row_group(int(g)).take(pa.array(within[group == g] - firsts[g])))
        return pa.concat_tables(found)

    def _bounds(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start, stop = np.empty(len(documents), np.int64), np.empty(len(documents), np.int64)
        for segment, low, high in self._shared(documents):
            within = documents[low:high] - segment.start
            ends = segment.columns["ends.u64"].take(np.concatenate([np.maximum(within - 1, 0), within])).astype(np.int64)
            start[low:high] = np.where(within > 0, ends[: high - low], 0)
            stop[low:high] = ends[high - low :]
            first, last = start[low:high], stop[low:high]
            if (first < 0).any() or (first > last).any() or last.max() > len(segment.columns["sets.u64"]):
                raise StaleError(f"{segment.folder / 'ends.u64'} is not what was written: build the index anew")
        return start, stop

    def _shared(self, documents: np.ndarray) -> Iterator[tuple[Opened, int, int]]:
        """Each segment with its share of `documents` (ascending)."""
        cuts = np.searchsorted(documents, [*self._starts, np.iinfo(np.int64).max])
        for segment, low, high in zip(self._segments, cuts[:-1], cuts[1:], strict=True):
            if high > low:
                yield segment, int(low), int(high)


def _names(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as e:
        raise StaleError(f"{path} is not what was written ({e}): build the index anew") from e


@contextmanager
def opened(index: Path, limit: int, state: str) -> Iterator[Reader]:
    """The index as it was when it had `limit` documents. Raises StaleError where those are not the ones that `state` hashes."""
    manifest = layout.read(index)
    if manifest is None or manifest.documents < limit or manifest.state(limit) != state:
        raise StaleError(f"index {index} is no longer what it was when the run was planned: run again")
    with ExitStack() as stack:
        yield Reader(index, manifest, limit, stack)
