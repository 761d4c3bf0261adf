"""Column types: which ones tamis carries, how two of them merge, and how a batch is brought to a merged schema."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ReadError, RecipeError
from ..ledger import SOURCE

ERROR = "__error__"  # nullable string, last column of what `corpus.read` yields: why a row could not be read
DEPTH = 60  # Arrow's IPC refuses types nested deeper than 64


class ConflictError(ValueError):
    """Two types that no common type holds: `path` is the column, `a` and `b` the types where they part."""

    def __init__(self, path: str, a: pa.DataType, b: pa.DataType) -> None:
        super().__init__(f"column '{path}' is {kind(a)} and {kind(b)}")
        self.path, self.a, self.b = path, a, b


def kind(type: pa.DataType) -> str:
    """What people call a type, with its article: "text", "a number", "a list" ..."""
    if pa.types.is_string(type):
        return "text"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "a number"
    if pa.types.is_boolean(type):
        return "true/false"
    if pa.types.is_struct(type) or pa.types.is_map(type):
        return "an object"
    if pa.types.is_nested(type):
        return "a list"
    return f"{type}"


def plain(type: pa.DataType) -> pa.DataType:
    """The type under which tamis carries a column: no dictionaries, views, large offsets, extensions or field metadata."""
    if isinstance(type, pa.BaseExtensionType):
        return plain(type.storage_type)
    if pa.types.is_dictionary(type) or pa.types.is_run_end_encoded(type):
        return plain(type.value_type)
    if pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return pa.string()
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type):
        return pa.binary()
    if pa.types.is_map(type):
        return pa.map_(plain(type.key_type), plain(type.item_type))
    if pa.types.is_fixed_size_list(type):
        return pa.list_(plain(type.value_type), type.list_size)
    if pa.types.is_struct(type):
        return pa.struct([pa.field(f.name, plain(f.type)) for f in type])
    if pa.types.is_nested(type) and type.num_fields == 1:
        return pa.list_(plain(type.value_type))
    return type


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """`plain` of every column, nullable, without metadata."""
    return pa.schema([pa.field(f.name, plain(f.type)) for f in schema])


def too_deep(type: pa.DataType, left: int = DEPTH) -> bool:
    """Whether a type nests deeper than Arrow can ship between processes."""
    return left == 0 or any(too_deep(type.field(i).type, left - 1) for i in range(type.num_fields))


def merge(a: pa.DataType, b: pa.DataType, path: str) -> pa.DataType:
    """The type that holds both: null gives way, int widens to float, structs unite. Raises ConflictError where none does."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        fields = {f.name: f.type for f in a}
        for f in b:
            fields[f.name] = merge(fields.get(f.name, pa.null()), f.type, f"{path}.{f.name}")
        return pa.struct(list(fields.items()))
    if _is_list(a) and _is_list(b):
        value = merge(a.value_type, b.value_type, f"{path}[]")
        same = pa.types.is_fixed_size_list(a) and pa.types.is_fixed_size_list(b) and a.list_size == b.list_size
        return pa.list_(value, a.list_size) if same else pa.list_(value)
    if kind(a) != kind(b):
        raise ConflictError(path, a, b)
    try:
        pair = [pa.schema([("x", a)]), pa.schema([("x", b)])]
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except pa.ArrowException as e:
        raise ConflictError(path, a, b) from e


def _is_list(type: pa.DataType) -> bool:
    return pa.types.is_list(type) or pa.types.is_fixed_size_list(type)


def unify(schemas: Sequence[pa.Schema], names: Sequence[str] = ()) -> pa.Schema:
    """One schema that all the given ones fit: columns in order of first appearance, missing ones null, `__error__` last.

    `names` says for the message where each schema comes from (a file); None or missing: its number.
    Raises RecipeError where a column has types that cannot be one, with both places.
    """
    types: dict[str, pa.DataType] = {}
    origin: dict[str, str] = {}
    for number, schema in enumerate(schemas):
        name = names[number] if number < len(names) else f"schema {number + 1}"
        for field in schema:
            old, new = types.get(field.name, pa.null()), plain(field.type)
            try:
                types[field.name] = merge(old, new, field.name)
            except ConflictError as e:
                raise RecipeError(
                    f"column '{e.path}' is {kind(e.a)} in {origin[field.name]} and {kind(e.b)} in {name}: "
                    f"one data set needs one type per column; rename or convert it in one of them"
                ) from e
            if not pa.types.is_null(new) and (pa.types.is_null(old) or field.name not in origin):
                origin[field.name] = name
    if ERROR in types:
        types[ERROR] = types.pop(ERROR)
    return pa.schema(list(types.items()))


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly the columns and types of `schema`: missing columns null, others cast.

    Integers that become floats may round beyond 2^53, as JSON numbers do. Raises ReadError where a value does not fit.
    """
    if batch.schema.equals(schema):
        return batch
    present = set(batch.schema.names)
    extra = present.difference(schema.names)
    if extra:
        raise ReadError(f"{_origin(batch)}: columns {sorted(extra)} are not in the schema")
    columns: list[Any] = []
    for field in schema:
        if field.name not in present:
            columns.append(pa.nulls(len(batch), field.type))
            continue
        column = batch.column(field.name)
        try:
            columns.append(column if column.type == field.type else cast(column, field.type))
        except (pa.ArrowException, ConflictError) as e:
            raise ReadError(f"{_origin(batch)}: column '{field.name}' ({column.type}) cannot be {field.type}: {e}") from e
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def cast(column: pa.Array, type: pa.DataType) -> pa.Array:
    """`column` as `type`, where integers may round when they become floats and nothing else may lose."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    try:
        return pc.cast(column, type)
    except pa.ArrowInvalid:
        if merge(plain(column.type), type, "") != type:  # narrower: what was lost would be more than a last digit
            raise
    return pc.cast(column, options=pc.CastOptions(target_type=type, allow_float_truncate=True))


def _origin(batch: pa.RecordBatch) -> str:
    known = SOURCE in batch.schema.names and len(batch) > 0
    return str(batch.column(SOURCE)[0]) if known else "a batch"


def settled(array: pa.Array) -> pa.Array:
    """`array`, where objects that never have a field become nulls: `{}` alone has no column that Parquet can write."""
    return reshaped(array, _settled_type(array.type))


def _settled_type(type: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type):
        return pa.struct([(f.name, _settled_type(f.type)) for f in type]) if type.num_fields else pa.null()
    return pa.list_(_settled_type(type.value_type)) if pa.types.is_list(type) else type


def reshaped(array: pa.Array, type: pa.DataType) -> pa.Array:
    """`array` with all values null wherever `type` says null inside lists and structs; elsewhere the types agree."""
    if array.type == type:
        return array
    if pa.types.is_null(type):
        return pa.nulls(len(array))
    if pa.types.is_list(type):
        return pa.ListArray.from_arrays(array.offsets, reshaped(array.values, type.value_type), mask=array.is_null())
    children = [reshaped(child, field.type) for child, field in zip(array.flatten(), type, strict=True)]
    return pa.StructArray.from_arrays(children, [f.name for f in type], mask=array.is_null())
