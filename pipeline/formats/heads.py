"""What the beginning of a file tells: its layout and its columns."""

from collections.abc import Sequence

import pyarrow as pa

from . import delimited, parquet, plain
from .compression import Unpacked
from .finding import Source
from .lines import BOM, LINE_LIMIT, array_elements, block_of
from .objects import head_schema
from .places import open_input
from .rows import BrokenError

HEAD = 1 << 16  # bytes of a file that tell its columns


def layout_of(source: Source) -> str:
    """How the source is laid out: its format; a .json file is an array where its first character says so, else lines."""
    if source.format != "json":
        return source.format
    try:
        with Unpacked(open_input(source.url), source.codec) as file:
            return "array" if file.read(HEAD).removeprefix(BOM).lstrip()[:1] == b"[" else "jsonl"
    except BrokenError:
        return "jsonl"  # `read` tells of it


def head_of(source: Source, text_keys: Sequence[str]) -> pa.Schema:
    """A file's columns by its beginning; none where it has no rows. Raises BrokenError, OSError."""
    if source.format == "parquet":
        return parquet.schema_of(source.url)
    if source.format == "text":
        return plain.SCHEMA
    if source.format in delimited.DELIMITERS:
        return delimited.schema_of(source.url, source.codec, source.format, text_keys)
    return json_head(source.url, source.codec, layout_of(source) == "array")


def json_head(url: str, codec: str | None, array: bool) -> pa.Schema:
    """The columns that the first 64 KiB show; of a longer first line, that line."""
    with Unpacked(open_input(url), codec) as file:
        data = b""
        while True:
            more = file.read(max(HEAD, len(data)))
            data, ended = data + more, not more
            lines = _first_elements(data) if array else _first_lines(data, ended)
            if lines or ended:
                return head_schema(lines)
            if len(data) > LINE_LIMIT:
                raise BrokenError(0, f"a first line of more than {LINE_LIMIT >> 20} MiB")


def _first_lines(data: bytes, ended: bool) -> list[bytes]:
    block = block_of(data if ended else data[:data.rfind(b"\n") + 1], 0, lambda: None)
    return [block.line(i) for i in range(len(block))]


def _first_elements(data: bytes) -> list[bytes]:
    lines = []
    try:
        for start, end in array_elements(data):
            lines.append(data[start:end])
    except BrokenError:
        pass  # the head is cut off, as heads are
    return lines
