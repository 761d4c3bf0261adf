"""What every format's reader yields, how a broken row is told, and how rows are measured and sliced."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ReadError
from .places import shown

HINT = "on_error: {set_aside: N} puts up to N such rows aside and keeps going"


@dataclass(frozen=True)
class Rows:
    """Rows of one file: the user's columns, int64 positions, and for broken rows (all columns null) index -> reason."""

    source: str
    columns: pa.RecordBatch
    positions: np.ndarray
    errors: Mapping[int, str] = field(default_factory=dict)


class BrokenError(Exception):
    """A file that cannot be read on from `position`: truncated, corrupt, or a line too long."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position, self.reason = position, reason


def complain(place: str, reason: str, *, tolerate: bool) -> str:
    """The located sentence about a broken row. Raises ReadError with it, and the way out, unless `tolerate`."""
    told = shown(f"{place}: {reason}")
    if not tolerate:
        raise ReadError(f"{told}. {HINT}")
    return told


def broken_row(source: str, position: int, told: str, schema: pa.Schema) -> Rows:
    """A single row of nulls that stands for a break in the file."""
    columns = pa.RecordBatch.from_arrays([pa.nulls(1, f.type) for f in schema], schema=schema)
    if not schema.names:
        columns = empty_columns(1)
    return Rows(source, columns, np.array([position], np.int64), {0: told})


def empty_columns(rows: int) -> pa.RecordBatch:
    """A batch of `rows` rows without columns."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def misspelt(rows: Rows, place_of: Callable[[int], str], tolerate: bool) -> Rows:
    """`rows`, where those whose text is not UTF-8 are broken. Raises ReadError for the first of them unless `tolerate`."""
    errors = dict(rows.errors)
    for name, column in zip(rows.columns.schema.names, rows.columns.columns, strict=True):
        if valid(column, full=True):
            continue
        for i in range(len(column)):
            if i not in errors and not valid(column.slice(i, 1), full=True):
                reason = f"column '{name}' is not UTF-8"
                errors[i] = complain(f"{rows.source}, {place_of(i)}", reason, tolerate=tolerate)
    if len(errors) == len(rows.errors):
        return rows
    kept = pa.array([None if i in errors else i for i in range(len(rows.positions))], pa.int64())
    return Rows(rows.source, rows.columns.take(kept), rows.positions, errors)


def valid(values: pa.Array | pa.Table, full: bool = False) -> bool:
    """Whether lengths and offsets agree; `full`: and all text is UTF-8."""
    try:
        values.validate(full=full)
    except (pa.ArrowException, UnicodeDecodeError):
        return False
    return True


def row_bytes(batch: pa.RecordBatch | pa.Table) -> np.ndarray:
    """int64[n], bytes that each row takes in Arrow form: depends on its values alone, not on the batch around it."""
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        if chunks:
            total += np.concatenate([_sizes(chunk) for chunk in chunks])
    return total


def _sizes(array: pa.Array) -> np.ndarray:
    type = array.type
    if pa.types.is_null(type):
        return np.zeros(len(array), np.int64)
    if pa.types.is_string(type) or pa.types.is_binary(type):
        return _filled(pc.binary_length(array)) + 4
    if pa.types.is_struct(type):
        return sum((_sizes(child) for child in array.flatten()), np.ones(len(array), np.int64))
    if pa.types.is_nested(type):
        lengths = _filled(pc.list_value_length(array.cast(_as_list(type)) if pa.types.is_map(type) else array))
        inside = np.concatenate([[0], np.cumsum(_sizes(_items(array)))])
        ends = np.cumsum(lengths)
        return inside[ends] - inside[ends - lengths] + 4
    return np.full(len(array), max(1, type.bit_width // 8), np.int64)


def _as_list(type: pa.MapType) -> pa.DataType:
    return pa.list_(pa.struct([("key", type.key_type), ("value", type.item_type)]))


def _items(array: pa.Array) -> pa.Array:
    """The items of all valid lists, one after the other: what lies under a null list is left out."""
    return pc.list_flatten(array.cast(_as_list(array.type)) if pa.types.is_map(array.type) else array)


def _filled(lengths: pa.Array) -> np.ndarray:
    return np.asarray(lengths.fill_null(0)).astype(np.int64)


def fitting(sizes: np.ndarray, start: int, rows: int | None, room: int | None) -> int:
    """How many rows from `start` on fit into `rows` rows and `room` bytes."""
    stop = len(sizes) if rows is None else min(len(sizes), start + rows)
    if room is not None:
        stop = start + int(np.searchsorted(np.cumsum(sizes[start:stop]), room, side="right"))
    return stop - start


def sliced(batch: pa.RecordBatch, batch_rows: int, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Slices of at most `batch_rows` rows and `batch_bytes` bytes (a single larger row stands alone), in order."""
    sizes = row_bytes(batch)
    start = 0
    while start < len(batch):
        count = max(1, fitting(sizes, start, batch_rows, batch_bytes))
        yield batch.slice(start, count)
        start += count


def floats(array: pa.Array) -> Iterator[pa.Array]:
    """Every array of floats inside a column, however nested."""
    if pa.types.is_floating(array.type):
        yield array
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from floats(child)
    elif pa.types.is_nested(array.type):
        yield from floats(_items(array))
