"""JSON lines: whole blocks through pyarrow where that loses nothing, line by line through orjson where it would.

pyarrow turns date-like text into timestamps, 64-bit hashes into floats, and takes a block with one bad line for bad
altogether; so a block is checked before and after, and read again with care where a check fails. Both ways end in
the same parser with the same columns: a broken line changes nothing about its neighbours.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from .lines import Block
from .objects import admitted, loaded
from .rows import Rows, complain, empty_columns, floats, valid
from .schemas import ConflictError, cast, merge, reshaped, settled, too_deep

_CHUNK = 1 << 17  # bytes looked at a time while they lie in the cache
_OPENERS = 1000  # pyarrow's parser overflows the stack near 16,000 levels; lines with fewer brackets cannot get there
_WIDE = 2.0**63


def read_blocks(blocks: Iterable[Block], *, source: str, known: pa.Schema, tolerate: bool) -> Iterator[Rows]:
    """Rows of each block. `known`: what the columns are, where that is known; a line that contradicts it is broken.

    Raises ReadError, located, at the first broken line unless `tolerate`.
    """
    for block in blocks:
        if len(block):
            yield _rows(block, source, known, tolerate)


def _rows(block: Block, source: str, known: pa.Schema, tolerate: bool) -> Rows:
    columns, errors = _at_once(block, known), dict[int, str]()
    if columns is None:
        columns, errors = _with_care(block, source, known, tolerate)
    settled_columns = [settled(column) for column in columns.columns]
    if settled_columns:
        columns = pa.RecordBatch.from_arrays(settled_columns, names=columns.schema.names)
    return Rows(source, columns, block.positions, errors)


def _at_once(block: Block, known: pa.Schema) -> pa.RecordBatch | None:
    """The block through pyarrow, or None where that fails or would lose something."""
    if not _one_object_a_line(block) or not _utf8(block.data) or not _shallow(block):
        return None
    try:
        table = _parse(block.data, _texts(known))
        if any(too_deep(type) for type in table.schema.types):  # before anything descends into a type
            return None
        if not valid(table) or any(_told(type) != type for type in table.schema.types):
            table = _parsed_as(block.data, {f.name: _undated(f.type) for f in table.schema})
        if table.num_rows != len(block) or _doubtful(table):
            return None
        types = {f.name: f.type for f in known}
        for field in table.schema:
            types[field.name] = merge(types.get(field.name, pa.null()), field.type, field.name)
    except (pa.ArrowException, ConflictError, UnicodeDecodeError):
        return None
    return _shaped(table, types)


def _shaped(table: pa.Table, types: dict[str, pa.DataType]) -> pa.RecordBatch:
    if not types:
        return empty_columns(table.num_rows)
    columns = []
    for name, type in types.items():
        if name not in table.schema.names:
            columns.append(pa.nulls(table.num_rows, type))
            continue
        column = table.column(name).combine_chunks()
        columns.append(column if column.type == type else cast(column, type))
    return pa.RecordBatch.from_arrays(columns, names=list(types))


def _parsed_as(data: bytes | bytearray, types: dict[str, pa.DataType]) -> pa.Table:
    """The lines with every column's type known."""
    table = _parse(data, pa.schema([(name, _told(type)) for name, type in types.items()]))
    for i, (name, type) in enumerate(types.items()):
        if table.schema.field(i).type != type:
            table = table.set_column(i, name, reshaped(table.column(i).combine_chunks(), type))
    return table


def _parse(data: bytes | bytearray, schema: pa.Schema) -> pa.Table:
    return pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),  # one chunk: nothing to copy together
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
    )


def _one_object_a_line(block: Block) -> bool:
    """A line that begins with { and ends with } is whole objects or nothing: with as many rows as lines, one each."""
    view = np.frombuffer(block.data, np.uint8)
    return bool(
        (block.ends > block.starts).all() and (view[block.starts] == ord("{")).all() and (view[block.ends - 1] == ord("}")).all()
    )


def _utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _shallow(block: Block) -> bool:
    """Whether no line nests deep enough to harm the parser."""
    view = np.frombuffer(block.data, np.uint8)
    parts = range(0, len(view), _CHUNK)
    openers = np.concatenate([np.flatnonzero((view[i:i + _CHUNK] & 0xDF) == 0x5B) + i for i in parts])  # [ and {
    if len(openers) < _OPENERS:
        return True
    count = np.searchsorted(openers, block.ends) - np.searchsorted(openers, block.starts)
    try:
        for i in np.flatnonzero(count >= _OPENERS):
            orjson.loads(block.line(int(i)))  # refuses more than 1,024 levels
    except orjson.JSONDecodeError:
        return False
    return True


def _texts(schema: pa.Schema) -> pa.Schema:
    """What pyarrow must be told: where text is. The rest it infers, and widens by itself."""
    fields = [(f.name, _text_part(f.type)) for f in schema]
    return pa.schema([(name, type) for name, type in fields if type is not None])


def _text_part(type: pa.DataType) -> pa.DataType | None:
    if pa.types.is_string(type):
        return type
    if pa.types.is_struct(type):
        fields = [(f.name, part) for f in type if (part := _text_part(f.type)) is not None]
        return pa.struct(fields) if fields else None
    if pa.types.is_list(type):
        value = _text_part(type.value_type)
        return None if value is None else pa.list_(value)
    return None


def _undated(type: pa.DataType) -> pa.DataType:
    """`type` with text where pyarrow saw dates."""
    if pa.types.is_struct(type):
        return pa.struct([(f.name, _undated(f.type)) for f in type])
    if pa.types.is_list(type):
        return pa.list_(_undated(type.value_type))
    return pa.string() if pa.types.is_temporal(type) else type


def _told(type: pa.DataType) -> pa.DataType:
    """`_undated`, and lists of nothing but nulls as lists of booleans.

    A list that begins with null comes out of pyarrow one item short, hence invalid, unless its type is told.
    """
    if pa.types.is_struct(type):
        return pa.struct([(f.name, _told(f.type)) for f in type])
    if pa.types.is_list(type):
        return pa.list_(pa.bool_() if pa.types.is_null(type.value_type) else _told(type.value_type))
    return _undated(type)


def _doubtful(table: pa.Table) -> bool:
    """Whether a column of floats may have been integers beyond 64 bits, or holds infinities."""
    for column in table.columns:
        for chunk in column.chunks:
            for leaf in floats(chunk):
                largest = pc.max(pc.abs(leaf)).as_py()
                if largest is not None and largest >= _WIDE:
                    return True
    return False


def _with_care(block: Block, source: str, known: pa.Schema, tolerate: bool) -> tuple[pa.RecordBatch, dict[int, str]]:
    """The block line by line: each line is taken or told, then all good ones parsed with their types known."""
    types: dict[str, pa.DataType] = {f.name: f.type for f in known}
    errors: dict[int, str] = {}
    clean = bytearray()
    for i in range(len(block)):
        try:
            value, line = loaded(block.line(i))
            types.update(admitted(value, types))
        except ValueError as e:
            number = block.line_of(i)
            place = f"{source}, " + (f"line {number} (byte {block.positions[i]})" if number else f"byte {block.positions[i]}")
            errors[i], line = complain(place, str(e), tolerate=tolerate), b"{}"
        clean += line + b"\n"
    return _shaped(_parsed_as(clean, types), types), errors
