"""The pool's rows join those of the run: with the vectors and numbers that they have, of which a sample is taken anew."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...selectors.parts.draw import uniform
from ...selectors.parts.drift import up_to_date
from ...selectors.parts.identity import Known
from ..batch import Steps
from ..engines.base import Engine
from ..errors import OperatorError, StaleError
from ..ledger import ID
from ..lifelong.pinning import PoolPin
from ..plan import Plan, Stage
from ..workspace import StageFolder, atomically, read_json, write_json, write_table
from . import score
from .lineage import Lineage, Told, lookup, read
from .rows import write_narrow

_DRIFT = 31  # the stream of chance that draws the rows scored again
_FEWEST = 3  # rows scored again: a line needs so many


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, planned: Plan, folders: Sequence[StageFolder], told: Told,
) -> dict[str, Any]:
    """The whole stage; answers its record."""
    pin = stage.pool
    assert pin is not None
    if pin.base is None and pin.state:
        raise StaleError(f"pool {pin.folder} took these rows as version {pin.taken:04d}. The version before, which this run saw, "
                         "is not kept any more, nor is the run's work folder: it cannot be done again, and need not be")
    numbers = _numbers_now(pin, folder, engine, planned, folders)
    task = JoinTask(folder, before, pin, names_of(before), numbers)
    records = []
    for part in range(len(planned.splits)):  # by this process: on a cluster, the pool is a folder of the driver's machine
        records.append(folder.part_record(part) or task(part))
        told(records[-1])
    return {"records": records}


def names_of(before: Lineage) -> tuple[str, ...]:
    """The numbers that steps have computed so far."""
    return tuple(dict.fromkeys(name for name, _, kind in before.numbers if kind == "stats"))


def known(pin: PoolPin) -> Known:
    """The clusters of the pool."""
    if pin.base is None:
        return Known(rules=pin.asked.rules)
    table, following = pin.base.table("clusters.parquet"), int(pin.base.told["clusters"]["following"])
    centroids = np.array(table.column("centroid").to_pylist(), np.float32)
    return Known(centroids, table.column("name").to_numpy(), table.column("width").to_numpy(), following, pin.asked.rules)


def identity_table(remember: Mapping[str, np.ndarray]) -> pa.Table:
    """What a selector wants to know the next time: name, rows, width, centroid of each cluster; the next name as metadata."""
    centroids = np.asarray(remember["centroids"] if remember else Known().centroids, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(centroids.reshape(-1), pa.float32()), centroids.shape[1])
    columns = {"name": ("names", pa.int64()), "rows": ("sizes", pa.int64()), "width": ("widths", pa.float64())}
    arrays = {name: pa.array(remember.get(key, np.empty(0)), kind) for name, (key, kind) in columns.items()}
    table = pa.table(arrays | {"centroid": vectors})
    return table.replace_schema_metadata({"following": str(int(remember["following"][0]) if remember else 0)})


@dataclass(frozen=True)
class JoinTask:
    """Writes rows, numbers and vectors of one part anew, the pool's before those of part 0.

    Attributes:
        names: the numbers of steps.
        numbers: those of the pool's rows, by name, as they are now.
    """

    folder: StageFolder
    before: Lineage
    pin: PoolPin
    names: tuple[str, ...]
    numbers: pa.Table | None

    def __call__(self, part: int) -> dict[str, Any]:
        """Do the part; answers its record."""
        base = self.pin.base if part == 0 else None
        batches: list[pa.RecordBatch] = []
        if base is not None:
            batches += base.table("rows.parquet").to_batches()
        born = sum(map(len, batches))
        new = list(self.before.read(part))
        ids = np.concatenate([np.empty(0, np.int64), *(b.column(ID).to_numpy() for b in new)])
        self._all_new(ids)
        pieces = self._write_rows(part, [*batches, *new])
        self._write_numbers(part, ids, base is not None)
        self._write_vectors(part, ids, base is not None)
        record = {"rows_in": len(ids), "rows_out": len(ids) + born, "left": 0, "by": {}, "born": born, "pieces": pieces}
        return self.folder.finish_part(part, record)

    def _all_new(self, ids: np.ndarray) -> None:
        if self.pin.base is None:
            return
        held = self.pin.base.table("numbers.parquet", [ID]).column(ID).to_numpy()
        twice = int(np.isin(ids, held).sum())
        if twice:
            raise StaleError(f"pool {self.pin.folder} holds {twice} of the run's rows already, by their ids: the same files, under "
                             "the same names, were taken before")

    def _write_rows(self, part: int, batches: list[pa.RecordBatch]) -> int:
        piece = 0
        for group in _alike(batches):
            path = self.folder.path / "rows" / f"part-{part:05d}-{piece:03d}.parquet"
            write_table(path, pa.Table.from_batches(group))
            piece += 1
        return piece

    def _write_numbers(self, part: int, ids: np.ndarray, pooled: bool) -> None:
        columns: dict[str, Any] = {ID: pa.array(ids)}
        for name in self.names:
            table = self.before.number(name, part)
            assert table is not None  # a step of this recipe has computed it
            columns[name] = _taken(table, name, ids)
        new = pa.table(columns)
        if pooled and self.numbers is not None:
            old = self.numbers.select([ID, *(n for n in self.names if n in self.numbers.schema.names)])
            new = pa.concat_tables([old, new], promote_options="permissive").select(new.schema.names)
        write_narrow(self.folder, "stats", part, new)

    def _write_vectors(self, part: int, ids: np.ndarray, pooled: bool) -> None:
        assert self.before.vectors is not None  # the plan has seen that there are some
        table = read(self.before.vectors.file("vectors", part))
        known_ids = table.column(ID).to_numpy()
        order = np.argsort(known_ids)
        new = table.take(pa.array(order[np.searchsorted(known_ids, ids, sorter=order)]))
        held, wide = self.pin.base.told if self.pin.base else {"rows": 0}, new.schema.field("vector").type.list_size
        if len(new) and held["rows"] and wide != held["dimensions"]:
            raise OperatorError(f"pool {self.pin.folder} holds vectors of {held['dimensions']} dimensions, the run's rows {wide}: "
                                "they cannot be compared")
        if pooled and self.pin.base is not None:
            old = self.pin.base.table("vectors.parquet")
            new = old if not len(new) else pa.concat_tables([old, new.cast(old.schema)]) if len(old) else new
        write_narrow(self.folder, "vectors", part, new)


def _alike(batches: list[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The batches, in order, those of one schema together."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        if group and group[0].schema != batch.schema:
            yield group
            group = []
        group.append(batch)
    if group:
        yield group


def _taken(table: pa.Table, name: str, ids: np.ndarray) -> pa.ChunkedArray:
    known_ids = table.column(ID).to_numpy()
    order = np.argsort(known_ids, kind="stable")
    return table.column(name).take(pa.array(order[np.searchsorted(known_ids, ids, sorter=order)]))


def _numbers_now(
    pin: PoolPin, folder: StageFolder, engine: Engine, planned: Plan, folders: Sequence[StageFolder],
) -> pa.Table | None:
    """The numbers of the pool's rows, those that a step computes brought up to date; written with what was found, once."""
    if pin.base is None:
        return None
    path = folder.path / "known.parquet"
    if not path.exists():
        table, drift = pin.base.table("numbers.parquet"), {}
        sample = _sample(pin, table, planned.recipe.seed)
        if pin.again and len(sample):
            there = _only(folder, pin, table.column(ID).to_numpy()[sample])
            for name in pin.again:
                fresh = _fresh(name, there, folder, engine, planned, folders)
                values = pc.cast(table.column(name), pa.float64()).to_numpy(zero_copy_only=False)
                moved, told = up_to_date(values, sample, lookup(fresh, name, table.column(ID).to_numpy()[sample]))
                table = table.set_column(table.schema.get_field_index(name), name, pa.array(moved))
                drift[name] = asdict(told)
        write_json(folder.path / "drift.json", {"share": pin.asked.drift, "rows": len(sample) if pin.again else 0, "of": drift})
        write_table(path, table)
    return read(path)


