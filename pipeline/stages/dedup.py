"""Corpus-wide deduplication: keys part by part, candidates by ranges of keys, evidence block by block, then the ledger.

Narrow tables are spilled: whatever the corpus, a worker holds `candidates.MEMORY` bytes of keys or sets at a time, and
this process some tens of bytes a row. What is decided does not depend on that number, nor on the number of workers.
"""

import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...operators.base import Operator
from ...operators.dedup import edges
from ...operators.dedup.components import components
from ...operators.dedup.exact import text_digests
from ...operators.kernels.buckets import flat
from .. import resources
from ..engines.base import Counts, Engine
from ..errors import OperatorError
from ..index import against
from ..ledger import ID
from ..plan import Stage
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder, read_json
from . import candidates, hashed, recall, verified, wide, wide_blocks
from .candidates import Corpus
from .lineage import Lineage, Told, lookup, texts
from .narrow import LedgerTask
from .outcome import CHAINED, write
from .tables import piece, write_arrow, write_keyed

KEYS = 4_000_000  # in a piece
# folders of narrow tables
SPILLED = ("meta", "keys", "twins", "same", "buckets", "sorted", "sets", "edges", "likeness", wide.FOLDER)


@dataclass(frozen=True)
class KeysTask:
    """Writes id, length in code points, score, keys and digest of each row of one part."""

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...] = ()

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part, "keys-done") or self._do(part)

    def _do(self, part: int) -> Counts:
        held: list[dict[str, np.ndarray]] = []
        rows, keys, pieces = 0, 0, 0
        for batch in self.before.read(part, [self.step.text_key]):
            held.append(self._tables(part, batch, rows))
            rows, keys = rows + len(batch), keys + len(held[-1]["keys_key"])
            if keys >= KEYS:
                self._write(part, pieces, held)
                keys, pieces, held = 0, pieces + 1, []
        if held:
            self._write(part, pieces, held)
        return self.folder.finish_part(part, {"rows": rows, "pieces": pieces + bool(held)}, "keys-done")

    def _tables(self, part: int, batch: pa.RecordBatch, at: int) -> dict[str, np.ndarray]:
        op, told = self.step.op, {**self.step.settings, **resources.load(self.pins)}
        assert isinstance(op, Operator)
        text = texts(batch, self.step.text_key, where(self.step))
        answer, smallest = op.probe(text, **told) if op.probe else (op.function(text, **told), None)
        values, start, end = edges.lists(answer)
        key, row = flat(values, start, end)
        own = np.flatnonzero(end > start)
        first, second = (half[own] for half in text_digests(text))
        ids = batch.column(ID).to_numpy()
        found = {
            "meta_id": ids, "meta_length": pc.fill_null(pc.utf8_length(text), 0).to_numpy(),
            "keys_key": key, "keys_row": (row + at).astype(np.uint32),
            "twins_key": first, "twins_check": second, "twins_row": (own + at).astype(np.uint32),
        }
        if smallest is not None:
            found["meta_smallest"] = smallest
        if self.step.extra["score_key"]:
            found["meta_score"] = scores(self.before, part, self.step, ids)
        return found

    def _write(self, part: int, number: int, held: list[dict[str, np.ndarray]]) -> None:
        def table(kind: str) -> dict[str, np.ndarray]:
            names = [name for name in held[0] if name.startswith(kind)]
            return {name.split("_")[1]: np.concatenate([h.pop(name) for h in held]) for name in names}

        for kind in ("keys", "twins"):
            write_keyed(piece(self.folder, kind, part, number), **table(kind))
        write_arrow(piece(self.folder, "meta", part, number), pa.table(table("meta")))


def where(step: Step) -> str:
    """The step as messages name it."""
    return f"step {step.number} ({step.name})"


