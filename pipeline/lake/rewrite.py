"""A deleted table's files written again, as they were: their names, formats, schemas, row counts."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.lake.leaves import leaves
from ..formats.compression import CODECS
from .tables import Table, schema_of_text
from .way_back import CHUNK, as_written, rebuild


def write_table_again(
    recipe: Mapping[str, Any], path: Path, rows: np.ndarray, rest: pa.Table, schema: pa.Schema, parent: Table, root: str,
    written: Mapping[str, int | np.ndarray],
) -> None:
    """Write the table of a restore recipe at `path`. `rows`: int64[n] of the parent; `rest`: residual rows, in order.

    `written`: text column -> how its cells write the parent's numbers.

    Memory: a million rows of the table at a time; of Delta, all of them.
    """
    names = tuple(sorted(leaf.name for leaf in leaves(schema)))

    def pieces(start: int, stop: int) -> Iterator[pa.Table]:
        for at in range(start, stop, CHUNK):
            part = rows[at:min(stop, at + CHUNK)]
            used = int((rows[:at] < 0).sum())
            made = rebuild(parent, part, rest.slice(used, int((part < 0).sum())), schema, names, root)
            yield as_written(made, part, {n: f if isinstance(f, int) else f[at:at + len(part)] for n, f in written.items()})

    path.parent.mkdir(parents=True, exist_ok=True)
    if recipe["kind"] == "delta":
        _write_delta(path, list(pieces(0, len(rows))), schema, list(recipe["partitions"]))
        return
    at = 0
    for file in recipe["files"]:
        target = path / file["name"] if recipe["folder"] else path
        target.parent.mkdir(parents=True, exist_ok=True)
        given = {k for k, _ in file["partition"]}
        tables = (p.drop_columns([c for c in p.schema.names if c in given]) for p in pieces(at, at + file["rows"]))
        kept = [n for n in schema.names if n not in given]
        target.touch(mode=0o600)  # nobody else sees it before it has its mode again
        _WRITERS[recipe["kind"]](target, tables, file, kept)
        target.chmod(file.get("mode", 0o644) & 0o777)
        at += file["rows"]


def _write_parquet(path: Path, tables: Iterator[pa.Table], file: Mapping[str, Any], names: Sequence[str]) -> None:
    own = schema_of_text(file["schema"])
    with pq.ParquetWriter(path, own, compression=file["compression"].replace("uncompressed", "none")) as writer:
        for table in tables:
            writer.write_table(table.select(own.names).cast(own), row_group_size=max(1, file["group_rows"]))


def _write_csv(path: Path, tables: Iterator[pa.Table], file: Mapping[str, Any], names: Sequence[str]) -> None:
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    with pa.output_stream(str(path), compression=CODECS.get(path.suffix)) as sink:
        sink.write(_records([names], delimiter))
        for table in tables:
            sink.write(_records(zip(*(c.to_pylist() for c in table.columns), strict=True), delimiter))


def _records(rows: Any, delimiter: str) -> bytes:
    """CSV with quotes where they are needed. Python puts none around a lone carriage return; readers end the line there."""
    rows, text = list(rows), io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerows(rows)
    if "\r" in text.getvalue():
        text.seek(0)
        text.truncate()
        quoting = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in rows:
            (quoting if any(cell and "\r" in cell for cell in row) else writer).writerow(row)
    return text.getvalue().encode()


def _write_jsonl(path: Path, tables: Iterator[pa.Table], file: Mapping[str, Any], names: Sequence[str]) -> None:
    with pa.output_stream(str(path), compression=CODECS.get(path.suffix)) as sink:
        for table in tables:
            sink.write(b"".join(orjson.dumps(row) + b"\n" for row in table.to_pylist()))


def _write_delta(path: Path, tables: list[pa.Table], schema: pa.Schema, partitions: list[str]) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(path), pa.concat_tables(tables) if tables else schema.empty_table(), partition_by=partitions or None)


_WRITERS: dict[str, Any] = {"parquet": _write_parquet, "csv": _write_csv, "tsv": _write_csv, "jsonl": _write_jsonl}


def durable(folder: Path) -> None:
    """Make everything below a folder durable."""
    for path in folder.rglob("*"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
