"""A batch before it is numbered: sorted keys and sets of each part's rows, written where the part is worked on.

A part gives one or more *runs*, folders with the files of a segment but `kept.u64`, which is known last, and with:

    same.u32    for each row, the first row of its run with the same keys and the same set; only that one stores them
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from ...operators.base import Operator
from ...operators.dedup import edges
from .. import resources
from ..engines.base import Counts
from ..ledger import ID, KEY_COLUMNS, KEY_FIELDS
from ..resources import Pin
from ..stages.lineage import Lineage, texts
from ..steps import Step
from ..workspace import StageFolder, atomically
from .columns import FENCE, spans
from .layout import DOCUMENTS

VALUES = 16 << 20  # shingle hashes held before a run is written: 128 MiB
GROUP = 8192  # documents to a row group of documents.parquet


def verified(step: Step) -> bool:
    """Whether sets decide; otherwise keys do."""
    assert isinstance(step.op, Operator)
    return step.op.evidence is not None and bool(step.settings.get("verify", True))


@dataclass(frozen=True)
class RunTask:
    """Writes the runs of one part into `folder`, as of `runs_home`."""

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part, "runs-done") or self._do(part)

    def _do(self, part: int) -> Counts:
        op, rows, handed = self.step.op, list[int](), resources.load(self.pins)
        assert isinstance(op, Operator)
        held: list[tuple[pa.RecordBatch, pa.ListArray, pa.ListArray | None]] = []
        values = 0
        for batch in self.before.read(part, [self.step.text_key]):
            text = texts(batch, self.step.text_key, f"step {self.step.number} ({self.step.name})")
            keys = op.function(text, **self.step.settings, **handed)
            sets = op.evidence(text, **self.step.settings, **handed) if op.evidence and verified(self.step) else None
            held.append((batch.select(KEY_COLUMNS), keys, sets))
            values += len(keys.values) + (0 if sets is None else len(sets.values))
            if values >= VALUES:
                rows.append(write_run(run_folder(self.folder, part, len(rows)), held))
                held, values = [], 0
        if held:
            rows.append(write_run(run_folder(self.folder, part, len(rows)), held))
        return self.folder.finish_part(part, {"rows": sum(rows), "runs": rows}, "runs-done")


def runs_home(folder: StageFolder) -> StageFolder:
    """Where the runs of a stage lie: beside it, in a folder that is cleared away when the whole run is done."""
    number, _, fingerprint = folder.path.name.split("-")
    return StageFolder(folder.path.with_name(f"{number}-runs-{fingerprint}"))


def run_folder(folder: StageFolder, part: int, number: int) -> Path:
    """The folder of one run; `folder` as of `runs_home`."""
    return folder.path / "runs" / f"part-{part:05d}-{number:03d}"


def write_run(folder: Path, held: list[tuple[pa.RecordBatch, pa.ListArray, pa.ListArray | None]]) -> int:
    """Write batches of (documents, keys, sets) as one run; answers its number of rows."""
    keys = edges.lists(pa.concat_arrays([k for _, k, _ in held]))
    n = len(keys[1])
    nothing = np.zeros(n, np.int64)
    given = [s for _, _, s in held if s is not None]
    sets = edges.lists(pa.concat_arrays(given)) if given else (np.empty(0, np.uint64), nothing, nothing)
    same = _same(keys, sets, bool(given))
    stored = same == np.arange(n)
    size = np.where(stored, keys[2] - keys[1], 0)
    flat = keys[0][spans(keys[1], keys[1] + size)]
    order = np.argsort(flat, kind="stable")
    lengths = np.where(stored, sets[2] - sets[1], 0)
    put(folder, "keys.u64", flat[order])
    put(folder, "holders.u32", np.repeat(np.arange(n), size)[order].astype(np.uint32))
    put(folder, "sets.u64", sets[0][spans(sets[1], sets[1] + lengths)])
    put(folder, "ends.u64", np.cumsum(lengths).astype(np.uint64))
    put(folder, "same.u32", same.astype(np.uint32))
    table = pa.Table.from_batches([b for b, _, _ in held], schema=pa.schema(KEY_FIELDS))
    atomically(folder / DOCUMENTS, lambda tmp: pq.write_table(table, tmp, compression="zstd", row_group_size=GROUP))
    return n


def _same(keys: edges.Lists, sets: edges.Lists, verified: bool) -> np.ndarray:
    """int64[n]: the first row with the same keys and set; a row without keys (or set, where sets decide) stands for itself."""
    same = np.arange(len(keys[1]))
    takes_part = keys[2] > keys[1]
    if verified:
        takes_part &= sets[2] > sets[1]
    first: dict[bytes, int] = {}
    columns = (keys[0].view(np.uint8), 8 * keys[1], 8 * keys[2]), (sets[0].view(np.uint8), 8 * sets[1], 8 * sets[2])
    for row in np.flatnonzero(takes_part):  # a Python loop: xxhash reads each list where it lies, about a microsecond a row
        hashed = xxhash.xxh3_128()
        for values, start, end in columns:
            hashed.update(values[start[row] : end[row]].data)
        same[row] = first.setdefault(hashed.digest(), int(row))
    return same


def put(folder: Path, name: str, values: np.ndarray) -> None:
    """Write a file of numbers, whole or not at all."""
    atomically(folder / name, lambda tmp: tmp.write_bytes(np.ascontiguousarray(values).data))


@dataclass(frozen=True)
class Run:
    """One run of a batch, and the batch's number of its first row."""

    folder: Path
    start: int
    rows: int

    def ids(self) -> np.ndarray:
        """int64[rows]: __id__ of each row."""
        return pq.read_table(self.folder / DOCUMENTS, columns=[ID]).column(ID).to_numpy()


def runs_of(folder: StageFolder, parts: range) -> list[Run]:
    """The runs of a stage's batch, in the order of its rows."""
    return list(_numbered(runs_home(folder), parts))


def _numbered(folder: StageFolder, parts: range) -> Iterator[Run]:
    start = 0
    for part in parts:
        told: dict[str, Any] = folder.part_record(part, "runs-done") or {"runs": []}
        for number, rows in enumerate(told["runs"]):
            yield Run(run_folder(folder, part, number), start, rows)
            start += rows


__all__ = ["FENCE", "GROUP", "Run", "RunTask", "put", "run_folder", "runs_of", "verified", "write_run"]
