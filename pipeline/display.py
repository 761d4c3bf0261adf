"""What the command line shows: live progress, and the tables after a run."""

import inspect
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..operators.base import Operator
from . import operator_table, steps
from .engines.base import Counts, Tasks
from .errors import RecipeError, did_you_mean
from .execute import Progress as Watcher
from .execute import Silent
from .lifelong import entering
from .plan import Plan, Stage
from .reporting.words import counted
from .workspace import Place, Workspace

_SHORT = {"not_member": "not in the list"}
_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal to draw on
_LONG_CHECK = 3.0  # seconds after which it is said why the check before the first stage takes long
_CHECKING = "compiles kernels at their first use"


@contextmanager
def progress(console: Console, quiet: bool = False) -> Iterator[Watcher]:
    """A live bar per stage on a terminal; a line per stage, and one every ten seconds, elsewhere."""
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        lines = _Lines(console)
        waiting = threading.Timer(_LONG_CHECK, lines.waiting)
        waiting.daemon = True
        waiting.start()
        try:
            yield lines
        finally:
            waiting.cancel()
    else:
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:<44}"), BarColumn(24),
                   TextColumn("{task.fields[told]:>34}"), TimeElapsedColumn())
        with Progress(*columns, console=console) as bars:
            watcher = _Bars(bars)
            try:
                yield watcher
            finally:
                watcher.checked()


def title(stage: Stage) -> str:
    """`3 dedup: document_minhash_deduplicator`."""
    names = [s.name for s in stage.steps] if len(stage.steps) < 3 else [f"{len(stage.steps)} steps"]
    if stage.index == 1:
        names.insert(0, "read")
    return f"{stage.index} {stage.kind}{': ' + ', '.join(names) if names else ''}"


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self.bars, self.rows = bars, 0
        self.task: TaskID | None = None
        self.check = bars.add_task("0 check", total=1, told=_CHECKING)
        self.began = time.perf_counter()

    def checked(self) -> None:
        """Take the line of the check away."""
        self.bars.update(self.check, completed=1, visible=False)

    def begin(self, stage: Stage, parts: int) -> None:
        self.checked()
        self.rows, self.began = 0, time.perf_counter()
        self.task = self.bars.add_task(title(stage), total=parts + 1, told="")  # the last one is for `end`

    def advance(self, counts: Counts) -> None:
        assert self.task is not None
        self.rows += int(counts.get("rows_in") or counts.get("rows") or 0)
        speed = self.rows / max(time.perf_counter() - self.began, 1e-3)
        task, share = self.bars.tasks[self.task], counts.get("share", 1.0)
        if task.completed + share > (task.total or 0) - 0.5:  # a second pass over the same parts
            self.bars.update(self.task, total=2 * (task.total or 1) - 1)
        self.bars.update(self.task, advance=share, told=f"{self.rows:,} rows, {speed:,.0f}/s")

    def tasks(self, now: Tasks) -> None:
        """How a remote engine's job goes: shown in place of the speed, until the next part is done."""
        if self.task is not None:
            self.bars.update(self.task, told=f"{self.rows:,} rows; {in_tasks(now)}")

    def end(self, stage: Stage, record: Mapping[str, Any], seconds: float, reused: bool) -> None:
        assert self.task is not None
        total = self.bars.tasks[self.task].total or 1
        self.bars.update(self.task, completed=total, told=told(record, reused))


class _Lines:
    def __init__(self, console: Console) -> None:
        self.console, self.stage, self.parts, self.done, self.last = console, "", 1, 0.0, time.perf_counter()

    def waiting(self) -> None:
        """What a check does that takes long: a first run on a machine compiles what the recipe needs."""
        if not self.stage:
            self.console.print(f"0 check  {_CHECKING}", markup=False)

    def begin(self, stage: Stage, parts: int) -> None:
        self.stage, self.parts, self.done, self.last = title(stage), max(parts, 1), 0.0, time.perf_counter()

    def advance(self, counts: Counts) -> None:
        self.done += counts.get("share", 1.0)
        if time.perf_counter() - self.last > _PLAIN_EVERY:
            self.last = time.perf_counter()
            whole = math.ceil(self.done - 1e-6)
            number, again = (whole - 1) % self.parts + 1, (whole - 1) // self.parts + 1  # some stages pass over them twice
            told = f"part {number} of {self.parts}" + (f", pass {again}" if again > 1 else "")
            self.console.print(f"{self.stage}  {told}", markup=False)

    def tasks(self, now: Tasks) -> None:
        """How a remote engine's job goes."""
        if time.perf_counter() - self.last > _PLAIN_EVERY:
            self.last = time.perf_counter()
            self.console.print(f"{self.stage}  {in_tasks(now)}", markup=False)

    def end(self, stage: Stage, record: Mapping[str, Any], seconds: float, reused: bool) -> None:
        self.console.print(f"{self.stage}  {told(record, reused)}  {seconds:.1f} s", markup=False)


def in_tasks(now: Tasks) -> str:
    """`3 of 17 tasks, 2 running`."""
    failed = f", {now.failed} again" if now.failed else ""
    return f"{now.done:,} of {now.whole:,} tasks, {now.running} running{failed}"


def told(record: Mapping[str, Any], reused: bool) -> str:
    """`1,609 -> 1,201 rows`, and whether it was done before."""
    rows = f"{record['rows_in']:,} -> {record['rows_out']:,} rows" if "rows_in" in record else f"{record.get('rows', 0):,} rows"
    return f"{rows} (done before)" if reused else rows


