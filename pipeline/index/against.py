"""Rows against an index, inside a deduplication stage: which rows some indexed document is alike to, and who leaves for it.

`match` finds for each row the oldest document that stays for one it is alike to; `settle` then takes the clusters of the
stage: where one row of a cluster has such a document, all rows of the cluster leave for it. So a row stays exactly if its
cluster, over index and batch together, holds no indexed document and it is the one that the keep rule names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.dedup import edges
from ..engines.base import Engine
from ..ledger import ID
from ..resources import Pin
from ..stages.lineage import Lineage, Told, read
from ..stages.narrow import decisions
from ..steps import Step
from ..workspace import StageFolder, write_json, write_table
from .columns import mapped, spans
from .joining import merged
from .lookup import Reader, opened
from .pinning import IndexPin
from .runs import Run, RunTask, runs_home, runs_of, verified

NONE = np.iinfo(np.int64).max  # no document
PAIRS = 4 << 20  # candidates held at a time
VALUES = 16 << 20  # set values compared at a time: 128 MiB


def match(
    folder: StageFolder, pin: IndexPin, before: Lineage, step: Step, pins: tuple[Pin, ...], engine: Engine, parts: range, told: Told
) -> None:
    """Write hits.parquet: id of each row that is alike to an indexed document, and the document that stays for that one.

    Cost: keys and sets of all rows, on disk; in memory 16 bytes a row.
    """
    engine.map(RunTask(runs_home(folder), before, step, pins), parts, lambda _: None)
    if (folder.path / "hits.parquet").exists():
        return
    rows = Rows(runs_of(folder, parts), verified(step))
    oldest = np.full(rows.count, NONE)
    with opened(pin.path, pin.documents, pin.state) as reader:
        for row, document in _alike(rows, reader, float(step.settings.get("jaccard_threshold", 1.0))):
            np.minimum.at(oldest, row, document)
        read_bytes = reader.tally.bytes
    oldest = oldest[rows.same()]
    hit = np.flatnonzero(oldest != NONE)
    write_json(folder.path / "lookup.json", {"bytes_read": read_bytes, "rows": rows.count, "hits": len(hit)})
    write_table(folder.path / "hits.parquet", pa.table({ID: rows.ids()[hit], "document": oldest[hit]}))


class Rows:
    """The rows of a batch as their runs hold them, numbered in order."""

    def __init__(self, runs: list[Run], verified: bool) -> None:
        self.runs, self.verified = runs, verified
        self.starts = np.array([r.start for r in runs], np.int64)
        self.count = runs[-1].start + runs[-1].rows if runs else 0
        self._ends = [mapped(r.folder / "ends.u64") for r in runs]
        self._sets = [mapped(r.folder / "sets.u64") for r in runs]

    def ids(self) -> np.ndarray:
        """int64[n]: their ids."""
        return np.concatenate([np.empty(0, np.int64), *(r.ids() for r in self.runs)])

    def same(self) -> np.ndarray:
        """int64[n]: the row that stores keys and set for each row."""
        each = [mapped(r.folder / "same.u32").astype(np.int64) + r.start for r in self.runs]
        return np.concatenate([np.empty(0, np.int64), *each])

    def key_ranges(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(keys, rows), ascending, in ranges of whole keys."""
        return merged([(mapped(r.folder / "keys.u64"), mapped(r.folder / "holders.u32")) for r in self.runs], self.starts)

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """int64[n]: how many values each row's set has; 0 for a row that stores none."""
        start, stop = self._bounds(rows)
        return stop - start

    def sets(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values, sizes) of the sets of these rows (ascending)."""
        start, stop = self._bounds(rows)
        run = np.searchsorted(self.starts, rows, "right") - 1
        each = [self._sets[k][spans(start[run == k], stop[run == k])] for k in np.unique(run)]
        return np.concatenate([np.empty(0, np.uint64), *each]), stop - start

    def _bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        run = np.searchsorted(self.starts, rows, "right") - 1
        start, stop = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for k in np.unique(run):
            mine = run == k
            within, ends = rows[mine] - self.starts[k], self._ends[k]
            stop[mine] = ends[within]
            start[mine] = np.where(within > 0, ends[np.maximum(within - 1, 0)], 0)
        return start, stop


def _alike(rows: Rows, reader: Reader, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(row, document that stays) of pairs of a row and an indexed document that share a key and are alike."""
    for row, document in _candidates(rows, reader):
        if rows.verified:
            similarity = compare(rows, reader, row, document)
            row, document = row[similarity >= threshold], document[similarity >= threshold]
        unique, which = np.unique(document, return_inverse=True)
        yield row, reader.kept(unique)[which]


