"""The last stage: the rows that stand, streamed in order into shards; where each lies; and the whole ledger in one folder."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from .. import corpus
from ..engines.base import Engine
from ..export import ContentHash, Exporter, Shard, dataset_card
from ..ledger import ID, KEY_COLUMNS, KEY_FIELDS, SCHEMA
from ..plan import Stage
from ..recipe import Recipe
from ..workspace import Place, StageFolder, atomically, write_table
from . import spread
from .lineage import Lineage, Told, read
from .ordered import in_order, picks

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
    stage: Stage, before: Lineage, earlier: Sequence[StageFolder], parts: range, asked: Recipe, place: Place, told: Told,
    spread_by: tuple[Engine, StageFolder] | None = None,
) -> dict[str, Any]:
    """The whole stage; answers its record. `spread_by`: an engine whose workers write the shards, and the stage's folder."""
    (place.run / "manifest.json").unlink(missing_ok=True)  # from here on the old one would speak of files that are gone
    hashed = ContentHash(asked.text_keys)
    wanted = picks(earlier) if asked.compat else None
    shards = _rows(before, parts, asked, place, hashed, told, wanted, spread_by)
    kept = _tables(place.run / "kept", _kept(_keys(before, parts, wanted), shards, place.run))
    ledger = _tables(place.run / "ledger", _ledger(earlier, parts))
    if not place.file:
        configs = {"default": f"data/*.{asked.export_type}"}
        if asked.export_type == "parquet":  # `datasets` reads all configs of a folder in one format
            configs["ledger"] = "ledger/*.parquet"
        card = dataset_card(asked.project_name, configs, about=_about(asked))
        atomically(place.run / "README.md", lambda tmp: tmp.write_text(card, "utf-8"))
    born = 0 if wanted is None else hashed.rows - sum(before.rows_of(part) for part in parts)
    return {
        "kind": "export", "fingerprint": stage.fingerprint, "rows": hashed.rows, "content_hash": hashed.hexdigest(),
        **({"born": born, "rows_in": hashed.rows - born} if born else {}),
        "shards": [_relative(s, place.run) for s in shards], "kept": kept, "ledger": ledger,
    }


def _about(asked: Recipe) -> str:
    paths = ", ".join(map(corpus.shown, asked.dataset_path))
    return f"Selected by tamis from {paths}. `manifest.json` says how, `report.html` shows it."


def _rows(
    before: Lineage, parts: range, asked: Recipe, place: Place, hashed: ContentHash, told: Told, wanted: np.ndarray | None,
    spread_by: tuple[Engine, StageFolder] | None,
) -> list[Shard]:
    """Write the rows; as `wanted` lists their ids, where it is given."""
    pieces = [p for part in parts for p in before.pieces(part)]
    found = [pq.read_schema(p) for p in pieces]
    lists = {f.name for s in found for f in s if pa.types.is_list(f.type)}  # texts of grouped rows
    nothing = pa.schema([*KEY_FIELDS, *((key, pa.string()) for key in asked.text_keys if key not in lists)])
    schema = corpus.unify([*found, nothing])
    numbers = _Numbers(before, parts) if asked.keep_stats else None
    # numbers that the data came with, by an earlier run of either tool, make room for ours
    own = [f for f in schema if f.name not in KEY_COLUMNS and not (numbers and numbers.names and f.name == DJ_STATS)]
    fields = [*own, pa.field(DJ_STATS, numbers.type)] if numbers and numbers.names else own
    shard_bytes = asked.export_shard_size or (None if place.file else SHARD_BYTES)
    made = Exporter(str(place.file or place.run / "data"), pa.schema(fields), format=None if place.file else asked.export_type,
                    texts=asked.text_keys, shard_bytes=shard_bytes)
    rows_of = _Conformed(before, schema, numbers if numbers and numbers.names else None)
    if spread_by is not None and wanted is None:
        return spread.shards(*spread_by, rows_of, parts, made, hashed, told)
    with made as out:
        rows = _conformed(rows_of, parts, told)
        for whole in rows if wanted is None else in_order(rows, wanted):
            hashed.update(whole)
            out.write(whole.select([f.name for f in fields]))
    return out.shards


@dataclass(frozen=True)
class _Conformed:
    """The rows of a part that stand, with all of the schema's columns, and their numbers as one more."""

    before: Lineage
    schema: pa.Schema
    numbers: "_Numbers | None"

    def __call__(self, part: int) -> Iterator[pa.RecordBatch]:
        told_of = self.numbers.of_part(part) if self.numbers else None
        for batch in self.before.read(part):
            whole = corpus.conform(batch, self.schema)
            if told_of is not None:
                clear = whole.drop_columns([DJ_STATS]) if DJ_STATS in whole.schema.names else whole
                whole = clear.append_column(DJ_STATS, told_of(whole.column(ID).to_numpy()))
            yield whole


