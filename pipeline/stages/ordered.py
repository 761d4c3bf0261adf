"""Rows in the order in which the last selector picked them, and as often: only for `compat: data-juicer`.

Our rows stay in the order of their sources, whatever picks them; a selector of Data-Juicer changes the order, and its random
one, asked for more rows than there are, repeats them. Cost: all rows that stand, in memory.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ..batch import child_ids
from ..ledger import ID
from ..workspace import StageFolder, read_json
from .lineage import read

ROWS = 8192


def picks(earlier: Sequence[StageFolder]) -> np.ndarray | None:
    """int64[m]: ids in pick order, of the last selection among the stages; None: there is none."""
    for folder in reversed(earlier):
        if "-group-" in folder.path.name:
            return None
        if (folder.path / "selection.parquet").exists():
            table = read(folder.path / "selection.parquet", [ID, "order"])
            ids, order = table.column(ID).to_numpy(), table.column("order").to_numpy()
            chosen = ids[order >= 0][np.argsort(order[order >= 0])]
            wanted = int(_asked(folder, len(ids)))
            return np.resize(chosen, wanted) if len(chosen) == len(ids) and wanted > len(ids) else chosen
    return None


def _asked(folder: StageFolder, pool: int) -> float:
    """How many rows were asked for, where the selector says that it would repeat some."""
    facts = read_json(folder.path / "facts.json") or {}
    return float(facts.get("repeated_to", pool))


def in_order(batches: Iterable[pa.RecordBatch], wanted: np.ndarray) -> Iterator[pa.RecordBatch]:
    """The rows of `batches` as `wanted` lists them; a repeated one has an id made of its row's and its number."""
    held = list(batches)
    if not held:
        return
    table = pa.Table.from_batches(held)
    ids = table.column(ID).to_numpy()
    order = np.argsort(ids)
    at = np.minimum(np.searchsorted(ids, wanted, sorter=order), max(len(ids) - 1, 0))
    there = ids[order[at]] == wanted if len(ids) else np.zeros(len(wanted), bool)
    rows, number = order[at[there]], _seen_before(wanted[there])
    names = pa.array(child_ids(wanted[there], number))
    for start in range(0, max(len(rows), 1), ROWS):
        part = table.take(pa.array(rows[start : start + ROWS]))
        place = part.schema.get_field_index(ID)
        yield from part.set_column(place, ID, names.slice(start, ROWS)).combine_chunks().to_batches() or [held[0].slice(0, 0)]


def _seen_before(ids: np.ndarray) -> np.ndarray:
    """int64[m]: how often each id stands earlier in the list."""
    order = np.argsort(ids, kind="stable")
    new = np.append(True, np.diff(ids[order]) != 0) if len(ids) else np.empty(0, bool)
    start = np.maximum.accumulate(np.where(new, np.arange(len(ids)), 0))
    count = np.empty(len(ids), np.int64)
    count[order] = np.arange(len(ids)) - start
    return count
