"""The final rows as files: Parquet or JSON lines, in shards, whole or not at all; their content hash; their card.

The same rows in the same order make the same files to the byte, however they come in batches.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from .formats.places import Sink, finish, names_in, open_output, remove, rename
from .formats.rows import fitting
from .formats.schemas import conform, plain_schema
from .formats.writers import SUFFIXES, Writer, encoder
from .ledger import ID

_FORMAT = {suffix: format for format, suffix in SUFFIXES.items()} | {".json.gz": "jsonl.gz", ".json.zst": "jsonl.zst"}


@dataclass(frozen=True)
class Shard:
    """One written file: where, how many rows and stored bytes, and "xxh3:" of its bytes."""

    path: str
    rows: int
    bytes: int
    digest: str


def file_suffix(path: str) -> str:
    """The suffix that makes `path` one file of a known format (`.jsonl.gz`); empty: it is a folder."""
    name = PurePosixPath(path).name
    return next((s for s in sorted(_FORMAT, key=len, reverse=True) if name.endswith(s) and name != s), "")


class Exporter:
    """Writes batches in order into `part-00000.parquet` ... of a folder, or into the file that `path` names.

    Files bear their names only after `close`; until then, and after a failure, there is nothing but hidden `.tmp` files,
    which the next attempt replaces. A named file in several shards becomes `name-00-of-04.jsonl` ... Shards of an
    earlier export that have no successor are removed, those that a kill left half written too.

    Args:
        path: a folder, or a file by its suffix; local or an fsspec URL.
        schema: of the rows; batches are conformed to it.
        format: parquet, jsonl, json (also lines), jsonl.zst, jsonl.gz; by default as the path's suffix says, else parquet.
        texts: columns of long text, stored without dictionary.
        shard_rows, shard_bytes: a shard has at most so many rows and, before compression, bytes (one row at least).
        level: of the compression.

    Raises RecipeError where the format cannot hold a column.
    """

    def __init__(
        self, path: str, schema: pa.Schema, *, format: str | None = None, texts: Sequence[str] = (),
        shard_rows: int | None = None, shard_bytes: int | None = None, level: int | None = None,
    ) -> None:
        self.suffix = file_suffix(path)
        self.format = format or _FORMAT.get(self.suffix, "parquet")
        self.schema = plain_schema(schema)
        self.encoder = encoder(self.format, self.schema, texts=texts, level=level)
        self.folder, self.name = path.rstrip("/"), "part"
        if self.suffix:
            self.folder, _, name = path.rpartition("/")
            self.folder, self.name = self.folder or ".", name.removesuffix(self.suffix)
        self.shard_rows, self.shard_bytes = shard_rows or None, shard_bytes or None
        self.shards: list[Shard] = []
        self._open: _OpenShard | None = None
        self._done: list[_OpenShard] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        payload, sizes = self.encoder.encode(conform(batch, self.schema))
        start = 0
        while start < len(sizes):
            shard = self._shard()
            rows = self.shard_rows - shard.rows if self.shard_rows else None
            room = self.shard_bytes - shard.filled if self.shard_bytes else None
            count = fitting(sizes, start, rows, room)
            if count == 0 and shard.rows:
                self._roll()
                continue
            stop = start + max(1, count)
            shard.write(payload[start:stop], sizes[start:stop])
            start = stop

    def close(self) -> list[Shard]:
        """Finish, give every file its name, and answer the shards. Without rows there is one empty file."""
        self._shard()
        self._roll()
        names = self._names(len(self._done))
        rename((shard.url, f"{self.folder}/{name}") for shard, name in zip(self._done, names, strict=True))
        for old in names_in(self.folder):
            if self.is_left(old, names):
                remove(f"{self.folder}/{old}")
        self.shards = [
            Shard(f"{self.folder}/{name}", s.rows, s.sink.bytes, f"xxh3:{s.sink.hash.hexdigest()}")
            for s, name in zip(self._done, names, strict=True)
        ]
        return self.shards

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._open:
            self._open.writer.abandon()
            with suppress(OSError):  # a full disk cannot take the last bytes either
                self._open.sink.file.close()
        for shard in [*self._done, *([self._open] if self._open else [])]:
            remove(shard.url)

    def __enter__(self) -> "Exporter":
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:
            self.abandon()
        else:
            self.close()

    def _shard(self) -> "_OpenShard":
        if self._open is None:
            url = f"{self.folder}/.{self.name}-{len(self._done):05d}{self.suffix or SUFFIXES[self.format]}.tmp"
            sink = Sink(open_output(url))
            self._open = _OpenShard(url, sink, self.encoder.start(sink))  # type: ignore[arg-type]
        return self._open

    def _roll(self) -> None:
        shard = self._shard()
        shard.writer.close()
        finish(shard.sink.file)
        self._done.append(shard)
        self._open = None

    def _names(self, count: int) -> list[str]:
        if not self.suffix:
            return [f"part-{i:05d}{SUFFIXES[self.format]}" for i in range(count)]
        if not self.shard_rows and not self.shard_bytes:
            return [f"{self.name}{self.suffix}"]
        digits = len(str(count)) + 1  # as Data-Juicer counts
        return [f"{self.name}-{i:0{digits}d}-of-{count:0{digits}d}{self.suffix}" for i in range(count)]

    def is_left(self, old: str, names: Sequence[str]) -> bool:
        """Whether a file is of an earlier export to this place: a shard that is not among `names`, or one that a kill left."""
        if old in names:
            return False
        stem, ends = re.escape(self.name), "|".join(map(re.escape, [self.suffix] if self.suffix else SUFFIXES.values()))
        hidden = rf"\.({stem}(-\d{{5,}})?({ends})|{self._pattern().pattern})(\.[0-9a-f]{{8}})?\.tmp"
        return bool(self._pattern().fullmatch(old) or re.fullmatch(hidden, old))

    def _pattern(self) -> re.Pattern[str]:
        """Names that an export of this kind gives its shards."""
        if not self.suffix:
            return re.compile(rf"part-\d{{5,}}({'|'.join(map(re.escape, SUFFIXES.values()))})")
        return re.compile(rf"{re.escape(self.name)}-\d+-of-\d+{re.escape(self.suffix)}")


@dataclass
class _OpenShard:
    url: str
    sink: Sink
    writer: Writer
    rows: int = 0
    filled: int = 0

    def write(self, payload: Any, sizes: np.ndarray) -> None:
        self.writer.write(payload, sizes)
        self.rows += len(sizes)
        self.filled += int(sizes.sum())


def export(batches: Iterable[pa.RecordBatch], path: str, schema: pa.Schema, **options: Any) -> list[Shard]:
    """All of `batches` written to `path`; `options` as for `Exporter`."""
    with Exporter(path, schema, **options) as out:
        for batch in batches:
            out.write(batch)
    return out.shards


class ContentHash:
    """A hash of the rows that a data set holds, whatever their order, files and batches: two are equal, or differ in a row.

    H = (sum over rows and text columns of xxh3_128(bytes, seed = mix(id, column, is null))) mod 2^128.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.total, self.rows = tuple(texts), 0, 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows; they carry `__id__` and the text columns as strings. Cost: about a microsecond a row and column."""
        ids = np.asarray(batch.column(ID)).view(np.uint64)
        total = len(batch)
        for number, name in enumerate(self.texts):
            column = _as_text(batch.column(name))
            null = np.asarray(column.is_null())
            with np.errstate(over="ignore"):
                seeds = (ids ^ np.uint64(number)) * np.uint64(0x9E3779B97F4A7C15) + null.astype(np.uint64)
            total += _sum_of_hashes(column, seeds)
        self.total = (self.total + total) % (1 << 128)
        self.rows += len(batch)

    def hexdigest(self) -> str:
        """32 hex digits."""
        return f"{self.total:032x}"


def _as_text(column: pa.Array) -> pa.StringArray:
    """The column; of grouped rows, whose texts are lists, each list as JSON."""
    if pa.types.is_string(column.type):
        return column
    return pa.array([None if v is None else json.dumps(v, ensure_ascii=False) for v in column.to_pylist()], pa.string())


def _sum_of_hashes(column: pa.StringArray, seeds: np.ndarray) -> int:
    _, offsets, data = column.buffers()
    edges = np.frombuffer(offsets, np.int32)[column.offset:column.offset + len(column) + 1].tolist() if len(column) else [0]
    view = memoryview(data) if data is not None else memoryview(b"")
    one = xxhash.xxh3_128_intdigest  # a loop over rows: the library has no call for many
    return sum(one(view[a:b], s) for a, b, s in zip(edges, edges[1:], seeds.tolist(), strict=False))


def dataset_card(title: str, configs: Mapping[str, str], *, about: str = "") -> str:
    """README.md of a data set folder, by which `datasets.load_dataset(folder)` finds its parts.

    `configs`: name -> glob of files below the folder; the first one named "default" is what is loaded without a name.
    """
    lines = ["---", f"pretty_name: {json.dumps(title, ensure_ascii=False)}", "configs:"]
    for name, files in configs.items():
        lines += [f"- config_name: {json.dumps(name)}", f"  data_files: {json.dumps(files)}"]
    return "\n".join([*lines, "---", "", f"# {title}", "", about.strip(), ""]).rstrip() + "\n"
