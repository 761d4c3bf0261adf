"""128-bit hashes of rows over any subset of the columns, from one pass over the cells."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from ..kernels.digest import digest
from ..kernels.row_hash import add_cells
from .canonical import Missing, cells
from .leaves import Column, columns


def cell_hashes(column: Column, missing: Missing = "distinct", numbers: bool = False) -> np.ndarray:
    """uint64[2, n]: each cell's hash, mixed with its column's name. `numbers`: of text, the number that it is."""
    name = np.frombuffer(column.leaf.name.encode() + b"\0", np.uint8)
    made = cells(column.values, column.depth, missing, numbers)
    sums = np.zeros((2, len(column.values)), np.uint64)
    seed_a, seed_b = (np.uint64(word) for word in digest(name, 0, len(name)))  # numba hands them over as Python's integers
    add_cells(sums[0], sums[1], made.a, made.b, made.tags, seed_a, seed_b)
    return sums


def table_cells(
    batch: pa.RecordBatch | pa.Table, names: Iterable[str] | None = None, missing: Missing = "distinct",
    numbers: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """leaf name -> uint64[2, n], of the leaves in `names` (None: all). `numbers`: columns of text that are read as numbers."""
    wanted = None if names is None else set(names)
    here = (c for c in columns(batch) if wanted is None or c.leaf.name in wanted)
    return {c.leaf.name: cell_hashes(c, missing, c.leaf.name in numbers) for c in here}


def row_hashes(cells_of: Mapping[str, np.ndarray], names: Sequence[str], rows: int) -> np.ndarray:
    """uint64[2, rows]: the hash of each row's projection to `names`. Empty `names`: zeros."""
    total = np.zeros((2, rows), np.uint64)
    for name in names:
        total += cells_of[name]
    return total
