"""From a place to a table: what its files' metadata says, without reading rows. What cannot be read is a trouble."""

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ...operators.lake import families
from ...operators.lake.leaves import leaves
from ...operators.lake.min_max import ColumnStats
from ..errors import ReadError, RecipeError
from ..formats.compression import Unpacked
from ..formats.jsonl import read_blocks
from ..formats.kinds import format_of
from ..formats.lines import stream_blocks
from ..formats.places import open_input
from ..formats.rows import BrokenError
from ..formats.schemas import unify
from .delta import delta_table
from .finding import Place
from .footers import Footer, merged_columns, partition_stats
from .iceberg import iceberg_table
from .tables import DataFile, Partition, Table, Trouble

BROKEN = (OSError, pa.ArrowException, ValueError, ReadError, RecipeError, BrokenError, OverflowError)  # of hostile files
_HEADER = 64 << 20  # a longer header is no header


def inspect(place: Place, root: Path) -> Table | Trouble:
    """The table that lies at a place, or why it cannot be told."""
    told: dict[str, Callable[[Place, Path], Table]] = {"parquet": _parquet, "delta": delta_table, "iceberg": iceberg_table}
    try:
        table = told.get(place.kind, _text)(place, root)
        if not table.leaves:
            return Trouble(place.name, "has no columns")
        return table
    except BROKEN as e:
        return Trouble(place.name, reason(e))


def reason(error: BaseException) -> str:
    """Why a table cannot be read, in one line."""
    told = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read ({told[:300]})"


def token_of(files: list[tuple[str, os.stat_result]]) -> str:
    """Changes when a file of the table comes, goes, or is written."""
    told = json.dumps([[name, s.st_size, s.st_mtime_ns] for name, s in sorted(files)])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _file_name(place: Place, path: Path) -> str:
    return path.name if path == place.path else path.relative_to(place.path).as_posix()


def _stats_of_files(place: Place) -> list[tuple[str, os.stat_result]]:
    return [(_file_name(place, path), path.stat(follow_symlinks=False)) for path, _ in place.files]


def _parquet(place: Place, root: Path) -> Table:
    found, files, footers = _stats_of_files(place), [], []
    for (path, partition), (name, told) in zip(place.files, found, strict=True):
        footer = Footer(path)
        files.append(DataFile(str(path), name, told.st_size, footer.groups, partition))
        footers.append(footer)
    rows = [sum(f.groups) for f in footers]
    facts = merged_columns([f.stats() for f in footers], rows)
    facts |= _partition_facts([p for _, p in place.files], rows)
    schema = _with_partitions(unify_types([f.schema for f in footers]), [p for _, p in place.files])
    names = tuple(leaf.name for leaf in leaves(schema))
    known = set(names)
    return Table(
        place.name, "parquet", str(place.path), tuple(files), names, schema, sum(rows), sum(s.st_size for _, s in found),
        token_of(found), footer_bytes=sum(f.size for f in footers), column_bytes={n: size for n, (_, size) in facts.items()},
        stats={n: s for n, (s, _) in facts.items() if n in known},
    )


def unify_types(schemas: list[pa.Schema]) -> pa.Schema:
    """One schema of several files, columns in order of first appearance. Raises ValueError where types cannot be one."""
    plain = [s.remove_metadata() for s in schemas]
    return plain[0] if all(s.equals(plain[0]) for s in plain) else pa.unify_schemas(plain, promote_options="permissive")


def _partition_facts(partitions: list[Partition], rows: list[int]) -> dict[str, tuple[ColumnStats, int]]:
    names = dict.fromkeys(name for partition in partitions for name, _ in partition)
    told = [{name: (partition_stats(value, n), 0) for name, value in partition}
            for partition, n in zip(partitions, rows, strict=True)]
    for file, n in zip(told, rows, strict=True):
        for name in names:
            file.setdefault(name, (partition_stats(None, n), 0))
    return merged_columns(told, rows) if names else {}


def _with_partitions(schema: pa.Schema, partitions: list[Partition]) -> pa.Schema:
    """The schema with its partition columns as text at the end: the path's word counts, not the file's."""
    names = list(dict.fromkeys(name for partition in partitions for name, _ in partition))
    kept = [f for f in schema if f.name not in names]
    return pa.schema([*kept, *(pa.field(n, pa.string()) for n in names)])


def _text(place: Place, root: Path) -> Table:
    """CSV, TSV and JSON lines: names from the header or from all lines, no bounds."""
    found = _stats_of_files(place)
    files = tuple(DataFile(str(path), name, told.st_size, (), partition)
                  for (path, partition), (name, told) in zip(place.files, found, strict=True))
    if place.kind == "jsonl":
        rows, schema = _profiled(files)
    else:
        rows, schema = None, unify_types([_header(Path(f.path), place.kind) for f in files])
    schema = _with_partitions(schema, [f.partition for f in files])
    names = tuple(leaf.name for leaf in leaves(schema))
    kind = families.TEXT if place.kind != "jsonl" else families.UNKNOWN
    size = sum(f.bytes for f in files)
    return Table(
        place.name, place.kind, str(place.path), files, names, schema, rows, size, token_of(found),
        footer_bytes=size if place.kind == "jsonl" else 0, stats={n: ColumnStats(kind, rows=rows) for n in names},
    )


def _header(path: Path, kind: str) -> pa.Schema:
    """The columns of a CSV or TSV file, all text."""
    with Unpacked(open_input(str(path)), format_of(path.name)[1]) as file:
        head = b""
        while b"\n" not in head.replace(b"\r", b"\n") or head.count(b'"') % 2:
            piece = file.read(1 << 16)
            head += piece
            if not piece or len(head) > _HEADER:
                break
    if not head.strip():
        raise ValueError("the file is empty: it has no header")
    lines = head.decode("utf-8-sig").splitlines(keepends=True)
    names = next(csv.reader(lines, delimiter="\t" if kind == "tsv" else ","))
    return pa.schema([pa.field(n, pa.string()) for n in names])


def _profiled(files: tuple[DataFile, ...]) -> tuple[int, pa.Schema]:
    """Rows and schema of JSON lines: only reading them tells."""
    rows, schemas, names = 0, [], []
    for data in files:
        with Unpacked(open_input(data.path), format_of(data.path)[1]) as file:
            for told in read_blocks(stream_blocks(file), source=data.name, known=pa.schema([]), tolerate=False):
                rows += len(told.positions)
                schemas.append(told.columns.schema)
                names.append(data.name)
    return rows, unify(schemas, names)
