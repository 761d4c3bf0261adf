"""Columns by the names that recipes give them: `title`, or `meta.title` for a field of a struct column."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc


def type_at(schema: pa.Schema | pa.StructType, key: str) -> pa.DataType | None:
    """The type of what `key` names; None: there is no such column or field."""
    names = [f.name for f in schema]
    if key in names:
        return schema.field(key).type
    head, _, rest = key.partition(".")
    if not rest or head not in names or not pa.types.is_struct(schema.field(head).type):
        return None
    return type_at(schema.field(head).type, rest)


def find(columns: Mapping[str, pa.Array], key: str) -> pa.Array | None:
    """The column, or field of a struct column, that `key` names; null where a struct around it is. None: there is none."""
    if key in columns:
        return columns[key]
    head, _, rest = key.partition(".")
    if not rest or head not in columns or not pa.types.is_struct(columns[head].type):
        return None
    return find({f.name: pc.struct_field(columns[head], [f.name]) for f in columns[head].type}, rest)


def put(columns: dict[str, pa.Array], key: str, values: pa.Array) -> None:
    """Set what `key` names, which a struct column on the way already has."""
    head, _, rest = key.partition(".")
    if key in columns or not rest or head not in columns:
        columns[key] = values
        return
    outer = columns[head]
    inner = {f.name: pc.struct_field(outer, [f.name]) for f in outer.type}
    put(inner, rest, values)
    columns[head] = pa.StructArray.from_arrays(list(inner.values()), names=list(inner), mask=pc.is_null(outer))


def merged(column: pa.Array | None, values: pa.StructArray) -> pa.Array:
    """The fields of both structs, those of `values` where both have one; `values` where there is no struct before."""
    if column is None or not pa.types.is_struct(column.type):
        return values
    fields = {f.name: pc.struct_field(column, [f.name]) for f in column.type}
    fields |= {f.name: pc.struct_field(values, [f.name]) for f in values.type}
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
