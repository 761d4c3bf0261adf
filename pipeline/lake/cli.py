"""`tamis lake scan, plan, apply, restore, empty, report`: redundant tables of a data lake."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid
from rich.text import Text

from .. import display
from ..errors import RecipeError, StaleError
from ..reporting.words import counted, oneline, size
from ..terminal import err, out
from ..workspace import read_json
from . import apply_plan, graph, report
from .emptying import Copy, copies, empty
from .graph import Graph
from .restore import restore, restore_all
from .run_lake import asked_of, lake_root, plan_lake, scan_lake, scanned_at

app = typer.Typer(no_args_is_help=True, help="Find tables that are contained in others, and remove them safely, with the way back.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a scan, or its recipe.")]
Sets = Annotated[list[str] | None, typer.Option(
    "--set", metavar="KEY=VALUE", help="Replace a setting of the step or a key of the recipe: tolerance=0.05, seed=7.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
_SHOWN = 20


@contextmanager
def _titled() -> Iterator[None]:
    """Errors under titles of their own: without a recipe none is at fault, and a lake that changed is no workspace."""
    try:
        yield
    except RecipeError as e:
        e.title = "This cannot be done"
        raise
    except StaleError as e:
        e.title = "Stopped"
        raise


@app.command("scan")
def scan_command(
    what: Annotated[str, typer.Argument(metavar="PATH|RECIPE", help="The root of a lake, or a recipe of this one step.")],
    folder: Annotated[str | None, typer.Option("--out", help="Where the run goes; replaces export_path.")] = None,
    sets: Sets = None, as_json: Json = False,
) -> None:
    """Find every table that is contained in another, proved row by row. Nothing in the lake is touched."""
    if what.endswith((".yaml", ".yml")):
        told = asked_of(what, folder, sets or [])
    else:
        with _titled():
            told = asked_of(what, folder, sets or [])
            lake_root(told.recipe)
    with display.progress(err, quiet=as_json) as progress:
        found = scan_lake(told, progress)
    if as_json:
        print((told.run / "graph.json").read_text("utf-8"))
        return
    _stages(found)
    out.print(f"\n{counted(len(found.parent), 'containment')} in {told.run}. Next: tamis lake plan {told.run}", markup=False)


@app.command("plan")
@_titled()
def plan_command(run: Run = "outputs/lake", sets: Sets = None, as_json: Json = False) -> None:
    """Choose what to delete: the cheapest set from which every deleted table can be rebuilt. Nothing is deleted yet."""
    told = scanned_at(run, sets or [])
    plan = plan_lake(told)
    if as_json:
        print(json.dumps(plan, ensure_ascii=False))
        return
    _plan(plan)
    out.print(f"\nReport: {told.run / 'report.html'}. Next: tamis lake apply {told.run}", markup=False)


@app.command("apply")
@_titled()
def apply_command(run: Run = "outputs/lake", as_json: Json = False) -> None:
    """Move what the plan deletes to the lake's trash, each with a restore recipe. Nothing is unlinked."""
    told = scanned_at(run)
    found = graph.load(told.run)

    def watch(deletion: Mapping[str, Any], what: str) -> None:
        if not as_json:
            name = f"{what}: {deletion['table']} (comes back from {deletion['parent']})"
            _say(what if what.startswith("stays") else name)

    moved = apply_plan.apply(told.run, found, told.settings, watch)
    if as_json:
        print(json.dumps(moved, ensure_ascii=False))
    else:
        what = f"{counted(len(moved), 'table')} moved to {found.root / told.settings.trash}."
        out.print(f"\n{what} Back: tamis lake restore TABLE --run {told.run}, or --all --run {told.run}", markup=False)


@app.command("restore")
@_titled()
def restore_command(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Its name: the path below the lake's root.")] = None,
    run: Annotated[str, typer.Option("--run", help="The folder of the run that deleted it.")] = "outputs/lake",
    every: Annotated[bool, typer.Option("--all", help="Every table in the trash, of this and of earlier runs.")] = False,
    from_trash: Annotated[bool, typer.Option("--from-trash", help="Move the trashed copy back instead of rebuilding.")] = False,
) -> None:
    """Rebuild a deleted table, or all, from the parent, verify it by fingerprint, and put it back where it was."""
    if every and table is not None:
        raise RecipeError(f"{table}: with --all no table is named; a run is named so: tamis lake restore --all --run {table}")
    if not every and table is None:
        raise RecipeError("name the table that shall come back, or say --all")
    told = scanned_at(run)
    root, left = graph.load(told.run).root, 0

    def watch(recipe: Mapping[str, Any], why: str = "") -> None:
        nonlocal left
        left += bool(why)
        name = recipe["table"]
        if why:
            _say(f"stays deleted: {why if why.startswith(name) else f'{name}: {why}'}")
            return
        how = "moved back from the trash" if from_trash else f"rebuilt from {recipe['parent']['name']}, fingerprint verified"
        _say(f"{name}: {how}; {recipe['fingerprint']['rows']:,} rows")

    if table is not None:
        watch(restore(root, table, told.settings, from_trash))
        return
    done = restore_all(root, told.settings, watch, from_trash)
    out.print(f"\n{counted(len(done), 'table')} restored.")
    if left:
        raise StaleError(f"{counted(left, 'table')} could not be restored: the reasons stand above")


