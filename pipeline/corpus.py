"""The corpus: what lies there, how it is cut into splits, what its columns are, and its rows as record batches.

A row's id depends only on its file's path below the dataset path and its position in that file; how files are cut
depends only on the files. So neither engine nor worker count nor a moved folder changes an id.
"""

import difflib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import xxhash

from .errors import ReadError, RecipeError
from .formats import delimited, jsonl, parquet, plain
from .formats.compression import Unpacked
from .formats.finding import Source, discover, listing
from .formats.heads import head_of, json_head
from .formats.lines import Block, array_blocks, range_block, stream_blocks
from .formats.places import is_remote, open_input, shown
from .formats.rows import BrokenError, Rows, broken_row, complain, sliced
from .formats.schemas import ERROR, conform, kind, unify
from .formats.splits import LARGEST, Split, cut
from .ledger import ID, KEY_COLUMNS, POSITION, SOURCE

__all__ = ["ERROR", "Source", "Split", "conform", "cut", "discover", "listing", "peek_schema", "read", "row_ids", "shown", "unify"]


def row_ids(source: str, positions: np.ndarray) -> np.ndarray:
    """int64[n], ids of the rows at `positions` of a file: distinct within a file, and spread over all 64 bits.

    The position is added to the hash of `source` and sent through splitmix64's bijection.
    """
    with np.errstate(over="ignore"):
        z = np.uint64(xxhash.xxh3_64_intdigest(source.encode())) + (
            positions.astype(np.uint64) + np.uint64(1)
        ) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).view(np.int64)


def peek_schema(sources: Sequence[Source], text_keys: Sequence[str], *, tolerate: bool = False) -> pa.Schema:
    """The user's columns as the heads of all files show them; text columns are strings. Cost: 64 KiB or a footer per file.

    Raises RecipeError where a file with rows lacks a text column, or holds something else than text in it, or has one
    of tamis' own column names, or files contradict one another. Raises ReadError for a file whose head cannot be read,
    unless `tolerate`.
    """
    schemas, names = [], []
    for source in sources:
        try:
            schema = head_of(source, text_keys)
        except BrokenError as e:
            complain(source.source, e.reason, tolerate=tolerate)
            continue
        except OSError as e:
            raise RecipeError(f"{source.source}: cannot be read ({shown(e.strerror or str(e))})") from e
        if schema.names:
            _check(schema, text_keys, source.source)
            schemas.append(schema)
            names.append(source.source)
    found = unify(schemas, names)
    types = {f.name: f.type for f in found} | dict.fromkeys(text_keys, pa.string())
    return pa.schema(list(types.items()))


def _check(schema: pa.Schema, text_keys: Sequence[str], source: str) -> None:
    """Raises RecipeError where a file's columns are not what the recipe needs."""
    reserved = [name for name in schema.names if name in (*KEY_COLUMNS, ERROR)]
    if reserved:
        raise RecipeError(f"{source} has a column {reserved[0]!r}, a name that tamis keeps for itself; rename it")
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise RecipeError(f"{source} has more than one column {twice[0]!r}; rename one of them")
    for key in text_keys:
        if key not in schema.names:
            near = difflib.get_close_matches(key, schema.names, 1)
            hint = f". Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{source} has columns {', '.join(schema.names)}; text_keys asks for {key!r}{hint}")
        type = schema.field(key).type
        if not pa.types.is_string(type) and not pa.types.is_null(type):
            raise RecipeError(f"{source}: column {key!r}, which text_keys names, is {kind(type)}, not text")


