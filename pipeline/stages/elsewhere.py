"""Vectors of a selection's pool that stay where they lie: part by part they are asked for a sample, and for nearest centroids.

What comes to this process are a sample's vectors and eight bytes a row. The answers are those of vectors that are held, to the bit:
a row's nearest centroid depends on the row alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...selectors.parts.cluster import Held
from ..engines.base import Counts, Engine
from ..ledger import ID
from ..workspace import StageFolder, atomically, write_table
from .embed import matrix
from .lineage import Lineage, read

HELD = 2 << 30  # bytes of float32 vectors above which they are not held even where the workers are on this machine


def standing(before: Lineage, part: int) -> np.ndarray:
    """int64[n], the ids of a part's rows that stand."""
    return np.concatenate([b.column(ID).to_numpy() for b in before.read(part, [])] or [np.empty(0, np.int64)])


def vectors_of(before: Lineage, part: int, ids: np.ndarray) -> np.ndarray:
    """float32[n, d] of those rows of a part. Raises ValueError where no stage has made vectors."""
    if before.vectors is None:
        raise ValueError("no vectors: put a text_embedding_mapper step before it")
    table = read(before.vectors.file("vectors", part))
    known = table.column(ID).to_numpy()
    order = np.argsort(known)
    return matrix(table.column("vector"))[order[np.searchsorted(known, ids, sorter=order)]]


def bytes_held(before: Lineage, parts: Sequence[int]) -> int:
    """What the vectors of those parts would take as float32; 0 where there are none."""
    if before.vectors is None:
        return 0
    files = [before.vectors.file("vectors", part) for part in parts]
    wide = max((pq.read_schema(file).field("vector").type.list_size for file in files), default=0)  # a part without rows has any
    return 4 * wide * sum(pq.read_metadata(file).num_rows for file in files)


@dataclass(frozen=True)
class PartVectors:
    """The vectors of the rows that stand, as `selectors.base.Elsewhere` has them. `ids`: of each part's rows."""

    engine: Engine
    folder: StageFolder
    before: Lineage
    parts: tuple[int, ...]
    ids: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        """How many rows."""
        return sum(map(len, self.ids))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """float32[m, d], those rows."""
        order = np.argsort(rows, kind="stable")
        starts = np.cumsum([0, *map(len, self.ids)])
        cuts = np.searchsorted(rows[order], starts)
        asked = [k for k in range(len(self.parts)) if cuts[k] < cuts[k + 1]]
        for k in asked:
            here = rows[order][cuts[k] : cuts[k + 1]] - starts[k]
            write_table(self._file("wanted", k), pa.table({ID: self.ids[k][here]}))
        self._map(TakeSampleTask(self.before, self._files("wanted"), self._files("taken"), self.parts), asked)
        found = [np.load(self._file("taken", k), allow_pickle=False) for k in asked]
        taken = np.empty((len(rows), found[0].shape[1] if found else 1), np.float32)
        if found:
            taken[order] = np.concatenate(found)
        return taken

    def nearest(self, centroids: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
        """int32[n] and float32[n], the nearest centroid of each row and the distance to it."""
        place = self.folder.path / "asked" / "centroids.npy"
        _save(place, centroids)
        self._map(NearestTask(self.before, place, spherical, self._files("nearest"), self.parts), self._all())
        tables = [pq.read_table(self._file("nearest", k)) for k in self._all()]
        return (np.concatenate([t.column("label").to_numpy() for t in tables]),
                np.concatenate([t.column("distance").to_numpy() for t in tables]))

    def unusable(self) -> tuple[int, int]:
        """How many rows hold NaN or infinity, and how many are zero."""
        told = self._map(UnusableTask(self.before, self.parts), self._all())
        return sum(t["broken"] for t in told), sum(t["zero"] for t in told)

    def _all(self) -> range:
        return range(len(self.parts))

    def _map(self, task: Any, numbers: Sequence[int]) -> list[Counts]:
        return self.engine.map(task, numbers, lambda _: None)

    def _files(self, kind: str) -> Path:
        return self.folder.path / "asked" / kind

    def _file(self, kind: str, number: int) -> Path:
        return _named(self._files(kind), number)


def _named(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}{'.npy' if folder.name == 'taken' else '.parquet'}"


def _save(path: Path, values: np.ndarray) -> None:
    def write(tmp: Path) -> None:
        with tmp.open("wb") as file:
            np.save(file, values, allow_pickle=False)

    atomically(path, write)


@dataclass(frozen=True)
class TakeSampleTask:
    """Writes the vectors of the rows that are wanted of a part."""

    before: Lineage
    wanted: Path
    taken: Path
    parts: tuple[int, ...]

    def __call__(self, number: int) -> Counts:
        """Do the part."""
        ids = pq.read_table(_named(self.wanted, number)).column(ID).to_numpy()
        _save(_named(self.taken, number), vectors_of(self.before, self.parts[number], ids))
        return {"rows": len(ids)}


@dataclass(frozen=True)
class NearestTask:
    """Writes the nearest centroid and the distance to it of each row of a part that stands."""

    before: Lineage
    centroids: Path
    spherical: bool
    nearest: Path
    parts: tuple[int, ...]

    def __call__(self, number: int) -> Counts:
        """Do the part."""
        part, centroids = self.parts[number], np.load(self.centroids, allow_pickle=False)
        ids = standing(self.before, part)
        labels, distance = np.empty(0, np.int32), np.empty(0, np.float32)
        if len(ids):
            labels, distance = Held(vectors_of(self.before, part, ids)).nearest(centroids, self.spherical)
        write_table(_named(self.nearest, number), pa.table({"label": labels, "distance": distance}))
        return {"rows": len(ids)}


@dataclass(frozen=True)
class UnusableTask:
    """Answers how many rows of a part hold no numbers, and how many are zero."""

    before: Lineage
    parts: tuple[int, ...]

    def __call__(self, number: int) -> Counts:
        """Do the part."""
        ids = standing(self.before, self.parts[number])
        broken, zero = Held(vectors_of(self.before, self.parts[number], ids)).unusable() if len(ids) else (0, 0)
        return {"rows": len(ids), "broken": broken, "zero": zero}
