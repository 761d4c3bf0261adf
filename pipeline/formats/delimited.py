"""Comma- and tab-separated files: a header, then records whose fields may be quoted and hold newlines.

A column is a number where every value in the file is one: no leading zeros, no plus, at most 15 digits (18 for whole
numbers). Where the file has no value at all it is null, and goes with whatever it is in other files. All else is text,
kept to the letter.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .compression import Unpacked
from .lines import BOM, LINE_LIMIT
from .places import open_input
from .rows import BrokenError, Rows, broken_row, complain

HEAD = 200  # records that decide whether a column may be a number
DELIMITERS = {"csv": ",", "tsv": "\t"}
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?([eE][+-]?\d{1,2})?", re.ASCII)
_LONG = pa.decimal128(18)  # while types are sought: whole numbers, of which some have more digits than a float holds
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how Python decodes bytes that are none
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Record:
    """One record: its fields, or what is wrong with it; `line` is where it begins, from 1."""

    line: int
    fields: list[str]
    wrong: str = ""


def schema_of(url: str, codec: str | None, format: str, texts: Sequence[str], rows: int | None = HEAD) -> pa.Schema:
    """The columns with their types, by the first `rows` records (None: all of them, in one pass).

    Raises BrokenError where the header cannot be used; what is wrong further down is told by `read_records`.
    """
    with Unpacked(open_input(url), codec) as file:
        records = _records(file, format)
        names = _header(next(records, None))
        types: dict[str, pa.DataType | None] = {name: pa.string() if name in texts else None for name in names}
        with suppress(BrokenError):
            for number, record in enumerate(records):
                undecided = [i for i, name in enumerate(names) if types[name] != pa.string()]
                if number == rows or not undecided:
                    break
                if not record.wrong and len(record.fields) == len(names):
                    for i in undecided:
                        types[names[i]] = _narrowed(types[names[i]], record.fields[i])
    return pa.schema([(name, pa.int64() if type == _LONG else type or pa.null()) for name, type in types.items()])


def _header(record: Record | None) -> list[str]:
    if record is None:
        return []
    if record.wrong:
        raise BrokenError(0, f"line {record.line}, the header: {record.wrong}")
    if any(_NOT_UTF8.search(name) for name in record.fields):
        raise BrokenError(0, f"line {record.line}, the header: not UTF-8")
    twice = sorted({name for name in record.fields if record.fields.count(name) > 1})
    if twice:
        raise BrokenError(0, f"line {record.line}: the header names {', '.join(map(repr, twice))} more than once")
    return record.fields


def _narrowed(type: pa.DataType | None, value: str) -> pa.DataType | None:
    """The type of a column of `type` (None: nothing seen yet) that also holds `value`."""
    if not value:
        return type
    if _INTEGER.fullmatch(value) and type != pa.float64():
        return _LONG if type == _LONG or not _NUMBER.fullmatch(value) else pa.int64()
    return pa.float64() if _NUMBER.fullmatch(value) and type != _LONG else pa.string()


def read_records(
    url: str, source: str, codec: str | None, format: str, *, texts: Sequence[str], batch_bytes: int, tolerate: bool
) -> Iterator[Rows]:
    """The records as rows, in bounded memory; positions are record numbers from 0.

    Raises ReadError at the first broken record unless `tolerate`. Cost: a second pass over the file where a column of
    its head looks like numbers or holds nothing, since one word further down makes it text.
    """
    schema, at = pa.schema([]), 0
    try:
        schema = schema_of(url, codec, format, texts)
        if any(type != pa.string() for type in schema.types):
            schema = schema_of(url, codec, format, texts, rows=None)
        with Unpacked(open_input(url), codec) as file:
            records = _records(file, format)
            next(records, None)
            for rows in _gathered(records, batch_bytes):
                yield _rows(rows, at, source, schema, tolerate)
                at += len(rows)
    except BrokenError as e:
        lines = f"after record {at - 1}: " if at else ""
        yield broken_row(source, at, complain(source, lines + e.reason, tolerate=tolerate), schema)


def _gathered(records: Iterator[Record], batch_bytes: int) -> Iterator[list[Record]]:
    """Records in batches; those before a break come before it is raised."""
    held, size, broken = [], 0, None
    while broken is None:
        try:
            record = next(records, None)
        except BrokenError as e:
            record, broken = None, e
        if record is not None:
            held.append(record)
            size += sum(map(len, record.fields))
        if held and (record is None or len(held) == _BATCH_ROWS or size >= batch_bytes):
            yield held
            held, size = [], 0
        if record is None:
            break
    if broken:
        raise broken


def _rows(records: list[Record], at: int, source: str, schema: pa.Schema, tolerate: bool) -> Rows:
    errors: dict[int, str] = {}
    values: list[list[str]] = []
    for i, record in enumerate(records):
        wrong = record.wrong or _misfit(record.fields, len(schema))
        if wrong:
            errors[i] = complain(f"{source}, line {record.line} (record {at + i})", wrong, tolerate=tolerate)
        values.append([] if wrong else record.fields)
    columns = []
    for c, type in enumerate(schema.types):
        cells = [row[c] if row else None for row in values]
        columns.append(pa.array(cells, type) if type == pa.string() else _numbers(cells, type))
    positions = np.arange(at, at + len(records), dtype=np.int64)
    return Rows(source, pa.RecordBatch.from_arrays(columns, schema=schema), positions, errors)


def _misfit(fields: list[str], wanted: int) -> str:
    if len(fields) != wanted:
        return f"{len(fields)} fields where the header names {wanted}"
    for field in fields:
        if not field.isascii() and _NOT_UTF8.search(field):
            return "not UTF-8"
    return ""


def _numbers(cells: list[str | None], type: pa.DataType) -> pa.Array:
    convert = int if pa.types.is_integer(type) else float
    return pa.array([convert(cell) if cell else None for cell in cells], type)


def _records(file: Unpacked, format: str) -> Iterator[Record]:
    """Every record, the header included, empty lines left out. Raises BrokenError where the stream breaks off."""
    csv.field_size_limit(LINE_LIMIT)  # of the whole process; Python's own 128 kB is shorter than many a document
    reader = csv.reader(_text_lines(file), delimiter=DELIMITERS[format], strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            yield Record(line, [], f"not {format.upper()} ({e})")
            continue
        if fields:
            yield Record(line, fields)


def _text_lines(file: Unpacked) -> Iterator[str]:
    """The stream's lines with their ends; bytes that are no UTF-8 come as lone surrogates."""
    rest, first = b"", True
    while data := file.read(1 << 20):
        if first and data.startswith(BOM):
            data = data[3:]
        first = False
        *whole, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
        for line in whole:
            yield line.decode("utf-8", "surrogateescape") + "\n"
    if rest:
        yield rest.decode("utf-8", "surrogateescape")
