"""The command: `tamis run, plan, ops, why, verify, analyze`.

Exit codes: 0 done; 1 the run failed (an error in the data, a lost worker, a finding of `verify`); 2 the recipe or the
command line is wrong, and nothing was done; 130 interrupted, and the workspace resumes.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from . import analyze as analysis
from . import display, plan, recipe, verify, why
from .errors import RecipeError, TamisError
from .run import run as run_recipe

app = typer.Typer(
    name="tamis", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="From raw text to the training subset worth having, with the reason every row stayed or left.",
    epilog="Start with [bold]tamis run recipes/demo.yaml[/bold], then open outputs/demo/report.html.",
)
# a pipe has no width: tables are then as wide as they need to be
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

RecipePath = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML recipe. 'demo' is one that is installed with tamis.")]
Overrides = Annotated[list[str] | None, typer.Option(
    "--set", metavar="KEY=VALUE",
    help="Replace a key of the recipe, or of a step: seed=7, np=4, process.3.min_ratio=0.3 (steps count from 1).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


@app.command("run")
def run_command(
    path: RecipePath,
    sets: Overrides = None,
    engine: Annotated[str | None, typer.Option(help="local or spark.")] = None,
    np: Annotated[int | None, typer.Option(help="Worker processes; 0: one per core.")] = None,
    export_path: Annotated[str | None, typer.Option("--out", help="Where the run goes; replaces export_path.")] = None,
    as_json: Json = False,
) -> None:
    """Run a recipe: read, map, filter, deduplicate, embed, select, export, with a ledger of every row that left.

    Run it again after an interruption, or with other thresholds: what is already done is taken up, not repeated.
    """
    extra = {k: v for k, v in {"engine": engine, "np": np, "export_path": export_path}.items() if v is not None}
    with display.progress(err, quiet=as_json) as progress:
        manifest = run_recipe(_found(path), progress, sets=sets or [], **extra)
    if as_json:
        print(json.dumps(manifest, ensure_ascii=False))
    else:
        display.summary(out, manifest)


@app.command("plan")
def plan_command(path: RecipePath, sets: Overrides = None, as_json: Json = False) -> None:
    """Check a recipe against its data and show what would run: stages, what is fused, columns, fingerprints, what is done already.

    Reads file names, footers and first lines only. Every mistake in the recipe is listed, with file and line.
    """
    planned = plan.make(recipe.load(_found(path), sets=sets or []))
    if as_json:
        print(json.dumps(plan.describe(planned), ensure_ascii=False, default=str))
    else:
        display.plan(out, planned)


@app.command("ops")
def ops_command(
    name: Annotated[str | None, typer.Argument(help="Show this one whole: what it computes, settings, defaults, source.")] = None,
    as_json: Json = False,
) -> None:
    """List the operators and selectors, or show one of them whole."""
    display.ops(out, name, as_json)


@app.command("why")
def why_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    row: Annotated[str, typer.Argument(help="Its value in your id column, or SOURCE:POSITION, or SOURCE#LINE, or its __id__.")],
    key: Annotated[str, typer.Option(help="Your id column.")] = "id",
) -> None:
    """Tell one row's whole story: each number, each decision, whose duplicate it is, its cluster and rank, where it went."""
    out.print(why.text(why.story(run, row, key=key)), markup=False)


@app.command("verify")
def verify_command(run: Annotated[Path, typer.Argument(help="The folder of a finished run.")], as_json: Json = False) -> None:
    """Check a finished run: shards against their digests, ledger and kept rows against the rows that were read."""
    findings = verify.check(run)
    if as_json:
        print(json.dumps([vars(f) for f in findings], ensure_ascii=False))
    else:
        display.findings(out, findings)
    if any(f.level == "fail" for f in findings):
        raise typer.Exit(1)


@app.command("analyze")
def analyze_command(
    what: Annotated[str, typer.Argument(metavar="RECIPE|DATA", help="A recipe; or data, then with every filter that can be had.")],
    folder: Annotated[Path, typer.Option("--out", help="Where analysis.html and analysis.json go.")] = Path("outputs/analysis"),
    text_key: Annotated[str, typer.Option(help="The column that holds the text, for a data path.")] = "text",
    as_json: Json = False,
) -> None:
    """Compute every number without deleting anything, and show how each is distributed, with a recipe to start from."""
    with display.progress(err, quiet=as_json) as progress:
        found = analysis.analyze(_found(what), folder, text_key=text_key, progress=progress)
    if as_json:
        print(json.dumps(analysis.as_json(found), ensure_ascii=False))
    else:
        display.analysis(out, found, folder)


def _found(path: str) -> str:
    return str(recipe.bundled(path)) if path == "demo" and not Path(path).exists() else path


def main() -> None:
    """The console entry: errors in one plain message, Ctrl-C without a trace."""
    try:
        app()
    except RecipeError as e:
        lines = str(e).splitlines()
        title = "The recipe cannot be run" if len(lines) == 1 else f"The recipe cannot be run, for {len(lines)} reasons"
        err.print(f"[bold red]{title}:[/bold red]")
        for line in lines:
            err.print(f"  {line}", markup=False)
        sys.exit(e.exit_code)
    except TamisError as e:
        err.print(f"[bold red]{_TITLES.get(type(e).__name__, 'It failed')}:[/bold red] ", end="")
        err.print(str(e), markup=False)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        err.print("\nInterrupted. What is done is kept: run the same command again to go on.")
        sys.exit(130)


_TITLES: dict[str, Any] = {
    "ReadError": "The data cannot be read", "OperatorError": "An operator failed", "SelectionError": "The selection cannot be made",
    "LostRowError": "Rows were lost, which is a bug of tamis, please report it", "StaleError": "The workspace is in the way",
}
