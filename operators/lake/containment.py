"""`table_containment_deduplicator`: the step of a recipe whose dataset is a lake of tables, and the same in memory."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import tables
from .canonical import Missing
from .exact import RowSet, missing, row_set
from .leaves import leaves
from .numerals import as_numbers
from .row_hashes import row_hashes, table_cells
from .schema_graph import distinct_schemas, schema_pairs


@tables("table_containment_deduplicator")
def contained_tables(
    named: Mapping[str, pa.Table], *, missing_values: Literal["distinct", "empty"] = "distinct", bag: bool = False,
    tolerance: float = 0.0, epsilon: float = 0.01, delta: float = 0.01, probe_columns: int = 1, folders: list[str] | None = None,
    keep: list[str] | None = None, copies: int = 1, storage_price: float = 0.023, maintenance_price: float = 0.005,
    read_price: float = 0.005, write_price: float = 0.000625, read_speed: float = 85e6, write_speed: float = 50e6,
    start_seconds: float = 1.0, accesses: float = 1.0, maintenance_runs: float = 1.0, max_latency: float = 3600.0,
    overrides: dict[str, dict[str, float]] | None = None, solver_seconds: float = 60.0, trash: str = ".tamis-trash",
) -> list[tuple[str, str]]:
    """Tables of a lake whose rows all are in another table, and the cheapest set of them to delete.

    As a function: every (parent, child) among tables in memory, compared all with all; `missing_values`, `bag` and
    `tolerance` count, the rest is for lakes on disk (docs/lake.md). Prices are USD per GB, a period is a month, speeds are
    bytes per second; docs/lake.md says where each default comes from.

    Source: Shah et al., R2D2 (SIGMOD 2024).
    >>> contained_tables({"all": pa.table({"a": [1, 2], "b": [3, 4]}), "part": pa.table({"a": [2.0]})})
    [('all', 'part')]
    """
    names = list(named)
    schemas, of = distinct_schemas([leaf.name for leaf in leaves(t.schema)] for t in named.values())
    tables = list(named.values())
    cells = [table_cells(t, missing=missing_values) for t in tables]
    found = []
    for p, c in _table_pairs(schemas, of):
        columns = sorted(schemas[of[c]])
        a, b = (_rows(cells[t] | _numerals(tables[t], tables[o], columns, missing_values), columns, tables[t].num_rows)
                for t, o in ((c, p), (p, c)))
        if missing(a, b, bag).sum() <= tolerance * a.rows:
            found.append((names[p], names[c]))
    return sorted(found)


def _table_pairs(schemas: list[frozenset[str]], of: np.ndarray) -> list[tuple[int, int]]:
    pairs = np.concatenate([schema_pairs(schemas), np.repeat(np.arange(len(schemas)), 2).reshape(-1, 2)])
    members = [np.flatnonzero(of == s).tolist() for s in range(len(schemas))]
    return [(p, c) for a, b in pairs.tolist() for p in members[a] for c in members[b] if p != c]


def _numerals(table: pa.Table, other: pa.Table, columns: list[str], missing: Missing) -> dict[str, np.ndarray]:
    """Cells of the columns that are text here and numbers in the other table."""
    numbers = as_numbers(table.schema, other.schema).intersection(columns)
    return table_cells(table, numbers, missing, numbers) if numbers else {}


def _rows(cells: Mapping[str, np.ndarray], columns: list[str], rows: int) -> RowSet:
    return row_set(row_hashes(cells, columns, rows))
