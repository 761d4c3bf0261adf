"""Passages that the corpus repeats: units counted part by part, merged range by range, then cut out of the rows, part by part.

Counts are spilled in pieces cut by key, so that a worker holds `candidates.MEMORY` bytes of them at a time; what stays are
the units that are frequent, memory-mapped. Which copy is the first is a matter of the order of the corpus alone.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...operators.base import Operator
from ...operators.dedup import repeats
from ...operators.dedup.repeats import Counted, Frequent
from ...operators.kernels.units import Found
from ..batch import Outcome
from ..columns import put
from ..decide import Verdict, lines
from ..engines.base import Counts, Engine
from ..errors import OperatorError
from ..ledger import KEY_COLUMNS, KEY_FIELDS, SCHEMA
from ..plan import Stage
from ..recipe import Recipe
from ..steps import Step
from ..workspace import StageFolder
from . import candidates
from .lineage import Lineage, Told, read, texts
from .rows import RowsTask
from .tables import key_counts, key_ranges, keyed_slices, piece, read_arrow, write_arrow, write_keyed

UNITS = 2_000_000  # counted together, before they are written
TEXT = 4 << 20  # bytes of text whose units are held at a time


def _where(step: Step) -> str:
    return f"step {step.number} ({step.name})"


def _sliced(batch: pa.RecordBatch, text: pa.StringArray) -> Iterator[tuple[pa.RecordBatch, pa.StringArray]]:
    """The batch in slices of at most TEXT bytes of `text`, or of one row."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(text), 0).to_numpy().astype(np.int64))
    start, before = 0, 0
    while start < len(batch):
        stop = max(int(np.searchsorted(ends, before + TEXT, side="right")), start + 1)
        yield batch.slice(start, stop - start), text.slice(start, stop - start)
        start, before = stop, int(ends[stop - 1])


def _units(step: Step, text: pa.StringArray) -> Found:
    op = step.op
    assert isinstance(op, Operator)
    try:
        return repeats.from_column(op.function(text, **step.settings))
    except ValueError as e:
        raise OperatorError(f"{_where(step)}: {e}") from e


@dataclass(frozen=True)
class CountTask:
    """Writes how often each unit stands in one part, in pieces."""

    folder: StageFolder
    before: Lineage
    step: Step

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part, "counted") or self._do(part)

    def _do(self, part: int) -> Counts:
        op = self.step.op
        assert isinstance(op, Operator)
        held: list[Found] = []
        rows, size, pieces = 0, 0, 0
        for batch in self.before.read(part, [self.step.text_key]):
            rows += len(batch)
            for _, text in _sliced(batch, texts(batch, self.step.text_key, _where(self.step))):
                held.append(_units(self.step, text))
                size += len(held[-1].key)
                if size >= UNITS:
                    self._write(part, pieces, held)
                    held, size, pieces = [], 0, pieces + 1
        if size:
            self._write(part, pieces, held)
        return self.folder.finish_part(part, {"rows": rows, "pieces": pieces + bool(size)}, "counted")

    def _write(self, part: int, number: int, held: list[Found]) -> None:
        op = self.step.op
        assert isinstance(op, Operator)
        whole = repeats.count(held, op.once_a_row)
        count = whole.count.astype(np.uint32)
        write_keyed(piece(self.folder, "counts", part, number), key=whole.key, check=whole.check, count=count)


@dataclass(frozen=True)
class MergeTask:
    """Finds the units of one range of keys that are seen more than `limit` times."""

    folder: StageFolder
    files: tuple[tuple[int, Path], ...]
    ranges: tuple[tuple[int, int], ...]
    limit: int

    def __call__(self, number: int) -> Counts:
        """Do the range, unless it is done."""
        return self.folder.part_record(number, "merged") or self._do(number)

    def _do(self, number: int) -> Counts:
        low, high = self.ranges[number]
        runs = [Counted(c["key"], c["check"], c["count"].astype(np.int64))
                for _, c in keyed_slices([path for _, path in self.files], low, high)]
        whole, first = repeats.merge(runs)
        often = whole.count > self.limit
        part = np.array([p for p, _ in self.files], np.int64)[first[often]]
        columns = {"key": whole.key[often], "check": whole.check[often], "count": whole.count[often], "part": part}
        write_arrow(self.folder.file("frequent", number, "arrow"), pa.table(columns))
        return self.folder.finish_part(number, {"units": len(whole), "frequent": int(often.sum())}, "merged")


@dataclass(frozen=True)
class TrimTask:
    """Cuts the frequent units out of the rows of one part; answers the part's counts."""

    folder: StageFolder
    before: Lineage
    step: Step
    asked: Recipe
    ranges: int

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return RowsTask(self.folder, _Trimming(self, part), self.asked.batch_rows, self.before)(part)


