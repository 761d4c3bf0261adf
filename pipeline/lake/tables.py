"""The nouns of a lake: a table with its files and what metadata tells of it, and a trouble with its place."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from ...operators.lake.min_max import ColumnStats

Partition = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Trouble:
    """Something that was left out of the scan: where, and why."""

    where: str
    what: str


@dataclass(frozen=True)
class DataFile:
    """One file of a table.

    Attributes:
        path: absolute. name: below the table's folder, or the file's own name.
        bytes: as stored. rows: of each row group; empty where only reading tells.
        partition: the partition columns that its path gives, as text (None: null).
    """

    path: str
    name: str
    bytes: int
    rows: tuple[int, ...] = ()
    partition: Partition = ()


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Attributes:
        name: its path below the root: what every report calls it.
        kind: parquet, csv, tsv, jsonl, delta or iceberg. path: absolute, of the file or folder.
        files: in order; a row's number counts through them. leaves: leaf column names.
        schema: its Arrow schema with partition columns; None where only names are known.
        rows: None where only reading tells. bytes: as stored.
        token: changes when the table does. version: of Delta.
        footer_bytes: read to know all this. column_bytes: leaf -> bytes as stored, where known. stats: leaf -> facts.
        typed_partitions: partition columns whose type the table's metadata gives.
    """

    name: str
    kind: str
    path: str
    files: tuple[DataFile, ...]
    leaves: tuple[str, ...]
    schema: pa.Schema | None
    rows: int | None
    bytes: int
    token: str
    version: int | None = None
    footer_bytes: int = 0
    column_bytes: Mapping[str, int] = field(default_factory=dict)
    stats: Mapping[str, ColumnStats] = field(default_factory=dict)
    typed_partitions: Mapping[str, pa.DataType] = field(default_factory=dict)

    def bytes_of(self, leaves: tuple[str, ...] | frozenset[str]) -> int:
        """Stored bytes that reading these leaves takes: the whole file where columns do not lie apart."""
        return sum(self.column_bytes.get(leaf, 0) for leaf in leaves) if self.column_bytes else self.bytes


def schema_text(schema: pa.Schema) -> str:
    """A schema as text that JSON can carry."""
    return base64.b64encode(schema.serialize()).decode()


def schema_of_text(text: str) -> pa.Schema:
    """The schema in `schema_text`."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
