"""The way back of a table: the number of the parent's row that holds each of its rows, proved by rebuilding every row."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ...operators.lake.canonical import Missing
from ...operators.lake.exact import fingerprint, row_set
from ...operators.lake.leaves import Column, Leaf
from ...operators.lake.numerals import Handwriting, as_numbers, in_forms
from ...operators.lake.rebuild import Index, assembled, differing
from ...operators.lake.row_hashes import cell_hashes, row_hashes, table_cells
from ..errors import StaleError
from .readers import read_unit
from .tables import Table

CHUNK = 1 << 20  # rows that are rebuilt at a time


class OtherLettersError(StaleError):
    """Rows that count as equal, but of which the parent's would not bring back the table's: null for an empty text."""


@dataclass(frozen=True)
class WayBack:
    """int64[n] rows of the parent, -1 for the next residual row; the residual; the rows' fingerprint; rows of each file.

    `written`: text column -> how its cells are written, where the parent has numbers: one form, or uint8[n].
    """

    rows: np.ndarray
    residual: pa.Table
    fingerprint: dict[str, str | int]
    file_rows: list[int]
    written: dict[str, int | np.ndarray]


def batches(table: Table, names: Sequence[str], root: str) -> Iterator[pa.RecordBatch]:
    """All rows of a table in their order, with at least the leaves `names`."""
    if table.kind == "iceberg":
        yield from read_unit("iceberg", table.path, names, root=root)
        return
    for file in table.files:
        yield from read_unit(table.kind, file.path, names, partition=file.partition, types=dict(table.typed_partitions),
                             schema=table.schema, root=root)


def hashes_of(batch: pa.RecordBatch, names: Sequence[str], missing: Missing, numbers: Collection[str] = ()) -> np.ndarray:
    """uint64[2, n]: row hashes of a batch over `names`; a leaf that it lacks is null."""
    cells = table_cells(batch, names, missing, numbers)
    for name in set(names) - set(cells):
        cells[name] = cell_hashes(Column(Leaf(name, (name,), pa.null()), pa.nulls(batch.num_rows)), missing)
    return row_hashes(cells, names, batch.num_rows)


def hashed(table: Table, names: Sequence[str], missing: Missing, root: str, numbers: Collection[str] = ()) -> np.ndarray:
    """uint64[2, n]: the row hashes of a table in its order; columns of text in `numbers` are read so. Cost: 16 bytes a row."""
    found = [hashes_of(b, names, missing, numbers) for b in batches(table, names, root)]
    return np.concatenate(found, axis=1) if found else np.empty((2, 0), np.uint64)


def find_way_back(child: Table, parent: Table, schema: pa.Schema, missing: int, settings_missing: Missing, root: str) -> WayBack:
    """The way back from parent to child, after every row has been rebuilt and compared by value.

    `missing`: how many rows may be residual. Raises StaleError where more are, OtherLettersError where a rebuilt row differs.
    """
    names = tuple(sorted(child.leaves))
    read, needed = (as_numbers(a, b) if a and b else frozenset() for a, b in ((schema, parent.schema), (parent.schema, schema)))
    by_file = [hashed(replace(child, files=(f,)), names, settings_missing, root, read) for f in child.files]
    own = np.concatenate(by_file, axis=1) if by_file else np.empty((2, 0), np.uint64)
    rows = Index(hashed(parent, names, settings_missing, root, needed)).rows(own)
    lacking = int((rows < 0).sum())
    if lacking > missing:
        raise StaleError(f"{child.name}: {lacking} of its rows are not in {parent.name}, {missing} were when the lake was scanned; "
                         "scan it again")
    residual: list[pa.Table] = []
    hands = {name: Handwriting() for name in read.intersection(parent.leaves)}
    at = 0
    for piece in _pieces(batches(child, names, root)):
        here = rows[at:at + piece.num_rows]
        whole = assembled(schema, piece)
        left = whole.filter(pa.array(here < 0))
        residual.append(left)
        rebuilt = rebuild(parent, here, left, schema, names, root)
        for name, hand in hands.items():
            rebuilt = _replaced(rebuilt, name, hand.learn(_whole(rebuilt, name), _whole(whole, name), here >= 0))
        wrong = differing(whole, rebuilt)
        if wrong:
            raise OtherLettersError(f"{child.name}: cannot be rebuilt to the letter from {parent.name}: "
                                    f"column {wrong[0]} would differ")
        at += piece.num_rows
    letters = hashed(child, names, settings_missing, root) if read else own  # what restoring is measured by: every cell as it is
    return WayBack(rows, pa.concat_tables(residual) if residual else schema.empty_table(), fingerprint(row_set(letters)),
                   [h.shape[1] for h in by_file], {name: hand.told() for name, hand in hands.items()})


def _whole(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def as_written(table: pa.Table, rows: np.ndarray, written: Mapping[str, int | np.ndarray]) -> pa.Table:
    """A rebuilt table with its numbers written as they were; residual rows (-1 in `rows`) are so already."""
    for name, codes in written.items():
        table = _replaced(table, name, in_forms(_whole(table, name), codes, rows >= 0))
    return table


def _pieces(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in parts:
        held.append(batch)
        if sum(b.num_rows for b in held) >= CHUNK:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def rebuild(parent: Table, rows: np.ndarray, residual: pa.Table, schema: pa.Schema, names: Sequence[str], root: str) -> pa.Table:
    """The rows of a table of `schema` from the parent's rows by number, -1 taking the next residual row.

    Cost: one pass over the parent's columns. Raises StaleError where the parent has no such row or column.
    """
    wanted = np.unique(rows[rows >= 0])
    gone = sorted(set(names) - set(parent.leaves)) if len(wanted) else []
    if gone:
        raise StaleError(f"{parent.name} has no column {gone[0]!r} any more")
    taken: list[pa.Table] = []
    at = 0
    for batch in batches(parent, names, root) if len(wanted) else ():
        a, b = np.searchsorted(wanted, [at, at + batch.num_rows])
        if b > a:
            taken.append(assembled(schema, batch.take(pa.array(wanted[a:b] - at))))
        at += batch.num_rows
    if len(wanted) and wanted[-1] >= at:
        raise StaleError(f"{parent.name} has {at} rows now, row {wanted[-1]} is needed: it has changed")
    source = pa.concat_tables([*taken, residual])
    place = np.where(rows >= 0, np.searchsorted(wanted, rows), len(wanted) + np.cumsum(rows < 0) - 1)
    return source.take(pa.array(place))
