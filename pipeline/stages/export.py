"""The last stage: the rows that stand, streamed in order into shards; where each lies; and the whole ledger in one folder."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from .. import corpus
from ..export import ContentHash, Exporter, Shard, dataset_card
from ..ledger import ID, KEY_COLUMNS, KEY_FIELDS, SCHEMA
from ..plan import Stage
from ..recipe import Recipe
from ..workspace import Place, StageFolder, atomically, write_table
from .lineage import Lineage, Told

SHARD_BYTES = 256 << 20  # of a folder export, before compression, unless the recipe says otherwise
TABLE_ROWS = 1 << 20  # of a ledger or kept file
DJ_STATS = "__dj__stats__"  # Data-Juicer's name of the column with all numbers


def stands(stage: Stage, record: Mapping[str, Any], run: Path) -> bool:
    """Whether what a finished stage left outside the workspace is still there: True for all stages but this one."""
    if stage.kind != "export":
        return True
    files = [*record["shards"], *record["ledger"], *record["kept"]]
    return all((run / f["path"]).is_file() and (run / f["path"]).stat().st_size == f["bytes"] for f in files)


def run(
    stage: Stage, before: Lineage, earlier: Sequence[StageFolder], parts: range, asked: Recipe, place: Place, told: Told
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    (place.run / "manifest.json").unlink(missing_ok=True)  # from here on the old one would speak of files that are gone
    hashed = ContentHash(asked.text_keys)
    shards = _rows(before, parts, asked, place, hashed, told)
    kept = _tables(place.run / "kept", _kept(before, parts, shards, place.run))
    ledger = _tables(place.run / "ledger", _ledger(earlier, parts))
    glob = f"../{place.file.stem}*" if place.file else f"data/*.{'parquet' if asked.export_type == 'parquet' else 'jsonl'}"
    if not place.file:
        card = dataset_card(asked.project_name, {"default": glob, "ledger": "ledger/*.parquet"}, about=_about(asked))
        atomically(place.run / "README.md", lambda tmp: tmp.write_text(card, "utf-8"))
    return {
        "kind": "export", "fingerprint": stage.fingerprint, "rows": hashed.rows, "content_hash": hashed.hexdigest(),
        "shards": [_relative(s, place.run) for s in shards], "kept": kept, "ledger": ledger,
    }


def _about(asked: Recipe) -> str:
    return f"Selected by tamis from {', '.join(asked.dataset_path)}. `manifest.json` says how, `report.html` shows it."


def _rows(before: Lineage, parts: range, asked: Recipe, place: Place, hashed: ContentHash, told: Told) -> list[Shard]:
    """Write the rows."""
    pieces = [p for part in parts for p in before.rows.pieces(part)]
    schema = corpus.unify([pq.read_schema(p) for p in pieces]) if pieces else pa.schema([*KEY_FIELDS, ("text", pa.string())])
    numbers = [name for name, _, kind in before.numbers if kind == "stats"] if asked.keep_stats else []
    fields = [f for f in schema if f.name not in KEY_COLUMNS]
    if numbers:
        fields.append(pa.field(DJ_STATS, pa.struct([(n, _number_type(before, n, parts)) for n in numbers])))
    path = str(place.file or place.run / "data")
    shard_bytes = asked.export_shard_size or (None if place.file else SHARD_BYTES)
    with Exporter(path, pa.schema(fields), format=None if place.file else asked.export_type, texts=asked.text_keys,
                  shard_bytes=shard_bytes) as out:
        for part in parts:
            rows = 0
            for batch in before.read(part):
                whole = corpus.conform(batch, schema)
                hashed.update(whole)
                rows += len(whole)
                if numbers:
                    whole = whole.append_column(DJ_STATS, _numbers_of(before, part, numbers, whole))
                out.write(whole.select([f.name for f in fields]))
            told({"rows": rows})
    return out.shards


def _number_type(before: Lineage, name: str, parts: range) -> pa.DataType:
    table = before.number(name, parts[0])
    return pa.float64() if table is None else table.schema.field(name).type


def _numbers_of(before: Lineage, part: int, names: list[str], batch: pa.RecordBatch) -> pa.StructArray:
    """The number columns of a batch's rows, as one struct."""
    ids, columns = batch.column(ID).to_numpy(), []
    for name in names:
        table = before.number(name, part)
        assert table is not None
        known = table.column(ID).to_numpy()
        order = np.argsort(known)
        columns.append(table.column(name).combine_chunks().take(pa.array(order[np.searchsorted(known, ids, sorter=order)])))
    return pa.StructArray.from_arrays(columns, names=names)


def _kept(before: Lineage, parts: range, shards: list[Shard], run: Path) -> Iterator[pa.Table]:
    """For each exported row: its key columns, the shard it lies in and its number there."""
    ends = np.cumsum([s.rows for s in shards])
    names = np.array([_relative(s, run)["path"] for s in shards])
    at = 0
    for part in parts:
        for batch in before.read(part, []):
            numbers = np.arange(at, at + len(batch))
            shard = np.searchsorted(ends, numbers, side="right")
            row = numbers - np.append(0, ends)[shard]
            at += len(batch)
            yield pa.Table.from_batches([batch]).append_column("shard", pa.array(names[shard], pa.string())).append_column("row", pa.array(row))
    yield pa.schema([*KEY_FIELDS, ("shard", pa.string()), ("row", pa.int64())]).empty_table()


def _ledger(earlier: Sequence[StageFolder], parts: range) -> Iterator[pa.Table]:
    """All ledger lines: by part, then by stage."""
    for part in parts:
        for folder in earlier:
            if (path := folder.file("ledger", part)).exists():
                yield pq.read_table(path)
    yield SCHEMA.empty_table()


def _tables(folder: Path, tables: Iterator[pa.Table]) -> list[dict[str, Any]]:
    """Write tables into files of about a million rows; answer path, rows, bytes and digest of each."""
    if folder.exists():
        shutil.rmtree(folder)
    written: list[dict[str, Any]] = []
    held: list[pa.Table] = []

    def flush() -> None:
        path = folder / f"part-{len(written):05d}.parquet"
        table = pa.concat_tables(held).combine_chunks()
        write_table(path, table)
        digest = xxhash.xxh3_128_hexdigest(path.read_bytes())
        written.append({"path": f"{folder.name}/{path.name}", "rows": len(table), "bytes": path.stat().st_size, "digest": f"xxh3:{digest}"})
        held.clear()

    for table in tables:
        held.append(table)
        if sum(len(t) for t in held) >= TABLE_ROWS:
            flush()
    if held:
        flush()
    return written


def _relative(shard: Shard, run: Path) -> dict[str, Any]:
    path = Path(shard.path)
    name = path.relative_to(run).as_posix() if path.is_relative_to(run) else f"../{path.name}"
    return {"path": name, "rows": shard.rows, "bytes": shard.bytes, "digest": shard.digest}
