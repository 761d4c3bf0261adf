"""A pass over the text: read (or take up where the last pass left off), map, score, decide; write what stays."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from .. import corpus, ledger
from ..batch import Outcome, Steps
from ..corpus import Split
from ..engines.base import Counts, Engine
from ..errors import LostRowError, ReadError, StaleError
from ..formats.places import is_remote, local_path
from ..ledger import POSITION, SOURCE
from ..plan import Stage
from ..recipe import Recipe
from ..reporting.words import counted
from ..workspace import StageFolder, atomically, write_table
from .lineage import Lineage, Told

BATCH_BYTES = 16 << 20


class Work(Protocol):
    """What a pass does to batches of rows. Picklable."""

    @property
    def text_keys(self) -> tuple[str, ...]:
        """Columns that hold text."""

    @property
    def tolerate(self) -> bool:
        """Whether broken rows are set aside."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Outcome]:
        """One outcome per batch, or several."""

    def stats_schema(self) -> pa.Schema:
        """Columns of every outcome's `stats`."""


@dataclass(frozen=True)
class RowsTask:
    """One part of a pass. Picklable; called in a worker; answers the part's counts."""

    folder: StageFolder
    steps: Work
    batch_rows: int
    before: Lineage | None = None  # None: read the sources
    splits: tuple[Split, ...] = field(default=(), repr=False)

    def __call__(self, part: int) -> dict[str, Any]:
        """Do the part, unless it is done."""
        known = self.folder.part_record(part)
        return known if known is not None else self._do(part)

    def place(self, part: int) -> str:
        """What a part is, for messages."""
        return f"part {part}" + (f" ({self.splits[part].source})" if self.splits else "")

    def _do(self, part: int) -> dict[str, Any]:
        batches = _Counted(self._batches(part))
        writer = Writer(self.folder, part, self.steps.stats_schema())
        writer.write(self.steps(batches))
        record = writer.close() | {"rows_in": batches.rows}
        # Another attempt at this part, dead or still at work elsewhere, writes the same pieces under the same names; only one
        # that died with smaller batches has left more of them.
        for number, left_over in enumerate(self.folder.pieces(part)):
            if number >= record["pieces"]:
                left_over.unlink(missing_ok=True)
        if record["rows_in"] + record["born"] != record["rows_out"] + record["left"]:
            told = f"{record['rows_in']} rows in, {record['born']} more, {record['rows_out']} out, {record['left']} in the ledger"
            raise LostRowError(f"part {part}: {told}")
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


class Writer:
    """Streams outcomes into rows, stats and ledger files; a new piece of rows begins where the columns change."""

    def __init__(self, folder: StageFolder, part: int, numbers: pa.Schema) -> None:
        self.folder, self.part, self.numbers, self.piece = folder, part, numbers, 0
        self.stats: list[pa.RecordBatch] = []
        self.left: list[pa.RecordBatch] = []
        self.rows: list[pa.RecordBatch] = []
        self.changed: Counter[int] = Counter()
        self.rows_out = self.bytes_out = self.held = self.born = 0

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """Add what came of some batches, in order."""
        for outcome in outcomes:
            if self.rows and (self.rows[0].schema != outcome.rows.schema or self.held > 4 * BATCH_BYTES):
                self._flush()
            self.rows.append(outcome.rows)
            self.held += outcome.rows.nbytes
            self.stats.append(outcome.stats)
            self.left.append(outcome.left)
            self.changed.update(outcome.changed)
            self.born += outcome.born

    def _flush(self) -> None:
        table = pa.Table.from_batches(self.rows)
        self.rows_out += len(table)
        self.bytes_out += table.nbytes
        path = self.folder.path / "rows" / f"part-{self.part:05d}-{self.piece:03d}.parquet"
        options = {"compression": "zstd", "compression_level": 1, "use_dictionary": [SOURCE], "write_page_checksum": True}
        atomically(path, lambda tmp: pq.write_table(table, tmp, **options))
        self.piece, self.rows, self.held = self.piece + 1, [], 0

    def close(self) -> dict[str, Any]:
        """Write what is held, and answer the counts."""
        if self.rows:
            self._flush()
        left = pa.Table.from_batches(self.left, ledger.SCHEMA)
        write_narrow(self.folder, "stats", self.part, pa.Table.from_batches(self.stats, self.numbers))
        write_narrow(self.folder, "ledger", self.part, left)
        counts = {"rows_out": self.rows_out, "left": len(left), "bytes_out": self.bytes_out, "pieces": self.piece}
        counts["born"] = self.born
        return counts | {"by": by_step(left), "changed": {str(k): n for k, n in self.changed.items()}}


