"""Corpus-wide deduplication: keys part by part, candidates and components here, ledger lines part by part.

Only narrow things meet in one place: ids, keys and lengths of all rows, and the sets of those rows alone that share a
key with another. They are kept as Arrow files and read memory-mapped, so the operating system decides what stays in memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...operators.base import Operator
from ...operators.dedup import components, edges, keep
from ..engines.base import Counts, Engine
from ..ledger import ID
from ..plan import Stage
from ..steps import Step
from ..workspace import StageFolder, atomically, read_json, sound, write_json, write_table
from .lineage import Lineage, Told, part_numbers, texts
from .narrow import LedgerTask, decisions, write_decisions

CHAINED = "less alike to the kept row than asked: they are linked through others of the cluster"


@dataclass(frozen=True)
class KeysTask:
    """Writes id, length in code points, score and keys of each row of one part."""

    folder: StageFolder
    before: Lineage
    step: Step

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part, "keys-done") or self._do(part)

    def _do(self, part: int) -> Counts:
        op, score = self.step.op, self.step.extra["score_key"]
        assert isinstance(op, Operator)
        batches = [_no_keys(op, self.step)]
        for batch in self.before.read(part, [self.step.text_key]):
            text = texts(batch, self.step.text_key, _where(self.step))
            keys = op.function(text, **self.step.settings)
            batches.append(pa.table({ID: batch.column(ID), "length": pc.utf8_length(text), "keys": keys}))
        table = pa.concat_tables(batches)
        if score:
            table = table.append_column("score", pa.array(part_numbers(self.before, part, score, table.column(ID).to_numpy())))
        write_arrow(self.folder.file("keys", part, "arrow"), table)
        return self.folder.finish_part(part, {"rows": len(table)}, "keys-done")


def _where(step: Step) -> str:
    return f"step {step.number} ({step.name})"


def _no_keys(op: Operator, step: Step) -> pa.Table:
    keys = op.function(pa.array([], pa.string()), **step.settings)
    return pa.table({ID: pa.array([], pa.int64()), "length": pa.array([], pa.int32()), "keys": keys})


def _no_sets(op: Operator, step: Step) -> pa.Table:
    assert op.evidence is not None
    return pa.table({ID: pa.array([], pa.int64()), "set": op.evidence(pa.array([], pa.string()), **step.settings)})


@dataclass(frozen=True)
class EvidenceTask:
    """Writes the sets of those rows of one part that share a key with another row."""

    folder: StageFolder
    before: Lineage
    step: Step

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part, "sets-done") or self._do(part)

    def _do(self, part: int) -> Counts:
        op = self.step.op
        assert isinstance(op, Operator) and op.evidence is not None
        suspects = read_arrow([self.folder.path / "suspects.arrow"]).column(ID)
        tables, rows = [_no_sets(op, self.step)], 0
        for batch in self.before.read(part, [self.step.text_key]):
            asked = batch.filter(pc.is_in(batch.column(ID), suspects))
            text = texts(asked, self.step.text_key, _where(self.step))
            tables.append(pa.table({ID: asked.column(ID), "set": op.evidence(text, **self.step.settings)}))
            rows += len(batch)
        write_arrow(self.folder.file("sets", part, "arrow"), pa.concat_tables(tables))
        return self.folder.finish_part(part, {"rows": rows}, "sets-done")


def run(stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, told: Told) -> dict[str, Any]:
    """The whole stage; answers its record."""
    step = stage.steps[0]
    op = step.op
    assert isinstance(op, Operator)
    verify = op.evidence is not None and step.settings.get("verify", True)
    if not (folder.path / "decisions.parquet").exists():
        engine.map(KeysTask(folder, before, step), parts, told)
        table = read_arrow([folder.file("keys", p, "arrow") for p in parts]) if parts else _no_keys(op, step)
        sets = _evidence(folder, before, step, engine, table, parts, told) if verify else None
        _decide(folder, step, table, sets)
    records = engine.map(LedgerTask(folder, before, step.number, step.name, step.text_key), parts, told)
    return {"records": records, "facts": {step.number: read_json(folder.path / "facts.json") or {}}}


def _evidence(
    folder: StageFolder, before: Lineage, step: Step, engine: Engine, table: pa.Table, parts: range, told: Told
) -> pa.ChunkedArray:
    """The set of each row, in the order of `table`; null where the row shares no key with another."""
    suspects = edges.suspects(table.column("keys").combine_chunks())
    write_arrow(folder.path / "suspects.arrow", pa.table({ID: table.column(ID).filter(pa.array(suspects))}))
    engine.map(EvidenceTask(folder, before, step), parts, told)
    op = step.op
    assert isinstance(op, Operator)
    found = read_arrow([folder.file("sets", p, "arrow") for p in parts]) if parts else _no_sets(op, step)
    places = np.full(len(table), -1)
    places[np.flatnonzero(suspects)] = np.arange(len(found))
    return found.column("set").combine_chunks().take(pa.array(places, mask=places < 0))


def _decide(folder: StageFolder, step: Step, table: pa.Table, sets: pa.Array | None) -> None:
    """Link, join, choose whom to keep; write pairs, clusters, facts for the manifest, and last the decisions."""
    ids, n = table.column(ID).to_numpy(), len(table)
    threshold = float(step.settings.get("jaccard_threshold", 1.0))
    linked = edges.link(table.column("keys").combine_chunks(), sets, threshold)
    labels = components.components(linked.a, linked.b, n)
    score = table.column("score").to_numpy() if "score" in table.column_names else None
    kept = keep.kept(labels, rule=step.extra["keep"], length=table.column("length").to_numpy(), score=score)
    leaves = np.flatnonzero(kept != np.arange(n))
    similarity = edges.jaccard(sets, leaves, kept[leaves]) if sets is not None else np.full(len(leaves), np.nan)
    note = [CHAINED if s < threshold else None for s in similarity]
    write_table(folder.path / "pairs.parquet", pa.table({"a": ids[linked.a], "b": ids[linked.b], "similarity": linked.similarity}))
    sizes = np.bincount(labels, minlength=n)
    together = np.flatnonzero(sizes[labels] > 1)
    members = pa.table({ID: ids[together], "cluster": ids[labels[together]], "kept_id": ids[kept[together]]})
    write_table(folder.path / "clusters.parquet", members.sort_by([("cluster", "ascending"), (ID, "ascending")]))
    clusters = sizes[sizes > 1]
    facts = {"clusters": len(clusters), "largest": int(clusters.max(initial=0)), "pairs": len(linked.a)}
    write_json(folder.path / "facts.json", facts)
    write_decisions(folder, decisions(
        ids[leaves], reason="duplicate", stat="similarity", value=similarity, kept_id=ids[kept[leaves]],
        bound=_bound(step, sets is not None), note=note,
    ))


def _bound(step: Step, verified: bool) -> str:
    threshold = step.settings.get("jaccard_threshold")
    if threshold is None:
        return "equal after normalisation"
    return f"Jaccard >= {threshold:g}" if verified else f"shares a band for Jaccard {threshold:g}, unverified"


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an uncompressed Arrow file that can be memory-mapped."""

    def write(tmp: Path) -> None:
        with pa.OSFile(str(tmp), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    atomically(path, write)


def read_arrow(files: list[Path]) -> pa.Table:
    """Arrow files, one after the other, memory-mapped."""
    return pa.concat_tables([_mapped(f) for f in files])


def _mapped(file: Path) -> pa.Table:
    with sound(file):
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all()

