"""Every number of a recipe, or of all filters, over a corpus, without deleting anything; and a recipe to start from."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from markupsafe import Markup

from ..operators import catalog
from ..operators.base import Operator
from . import plan, recipe, resources, steps
from .batch import Steps
from .engines.choose import engine_for
from .errors import RecipeError
from .execute import Progress, Silent
from .formats.places import shown_all
from .plan import Plan, Stage
from .recipe import Recipe
from .reporting import numbers, spreads, suggest, svg
from .reporting.numbers import Spread
from .reporting.page import render
from .reporting.shelf import Example
from .reporting.spreads import NumbersTask
from .reporting.words import drawn, number, row_id, share, stays
from .stages import tally
from .steps import Step
from .workspace import StageFolder, Workspace, atomically, write_json


@dataclass(frozen=True)
class Number:
    """One filter's number over the whole corpus.

    Attributes:
        op, stat, summary, unit: which number, and what it means.
        spread: its summary.
        keep: the bounds that are shown: the recipe's, or for bare data the suggested ones.
        removes: rows that these bounds alone would remove, rows without a number among them.
        low, high: the rows at both ends.
        picture, members: histogram, and bars of the labels where it decides by one.
    """

    op: str
    stat: str
    summary: str
    unit: str
    spread: Spread
    keep: str
    removes: int
    low: list[Example]
    high: list[Example]
    picture: Markup
    members: Markup | None


@dataclass(frozen=True)
class Analysis:
    """What `analyze` found. `broken`: rows that could not be read; `skipped`: (filter, why it was not computed)."""

    what: str
    rows: int
    broken: int
    numbers: list[Number]
    skipped: list[tuple[str, str]]
    suggestion: str
    suggested_bounds: bool
    seconds: float

    def text(self) -> str:
        """A table for the terminal, and the suggested recipe."""
        head = ("", "count", "min", "p1", "median", "p99", "max", "stays", "removes")
        told: list[tuple[str, ...]] = [head]
        for n in self.numbers:
            s = n.spread
            quantiles = map(number, (s.min, s.p1, s.median, s.p99, s.max))
            told.append((n.stat, f"{s.count - s.nulls:,}", *quantiles, n.keep, share(n.removes, s.count)))
        wide = [max(len(row[i]) for row in told) for i in range(len(head))]
        words = (0, 7)  # columns that are not numbers
        aligned = ([c.ljust(wide[i]) if i in words else c.rjust(wide[i]) for i, c in enumerate(row)] for row in told)
        lines = ["  ".join(row).rstrip() for row in aligned]
        lines += [f"not computed: {name} ({why})" for name, why in self.skipped]
        broken = f", {self.broken:,} could not be read" if self.broken else ""
        return "\n".join([f"{self.rows:,} rows{broken}", "", *lines, "", self.suggestion])


def analyze(what: str | Path, folder: Path, text_key: str = "text", progress: Progress | None = None) -> Analysis:
    """Numbers of every row of a recipe's data, or of a data file or folder with every filter that needs nothing more.

    Nothing is deleted: mappers and filters of a recipe are applied in order without deciding, its other steps are passed
    over. Writes analysis.html, analysis.json and suggested.yaml into `folder`; `work/` there holds the numbers, and what
    is done is taken up. Raises RecipeError as a run does. Cost: one pass over the text; about 10 bytes a row.
    """
    began, folder, is_recipe = time.perf_counter(), Path(folder), Path(what).suffix in (".yaml", ".yml")
    asked, skipped = _rows_only(recipe.load(what)) if is_recipe else _everything(str(what), text_key)
    planned = plan.make(asked)
    stage = planned.stages[0]
    workspace = Workspace(folder / "work")
    with workspace.lock():
        home = workspace.stage(1, "numbers", xxhash.xxh3_128_hexdigest(f"numbers 1 {stage.fingerprint}".encode()))
        record = _compute(planned, stage, home, progress or Silent())
        found = _gather(str(what), asked, stage, home, record, skipped, not is_recipe, began)
        workspace.clean({home.path})
    _write(found, folder)
    return found


def _rows_only(asked: Recipe) -> tuple[Recipe, list[tuple[str, str]]]:
    """The recipe without its corpus-wide steps."""
    if table := next((s for s in asked.process if s.kind == "table"), None):
        raise RecipeError(f"{asked.name}: {table.name} works on a lake of tables, not on rows: tamis lake scan looks at that")
    passed = [(s.name, "it works on the corpus as a whole") for s in asked.process if s.kind not in ("filter", "mapper")]
    passed += [(s.name, "it cuts rows into several") for s in asked.process if getattr(s.op, "many", False)]
    stays = (s for s in asked.process if s.kind in ("filter", "mapper") and not getattr(s.op, "many", False))
    passed += [("pool", "nothing is taken in, nor do its rows join")] if asked.pool else []
    return replace(asked, process=tuple(stays), pool=None), passed


def _everything(data: str, text_key: str) -> tuple[Recipe, list[tuple[str, str]]]:
    """A recipe of every filter whose settings all have defaults and whose resources are there."""
    process: list[Any] = []
    skipped: list[tuple[str, str]] = []
    features = {op.name for op in catalog.table("feature")}
    for op in catalog.table("filter"):
        step, wrong, _ = steps.build(1, op.name, {}, text_key)
        columns = [name for name in op.reads if name != "text" and name not in features]
        try:
            if step is None or columns:
                raise ValueError("; ".join(wrong) or f"it reads the column {', '.join(columns)}")
            resources.pin(op, step.settings)
        except ValueError as e:
            skipped.append((op.name, str(e)))
            continue
        process.append({op.name: {}})
    return recipe.load({"project_name": Path(data).name, "dataset_path": data, "text_keys": text_key, "process": process}), skipped


def _compute(planned: Plan, stage: Stage, home: StageFolder, progress: Progress) -> dict[str, Any]:
    """Write the numbers, part by part; answer the stage's record."""
    asked, began, known = planned.recipe, time.perf_counter(), home.record
    progress.begin(stage, len(planned.splits))
    record = known
    if record is None:
        doing = Steps(stage.steps, stage.pins, asked.text_keys, asked.name, decide=False, tolerate=asked.set_aside is not None)
        stats = tuple(s.stats[-1] for s in stage.steps if s.kind == "filter")
        with closing(engine_for(asked)) as engine:
            task = NumbersTask(home, doing, asked.batch_rows, stats, planned.splits)
            record = home.finish(tally.record(stage, {"records": engine.map(task, range(len(planned.splits)), progress.advance)}))
    progress.end(stage, record, time.perf_counter() - began, known is not None)
    return record


