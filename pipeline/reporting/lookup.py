"""Which row someone means: by id, by place, by line, or by the value of a column of their own."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import corpus
from ..corpus import Source
from ..errors import TamisError, did_you_mean
from ..formats.compression import Unpacked
from ..formats.lines import array_blocks, stream_blocks
from ..formats.places import open_input
from ..ledger import ID, KEY_COLUMNS, POSITION, SOURCE
from .finished import Finished
from .words import ids_of, row_id

FORMS = "A row is its value in your id column, SOURCE:POSITION, SOURCE#LINE, or its __id__ (16 hex digits, or the decimal number)"
KNOWN = 20_000  # values of the id column that are held for a suggestion


@dataclass(frozen=True)
class Found:
    """One row: its id and how it was found."""

    id: int
    by: str


def find(run: Finished, row: str, key: str) -> Found:
    """The one row that `row` means.

    Raises TamisError where it means none (with what is near) or several (with all of them).
    Cost: by id or place, one pass over ledger and kept; by the user's column, one over the input.
    """
    row = row.encode("utf-8", "backslashreplace").decode()  # of a terminal, any bytes
    placed = _by_place(run, row)
    if placed is not None:
        return placed
    known = list(_by_id(run, row))
    values: list[str] = []
    known = known or list({f.id: f for f in _by_key(run, row, key, values)}.values())
    if len(known) == 1:
        return known[0]
    if not known:
        gone = "" if run.sources() else f" The input is no longer there, so rows that left cannot be found by their {key!r}."
        columns = _columns(run)
        if columns and key not in columns:
            raise TamisError(f"{run.folder}: no row {row!r}, and the data have no column {key!r} to find it by."
                             f"{did_you_mean(key, columns)} They have: {', '.join(columns)}. {FORMS}.")
        raise TamisError(f"{run.folder}: no row {row!r}.{did_you_mean(row, values)} {FORMS}.{gone}")
    told = _places(run, [f.id for f in known[:10]])
    listed = "".join(f"\n  {row_id(f.id)}  {told.get(f.id, '')}" for f in known[:10]) + ("\n  ..." if len(known) > 10 else "")
    raise TamisError(f"{run.folder}: {row!r} means {len(known)} rows; ask by place or id:{listed}")


def _columns(run: Finished) -> list[str]:
    """The columns of the first rows that can still be read."""
    sources = run.sources()
    batch = next(iter(_input_batches(run, sources) if sources else _shard_batches(run)), None)
    return [] if batch is None else [n for n in batch.schema.names if n not in (*KEY_COLUMNS, corpus.ERROR)]


def _places(run: Finished, ids: list[int]) -> dict[int, str]:
    told = run.lines("kept", ids) | run.lines("ledger", ids)
    return {i: f"{r[SOURCE]}:{r[POSITION]}" for i, r in told.items()}


def _by_id(run: Finished, row: str) -> Iterator[Found]:
    """Rows whose id is this number, read as decimal or as hexadecimal."""
    wanted = ids_of(row)
    for i in sorted({**run.lines("kept", wanted), **run.lines("ledger", wanted)}) if wanted else ():
        yield Found(i, "id")


def _by_place(run: Finished, row: str) -> Found | None:
    """SOURCE:POSITION or SOURCE#LINE, where SOURCE is an input of the run or the unambiguous end of one; None for anything else."""
    for mark in "#:":
        name, _, number = row.rpartition(mark)
        source = _source_called(run, name)
        if mark not in row or source is None or not number.isdecimal():
            continue
        position = int(number) if mark == ":" else _position_of_line(run, source, int(number))
        if position >= 1 << 63:
            raise TamisError(f"{run.folder}: no row at {source}:{number}: no file is as long")
        wanted = int(corpus.row_ids(source, np.array([position]))[0])
        if run.lines("kept", [wanted]) or run.lines("ledger", [wanted]):
            return Found(wanted, "place" if mark == ":" else "line")
        line = f" A line's number is asked for as {source}#{number}." if mark == ":" else ""
        raise TamisError(f"{run.folder}: no row at {source}:{position}.{_nearest(run, source, position)}{line}")
    return None