class _Trimming:
    """Batches of one part to outcomes, in order: which copy is the first is remembered from one to the next."""

    tolerate = False

    def __init__(self, task: TrimTask, part: int) -> None:
        self.task, self.part, self.text_keys = task, part, task.asked.text_keys

    def stats_schema(self) -> pa.Schema:
        """The key columns, pieces and code points that went."""
        return pa.schema([*KEY_FIELDS, *(pa.field(name, pa.int64()) for name in self.task.step.stats)])

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Outcome]:
        """One outcome for each slice of a batch."""
        step, folder = self.task.step, self.task.folder
        tables = [read_arrow(folder.file("frequent", n, "arrow")) for n in range(self.task.ranges)]
        whole = pa.concat_tables(tables).combine_chunks() if tables else None
        if whole is None:
            known, here = Frequent(np.empty(0, np.uint64), np.empty(0, np.uint64)), np.empty(0, bool)
        else:
            known = Frequent(whole.column("key").to_numpy(), whole.column("check").to_numpy())
            here = (whole.column("part").to_numpy() == self.part) & step.settings["keep_first"]
        seen, at = repeats.unseen(here), 0
        for batch in batches:
            for rows, text in _sliced(batch, texts(batch, step.text_key, _where(step))):
                yield self._trimmed(rows, text, known, seen, at)
                at += len(rows)

    def _trimmed(self, rows: pa.RecordBatch, text: pa.StringArray, known: Frequent, seen: np.ndarray, at: int) -> Outcome:
        step = self.task.step
        units = _units(step, text)
        told = repeats.trim(text, units, known.find(units), seen, at)
        stats = [*(rows.column(c) for c in KEY_COLUMNS), pa.array(told.pieces), pa.array(told.points)]
        numbers = pa.RecordBatch.from_arrays(stats, schema=self.stats_schema())
        changed = told.points > 0
        if not changed.any():
            return Outcome(rows, numbers, _NOBODY, {})
        empty = pa.array(changed & pc.equal(pc.fill_null(pc.utf8_length(pc.utf8_trim_whitespace(told.text)), 0), 0).to_numpy(False))
        verdict = Verdict(
            empty, "emptied", step.stats[1], pa.array(told.points), "some text is left",
            pa.array([f"{n:,} repeated pieces went, and nothing is left" for n in told.pieces.tolist()], pa.string()),
        )
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        left = lines(columns, columns.get(self.text_keys[0]), step.number, step.name, verdict) if len(verdict) else _NOBODY
        put(columns, step.text_key, told.text)
        stay = pc.invert(empty)
        return Outcome(pa.RecordBatch.from_pydict(columns).filter(stay), numbers, left, {step.number: int(changed.sum())})


_NOBODY = pa.RecordBatch.from_pylist([], schema=SCHEMA)


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, told: Told, asked: Recipe
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    step = stage.steps[0]
    op = step.op
    assert isinstance(op, Operator) and op.limit is not None
    counted = engine.map(CountTask(folder, before, step), parts, told)
    rows = sum(r["rows"] for r in counted)
    limit = op.limit(rows, **step.settings)
    files = tuple((p, piece(folder, "counts", p, i)) for p, r in zip(parts, counted, strict=True) for i in range(r["pieces"]))
    merged = _merged(folder, files, limit, engine)
    shutil.rmtree(folder.path / "counts", ignore_errors=True)
    records = engine.map(TrimTask(folder, before, step, asked, len(merged)), parts, told)
    numbers = [read(folder.file("stats", p), list(step.stats)) for p in parts]
    went = {name: sum(pc.sum(t.column(name)).as_py() or 0 for t in numbers) for name in step.stats}
    changed = sum(r["changed"].get(str(step.number), 0) for r in records)
    facts = {"changed": changed, "units": sum(r["units"] for r in merged), "frequent": sum(r["frequent"] for r in merged),
             "more_than": limit, **went}
    aside = (before.rows.record or {}).get("aside", 0)  # handed on to the next pass
    return {"records": [r | {"changed": {}} for r in records], "facts": {step.number: facts}, "aside": aside}


def _merged(folder: StageFolder, files: tuple[tuple[int, Path], ...], limit: int, engine: Engine) -> list[Counts]:
    """The records of all ranges of keys. Once all are merged, the counts may be gone."""
    mark = folder.part_record(0, "ranges")
    if mark is None:
        counts = key_counts([path for _, path in files])
        ranges = key_ranges(counts, max(1, candidates.MEMORY // candidates.KEY_BYTES)) if files else []
        mark = folder.finish_part(0, {"ranges": ranges}, "ranges")
    ranges = [(low, high) for low, high in mark["ranges"]]
    return engine.map(MergeTask(folder, files, tuple(ranges), limit), range(len(ranges)), lambda _: None)