def run(
    stage: Stage, folder: StageFolder, before: Lineage | None, engine: Engine, splits: tuple[Split, ...], told: Told, asked: Recipe
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    steps = Steps(stage.steps, stage.pins, asked.text_keys, asked.name, tolerate=asked.set_aside is not None)
    task = RowsTask(folder, steps, asked.batch_rows, before, () if before else splits)
    allowance = _Allowance(folder, asked.set_aside, told, (before.rows.record or {}).get("aside", 0) if before else 0)
    found = {} if before else _state(splits)
    records = engine.map(task, range(len(splits)), allowance)
    if before is None:
        _unchanged(splits, found, folder)
        pieces = [(p, splits[part].source) for part in range(len(splits)) for p in folder.pieces(part)]
        corpus.unify([pq.read_schema(p) for p, _ in pieces], [source for _, source in pieces])
    return {"records": records, "aside": allowance.aside}


def _state(splits: tuple[Split, ...]) -> dict[str, tuple[int, int]]:
    """url -> size and time of last change of every local input file."""
    files = {url for s in splits for url, _ in (s.parts or ((s.url, s.source),)) if not is_remote(url)}
    return {url: (stat.st_size, stat.st_mtime_ns) for url in sorted(files) if (stat := local_path(url).stat())}


def _unchanged(splits: tuple[Split, ...], found: dict[str, tuple[int, int]], folder: StageFolder) -> None:
    """Raises StaleError where an input has changed while it was read: what was read of it is of no known content."""
    now, planned = _state(splits), {s.url: s.size for s in splits if not s.parts}
    changed = [url for url in now if now[url] != found[url] or now[url][0] != planned.get(url, now[url][0])]
    for split in splits:  # since the plan took the digest, by which this stage is called
        urls = [url for url, _ in split.parts or ((split.url, split.source),) if url in now]
        if urls and split.modified and max(now[url][1] for url in urls) != split.modified:
            changed += [url for url in urls if now[url][1] >= split.modified and url not in changed] or urls[:1]
    if changed:
        shutil.rmtree(folder.path)
        names = ", ".join(Path(url).name for url in changed[:3]) + (" ..." if len(changed) > 3 else "")
        raise StaleError(f"{names} changed while it was read: nothing of this pass is kept; run again when it is written")


class _Allowance:
    """Counts the rows set aside, over all passes, and stops the run when there are more than the recipe allows."""

    def __init__(self, folder: StageFolder, allowed: int | None, told: Told, before: int) -> None:
        self.folder, self.allowed, self.told, self.aside = folder, allowed, told, before

    def __call__(self, counts: Counts) -> None:
        self.aside += sum(n for what, n in counts["by"].items() if what.endswith(" error"))
        if self.allowed is not None and self.aside > self.allowed:
            first = "\n".join(self._first())
            most = counted(self.allowed, "row")
            raise ReadError(f"more than {most} could not be worked on (on_error: set_aside). Among them:\n{first}")
        self.told(counts)

    def _first(self) -> list[str]:
        notes: list[str] = []
        for path in sorted((self.folder.path / "ledger").glob("part-*.parquet")):
            for r in pq.read_table(path, filters=[("reason", "=", "error")]).to_pylist():
                place = f"{r[SOURCE]} at {r[POSITION]}, step {r['step']} ({r['op']}): " if r["step"] else ""
                notes.append(f"{place}{r['note']}")
        return notes[:5]


def write_narrow(folder: StageFolder, kind: str, part: int, table: pa.Table) -> None:
    """Write a part's narrow table."""
    write_table(folder.file(kind, part), table)


def by_step(left: pa.Table) -> dict[str, int]:
    """Ledger lines by `step reason`."""
    tally = left.group_by(["step", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return {f"{r['step']} {r['reason']}": r["count_all"] for r in sorted(tally, key=lambda r: (r["step"], r["reason"]))}