def _source_called(run: Finished, name: str) -> str | None:
    pooled = run.manifest.get("pool", {}).get("sources", ())
    names = list(dict.fromkeys([*(str(i["source"]) for i in run.manifest["inputs"]), *pooled]))
    if name in names:
        return name
    ends = [n for n in names if n.endswith(f"/{name}")] if name else names
    return ends[0] if len(ends) == 1 else None


def _nearest(run: Finished, source: str, position: int) -> str:
    files, this = [*run.files("kept"), *run.files("ledger")], pc.field(SOURCE) == source
    found = np.concatenate([pq.read_table(f, columns=[POSITION], filters=this).column(0).to_numpy() for f in files])
    near = sorted(found[np.argsort(np.abs(found - position), kind="stable")[:3]].tolist())
    return f" The nearest rows begin at {', '.join(map(str, near))}." if near else ""


def _position_of_line(run: Finished, source: str, line: int) -> int:
    """Position of the row on a line (from 1); of formats without lines, of the record with that number (from 1)."""
    file = next((s for s in run.sources() if s.source == source), None)
    if file is None:
        raise TamisError(f"{source} is no longer where the run read it, so its lines cannot be counted: ask by SOURCE:POSITION")
    if file.format not in ("jsonl", "json"):
        return line - 1
    with Unpacked(open_input(file.url), file.codec) as opened:
        array = corpus.cut([file])[0].format == "array"
        for block in array_blocks(opened) if array else stream_blocks(opened):
            at = bisect.bisect_left(range(len(block)), line, key=lambda i: block.line_of(i) or 0)
            if at < len(block) and (block.line_of(at) == line or array):
                return int(block.positions[at])
            if at < len(block):
                break
    raise TamisError(f"{source}: line {line} holds no row")


def _by_key(run: Finished, row: str, key: str, values: list[str]) -> Iterator[Found]:
    """Rows whose `key` column, as text, is `row`; `values` gathers some that are not."""
    sources = run.sources()
    tables = _input_batches(run, sources) if sources else _shard_batches(run)
    for batch in chain(tables, _pool_batches(run)):
        if key not in batch.schema.names or pa.types.is_nested(batch.schema.field(key).type):
            continue
        told = pc.cast(batch.column(key), pa.string())
        hits = batch.column(ID).filter(pc.equal(told, row)) if ID in batch.schema.names else None
        for i in hits.to_pylist() if hits is not None else ():
            yield Found(i, key)
        values += told.slice(0, max(0, KNOWN - len(values))).drop_null().to_pylist()


def _input_batches(run: Finished, sources: list[Source]) -> Iterator[pa.RecordBatch]:
    for split in corpus.cut(sources):
        texts = run.manifest["recipe"]["text_keys"]
        yield from corpus.read(split, text_keys=texts, batch_rows=8192, batch_bytes=16 << 20, tolerate=True)


def _pool_batches(run: Finished) -> Iterator[Any]:
    """The rows of the pool as they were before the run."""
    pool = run.manifest.get("pool")
    path = Path(pool["path"], "versions", f"{pool['version'] - 1:04d}", "rows.parquet") if pool else None
    if path is not None and path.exists():
        yield from pq.ParquetFile(path).iter_batches()


def _shard_batches(run: Finished) -> Iterator[Any]:
    """Exported rows with their ids, where the input is gone: rows that left cannot be found by the user's column then."""
    for file in run.files("kept"):
        kept = pq.read_table(file, columns=[ID, "shard", "row"])
        for shard in pc.unique(kept.column("shard")).to_pylist():
            path = run.folder / shard
            if path.suffix == ".parquet" and path.exists():
                here = kept.filter(pc.equal(kept.column("shard"), shard))
                yield pq.read_table(path).take(here.column("row")).append_column(ID, here.column(ID))
