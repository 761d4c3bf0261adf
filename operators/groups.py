"""Which rows become one: the groupers. The engine puts the columns of a group's rows into lists, in the order of the rows.

A group has the name (id, source, position) of its first row; the others leave for its sake.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .base import grouper
from .filters.fields import field

Grouping = Callable[..., pa.Int64Array]


@grouper("key_value_grouper")
def by_keys(rows: pa.StructArray, *, group_by_keys: list[str] | None = None) -> pa.Int64Array:
    """Number of the group of each row: rows with the same values in all of `group_by_keys` are one, in order of appearance.

    A key is a column, a field of a struct column (`meta.lang`) or a number of a filter before (`__dj__stats__.text_len`).
    Without keys: the column that the step's text_key names. Null and a field that is not there are a value like others.
    Shape: int64[n]. Cost: one Python value a row and key. Source: Data-Juicer.
    >>> by_keys(pa.array([{"a": 1}, {"a": 2}, {"a": 1}]), group_by_keys=["a"]).to_pylist()
    [0, 1, 0]
    """
    columns = [field(rows, key).to_pylist() for key in group_by_keys or ()]
    known: dict[str, int] = {}
    return pa.array([known.setdefault(repr(values), len(known)) for values in zip(*columns, strict=True)], pa.int64())


@grouper("naive_grouper")
def all_rows(rows: pa.StructArray) -> pa.Int64Array:
    """Number of the group of each row: 0 for all, which become one row of lists.

    Shape: int64[n]. Source: Data-Juicer.
    >>> all_rows(pa.array([{"a": 1}, {"a": 2}])).to_pylist()
    [0, 0]
    """
    return pa.array(np.zeros(len(rows), np.int64))


@grouper("naive_reverse_grouper", many=True)
def ungrouped(rows: pa.StructArray, *, batch_meta_export_path: str | None = None) -> pa.Int64Array:
    """How many rows each row becomes: the elements that its lists have; a row of empty lists leaves.

    The column `__dj__batch_meta__` is left out, or written as JSON lines to `batch_meta_export_path`.
    Shape: int64[n]. Raises ValueError for a column that is no list, and for lists of different lengths in a row.
    Source: Data-Juicer.
    >>> ungrouped(pa.array([{"a": [1, 2], "b": ["x", "y"]}])).to_pylist()
    [2]
    """
    counts: np.ndarray | None = None
    for column in rows.type:
        if column.name == BATCH_META:
            continue
        if not pa.types.is_list(column.type):
            raise ValueError(f"column {column.name!r} is {column.type}, not a list: only grouped rows can be taken apart")
        lengths = pc.fill_null(pc.list_value_length(pc.struct_field(rows, [column.name])), 0).to_numpy().astype(np.int64)
        if counts is not None and (lengths != counts).any():
            raise ValueError(f"the lists of a row differ in length: {column.name!r} has {lengths[lengths != counts][0]}, others "
                             f"{counts[lengths != counts][0]} elements")
        counts = lengths
    return pa.array(np.ones(len(rows), np.int64) if counts is None else counts)


BATCH_META = "__dj__batch_meta__"
