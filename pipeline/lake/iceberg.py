"""An Iceberg table as its metadata files tell it, through `pyiceberg`, without a catalog.

Text bounds are cut at 16 characters by default. An Iceberg table belongs to a catalog that we do not know, so it may be a
parent but is never deleted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...operators.lake import families
from ...operators.lake.families import family
from ...operators.lake.leaves import leaves
from ...operators.lake.min_max import ColumnStats
from ..errors import RecipeError
from .finding import Place
from .footers import merged_columns
from .tables import DataFile, Table

CUT = 16


def iceberg_table(place: Place, root: Path) -> Table:
    """The table's current snapshot. Raises ValueError where it has delete files, or files outside the lake."""
    metadata = latest_metadata(place.path)
    table = opened(metadata, root)
    snapshot = table.current_snapshot()
    tasks = list(table.scan().plan_files()) if snapshot else []
    if any(task.delete_files for task in tasks):
        raise ValueError("it has row-level delete files, which are not read")
    tasks.sort(key=lambda t: t.file.file_path)
    schema = table.schema().as_arrow()
    schema = pa.schema([pa.field(f.name, f.type) for f in schema])
    files = tuple(DataFile(str(_inside(t.file.file_path, root)), t.file.file_path, t.file.file_size_in_bytes,
                           (t.file.record_count,)) for t in tasks)
    rows = [t.file.record_count for t in tasks]
    numbers = {name: table.schema().find_field(name).field_id for name in (leaf.name for leaf in leaves(schema))}
    told = [{leaf.name: (_facts(t.file, numbers[leaf.name], leaf.type), 0) for leaf in leaves(schema)} for t in tasks]
    facts = merged_columns(told, rows) if told else {}
    sizes: dict[str, int] = {}
    for t in tasks:
        for name, number in numbers.items():
            sizes[name] = sizes.get(name, 0) + int((t.file.column_sizes or {}).get(number, 0))
    return Table(
        place.name, "iceberg", str(place.path), files, tuple(numbers), schema, sum(rows), sum(f.bytes for f in files),
        f"{table.metadata.table_uuid}:{snapshot.snapshot_id if snapshot else 0}", None,
        sum(p.stat().st_size for p in (place.path / "metadata").iterdir() if p.is_file()),
        column_bytes=sizes if all(sizes.values()) else {},
        stats={n: facts[n][0] if n in facts else ColumnStats(families.UNKNOWN) for n in numbers},
    )


def latest_metadata(folder: Path) -> Path:
    """The metadata file with the largest version number."""
    found = list((folder / "metadata").glob("*.metadata.json"))
    if not found:
        raise ValueError("it has no metadata file")

    def version(path: Path) -> tuple[int, str]:
        digits = path.name.removeprefix("v").split("-")[0].split(".")[0]
        return (int(digits) if digits.isdigit() else -1, path.name)

    return max(found, key=version)


def opened(metadata: Path, root: Path) -> Any:
    """The table, after every file that its metadata names has been found to lie in the lake."""
    try:
        from pyiceberg.exceptions import ValidationError
        from pyiceberg.table import StaticTable
    except ImportError as e:
        raise RecipeError("reading Iceberg tables needs the extra 'lake': pip install 'tamis[lake]'") from e
    try:
        table = StaticTable.from_metadata(str(metadata))
    except ValidationError as e:
        raise ValueError(f"its metadata is damaged: {e}") from e
    snapshot = table.current_snapshot()
    if snapshot:
        _inside(snapshot.manifest_list, root)
        for manifest in snapshot.manifests(table.io):
            _inside(manifest.manifest_path, root)
    return table


def _inside(uri: str, root: Path) -> Path:
    path = Path(uri.removeprefix("file://")) if "://" not in uri.removeprefix("file://") else None
    if path is None or not path.resolve().is_relative_to(root):
        raise ValueError(f"its metadata names a file outside the lake: {uri}")
    return path.resolve()


def _facts(file: Any, number: int, type: pa.DataType) -> ColumnStats:
    kind, rows = family(type), file.record_count
    nulls = _of(file.null_value_counts, number)
    low, high = _of(file.lower_bounds, number), _of(file.upper_bounds, number)
    if kind not in (families.TEXT, families.INTEGER) or low is None or high is None:
        return ColumnStats(kind, nulls=nulls, rows=rows)
    if kind == families.INTEGER:
        low, high = (int.from_bytes(v, "little", signed=True) for v in (low, high))
        return ColumnStats(kind, low, high, True, True, nulls, rows)
    return ColumnStats(kind, low, high, len(low) < CUT, len(high) < CUT, nulls, rows)


def _of(values: Mapping[int, Any] | None, number: int) -> Any:
    return None if values is None else values.get(number)
