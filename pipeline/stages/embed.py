"""Vectors of the rows that stand, part by part: a stage of its own, so that it can run where the accelerator is."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...operators.base import Operator
from .. import resources
from ..engines.base import Counts, Engine
from ..errors import OperatorError
from ..ledger import ID
from ..plan import Stage
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder, write_table
from .lineage import Lineage, Told, texts
from .lineage import read as read_table
from .rows import write_narrow

PIECE = 1024  # rows: what is done at a time, lost by a crash, and told as progress


@dataclass(frozen=True)
class EmbedTask:
    """Writes id, vector (float16[d], unit) and num_embedding_tokens of each row of one piece of a part.

    Attributes:
        pieces: (part, number of the piece in it, share of the part's rows), for each number the task is called with.
    """

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]
    pieces: tuple[tuple[int, int, float], ...]

    asks_a_model = True

    def __call__(self, number: int) -> Counts:
        """Do the piece, unless it is done."""
        part, piece, share = self.pieces[number]
        path = piece_file(self.folder, part, piece)
        rows = pq.read_metadata(path).num_rows if path.exists() else self._do(part, piece)
        return {"rows": rows, "share": share}

    def _do(self, part: int, piece: int) -> int:
        op = self.step.op
        assert isinstance(op, Operator)
        handed = resources.load(self.pins)
        where, key = f"step {self.step.number} ({self.step.name}), part {part}", self.step.text_key
        ids, whole = _of_part(self.before, part, key, where)
        # a piece is a matter of the rows alone, not of batches or workers: so is what shares a pass through the model with what
        ids, text = ids.slice(piece * PIECE, PIECE), whole.slice(piece * PIECE, PIECE).combine_chunks()
        # a row without this column stays, as one that says nothing
        text = pc.fill_null(text, "")
        try:
            vectors = op.function(text, **self.step.settings, **handed)
        except ValueError as e:
            raise OperatorError(f"{where}: {e}") from e
        tokens = np.asarray(next(iter(handed.values())).count_tokens(text.to_pylist()))
        table = pa.table({ID: ids, "vector": half(vectors), "num_embedding_tokens": pa.array(tokens, pa.int64())})
        write_table(piece_file(self.folder, part, piece), table)
        return len(table)


@functools.lru_cache(maxsize=1)  # the next piece is mostly of the same part
def _of_part(before: Lineage, part: int, key: str, where: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Ids and texts of the rows of a part that still stand."""
    read = [(batch.column(ID), texts(batch, key, where)) for batch in before.read(part, [key])]
    return pa.chunked_array([i for i, _ in read], pa.int64()), pa.chunked_array([t for _, t in read], pa.string())


def piece_file(folder: StageFolder, part: int, piece: int) -> Path:
    """Where a piece's vectors lie until its part is whole."""
    return folder.path / "pieces" / f"part-{part:05d}-{piece:05d}.parquet"


@dataclass(frozen=True)
class JoinTask:
    """Makes one file of the pieces of a part; answers the part's record. `counts`: part -> its pieces."""

    folder: StageFolder
    counts: dict[int, int]

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part) or self._do(part)

    def _do(self, part: int) -> Counts:
        table = pa.concat_tables([read_table(piece_file(self.folder, part, piece)) for piece in range(self.counts[part])])
        write_narrow(self.folder, "vectors", part, table)
        return self.folder.finish_part(part, {"rows_in": len(table), "rows_out": len(table), "left": 0, "by": {}})


def half(vectors: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """float32 vectors as float16: half the room, and what rounding differs by lies below what k-means can see."""
    return pa.FixedSizeListArray.from_arrays(pc.cast(vectors.values, pa.float16()), vectors.type.list_size)


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """float32[n, d] of a vector column."""
    chunks = [np.asarray(c.flatten()).reshape(len(c), -1).astype(np.float32) for c in column.chunks if len(c)]
    return np.concatenate(chunks) if chunks else np.empty((0, column.type.list_size), np.float32)


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: Sequence[int], told: Told
) -> dict[str, Any]:
    """The whole stage, or those parts of it; answers its record."""
    rows = {part: before.rows_of(part) for part in parts}
    counts = {part: max(1, -(-rows[part] // PIECE)) for part in parts}  # a part without rows has one piece, of no rows
    pieces = tuple(
        (part, k, min(PIECE, rows[part] - k * PIECE) / rows[part] if rows[part] else 1.0)
        for part in parts if folder.part_record(part) is None for k in range(counts[part])
    )
    engine.map(EmbedTask(folder, before, stage.steps[0], stage.pins[0], pieces), range(len(pieces)), told)
    records = engine.map(JoinTask(folder, counts), parts, lambda _: None)
    for part, pieces_of in counts.items():
        for piece in range(pieces_of):  # only now: a second attempt at joining them may still have been reading
            piece_file(folder, part, piece).unlink(missing_ok=True)
    return {"records": records, "facts": {stage.steps[0].number: {"model": stage.pins[0][0].describe()}}}
