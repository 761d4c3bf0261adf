"""What decides some components of candidates, brought together in a block, and what is decided there: `wide.py`'s middle."""

import mmap
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...operators.base import Operator
from ...operators.dedup import edges, keep
from ...operators.dedup.components import components
from ...operators.kernels.buckets import pairs_within
from ...operators.kernels.jaccard import similarities
from .. import resources
from ..engines.base import Counts, Engine
from ..ledger import ID
from . import recall, wide
from .candidates import _unheard
from .lineage import texts
from .outcome import keeping, likeness_of
from .tables import RANGES, write_arrow
from .wide import Wide, by_target

ALL = ((0, RANGES),)
_NO_ROWS = pa.table({name: np.empty(0, np.int64) for name in ("row", "first", "id", "length", "score")})


@dataclass(frozen=True)
class DrawTask:
    """Of the rows of a part whose smallest shingle is known and that are no copies: how many; or with `share`, those drawn."""

    wide: Wide
    share: float | None = None

    def __call__(self, part: int) -> Counts:
        """Count them, or answer row, smallest shingle and length of each."""
        meta, low = self.wide.meta(part), int(self.wide.corpus.starts[part])
        smallest = np.array(meta.column("smallest")) if len(meta) else np.empty(0, np.uint64)
        own = self.wide.of_part("first", part) == np.arange(low, low + len(smallest))
        chosen = np.flatnonzero(own & (smallest != recall._NONE))
        if self.share is None:
            return {"rows": len(chosen)}
        if self.share < 1.0:
            chosen = chosen[(smallest[chosen] & np.uint64(0xFFFFFFFF)) < self.share * 2.0**32]
        length = np.array(meta.column("length"))[chosen]
        return {"row": (chosen + low).tolist(), "smallest": smallest[chosen].tolist(), "length": length.tolist()}


def drawn(found: Wide, engine: Engine) -> recall.Sample:
    """As of `recall.sample`."""
    nobody = np.empty(0, np.int64)
    parts = range(len(found.corpus.rows))
    if not found.corpus.probed or not found.corpus.count:
        return recall.Sample(nobody, nobody, nobody)
    many = sum(c["rows"] for c in engine.map(DrawTask(found), parts, _unheard))
    told = engine.map(DrawTask(found, min(1.0, recall.ROWS / max(many, 1))), parts, _unheard)
    kinds = {"row": np.int64, "smallest": np.uint64, "length": np.int64}
    row, smallest, length = (np.concatenate([np.array(c[k], t) for c in told]) for k, t in kinds.items())
    groups = edges.grouped(smallest, np.arange(len(row)))
    a, b = pairs_within(*recall._affordable(groups, length), recall.REACH, recall.PAIRS)
    return recall.Sample(row[a], row[b], row[np.union1d(a, b)])


