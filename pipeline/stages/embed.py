"""Vectors of the rows that stand, part by part: a stage of its own, so that it can run where the accelerator is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...operators.base import Operator
from .. import resources
from ..engines.base import Counts, Engine
from ..ledger import ID
from ..plan import Stage
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder
from .lineage import Lineage, Told
from .rows import write_narrow


@dataclass(frozen=True)
class EmbedTask:
    """Writes id, vector (float16[d], unit) and num_embedding_tokens of each row of one part."""

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part) or self._do(part)

    def _do(self, part: int) -> Counts:
        op = self.step.op
        assert isinstance(op, Operator)
        handed = resources.load(self.pins)
        # the whole part at once, so that what shares a batch with what is a matter of the input alone
        rows = pa.Table.from_batches([b.select([ID, self.step.text_key]) for b in self.before.read(part, [self.step.text_key])] or [_nothing(self.step)])
        text = pc.cast(rows.column(self.step.text_key), pa.string()).combine_chunks()
        vectors = op.function(text, **self.step.settings, **handed)
        tokens = next(iter(handed.values())).count_tokens(text.to_pylist())
        table = pa.table({ID: rows.column(ID), "vector": half(vectors), "num_embedding_tokens": pa.array(np.asarray(tokens), pa.int64())})
        write_narrow(self.folder, "vectors", part, table)
        return self.folder.finish_part(part, {"rows_in": len(table), "rows_out": len(table), "left": 0, "by": {}})


def _nothing(step: Step) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({ID: pa.array([], pa.int64()), step.text_key: pa.array([], pa.string())})


def half(vectors: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """float32 vectors as float16: half the room, and what rounding differs by lies below what k-means can see."""
    return pa.FixedSizeListArray.from_arrays(pc.cast(vectors.values, pa.float16()), vectors.type.list_size)


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """float32[n, d] of a vector column."""
    chunks = [np.asarray(c.flatten()).reshape(len(c), -1).astype(np.float32) for c in column.chunks if len(c)]
    return np.concatenate(chunks) if chunks else np.empty((0, column.type.list_size), np.float32)


def run(stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: range, told: Told) -> dict[str, Any]:
    """The whole stage; answers its record."""
    records = engine.map(EmbedTask(folder, before, stage.steps[0], stage.pins[0]), parts, told)
    return {"records": records, "facts": {stage.steps[0].number: {"model": stage.pins[0][0].describe()}}}
