"""Candidates become edges: the sets of rows that share a key, block by block, compared exactly.

A worker holds the sets of one block. A block that is one component too large for that is mapped from a file instead, and
its pages are given back as soon as the allowance is used up: the operating system's file cache then does what it can.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...operators.base import Operator
from ...operators.dedup import edges
from ...operators.kernels.jaccard import similarities
from .. import resources
from ..engines.base import Counts, Engine
from ..resources import Pin
from ..steps import Step
from .candidates import Corpus, block_buckets
from .lineage import Lineage, texts
from .tables import cut_slice, piece, read_arrow, write_arrow

Files = tuple[tuple[int, Path], ...]  # (part, path) of sets


@dataclass(frozen=True)
class EvidenceTask:
    """Writes the sets of those rows of one part that are asked for, by block; sampled rows are one more block.

    `blocks.npy` says in which block a row is (-1: in none), `sampled.npy` (uint32, ascending) which rows are sampled.
    """

    corpus: Corpus
    before: Lineage
    step: Step
    blocks: int
    pins: tuple[Pin, ...] = ()

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.corpus.folder.part_record(part, self._mark) or self._do(part)

    @property
    def _mark(self) -> str:
        return f"sets-of-{self.blocks}-done"

    def _do(self, part: int) -> Counts:
        low, high = self.corpus.starts[part], self.corpus.starts[part + 1]
        block = np.array(np.load(self.corpus.folder.path / "blocks.npy", mmap_mode="r")[low:high])
        chosen = np.load(self.corpus.folder.path / "sampled.npy", mmap_mode="r")
        sampled = np.zeros(len(block), bool)
        sampled[chosen[np.searchsorted(chosen, low) : np.searchsorted(chosen, high)] - low] = True
        files, rows = 0, len(block)
        if sampled.any() or (block >= 0).any():
            files = self._sets(part, block, sampled)
        return self.corpus.folder.finish_part(part, {"rows": rows, "pieces": files}, self._mark)

    def _sets(self, part: int, block: np.ndarray, sampled: np.ndarray) -> int:
        op, at, files, held, size = self.step.op, 0, 0, [], 0
        assert isinstance(op, Operator) and op.evidence is not None
        settings = {**self.step.settings, **resources.load(self.pins)}
        for batch in self.before.read(part, [self.step.text_key]):
            rows = np.arange(at, at + len(batch))
            at += len(batch)
            rows = rows[(block[rows] >= 0) | sampled[rows]]
            if not len(rows):
                continue
            asked = batch.take(pa.array(rows - (at - len(batch))))
            text = texts(asked, self.step.text_key, f"step {self.step.number} ({self.step.name})")
            held.append(pa.table({"row": rows, "set": op.evidence(text, **settings)}))
            size += held[-1].nbytes
            if size > self.corpus.memory // 4:
                self._write(part, files, pa.concat_tables(held), block, sampled)
                files, held, size = files + 1, [], 0
        if held:
            self._write(part, files, pa.concat_tables(held), block, sampled)
        return files + bool(held)

    def _write(self, part: int, number: int, table: pa.Table, block: np.ndarray, sampled: np.ndarray) -> None:
        rows = np.array(table.column("row"))
        inside, also = np.flatnonzero(block[rows] >= 0), np.flatnonzero(sampled[rows])
        order = np.append(inside[np.argsort(block[rows[inside]], kind="stable")], also)
        bounds = np.searchsorted(np.sort(block[rows[inside]]), np.arange(self.blocks + 1))
        told = table.take(pa.array(order)).combine_chunks()
        write_arrow(piece(self.corpus.folder, "sets", part, number), told, np.append(bounds, len(order)))


@dataclass(frozen=True)
class Sets:
    """The sets of one block.

    Attributes:
        rows: int64[m], ascending: whose they are.
        lists: (values, start, end) by place in `rows`.
        relieve: gives mapped pages back to the operating system.
        most: bytes after which to call it.
    """

    rows: np.ndarray
    lists: edges.Lists
    relieve: Callable[[], None]
    most: int

    @classmethod
    def of(cls, corpus: Corpus, files: Files, block: int) -> "Sets":
        """Gather a block from the sets of all parts: in memory, or where it is too large for that in a mapped file."""
        sizes = [cut_slice(path, block, block + 1) for _, path in files]
        many = sum(len(t) for t in sizes)
        total = sum(int(_ends(t)[-1] - _ends(t)[0]) for t in sizes if len(t))
        del sizes
        values, relieve = _room(corpus.folder.path / "sets" / f"block-{block:05d}", total, corpus.memory)
        rows, end, at, filled = np.empty(many, np.int64), np.empty(many, np.int64), 0, 0
        for part, path in files:
            table = cut_slice(path, block, block + 1)
            if not len(table):
                continue
            ends = _ends(table)
            content = np.asarray(table.column("set").chunk(0).values)[ends[0] : ends[-1]]
            values[filled : filled + len(content)] = content
            rows[at : at + len(table)] = np.array(table.column("row")) + corpus.starts[part]
            end[at : at + len(table)] = filled + (ends[1:] - ends[0])
            at, filled = at + len(table), filled + len(content)
            relieve()
        return cls(rows, (values, np.append(0, end[:-1])[:many], end), relieve, corpus.memory)


def _ends(table: pa.Table) -> np.ndarray:
    return np.asarray(table.column("set").chunk(0).offsets).astype(np.int64)


def _room(path: Path, total: int, memory: int) -> tuple[np.ndarray, Callable[[], None]]:
    """uint64[total] to be filled, and how to give its pages back: mapped from a file at `path` where it passes `memory`."""
    if 8 * total <= memory:
        return np.empty(total, np.uint64), lambda: None
    with path.open("w+b") as f:
        f.truncate(8 * total)
        held = mmap.mmap(f.fileno(), 8 * total)
    path.unlink()  # the mapping keeps it
    return np.frombuffer(held, np.uint64), lambda: held.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class JoinTask:
    """Finds the edges of one block."""

    corpus: Corpus
    sets: Files
    buckets: int
    threshold: float

    def __call__(self, block: int) -> Counts:
        """Write a, b, similarity."""
        held = Sets.of(self.corpus, self.sets, block)
        found = block_buckets(self.corpus, block, self.buckets)
        own = edges.Buckets(found.keys, np.searchsorted(held.rows, found.rows), found.bounds)
        linked = edges.joined(own, held.lists, self.threshold, most=held.most, relieve=held.relieve)
        told = {"a": held.rows[linked.a], "b": held.rows[linked.b], "similarity": linked.similarity}
        write_arrow(self.corpus.folder.file("edges", block, "arrow"), pa.table(told))
        return {"edges": len(linked)}


@dataclass(frozen=True)
class LikenessTask:
    """The similarity of the pairs of one block that `wanted.arrow` asks for."""

    corpus: Corpus
    sets: Files

    def __call__(self, block: int) -> Counts:
        """Write them in the order asked."""
        wanted = cut_slice(self.corpus.folder.path / "wanted.arrow", block, block + 1)
        found = np.empty(len(wanted))
        if len(wanted):
            held = Sets.of(self.corpus, self.sets, block)
            a, b = (np.searchsorted(held.rows, np.array(wanted.column(c))) for c in "ab")
            sizes = 8 * (held.lists[2] - held.lists[1])
            for low, high in edges.stretches(sizes[a] + sizes[b], held.most):
                found[low:high] = similarities(*held.lists, a[low:high], b[low:high])
                held.relieve()
        write_arrow(self.corpus.folder.file("likeness", block, "arrow"), pa.table({"similarity": found}))
        return {"pairs": len(found)}


def set_files(corpus: Corpus, records: list[Counts]) -> Files:
    """All files of sets, from the evidence's records."""
    return tuple((p, piece(corpus.folder, "sets", p, i)) for p, record in enumerate(records) for i in range(record["pieces"]))


