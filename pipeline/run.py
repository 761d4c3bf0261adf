"""The two ways in from Python; the command line calls the same.

    from tamis.pipeline.run import apply, run

`run` is the story of a run in three words: the recipe says what, the plan proves that it can be done, the engine does it.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import copies, plan, recipe
from .errors import ReadError, RecipeError, TamisError
from .execute import Progress, Silent, execute
from .lake.run_lake import run_lake
from .ledger import ID, KEY_COLUMNS, POSITION
from .plan import Plan
from .reporting.words import counted, reasons
from .workspace import Place


def run(recipe_path_or_dict: str | Path | Mapping[str, Any], progress: Progress | None = None, **overrides: Any) -> dict[str, Any]:
    """Run a recipe and answer its manifest.

    `overrides` replace the recipe's top-level keys. Finished stages of an earlier run are taken up, never repeated.
    Raises RecipeError before any data is read, other TamisError while it runs.
    """
    planned = plan.make(recipe.load(recipe_path_or_dict, **overrides))
    if planned.stages[0].kind == "tables":
        return run_lake(planned.recipe, progress or Silent())
    place = claim(planned)
    try:
        return execute(planned, progress or Silent())
    except OSError as e:
        raise TamisError(f"{place.run}: {e}. What is finished is kept: run again to go on from there") from e


def claim(planned: Plan) -> Place:
    """Where the run writes. Raises RecipeError where that would overwrite what is not its own, or is a lake's business."""
    if planned.stages[0].kind == "tables":
        raise RecipeError(f"{planned.recipe.name}: {planned.recipe.process[0].name} works on a lake of tables, not on rows")
    try:
        place = Place.of(planned.recipe.export_path, planned.recipe.work_dir)
        place.claim([s.url for s in planned.sources], _searched(planned))
    except (OSError, RuntimeError) as e:  # a name too long, a loop of links
        raise RecipeError(f"export_path {planned.recipe.export_path!r} cannot be written to ({e})") from e
    return place


def _searched(planned: Plan) -> list[Path]:
    """The folders in which inputs were looked for by whatever suffix they have."""
    asked = planned.recipe
    near = [base / p.removeprefix("file://") for p in asked.dataset_path for base in (Path.cwd(), asked.folder)]
    return [f for f in near if not asked.suffixes and f.is_dir() and any(Path(s.url).is_relative_to(f) for s in planned.sources)]


@dataclass(frozen=True)
class Applied:
    """What `apply` answers.

    Attributes:
        table: the rows that stay, in their order, with the columns they came with.
        ledger: one line for every row that left (pipeline/ledger.py).
        stats: one line for every input row, in order: `row` (its number), `kept`, and each number that was computed.
        manifest: as of a run.
    """

    table: pa.Table
    ledger: pa.Table
    stats: pa.Table
    manifest: dict[str, Any]

    def __repr__(self) -> str:
        left = reasons(Counter(self.ledger.column("reason").to_pylist()))
        return f"Applied({len(self.table):,} of {counted(len(self.stats), 'row')} kept{'; left: ' if left else ''}{left})"


