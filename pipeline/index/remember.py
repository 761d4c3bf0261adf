"""A finished stage's rows into the index: all of them, those that left too, each with the document that stays for it.

A row that left is remembered because a later one may be alike to it alone: over everything at once, both would be in one
cluster, so the later one must leave. What left with a similarity of 1 has the keys and set of the row that stays, so only its
line is added; a row that stays always has its own.
"""

from collections.abc import Iterator

import numpy as np

from ..engines.base import Engine
from ..errors import StaleError
from ..ledger import ID
from ..resources import Pin
from ..stages.lineage import Lineage, read
from ..steps import Step
from ..workspace import StageFolder
from . import layout
from .against import indexed
from .columns import mapped
from .joining import Piece, join
from .layout import Batch, Manifest, digest_of
from .pinning import IndexPin
from .runs import Run, RunTask, runs_home, runs_of


def check(pin: IndexPin) -> Manifest:
    """The index, once it is locked. Raises StaleError where it is no longer what the plan saw."""
    manifest = layout.read(pin.path) or Manifest(pin.made)
    held = manifest.batch(pin.batch)
    there = manifest.documents if held is None else held.start
    if there != pin.documents or manifest.state(there) != pin.state or manifest.made.differences(pin.made):
        raise StaleError(f"index {pin.path} has been written to since the run was planned: run again")
    return manifest


def append(
    pin: IndexPin, fingerprint: str, folder: StageFolder, before: Lineage, step: Step, pins: tuple[Pin, ...], engine: Engine,
    parts: range,
) -> Batch:
    """Add the rows of a finished stage as one batch, unless they are there already; the caller holds the lock.

    Killed at any moment, the index is what it was, or has the whole batch.
    """
    manifest = check(pin)
    held = manifest.batch(pin.batch)
    if held is not None:
        return held
    engine.map(RunTask(runs_home(folder), before, step, pins), parts, lambda _: None)
    runs = runs_of(folder, parts)
    count = sum(r.rows for r in runs)
    kept, equal = _decided(folder, parts, runs, count, manifest.documents)
    segment = None
    if count:
        stay = kept == manifest.documents + np.arange(count)
        pieces = [Piece(r.folder, _owned(r, stay[r.start : r.start + r.rows], equal[r.start : r.start + r.rows])) for r in runs]
        segment = join(pin.path, pieces, _pieces(kept), manifest.documents)
    stays = int((kept == manifest.documents + np.arange(count)).sum())
    state = digest_of([manifest.state(), fingerprint])
    batch = Batch(pin.batch, manifest.documents, count, stays, pin.inputs, state)
    layout.write(pin.path, manifest.with_batch(batch, segment))
    return batch


def _owned(run: Run, stay: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """int64[n]: the row of its run whose keys and set each row stores, -1: none; `stay`, `equal`: which stay, which equal them."""
    same, own = mapped(run.folder / "same.u32").astype(np.int64), np.arange(run.rows)
    owned = np.where((same == own) & ~equal, own, -1)
    owned[same[stay]] = -1  # from the first of those that are the same to the one of them that stays
    owned[stay] = same[stay]
    return owned


def _pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    yield values


def _decided(folder: StageFolder, parts: range, runs: list[Run], count: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept int64[n], equal bool[n]): the number of the document that stays for each row; whether its set is that one's."""
    ids = np.concatenate([np.empty(0, np.int64), *(r.ids() for r in runs)])
    order = np.argsort(ids, kind="stable")
    kept, equal = start + np.arange(count), np.zeros(count, bool)

    def numbers(of: np.ndarray) -> np.ndarray:
        return order[np.searchsorted(ids, of, sorter=order)] if len(of) else np.empty(0, np.int64)

    for part in parts:
        left = read(folder.file("ledger", part), [ID, "kept_id", "value"])
        rows = numbers(left.column(ID).to_numpy())
        equal[rows] = left.column("value").to_numpy(zero_copy_only=False) == 1.0
        mine = left.filter(left.column("kept_id").is_valid())
        kept[numbers(mine.column(ID).to_numpy())] = start + numbers(mine.column("kept_id").to_numpy())
    known = indexed(folder)
    kept[numbers(known.column(ID).to_numpy())] = known.column("document").to_numpy()
    return kept, equal