def _sample(pin: PoolPin, table: pa.Table, seed: int) -> np.ndarray:
    """int64[m], the rows whose numbers are taken anew: others each time."""
    wanted = min(len(table), max(_FEWEST, math.ceil(pin.asked.drift * len(table)))) if pin.asked.drift else 0
    chance = uniform(seed ^ int(pin.state[:8], 16), table.column(ID).to_numpy(), stream=_DRIFT)
    return np.sort(np.argsort(chance, kind="stable")[:wanted])


def _only(folder: StageFolder, pin: PoolPin, ids: np.ndarray) -> Lineage:
    """A lineage of some of the pool's rows, as one part."""
    assert pin.base is not None
    there = StageFolder(folder.path / "again")
    rows = pin.base.table("rows.parquet")
    rows = rows.filter(pc.is_in(rows.column(ID), pa.array(ids)))
    path = there.path / "rows" / "part-00000-000.parquet"
    atomically(path, lambda tmp: pq.write_table(rows, tmp, write_page_checksum=True))
    there.finish_part(0, {"pieces": 1})
    return Lineage(there)


def _fresh(
    name: str, rows: Lineage, folder: StageFolder, engine: Engine, planned: Plan, folders: Sequence[StageFolder],
) -> pa.Table:
    """Ids and the number `name` of the rows, by the stage of this run that computes it."""
    stage = next(s for s in planned.stages if any(name in step.stats for step in s.steps))
    if stage.kind == "score":
        there = StageFolder(folder.path / f"again-{stage.index}")
        _as_fitted(folders[stage.index - 1].path, there.path)
        score.run(stage, there, rows, engine, [0], lambda _: None, whole=1, seed=planned.recipe.seed)
        return read(there.file("stats", 0))
    at = next(i for i, step in enumerate(stage.steps) if name in step.stats)
    steps = Steps((stage.steps[at],), (stage.pins[at],), planned.recipe.text_keys, planned.recipe.name, decide=False)
    found = [outcome.stats for outcome in steps(rows.read(0))]
    return pa.Table.from_batches(found).select([ID, name])


def _as_fitted(source: Path, target: Path) -> None:
    """What was fitted for the run's rows scores the pool's as well: nothing is fitted anew."""
    target.mkdir(parents=True, exist_ok=True)
    if (source / "fitted.json").exists():
        shutil.copytree(source / "fit", target / "fit", dirs_exist_ok=True)
        shutil.copy(source / "fitted.json", target / "fitted.json")


def drift_of(folder: StageFolder) -> dict[str, Any]:
    """What was found out about the scores of the pool's rows."""
    return read_json(folder.path / "drift.json") or {"share": 0.0, "rows": 0, "of": {}}

