"""Examples: the page's sections ask for rows by id; where each lies and how it begins is looked up for all at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..batch import excerpt
from ..ledger import ID, POSITION, SOURCE
from ..workspace import StageFolder


@dataclass
class Example:
    """One row shown to people; `where` and `excerpt` are filled in by `Shelf.fill`."""

    id: int
    value: float | None = None
    label: str = ""
    where: str = ""
    excerpt: str = ""


@dataclass
class Shelf:
    """All examples of a page."""

    examples: list[Example] = field(default_factory=list)

    def take(self, row: int, value: float | None = None, label: str = "") -> Example:
        """An example that will be filled in."""
        self.examples.append(Example(int(row), None if value is None else float(value), label))
        return self.examples[-1]

    def fill(self, folders: Sequence[StageFolder], text_key: str) -> None:
        """Look up place and excerpt of every example, part by part.

        Cost: the ids of all rows are passed over once; text is read only of parts that hold an example, until it is found.
        """
        wanted = pa.array(sorted({e.id for e in self.examples}), pa.int64())
        writers = [f for f in folders if (f.path / "rows").is_dir()]
        if not len(wanted) or not writers:
            return
        where: dict[int, str] = {}
        quoted: dict[int, str] = {}
        files = [*parts(folders[0], "stats"), *(p for f in writers if f.path.match("*-pool-*") for p in parts(f, "rows"))]
        for path in files:  # all that were read, and those that a pool brought
            keys = pq.read_table(path, columns=[ID, SOURCE, POSITION])
            here = keys.filter(pc.is_in(keys.column(ID), wanted))
            if len(here):
                where |= {r[ID]: f"{r[SOURCE]}:{r[POSITION]}" for r in here.to_pylist()}
                quoted |= _quotes(folders, writers[-1], path, here.column(ID), text_key)
        for example in self.examples:
            example.where, example.excerpt = where.get(example.id, ""), quoted.get(example.id, "")


def parts(folder: StageFolder, kind: str) -> list[Path]:
    """A stage's files of one kind, in order of parts."""
    return sorted((folder.path / kind).glob("part-*.parquet"))


def part_number(path: Path) -> int:
    """17 for part-00017.parquet."""
    return int(path.stem.split("-")[1])


def _quotes(
    folders: Sequence[StageFolder], last: StageFolder, part: Path, wanted: pa.ChunkedArray, text_key: str
) -> dict[int, str]:
    """Beginnings of the wanted rows of one part: from the ledger of whichever stage they left at, else from the rows."""
    found: dict[int, str] = {}
    for folder in folders:
        file = folder.file("ledger", part_number(part))
        if file.exists():
            lines = pq.read_table(file, columns=[ID, "excerpt"], filters=pc.field(ID).isin(wanted))
            found |= {r[ID]: r["excerpt"] or "" for r in lines.to_pylist()}
    missing = set(wanted.to_pylist()) - set(found)
    for batch in _texts(last, part_number(part), text_key) if missing else ():
        here = batch.filter(pc.is_in(batch.column(0), pa.array(sorted(missing), pa.int64())))
        beginnings = excerpt(here.column(1)).to_pylist()
        found |= dict(zip(here.column(0).to_pylist(), (b or "" for b in beginnings), strict=True))
        missing -= set(found)
        if not missing:
            break
    return found


def _texts(folder: StageFolder, part: int, text_key: str) -> Iterator[pa.RecordBatch]:
    for piece in folder.pieces(part):
        with pq.ParquetFile(piece) as file:
            if text_key in file.schema_arrow.names:
                yield from file.iter_batches(8192, columns=[ID, text_key])


def by_chance(ids: np.ndarray, count: int) -> np.ndarray:
    """Places of `count` of the ids, the same ones whatever their order: those whose mixed bits are smallest."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    return np.lexsort((ids, mixed))[:count]