def scores(before: Lineage, part: int, step: Step, ids: np.ndarray) -> np.ndarray:
    """float64[n]: the number that the keep rule chooses by; a date (ISO 8601 where it is text) as microseconds since 1970."""
    name = step.extra["score_key"]
    table = before.number(name, part)
    if table is None:
        return np.full(len(ids), np.nan)
    column = table.column(name)
    if pa.types.is_temporal(column.type) or pa.types.is_string(column.type):
        try:
            column = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
        except pa.ArrowInvalid as e:
            raise OperatorError(f"{where(step)}: score_key {name!r} holds something else than ISO 8601 dates ({e})") from e
        table = table.set_column(table.column_names.index(name), name, column)
    return lookup(table, name, ids)


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, told: Told, memory: int | None = None
) -> dict[str, Any]:
    """The whole stage; answers its record. `memory`: bytes of narrow tables that a worker holds (`candidates.MEMORY`)."""
    step = stage.steps[0]
    if not (folder.path / "decisions.parquet").exists():
        records = engine.map(KeysTask(folder, before, step, stage.pins[0]), parts, told)
        corpus = Corpus(
            folder, tuple(r["rows"] for r in records), tuple(r["pieces"] for r in records), memory or candidates.MEMORY,
            isinstance(step.op, Operator) and step.op.probe is not None,
        )
        if stage.known is not None and stage.known.against:
            against.match(folder, stage.known, before, step, stage.pins[0], engine, parts, told)
        _decide(corpus, before, stage, engine, parts, told)
    for kind in SPILLED:  # what led to the decisions has served
        shutil.rmtree(folder.path / kind, ignore_errors=True)
    for name in ("first.npy", "blocks.npy", "sampled.npy", "wanted.arrow"):
        (folder.path / name).unlink(missing_ok=True)
    records = engine.map(LedgerTask(folder, before, step.number, step.name, step.text_key, by_part=True), parts, told)
    return {"records": records, "facts": {step.number: read_json(folder.path / "facts.json") or {}}}


def _decide(corpus: Corpus, before: Lineage, stage: Stage, engine: Engine, parts: range, told: Told) -> None:
    """Link, join, choose whom to keep; write pairs, clusters, facts for the manifest, and last the decisions."""
    step = stage.steps[0]
    op = step.op
    assert isinstance(op, Operator)
    if engine.remote and op.near is None and not (stage.known is not None and stage.known.against):
        wide_blocks.decide(wide.Wide.of(corpus, before, step, stage.pins[0]), engine)
        return
    facts = recall.expected(step)
    first = candidates.firsts(corpus, engine)
    if op.near is not None:
        linked, alike = hashed.linked(corpus, first, step)
        write(corpus, stage, first, linked, components(linked.a, linked.b, corpus.count)[first], alike, facts)
        return
    buckets = candidates.buckets(corpus, engine)
    parent, linked = candidates.spanned(corpus, buckets)
    if op.evidence is None or not step.settings.get("verify", True):
        labels = components(linked.a, linked.b, corpus.count)[first]
        write(corpus, stage, first, linked, labels, None, facts)
        return
    block, blocks = candidates.blocks(corpus, engine, parent, buckets)
    del parent
    drawn = recall.sample(corpus, first)
    candidates.save(corpus.folder.path / "sampled.npy", drawn.rows)
    sets: verified.Files = ()
    if blocks or len(drawn.rows):
        records = engine.map(verified.EvidenceTask(corpus, before, step, blocks, stage.pins[0]), parts, told)
        sets = verified.set_files(corpus, records)
    linked = verified.joined(corpus, sets, engine, blocks, buckets, float(step.settings.get("jaccard_threshold", 1.0)))
    labels = components(linked.a, linked.b, corpus.count)[first]
    if len(drawn.rows):
        facts |= recall.measured(drawn, verified.Sets.of(corpus, sets, blocks), labels, facts)

    def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return verified.likeness(corpus, sets, engine, (block, blocks), (a, b))

    write(corpus, stage, first, linked, labels, likeness, facts)


__all__ = ["CHAINED", "KeysTask", "run"]
