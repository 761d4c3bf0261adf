"""A Delta table as its transaction log tells it, through `deltalake`.

Its statistics are bounds with care: text is cut (at 32 characters by the reference writer), time stamps are cut to
milliseconds, decimals pass through JSON numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from ...operators.lake import families
from ...operators.lake.families import family
from ...operators.lake.leaves import leaves
from ...operators.lake.min_max import ColumnStats
from ..errors import RecipeError
from .finding import Place
from .footers import merged_columns, partition_stats
from .tables import DataFile, Table

CUT = 32  # characters at which a text bound may have been cut
_UNREAD = {"deletionVectors", "columnMapping", "v2Checkpoint"}


def delta_table(place: Place, root: Path, version: int | None = None) -> Table:
    """The table at its latest version, or at `version`. Raises ValueError for what is not read here, or lies elsewhere."""
    log = _opened(place.path, version)
    unread = _UNREAD & set(log.protocol().reader_features or ())
    if unread:
        raise ValueError(f"its Delta protocol has features that are not read: {', '.join(sorted(unread))}")
    schema = pa.schema(log.schema().to_arrow())
    schema = pa.schema([pa.field(f.name, _plain(f.type)) for f in schema])
    partitions = list(log.metadata().partition_columns)
    actions = pa.table(log.get_add_actions(flatten=True)).to_pylist()
    actions.sort(key=lambda a: a["path"])
    files = tuple(_file(a, place.path, root, partitions) for a in actions)
    rows = [int(a["num_records"]) if a["num_records"] is not None else -1 for a in actions]
    known = all(n >= 0 for n in rows)
    told = [_columns(a, schema, partitions) for a in actions]
    facts = merged_columns(told, rows) if told and known else {}
    names = tuple(leaf.name for leaf in leaves(schema))
    log_bytes = sum(p.stat().st_size for p in (place.path / "_delta_log").iterdir() if p.is_file())
    return Table(
        place.name, "delta", str(place.path), files, names, schema, sum(rows) if known else None, sum(f.bytes for f in files),
        f"{log.metadata().id}:{log.version()}", log.version(), log_bytes,
        stats={n: facts[n][0] if n in facts else ColumnStats(families.UNKNOWN) for n in names},
        typed_partitions={n: schema.field(n).type for n in partitions},
    )


def _opened(path: Path, version: int | None) -> Any:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as e:
        raise RecipeError("reading Delta tables needs the extra 'lake': pip install 'tamis[lake]'") from e
    try:
        return DeltaTable(str(path), version=version)
    except DeltaError as e:
        raise ValueError(f"its Delta log is damaged: {e}") from e


def _plain(type: pa.DataType) -> pa.DataType:
    """The types that Parquet files of the table are read as."""
    return pa.string() if str(type) == "string_view" else pa.binary() if str(type) == "binary_view" else type


def _file(action: Mapping[str, Any], folder: Path, root: Path, partitions: list[str]) -> DataFile:
    local = action["path"].removeprefix("file://")  # a shallow clone names the files of its source
    path = (folder / unquote(local)).resolve() if "://" not in local else None
    if path is None or not path.is_relative_to(root):
        raise ValueError(f"its log names a file outside the lake: {action['path']}")
    rows = (int(action["num_records"]),) if action["num_records"] is not None else ()
    values = tuple((n, None if action[f"partition.{n}"] is None else _word(action[f"partition.{n}"])) for n in partitions)
    return DataFile(str(path), action["path"], int(action["size_bytes"]), rows, values)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(action: Mapping[str, Any], schema: pa.Schema, partitions: list[str]) -> dict[str, tuple[ColumnStats, int]]:
    told = {}
    rows = action["num_records"]
    for leaf in leaves(schema):
        if leaf.name in partitions:
            value = action[f"partition.{leaf.name}"]
            told[leaf.name] = partition_stats(None if value is None else _word(value), rows, leaf.type), 0
            continue
        nulls = action.get(f"null_count.{leaf.name}")
        low, high = action.get(f"min.{leaf.name}"), action.get(f"max.{leaf.name}")
        told[leaf.name] = _bounds(family(leaf.type), low, high, nulls, rows), 0
    return told


def _bounds(kind: int, low: Any, high: Any, nulls: int | None, rows: int | None) -> ColumnStats:
    if low is None or high is None:
        return ColumnStats(kind, nulls=nulls, rows=rows)
    if kind == families.TEXT:
        short = [len(v) < CUT for v in (low, high)]
        return ColumnStats(kind, low.encode(), high.encode(), short[0], short[1], nulls, rows)
    if kind in (families.INTEGER, families.FLOAT) and low == low and high == high:
        return ColumnStats(kind, low, high, True, True, nulls, rows)
    if kind == families.DATE:
        return ColumnStats(kind, low.toordinal() - 719163, high.toordinal() - 719163, True, True, nulls, rows)
    return ColumnStats(kind, nulls=nulls, rows=rows)  # time stamps, decimals, booleans: not exact, or not told
