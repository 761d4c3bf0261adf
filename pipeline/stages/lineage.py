"""What stands after a stage: the rows of the last pass that wrote some, less all that narrow stages have since sent away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..columns import find
from ..engines.base import Counts
from ..errors import OperatorError, StaleError
from ..formats.schemas import kind
from ..ledger import ID, KEY_COLUMNS
from ..workspace import StageFolder, sound

Told = Callable[[Counts], None]  # called as each part is done


@dataclass(frozen=True)
class Lineage:
    """Picklable: folders only.

    Attributes:
        rows: the stage that wrote the rows.
        left: later stages whose ledgers take rows away from them.
        numbers: number column -> (stage, kind of file) that holds it.
        vectors: the stage that wrote the vectors, if any.
    """

    rows: StageFolder
    left: tuple[StageFolder, ...] = ()
    numbers: tuple[tuple[str, StageFolder, str], ...] = ()
    vectors: StageFolder | None = None

    def after_rows(self, folder: StageFolder, stats: tuple[str, ...]) -> "Lineage":
        """After a stage that wrote rows anew."""
        return replace(self, rows=folder, left=(), numbers=(*self.numbers, *((s, folder, "stats") for s in stats)))

    def after_grouping(self, folder: StageFolder) -> "Lineage":
        """After a stage that made other rows of them: numbers and vectors were of those before."""
        return Lineage(folder)

    def after_narrow(self, folder: StageFolder) -> "Lineage":
        """After a stage that only sent rows away."""
        return replace(self, left=(*self.left, folder))

    def after_embedding(self, folder: StageFolder) -> "Lineage":
        """After a stage that wrote vectors."""
        return replace(self, vectors=folder, numbers=(*self.numbers, ("num_embedding_tokens", folder, "vectors")))

    def after_pool(self, folder: StageFolder, stats: tuple[str, ...]) -> "Lineage":
        """After a stage that wrote rows, numbers and vectors anew, with those of a pool."""
        numbers = (("num_embedding_tokens", folder, "vectors"), *((s, folder, "stats") for s in stats))
        return Lineage(folder, (), numbers, folder)

    def after_scoring(self, folder: StageFolder, stats: tuple[str, ...]) -> "Lineage":
        """After a stage that wrote numbers beside the rows."""
        return replace(self, numbers=(*self.numbers, *((s, folder, "stats") for s in stats)))

    def gone(self, part: int) -> np.ndarray:
        """int64[m], sorted: ids of this part's rows that narrow stages have sent away."""
        found = [read(f.file("ledger", part), [ID]).column(ID).to_numpy() for f in self.left]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def pieces(self, part: int) -> list[Path]:
        """The row files of a part. Raises StaleError where one is missing."""
        found, told = self.rows.pieces(part), self.rows.part_record(part)
        if told is None or len(found) != told["pieces"]:
            raise StaleError(f"rows of part {part} are missing in {self.rows.path}: remove that folder and run again")
        return found

    def rows_of(self, part: int) -> int:
        """How many rows of a part still stand."""
        return sum(pq.read_metadata(piece).num_rows for piece in self.pieces(part)) - len(self.gone(part))

    def read(self, part: int, columns: list[str] | None = None, batch_rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """The rows of a part that still stand, in order; `columns` besides the key columns (None: all that are there)."""
        gone = self.gone(part)
        wanted = None if columns is None else KEY_COLUMNS + [c for c in columns if c not in KEY_COLUMNS]
        for piece in self.pieces(part):
            with sound(piece), pq.ParquetFile(piece, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_rows, columns=wanted):
                    stays = keep_mask(batch.column(ID).to_numpy(), gone)
                    yield batch if stays.all() else batch.filter(pa.array(stays))

    def number(self, name: str, part: int) -> pa.Table | None:
        """Columns id and `name` for the rows of a part, from the stage that computed it or the data; None if nowhere."""
        for known, folder, where in reversed(self.numbers):
            if known == name:
                return read(folder.file(where, part), [ID, name])
        tables = [read(p, [ID, name]) for p in self.pieces(part) if name in pq.read_schema(p).names]
        return pa.concat_tables(tables, promote_options="permissive") if tables else None


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A file that a finished stage left. Raises StaleError where it is gone or damaged."""
    with sound(path):
        return pq.read_table(path, columns=columns, page_checksum_verification=True)


def texts(batch: pa.RecordBatch, key: str, where: str) -> pa.StringArray:
    """What `key` names of a batch, a column or a field of a struct; where no row has it, nulls.

    Raises OperatorError where it holds something else than text.
    """
    column = find(dict(zip(batch.schema.names, batch.columns, strict=True)), key)
    if column is None or pa.types.is_null(column.type):
        return pa.nulls(len(batch), pa.string())
    if not pa.types.is_string(column.type):
        raise OperatorError(f"{where}: column {key!r} is {kind(column.type)}, not text")
    return column


def keep_mask(ids: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """bool[n]: whether each id is not in the sorted array `gone`."""
    if not len(gone):
        return np.ones(len(ids), bool)
    at = np.minimum(np.searchsorted(gone, ids), len(gone) - 1)
    return gone[at] != ids


def lookup(table: pa.Table, name: str, ids: np.ndarray) -> np.ndarray:
    """float64[n]: the number of each id; NaN where there is none."""
    known = table.column(ID).to_numpy()
    order = np.argsort(known, kind="stable")
    values = pc.cast(table.column(name), pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # 2^53 and more round
    if not len(known):
        return np.full(len(ids), np.nan)
    at = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    return np.where(known[at] == ids, values[at], np.nan)


def part_numbers(lineage: Lineage, part: int, name: str, ids: np.ndarray) -> np.ndarray:
    """float64[n]: the number called `name` of the given rows of a part."""
    table = lineage.number(name, part)
    return np.full(len(ids), np.nan) if table is None else lookup(table, name, ids)
