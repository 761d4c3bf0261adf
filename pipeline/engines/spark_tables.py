"""Tables of a Spark catalog as a corpus: taken once into Parquet files, a row's place being its value in a stated id column.

`dataset_path: table:web.pages?id=page_id` names any table that Spark's own readers know: of a catalog (Delta and Iceberg ones too,
where the session has them), or a path in their words (delta.`/lake/pages`). It is copied below the run's folder, as 64 files at
most; row ids depend on the table's name and the id alone, so neither how the table lies nor rows that come later change them.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from ..errors import RecipeError, did_you_mean
from ..formats.parquet import PLACED
from ..ledger import POSITION
from ..recipe import Recipe
from ..workspace import Place, atomically, read_json, write_json
from .choose import engine_for
from .spark import SparkEngine, spark_errors
from .spark_job import in_our_words

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEME = "table:"
BUCKETS = 64  # files of a table: rows go to them by hash of their ids; another number gives all rows other ids
GROUP = 4096  # rows of a row group
_BUCKET = "__bucket__"
_FORM = re.compile(r"table:(?P<table>[^?\s]+)\?id=(?P<id>[^?&\s]+)")


def taken(recipe: Recipe) -> Recipe:
    """The recipe with the folder of its copy in place of each table. Cost: a scan of the table; a copy where it has changed.

    Raises RecipeError where the engine is not Spark, a table or its id column is not there, or ids are null or repeated.
    """
    if not any(path.startswith(SCHEME) for path in recipe.dataset_path):
        return recipe
    if recipe.engine != "spark":
        raise RecipeError(f"{recipe.name}: dataset_path: tables of a catalog are read by Spark: set engine: spark")
    place = Place.of(recipe.export_path, recipe.work_dir).seen_by("spark")
    with closing(engine_for(recipe)) as engine:
        assert isinstance(engine, SparkEngine)
        home = place.run / "tables"
        found = {path: _taken(path, recipe.name, engine, home) for path in recipe.dataset_path if path.startswith(SCHEME)}
    return replace(recipe, dataset_path=tuple(str(found[p] / "rows") if p in found else p for p in recipe.dataset_path))


def _slug(name: str) -> str:
    """A table's name as a file's; two tables never have one."""
    slug = re.sub(r"[^\w.-]+", "-", name)[:80]
    return slug if slug == name else f"{slug}-{xxhash.xxh3_64_hexdigest(name.encode())[:8]}"


def _taken(path: str, recipe: str, engine: SparkEngine, home: Path) -> Path:
    where, form = f"{recipe}: dataset_path {path!r}", _FORM.fullmatch(path)
    if form is None:
        raise RecipeError(f"{where}: a table is named as table:NAME?id=COLUMN, where COLUMN tells its rows apart")
    name, column = form["table"], form["id"]
    try:
        frame = engine.session().table(name)
        place = _position(frame, column, where)
        count, missing, digest = _fingerprint(frame, column, where)
        if missing:
            raise RecipeError(f"{where}: {missing:,} of {count:,} rows have no {column!r}: name a column that every row has")
        folder = home / _slug(f"{name}.{column}")  # nothing of what the table holds: of several paths this is in the rows' sources
        if (read_json(folder / "done.json") or {}).get("digest") != digest:
            shutil.rmtree(folder, ignore_errors=True)
            _copy(frame, place, column, folder / "rows" / _slug(name), where)
            write_json(folder / "done.json", {"table": name, "id": column, "rows": count, "digest": digest})
    except spark_errors() as e:
        raise RecipeError(f"{where}: {in_our_words(e)}") from None
    return folder


def _renamed(frame: "DataFrame") -> "DataFrame":
    """The table with c0, c1 ... for its columns: what they are called can then be no trouble in an expression."""
    return frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))


def _position(frame: "DataFrame", column: str, where: str) -> str:
    """Spark's expression for the number of a row: the id itself where it is a whole number, else a hash of its text."""
    from pyspark.sql.types import ByteType, IntegerType, LongType, ShortType, StringType

    if column not in frame.columns:
        raise RecipeError(f"{where}: no column {column!r}.{did_you_mean(column, frame.columns)} It has: {', '.join(frame.columns)}")
    kind, column_at = frame.schema[column].dataType, f"c{frame.columns.index(column)}"
    if isinstance(kind, (ByteType, ShortType, IntegerType, LongType)):
        return f"cast({column_at} as bigint)"
    if isinstance(kind, StringType):
        return f"shiftrightunsigned(xxhash64({column_at}), 1)"
    raise RecipeError(f"{where}: column {column!r} is {kind.simpleString()}; an id is a whole number or a text")


