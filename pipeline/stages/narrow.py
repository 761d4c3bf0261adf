"""The second half of every corpus-wide stage: what was decided by row id becomes ledger lines, part by part."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import ledger
from ..decide import excerpt
from ..errors import LostRowError
from ..ledger import ID, KEY_COLUMNS
from ..workspace import StageFolder, sound, write_table
from .lineage import Lineage, read, texts
from .rows import by_step, write_narrow

# A decision: who leaves, and what its ledger line says besides.
DECISION = pa.schema([f for f in ledger.SCHEMA if f.name in (ID, "reason", "stat", "value", "bound", "kept_id", "note")])


def decisions(ids: np.ndarray, **columns: Any) -> pa.Table:
    """A table of decisions, sorted by id; a column is an array, or one value for all; those not given, and NaN, are null."""
    n = len(ids)

    def column(name: str, kind: pa.DataType) -> pa.Array:
        value = ids if name == ID else columns.get(name)
        if isinstance(value, np.ndarray | list | pa.Array):
            return pa.array(value, kind, from_pandas=isinstance(value, np.ndarray))
        return pa.repeat(pa.scalar(value, kind), n)

    return pa.table([column(f.name, f.type) for f in DECISION], schema=DECISION).sort_by(ID)


@dataclass(frozen=True)
class LedgerTask:
    """Writes the ledger lines of one part for a stage whose decisions.parquet is complete.

    With `by_part`, that file has a row group for each part, with its own rows' decisions; else all parts read all of it.
    """

    folder: StageFolder
    before: Lineage
    step: int
    op: str
    text_key: str
    by_part: bool = False

    @property
    def decisions(self) -> Path:
        """Where the stage keeps its decisions."""
        return self.folder.path / "decisions.parquet"

    def __call__(self, part: int) -> dict[str, Any]:
        """Do the part, unless it is done."""
        known = self.folder.part_record(part)
        return known if known is not None else self._do(part)

    def _do(self, part: int) -> dict[str, Any]:
        decided = read_group(self.decisions, part) if self.by_part else read(self.decisions)
        gone = decided.column(ID).to_numpy()
        lines, rows_in, rows_out = [], 0, 0
        for batch in self.before.read(part, [self.text_key]):
            ids = batch.column(ID).to_numpy()
            at = np.minimum(np.searchsorted(gone, ids), max(len(gone) - 1, 0))
            leaves = gone[at] == ids if len(gone) else np.zeros(len(ids), bool)
            rows_in, rows_out = rows_in + len(ids), rows_out + int((~leaves).sum())
            if leaves.any():
                lines.append(self._lines(batch.filter(pa.array(leaves)), decided.take(pa.array(at[leaves]))))
        left = pa.concat_tables(lines) if lines else ledger.SCHEMA.empty_table()
        if rows_in != rows_out + len(left):
            told = f"{rows_in} rows in, {rows_out} out, {len(left)} in the ledger"
            raise LostRowError(f"step {self.step} ({self.op}), part {part}: {told}")
        write_narrow(self.folder, "ledger", part, left)
        return self.folder.finish_part(part, {"rows_in": rows_in, "rows_out": rows_out, "left": len(left), "by": by_step(left)})

    def _lines(self, rows: pa.RecordBatch, decided: pa.Table) -> pa.Table:
        n = len(rows)
        told: dict[str, Any] = {c: rows.column(c) for c in KEY_COLUMNS}
        told |= {f.name: decided.column(f.name) for f in DECISION if f.name != ID}
        told |= {"step": pa.repeat(pa.scalar(self.step, pa.int32()), n), "op": pa.repeat(self.op, n)}
        told["excerpt"] = excerpt(self._texts(rows))
        return pa.Table.from_pydict(told, schema=ledger.SCHEMA)

    def _texts(self, rows: pa.RecordBatch) -> pa.Array:
        if self.text_key in rows.schema.names and pa.types.is_list(rows.column(self.text_key).type):  # grouped rows
            return rows.column(self.text_key)
        return texts(rows, self.text_key, f"step {self.step} ({self.op})")


def read_group(path: Path, group: int) -> pa.Table:
    """One row group of a file that a finished stage left. Raises StaleError where it is gone or damaged."""
    with sound(path), pq.ParquetFile(path) as file:
        return file.read_row_group(group)


def write_decisions(folder: StageFolder, table: pa.Table) -> None:
    """Write decisions.parquet: from here on, the stage only writes its ledger."""
    write_table(folder.path / "decisions.parquet", table)
