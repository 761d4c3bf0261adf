"""Deduplication where no process sees all rows, for engines whose workers are elsewhere.

The same keys, evidence, comparisons and rules as in `dedup.py`, and the same answers to the byte; but what is known of all
rows lies in files, cut by *bundles* of parts, and each step is an exchange of narrow tables: part to range of keys (who
shares a key), range to bundle (who is a copy, whose component), part to block (all that decides some components), block to
bundle (who leaves). This process holds the pairs and clusters of duplicates, and nothing of the other rows.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.dedup import edges
from ..engines.base import Counts, Engine
from ..ledger import ID
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder, atomically, write_json, write_table
from .candidates import SET_BYTES, Corpus, same_texts
from .lineage import Lineage
from .outcome import decided
from .tables import keyed_slices, piece, read_arrow, write_arrow

ROWS = 4_000_000  # in a bundle: 8 bytes each in every table of it
BLOCKS = 4096  # at most: each part writes to each; larger ones are mapped from files
FOLDER = "wide"  # of all that is removed afterwards


@dataclass(frozen=True)
class Wide:
    """Where things lie. Picklable.

    Attributes:
        corpus: rows and keys by part.
        before, step, pins: what is deduplicated, and how.
        cuts: first part of each bundle, and the number of parts.
    """

    corpus: Corpus
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]
    cuts: tuple[int, ...]

    @classmethod
    def of(cls, corpus: Corpus, before: Lineage, step: Step, pins: tuple[Pin, ...]) -> "Wide":
        """With bundles of about ROWS rows."""
        cuts, held = [0], 0
        for part, rows in enumerate(corpus.rows):
            if held and held + rows > ROWS:
                cuts, held = [*cuts, part], 0
            held += rows
        return cls(corpus, before, step, pins, (*cuts, len(corpus.rows)))

    @property
    def folder(self) -> StageFolder:
        """Of the tables between the steps."""
        return StageFolder(self.corpus.folder.path / FOLDER)

    @property
    def bundles(self) -> int:
        """How many there are."""
        return len(self.cuts) - 1

    def rows(self, bundle: int) -> tuple[int, int]:
        """The numbers of a bundle's first row, and of the first after it."""
        starts = self.corpus.starts
        return int(starts[self.cuts[bundle]]), int(starts[self.cuts[bundle + 1]])

    def by_bundle(self, table: pa.Table) -> Iterator[tuple[int, pa.RecordBatch]]:
        """A table with a column `row`, cut by bundle."""
        ends = self.corpus.starts[list(self.cuts[1:])]
        yield from by_target(table, np.searchsorted(ends, table.column("row").to_numpy(), side="right"))

    def of_part(self, name: str, part: int) -> np.ndarray:
        """int64[rows of the part]: its share of a table of the bundles."""
        bundle = int(np.searchsorted(self.cuts, part, side="right")) - 1
        low, starts = self.rows(bundle)[0], self.corpus.starts
        column = read_arrow(self.folder.file(name, bundle, "arrow")).column(name)
        return np.array(column.slice(int(starts[part]) - low, self.corpus.rows[part]))

    def meta(self, part: int) -> pa.Table:
        """The rows' own tables of a part: id, length and what else the keys' task wrote."""
        found = [read_arrow(piece(self.corpus.folder, "meta", part, i)) for i in range(self.corpus.pieces[part])]
        return pa.concat_tables(found) if found else pa.table({"id": np.empty(0, np.int64), "length": np.empty(0, np.int32)})

    def keyed(self, kind: str, part: int, ranges: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(range, columns) of a part's keyed tables; rows are numbered through the corpus."""
        paths = [piece(self.corpus.folder, kind, part, i) for i in range(self.corpus.pieces[part])]
        for number, (low, high) in enumerate(ranges):
            for _, columns in keyed_slices(paths, low, high):
                if len(columns["key"]):
                    yield number, columns | {"row": columns["row"] + self.corpus.starts[part]}


def by_target(table: pa.Table, target: np.ndarray) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A table cut by the target of each of its rows, each cut in the table's order."""
    order = np.argsort(target, kind="stable")
    there, begins = np.unique(target[order], return_index=True)
    for number, (low, high) in zip(there.tolist(), pairwise([*begins.tolist(), len(order)]), strict=True):
        for batch in table.take(pa.array(order[low:high])).combine_chunks().to_batches():
            yield number, batch


def gathered(batches: Iterable[pa.RecordBatch], *columns: str) -> list[np.ndarray]:
    """The columns of all batches, int64 where there are none."""
    held = list(batches)
    return [np.concatenate([b.column(c).to_numpy() for b in held]) if held else np.empty(0, np.int64) for c in columns]


@dataclass(frozen=True)
class EmitKeyed:
    """A part's keys or digests, by range; with `own`, those of rows that are no copies."""

    wide: Wide
    kind: str
    ranges: tuple[tuple[int, int], ...]
    own: bool

    def __call__(self, part: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The blocks of a part."""
        low = self.wide.corpus.starts[part]
        first = self.wide.of_part("first", part) if self.own else None
        for number, columns in self.wide.keyed(self.kind, part, self.ranges):
            if first is not None:
                mine = first[columns["row"] - low] == columns["row"]
                columns = {name: column[mine] for name, column in columns.items()}
            yield number, pa.RecordBatch.from_pydict(columns)


@dataclass(frozen=True)
class TakeTwins:
    """The texts of a range of digests that are copies of an earlier one."""

    wide: Wide

    def __call__(self, number: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Write (row, first)."""
        key, check, row = gathered(batches, "key", "check", "row")
        rows, firsts = same_texts({"key": key, "check": check, "row": row} if len(row) else {})
        write_arrow(self.wide.folder.file("same", number, "arrow"), pa.table({"row": rows, "first": firsts}))
        return {"edges": len(rows)}


@dataclass(frozen=True)
class TakeLinks:
    """The rows of a range of keys that share one: an edge from each to the first of its bucket."""

    wide: Wide

    def __call__(self, number: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Write (a, b)."""
        key, row = gathered(batches, "key", "row")
        found = edges.grouped(key.astype(np.uint64), row)
        sizes = np.diff(found.bounds)
        head = np.zeros(len(found.rows), bool)
        head[found.bounds[:-1]] = True
        a = np.repeat(found.rows[found.bounds[:-1]], sizes)[~head]
        write_arrow(self.wide.folder.file("links", number, "arrow"), pa.table({"a": a, "b": found.rows[~head]}))
        return {"edges": len(a)}


@dataclass(frozen=True)
class Edges:
    """All edges of candidates: buckets of ranges, then copies of ranges."""

    wide: Wide
    links: int

    def __call__(self, number: int) -> Iterator[pa.RecordBatch]:
        """(a, b) of one file."""
        kind, names = ("links", ("a", "b")) if number < self.links else ("same", ("first", "row"))
        table = read_arrow(self.wide.folder.file(kind, number - self.links * (kind == "same"), "arrow")).select(names)
        yield from table.rename_columns(["a", "b"]).to_batches()


@dataclass(frozen=True)
class EmitFiles:
    """Tables with a column `row`, by bundle."""

    wide: Wide
    files: tuple[Path, ...]

    def __call__(self, number: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The blocks of one file."""
        path = self.files[number]
        yield from self.wide.by_bundle(pq.read_table(path) if path.suffix == ".parquet" else read_arrow(path))


@dataclass(frozen=True)
class TakeColumn:
    """A number for each row of a bundle: the row itself, or -1 (`alone`), where no table has one."""

    wide: Wide
    name: str
    alone: bool

    def __call__(self, bundle: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Write it; answer how many rows have one, and what their evidence will weigh, in bytes."""
        row, value = gathered(batches, "row", self.name)
        low, high = self.wide.rows(bundle)
        column = np.full(high - low, -1) if self.alone else np.arange(low, high)
        column[row - low] = value
        write_arrow(self.wide.folder.file(self.name, bundle, "arrow"), pa.table({self.name: column}))
        return {"rows": len(row), "weight": self._weight(bundle, column) if self.alone else 0}

    def _weight(self, bundle: int, column: np.ndarray) -> int:
        low, weight = self.wide.rows(bundle)[0], 0
        for part in range(*self.wide.cuts[bundle : bundle + 2]):
            begin = int(self.wide.corpus.starts[part]) - low
            there = column[begin : begin + self.wide.corpus.rows[part]] >= 0
            weight += int((self.wide.meta(part).column("length").to_numpy()[there].astype(np.int64) * SET_BYTES + 64).sum())
        return weight


def linked(wide: Wide, engine: Engine) -> int:
    """Write who is a copy of whom and which component of candidates each row is in; answer the number of blocks."""
    corpus, parts = wide.corpus, range(len(wide.corpus.rows))
    twins, keys = tuple(corpus.ranges("twins")), tuple(corpus.ranges("keys"))
    copies = engine.exchange(EmitKeyed(wide, "twins", twins, own=False), parts, TakeTwins(wide), len(twins))
    same = tuple(wide.folder.file("same", n, "arrow") for n in range(len(twins)))
    engine.exchange(EmitFiles(wide, same), range(len(same)), TakeColumn(wide, "first", alone=False), wide.bundles)
    shared = engine.exchange(EmitKeyed(wide, "keys", keys, own=True), parts, TakeLinks(wide), len(keys))
    many = sum(c["edges"] for c in (*copies, *shared))
    files = tuple(engine.roots(Edges(wide, len(keys)), len(keys) + len(twins), many, wide.folder.path))
    told = engine.exchange(EmitFiles(wide, files), range(len(files)), TakeColumn(wide, "root", alone=True), wide.bundles)
    # blocks are drawn by a hash, so some are larger than others: half full on average
    return min(BLOCKS, math.ceil(2 * sum(c["weight"] for c in told) / corpus.memory)) if many else 0


@dataclass(frozen=True)
class TakeDecisions:
    """Who leaves, of one bundle."""

    wide: Wide
    verified: bool

    def __call__(self, bundle: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Write the decisions, a row group for each part."""
        row, ids, kept, value = gathered(batches, "row", "id", "kept_id", "value")
        order = np.argsort(row)
        row, ids, kept, value = (column[order] for column in (row, ids, kept, value))
        first, end = self.wide.cuts[bundle : bundle + 2]
        cuts = np.searchsorted(row, self.wide.corpus.starts[first : end + 1]).tolist()

        def groups(path: Path) -> None:
            none = decided(self.wide.step, ids[:0], kept[:0], value[:0].astype(float), self.verified)
            with pq.ParquetWriter(path, none.schema, compression="zstd", compression_level=1) as writer:
                for low, high in pairwise(cuts):
                    table = decided(self.wide.step, ids[low:high], kept[low:high], value[low:high], self.verified)
                    writer.write_table(table, row_group_size=max(len(table), 1))

        atomically(self.wide.folder.file("decided", bundle), groups)
        return {"rows": len(row)}


def write(wide: Wide, engine: Engine, blocks: int, verified: bool, facts: Counts) -> None:
    """Write pairs.parquet, clusters.parquet, facts.json and, last, decisions.parquet, from what the blocks have found."""
    path = wide.corpus.folder.path
    files = tuple(wide.folder.file("leaves", b, "arrow") for b in range(blocks))
    engine.exchange(EmitFiles(wide, files), range(blocks), TakeDecisions(wide, verified), wide.bundles)
    nobody = np.empty(0, np.int64)
    pairs = pa.concat_tables([pa.table({"a": nobody, "b": nobody, "similarity": nobody.astype(float), "x": nobody, "y": nobody}),
                              *(read_arrow(wide.folder.file("pairs", b, "arrow")) for b in range(blocks))])
    pairs = pairs.sort_by([("x", "ascending"), ("y", "ascending")]).select(["a", "b", "similarity"])
    write_table(path / "pairs.parquet", pairs)
    members = pa.concat_tables([pa.table({ID: nobody, "cluster": nobody, "kept_id": nobody}),
                                *(read_arrow(wide.folder.file("clusters", b, "arrow")) for b in range(blocks))])
    write_table(path / "clusters.parquet", members.sort_by([("cluster", "ascending"), (ID, "ascending")]))
    write_json(path / "facts.json", facts | {"pairs": len(pairs)})

    def together(target: Path) -> None:
        with pq.ParquetWriter(target, _schema(wide, verified), compression="zstd", compression_level=1) as writer:
            for bundle in range(wide.bundles):
                with pq.ParquetFile(wide.folder.file("decided", bundle)) as file:
                    for group in range(file.num_row_groups):
                        table = file.read_row_group(group)
                        writer.write_table(table, row_group_size=max(len(table), 1))

    atomically(path / "decisions.parquet", together)


def _schema(wide: Wide, verified: bool) -> pa.Schema:
    nobody = np.empty(0, np.int64)
    return decided(wide.step, nobody, nobody, nobody.astype(float), verified).schema
