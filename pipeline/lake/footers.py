"""Facts of a Parquet table from its footers alone: columns, rows, bytes, and sound bounds of each column."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.lake import families
from ...operators.lake.families import family
from ...operators.lake.leaves import Leaf, leaves, stored
from ...operators.lake.min_max import NOTHING, ColumnStats

_WHOLE = ("parquet-cpp", "parquet-mr")  # writers that store text bounds whole, or not at all
_CUT = 16  # bytes: the shortest length at which another writer cuts text bounds
_SMALL = 16 << 20
_TICKS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EXACT = Context(prec=100)


def opened(path: str | Path) -> pq.ParquetFile:
    """A Parquet file whose columns are read in small pieces: a row group of any size fits."""
    small = Path(path).stat().st_size < _SMALL  # then a buffer of its own for each column only takes time
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=0 if small else 1 << 20)


def footer_size(path: str | Path) -> int:
    """Bytes of the footer with its length and magic word."""
    with Path(path).open("rb") as file:
        file.seek(-8, 2)
        return struct.unpack("<I", file.read(4))[0] + 8  # type: ignore[no-any-return]


class Footer:
    """One file's footer, read once. Raises ValueError where it speaks of bytes that the file does not have."""

    def __init__(self, path: str | Path) -> None:
        file = opened(path)
        self.meta, self.schema = file.metadata, file.schema_arrow
        self.leaves: list[Leaf] = leaves(self.schema)
        self.size = footer_size(path)
        self.groups = tuple(self.meta.row_group(g).num_rows for g in range(self.meta.num_row_groups))
        self.plain = self.meta.schema.to_arrow_schema()  # as stored, which is what the bounds are in
        file.close()

    def chunks(self) -> list[list[Any]]:
        """For each leaf, its column chunks in every row group (several of each, where it is a list of structs)."""
        widths = [stored_columns(leaf.type) for leaf in self.leaves]
        if sum(widths) != self.meta.num_columns:
            raise ValueError(f"its schema has {sum(widths)} stored columns, its footer {self.meta.num_columns}")
        groups = [self.meta.row_group(g) for g in range(self.meta.num_row_groups)]
        found, at = [], 0
        for width in widths:
            found.append([group.column(at + i) for group in groups for i in range(width)])
            at += width
        return found

    def stats(self) -> dict[str, tuple[ColumnStats, int]]:
        """leaf -> (its facts, its stored bytes)."""
        inside = {leaf.name: leaf.type for leaf in leaves(self.plain)}
        whole = str(self.meta.created_by).startswith(_WHOLE)
        told = {}
        for leaf, chunks in zip(self.leaves, self.chunks(), strict=True):
            size = sum(chunk.total_compressed_size for chunk in chunks)
            nested = stored_columns(leaf.type) != 1 or family(leaf.type) == families.NESTED
            facts = ColumnStats(families.NESTED) if nested else column_stats(
                leaf.type, inside.get(leaf.name, leaf.type), [c.statistics for c in chunks], self.groups, whole)
            told[leaf.name] = facts, size
        return told


def stored_columns(type: pa.DataType) -> int:
    """How many columns a Parquet file stores a leaf of this type in."""
    type = stored(type)
    if pa.types.is_dictionary(type):
        return stored_columns(type.value_type)
    return sum(stored_columns(type.field(i).type) for i in range(type.num_fields)) if type.num_fields else 1


def column_stats(
    type: pa.DataType, inside: pa.DataType, groups: Sequence[Any], rows: Sequence[int], whole: bool
) -> ColumnStats:
    """The facts of a flat column from its row groups' statistics. `inside`: the type as stored; `whole`: bounds are not cut."""
    kind, total = family(type), sum(rows)
    here = [(g, n) for g, n in zip(groups, rows, strict=True) if n]
    if any(g is None for g, _ in here):
        return ColumnStats(kind, rows=total)
    nulls = sum(g.null_count for g, _ in here) if all(g.has_null_count for g, _ in here) else None
    filled = [g for g, n in here if not (g.has_null_count and g.null_count == n)]
    distinct = filled[0].distinct_count if len(here) == len(filled) == 1 and filled[0].has_distinct_count else None
    if not filled or not all(g.has_min_max for g in filled):
        return ColumnStats(kind, nulls=nulls, rows=total, distinct=distinct)
    lows, highs = ([value(getattr(g, name), kind, inside) for g in filled] for name in ("min_raw", "max_raw"))
    if any(v is None for v in (*lows, *highs)):
        return ColumnStats(kind, nulls=nulls, rows=total, distinct=distinct)
    low, high = min(lows), max(highs)
    return ColumnStats(kind, low, high, _uncut(low, whole), _uncut(high, whole), nulls, total, distinct)