def joined(corpus: Corpus, sets: Files, engine: Engine, blocks: int, buckets: int, threshold: float) -> edges.Edges:
    """The verified edges of all blocks."""
    engine.map(JoinTask(corpus, sets, buckets, threshold), range(blocks), lambda _: None)
    found = [read_arrow(corpus.folder.file("edges", b, "arrow")) for b in range(blocks)]
    columns = {"a": np.int64, "b": np.int64, "similarity": np.float64}
    return edges.ascending(*(
        np.concatenate([np.empty(0, kind), *(np.array(t.column(name)) for t in found)]) for name, kind in columns.items()
    ))


def likeness(
    corpus: Corpus, sets: Files, engine: Engine, block: tuple[np.ndarray, int], pairs: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """float64[m]: exact Jaccard of pairs of rows that are in one block each; `block` (of each row, how many)."""
    (block_of, blocks), (a, b) = block, pairs
    if not len(a):
        return np.empty(0)
    order = np.argsort(block_of[a], kind="stable")
    bounds = np.searchsorted(block_of[a][order], np.arange(blocks + 1))
    write_arrow(corpus.folder.path / "wanted.arrow", pa.table({"a": a[order], "b": b[order]}), bounds)
    engine.map(LikenessTask(corpus, sets), range(blocks), lambda _: None)
    found = [np.array(read_arrow(corpus.folder.file("likeness", b, "arrow")).column("similarity")) for b in range(blocks)]
    out = np.empty(len(a))
    out[order] = np.concatenate(found)
    return out
