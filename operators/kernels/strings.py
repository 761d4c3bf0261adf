"""Arrow string columns as offsets and bytes, and back: no Python object per row, no copy of the text."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def view(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int64[n + 1] into the bytes uint8[...] of `text`: row i is `data[offsets[i]:offsets[i + 1]]`.

    Respects slices; the bytes are the column's own buffer. A null row's bytes mean nothing: see `masked`.
    Raises ValueError for a column that is not of strings.
    """
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        raise ValueError(f"this operator reads text (string or large_string), the column is {text.type}")
    width = np.int32 if pa.types.is_string(text.type) else np.int64
    _, offsets, data = text.buffers()
    bounds = np.zeros(len(text) + 1, np.int64)
    if len(text):
        bounds[:] = np.frombuffer(offsets, width, len(text) + 1, text.offset * np.dtype(width).itemsize)
    return bounds, _read_only(data, np.uint8)


def _read_only(buffer: pa.Buffer | None, kind: type) -> np.ndarray:
    """The buffer as an array, never writable: kernels are compiled for one kind of array only."""
    values: np.ndarray = np.frombuffer(buffer, kind) if buffer is not None and buffer.size else np.zeros(0, kind)
    values.flags.writeable = False
    return values


def nulls(column: pa.Array) -> np.ndarray | None:
    """bool[n], true where a row is null; None where no row is."""
    return np.asarray(pc.is_null(column)) if column.null_count else None


def masked(values: np.ndarray, like: pa.Array) -> pa.Array:
    """`values` as an Arrow column, null where `like` is null."""
    return pa.array(values, mask=nulls(like))


def lists(offsets: np.ndarray, values: np.ndarray, like: pa.Array) -> pa.ListArray:
    """list column of `values` cut at `offsets` (int64[n + 1]), null where `like` is null."""
    mask = nulls(like)
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(values), mask=None if mask is None else pa.array(mask)
    )


def list_view(column: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int64[n + 1] into the values uint64[...] of a list<uint64> column; respects slices."""
    bounds = np.zeros(len(column) + 1, np.int64)
    if len(column):
        bounds[:] = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
    values = column.values
    inner = _read_only(values.buffers()[1], np.uint64)
    return bounds, inner[values.offset : values.offset + len(values)]


def strings(offsets: np.ndarray, data: np.ndarray, *, like: pa.StringArray) -> pa.StringArray:
    """String column of the type of `like` from offsets int64[n + 1] and bytes, null where `like` is null.

    Raises ValueError where the bytes are more than that type can hold.
    """
    mask = nulls(like)
    valid = None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little"))
    places = pa.array(offsets).cast(pa.int32() if pa.types.is_string(like.type) else pa.int64())
    buffers = [valid, places.buffers()[1], pa.py_buffer(data)]
    return pa.Array.from_buffers(like.type, len(like), buffers, null_count=like.null_count)


def rewrite(text: pa.StringArray, rows: np.ndarray | pa.BooleanArray, change: Callable[[str], str]) -> pa.StringArray:
    """`text` with `change` applied to the rows that `rows` (bool[n]) marks; the others never become Python objects.

    Null: null. Cost: one Python call per marked row, and a copy of the column where any row was marked.
    """
    chosen = pc.and_(pc.fill_null(pa.array(rows, pa.bool_()), False), pc.is_valid(text))
    if not chosen.true_count:
        return text
    changed = pa.array([change(row) for row in text.filter(chosen).to_pylist()], text.type)
    return pc.replace_with_mask(text, chosen, changed)
