"""Parquet: whole row groups, streamed batch by batch; a damaged row group is told once and the next ones are read."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..ledger import POSITION
from .places import filesystem, is_remote, local_path
from .rows import BrokenError, Rows, broken_row, complain, empty_columns, misspelt
from .schemas import cast, plain_schema

PLACED = b"tamis.placed"  # in a file's metadata: its first column says the position of each row


@contextmanager
def opened(url: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file. Raises BrokenError where its footer cannot be read."""
    with ExitStack() as stack:
        place: Any = local_path(url)
        if is_remote(url):
            fs, path = filesystem(url)
            place = stack.enter_context(fs.open(path, "rb"))
        try:
            file = pq.ParquetFile(place, memory_map=not is_remote(url), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as e:
            raise BrokenError(0, f"not a whole Parquet file ({str(e).rstrip('.')})") from e
        yield stack.enter_context(file)


def schema_of(url: str) -> pa.Schema:
    """The file's columns, in plain types. Raises BrokenError."""
    with opened(url) as file:
        return _columns(file.schema_arrow)


def _columns(schema: pa.Schema) -> pa.Schema:
    """The user's columns, in plain types."""
    return plain_schema(schema.remove(0) if _placed(schema) else schema)


def _placed(schema: pa.Schema) -> bool:
    return PLACED in (schema.metadata or {}) and schema.names[:1] == [POSITION] and schema.field(0).type == pa.int64()


def group_sizes(url: str) -> list[int]:
    """Uncompressed bytes of each row group. Raises BrokenError."""
    with opened(url) as file:
        return [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]


def read_groups(
    url: str, source: str, start: int, stop: int, *, texts: tuple[str, ...], batch_rows: int, batch_bytes: int, tolerate: bool
) -> Iterator[Rows]:
    """Rows of the row groups `start <= i < stop` (stop -1: whose footer was unreadable); positions: record numbers, or the file's.

    Raises ReadError where a row group is damaged; with `tolerate` what precedes the damage and one broken row come instead.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(url))
        except BrokenError as e:
            yield broken_row(source, 0, complain(source, e.reason, tolerate=tolerate), pa.schema([]))
            return
        first = sum(file.metadata.row_group(i).num_rows for i in range(start))
        for group in range(start, stop):
            meta = file.metadata.row_group(group)
            rows, size = max(1, meta.num_rows), max(1, meta.total_byte_size)
            fitting = max(1, min(batch_rows, batch_bytes * rows // size))
            yield from _group(file, group, range(first, first + meta.num_rows), source, texts, fitting, tolerate)
            first += meta.num_rows


def _group(
    file: pq.ParquetFile, group: int, records: range, source: str, texts: tuple[str, ...], batch_rows: int, tolerate: bool
) -> Iterator[Rows]:
    at = records.start
    schema, placed = _columns(file.schema_arrow), _placed(file.schema_arrow)
    batches = file.iter_batches(batch_rows, row_groups=[group], use_threads=False)
    while at < records.stop:
        try:
            rows = _rows(next(batches), schema, source, at, texts, placed)
        except (pa.ArrowException, OSError, StopIteration) as e:
            lost = f"records {at} to {records.stop - 1} cannot be read ({str(e).rstrip('.')})"
            told = complain(f"{source}, row group {group}", lost, tolerate=tolerate)
            yield broken_row(source, at, told, schema)
            return
        yield misspelt(rows, lambda i, at=at: f"record {at + i}", tolerate)  # type: ignore[misc]
        at += len(rows.positions)


def _rows(batch: pa.RecordBatch, schema: pa.Schema, source: str, at: int, texts: tuple[str, ...], placed: bool) -> Rows:
    positions = np.arange(at, at + len(batch), dtype=np.int64)
    if placed:
        positions, batch = batch.column(0).to_numpy(), batch.drop_columns(batch.schema.names[:1])
    if not schema.names:
        return Rows(source, empty_columns(len(batch)), positions)
    columns = [
        column if column.type == field.type else cast(column, pa.string() if field.name in texts else field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return Rows(source, pa.RecordBatch.from_arrays(columns, names=schema.names), positions)
