"""The way back: where each of a child's rows stands in its parent, and the child built again from those rows."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..kernels.row_hash import places
from . import families
from .canonical import decimal_text, each_distinct, json_text
from .families import family
from .leaves import Column, columns, stored
from .numerals import NUMBERS, float_text, plain


class Index:
    """Row numbers of a parent by row hash: the first row of each hash. Cost: 24 bytes a distinct row."""

    def __init__(self, hashes: np.ndarray) -> None:
        order = np.lexsort((hashes[1], hashes[0]))  # stable: equal rows stay in their order
        first, second = hashes[0][order], hashes[1][order]
        new = np.ones(len(first), bool)
        new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        self.first, self.second, self.row = first[new], second[new], order[new]

    def rows(self, hashes: np.ndarray) -> np.ndarray:
        """int64[n]: the row of each of uint64[2, n] hashes, -1 where there is none."""
        at = places(np.ascontiguousarray(hashes[0]), np.ascontiguousarray(hashes[1]), self.first, self.second)
        return np.where(at >= 0, self.row[np.maximum(at, 0)] if len(self.row) else -1, -1)


def assembled(schema: pa.Schema, source: pa.RecordBatch | pa.Table) -> pa.Table:
    """The rows of `source`, as a table of `schema`, whose leaves all are among the source's.

    Each leaf is cast without loss. Raises ValueError where a value cannot be.
    """
    given = {c.leaf.name: c for c in columns(source)}
    arrays = [_built(field.type, (field.name,), given) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _built(type: pa.DataType, path: tuple[str, ...], given: Mapping[str, Column]) -> pa.Array:
    beneath = stored(type)
    if isinstance(type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type, _built(beneath, path, given))
    if not (pa.types.is_struct(beneath) and beneath.num_fields):
        return converted(given[".".join(path)].values, type)
    arrays = [_built(field.type, (*path, field.name), given) for field in beneath]
    leaf = next(c for name, c in given.items() if c.leaf.path[: len(path)] == path or name.startswith(".".join(path) + "."))
    above = len(leaf.leaf.path) - len(path)
    null = None if leaf.depth is None else pa.array(leaf.depth >= above)
    return pa.StructArray.from_arrays(arrays, fields=list(beneath), mask=null)


def converted(values: pa.Array, type: pa.DataType) -> pa.Array:
    """`values` in another type, without loss. Raises ValueError where a value has no equal there."""
    if values.type == type:
        return values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_dictionary(type):
        return converted(values, type.value_type).dictionary_encode().cast(type)
    try:
        if family(values.type) == families.TEXT and family(type) in NUMBERS:
            values = plain(values)
        if family(type) == families.TEXT:
            return pc.cast(_as_text(values), type)
        if families.DECIMAL in (family(type), family(values.type)) and family(values.type) in NUMBERS:
            values = _as_text(values)  # Arrow asks 19 digits more of an integer, and rounds decimals to a float beside it
        return pc.cast(values, type)
    except (pa.ArrowException, ValueError) as e:
        raise ValueError(f"{values.type} cannot become {type} without loss ({e})") from e


def _as_text(values: pa.Array) -> pa.Array:
    """The canonical text of each value: whole floats as whole numbers."""
    if family(values.type) == families.DECIMAL:
        return each_distinct(values, decimal_text)
    if family(values.type) != families.FLOAT:
        return pc.cast(values, pa.string())
    return float_text(values)


def differing(a: pa.Table, b: pa.Table) -> list[str]:
    """Names of columns whose values differ, types aside -0.0 and 0.0, NaN and NaN being the same. Same length, or all differ."""
    if a.num_rows != b.num_rows or a.schema.names != b.schema.names:
        return sorted({*a.schema.names, *b.schema.names})
    found = []
    for x, y in zip(columns(a), columns(b), strict=True):
        if not _same(x, y):
            found.append(x.leaf.name)
    return found


def _same(x: Column, y: Column) -> bool:
    if x.values.type != y.values.type or not _same_depth(x.depth, y.depth):
        return False
    one, other = (c.values.dictionary_decode() if pa.types.is_dictionary(c.values.type) else c.values for c in (x, y))
    if one.equals(other):
        return True
    if family(one.type) == families.FLOAT:
        a, b = (np.array(pc.fill_null(pc.cast(v, pa.float64()), 0.0)) for v in (one, other))
        return pc.is_null(one).equals(pc.is_null(other)) and bool(np.array_equal(a, b, equal_nan=True))
    if family(one.type) == families.NESTED:  # NaN within lists: rare, a row at a time
        return [json_text(v) for v in one.to_pylist()] == [json_text(v) for v in other.to_pylist()]
    return False


def _same_depth(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return not (a is not None and a.any()) and not (b is not None and b.any())
    return bool(np.array_equal(a, b))