def read(
    split: Split, *, text_keys: Sequence[str], batch_rows: int, batch_bytes: int, tolerate: bool, schema: pa.Schema | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a split: `__id__`, `__source__`, `__position__`, the user's columns, `__error__` (null: a good row).

    Text columns are strings. `schema` says what JSON columns are known to be; by default the head of the split's file
    does. Cost: memory of about four times the split or, where a file is streamed, of 8 MiB.

    Raises ReadError, located, at the first line, record or file that cannot be read; with `tolerate` such a row comes
    with null columns and the reason in `__error__`. Raises RecipeError where a column bears one of tamis' own names.
    """
    texts = tuple(text_keys)
    for rows in _rows(split, texts, batch_rows, batch_bytes, tolerate, schema):
        reserved = set(rows.columns.schema.names).intersection((*KEY_COLUMNS, ERROR))
        if reserved:
            raise RecipeError(f"{rows.source} has a column {min(reserved)!r}, a name that tamis keeps for itself; rename it")
        yield from sliced(_keyed(rows, texts), batch_rows, batch_bytes)


def _rows(
    split: Split, texts: tuple[str, ...], batch_rows: int, batch_bytes: int, tolerate: bool, schema: pa.Schema | None
) -> Iterator[Rows]:
    if split.format == "text":
        return plain.read_files(split.parts, tolerate=tolerate)
    if split.format in delimited.DELIMITERS:
        return delimited.read_records(
            split.url, split.source, split.codec, split.format, texts=texts, batch_bytes=batch_bytes, tolerate=tolerate
        )
    if split.format == "parquet":
        return parquet.read_groups(
            split.url, split.source, split.start, split.stop,
            texts=texts, batch_rows=batch_rows, batch_bytes=batch_bytes, tolerate=tolerate,
        )
    return _json_rows(split, texts, tolerate, schema)


def _json_rows(split: Split, texts: tuple[str, ...], tolerate: bool, schema: pa.Schema | None) -> Iterator[Rows]:
    """JSON rows; a break in the file is told after the rows before it."""
    try:
        known = schema or _head(split.url, split.codec, split.format == "array", split.size, split.modified)
    except BrokenError:
        known = pa.schema([])
    types = {f.name: f.type for f in known} | dict.fromkeys(texts, pa.string())
    known = pa.schema(list(types.items()))
    try:
        yield from jsonl.read_blocks(_blocks(split), source=split.source, known=known, tolerate=tolerate)
    except BrokenError as e:
        told = complain(f"{split.source}, byte {e.position}", e.reason, tolerate=tolerate)
        yield broken_row(split.source, e.position, told, known)


def _head(url: str, codec: str | None, array: bool, size: int, modified: int) -> pa.Schema:
    """As of `json_head`; of a local file, read once for all its splits: where the first line is long, so is the head."""
    return _known_head(url, codec, array, size, modified) if modified else json_head(url, codec, array)


@lru_cache(maxsize=8)
def _known_head(url: str, codec: str | None, array: bool, size: int, modified: int) -> pa.Schema:
    return json_head(url, codec, array)


def _blocks(split: Split) -> Iterator[Block]:
    if split.format == "jsonl" and split.codec is None and split.stop - split.start <= 2 * LARGEST:
        yield range_block(split.url, split.start, split.stop, split.size, count_lines=not is_remote(split.url))
        return
    with Unpacked(open_input(split.url), split.codec) as file:
        yield from array_blocks(file) if split.format == "array" else stream_blocks(file)


def _keyed(rows: Rows, texts: tuple[str, ...]) -> pa.RecordBatch:
    """The rows with the key columns before and the error column behind, missing text columns null."""
    count = len(rows.positions)
    columns: dict[str, pa.Array] = {
        ID: pa.array(row_ids(rows.source, rows.positions)),
        SOURCE: pa.repeat(rows.source, count),
        POSITION: pa.array(rows.positions),
        **dict(zip(rows.columns.schema.names, rows.columns.columns, strict=True)),
    }
    for key in texts:
        if key not in columns or pa.types.is_null(columns[key].type):
            columns[key] = pa.nulls(count, pa.string())
        elif not pa.types.is_string(columns[key].type):
            raise ReadError(f"{rows.source}: column {key!r}, which text_keys names, is {kind(columns[key].type)}, not text")
    reasons = [rows.errors.get(i) for i in range(count)] if rows.errors else None
    columns[ERROR] = pa.nulls(count, pa.string()) if reasons is None else pa.array(reasons, pa.string())
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
