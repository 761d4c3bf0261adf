"""The command: `tamis run, plan, ops, why, verify, analyze`.

Exit codes: 0 done; 1 the run failed (an error in the data, a lost worker, a finding of `verify`); 2 the recipe or the
command line is wrong, and nothing was done; 130 interrupted, and the workspace resumes.
"""

import importlib.metadata
import importlib.util
import io
import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from . import analyze as analysis
from . import assets, classifier, display, dups, plan, pool, recipe, verify, why
from . import compare as comparing
from .comparing.show import show
from .comparing.trial import Trial
from .engines.cli import submit_command
from .errors import RecipeError, TamisError
from .formats.places import shown
from .index import commands as indexing
from .index import upkeep
from .lake import cli as lake
from .lifelong import story as lifelong
from .reporting.words import counted
from .run import run as run_recipe
from .terminal import err, out
from .workspace import Place

app = typer.Typer(
    name="tamis", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="From raw text to the training subset worth having, with the reason every row stayed or left.",
    epilog="Start with [bold]tamis run recipes/demo.yaml[/bold], then open outputs/demo/report.html.",
)

RecipePath = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML recipe. 'demo' is one that is installed with tamis.")]
Overrides = Annotated[list[str] | None, typer.Option(
    "--set", metavar="KEY=VALUE",
    help="Replace a key of the recipe, or of a step: seed=7, np=4, process.3.min_ratio=0.3 (steps count from 1).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


def _version(asked: bool) -> None:
    if asked:
        out.print(f"tamis {version('tamis')}", markup=False)
        raise typer.Exit()


@app.callback()
def _top(
    asked: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Which tamis this is.")] = False,
) -> None:
    """From raw text to the training subset worth having, with the reason every row stayed or left."""


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
    elif "lake" in manifest:
        lake.summary(manifest)
    else:
        display.summary(out, manifest)


@app.command("refresh")
def refresh_command(path: RecipePath, sets: Overrides = None, as_json: Json = False) -> None:
    """Take what is new since the last time into the recipe's pool: new files, compared with all rows taken before.

    The recipe's export_path is the pool; one of its steps must be a deduplicator that can have an index.
    """
    with display.progress(err, quiet=as_json) as progress:
        told = pool.refresh(_found(path), progress, sets=sets or [])
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for line in (*told["batches"], told):
        where = f"batch {line['name']}" if "name" in line else f"{'' if told['batches'] else 'Nothing new. '}{told['pool']}"
        out.print(f"{where}: {counted(line['files'], 'file')}, {line['rows_in']:,} -> {line['rows_out']:,} rows", markup=False)


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
    try:
        display.ops(out, name, as_json)
    except RecipeError as e:  # there is no recipe here that could be at fault
        err.print(f"{e} All of them: tamis ops", markup=False)
        raise typer.Exit(2) from None


@app.command("assets")
def assets_command(path: RecipePath, sets: Overrides = None, as_json: Json = False) -> None:
    """List the word lists and models that a recipe needs: where each lies, where it was looked for, how to provide it.

    Exit code 1 where one is missing. Nothing is ever downloaded.
    """
    found = assets.needed(recipe.load(_found(path), sets=sets or []))
    if as_json:
        print(json.dumps([vars(a) | {"missing": a.missing} for a in found], ensure_ascii=False))
    else:
        out.print(assets.text(found), markup=False)
    if any(a.missing for a in found):
        raise typer.Exit(1)


@app.command("why")
def why_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or of a pool.")],
    row: Annotated[str, typer.Argument(help="Its value in your id column, or SOURCE:POSITION, or SOURCE#LINE, or its __id__.")],
    key: Annotated[str, typer.Option(help="Your id column.")] = "id",
) -> None:
    """Tell one row's whole story: each number, each decision, whose duplicate it is, its cluster and rank, where it went."""
    told = lifelong.tell(run, row, key) if lifelong.is_pool(run) else why.text(why.story(run, row, key=key))
    out.print(told, markup=False)


@app.command("dups")
def dups_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    limit: Annotated[int, typer.Option(min=1, help="How many clusters.")] = 5,
    members: Annotated[int, typer.Option(min=1, help="How many rows that left of each, the least alike first.")] = 3,
    as_json: Json = False,
) -> None:
    """Show the largest clusters of duplicates, and word by word what differs between the row kept and those that left."""
    found = dups.clusters(run, limit, members)
    if as_json:
        print(json.dumps(dups.as_json(found), ensure_ascii=False))
    else:
        dups.show(out, found, dups.indexed(run))


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
    Place.of(str(folder))
    with display.progress(err, quiet=as_json) as progress:
        found = analysis.analyze(_found(what), folder, text_key=text_key, progress=progress)
    if as_json:
        print(json.dumps(analysis.as_json(found), ensure_ascii=False))
    else:
        display.analysis(out, found, folder)


