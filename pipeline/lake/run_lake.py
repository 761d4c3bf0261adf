"""A lake run: what a recipe or a path asks, scanned and planned into one run folder."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import recipe as recipes
from ..engines.choose import engine_for
from ..errors import RecipeError, did_you_mean
from ..execute import Progress
from ..keys import KEYS
from ..recipe import Recipe
from ..workspace import Place, Workspace, atomically, read_json
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
    own = [_set(s) for s in sets]
    path = Path(what)
    if (path / "graph.json").is_file() and (path / "recipe.yaml").is_file():
        path = path / "recipe.yaml"
    if path.suffix in (".yaml", ".yml"):
        more = {"export_path": out} if out else {}
        return asked(recipes.load(path, sets=own, **more))
    words: dict[str, Any] = {"project_name": path.name or "lake", "dataset_path": what, "export_path": out or "outputs/lake"}
    words |= {"process": [STEP.name]}
    return asked(recipes.load(words, sets=own))


def _set(text: str) -> str:
    """KEY=VALUE with the step before a key of the step. Raises RecipeError for a key of neither step nor recipe."""
    key = text.partition("=")[0].strip()
    if key in STEP.settings:
        return f"process.1.{text}"
    if key.partition(".")[0] not in KEYS:
        raise RecipeError(f"--set {text}: there is no such setting.{did_you_mean(key, [*STEP.settings, *KEYS])}")
    return text


def scanned_at(what: str, sets: Sequence[str] = ()) -> Asked:
    """What was asked by the scan in a run folder, or by its recipe. No other run is meant, wherever this is called.

    Raises RecipeError where no lake was scanned.
    """
    path = Path(what)
    if path.suffix in (".yaml", ".yml"):
        return _as_scanned(asked_of(what, None, sets), sets)
    if not all((path / name).is_file() for name in ("graph.json", "recipe.yaml")):
        raise RecipeError(f"{what}: no lake has been scanned there; begin with: tamis lake scan PATH --out {what}")
    return _as_scanned(replace(asked_of(what, None, sets), run=path), sets)


def _as_scanned(told: Asked, sets: Sequence[str]) -> Asked:
    """The same, where its settings are those of the scan. Raises RecipeError where a scan with them might find something else."""
    known = (read_json(told.run / "graph.json") or {}).get("settings", {})
    asked_now = told.settings.scan_words()
    other = [name for name, value in known.items() if asked_now[name] != value]
    other += ["trash"] if any(s.partition("=")[0].strip() == "trash" for s in sets) else []
    if other:
        raise RecipeError(f"{told.run} was scanned with another {' and '.join(other)}: scan again with what you want")
    return told


def scan_lake(told: Asked, progress: Progress) -> Graph:
    """Scan, and leave graph.json, edges.parquet and certificates.jsonl in the run folder. Raises RecipeError before any reading."""
    root = lake_root(told.recipe)
    place = Place.of(told.recipe.export_path, told.recipe.work_dir).seen_by(told.recipe.engine)
    for folder in (place.run, place.work):
        if folder.resolve().is_relative_to(root) or root.is_relative_to(folder.resolve()):
            raise RecipeError(f"export_path {folder}: a run must not write into the lake {root}")
    workspace = Workspace(place.work)
    with workspace.lock(), closing(engine_for(told.recipe)) as engine:
        scanned = scan(root, told.settings, workspace, engine, progress)
        found = graph.save(told.run, root, scanned, told.settings)
        atomically(told.run / "recipe.yaml", lambda tmp: tmp.write_text(recipes.dump(told.recipe, public=True), "utf-8"))
    return found


def lake_root(recipe: Recipe) -> Path:
    """The one folder that `dataset_path` names, here or beside the recipe."""
    if len(recipe.dataset_path) != 1:
        raise RecipeError(f"{recipe.name}: dataset_path is the root folder of one lake, {len(recipe.dataset_path)} paths are given")
    path = recipe.dataset_path[0]
    beside = recipe.folder / path
    home = path.startswith("~")
    return root_of(str(beside) if not home and not Path(path).exists() and beside.is_dir() else path)


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
