"""Numbers put beside rows: what `apply` answers besides the rows themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .columns import find
from .ledger import ID, KEY_COLUMNS, POSITION

COPIES = ("specified_field_filter", "specified_numeric_field_filter")  # Data-Juicer's stat of these is the field itself


def fields_as_numbers(numbers: pa.Table, rows: pa.Table, steps: Sequence[Mapping[str, Any]]) -> pa.Table:
    """`numbers` with one column more for each filter that looks at a field: the field as the rows came with it, by its name."""
    columns = dict(zip(rows.column_names, (c.combine_chunks() for c in rows.columns), strict=True))
    for step in steps:
        key = (step.get("settings") or {}).get("field_key") if step["op"] in COPIES else None
        values = find(columns, key) if key and key not in numbers.column_names else None
        if values is not None:
            numbers = numbers.append_column(key, values.take(numbers.column(POSITION).combine_chunks()))
    return numbers


def beside(rows: pa.Table, ids: pa.ChunkedArray, numbers: pa.Table) -> pa.Table:
    """`rows`, whose ids are `ids`, with the columns of `numbers` that they do not have yet. A row without numbers has nulls."""
    known, wanted = numbers.column(ID).to_numpy(), ids.to_numpy()
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)] if len(known) else np.empty(0, np.int64)
    places = pa.array(at, mask=known[at] != wanted) if len(known) else pa.nulls(len(wanted), pa.int64())
    for name in numbers.column_names:
        if name not in (*KEY_COLUMNS, *rows.column_names):
            rows = rows.append_column(name, numbers.column(name).take(places))
    return rows
