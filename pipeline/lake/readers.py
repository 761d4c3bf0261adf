"""The rows of a lake's files as record batches of the leaves that are asked for, with the bytes that it took."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from ...operators.lake.leaves import Leaf, leaves
from ..formats.compression import Unpacked
from ..formats.jsonl import read_blocks
from ..formats.kinds import format_of
from ..formats.lines import stream_blocks
from ..formats.places import open_input
from ..formats.rows import empty_columns
from .footers import opened, stored_columns
from .iceberg import latest_metadata
from .iceberg import opened as opened_iceberg
from .tables import Partition

ROWS = 1 << 16


def read_unit(
    kind: str, path: str, names: Sequence[str], *, groups: Sequence[int] | None = None, partition: Partition = (),
    types: dict[str, pa.DataType] | None = None, schema: pa.Schema | None = None, root: str = "/",
    spent: Callable[[int], None] = lambda _: None,
) -> Iterator[pa.RecordBatch]:
    """Batches with the leaves `names` (and what lies in one column with them); a leaf that the file lacks is null.

    `groups`: row groups of a Parquet file (None: all). `spent` is told the stored bytes that are read.
    """
    given = dict(partition)
    wanted = [n for n in names if n not in given]
    if kind in ("parquet", "delta"):
        batches = _parquet(path, wanted, groups, spent)
    elif kind == "iceberg":
        batches = _iceberg(path, wanted, root, spent)
    elif kind == "jsonl":
        batches = _json_lines(path, schema, spent)
    else:
        batches = _delimited(path, kind, wanted, schema, spent)
    for batch in batches:
        yield _with_partition(batch, [n for n in names if n in given], given, types or {})


def _with_partition(
    batch: pa.RecordBatch, names: Sequence[str], given: dict[str, str | None], types: dict[str, pa.DataType]
) -> pa.RecordBatch:
    if not names:
        return batch
    fields, arrays = [f for f in batch.schema if f.name not in given], []
    arrays = [batch.column(f.name) for f in fields]
    for name in names:
        type = types.get(name, pa.string())
        arrays.append(pa.repeat(pa.scalar(given[name], pa.string()), batch.num_rows).cast(type))
        fields.append(pa.field(name, type))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _parquet(
    path: str, names: Sequence[str], groups: Sequence[int] | None, spent: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    file = opened(path)
    try:
        chosen = list(range(file.num_row_groups)) if groups is None else list(groups)
        own = leaves(file.schema_arrow)
        wanted = set(names)
        here = [leaf for leaf in own if leaf.name in wanted]
        spent(_stored_bytes(file, own, {leaf.name for leaf in here}, chosen))
        if here:
            names_here = None if len(here) == len(own) else [leaf.name for leaf in here]  # naming all of many takes long
            yield from file.iter_batches(ROWS, row_groups=chosen, columns=names_here, use_threads=False)  # processes are enough
            return
        for group in chosen:  # none of the columns: only the number of rows is known
            yield empty_columns(file.metadata.row_group(group).num_rows)
    finally:
        file.close()


def _stored_bytes(file: pq.ParquetFile, own: Sequence[Leaf], names: set[str], groups: Sequence[int]) -> int:
    meta, at, total = file.metadata, 0, 0
    for leaf in own:
        width = stored_columns(leaf.type)
        if leaf.name in names:
            total += sum(meta.row_group(g).column(at + i).total_compressed_size for g in groups for i in range(width))
        at += width
    return total


def _iceberg(path: str, names: Sequence[str], root: str, spent: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    table = opened_iceberg(latest_metadata(Path(path)), Path(root))
    scan = table.scan(selected_fields=tuple(dict.fromkeys(names)) or ("*",))
    spent(sum(task.file.file_size_in_bytes for task in scan.plan_files()))
    yield from scan.to_arrow_batch_reader()


def _delimited(
    path: str, kind: str, names: Sequence[str], schema: pa.Schema | None, spent: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """Every field is text; an empty field is null. A record of another length than the header's is an error.

    An empty line is nothing, but in a table of one column it is a null.
    """
    spent(Path(path).stat().st_size)
    stream: Any = pa.input_stream(path, compression=format_of(path)[1])
    with pv.open_csv(
        stream, read_options=pv.ReadOptions(use_threads=False, block_size=8 << 20),
        parse_options=pv.ParseOptions(delimiter="\t" if kind == "tsv" else ",", newlines_in_values=True,
                                      ignore_empty_lines=schema is None or len(schema) != 1),
        convert_options=pv.ConvertOptions(column_types={n: pa.string() for n in names}, null_values=[""], strings_can_be_null=True,
                                          include_columns=list(names), include_missing_columns=True),
    ) as reader:
        for batch in reader:
            yield from _sliced(batch)


def _json_lines(path: str, schema: pa.Schema | None, spent: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    spent(Path(path).stat().st_size)
    with Unpacked(open_input(path), format_of(path)[1]) as file:
        for rows in read_blocks(stream_blocks(file), source=path, known=schema or pa.schema([]), tolerate=False):
            yield from _sliced(rows.columns)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, ROWS):
        yield batch.slice(start, ROWS)