def _gather(
    what: str, asked: Recipe, stage: Stage, home: StageFolder, record: Mapping[str, Any], skipped: list[tuple[str, str]],
    suggested: bool, began: float,
) -> Analysis:
    """The numbers read back, one filter at a time."""
    ends, found, chosen, told, removes = spreads.read_ends(home), [], {}, {}, {}
    for step, values, labels, spread in spreads.columns(home, stage.steps):
        op = step.op
        assert isinstance(op, Operator) and step.keep is not None
        chosen[step.number], told[step.number] = suggest.bounds(op, values, spread), spread
        would = spreads.outside(step, chosen[step.number], values, labels)
        removes[step.number] = int(would.sum()), len(values)
        shown = replace(step, keep=chosen[step.number]) if suggested else step
        found.append(_number(shown, values, labels, spread, would if suggested else None, ends))
    words = suggest.suggestion(stage.steps, chosen, told, removes, shown_all(asked.dataset_path), asked.text_keys[0])
    return Analysis(what, record["rows_in"], record["left"], found, skipped, words, suggested, time.perf_counter() - began)


def _number(
    step: Step, values: np.ndarray, labels: pa.ChunkedArray | None, spread: Spread, would: np.ndarray | None,
    ends: Mapping[tuple[str, bool], list[Example]],
) -> Number:
    op, stat = step.op, step.stats[-1]
    assert isinstance(op, Operator) and op.unit is not None and step.keep is not None
    out = spreads.outside(step, step.keep, values, labels) if would is None else would
    lines = drawn(step.keep, op.unit)
    bins = numbers.histogram(values, out, spread, [v for _, v in lines])
    picture = svg.histogram(bins, lines, f"Histogram of {stat}: {len(values):,} rows")
    members = None if labels is None else svg.bars(spreads.label_counts(labels, out), f"Rows per label of {op.name}")
    low, high = ends.get((stat, True), []), ends.get((stat, False), [])
    told = stays(step.keep, op.unit)
    return Number(op.name, stat, op.summary, op.unit.name, spread, told, int(out.sum()), low, high, picture, members)


def as_json(found: Analysis) -> dict[str, Any]:
    """The analysis as plain values, pictures left out."""
    told = []
    for n in found.numbers:
        ends = {end: [{"id": row_id(e.id), "where": e.where, "value": e.value, "excerpt": e.excerpt} for e in rows]
                for end, rows in (("low", n.low), ("high", n.high))}
        told.append({"op": n.op, "stat": n.stat, "unit": n.unit, "keep": n.keep, "removes": n.removes, **asdict(n.spread), **ends})
    return {"what": found.what, "rows": found.rows, "broken": found.broken, "numbers": told, "seconds": round(found.seconds, 3),
            "skipped": [{"op": name, "why": why} for name, why in found.skipped], "suggestion": found.suggestion}


def _write(found: Analysis, folder: Path) -> None:
    page = render("analysis.html.j2", found=found)
    atomically(folder / "analysis.html", lambda tmp: tmp.write_text(page, "utf-8"))
    atomically(folder / "suggested.yaml", lambda tmp: tmp.write_text(found.suggestion, "utf-8"))
    write_json(folder / "analysis.json", as_json(found))
