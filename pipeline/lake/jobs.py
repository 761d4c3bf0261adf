"""What a scan is asked to read, cut into parts of bounded size and written down, one JSON file a part.

A task carries only its folder: it reads its job there, so a lake of any size ships a few bytes to each worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from ..workspace import StageFolder, atomically, read_json, write_json
from .tables import Table, schema_text

PART_BYTES = 24 << 20  # stored bytes of one part
PART_ROWS = 2_000_000
_ROW_BYTES = 64  # a text file's rows are guessed by its bytes


@dataclass(frozen=True)
class Request:
    """Row hashes of one table over some columns.

    Attributes:
        table, columns: which rows; `columns` are sorted leaf names.
        whole: hashes of all rows, as a set; else only of the draws.
        draws: how many rows to draw by chance (0: none).
        numbers: columns of text that are read as numbers, because they are compared with numbers.
    """

    table: int
    columns: tuple[str, ...]
    whole: bool = True
    draws: int = 0
    numbers: tuple[str, ...] = ()


def write_jobs(
    folder: StageFolder, tables: Sequence[Table], requests: Mapping[int, Request], groups: Mapping[int, set[int]], root: str
) -> int:
    """Write the jobs of a stage and answer how many parts they are. Does nothing where they lie there already.

    `groups`: table -> the row groups that are needed, numbered through its files; all where it is not named.
    """
    known = read_json(folder.path / "jobs.json")
    if known is not None:
        return int(known["parts"])
    by_table: dict[int, list[tuple[int, Request]]] = {}
    for key, request in requests.items():
        by_table.setdefault(request.table, []).append((key, request))
    parts = 0
    for units in _parts(tables, by_table, groups):
        write_compact(folder.file("jobs", parts, "json"), {"root": root, "units": units})
        parts += 1
    write_json(folder.path / "jobs.json", {"parts": parts})
    return parts


def write_compact(path: Path, value: Any) -> None:
    """Write JSON for machines alone, whole or not at all."""
    data = orjson.dumps(value)
    atomically(path, lambda tmp: tmp.write_bytes(data))


def _parts(
    tables: Sequence[Table], by_table: Mapping[int, list[tuple[int, Request]]], groups: Mapping[int, set[int]]
) -> Iterator[list[dict[str, Any]]]:
    units: list[dict[str, Any]] = []
    size = rows = 0
    for index in sorted(by_table):
        for unit, unit_bytes, unit_rows in _units(tables[index], by_table[index], groups.get(index)):
            if units and (size + unit_bytes > PART_BYTES or rows + unit_rows > PART_ROWS):
                yield units
                units, size, rows = [], 0, 0
            units.append(unit)
            size, rows = size + unit_bytes, rows + unit_rows
    if units:
        yield units


def _units(
    table: Table, requests: list[tuple[int, Request]], wanted: set[int] | None
) -> Iterator[tuple[dict[str, Any], int, int]]:
    """(unit, stored bytes, rows): a file, or some row groups of one."""
    told = {
        "table": table.name, "kind": table.kind, "table_rows": table.rows,
        "schema": schema_text(table.schema) if table.kind not in ("parquet", "delta") and table.schema is not None else None,
        "types": {n: schema_text_of(t) for n, t in table.typed_partitions.items()},
        "requests": [{"key": k, "columns": list(r.columns), "whole": r.whole, "draws": r.draws, "numbers": list(r.numbers)}
                     for k, r in requests],
    }
    if table.kind == "iceberg":
        yield told | {"path": table.path, "partition": [], "groups": None, "first": 0}, table.bytes, table.rows or 0
        return
    first = number = 0
    for file in table.files:
        place = {"path": file.path, "partition": [list(p) for p in file.partition]}
        if table.kind == "delta" or not file.rows:
            guess = sum(file.rows) if file.rows else file.bytes // _ROW_BYTES
            yield told | place | {"groups": None, "first": first}, file.bytes, guess
        else:
            spread = _groups(file.rows, file.bytes, [wanted is None or number + g in wanted for g in range(len(file.rows))])
            for chosen, offset, size, rows in spread:
                yield told | place | {"groups": chosen, "first": first + offset}, size, rows
        first, number = first + sum(file.rows), number + len(file.rows)


def _groups(rows: Sequence[int], size: int, wanted: Sequence[bool]) -> Iterator[tuple[list[int], int, int, int]]:
    """(row groups, first row, bytes, rows) of runs of wanted row groups, each small enough for one part."""
    each = size / max(1, sum(rows))
    run: list[int] = []
    start = count = at = 0
    for g, n in enumerate(rows):
        if run and (not wanted[g] or (count + n) * each > PART_BYTES or count + n > PART_ROWS):
            yield run, start, int(count * each), count
            run = []
        if wanted[g]:
            if not run:
                start, count = at, 0
            run.append(g)
            count += n
        at += n
    if run:
        yield run, start, int(count * each), count


def schema_text_of(type: pa.DataType) -> str:
    """One type as text that JSON can carry."""
    return schema_text(pa.schema([("x", type)]))