def _conformed(rows_of: _Conformed, parts: range, told: Told) -> Iterator[pa.RecordBatch]:
    """The rows of all parts."""
    for part in parts:
        rows = 0
        for batch in rows_of(part):
            rows += len(batch)
            yield batch
        told({"rows": rows})


def _keys(before: Lineage, parts: range, wanted: np.ndarray | None) -> Iterator[pa.RecordBatch]:
    """The key columns of all exported rows."""
    rows = (batch for part in parts for batch in before.read(part, []))
    return rows if wanted is None else in_order(rows, wanted)


class _Numbers:
    """All number columns of filters, as the one struct that Data-Juicer puts them into."""

    def __init__(self, before: Lineage, parts: range) -> None:
        self.before, self.names = before, [name for name, _, kind in before.numbers if kind == "stats"]
        first = [before.number(name, parts[0]) for name in self.names] if parts else []
        types = [t.schema.field(n).type for n, t in zip(self.names, first, strict=True) if t is not None] if parts else []
        self.type = pa.struct(list(zip(self.names, types or [pa.float64()] * len(self.names), strict=True)))

    def of_part(self, part: int) -> Callable[[np.ndarray], pa.StructArray]:
        """ids -> their numbers, for ids of this part."""
        found = []
        for name in self.names:
            table = self.before.number(name, part)
            assert table is not None
            known = table.column(ID).to_numpy()
            found.append((known, np.argsort(known), table.column(name).combine_chunks()))

        def numbers(ids: np.ndarray) -> pa.StructArray:
            columns = [v.take(pa.array(order[np.searchsorted(known, ids, sorter=order)])) for known, order, v in found]
            return pa.StructArray.from_arrays(columns, names=self.names)

        return numbers


def _kept(batches: Iterator[pa.RecordBatch], shards: list[Shard], run: Path) -> Iterator[pa.Table]:
    """For each exported row: its key columns, the shard it lies in and its number there."""
    ends = np.cumsum([s.rows for s in shards])
    names = np.array([_relative(s, run)["path"] for s in shards])
    at = 0
    for batch in batches:
        numbers = np.arange(at, at + len(batch))
        shard = np.searchsorted(ends, numbers, side="right")
        row = numbers - np.append(0, ends)[shard]
        at += len(batch)
        lies = {"shard": pa.array(names[shard], pa.string()), "row": pa.array(row)}
        yield pa.table({**{c: batch.column(c) for c in KEY_COLUMNS}, **lies})
    yield pa.schema([*KEY_FIELDS, ("shard", pa.string()), ("row", pa.int64())]).empty_table()


def _ledger(earlier: Sequence[StageFolder], parts: range) -> Iterator[pa.Table]:
    """All ledger lines: by part, then by stage."""
    for part in parts:
        for folder in earlier:
            if (folder.part_record(part) or {}).get("left"):
                yield read(folder.file("ledger", part))
    yield SCHEMA.empty_table()


def _tables(folder: Path, tables: Iterator[pa.Table]) -> list[dict[str, Any]]:
    """Write tables into files of about a million rows; answer path, rows, bytes and digest of each."""
    written: list[dict[str, Any]] = []
    held: list[pa.Table] = []

    def flush() -> None:
        path = folder / f"part-{len(written):05d}.parquet"
        table = pa.concat_tables(held).combine_chunks()
        write_table(path, table)
        digest = f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}"
        written.append({"path": f"{folder.name}/{path.name}", "rows": len(table), "bytes": path.stat().st_size, "digest": digest})
        held.clear()

    for table in tables:
        held.append(table)
        if sum(len(t) for t in held) >= TABLE_ROWS:
            flush()
    if held:
        flush()
    names = {Path(w["path"]).name for w in written}
    for old in folder.iterdir():  # of an earlier run with more of them
        if re.fullmatch(r"part-\d{5,}\.parquet", old.name) and old.name not in names:
            old.unlink()
    return written


def _relative(shard: Shard, run: Path) -> dict[str, Any]:
    path = Path(shard.path)
    name = path.relative_to(run).as_posix() if path.is_relative_to(run) else f"../{path.name}"
    return {"path": name, "rows": shard.rows, "bytes": shard.bytes, "digest": shard.digest}
