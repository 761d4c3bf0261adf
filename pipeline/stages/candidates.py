"""Which rows of a corpus share keys, found range by range of the keys, and packed into blocks that are decided apart.

Rows are numbered through the corpus, in the order of parts. Texts that are equal as they stand are one row from here on
(`firsts`): a million copies cost no more than one. Candidates of different connected components never meet, so a block,
some whole components, is all that a worker must hold to decide them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...operators.dedup import components, edges
from ..engines.base import Counts, Engine
from ..errors import TamisError
from ..workspace import StageFolder, atomically
from .tables import cut_slice, key_counts, key_ranges, keyed_slices, piece, read_arrow, write_arrow

MEMORY = 256 << 20  # bytes of narrow tables that each worker holds at a time, whatever the size of the corpus
KEY_BYTES = 64  # in memory for each key while its range is searched
SET_BYTES = 4  # of a shingle set for each code point of its text, at most where tokens have two or more


@dataclass(frozen=True)
class Corpus:
    """All rows that reach a deduplicator: which part has which numbers, and where its narrow tables lie. Picklable.

    Attributes:
        folder: the stage's.
        rows, pieces: of each part.
        memory: bytes of narrow tables that a worker may hold.
        probed: whether each row's smallest shingle is known.
    """

    folder: StageFolder
    rows: tuple[int, ...]
    pieces: tuple[int, ...]
    memory: int
    probed: bool = False

    @cached_property
    def starts(self) -> np.ndarray:
        """int64[parts + 1]: number of each part's first row, and of all rows."""
        return np.append(0, np.cumsum(np.array(self.rows, np.int64)))

    @property
    def count(self) -> int:
        """Rows in all parts."""
        return int(self.starts[-1])

    def files(self, kind: str) -> list[tuple[int, Path]]:
        """(part, path) of every piece of a table."""
        return [(p, piece(self.folder, kind, p, i)) for p, pieces in enumerate(self.pieces) for i in range(pieces)]

    def column(self, name: str) -> np.ndarray:
        """A column of the rows' own tables for all rows, in their order."""
        found = [np.array(read_arrow(path).column(name)) for _, path in self.files("meta")]
        return np.concatenate(found) if found else np.empty(0)

    def ranges(self, kind: str) -> list[tuple[int, int]]:
        """Ranges of keys that a worker can hold, ascending."""
        return key_ranges(key_counts([path for _, path in self.files(kind)]), max(1, self.memory // KEY_BYTES))

    def keyed(self, kind: str, low: int, high: int) -> dict[str, np.ndarray]:
        """The columns of a keyed table for a range of keys; rows are numbered through the corpus, int64."""
        files, found = self.files(kind), []
        for number, columns in keyed_slices([path for _, path in files], low, high):
            found.append(columns | {"row": columns["row"] + self.starts[files[number][0]]})
        return {name: np.concatenate([f[name] for f in found]) for name in found[0]} if found else {}


@dataclass(frozen=True)
class TwinsTask:
    """Finds the texts of one range of digests that are equal to an earlier one."""

    corpus: Corpus
    ranges: tuple[tuple[int, int], ...]

    def __call__(self, number: int) -> Counts:
        """Write (row, first) for each such text."""
        rows, firsts = same_texts(self.corpus.keyed("twins", *self.ranges[number]))
        write_arrow(self.corpus.folder.file("same", number, "arrow"), pa.table({"row": rows, "first": firsts}))
        return {"rows": len(rows)}


def same_texts(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(row, first) int64: the rows of a table of digests (key, check) that have the digest of an earlier row, and that row."""
    same = edges.grouped(table["key"], np.arange(len(table["key"]))) if table else None
    if same is None or not len(same):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = same.rows  # by key; the other half of the digest decides, then the smallest row
    key, check, row = table["key"][order], table["check"][order], table["row"][order]
    order = np.lexsort((row, check, key))
    key, check, row = key[order], check[order], row[order]
    fresh = np.append(True, (key[1:] != key[:-1]) | (check[1:] != check[:-1]))
    first = row[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
    return row[~fresh], first[~fresh]


def firsts(corpus: Corpus, engine: Engine) -> np.ndarray:
    """uint32[n]: the first row whose text is equal to that of each row, which may be itself; also left as `first.npy`."""
    if corpus.count >= 1 << 32:
        raise TamisError(f"{corpus.count:,} rows: one deduplicator compares up to 4,294,967,295; split the corpus")
    ranges = tuple(corpus.ranges("twins"))
    engine.map(TwinsTask(corpus, ranges), range(len(ranges)), _unheard)
    first = np.arange(corpus.count, dtype=np.uint32)
    for number in range(len(ranges)):
        found = read_arrow(corpus.folder.file("same", number, "arrow"))
        first[np.array(found.column("row"))] = np.array(found.column("first"))
    save(corpus.folder.path / "first.npy", first)
    return first


@dataclass(frozen=True)
class BucketsTask:
    """Finds the keys of one range that rows with different texts share."""

    corpus: Corpus
    ranges: tuple[tuple[int, int], ...]

    def __call__(self, number: int) -> Counts:
        """Write key and rows of each bucket."""
        table = self.corpus.keyed("keys", *self.ranges[number])
        if table:
            first = np.load(self.corpus.folder.path / "first.npy", mmap_mode="r")
            own = first[table["row"]] == table["row"]
            keys, rows = table.pop("key")[own], table.pop("row")[own]
        else:
            keys, rows = np.empty(0, np.uint64), np.empty(0, np.int64)
        found = edges.grouped(keys, rows)
        write_arrow(self.corpus.folder.file("buckets", number, "arrow"), as_table(found))
        return {"buckets": len(found)}


@dataclass(frozen=True)
class SortTask:
    """Sorts the buckets of one range of keys by the block that their rows are in."""

    corpus: Corpus
    blocks: int

    def __call__(self, number: int) -> Counts:
        """Write them anew, cut by block; within a block they ascend by key, as before."""
        table = read_arrow(self.corpus.folder.file("buckets", number, "arrow"))
        block_of = np.load(self.corpus.folder.path / "blocks.npy", mmap_mode="r")
        found = as_buckets(table)
        block = block_of[found.rows[found.bounds[:-1]]]
        order = np.argsort(block, kind="stable")
        bounds = np.searchsorted(block[order], np.arange(self.blocks + 1))
        write_arrow(self.corpus.folder.file("sorted", number, "arrow"), table.take(pa.array(order)), bounds)
        return {}


def buckets(corpus: Corpus, engine: Engine) -> int:
    """Write the buckets of all keys; answers into how many files, ascending by key."""
    ranges = tuple(corpus.ranges("keys"))
    engine.map(BucketsTask(corpus, ranges), range(len(ranges)), _unheard)
    return len(ranges)


def spanned(corpus: Corpus, files: int) -> tuple[np.ndarray, edges.Edges]:
    """(parent int64[n], edges): the forest of all candidates, and the edges (not verified) that span it."""
    parent, found = np.arange(corpus.count), []
    for number in range(files):
        held = as_buckets(read_arrow(corpus.folder.file("buckets", number, "arrow")))
        found.append(edges.spanned(held, parent))
    a, b, none = (np.concatenate(column) for column in zip(*found, strict=True)) if found else (parent[:0], parent[:0], np.empty(0))
    return parent, edges.ascending(a, b, none)


def blocks(corpus: Corpus, engine: Engine, parent: np.ndarray, files: int) -> tuple[np.ndarray, int]:
    """(block int32[n], how many): rows that share a key, in blocks whose sets fit memory; -1 for the others.

    Also left as `blocks.npy`, and the buckets are sorted by them.
    """
    weight = corpus.column("length").astype(np.int64) * SET_BYTES + 64
    block = components.packed(parent, weight, corpus.memory)
    many = int(block.max(initial=-1)) + 1
    save(corpus.folder.path / "blocks.npy", block)
    if many:
        engine.map(SortTask(corpus, many), range(files), _unheard)
    return block, many


def block_buckets(corpus: Corpus, block: int, files: int) -> edges.Buckets:
    """The buckets of one block, ascending by key."""
    paths = [corpus.folder.file("sorted", number, "arrow") for number in range(files)]
    return as_buckets(pa.concat_tables([cut_slice(path, block, block + 1) for path in paths]))


def as_table(found: edges.Buckets) -> pa.Table:
    """Buckets as a table of (key, rows)."""
    rows = pa.LargeListArray.from_arrays(pa.array(found.bounds), pa.array(found.rows.astype(np.uint32)))
    return pa.table({"key": found.keys, "rows": rows})


def as_buckets(table: pa.Table) -> edges.Buckets:
    """What `as_table` wrote."""
    rows = table.column("rows").combine_chunks()
    bounds = np.append(0, np.cumsum(np.diff(np.array(rows.offsets)))) if len(rows) else np.zeros(1, np.int64)
    return edges.Buckets(np.array(table.column("key")), np.array(rows.flatten()).astype(np.int64), bounds)


def save(path: Path, array: np.ndarray) -> None:
    """Write an array that other processes map."""
    atomically(path, lambda tmp: _write(tmp, array))


def _write(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as sink:
        np.save(sink, array)


def _unheard(_: Counts) -> None:
    """Steps over ranges of keys and blocks are no parts of the corpus, so nobody counts them."""
