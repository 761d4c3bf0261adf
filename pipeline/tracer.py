"""Data-Juicer's trace files, for `open_tracer`: a few rows that each step changed or sent away, or that it found alike.

`trace/sample_trace-<op>.jsonl` has a filter's dropped rows, or a mapper's texts before and after; `trace/duplicate-<op>.jsonl`
pairs of a row kept and one that left for it. The steps are done once more on rows from the beginning, until there are enough
for each: the ledger has all of them, with number and bound.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from . import corpus
from .batch import Steps
from .columns import find
from .ledger import ID, KEY_COLUMNS
from .plan import Plan, Stage
from .stages.lineage import Lineage, read
from .steps import Step
from .workspace import StageFolder, atomically

ROWS = 100_000  # a step that has changed less than was asked for in so many rows is left at that
Done = Sequence[tuple[Stage, StageFolder, Lineage | None]]


def write(planned: Plan, done: Done, folder: Path) -> None:
    """Write the files of all traced steps into `folder`, and remove those of an earlier run."""
    asked = planned.recipe.tracer
    found: dict[str, list[dict[str, Any]]] = {}
    for stage, place, before in done:
        wanted = [s for s in stage.steps if not asked.ops or s.name in asked.ops]
        if stage.kind == "rows" and wanted:
            _passes(planned, stage, before, found)
        elif stage.kind == "dedup" and wanted and before is not None:
            name = f"duplicate-{stage.steps[0].name}"
            found.setdefault(name, []).extend(_pairs(stage.steps[0], place, before, len(planned.splits), asked.number))
    for old in (*folder.glob("sample_trace-*.jsonl"), *folder.glob("duplicate-*.jsonl")):
        old.unlink()
    for name, entries in found.items():
        text = "".join(json.dumps(e, ensure_ascii=False, default=str) + "\n" for e in entries[: asked.number])
        atomically(folder / f"{name}.jsonl", partial(Path.write_text, data=text, encoding="utf-8", errors="backslashreplace"))


def _passes(planned: Plan, stage: Stage, before: Lineage | None, found: dict[str, list[dict[str, Any]]]) -> None:
    """Do the steps of a pass one by one on its first rows."""
    asked, number = planned.recipe, planned.recipe.tracer.number
    traced = {s.number: f"sample_trace-{s.name}" for s in stage.steps if not asked.tracer.ops or s.name in asked.tracer.ops}
    singles = [Steps((replace(s, stale=False),), (pins,), (s.text_key,), asked.name, tolerate=True)
               for s, pins in zip(stage.steps, stage.pins, strict=True)]
    reading, seen = Steps((), (), asked.text_keys, asked.name, tolerate=True), 0
    for name in traced.values():
        found.setdefault(name, [])
    for batch in _batches(planned, before):
        rows, seen = next(iter(reading([batch]))).rows, seen + len(batch)
        for step, single in zip(stage.steps, singles, strict=True):
            if not len(rows):
                break
            after = next(iter(single([rows])))
            if step.number in traced and len(found[traced[step.number]]) < number:
                found[traced[step.number]] += _told(step, rows, after.rows, after.left, asked.tracer.keys, number)
            rows = after.rows
        if seen >= ROWS or all(len(found[name]) >= number for name in traced.values()):
            return


def _batches(planned: Plan, before: Lineage | None) -> Iterator[pa.RecordBatch]:
    for part, split in enumerate(planned.splits):
        if before is not None:
            yield from before.read(part, batch_rows=1024)
        else:
            yield from corpus.read(split, text_keys=planned.recipe.text_keys, batch_rows=1024, batch_bytes=4 << 20, tolerate=True)


def _told(
    step: Step, rows: pa.RecordBatch, after: pa.RecordBatch, left: pa.RecordBatch, keys: Sequence[str], number: int
) -> list[dict[str, Any]]:
    if step.kind == "filter":
        gone = pa.compute.is_in(rows.column(ID), left.column(ID).unique())
        return [_own(row) for row in rows.filter(gone).slice(0, number).to_pylist()]
    columns = [dict(zip(b.schema.names, b.columns, strict=True)) for b in (rows, after)]
    old, new = (find(c, step.text_key) for c in columns)
    if old is None or new is None:
        return []
    if getattr(step.op, "many", False):
        return [_own(row) for row in after.slice(0, number).to_pylist()]
    texts = dict(zip(after.column(ID).to_pylist(), new.to_pylist(), strict=True))
    changed = [i for i, (id, text) in enumerate(zip(rows.column(ID).to_pylist(), old.to_pylist(), strict=True))
               if id in texts and texts[id] != text][:number]
    ids = rows.column(ID).to_pylist()
    extra = rows.take(pa.array(changed, pa.int64())).to_pylist()
    return [{**{k: row.get(k) for k in keys}, "original_text": old[i].as_py(), "processed_text": texts[ids[i]]}
            for i, row in zip(changed, extra, strict=True)]


def _pairs(step: Step, place: StageFolder, before: Lineage, parts: int, number: int) -> list[dict[str, Any]]:
    """Rows kept (dup1) and rows that left for them (dup2), as the step saw them."""
    pairs: list[tuple[int, int]] = []
    for part in range(parts):
        lines = read(place.file("ledger", part), [ID, "kept_id"])
        kept = lines.column("kept_id").to_pylist()
        pairs += [(k, i) for i, k in zip(lines.column(ID).to_pylist(), kept, strict=True) if k is not None]
        if len(pairs) >= number:
            break
    pairs = pairs[:number]
    wanted = pa.array(sorted({i for pair in pairs for i in pair}), pa.int64())
    rows: dict[int, dict[str, Any]] = {}
    for part in range(parts):
        for batch in before.read(part) if len(rows) < len(wanted) else ():
            here = batch.filter(pa.compute.is_in(batch.column(ID), wanted))
            rows |= {row[ID]: _own(row) for row in here.to_pylist()}
    return [{"dup1": rows.get(a), "dup2": rows.get(b)} for a, b in pairs]


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in KEY_COLUMNS}
