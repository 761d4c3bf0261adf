"""Edges that are decided before anything is exchanged: two sketches prove that one table is not within another.

The sketch of a table over some columns is what the hashing map wrote first: the smallest hashes of each of its sorted runs,
merged and cut. So no part writes more for it, and here at most 4 kB are read and held for each table and schema.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...operators.lake.exact import RowSet, merged
from ...operators.lake.sketch import SIZE, disproved, sketch
from ..workspace import sound

Run = tuple[str, int, int]  # file below the workspace, offset, length
Runs = tuple[Run, ...]
HELD, OPEN, LACKING = -1, 0, 1


def decided(workspace: Path, pairs: Sequence[tuple[Runs, Runs]]) -> np.ndarray:
    """int8[n]: of each (child's, parent's) runs LACKING, where sketches prove that the parent lacks a row of the child's.

    HELD where both sketches are the whole of their tables and it lacks none; OPEN else, and for a child without runs.
    Cost: one look into each file of runs, and some 10 microseconds a pair.
    """
    heads = _heads(workspace, {run for pair in pairs for runs in pair for run in runs})
    sketches = {runs: sketch(merged([heads[run] for run in runs])) for runs in {runs for pair in pairs for runs in pair}}
    told = np.full(len(pairs), OPEN, np.int8)
    for i, (child, parent) in enumerate(pairs):
        if child and disproved(sketches[child], sketches[parent]):
            told[i] = LACKING
        elif child and max(len(sketches[child]), len(sketches[parent])) < SIZE:
            told[i] = HELD
    return told


def _heads(workspace: Path, runs: Iterable[Run]) -> dict[Run, RowSet]:
    """The first rows of each run, copied: a lake has more files than a process may hold open."""
    by_file: dict[str, list[Run]] = {}
    for run in runs:
        by_file.setdefault(run[0], []).append(run)
    found = {}
    for name, own in by_file.items():
        with sound(workspace / name) as path, pa.memory_map(str(path)) as file:
            batch = pa.ipc.open_file(file).get_batch(0)
            for run in own:
                head = batch.slice(run[1], min(SIZE, run[2]))
                found[run] = RowSet(*(column.to_numpy().copy() for column in head.columns))
    return found
