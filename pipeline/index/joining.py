"""Many runs or segments into one segment, in bounded memory: keys merged range by range, all else copied through."""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from ..ledger import KEY_FIELDS
from .columns import FENCE, mapped, spans
from .layout import DOCUMENTS, NUMBERS, Segment
from .runs import GROUP

KEYS = 4 << 20  # merged at a time: about 200 MiB
CHUNK = 4 << 20  # set values copied at a time


@dataclass(frozen=True)
class Piece:
    """One run or segment that is joined. `owned` int64[n]: whose keys and set each document stores, -1: nobody's; None: its own."""

    folder: Path
    owned: np.ndarray | None = None

    def holders(self) -> np.ndarray:
        """Memory-mapped holders.u32."""
        return mapped(self.folder / "holders.u32")

    def keys(self) -> np.ndarray:
        """Memory-mapped keys.u64."""
        return mapped(self.folder / "keys.u64")


def join(index: Path, pieces: list[Piece], kept: Iterable[np.ndarray], start: int) -> Segment:
    """Write one segment whose first document has number `start`; `kept` are its kept.u64, in any pieces.

    The segment is whole when this answers, but no part of the index before a manifest names it.
    Cost: memory of about 300 MiB and 8 bytes a document, however many there are.
    """
    segments = index / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    tmp = segments / f".{uuid.uuid4().hex}.tmp"
    tmp.mkdir()
    documents = _documents(tmp, pieces)
    _sets(tmp, pieces)
    firsts = np.cumsum([0, *(len(mapped(p.folder / "ends.u64")) for p in pieces)])
    _keys(tmp, pieces, firsts)
    with _writing(tmp / "kept.u64") as out:
        for values in kept:
            out.write(values.astype(np.uint64).data)
    files = {name: _told(tmp / name) for name in (*NUMBERS, DOCUMENTS)}
    name = f"{start:012d}-{start + documents:012d}-{uuid.uuid4().hex[:8]}"
    sync(tmp)
    tmp.rename(segments / name)
    sync(segments)
    return Segment(name, start, documents, files)


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Make a folder's list of files durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _told(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "digest": digest(path)}


def digest(path: Path) -> str:
    """"xxh3:..." of a file's content."""
    hashed = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return f"xxh3:{hashed.hexdigest()}"


def _documents(out: Path, pieces: list[Piece]) -> int:
    rows = 0
    with _writing(out / DOCUMENTS) as file, pq.ParquetWriter(file, pa.schema(KEY_FIELDS), compression="zstd") as writer:
        for piece in pieces:
            with pq.ParquetFile(piece.folder / DOCUMENTS) as source:
                for batch in source.iter_batches(1 << 20):
                    writer.write_batch(batch, row_group_size=GROUP)
                    rows += len(batch)
    return rows


def _sets(out: Path, pieces: list[Piece]) -> None:
    total = 0
    with _writing(out / "sets.u64") as sets, _writing(out / "ends.u64") as ends:
        for piece in pieces:
            values, stop = mapped(piece.folder / "sets.u64"), mapped(piece.folder / "ends.u64").astype(np.int64)
            start = np.append(0, stop[:-1]) if len(stop) else stop
            size = stop - start
            if piece.owned is not None:
                start, size = start[piece.owned], np.where(piece.owned >= 0, size[piece.owned], 0)
            told = np.cumsum(size)
            for low, high in _chunks(told):
                sets.write(values[spans(start[low:high], (start + size)[low:high])].data)
            ends.write((total + told).astype(np.uint64).data)
            total += int(told[-1]) if len(told) else 0


def _chunks(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Consecutive rows of about CHUNK values together, a larger one alone."""
    low = 0
    while low < len(ends):
        before = ends[low - 1] if low else 0
        high = max(int(np.searchsorted(ends, before + CHUNK, "right")), low + 1)
        yield low, high
        low = high


def _keys(out: Path, pieces: list[Piece], firsts: np.ndarray) -> None:
    fences, offset, owner = [], 0, _owner(pieces, firsts)
    with _writing(out / "keys.u64") as keys, _writing(out / "holders.u32") as holders:
        for values, rows in merged([(p.keys(), p.holders()) for p in pieces], firsts):
            rows = rows if owner is None else owner[rows]
            values, rows = values[rows >= 0], rows[rows >= 0]
            keys.write(values.data)
            holders.write(rows.astype(np.uint32).data)
            fences.append(values[(-offset) % FENCE :: FENCE])
            offset += len(values)
    with _writing(out / "fences.u64") as file:
        file.write(np.concatenate(fences).astype(np.uint64).data if fences else b"")


def _owner(pieces: list[Piece], firsts: np.ndarray) -> np.ndarray | None:
    """int64[n]: the document that stores the keys which each row brings, -1: none; None: each its own."""
    if all(p.owned is None for p in pieces):
        return None
    owner = np.full(firsts[-1], -1)
    for piece, first, last in zip(pieces, firsts[:-1], firsts[1:], strict=True):
        owned = np.arange(last - first) if piece.owned is None else piece.owned
        has = np.flatnonzero(owned >= 0)
        owner[first + owned[has]] = first + has
    return owner


def merged(pieces: list[tuple[np.ndarray, np.ndarray]], firsts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(keys, rows), ascending by both, of many (sorted keys, holders), a range of whole keys at a time.

    The holders of piece k are counted from `firsts[k]`. Cost: memory for about KEYS keys, or the holders of one key.
    """
    total = sum(len(k) for k, _ in pieces)
    sample = np.sort(np.concatenate([k[::FENCE] for k, _ in pieces])) if total else np.empty(0, np.uint64)
    step = max(KEYS // FENCE, 1)
    bounds = np.unique(sample[step::step])
    at = np.zeros(len(pieces), np.int64)
    for bound in [*bounds, None]:
        stop = np.array([len(k) if bound is None else np.searchsorted(k, bound, "left") for k, _ in pieces], np.int64)
        keys = [k[a:b] for (k, _), a, b in zip(pieces, at, stop, strict=True)]
        rows = [h[a:b].astype(np.int64) + first for (_, h), a, b, first in zip(pieces, at, stop, firsts, strict=False)]
        at = stop
        if keys and sum(map(len, keys)):
            together = np.concatenate(keys)
            order = np.argsort(together, kind="stable")  # pieces come in the order of their rows
            yield together[order], np.concatenate(rows)[order]