@app.command("empty")
@_titled()
def empty_command(
    run: Run = "outputs/lake", yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are listed.")] = False,
    as_json: Json = False,
) -> None:
    """Free the storage: delete for good the tables in the lake's trash, each after its way back has been tried once more."""
    told = scanned_at(run)
    root = graph.load(told.run).root
    found = copies(root / told.settings.trash)

    def watch(copy: Copy, why: str) -> None:
        if not as_json:
            stays = why if why.startswith(copy.table) else f"{copy.table}: {why}"
            _say(f"stays: {stays}" if why else f"deleted: {copy.table}")

    gone = empty(root, told.settings, watch) if yes else []
    if as_json:
        print(json.dumps([{"table": c.table, "bytes": c.bytes, "parent": c.parent, "deleted": c in gone} for c in found]))
    else:
        _emptied(found, gone, root / told.settings.trash, told.run, yes)


def _emptied(found: list[Copy], gone: list[Copy], trash: Path, run: Path, yes: bool) -> None:
    if not yes:
        for copy in found[:_SHOWN]:
            how = copy.damage or (f"comes back from {copy.parent}" if copy.parent else "is back in the lake")
            _say(f"{copy.table}: {size(copy.bytes)}, {how}")
        if len(found) > _SHOWN:
            out.print(f"and {len(found) - _SHOWN:,} more; --json lists them all")
        what = f"{counted(len(found), 'table')} in {trash}, {size(sum(c.bytes for c in found))}. Nothing was deleted."
        out.print(f"\n{what}" + (f" To delete them for good: tamis lake empty {run} --yes" if found else ""), markup=False)
        return
    out.print(f"\n{len(gone):,} of {len(found):,} tables deleted for good, {size(sum(c.bytes for c in gone))}.")
    parents = sorted({c.parent for c in gone if c.parent})
    if parents:
        more = f" and {len(parents) - 5:,} more (plan keeps them)" if len(parents) > 5 else ""
        _say(f"They come back from their parents only (tamis lake restore TABLE --run {run}): as long as you may want them, "
             f"do not change {', '.join(parents[:5])}{more}.")


@app.command("report")
@_titled()
def report_command(run: Run = "outputs/lake") -> None:
    """Draw the report anew: the graph, the stages, the plan."""
    told = scanned_at(run)
    plan = read_json(told.run / "plan.json") or plan_lake(told)
    out.print(str(report.write(told.run, graph.load(told.run), plan)), markup=False)


def _say(line: str) -> None:
    """A line that names tables: whoever named them commands neither the terminal nor its colours."""
    out.print(oneline(line), markup=False)


def summary(manifest: Mapping[str, Any]) -> None:
    """What `tamis run` says of a lake."""
    out.print(f"{manifest['tables']:,} tables, {manifest['edges']:,} containments, {manifest['deleted']:,} tables can go, "
              f"{manifest['troubles']:,} left out.\nReport: {manifest['run']}/report.html. "
              f"Next: tamis lake apply {manifest['run']}", markup=False)


def _stages(found: Graph) -> None:
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for name in ("stage", "edges left", "rows read", "bytes read", "seconds", ""):
        grid.add_column(name, justify="left" if name in ("stage", "") else "right")
    for line in found.lines:
        told = ", ".join(f"{k.replace('_', ' ')}: {v:,}" for k, v in line.told.items())
        grid.add_row(line.stage, f"{line.edges:,}", f"{line.rows:,}", size(line.bytes), f"{line.seconds:.2f}", told)
    out.print(grid)
    for trouble in found.troubles[:_SHOWN]:
        _say(f"left out: {trouble.where}: {trouble.what}")
    if len(found.troubles) > _SHOWN:
        out.print(f"and {len(found.troubles) - _SHOWN:,} more; graph.json lists them all")


def _plan(plan: Mapping[str, Any]) -> None:
    totals = plan["totals"]
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for name in ("delete", "comes back as", "bytes", "rebuild"):
        grid.add_column(name, justify="right" if name in ("bytes", "rebuild") else "left", overflow="fold")
    for d in plan["delete"][:_SHOWN]:
        grid.add_row(Text(oneline(d["table"])), Text(oneline(d["how"])), size(d["bytes"]), f"{d['rebuild_seconds']:.1f} s")
    if plan["delete"]:
        out.print(grid)
    for name, why in list(plan["held"].items())[:_SHOWN]:
        _say(f"stays: {name}: {why}")
    more = len(plan["delete"]) - _SHOWN
    if more > 0:
        out.print(f"and {more:,} more; plan.json lists them all")
    gone = f"{size(totals['bytes_deleted'])} of {size(totals['bytes'])}"
    out.print(f"\n{totals['deleted']:,} of {totals['tables']:,} tables, {gone}.")
    plan_cost, whole, simple, bound = (report.usd(totals[k]) for k in ("plan", "keep_all", "greedy", "bound"))
    out.print(f"Cost per month: {plan_cost}; keep all {whole}, greedy {simple}, lower bound {bound}, "
              f"gap {report.gap(totals['gap'])}.", markup=False)
    out.print("Storage is saved when the trash is emptied: tamis lake empty.")
    if plan["gone"]:
        out.print(f"{len(plan['gone']):,} of these tables have left the lake since it was scanned; scan again to see it as it is.")
