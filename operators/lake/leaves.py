"""A table's leaves: structs taken apart to dotted paths; lists and maps stay whole."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Leaf:
    """One leaf of a schema: its dotted name, the path of field names that leads there, and its Arrow type."""

    name: str
    path: tuple[str, ...]
    type: pa.DataType


@dataclass(frozen=True)
class Column:
    """The values of a leaf in one batch.

    Attributes:
        leaf: which leaf.
        values: one value per row; null where the leaf or a struct above it is null.
        depth: uint8[n], for null values: how many levels above the leaf the null stands (0: the leaf itself);
            None where no struct above is null. `{"a": null}` and `null` are different rows.
    """

    leaf: Leaf
    values: pa.Array
    depth: np.ndarray | None = None


def leaves(schema: pa.Schema) -> list[Leaf]:
    """The leaves of a schema, in its order. Raises ValueError where two bear one name.

    >>> [leaf.name for leaf in leaves(pa.schema([("a", pa.int8()), ("b", pa.struct([("c", pa.string())]))]))]
    ['a', 'b.c']
    """
    found = [leaf for field in schema for leaf in _below(field, ())]
    names = [leaf.name for leaf in found]
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ValueError(f"{len(twice)} column name(s) stand twice: {', '.join(twice[:5])}")
    return found


def _below(field: pa.Field, above: tuple[str, ...]) -> Iterator[Leaf]:
    path, type = (*above, field.name), stored(field.type)
    if pa.types.is_struct(type) and type.num_fields:
        for inner in type:
            yield from _below(inner, path)
    else:
        yield Leaf(".".join(path), path, type)


def stored(type: pa.DataType) -> pa.DataType:
    """The type beneath an extension type."""
    return stored(type.storage_type) if isinstance(type, pa.BaseExtensionType) else type


def columns(batch: pa.RecordBatch | pa.Table) -> Iterator[Column]:
    """Every leaf's values in a batch, in the schema's order."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        yield from _taken_apart(field.name, array, (), None)


def _taken_apart(name: str, array: pa.Array, above: tuple[str, ...], nulls: np.ndarray | None) -> Iterator[Column]:
    """`nulls`: uint8[n], levels from here up to the highest null struct (0: none is)."""
    path = (*above, name)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_struct(array.type) and array.type.num_fields:
        below = _one_deeper(nulls, array)
        for field, inner in zip(array.type, array.flatten(), strict=True):
            yield from _taken_apart(field.name, inner, path, below)
        return
    yield Column(Leaf(".".join(path), path, array.type), array, nulls)


def _one_deeper(nulls: np.ndarray | None, array: pa.Array) -> np.ndarray | None:
    if nulls is None and not array.null_count:
        return None
    here = np.asarray(pc.is_null(array))
    depth = np.where(nulls > 0, nulls + 1, 0) if nulls is not None else np.zeros(len(array), np.int64)
    return np.where(depth > 0, depth, here).astype(np.uint8)