@dataclass(frozen=True)
class EmitBlocks:
    """All that is known of a part's candidates, by block; the sets of sampled rows go to one block more."""

    wide: Wide
    blocks: int
    verified: bool
    sampled: np.ndarray

    def __call__(self, part: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows (row, id, first, length and what the keep rule asks), keys (key, at) and sets (of, set)."""
        low = int(self.wide.corpus.starts[part])
        first, root = self.wide.of_part("first", part), self.wide.of_part("root", part)
        rows = np.arange(low, low + len(root))
        block = np.where(root < 0, -1, (_mixed(root) % np.uint64(max(self.blocks, 1))).astype(np.int64))
        linked = np.flatnonzero(block >= 0)
        if len(linked):
            meta = self.wide.meta(part).append_column("row", pa.array(rows)).append_column("first", pa.array(first))
            yield from by_target(meta.take(pa.array(linked)), block[linked])
            for _, columns in self.wide.keyed("keys", part, ALL):
                mine = (block[columns["row"] - low] >= 0) & (first[columns["row"] - low] == columns["row"])
                table = pa.table({"key": columns["key"][mine], "at": columns["row"][mine]})
                yield from by_target(table, block[table.column("at").to_numpy() - low])
        inside, also = (block >= 0) & (first == rows), np.isin(rows, self.sampled)
        if self.verified and (inside.any() or also.any()):
            yield from self._sets(part, low, block, inside, also)

    def _sets(
        self, part: int, low: int, block: np.ndarray, inside: np.ndarray, also: np.ndarray
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        step, at = self.wide.step, 0
        op, handed = step.op, resources.load(self.wide.pins)
        assert isinstance(op, Operator) and op.evidence is not None
        for batch in self.wide.before.read(part, [step.text_key]):
            asked = np.flatnonzero((inside | also)[at : at + len(batch)])
            if len(asked):
                text = texts(batch.take(pa.array(asked)), step.text_key, f"step {step.number} ({step.name})")
                table = pa.table({"of": asked + at + low, "set": op.evidence(text, **step.settings, **handed)})
                for mask, target in ((inside, block), (also, np.full(len(also), self.blocks))):
                    here = np.flatnonzero(mask[asked + at])
                    yield from by_target(table.take(pa.array(here)), target[asked[here] + at])
            at += len(batch)


def _mixed(root: np.ndarray) -> np.ndarray:
    """uint64[n]: neighbouring roots far apart."""
    h = root.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(32))


class _Store:
    """uint64 values one after another: in memory, or past `most` bytes in a file that is mapped."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most, self.held, self.size = folder, most, list[np.ndarray](), 0
        self.file: Any = None

    def add(self, values: np.ndarray) -> None:
        self.held.append(values)
        self.size += len(values)
        if 8 * sum(map(len, self.held)) > self.most:
            self._spill()

    def _spill(self) -> None:
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 (lives until it is mapped)
        for values in self.held:
            self.file.write(np.ascontiguousarray(values))
        self.held = []

    def whole(self) -> tuple[np.ndarray, Callable[[], None]]:
        """(values, how to give their pages back)."""
        if self.file is None:
            return np.concatenate([np.empty(0, np.uint64), *self.held]), lambda: None
        self._spill()
        self.file.flush()
        with self.file:
            mapped = mmap.mmap(self.file.fileno(), 8 * self.size)
        return np.frombuffer(mapped, np.uint64), lambda: mapped.madvise(mmap.MADV_DONTNEED)


class _Gathered:
    """The tables of a block by kind, and the sets one after another."""

    def __init__(self, batches: Iterator[pa.RecordBatch], folder: Path, most: int) -> None:
        store, of, sizes = _Store(folder, most), [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        self.rows: list[pa.RecordBatch] = []
        self.keys: list[pa.RecordBatch] = []
        for batch in batches:
            if "set" not in batch.schema.names:
                (self.keys if "key" in batch.schema.names else self.rows).append(batch)
                continue
            values, start, end = edges.lists(batch.column("set"))
            store.add(values[start[0] : end[-1]] if len(start) else values[:0])
            of.append(batch.column("of").to_numpy())
            sizes.append(end - start)
        self.of, size = np.concatenate(of), np.concatenate(sizes)
        self.values, self.relieve = store.whole()
        self.end = np.cumsum(size)
        self.start = self.end - size

    def lists(self, rows: np.ndarray) -> edges.Lists:
        """The sets of these rows (ascending); empty for a row without one."""
        start, end = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        place = np.searchsorted(rows, self.of)
        start[place], end[place] = self.start, self.end
        return self.values, start, end


@dataclass(frozen=True)
class TakeBlock:
    """Decides the components of one block; the block after the last compares the sampled pairs."""

    wide: Wide
    blocks: int
    verified: bool
    sample: recall.Sample

    def __call__(self, block: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Write who leaves for whom, pairs and clusters; or the likeness of the sampled pairs."""
        memory = self.wide.corpus.memory
        held = _Gathered(batches, self.wide.folder.path, memory)
        if block == self.blocks:
            a, b = (np.searchsorted(self.sample.rows, rows) for rows in (self.sample.a, self.sample.b))
            found = similarities(*held.lists(self.sample.rows), a, b)
            write_arrow(self.wide.folder.file("sampled", 0, "arrow"), pa.table({"similarity": found}))
            return {"clusters": 0, "largest": 0, "labels": []}
        table = pa.Table.from_batches(held.rows).sort_by("row") if held.rows else _NO_ROWS
        rows = table.column("row").to_numpy().astype(np.int64)
        first = np.searchsorted(rows, table.column("first").to_numpy())
        key, at = wide.gathered(held.keys, "key", "at")
        buckets = edges.grouped(key.astype(np.uint64), np.searchsorted(rows, at))
        lists = held.lists(rows)
        if self.verified:
            threshold = float(self.wide.step.settings.get("jaccard_threshold", 1.0))
            linked = edges.joined(buckets, lists, threshold, most=memory, relieve=held.relieve)
        else:
            linked = edges.ascending(*edges.spanned(buckets, np.arange(len(rows))))
        labels = components(linked.a, linked.b, len(rows))[first]
        likeness = (lambda a, b: similarities(*lists, a, b)) if self.verified else None
        counts = self._written(block, table, (rows, first, labels), linked, likeness)
        seen = np.flatnonzero(np.isin(rows, self.sample.rows))
        return counts | {"labels": [rows[seen].tolist(), rows[labels[seen]].tolist()]}

    def _written(
        self, block: int, table: pa.Table, found: tuple[np.ndarray, np.ndarray, np.ndarray], linked: edges.Edges,
        likeness: Callable[[np.ndarray, np.ndarray], np.ndarray] | None,
    ) -> Counts:
        (rows, first, labels), ids, folder = found, table.column("id").to_numpy().astype(np.int64), self.wide.folder
        twins = np.flatnonzero(first != np.arange(len(first)))
        unknown = np.nan if likeness is None else 1.0
        pairs = edges.ascending(np.append(linked.a, first[twins]), np.append(linked.b, twins),
                                np.append(linked.similarity, np.full(len(twins), unknown)))
        write_arrow(folder.file("pairs", block, "arrow"), pa.table(
            {"a": ids[pairs.a], "b": ids[pairs.b], "similarity": pairs.similarity, "x": rows[pairs.a], "y": rows[pairs.b]}))
        sizes = np.bincount(labels, minlength=1)
        together = np.flatnonzero(sizes[labels] > 1)
        rule, by = keeping(self.wide.step, lambda name: table.column(name).to_numpy()[together])
        kept = together[keep.kept(np.searchsorted(together, labels[together]), rule=rule, **by)]
        write_arrow(folder.file("clusters", block, "arrow"), pa.table(
            {ID: ids[together], "cluster": ids[labels[together]], "kept_id": ids[kept]}))
        leaves, stays = together[kept != together], kept[kept != together]
        value = np.full(len(leaves), np.nan)
        if likeness is not None:
            value = likeness_of(linked, first[leaves], first[stays], likeness)
        write_arrow(folder.file("leaves", block, "arrow"), pa.table(
            {"row": rows[leaves], "id": ids[leaves], "kept_id": ids[stays], "value": value}))
        return {"clusters": int((sizes > 1).sum()), "largest": int(sizes[sizes > 1].max(initial=0))}


def decide(found: Wide, engine: Engine) -> None:
    """The whole of it: from the keys to decisions.parquet."""
    step = found.step
    assert isinstance(step.op, Operator)
    verified = step.op.evidence is not None and bool(step.settings.get("verify", True))
    facts = recall.expected(step)
    blocks = wide.linked(found, engine)
    nobody = np.empty(0, np.int64)
    sample = drawn(found, engine) if verified else recall.Sample(nobody, nobody, nobody)
    emit, take = EmitBlocks(found, blocks, verified, sample.rows), TakeBlock(found, blocks, verified, sample)
    told: list[Counts] = []
    if blocks or len(sample.rows):
        told = engine.exchange(emit, range(len(found.corpus.rows)), take, blocks + bool(len(sample.rows)))
    if len(sample.rows):
        facts |= recall.of_likeness(*_of_sample(found, sample, told), facts)
    facts |= {"clusters": sum(c["clusters"] for c in told), "largest": max((c["largest"] for c in told), default=0)}
    wide.write(found, engine, blocks, verified, facts)


def _of_sample(found: Wide, sample: recall.Sample, told: list[Counts]) -> tuple[np.ndarray, np.ndarray]:
    """(likeness of each sampled pair, whether it ended in one cluster)."""
    labels = sample.rows.copy()
    for rows, label in (c["labels"] for c in told if c["labels"]):
        labels[np.searchsorted(sample.rows, rows)] = label
    likeness = wide.read_arrow(found.folder.file("sampled", 0, "arrow")).column("similarity").to_numpy()
    a, b = (labels[np.searchsorted(sample.rows, rows)] for rows in (sample.a, sample.b))
    return likeness, a == b