@app.command("compare")
def compare_command(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Each ends with a selector.")],
    folder: Annotated[Path, typer.Option("--out", help="Where pool, page and table go.")] = Path("outputs/compare"),
    shares: Annotated[list[float] | None, typer.Option("--share", help="A budget, as a share of the tokens; or several.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    heldout: Annotated[float, typer.Option(help="Share of the rows that no selector sees.")] = 0.05,
    proxy: Annotated[bool, typer.Option("--proxy", help="Train a small model on each choice; test it on rows held out.")] = False,
    kind: Annotated[Literal["gpt", "ngram"], typer.Option("--proxy-kind", help="ngram: a second, no minute.")] = "gpt",
    epochs: Annotated[float, typer.Option(help="Passes of the small model over a choice.")] = 2.0,
    start: Annotated[str | None, typer.Option("--proxy-start", help="Rows that the small model reads before any choice.")] = None,
    tests: Annotated[str | None, typer.Option("--proxy-tests", help="Rows it is tested on, instead of rows held out.")] = None,
    sets: Overrides = None, as_json: Json = False,
) -> None:
    """Compare selectors: one pool, equal budgets in tokens, several seeds, one table. `random` is added where no recipe has it."""
    with display.progress(err, quiet=as_json) as progress:
        told = comparing.compare(recipes, folder, shares=shares or [0.1], seeds=seeds, heldout=heldout, sets=sets or [],
                                 proxy=Trial(epochs=epochs, kind=kind, start=start, tests=tests) if proxy else None,
                                 progress=progress)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        show(out, told)
        out.print(f"Report: {folder / 'compare.html'}", markup=False)


index_app = typer.Typer(no_args_is_help=True, help="An index of documents known, against which tomorrow's are deduplicated.")
app.add_typer(index_app, name="dedup-index")
app.add_typer(lake.app, name="lake")
Index = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder of the index.")]
What = Annotated[str, typer.Argument(metavar="RECIPE|DATA", help="A recipe (.yaml), for its deduplication step; or data.")]
StepNumber = Annotated[int | None, typer.Option("--step", help="Which step of the recipe, where several could have an index.")]
Settings = Annotated[list[str] | None, typer.Option(
    "--set", metavar="KEY=VALUE", help="For data: a setting of the deduplicator (jaccard_threshold=0.8). For a recipe: as in run.")]
TextKey = Annotated[str, typer.Option(help="The column that holds the text, for data.")]


@index_app.command("build")
def index_build(
    index: Index, what: What, sets: Settings = None, step: StepNumber = None, text_key: TextKey = "text",
    op: Annotated[str, typer.Option(help="The deduplicator, for data.")] = "document_minhash_deduplicator", as_json: Json = False,
) -> None:
    """Begin an index with all rows that reach the deduplication step."""
    with display.progress(err, quiet=as_json) as progress:
        told = indexing.build(index, _found(what), progress, sets=sets or [], op=op, text_key=text_key, step=step)
    _tell_added(told, as_json)


@index_app.command("extend")
def index_extend(
    index: Index, what: What, sets: Settings = None, step: StepNumber = None, text_key: TextKey = "text", as_json: Json = False,
) -> None:
    """Compare rows with an index and add them to it."""
    with display.progress(err, quiet=as_json) as progress:
        told = indexing.extend(index, _found(what), progress, sets=sets or [], text_key=text_key, step=step)
    _tell_added(told, as_json)


@index_app.command("merge")
def index_merge(index: Index, others: Annotated[list[Path], typer.Argument(metavar="OTHER...")], as_json: Json = False) -> None:
    """Add all documents of other indexes to INDEX; the others stay as they are."""
    upkeep.merge(index, others)
    index_show(index, as_json=as_json)


@index_app.command("compact")
def index_compact(index: Index, as_json: Json = False) -> None:
    """Make one segment of all: the same answers, fewer reads."""
    upkeep.compact(index)
    index_show(index, as_json=as_json)


@index_app.command("show")
def index_show(
    index: Index, check: Annotated[bool, typer.Option("--check", help="Read every byte and compare digests.")] = False,
    as_json: Json = False,
) -> None:
    """Tell what an index is made with, how much it holds, and of what it was made; with --check, whether it is whole."""
    told, wrong = upkeep.described(index), upkeep.damage(index) if check else []
    if as_json:
        print(json.dumps(told | {"damage": wrong}, ensure_ascii=False))
    else:
        out.print(upkeep.text(told, wrong), markup=False)
    if wrong:
        raise typer.Exit(1)


def _tell_added(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    left = ", ".join(f"{n:,} {reason}" for reason, n in sorted(told["left"].items())) or "none"
    out.print(f"{told['index']}: {told['documents']:,} documents {'known already' if told['known'] else 'added'}, "
              f"of which {told['kept']:,} stay; left: {left}", markup=False)


@app.command("train-classifier")
def train_classifier_command(
    good: Annotated[list[str], typer.Option(help="Texts of the good kind: a file, folder or glob; again for more.")],
    bad: Annotated[list[str], typer.Option(help="Texts of the other kind.")],
    folder: Annotated[Path, typer.Option("--out", help="The folder that the model is kept in.")],
    text_key: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    held_out: Annotated[float, typer.Option(help="Share of the texts that it is judged by, not trained on.")] = 0.2,
    bits: Annotated[int, typer.Option(help="The model knows 2 to the power of so many words and pairs of words, by hash.")] = 18,
    seed: Annotated[int, typer.Option(help="Which texts are held out, and the order of training.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a classifier of quality for quality_classifier_filter, and tell how good it is on texts that it has not seen."""
    told = classifier.train_classifier(good, bad, folder, text_key=text_key, held_out=held_out, bits=bits, seed=seed)
    if as_json:
        print(json.dumps(asdict(told)))
    else:
        out.print(classifier.text(told, folder), markup=False)


app.command("submit")(submit_command)


@app.command("deploy")
def deploy_command(
    path: RecipePath,
    name: Annotated[str, typer.Option(help="The deployment's name; it is then called curate/NAME.")] = "nightly",
    pool: Annotated[str, typer.Option(help="The Prefect work pool that runs it.")] = "cpu-pool",
    cron: Annotated[str | None, typer.Option(help="When, as in '0 3 * * *'; without it, only when asked.")] = None,
    timezone: Annotated[str, typer.Option(help="Of the schedule.")] = "UTC",
    gpu_pool: Annotated[str | None, typer.Option(help="The pool for stages that ask a model; else they run in the flow.")] = None,
    gpu_jobs: Annotated[int, typer.Option(help="Jobs that share one such stage.")] = 1,
    gpu_limit: Annotated[int | None, typer.Option(help="Jobs at a time anywhere: one for each GPU.")] = None,
    file: Annotated[Path | None, typer.Option(help="Where the deployment is written down; beside the recipe, unless told.")] = None,
    register: Annotated[bool, typer.Option(help="Also register it at the Prefect server that PREFECT_API_URL names.")] = True,
) -> None:
    """Write a recipe down as a scheduled Prefect deployment, and register it. Needs the extra 'flows'."""
    if importlib.util.find_spec("prefect") is None:
        raise RecipeError("deployments need the extra 'flows': pip install 'tamis[flows]'")
    (found,) = importlib.metadata.entry_points(group="tamis.commands", name="deploy")
    written = found.load()(
        _found(path), name=name, pool=pool, cron=cron, timezone=timezone, gpu_pool=gpu_pool, gpu_jobs=gpu_jobs,
        gpu_limit=gpu_limit, file=file, register=register,
    )
    what = f"registered as curate/{name}" if register else "written, not registered"
    out.print(f"{written}: {what}. Start a worker with: prefect worker start --pool {pool}", markup=False)


def _found(path: str) -> str:
    return str(recipe.bundled(path)) if path == "demo" and not Path(path).exists() else path


def main() -> None:
    """The console entry: errors in one plain message, Ctrl-C without a trace."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows fewer letters than the data
    try:
        _utf8(sys.argv[1:])
        app()
    except RecipeError as e:
        lines = str(e).splitlines()
        title = (e.title or "The recipe cannot be run") + ("" if len(lines) == 1 else f", for {len(lines)} reasons")
        err.print(f"[bold red]{title}:[/bold red]")
        for line in lines:
            err.print(f"  {line}", markup=False)
        sys.exit(e.exit_code)
    except TamisError as e:
        err.print(f"[bold red]{e.title or _TITLES.get(type(e).__name__, 'It failed')}:[/bold red] ", end="")
        err.print(str(e), markup=False)
        sys.exit(e.exit_code)
    except OSError as e:
        sys.stdout = None  # type: ignore[assignment]  # or Python would try once more to write what could not be written
        err.print("[bold red]It failed:[/bold red] ", end="")
        err.print(shown(str(e)), markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as e:
        if e.code == _INTERRUPTED:  # typer makes this of Ctrl-C, and says nothing
            _interrupted()
        raise


def _utf8(words: list[str]) -> None:
    """Raises RecipeError for a word of the command line that no text can hold: it names a file that must be renamed."""
    for word in words:
        if "\0" in word or any("\ud800" <= letter <= "\udfff" for letter in word):
            raise RecipeError(f"{word!a}: this word of the command line is not UTF-8; if it names a file, rename that")


def _interrupted() -> NoReturn:
    err.print("\nInterrupted. What is done is kept: run the same command again to go on.")
    sys.exit(_INTERRUPTED)


_INTERRUPTED = 130


_TITLES: dict[str, Any] = {
    "ReadError": "The data cannot be read", "OperatorError": "An operator failed", "SelectionError": "The selection cannot be made",
    "LostRowError": "Rows were lost, which is a bug of tamis, please report it", "StaleError": "The workspace is in the way",
    "GuardError": "A guard stopped the run", "LostWorkerError": "A worker was lost",
}