def summary(console: Console, manifest: Mapping[str, Any]) -> None:
    """What happened at each step, and where things lie."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    roomy, narrow = console.width >= 110, console.width < 90
    for name in ("", "step", *([] if narrow else ["stays"]), "in", "left", "out", *(["why"] if roomy else [])):
        number = name in ("", "in", "left", "out")  # never cut: where there is no room, names are folded
        whole = number or (name == "step" and not narrow)
        table.add_column(name, justify="right" if number else "left", no_wrap=whole, overflow="fold")
    for step in manifest["steps"]:
        left = sum(step["left"].values())
        why = ", ".join(f"{n:,} {_SHORT.get(reason, reason.replace('_', ' '))}" for reason, n in step["left"].items())
        facts = step["facts"]
        if facts.get("changed"):
            why = f"{facts['changed']:,} texts changed"
        if "clusters" in facts and step["kind"] == "deduplicator":
            why += f" ({facts['clusters']:,} clusters)" if left else ""
        stays = [] if narrow else [step.get("keep", "")]
        table.add_row(str(step["step"] or ""), step["op"], *stays, f"{step['rows_in']:,}",
                      f"{left:,}" if left else "", f"{step['rows_out']:,}", *([why] if roomy else []))
    console.print(table)
    folder = Place.of(manifest["recipe"]["export_path"]).run
    seconds = sum(t["seconds"] for t in manifest["timing"])
    rows = manifest["rows_in"] + (manifest["rows_born"] if "pool" in manifest else 0)
    share = manifest["rows_out"] / rows if rows else 0.0
    console.print(f"\nkept [bold]{manifest['rows_out']:,}[/bold] of {rows:,} rows ({share:.1%}) in {seconds:.1f} s; "
                  f"{manifest['rows_left']:,} lines in the ledger; content {manifest['content_hash'][:16]}")
    if "pool" in manifest:
        console.print(entering.text(manifest["pool"]), markup=False)
    for note in manifest["notes"]:
        console.print(f"note: {note}", markup=False, style="dim")
    console.print(f"report: {folder / 'report.html'}\nnext:   tamis why {folder} ROW", markup=False)


def plan(console: Console, planned: Plan) -> None:
    """The stages, what they share, what is done already."""
    recipe = planned.recipe
    console.print(f"{recipe.name}: {counted(len(planned.sources), 'file')}, {planned.bytes:,} bytes, "
                  f"{counted(len(planned.splits), 'part')}; "
                  f"columns {', '.join(planned.schema.names)}", markup=False)
    workspace = Workspace(Place.of(recipe.export_path, recipe.work_dir).work)
    for stage in planned.stages:
        done = workspace.stage(stage.index, stage.kind, stage.fingerprint).record is not None
        fused = f", one pass over the text, shared: {', '.join(stage.features)}" if stage.features else ""
        mark = "  done" if done else ""
        console.print(f"\nstage {stage.index} {stage.kind}  {stage.fingerprint[:16]}{mark}{fused}", markup=False)
        if stage.index == 1:
            console.print("     read", markup=False)
        for step in stage.steps:
            stays = f"stays: {step.keep}" if step.keep else ""
            added = f"  -> {', '.join(step.stats)}" if step.stats else ""
            console.print(f"  {step.number:>2} {step.name}({step.text_key}){added}  {stays}".rstrip(), markup=False)
        for pins in stage.pins:
            for pin in pins:
                console.print(f"     {pin.kind}: {pin.path} sha256 {pin.sha256[:16]}", markup=False, style="dim")
        if stage.known is not None:
            console.print(f"     {stage.known}", markup=False, style="dim")
        if stage.kind == "pool":
            console.print(f"     {stage.pool}", markup=False, style="dim")
    for note in recipe.notes:
        console.print(f"note: {note}", markup=False, style="dim")


def operators_table() -> list[dict[str, Any]]:
    """Name, kind, first sentence, unit, settings, source, parity and speed of everything that a recipe can name."""
    return [vars(line) for line in operator_table.lines()]


def operators_page(console: Console, name: str) -> None:
    """One operator whole."""
    op = steps.find(name)
    if op is None:
        raise RecipeError(f"no operator is called {name!r}.{did_you_mean(name, steps.known_names())}")
    kind = op.kind if isinstance(op, Operator) else "selector"
    console.print(f"{op.name}  ({kind}, version {op.version})\n\n{inspect.getdoc(op.function)}\n\nsettings:", markup=False)
    for key, (annotation, default) in steps.offered_settings(op).items():
        shown = "must be given" if default is inspect.Parameter.empty else f"default {default!r}"
        console.print(f"  {key}: {steps.in_words(annotation)}, {shown}", markup=False)


def ops(console: Console, name: str | None, as_json: bool) -> None:
    """`tamis ops [NAME]`."""
    if as_json and name in (None, *steps.known_names()):
        print(json.dumps([r for r in operators_table() if name in (None, r["name"])], ensure_ascii=False))
    elif name is not None:
        operators_page(console, name)
    else:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("name", "kind", "what", "MB/CPU s"):
            table.add_column(column, overflow="fold")
        for row in operators_table():
            table.add_row(row["name"], row["kind"], row["what"], "" if row["speed"] is None else f"{row['speed']:g}")
        console.print(table)


def findings(console: Console, found: Sequence[Any]) -> None:
    """`tamis verify`."""
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    for f in found:
        console.print(f"[{colours[f.level]}]{f.level:<5}[/]", end="")
        console.print(f.text, markup=False)


def analysis(console: Console, found: Any, folder: Path) -> None:
    """`tamis analyze`."""
    console.print(found.text(), markup=False)
    console.print(f"\n{folder / 'analysis.html'}", markup=False)