def _fingerprint(frame: "DataFrame", column: str, where: str) -> tuple[int, int, str]:
    """Rows, rows without an id, and 16 hex digits of all that the table holds, in whatever order it lies."""
    from pyspark.sql.types import ArrayType, StructType

    maps = [f.name for f in frame.schema if '"type":"map"' in f.dataType.json()]
    if maps:
        raise RecipeError(f"{where}: column {maps[0]!r} is or holds a map, which no row of tamis holds; leave it out in a view")
    told_apart = []  # Spark's hash passes over nulls and what frames a list: a value that moves would not be seen
    for i, field in enumerate(frame.schema):
        nested = isinstance(field.dataType, (ArrayType, StructType))
        shown = f", to_json(struct(c{i}), map('ignoreNullFields', 'false'))" if nested else ""
        told_apart.append(f"c{i}, c{i} is null{shown}")
    gone = f"c{frame.columns.index(column)} is null as gone"
    told = _renamed(frame).selectExpr(f"xxhash64({', '.join(told_apart)}) as h", gone).selectExpr(
        "count(1) as rows", "count_if(gone) as gone", "coalesce(bit_xor(h), 0) as mixed",
        "cast(coalesce(sum(cast(h as decimal(38))), 0) as string) as whole").collect()[0]
    words = "\0".join([frame.schema.json(), column, str(told.rows), str(told.mixed), told.whole])
    return told.rows, told.gone, xxhash.xxh3_64_hexdigest(words.encode())


def _copy(frame: "DataFrame", place: str, column: str, folder: Path, where: str) -> None:
    """Write the files, anew: what an interrupted copy left is removed."""
    from pyspark.sql.pandas.types import to_arrow_schema

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bucket = f"cast(pmod(xxhash64(c{frame.columns.index(column)}), {BUCKETS}) as int) as {_BUCKET}"
    keyed = _renamed(frame).selectExpr(bucket, f"{place} as {POSITION}", "*")
    ordered = keyed.repartition(BUCKETS, _BUCKET).sortWithinPartitions(_BUCKET, POSITION)
    body = _WriteBody(folder, tuple(frame.columns))
    told = ordered.mapInArrow(body, "rows long, twice long").selectExpr("max(twice) twice").collect()[0]
    if told.twice is not None:
        raise RecipeError(f"{where}: more than one row has the {column!r} of row {told.twice}: name a column that tells rows apart")
    if not list(folder.iterdir()):
        schema = to_arrow_schema(frame.schema)
        _write(folder / "part-00.parquet", pa.schema([pa.field(POSITION, pa.int64()), *schema]).empty_table())


class _WriteBody:
    """Rows sorted by bucket and position to a file for each bucket; answers how many, and a position that came twice."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder, self.names = folder, names

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bucket, held = -1, list[pa.RecordBatch]()
        for batch in batches:
            numbers = batch.column(0).to_numpy()
            start = 0
            while start < len(numbers):
                stop = int(numbers.searchsorted(numbers[start], side="right"))
                if int(numbers[start]) != bucket and held:
                    yield self._close(bucket, held)
                    held = []
                bucket = int(numbers[start])
                held.append(batch.slice(start, stop - start).drop_columns([_BUCKET]))
                start = stop
        if held:
            yield self._close(bucket, held)

    def _close(self, bucket: int, held: list[pa.RecordBatch]) -> pa.RecordBatch:
        table = pa.Table.from_batches(held)
        position = table.column(POSITION).to_numpy()
        twice = position[1:][position[1:] == position[:-1]]
        _write(self.folder / f"part-{bucket:02d}.parquet", table.rename_columns([POSITION, *self.names]))
        return pa.RecordBatch.from_pydict({
            "rows": pa.array([len(table)], pa.int64()), "twice": pa.array([int(twice[0]) if len(twice) else None], pa.int64())})


def _write(path: Path, table: pa.Table) -> None:
    marked = table.combine_chunks().replace_schema_metadata({PLACED: b"1"})
    atomically(path, lambda tmp: pq.write_table(marked, tmp, compression="zstd", row_group_size=GROUP, write_page_checksum=True))