def _uncut(bound: Any, whole: bool) -> bool:
    return whole or not isinstance(bound, bytes) or len(bound) < _CUT


def value(raw: Any, kind: int, inside: pa.DataType) -> Any:
    """A stored bound as something that compares: a number, ticks in nanoseconds, bytes. None: not to be used."""
    if kind in (families.TEXT, families.BINARY):
        return bytes(raw) if isinstance(raw, bytes | bytearray) else raw.encode() if isinstance(raw, str) else None
    if kind == families.FLOAT:
        return float(raw) if isinstance(raw, float) and not math.isnan(raw) else None  # half floats come as bytes
    if kind == families.DECIMAL:
        if not pa.types.is_decimal(inside):
            return None
        units = int.from_bytes(raw, "big", signed=True) if isinstance(raw, bytes) else int(raw)
        return _EXACT.scaleb(Decimal(units), -inside.scale)
    if not isinstance(raw, int):
        return None
    if kind in (families.LOCAL, families.UTC, families.TIME):
        return raw * _TICKS[inside.unit] if hasattr(inside, "unit") else None
    if kind == families.INTEGER and pa.types.is_unsigned_integer(inside) and raw < 0:
        return raw + (1 << inside.bit_width)
    if kind == families.DATE:
        return raw if pa.types.is_date32(inside) else None
    return int(raw) if kind in (families.INTEGER, families.BOOLEAN) else None


def together(parts: Iterable[ColumnStats]) -> ColumnStats:
    """The facts of a column over several files."""
    told = list(parts)
    if not told:
        return NOTHING
    if len(told) == 1:
        return told[0]
    kinds = {s.family for s in told}
    nulls, rows = (_sum([getattr(s, name) for s in told]) for name in ("nulls", "rows"))
    filled = [s for s in told if s.rows is None or s.nulls is None or s.nulls < s.rows]
    if len(kinds) > 1:
        return ColumnStats(families.UNKNOWN, nulls=nulls, rows=rows)
    known = filled and all(s.low is not None and s.high is not None for s in filled)
    low = min((s for s in filled), key=lambda s: (s.low, not s.low_exact)) if known else NOTHING
    high = max((s for s in filled), key=lambda s: (s.high, s.high_exact)) if known else NOTHING
    values = None if any(s.values is None for s in told) else frozenset().union(*(s.values for s in told if s.values is not None))
    return ColumnStats(kinds.pop(), low.low, high.high, low.low_exact, high.high_exact, nulls, rows, values=values)


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if any(c is None for c in counts) else sum(c for c in counts if c is not None)


def partition_stats(value: str | None, rows: int | None, type: pa.DataType | None = None) -> ColumnStats:
    """The facts of a partition column in one file: one value, as text unless its type is known."""
    kind = families.TEXT if type is None else family(type)
    if value is None:
        return ColumnStats(kind, nulls=rows, rows=rows, values=frozenset([None]) if kind == families.TEXT else None)
    if kind == families.TEXT:
        bound = value.encode()
        return ColumnStats(kind, bound, bound, True, True, 0, rows, values=frozenset([value]))
    return ColumnStats(kind, nulls=0, rows=rows)


def merged_columns(
    files: Sequence[Mapping[str, tuple[ColumnStats, int]]], rows: Sequence[int]
) -> dict[str, tuple[ColumnStats, int]]:
    """leaf -> (facts, bytes) of a table of several files; a leaf that a file lacks is null there."""
    names = list(dict.fromkeys(name for file in files for name in file))
    told = {}
    for name in names:
        own = [file[name][0] if name in file else ColumnStats(families.UNKNOWN, nulls=n, rows=n)
               for file, n in zip(files, rows, strict=True)]
        kinds = [s for s in own if s.family != families.UNKNOWN or s.nulls != s.rows]
        whole = own if len(kinds) == len(own) or not kinds else [
            s if s in kinds else ColumnStats(kinds[0].family, nulls=s.nulls, rows=s.rows) for s in own]
        told[name] = together(whole), sum(file[name][1] for file in files if name in file)
    return told
