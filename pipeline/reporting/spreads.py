"""Numbers of a whole corpus without a decision: computed part by part, with the rows at both ends of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...operators.base import Operator, Range
from .. import corpus
from ..batch import Outcome, Steps, excerpt
from ..corpus import Split
from ..engines.base import Counts
from ..ledger import ID, KEY_FIELDS, POSITION, SOURCE
from ..stages.rows import by_step, write_narrow
from ..steps import Step
from ..workspace import StageFolder
from .numbers import Spread, floats, spread
from .shelf import Example, by_chance, parts

ENDS = 3  # rows shown at each end of a number
END_SCHEMA = pa.schema([*KEY_FIELDS, ("stat", pa.string()), ("low", pa.bool_()), ("value", pa.float64()), ("excerpt", pa.string())])


@dataclass(frozen=True)
class NumbersTask:
    """Writes the numbers of every row of one part, and its rows at both ends of each. Picklable; answers the part's counts."""

    folder: StageFolder
    steps: Steps
    batch_rows: int
    stats: tuple[str, ...]
    splits: tuple[Split, ...] = field(default=(), repr=False)

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        return self.folder.part_record(part) or self._do(part)

    def _do(self, part: int) -> Counts:
        batches = corpus.read(self.splits[part], text_keys=self.steps.text_keys, batch_rows=self.batch_rows, batch_bytes=16 << 20,
                              tolerate=self.steps.tolerate)
        stats, left, ends = [pa.schema(KEY_FIELDS).empty_table()], [], []
        for outcome in self.steps(batches):
            stats.append(pa.Table.from_batches([outcome.stats]))
            left.append(pa.Table.from_batches([outcome.left]))
            ends.append(_ends(outcome, self.steps.text_keys[0], self.stats))
        table = pa.concat_tables(stats, promote_options="default")
        write_narrow(self.folder, "stats", part, table)
        write_narrow(self.folder, "ends", part, outermost(pa.concat_tables(ends) if ends else END_SCHEMA.empty_table()))
        gone = pa.concat_tables(left) if left else None
        count, by = (len(gone), by_step(gone)) if gone is not None else (0, {})
        return self.folder.finish_part(part, {"rows_in": len(table), "rows_out": len(table) - count, "left": count, "by": by})


def _ends(outcome: Outcome, text_key: str, stats: Iterable[str]) -> pa.Table:
    """The rows of a batch at both ends of each number."""
    rows = outcome.rows
    told = outcome.stats.filter(pc.is_in(outcome.stats.column(ID), rows.column(ID))) if len(outcome.left) else outcome.stats
    tables = [END_SCHEMA.empty_table()]
    for stat in stats:
        values = floats(told.column(stat))
        for low in (True, False):
            at = pa.array(_outer(values, rows.column(ID).to_numpy(), low))
            here = rows.take(at)
            tables.append(pa.table({
                **{f.name: here.column(f.name) for f in KEY_FIELDS},
                "stat": pa.repeat(stat, len(at)), "low": pa.repeat(low, len(at)),
                "value": pa.array(values[at]), "excerpt": excerpt(pc.cast(here.column(text_key), pa.string())),
            }, schema=END_SCHEMA))
    return pa.concat_tables(tables)


def _outer(values: np.ndarray, ids: np.ndarray, low: bool) -> np.ndarray:
    """Places of the ENDS smallest (or largest) values; equal ones by chance of id."""
    there = np.flatnonzero(np.isfinite(values))
    mixed = there[by_chance(ids[there], len(there))]
    return mixed[np.argsort(values[mixed] if low else -values[mixed], kind="stable")][:ENDS]


def outermost(ends: pa.Table) -> pa.Table:
    """Of the ends of many batches, the ends of all."""
    chosen = [END_SCHEMA.empty_table()]
    for stat in sorted(set(ends.column("stat").to_pylist())):
        for low in (True, False):
            here = ends.filter((pc.field("stat") == stat) & (pc.field("low") == low))
            chosen.append(here.take(pa.array(_outer(floats(here.column("value")), here.column(ID).to_numpy(), low))))
    return pa.concat_tables(chosen)


def read_ends(folder: StageFolder) -> dict[tuple[str, bool], list[Example]]:
    """(stat, low) -> the corpus' rows at that end, outermost first."""
    files = parts(folder, "ends")
    table = outermost(pa.concat_tables([pq.read_table(f) for f in files])) if files else END_SCHEMA.empty_table()
    found: dict[tuple[str, bool], list[Example]] = {}
    for r in table.to_pylist():
        example = Example(r[ID], r["value"], "", f"{r[SOURCE]}:{r[POSITION]}", r["excerpt"] or "")
        found.setdefault((r["stat"], r["low"]), []).append(example)
    return found


def read_column(files: list[Path], step: Step) -> tuple[np.ndarray, pa.ChunkedArray | None]:
    """float64[n], the number of a filter over all rows (NaN: none), and the label column where it decides by one."""
    op, stat = step.op, step.stats[-1]
    assert isinstance(op, Operator)
    label = step.stats[op.stats.index(op.member[0])] if op.member else None
    wanted = [stat, *([label] if label else [])]
    tables = [pq.read_table(f, columns=wanted) for f in files if stat in pq.read_schema(f).names]
    if not tables:
        return np.empty(0), None
    table = pa.concat_tables(tables)
    return floats(table.column(stat)), table.column(label) if label else None


def outside(step: Step, keep: Range, values: np.ndarray, labels: pa.ChunkedArray | None) -> np.ndarray:
    """bool[n]: whether a filter with these bounds would remove each row that has a number."""
    holds = keep.holds(pa.array(values, from_pandas=True)).fill_null(False).to_numpy(zero_copy_only=False)
    op = step.op
    assert isinstance(op, Operator)
    if op.member and labels is not None:
        wanted: Any = step.settings[op.member[1]]
        wanted = [wanted] if isinstance(wanted, str) else wanted
        if any(wanted):
            holds &= pc.is_in(labels, pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)
    return ~holds  # type: ignore[no-any-return]


def label_counts(labels: pa.ChunkedArray, out: np.ndarray, most: int = 14) -> list[tuple[str, int, int]]:
    """(label, rows that stay, rows that leave), most frequent first."""
    table = pa.table({"label": labels, "out": pa.array(out)}).filter(pc.is_valid(labels))
    tally: dict[str, list[int]] = {}
    for r in table.group_by(["label", "out"]).aggregate([([], "count_all")]).to_pylist():
        tally.setdefault(r["label"], [0, 0])[int(r["out"])] = r["count_all"]
    order = sorted(tally, key=lambda n: (-sum(tally[n]), n))
    return [(n, *tally[n]) for n in order[:most]]  # type: ignore[misc]


def columns(folder: StageFolder, steps: Iterable[Step]) -> Iterator[tuple[Step, np.ndarray, pa.ChunkedArray | None, Spread]]:
    """Each filter's number, one at a time. Cost: 8 bytes a row."""
    files = parts(folder, "stats")
    for step in steps:
        if step.kind == "filter":
            values, labels = read_column(files, step)
            yield step, values, labels, spread(values)
