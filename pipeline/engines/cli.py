"""`tamis submit`: a run on a Spark cluster."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import recipe
from ..errors import RecipeError
from ..terminal import out
from .submit import ENTRY, Submission, packed, scratch, submit


def submit_command(
    path: Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML recipe, under a path that the driver sees.")] = "",
    master: Annotated[str, typer.Option(help="spark://HOST:PORT, yarn, k8s://https://HOST:PORT or local[N].")] = "local[*]",
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As in run.")] = None,
    export_path: Annotated[str | None, typer.Option("--out", help="Where the run goes; replaces export_path.")] = None,
    confs: Annotated[list[str] | None, typer.Option("--conf", metavar="KEY=VALUE", help="A setting of Spark's.")] = None,
    package: Annotated[Path | None, typer.Option(help="The wheel of tamis that travels; else what is installed here.")] = None,
    environment: Annotated[Path | None, typer.Option(help="A packed environment (venv-pack: .tar.gz) that travels.")] = None,
    installed: Annotated[bool, typer.Option("--installed", help="Nothing travels: executors have tamis installed.")] = False,
    cluster: Annotated[bool, typer.Option("--cluster", help="The driver runs in the cluster too (yarn, k8s).")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the line and do not run it.")] = False,
    entry: Annotated[bool, typer.Option("--entry", help="Print where the file lies that spark-submit runs.")] = False,
) -> None:
    """Print the spark-submit line for a recipe, and run it: tamis travels along, the recipe runs with `engine: spark`.

    Executors and driver must see inputs and workspace under the same paths. Exit codes are those of run.
    """
    if entry:
        print(ENTRY)
        return
    if not path:
        raise RecipeError("submit needs a recipe")
    if not cluster:
        recipe.load(path, sets=sets or [])  # its mistakes, before a JVM is started for them
    settings = dict(_pair(text) for text in confs or [])
    folder = None if installed else scratch()
    try:
        travels = None if folder is None else packed(package, folder)
        made = Submission(master, travels, environment, settings, cluster)
        arguments = ["run", path, "--engine", "spark", *(w for s in sets or [] for w in ("--set", s))]
        arguments += ["--out", export_path] if export_path else []
        out.print(shlex.join(made.line(arguments)), markup=False, soft_wrap=True)
        sys.stdout.flush()
        status = 0 if only_print else submit(made, arguments)
    finally:
        if folder is not None and not only_print:  # a line that is printed speaks of what lies there
            shutil.rmtree(folder, ignore_errors=True)
    if status:
        raise typer.Exit(status)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--conf {text}: write KEY=VALUE, as in spark.executor.memory=8g")
    return key, value