def _candidates(rows: Rows, reader: Reader) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(row, document), distinct and ascending by document in each piece, of rows and documents that share a key."""
    for keys, holders in rows.key_ranges():
        wanted, begin, size = np.unique(keys, return_index=True, return_counts=True)
        which, document = reader.candidates(wanted)
        ends = np.cumsum(size[which])
        low = 0
        while low < len(which):
            before = ends[low - 1] if low else 0
            high = max(int(np.searchsorted(ends, before + PAIRS, "right")), low + 1)
            some = which[low:high]
            row = holders[spans(begin[some], begin[some] + size[some])]
            twin = np.repeat(document[low:high], size[some])
            order = np.lexsort((row, twin))
            row, twin = row[order], twin[order]
            fresh = np.append(True, (row[1:] != row[:-1]) | (twin[1:] != twin[:-1]))
            yield row[fresh], twin[fresh]
            low = high


def compare(rows: Rows, reader: Reader, row: np.ndarray, document: np.ndarray) -> np.ndarray:
    """float64[m]: exact Jaccard similarity of each row and document; pairs ascend by document."""
    out = np.empty(len(row))
    unique, which = np.unique(document, return_inverse=True)
    ends = np.cumsum(rows.sizes(row) + reader.sizes(unique)[which])
    low = 0
    while low < len(row):
        before = ends[low - 1] if low else 0
        high = max(int(np.searchsorted(ends, before + VALUES, "right")), low + 1)
        ours, a = np.unique(row[low:high], return_inverse=True)
        theirs, b = np.unique(document[low:high], return_inverse=True)
        (x, x_sizes), (y, y_sizes) = rows.sets(ours), reader.sets(theirs)
        offsets = np.cumsum([0, *x_sizes, *y_sizes])
        sets = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(np.concatenate([x, y])))
        out[low:high] = edges.jaccard(sets, a, len(ours) + b)
        low = high
    return out


@dataclass(frozen=True)
class Known:
    """The rows that leave for an indexed document.

    Attributes:
        rows: int64[m], their places among the stage's rows, ascending.
        similarity: float64[m] to the document that stays; NaN where keys decide.
        notes: which document that is.
    """

    rows: np.ndarray
    similarity: np.ndarray
    notes: pa.Array

    def between(self, low: int, high: int, ids: np.ndarray, bound: str) -> pa.Table:
        """The decisions for the rows from `low` to `high` (left out); `ids` are those of all rows."""
        a, b = np.searchsorted(self.rows, [low, high])
        return decisions(ids[self.rows[a:b]], reason="indexed", stat="similarity", value=self.similarity[a:b], bound=bound,
                         note=self.notes.slice(a, b - a))


def settle(folder: StageFolder, pin: IndexPin | None, step: Step, parts: range, ids: np.ndarray, labels: np.ndarray) -> Known:
    """Who leaves for the index, given the stage's row `ids` int64[n] and their clusters `labels` int64[n]; without one, nobody.

    Also writes indexed.parquet: each such row with the number of the document and where it came from.
    """
    if pin is None or not pin.against:
        return Known(np.empty(0, np.int64), np.empty(0), pa.array([], pa.string()))
    hits = read(folder.path / "hits.parquet")
    oldest, order = np.full(len(ids), NONE), np.argsort(ids, kind="stable")
    places = order[np.searchsorted(ids, hits.column(ID).to_numpy(), sorter=order)]
    np.minimum.at(oldest, labels[places], hits.column("document").to_numpy())
    found = oldest[labels]
    leaves = np.flatnonzero(found != NONE)
    document = found[leaves]
    rows = Rows(runs_of(folder, parts), verified(step))
    unique, which = np.unique(document, return_inverse=True)
    with opened(pin.path, pin.documents, pin.state) as reader:
        names = reader.names(unique)
        similarity = np.full(len(leaves), np.nan)
        if rows.verified:
            by_document = np.argsort(document, kind="stable")
            mine = rows.same()[_numbers(rows, ids[leaves])]
            similarity[by_document] = compare(rows, reader, mine[by_document], document[by_document])
    names = names.rename_columns(["document_id", "document_source", "document_position"]).take(pa.array(which))
    told = pa.table({ID: ids[leaves], "document": document, "similarity": similarity})
    for name in names.column_names:
        told = told.append_column(name, names.column(name))
    write_table(folder.path / "indexed.parquet", told)
    return Known(leaves, similarity, pa.array([_note(r, pin) for r in names.to_pylist()], pa.string()))


def _numbers(rows: Rows, ids: np.ndarray) -> np.ndarray:
    known = rows.ids()
    order = np.argsort(known, kind="stable")
    return order[np.searchsorted(known, ids, sorter=order)] if len(ids) else np.empty(0, np.int64)


def _note(document: dict[str, object], pin: IndexPin) -> str:
    number = int(document["document_id"]) & (2**64 - 1)  # type: ignore[call-overload]
    where = f"{document['document_source']}:{document['document_position']}"
    return f"of {where} (__id__ {number:016x}) in index {pin.path.name}"


def indexed(folder: StageFolder) -> pa.Table:
    """What `settle` wrote; nothing where the stage had no index."""
    path = folder.path / "indexed.parquet"
    return pq.read_table(path, columns=[ID, "document"]) if path.exists() else pa.table({ID: pa.array([], pa.int64()),
                                                                                       "document": pa.array([], pa.int64())})



