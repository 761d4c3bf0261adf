"""A pass over the text: read (or take up where the last pass left off), map, score, decide; write what stays."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import corpus, ledger
from ..batch import Outcome, Steps
from ..corpus import Split
from ..engines.base import Counts, Engine
from ..errors import LostRowError, ReadError
from ..plan import Stage
from ..recipe import Recipe
from ..workspace import StageFolder, atomically
from .lineage import Lineage, Told

BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class RowsTask:
    """One part of a pass. Picklable; called in a worker; answers the part's counts."""

    folder: StageFolder
    steps: Steps
    batch_rows: int
    before: Lineage | None = None  # None: read the sources
    splits: tuple[Split, ...] = field(default=(), repr=False)

    def __call__(self, part: int) -> dict[str, Any]:
        """Do the part, unless it is done."""
        known = self.folder.part_record(part)
        return known if known is not None else self._do(part)

    def _do(self, part: int) -> dict[str, Any]:
        for half_done in self.folder.pieces(part):  # a piece of an attempt that died before its mark
            half_done.unlink()
        batches = _Counted(self._batches(part))
        writer = _Writer(self.folder, part)
        writer.write(self.steps(batches))
        record = writer.close() | {"rows_in": batches.rows}
        if record["rows_in"] != record["rows_out"] + record["left"]:
            raise LostRowError(f"part {part}: {record['rows_in']} rows in, {record['rows_out']} out, {record['left']} in the ledger")
        return self.folder.finish_part(part, record)

    def _batches(self, part: int) -> Iterator[pa.RecordBatch]:
        if self.before is not None:
            return self.before.read(part, batch_rows=self.batch_rows)
        return corpus.read(
            self.splits[part], text_keys=self.steps.text_keys, batch_rows=self.batch_rows, batch_bytes=BATCH_BYTES,
            tolerate=self.steps.tolerate,
        )


class _Counted:
    """Batches on their way into the steps; `rows` counts them apart from what the steps make of them."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.batches, self.rows = batches, 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            self.rows += len(batch)
            yield batch


class _Writer:
    """Streams outcomes into rows, stats and ledger files; a new piece of rows begins where the columns change."""

    def __init__(self, folder: StageFolder, part: int) -> None:
        self.folder, self.part, self.piece = folder, part, 0
        self.stats: list[pa.RecordBatch] = []
        self.left: list[pa.RecordBatch] = []
        self.rows: list[pa.RecordBatch] = []
        self.rows_out = self.bytes_out = self.held = 0
        self.by: dict[str, int] = {}

    def write(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if self.rows and (self.rows[0].schema != outcome.rows.schema or self.held > 4 * BATCH_BYTES):
                self._flush()
            self.rows.append(outcome.rows)
            self.held += outcome.rows.nbytes
            self.stats.append(outcome.stats)
            self.left.append(outcome.left)

    def _flush(self) -> None:
        table = pa.Table.from_batches(self.rows)
        self.rows_out += len(table)
        self.bytes_out += table.nbytes
        path = self.folder.path / "rows" / f"part-{self.part:05d}-{self.piece:03d}.parquet"
        atomically(path, lambda tmp: pq.write_table(table, tmp, compression="zstd", compression_level=1, use_dictionary=[ledger.SOURCE]))
        self.piece, self.rows, self.held = self.piece + 1, [], 0

    def close(self) -> dict[str, Any]:
        if self.rows:
            self._flush()
        left = pa.Table.from_batches(self.left, ledger.SCHEMA)
        if self.stats:
            write_narrow(self.folder, "stats", self.part, pa.Table.from_batches(self.stats))
        else:
            write_narrow(self.folder, "stats", self.part, pa.schema(ledger.KEY_FIELDS).empty_table())
        write_narrow(self.folder, "ledger", self.part, left)
        return {"rows_out": self.rows_out, "left": len(left), "bytes_out": self.bytes_out, "by": by_step(left)}


def run(
    stage: Stage, folder: StageFolder, before: Lineage | None, engine: Engine, splits: tuple[Split, ...], told: Told, asked: Recipe
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    steps = Steps(stage.steps, stage.pins, asked.text_keys, asked.name, tolerate=asked.set_aside is not None)
    task = RowsTask(folder, steps, asked.batch_rows, before, () if before else splits)
    records = engine.map(task, range(len(splits)), _Allowance(folder, asked.set_aside, told))
    if before is None:
        pieces = [(p, splits[part].source) for part in range(len(splits)) for p in folder.pieces(part)]
        corpus.unify([pq.read_schema(p) for p, _ in pieces], [source for _, source in pieces])
    return {"records": records}


class _Allowance:
    """Counts the rows set aside and stops the run when there are more than the recipe allows."""

    def __init__(self, folder: StageFolder, allowed: int | None, told: Told) -> None:
        self.folder, self.allowed, self.told, self.aside = folder, allowed, told, 0

    def __call__(self, counts: Counts) -> None:
        self.aside += sum(n for what, n in counts["by"].items() if what.endswith(" error"))
        if self.allowed is not None and self.aside > self.allowed:
            raise ReadError(f"more than {self.allowed} rows could not be worked on (on_error: set_aside). The first of them:\n" + "\n".join(self._first()))
        self.told(counts)

    def _first(self) -> list[str]:
        notes: list[str] = []
        for path in sorted((self.folder.path / "ledger").glob("part-*.parquet")):
            table = pq.read_table(path, columns=["reason", "note"], filters=[("reason", "=", "error")])
            notes += table.column("note").to_pylist()
        return notes[:5]


def write_narrow(folder: StageFolder, kind: str, part: int, table: pa.Table) -> None:
    """Write a part's narrow table."""
    atomically(folder.file(kind, part), lambda tmp: pq.write_table(table, tmp, compression="zstd", compression_level=1))


def by_step(left: pa.Table) -> dict[str, int]:
    """Ledger lines by `step reason`."""
    tally = left.group_by(["step", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return {f"{r['step']} {r['reason']}": r["count_all"] for r in sorted(tally, key=lambda r: (r["step"], r["reason"]))}
