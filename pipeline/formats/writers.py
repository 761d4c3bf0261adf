"""How rows are written: one encoder per format. The bytes of a file depend on its rows alone, not on batch borders."""

import json
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from ..errors import RecipeError
from .rows import floats, row_bytes
from .schemas import kind, settled

GROUP_BYTES = 64 << 20  # uncompressed bytes of a Parquet row group
PIECE = 1 << 20  # compressors are fed pieces of this size, whatever comes in
SUFFIXES = {
    "parquet": ".parquet", "jsonl": ".jsonl", "json": ".json", "jsonl.zst": ".jsonl.zst", "jsonl.gz": ".jsonl.gz",
}


class Writer(Protocol):
    """One file being written."""

    def write(self, payload: Any, sizes: np.ndarray) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is held back; the file beneath stays open."""

    def abandon(self) -> None:
        """Write nothing more, not even an end."""


class Encoder(Protocol):
    """One format."""

    def encode(self, batch: pa.RecordBatch) -> tuple[Any, np.ndarray]:
        """Rows in a form that can be sliced and written, and int64[n], the bytes of each before compression."""

    def start(self, file: BinaryIO) -> Writer:
        """A writer on an open file."""


def encoder(format: str, schema: pa.Schema, *, texts: Sequence[str] = (), level: int | None = None) -> Encoder:
    """The encoder of a format. Raises RecipeError for an unknown format, or a column that the format cannot hold."""
    if format not in SUFFIXES:
        raise RecipeError(f"export_type {format!r} is not known. Formats: {', '.join(SUFFIXES)}")
    if format == "parquet":
        return ParquetEncoder(schema, texts, 1 if level is None else level)
    for field in schema:
        if _unprintable(field.type):
            what = f"column {field.name!r} is {kind(field.type)}"
            raise RecipeError(f"export: {what}, which JSON cannot hold; leave it out, or export Parquet")
    return JsonEncoder(format.partition(".")[2], level)


class ParquetEncoder:
    """Parquet: zstd, page checksums, text without dictionary, row groups of about 64 MB."""

    def __init__(self, schema: pa.Schema, texts: Sequence[str], level: int) -> None:
        empty = schema.empty_table()
        self.schema = pa.schema([(n, settled(c.combine_chunks()).type) for n, c in zip(schema.names, empty.columns, strict=True)])
        dictionary = [f.name for f in self.schema if f.name not in texts and not pa.types.is_nested(f.type)]
        self.options: dict[str, Any] = {
            "compression": "zstd", "compression_level": level, "use_dictionary": dictionary or False, "write_page_checksum": True,
        }

    def encode(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, np.ndarray]:
        """The rows as they are; objects without any field become nulls, which Parquet cannot tell apart."""
        batch = pa.RecordBatch.from_arrays([settled(c) for c in batch.columns], schema=self.schema)
        return batch, row_bytes(batch)

    def start(self, file: BinaryIO) -> "ParquetFileWriter":
        """A Parquet file."""
        return ParquetFileWriter(pq.ParquetWriter(file, self.schema, **self.options), self.schema)


class ParquetFileWriter:
    """Gathers rows into row groups: one ends with the row that fills it."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self.writer, self.schema = writer, schema
        self.held: list[pa.RecordBatch] = []
        self.bytes = 0

    def write(self, payload: pa.RecordBatch, sizes: np.ndarray) -> None:
        """Add rows."""
        start = 0
        while start < len(payload):
            ends = self.bytes + np.cumsum(sizes[start:])
            count = min(len(payload) - start, int(np.searchsorted(ends, GROUP_BYTES)) + 1)
            self.held.append(payload.slice(start, count))
            self.bytes = int(ends[count - 1])
            start += count
            if self.bytes >= GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self.held, self.schema).combine_chunks()
        self.writer.write_table(table, row_group_size=max(1, len(table)))
        self.held, self.bytes = [], 0

    def close(self) -> None:
        """The last row group and the footer."""
        if self.held:
            self._flush()
        self.writer.close()

    def abandon(self) -> None:
        """Keep pyarrow from writing a footer when it is collected."""
        self.writer.is_open = False


class JsonEncoder:
    """One JSON object a line: UTF-8 without escapes, keys in column order, nulls kept, times as ISO 8601, NaN as Python."""

    def __init__(self, codec: str, level: int | None) -> None:
        self.codec, self.level = codec, level

    def encode(self, batch: pa.RecordBatch) -> tuple[list[bytes], np.ndarray]:
        """The lines with their newlines."""
        columns = [_printable(column) for column in batch.columns]
        odd = any(not pc.all(pc.is_finite(leaf)).as_py() for c in columns for leaf in floats(c) if pc.count(leaf).as_py())
        rows = zip(*(c.to_pylist(maps_as_pydicts="strict") for c in columns), strict=True) if columns else [()] * len(batch)
        names = batch.schema.names
        lines = [_line(dict(zip(names, row, strict=True)), odd) for row in rows]
        return lines, np.array([len(line) for line in lines], np.int64)

    def start(self, file: BinaryIO) -> "JsonFileWriter":
        """A file of lines."""
        return JsonFileWriter(file, self.codec, self.level)


class JsonFileWriter:
    """Feeds lines to the compressor in pieces of fixed size, so that its output depends on the bytes alone."""

    def __init__(self, file: BinaryIO, codec: str, level: int | None) -> None:
        self.file, self.held = file, bytearray()
        self.packer: Any = None
        if codec == "zst":
            self.packer = zstandard.ZstdCompressor(level=3 if level is None else level, write_checksum=True).compressobj()
        elif codec == "gz":
            self.packer = zlib.compressobj(6 if level is None else level, zlib.DEFLATED, 31)

    def write(self, payload: list[bytes], sizes: np.ndarray) -> None:
        """Add lines."""
        for line in payload:
            self.held += line
            while len(self.held) >= PIECE:
                self._put(bytes(self.held[:PIECE]))
                del self.held[:PIECE]

    def _put(self, data: bytes) -> None:
        self.file.write(self.packer.compress(data) if self.packer else data)

    def close(self) -> None:
        """The last piece and the compressor's end mark."""
        self._put(bytes(self.held))
        if self.packer:
            self.file.write(self.packer.flush())

    def abandon(self) -> None:
        """Nothing: a compressor writes when it is told."""


def _line(row: dict[str, Any], odd: bool) -> bytes:
    if odd and _any_odd(row):
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_as_text).encode() + b"\n"
    return orjson.dumps(row, default=_as_text, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _any_odd(value: Any) -> bool:
    """Whether a NaN or an infinity, which JSON proper does not have, is inside."""
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    items: Iterator[Any] = iter(value.values()) if isinstance(value, dict) else iter(value if isinstance(value, list) else ())
    return any(_any_odd(item) for item in items)


def _as_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    return str(value.isoformat())


def _printable(column: pa.Array) -> pa.Array:
    """Timestamps as ISO 8601 text to their last digit, which Python's own would round."""
    if pa.types.is_timestamp(column.type):
        return pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
    return column


def _unprintable(type: pa.DataType) -> bool:
    own = pa.types.is_binary(type) or pa.types.is_fixed_size_binary(type) or pa.types.is_duration(type)
    return own or str(type) == "month_day_nano_interval" or any(_unprintable(type.field(i).type) for i in range(type.num_fields))
