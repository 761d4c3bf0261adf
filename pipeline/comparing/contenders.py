"""What is compared: the selector that ends each recipe, and the one pool that they all choose from."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...selectors.base import Pool, Selection, Selector
from ...selectors.parts.draw import HOLD, uniform
from .. import plan, recipe, resources
from ..errors import RecipeError, SelectionError
from ..execute import Progress, after, execute
from ..plan import Plan
from ..recipe import Recipe
from ..stages.lineage import Lineage
from ..stages.select import pool_of, words_of
from ..steps import Step
from ..workspace import Place, Workspace

Words = str | Path | Mapping[str, Any]
RANDOM = "random"


@dataclass(frozen=True)
class Contender:
    """One selector with its settings, by the name it has in the table."""

    name: str
    recipe: Recipe
    step: Step

    def choose(self, pool: Pool, budget: float, seed: int) -> tuple[Selection, float]:
        """What it picks, and in how many seconds. Raises SelectionError where it cannot."""
        op = self.step.op
        assert isinstance(op, Selector)
        try:
            handed = resources.load(resources.pin(op, self.step.settings))
            began = time.perf_counter()
            chosen = op.function(pool, budget, seed=seed, **self.step.settings, **handed)
        except ValueError as e:
            raise SelectionError(f"{self.recipe.name}, step {self.step.number} ({self.step.name}): {e}") from e
        return chosen, time.perf_counter() - began


@dataclass(frozen=True)
class Candidates:
    """The pool whole, each contender's view of it by name, the texts, and the rows held out of it.

    Attributes:
        pool: ids, vectors (None: no recipe has any) and tokens of the rows that can be chosen.
        views: contender -> the pool as its selector sees it.
        texts, heldout: object[n] and object[m], texts of the rows that can be chosen and of those held out.
        fingerprint: of all that decides which rows can be chosen, and what they cost.
    """

    pool: Pool
    views: Mapping[str, Pool]
    texts: np.ndarray
    heldout: np.ndarray
    fingerprint: str

    @property
    def tokens(self) -> float:
        """What all rows cost together."""
        assert self.pool.cost is not None
        return float(self.pool.cost.sum())


def contenders(recipes: Sequence[Words], sets: Sequence[str], baseline: bool) -> list[Contender]:
    """One for each recipe, and `random` where none is and it is wanted. Raises RecipeError where they share no pool."""
    found: list[Contender] = []
    for words in recipes:
        told = recipe.load(words, sets=sets)
        name = told.project_name if isinstance(words, Mapping) else Path(words).stem
        steps = [s for s in told.process if s.kind == "selector"]
        if told.pool is not None:
            raise RecipeError(f"{told.name}: a comparison has a pool of its own for all recipes: leave out `pool`")
        if len(steps) != 1 or told.process[-1] is not steps[0] or "field" in getattr(steps[0].op, "needs", ()):
            raise RecipeError(f"{told.name}: to be compared, a recipe ends with a selector that takes a budget, and has no other")
        if steps[0].settings.get("model") and steps[0].settings.get("reference"):
            raise RecipeError(f"{told.name}: {steps[0].name} asks a model when it chooses, which a comparison does not hand it: "
                              "put an influence_scorer before it and give quality_key")
        twin = sum(c.name == name or c.name.startswith(f"{name} (") for c in found)
        found.append(Contender(f"{name} ({twin + 1})" if twin else name, told, steps[0]))
    if not found:
        raise RecipeError("nothing to compare: name at least one recipe")
    for other in found[1:]:
        if _prefix(other.recipe) != _prefix(found[0].recipe):
            raise RecipeError(f"{other.recipe.name} makes another pool than {found[0].recipe.name}: dataset_path, text_keys, seed "
                              "and all steps before the selector, embedding apart, must be the same")
    if baseline and not any(c.step.name == "random_selector" for c in found):
        step, problems, _ = _random(found[0])
        assert step is not None and not problems
        found.insert(0, Contender(RANDOM, found[0].recipe, step))
    return found


def _random(like: Contender) -> tuple[Step | None, list[str], list[str]]:
    from_key = like.step.extra["cost_key"]
    given = {"select_tokens": 1.0, **({"cost_key": from_key} if from_key else {})}
    return recipe.steps.build(like.step.number, "random_selector", given, like.step.text_key)


def _prefix(told: Recipe) -> list[Any]:
    kept = [{k: v for k, v in s.describe().items() if k != "step"} for s in told.process if s.kind not in ("selector", "embedder")]
    return [told.dataset_path, told.text_keys, told.suffixes, told.seed, kept]


def maker(found: Sequence[Contender]) -> Contender:
    """The one whose recipe makes the pool: the first with an embedding step, or the first."""
    return next((c for c in found if any(s.kind == "embedder" for s in c.recipe.process)), found[0])


def candidates(found: Sequence[Contender], folder: Path, heldout: float, progress: Progress, patience: float = 0.0) -> Candidates:
    """Make the pool, below `folder` (taken up where it is there), and hold a share of its rows out by hash of their ids.

    Another run that makes it is waited for, for `patience` seconds.

    The pool is that of the first recipe with an embedding step, or of the first. Costs are tokens: the `cost_key` of
    the contender whose recipe makes the pool, else the embedding's counts. Raises RecipeError where there are none.
    """
    base = maker(found)
    asked = replace(base.recipe, export_path=str(folder), work_dir=None)
    planned = plan.make(asked)
    select = next(s for s in planned.stages if s.kind == "select")
    execute(planned, progress, upto=select.index - 1, patience=patience)
    before, parts = _lineage(planned, select.index), range(len(planned.splits))
    cost_key = base.step.extra["cost_key"] or ("num_embedding_tokens" if before.vectors else None)
    if cost_key is None:
        raise RecipeError(f"{base.recipe.name}: equal budgets are in tokens: give the selector a cost_key, a column with "
                          "each row's tokens, or put a text_embedding_mapper step before it")
    views = {c.name: pool_of(replace(c.step, extra={**c.step.extra, "select_tokens": 1.0, "cost_key": cost_key}), before, parts)
             for c in found}
    texts, first = words_of(base.step.text_key, before, parts), next(iter(views.values()))
    vectors = next((v.embedding for v in views.values() if v.embedding is not None), None)
    held = np.zeros(len(first), bool)
    held[np.argsort(uniform(base.recipe.seed, first.ids, stream=HOLD), kind="stable")[: int(heldout * len(first))]] = True
    whole = Pool(first.ids, vectors, cost=first.cost)
    fingerprint = json.dumps([planned.stages[select.index - 2].fingerprint, cost_key, heldout])
    views = {name: _without(v, held) for name, v in views.items()}
    return Candidates(_without(whole, held), views, texts[~held], texts[held], fingerprint)


def _without(pool: Pool, held: np.ndarray) -> Pool:
    columns = {k: getattr(pool, k) for k in ("ids", "embedding", "quality", "cost", "field", "text")}
    rest: dict[str, Any] = {k: None if v is None else v[~held] for k, v in columns.items()}
    return Pool(**rest)


def _lineage(planned: Plan, select: int) -> Lineage:
    place = Place.of(planned.recipe.export_path, planned.recipe.work_dir)
    workspace, lineage = Workspace(place.work), None
    for stage in planned.stages[: select - 1]:
        lineage = after(stage, workspace.stage(stage.index, stage.kind, stage.fingerprint), lineage)
    assert lineage is not None  # the first stage reads
    return lineage
