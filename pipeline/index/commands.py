"""`tamis dedup-index build` and `extend`: a recipe, or plain data with settings, as far as its deduplication step."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import plan, recipe
from ..errors import RecipeError
from ..execute import Progress, execute
from ..plan import Plan
from ..recipe import Recipe
from ..workspace import Place
from . import layout
from .layout import INDEXABLE

RECIPES = (".yaml", ".yml")


def build(index: Path, what: str, progress: Progress, *, sets: Sequence[str] = (), op: str = INDEXABLE[1], text_key: str = "text",
          step: int | None = None) -> dict[str, Any]:
    """Begin an index with the rows that reach the deduplication step of a recipe, or with data; answers what was added.

    `what`: a recipe, whose `step` (its only one, if not given) is meant, or data that `op` reads with `sets` as its settings.
    `known` in the answer: whether these very rows were there before. Raises RecipeError where there is an index already, unless
    these very rows began it.
    """
    return _add(index, what, progress, sets, op, text_key, step, begin=True)


def extend(index: Path, what: str, progress: Progress, *, sets: Sequence[str] = (), op: str | None = None, text_key: str = "text",
           step: int | None = None) -> dict[str, Any]:
    """Compare rows with an index and add them to it, as of `build`; data is read with the index's own operator and settings."""
    made = None
    if not what.endswith(RECIPES):
        manifest = layout.read(index)
        if manifest is None:
            raise RecipeError(f"{index}: no index is there. Begin one with tamis dedup-index build {index} {what}")
        made = manifest.made
        sets = [*(f"{k}={json.dumps(v)}" for k, v in made.settings.items()), *sets]
    return _add(index, what, progress, sets, op or (made.operator if made else INDEXABLE[1]), text_key, step, begin=False)


def _add(index: Path, what: str, progress: Progress, sets: Sequence[str], op: str, text_key: str, step: int | None, *,
         begin: bool) -> dict[str, Any]:
    named = json.dumps(str(index))
    keys = {"against": "null", "remember": named} if begin else {"against": named, "remember": "true"}
    if what.endswith(RECIPES):
        number = _which(recipe.load(what, sets=sets), step)
        asked = recipe.load(what, sets=[*sets, *(f"process.{number}.{k}={v}" for k, v in keys.items())])
        return _done(plan.make(asked), number, index, progress)
    working = _working(index)
    words = {"dataset_path": what, "export_path": str(working), "text_keys": text_key, "process": [{op: {}}]}
    told = _done(plan.make(recipe.load(words, sets=[f"process.1.{s}" for s in (*sets, *(f"{k}={v}" for k, v in keys.items()))])), 1,
                 index, progress)
    shutil.rmtree(working, ignore_errors=True)
    return told


def _working(index: Path) -> Path:
    """The folder beside `index` in which data is worked on: kept when interrupted, as the same command takes it up, then removed.

    Raises RecipeError where it holds what no run has written.
    """
    place = index.absolute()
    if not place.name:
        raise RecipeError(f"{index}: an index needs a folder of its own")
    working = place.with_name(f"{place.name}.building")
    if working.exists() and not working.is_dir():
        raise RecipeError(f"{working}, where the rows would be worked on, is a file; move it, or name another index")
    there = [p.name for p in working.iterdir()] if working.exists() else []
    if there and (there != ["work"] or not (working / "work" / ".lock").is_file()):
        raise RecipeError(f"{working}, where the rows would be worked on and which is removed then, holds "
                          f"{', '.join(sorted(there)[:3])}: no run has written that; move it, or name another index")
    return working


def _which(asked: Recipe, step: int | None) -> int:
    """The number of the step that is meant."""
    able = [s.number for s in asked.process if s.name in INDEXABLE]
    if step is not None and step in able:
        return step
    if step is None and len(able) == 1:
        return able[0]
    there = ", ".join(f"{s.number} ({s.name})" for s in asked.process if s.number in able) or "none"
    raise RecipeError(f"{asked.name}: which step is meant? There can be an index for: {there}. Say it by --step N")


def _done(planned: Plan, number: int, index: Path, progress: Progress) -> dict[str, Any]:
    place = Place.of(planned.recipe.export_path, planned.recipe.work_dir)
    place.claim([s.url for s in planned.sources])
    stage = next(s for s in planned.stages if any(t.number == number for t in s.steps))
    assert stage.known is not None
    before = layout.read(index)
    known = before is not None and before.batch(stage.known.batch) is not None
    record = execute(planned, progress, upto=stage.index)
    manifest = layout.read(index)
    batch = manifest.batch(stage.known.batch) if manifest else None
    assert batch is not None
    return {"index": str(index), "batch": batch.name, "documents": batch.documents, "kept": batch.kept, "known": known,
            "left": {k.split(" ", 1)[1]: n for k, n in record["by"].items() if k.split(" ", 1)[0] == str(number)}}
