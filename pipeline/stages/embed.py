"""Vectors of the rows that stand, part by part: a stage of its own, so that it can run where the accelerator is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...operators.base import Operator
from .. import resources
from ..engines.base import Counts, Engine
from ..errors import OperatorError
from ..ledger import ID
from ..plan import Stage
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder
from .lineage import Lineage, Told, texts
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
        where, key = f"step {self.step.number} ({self.step.name}), part {part}", self.step.text_key
        # the whole part at once, so that what shares a batch with what is a matter of the input alone
        read = [(batch.column(ID), texts(batch, key, where)) for batch in self.before.read(part, [key])]
        ids = pa.chunked_array([i for i, _ in read], pa.int64())
        # a row without this column stays, as one that says nothing
        text = pc.fill_null(pa.chunked_array([t for _, t in read], pa.string()).combine_chunks(), "")
        try:
            vectors = op.function(text, **self.step.settings, **handed)
        except ValueError as e:
            raise OperatorError(f"{where}: {e}") from e
        tokens = np.asarray(next(iter(handed.values())).count_tokens(text.to_pylist()))
        table = pa.table({ID: ids, "vector": half(vectors), "num_embedding_tokens": pa.array(tokens, pa.int64())})
        write_narrow(self.folder, "vectors", part, table)
        return self.folder.finish_part(part, {"rows_in": len(table), "rows_out": len(table), "left": 0, "by": {}})


def half(vectors: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """float32 vectors as float16: half the room, and what rounding differs by lies below what k-means can see."""
    return pa.FixedSizeListArray.from_arrays(pc.cast(vectors.values, pa.float16()), vectors.type.list_size)


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """float32[n, d] of a vector column."""
    chunks = [np.asarray(c.flatten()).reshape(len(c), -1).astype(np.float32) for c in column.chunks if len(c)]
    return np.concatenate(chunks) if chunks else np.empty((0, column.type.list_size), np.float32)


def run(stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: Sequence[int], told: Told) -> dict[str, Any]:
    """The whole stage, or those parts of it; answers its record."""
    records = engine.map(EmbedTask(folder, before, stage.steps[0], stage.pins[0]), parts, told)
    return {"records": records, "facts": {stage.steps[0].number: {"model": stage.pins[0][0].describe()}}}
