"""Narrow tables between the steps of a corpus-wide stage: Arrow files, cut so that a task reads only its share of each.

A cut file keeps in its schema where each slice begins, so that a reader maps that slice and nothing else.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...operators.kernels.radix import FINE, scatter_order
from ..workspace import StageFolder, atomically, sound

_BOUNDS = b"bounds"
RANGES = 1 << 16  # the finest cut by key: its two top bytes


def write_arrow(path: Path, table: pa.Table, bounds: np.ndarray | None = None) -> None:
    """Write an uncompressed Arrow file that can be memory-mapped; `bounds` int64[s + 1] cut its rows into s slices."""
    if bounds is not None:
        table = table.replace_schema_metadata({_BOUNDS: bounds.astype("<i8").tobytes()})

    def write(tmp: Path) -> None:
        with pa.OSFile(str(tmp), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    atomically(path, write)


def read_arrow(path: Path) -> pa.Table:
    """An Arrow file, memory-mapped."""
    with sound(path):
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def bounds_of(table: pa.Table) -> np.ndarray:
    """int64[s + 1]: where the slices of a table read from a cut file begin."""
    return np.frombuffer(table.schema.metadata[_BOUNDS], "<i8")


def cut_slice(path: Path, low: int, high: int) -> pa.Table:
    """Slices `low` to `high` (left out) of a cut file, memory-mapped."""
    table = read_arrow(path)
    bounds = bounds_of(table)
    return table.slice(bounds[low], bounds[high] - bounds[low])


def piece(folder: StageFolder, kind: str, part: int, number: int) -> Path:
    """`<kind>/part-00000-000.arrow`: a part's tables are written in pieces, so that a part of any size fits memory."""
    return folder.path / kind / f"part-{part:05d}-{number:03d}.arrow"


def write_keyed(path: Path, **columns: np.ndarray) -> None:
    """Write a table with a column `key` (uint64), cut by the key's top byte."""
    order, bounds = scatter_order(columns["key"])
    write_arrow(path, pa.table({name: column[order] for name, column in columns.items()}), bounds)


def key_counts(paths: list[Path]) -> np.ndarray:
    """int64[FINE]: rows of the keyed files by the key's top byte."""
    counts = np.zeros(FINE, np.int64)
    for path in paths:
        counts += np.diff(bounds_of(read_arrow(path)))
    return counts


def key_ranges(counts: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Consecutive ranges (low, high) of the keys' two top bytes that cover all keys, of about `most` rows each at most."""
    ranges, low, held = [], 0, 0
    for t in range(FINE):
        if held and held + counts[t] > most:
            ranges.append((low, t * FINE))
            low, held = t * FINE, 0
        held += int(counts[t])
        if held > most:  # one top byte with more than is allowed: cut by the byte that follows
            steps = min(FINE, 1 << int(held // most).bit_length())
            cuts = [t * FINE + FINE * i // steps for i in range(steps + 1)]
            ranges += pairwise([low, *cuts[1:]])
            low, held = cuts[-1], 0
    return [*ranges, (low, RANGES)] if low < RANGES else ranges


def keyed_slices(paths: list[Path], low: int, high: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(number of the file, its columns) for the keys whose two top bytes are in [low, high), copied, file by file."""
    for number, path in enumerate(paths):
        table = cut_slice(path, low // FINE, -(-high // FINE))
        columns = {name: np.array(table.column(name)) for name in table.column_names}
        if low % FINE or high % FINE:
            top = columns["key"] >> np.uint64(48)
            inside = (top >= low) & (top < high)
            columns = {name: column[inside] for name, column in columns.items()}
        yield number, columns
