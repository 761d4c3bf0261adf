"""A lake run: what a recipe or a path asks, scanned and planned into one run folder."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import recipe as recipes
from ..engines.choose import engine_for
from ..errors import RecipeError
from ..execute import Progress
from ..recipe import Recipe
from ..workspace import Place, Workspace, atomically
from . import deletions, graph, report
from .finding import root_of
from .graph import Graph
from .scan import scan
from .settings import STEP, Settings


@dataclass(frozen=True)
class Asked:
    """A recipe of one step over a lake: its settings, where the lake is, where the run goes."""

    recipe: Recipe
    settings: Settings
    run: Path


def asked(recipe: Recipe) -> Asked:
    """What the recipe asks. Raises RecipeError where it is not a recipe of this one step."""
    if len(recipe.process) != 1 or recipe.process[0].name != STEP.name:
        raise RecipeError(f"{recipe.name}: {STEP.name} works on tables, the other steps on rows: it must be the only step")
    place = Place.of(recipe.export_path, recipe.work_dir)
    if place.file:
        raise RecipeError(f"export_path {place.file}: a lake run needs a folder")
    return Asked(recipe, Settings.of(recipe.process[0].settings, recipe.seed), place.run)


def asked_of(what: str, out: str | None = None, sets: Sequence[str] = ()) -> Asked:
    """What is asked by a recipe, by the path of a lake, or by the folder of an earlier run.

    `sets`: KEY=VALUE; a key of the step needs no prefix.
    """
    own = [f"process.1.{s}" if s.partition("=")[0].strip() in STEP.settings else s for s in sets]
    path = Path(what)
    if (path / "graph.json").is_file() and (path / "recipe.yaml").is_file():
        path = path / "recipe.yaml"
    if path.suffix in (".yaml", ".yml"):
        more = {"export_path": out} if out else {}
        return asked(recipes.load(path, sets=own, **more))
    words: dict[str, Any] = {"project_name": path.name or "lake", "dataset_path": what, "export_path": out or "outputs/lake"}
    words |= {"process": [STEP.name]}
    return asked(recipes.load(words, sets=own))


def scanned_at(what: str, sets: Sequence[str] = ()) -> Asked:
    """What was asked by the scan in a run folder, or by its recipe. No other run is meant, wherever this is called.

    Raises RecipeError where no lake was scanned.
    """
    path = Path(what)
    if path.suffix in (".yaml", ".yml"):
        return asked_of(what, None, sets)
    if not all((path / name).is_file() for name in ("graph.json", "recipe.yaml")):
        raise RecipeError(f"{what}: no lake has been scanned there; begin with: tamis lake scan PATH --out {what}")
    return replace(asked_of(what, None, sets), run=path)


def scan_lake(told: Asked, progress: Progress) -> Graph:
    """Scan, and leave graph.json, edges.parquet and certificates.jsonl in the run folder. Raises RecipeError before any reading."""
    root = lake_root(told.recipe)
    place = Place.of(told.recipe.export_path, told.recipe.work_dir)
    for folder in (place.run, place.work):
        if folder.resolve().is_relative_to(root) or root.is_relative_to(folder.resolve()):
            raise RecipeError(f"export_path {folder}: a run must not write into the lake {root}")
    workspace = Workspace(place.work)
    with workspace.lock(), closing(engine_for(told.recipe)) as engine:
        scanned = scan(root, told.settings, workspace, engine, progress)
        found = graph.save(told.run, root, scanned, told.settings)
        atomically(told.run / "recipe.yaml", lambda tmp: tmp.write_text(recipes.dump(told.recipe), "utf-8"))
    return found


def lake_root(recipe: Recipe) -> Path:
    """The one folder that `dataset_path` names, here or beside the recipe."""
    if len(recipe.dataset_path) != 1:
        raise RecipeError(f"{recipe.name}: dataset_path is the root folder of one lake, {len(recipe.dataset_path)} paths are given")
    path = recipe.dataset_path[0]
    beside = recipe.folder / path
    return root_of(str(beside) if not Path(path).expanduser().exists() and beside.is_dir() else path)


def plan_lake(told: Asked) -> dict[str, Any]:
    """Plan deletions for the scanned lake, and draw the report."""
    found = graph.load(told.run)
    plan = deletions.plan(told.run, found, told.settings)
    report.write(told.run, found, plan)
    return plan


def run_lake(recipe: Recipe, progress: Progress) -> dict[str, Any]:
    """Scan and plan: what `tamis run` does with a recipe of this step. Nothing is deleted; `tamis lake apply` does that."""
    told = asked(recipe)
    found = scan_lake(told, progress)
    plan = plan_lake(told)
    return {"project_name": recipe.project_name, "lake": str(found.root), "run": str(told.run), "tables": len(found.tables),
            "troubles": len(found.troubles), "edges": len(found.parent), **plan["totals"]}
