"""The scan: row hashes of a part's units, as sorted sets and as draws, in one Arrow file a part. An engine's task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...operators.lake.canonical import Missing
from ...operators.lake.content import draws
from ...operators.lake.exact import RowSet, fingerprint, row_set
from ...operators.lake.leaves import Column, Leaf
from ...operators.lake.row_hashes import cell_hashes, row_hashes, table_cells
from ..engines.base import Counts
from ..errors import StaleError
from ..workspace import StageFolder, atomically, read_json
from .inspect_table import BROKEN, reason
from .readers import read_unit
from .tables import schema_of_text

SCHEMA = pa.schema([("first", pa.uint64()), ("second", pa.uint64()), ("count", pa.int64())])


@dataclass(frozen=True)
class HashTask:
    """Answers a part's runs: [request, kind (set or draws), offset, length, rows, fingerprint]; bytes and rows read; troubles."""

    folder: Path
    missing: Missing
    seed: int

    def __call__(self, part: int) -> Counts:
        """Do a part, or take up its record."""
        stage = StageFolder(self.folder)
        known = stage.part_record(part)
        if known is not None:
            return known
        job = read_json(stage.file("jobs", part, "json"))
        if job is None:
            raise StaleError(f"{stage.file('jobs', part, 'json')} is gone: remove {self.folder} and scan again")
        runs: list[list[Any]] = []
        sets: list[RowSet] = []
        spent, rows, offset, troubles = [0], 0, 0, []
        for unit in job["units"]:
            try:
                hashes = self._unit(unit, job["root"], spent)
            except BROKEN as e:
                troubles.append([unit["table"], reason(e)])
                continue
            rows += len(next(iter(hashes.values()))[0]) if hashes else 0
            for run, found in self._runs(unit, hashes):
                runs.append([*run[:2], offset, len(found), *run[2:]])
                sets.append(found)
                offset += len(found)
        write_runs(stage.file("runs", part, "arrow"), sets)
        return stage.finish_part(part, {"runs": runs, "bytes": spent[0], "rows": rows, "troubles": troubles})

    def _unit(self, unit: Mapping[str, Any], root: str, spent: list[int]) -> dict[int, np.ndarray]:
        """request -> uint64[2, n] row hashes in the order of the rows."""

        def spend(count: int) -> None:
            spent[0] += count

        names = sorted({c for r in unit["requests"] for c in r["columns"]})
        batches = read_unit(
            unit["kind"], unit["path"], names, groups=unit["groups"], partition=tuple((k, v) for k, v in unit["partition"]),
            types={k: schema_of_text(t).field(0).type for k, t in unit["types"].items()},
            schema=schema_of_text(unit["schema"]) if unit["schema"] else None, root=root, spent=spend,
        )
        found: dict[int, list[np.ndarray]] = {r["key"]: [] for r in unit["requests"]}
        numbers = {c for r in unit["requests"] for c in r["numbers"]}
        literal = {c for r in unit["requests"] for c in r["columns"] if c not in r["numbers"]}
        for batch in batches:
            cells, read = (table_cells(batch, wanted, self.missing, of) for wanted, of in ((literal, ()), (numbers, numbers)))
            for name in set(names) - set(cells) - set(read):
                cells[name] = cell_hashes(Column(Leaf(name, (name,), pa.null()), pa.nulls(batch.num_rows)), self.missing)
            for r in unit["requests"]:
                own = cells | {name: read[name] for name in r["numbers"] if name in read}
                found[r["key"]].append(row_hashes(own, r["columns"], batch.num_rows))
        nothing = np.empty((2, 0), np.uint64)
        return {key: np.concatenate(parts, axis=1) if parts else nothing for key, parts in found.items()}

    def _runs(self, unit: Mapping[str, Any], hashes: Mapping[int, np.ndarray]) -> Any:
        """([request, kind, rows, fingerprint], set) of a unit."""
        for r in unit["requests"]:
            own = hashes[r["key"]]
            if r["whole"]:
                found = row_set(own)
                told = fingerprint(found)
                yield [r["key"], "set", own.shape[1], f"{told['set']}{told['bag']}"], found
            if r["draws"]:
                total = unit["table_rows"] if unit["table_rows"] is not None else own.shape[1]
                yield [r["key"], "draws", own.shape[1], ""], _drawn(unit, own, draws(unit["table"], total, r["draws"], self.seed))


def _drawn(unit: Mapping[str, Any], hashes: np.ndarray, at: np.ndarray) -> RowSet:
    """The drawn rows that lie in this unit, by their first hash; `count` is the number of the draw."""
    here = np.flatnonzero((at >= unit["first"]) & (at < unit["first"] + hashes.shape[1]))
    chosen = hashes[:, at[here] - unit["first"]]
    order = np.argsort(chosen[0], kind="stable")
    return RowSet(chosen[0][order], chosen[1][order], here[order].astype(np.int64))


def write_runs(path: Path, sets: Sequence[RowSet]) -> None:
    """Write sets one after the other: first, second, count."""
    columns = [np.concatenate([getattr(s, name) for s in sets]) if sets else np.empty(0, type)
               for name, type in (("first", np.uint64), ("second", np.uint64), ("count", np.int64))]
    batch = pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=SCHEMA)

    def write(tmp: Path) -> None:
        with pa.OSFile(str(tmp), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_batch(batch)

    atomically(path, write)
