"""Vectors of the rows that stand, part by part: a stage of its own, so that it can run where the accelerator is."""

import hashlib
import json
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
from . import prompts
from .given_vectors import check_length, given
from .lineage import Lineage, Told
from .lineage import read as read_table
from .rows import write_narrow
from .same_texts import VectorCache, find_first, firsts, hashes

_COMPUTED = b"computed"  # in the metadata of a piece's file: how many of its vectors the model has made
OWN_CACHE, NO_CACHE = "embedded", "none"  # the workspace's own cache; the word for having none
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
    cache: Path | None = None

    asks_a_model = True

    def __call__(self, number: int) -> Counts:
        """Do the piece, unless it is done."""
        part, piece, share = self.pieces[number]
        path = piece_file(self.folder, part, piece)
        rows = pq.read_metadata(path).num_rows if path.exists() else self._do(part, piece)
        return {"rows": rows, "share": share}

    def _do(self, part: int, piece: int) -> int:
        where, key = f"step {self.step.number} ({self.step.name}), part {part}", self.step.text_key
        if self.step.extra.get("vector_key"):
            return self._take(part, piece, where)
        ids, whole, given = prompts.of_part(self.before, part, key, prompts.keys_of(self.step), where)
        # a piece is a matter of the rows alone, not of batches or workers: so is what shares a pass through the model with what
        here = slice(piece * PIECE, (piece + 1) * PIECE)
        ids, text, prompt = (c.slice(here.start, PIECE).combine_chunks() for c in (ids, whole, given))
        # a row without this column stays, as one that says nothing
        text = pc.fill_null(text, "")
        owner, row = firsts(self.folder, part)
        wanted = (owner[here] == part) & (row[here] == np.arange(here.start, here.start + len(text)))
        known, cached = np.zeros(len(text), bool), None
        if self.cache is not None:
            known, cached = VectorCache(self.cache).find(hashes(self.folder, part)[here])
        vectors = half(self._encoded(pc.if_else(pa.array(wanted & ~known), text, None), prompt, where))
        if cached is not None:
            vectors = overlaid(vectors, known, cached)
        read_whole = prompts.joined(prompt.to_pylist(), text.to_pylist())
        tokens = np.asarray(next(iter(resources.load(self.pins).values())).count_tokens(read_whole))
        table = pa.table({ID: ids, "vector": vectors, "num_embedding_tokens": pa.array(tokens, pa.int64())})
        table = table.replace_schema_metadata({_COMPUTED: str(int((wanted & ~known).sum()))})
        write_table(piece_file(self.folder, part, piece), table)
        return len(table)

    def _take(self, part: int, piece: int, where: str) -> int:
        """Vectors that the rows have; nobody has counted their tokens."""
        ids, vectors = given(self.before, part, str(self.step.extra["vector_key"]), where)
        ids, vectors = ids[piece * PIECE :][:PIECE], vectors.slice(piece * PIECE, PIECE)
        tokens = pa.nulls(len(ids), pa.int64())
        table = pa.table({ID: ids, "vector": half(vectors), "num_embedding_tokens": tokens})
        write_table(piece_file(self.folder, part, piece), table)
        return len(ids)

    def _encoded(self, text: pa.StringArray, prompt: pa.StringArray, where: str) -> pa.FixedSizeListArray:
        """The vectors of the texts that are not null; null for the others."""
        op = self.step.op
        assert isinstance(op, Operator)
        try:
            return op.function(*prompts.columns(self.step, text, prompt), **self.step.settings, **resources.load(self.pins))
        except ValueError as e:
            raise OperatorError(f"{where}: {e}") from e


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
        pieces = [read_table(piece_file(self.folder, part, piece)) for piece in range(self.counts[part])]
        computed = sum(int((piece.schema.metadata or {}).get(_COMPUTED, 0)) for piece in pieces)
        table = pa.concat_tables(pieces).replace_schema_metadata(None)
        table = table.set_column(1, "vector", self._filled(part, table.column("vector").combine_chunks()))
        write_narrow(self.folder, "vectors", part, table)
        counts = {"rows_in": len(table), "rows_out": len(table), "left": 0, "by": {}, "computed": computed}
        return self.folder.finish_part(part, counts)


    def _filled(self, part: int, vectors: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
        """The vectors, those of repeated texts from the first row that has the text."""
        if not vectors.null_count:
            return vectors
        missing = np.flatnonzero(vectors.is_null().to_numpy(zero_copy_only=False))
        owner, row = (found[missing] for found in firsts(self.folder, part))
        filled = np.zeros((len(vectors), vectors.type.list_size), np.float16)
        for other in np.unique(owner).tolist():
            of = owner == other
            for piece in np.unique(row[of] // PIECE).tolist():
                at = of & (row // PIECE == piece)
                filled[missing[at]] = self._stored(other, piece)[row[at] - piece * PIECE]
        return overlaid(vectors, np.isin(np.arange(len(vectors)), missing), filled)

    def _stored(self, part: int, piece: int) -> np.ndarray:
        """float16[n, d], the vectors of a piece, which may be part of a finished file by now."""
        file = piece_file(self.folder, part, piece)
        if file.exists():
            return halves(read_table(file, ["vector"]).column("vector"))
        return halves(read_table(self.folder.file("vectors", part), ["vector"]).column("vector").slice(piece * PIECE, PIECE))


def half(vectors: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """float32 vectors as float16: half the room, and what rounding differs by lies below what k-means can see."""
    wide, missing = vectors.type.list_size, vectors.is_null()
    values = pc.cast(vectors.values.slice(vectors.offset * wide, len(vectors) * wide), pa.float16())
    return pa.FixedSizeListArray.from_arrays(values, type=pa.list_(pa.float16(), vectors.type.list_size), mask=missing)


def halves(column: pa.ChunkedArray | pa.FixedSizeListArray) -> np.ndarray:
    """float16[n, d] of a vector column; zeros where it is null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    wide = array.type.list_size
    values = np.asarray(array.values)[array.offset * wide : (array.offset + len(array)) * wide].reshape(-1, wide)
    return np.where(array.is_null().to_numpy(zero_copy_only=False)[:, None], np.float16(0), values)


def overlaid(vectors: pa.FixedSizeListArray, rows: np.ndarray, others: np.ndarray) -> pa.FixedSizeListArray:
    """The vectors, where `rows` is true those of `others` (float16[n, d]) instead; null only where both are missing."""
    values = np.where(rows[:, None], others, halves(vectors))
    missing = vectors.is_null().to_numpy(zero_copy_only=False) & ~rows
    kind = pa.list_(pa.float16(), vectors.type.list_size)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind, mask=pa.array(missing))


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
    step, cache = stage.steps[0], cache_of(stage, folder)
    if not step.extra.get("vector_key"):
        find_first(folder, before, step, engine, parts)
    engine.map(EmbedTask(folder, before, step, stage.pins[0], pieces, cache), range(len(pieces)), told)
    records = engine.map(JoinTask(folder, counts), parts, lambda _: None)
    for part, pieces_of in counts.items():
        for piece in range(pieces_of):  # only now: a second attempt at joining them may still have been reading
            piece_file(folder, part, piece).unlink(missing_ok=True)
    if key := step.extra.get("vector_key"):
        check_length(folder, parts, key, f"step {step.number} ({step.name})")
        return {"records": records, "facts": {step.number: {"model": f"column {key}"}}}
    facts: dict[str, Any] = {"model": stage.pins[0][0].describe(), **_repeated(folder, parts)}
    facts["computed"] = sum(record.get("computed", 0) for record in records)
    if cache is not None:
        for part in parts:
            _remember(VectorCache(cache), folder, part)
    return {"records": records, "facts": {step.number: facts}}


def cache_of(stage: Stage, folder: StageFolder) -> Path | None:
    """The folder of this model's vectors within the cache that the step names, or else the workspace's own; None: it wants none."""
    step = stage.steps[0]
    if step.extra.get("cache") == NO_CACHE or step.extra.get("vector_key"):
        return None
    told = {k: v for k, v in stage.pins[0][0].describe().items() if k != "file"}
    if "vectors" in step.settings:  # one model makes several kinds
        told |= {k: v for k, v in step.settings.items() if k not in ("model", "batch_tokens", "prompt_keys")}
    name = hashlib.sha256(json.dumps([step.op.version, told], sort_keys=True).encode()).hexdigest()[:24]
    named = step.extra.get("cache")
    return (Path(str(named)).expanduser() if named else folder.path.parent / OWN_CACHE) / name


def _remember(cache: VectorCache, folder: StageFolder, part: int) -> None:
    vectors = halves(read_table(folder.file("vectors", part), ["vector"]).column("vector"))
    cache.add(hashes(folder, part), vectors)


def _repeated(folder: StageFolder, parts: Sequence[int]) -> dict[str, int]:
    """How many rows have the text of an earlier row."""
    count = 0
    for part in parts:
        owner, row = firsts(folder, part)
        count += int(((owner != part) | (row != np.arange(len(row)))).sum())
    return {"repeated": count}