def apply(
    process: Sequence[Any], rows: pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]], engine: str = "local",
    *, keep_stats: bool = False, **recipe_keys: Any,
) -> Applied:
    """Run a recipe's `process` list over rows in memory: a pyarrow Table, a data frame, or a list of dicts.

    The same path as a run from files, in a temporary folder, with one worker unless `np` says otherwise. With `keep_stats`,
    the table has a column for each number, by its Data-Juicer name, beside those that the rows came with.

    >>> apply([{"text_length_filter": {"min_len": 3}}], [{"text": "ab"}, {"text": "abc"}]).table.to_pylist()
    [{'text': 'abc'}]

    Raises as `run` does, and ReadError for rows that are no table.
    """
    if not isinstance(process, Sequence) or isinstance(process, str):
        raise RecipeError(f"process is a list of steps, not {type(process).__name__}")
    table = _table(rows)
    taken = {"dataset_path", "export_path", "export_type", "process"} & set(recipe_keys)
    if taken:
        raise RecipeError(f"apply gives {', '.join(sorted(taken))} itself; use run for files")
    with tempfile.TemporaryDirectory(prefix="tamis-") as folder:
        source, out = Path(folder, _FILE), Path(folder, "out")
        try:
            pq.write_table(table, source)
        except (pa.ArrowException, UnicodeEncodeError) as e:
            raise ReadError(f"these rows cannot be written as Parquet, which the run reads: {e}") from e
        words = {"np": 1, **recipe_keys, "process": list(process), "engine": engine}
        with _rows_as_given():
            manifest = run(words | {"dataset_path": str(source), "export_path": str(out), "export_type": "parquet"})
        kept = pq.read_table([str(out / s["path"]) for s in manifest["shards"]], partitioning=None)
        ledger = pq.read_table(out / "ledger")
        ids = pq.read_table(out / "kept").column(ID)
        numbers = _numbers(Place.of(str(out), recipe_keys.get("work_dir")).work)
    numbers = copies.fields_as_numbers(numbers, table, manifest["steps"])
    if keep_stats:
        kept = copies.beside(kept, ids, numbers)
    numbers = numbers.filter(pc.is_valid(numbers.column(POSITION)))
    stays = pa.array(np.isin(numbers.column(ID).to_numpy(), ids.to_numpy()))
    numbers = numbers.append_column("kept", stays).rename_columns({POSITION: "row"})
    first = ["row", "kept"]
    stats = numbers.select(first + [c for c in numbers.column_names if c not in (*KEY_COLUMNS, *first)])
    return Applied(kept, ledger, stats, manifest)


_FILE = "rows.parquet"  # part of what ids are made of


@contextmanager
def _rows_as_given() -> Iterator[None]:
    """Errors tell the number of the row that the caller gave, from 0, and not of the file that stands between."""
    try:
        yield
    except TamisError as e:
        told = re.sub(rf"{re.escape(_FILE)} at (\d+)", r"row \1", str(e))
        e.args = (re.sub(rf"{re.escape(_FILE)} has columns", "the rows have columns", told).replace(_FILE, "the rows"),)
        raise


def _table(rows: pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]]) -> pa.Table:
    if isinstance(rows, pa.Table | pa.RecordBatch):
        return rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    if hasattr(rows, "__arrow_c_stream__"):  # data frames of pandas, polars and others
        return pa.table(rows)
    if not isinstance(rows, Iterable) or isinstance(rows, str | bytes):
        raise ReadError(f"rows are a pyarrow Table or a list of dicts, not {type(rows).__name__}")
    told = list(rows)
    for i, row in enumerate(told):
        if not isinstance(row, Mapping) or not row or not all(isinstance(name, str) for name in row):
            raise ReadError(f"row {i} is no mapping of column names to values: {row!r:.60}")
    columns = {}
    for name in dict.fromkeys(name for row in told for name in row):  # a column that only later rows have is one too
        try:
            name.encode()
            columns[name] = pa.array([row.get(name) for row in told])
        except (pa.ArrowException, UnicodeEncodeError, OverflowError) as e:
            raise ReadError(f"column {name!a} cannot be one Arrow column: {e}") from e
    return pa.table(columns)


def _numbers(work: Path) -> pa.Table:
    """All number columns side by side, a line for every row that was read, in order; rows made of others follow."""
    whole: pa.Table | None = None
    for folder in sorted(f for kind in ("rows", "trim", "score") for f in work.glob(f"*-{kind}-*")):
        files = sorted((folder / "stats").glob("part-*.parquet"))
        table = pa.concat_tables([pq.read_table(f) for f in files], promote_options="permissive")
        if whole is None:
            whole = table
        elif new := [c for c in table.column_names if c not in whole.column_names]:
            whole = whole.join(table.select([ID, *new]), ID, join_type="full outer")
    assert whole is not None
    return whole.sort_by(POSITION)


__all__ = ["Applied", "apply", "run"]
