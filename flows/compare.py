"""Selectors compared as a flow: the pool stage by stage, as in `curate`, a task for each selector, budget and seed, one report.

    prefect deployment run compare/weekly --param recipes='["recipes/random.yaml", "recipes/kmq.yaml"]'

What a task chose is kept in the workspace (pipeline/comparing/choosing.py), which decides what is done, as in `curate`: a
comparison that crashed takes up the choices that were made, and their tasks are `Cached`.
"""

import json
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, State
from pydantic import Field

from ..pipeline import compare as comparing
from ..pipeline import plan, recipe
from ..pipeline.comparing import choosing
from ..pipeline.comparing.contenders import contenders, maker
from ..pipeline.comparing.trial import Trial
from ..pipeline.execute import Silent
from ..pipeline.reporting.words import counted
from .curate import GPU_DEPLOYMENT, do_stages
from .model_stage import PATIENCE
from .parameters import AtATime, Gpu, GpuDeployment, GpuJobs, Overrides, RecipePath
from .retrying import RETRIED
from .watching import Watched, link_report

Share = Annotated[float, Field(gt=0, le=1)]
POOL = comparing.POOL


@task(**RETRIED)
def choose(
    recipes: list[str], sets: list[str], out: str, heldout: float, name: str, share: float, seed: int,
) -> dict[str, Any] | State[Any]:
    """One selector's choice with one budget and seed; answers rows and seconds, or `Cached` where it was made before."""
    found = contenders(recipes, sets, baseline=True)
    pool = choosing.opened(found, Path(out) / POOL, heldout, Silent(), PATIENCE)
    contender = next(c for c in found if c.name == name)
    known = choosing.read(choosing.kept(Path(out), pool, contender, share, seed))
    if known is not None:
        return Completed(name="Cached", message="kept in the workspace", data=None)
    index, seconds = choosing.choice(Path(out), pool, contender, share, seed)
    get_run_logger().info("%s, share %g, seed %d: %s in %.2f s", name, share, seed, counted(len(index), "row"), seconds)
    return {"rows": len(index), "seconds": seconds}


@task(**RETRIED)
def report(recipes: list[str], sets: list[str], out: str, how: dict[str, Any], epochs: float | None) -> dict[str, Any]:
    """The table over all choices, with `epochs` after a small model was trained on each; answers what `tamis compare` answers."""
    proxy = None if epochs is None else Trial(epochs=epochs)
    return comparing.compare(recipes, out, sets=sets, proxy=proxy, progress=Watched(), patience=PATIENCE, **how)


@flow(name="compare", log_prints=True)
def compare(
    recipes: Annotated[list[RecipePath], Field(min_length=1)], out: str = "outputs/compare", overrides: Overrides | None = None,
    shares: Annotated[list[Share], Field(min_length=1)] = [0.1],  # noqa: B006  a default that the UI shows
    seeds: Annotated[int, Field(ge=1)] = 3, heldout: Annotated[float, Field(ge=0, lt=1)] = 0.05,
    epochs: Annotated[float, Field(gt=0, description="Train a small model on each choice, for so many passes.")] | None = None,
    at_a_time: AtATime = 1, gpu: Gpu = "inline", gpu_jobs: GpuJobs = 1, gpu_deployment: GpuDeployment = GPU_DEPLOYMENT,
) -> dict[str, Any]:
    """Compare the selectors that end these recipes, with equal budgets in tokens; answer what compare.json holds.

    `overrides` replace top-level keys of all the recipes. `at_a_time` choices are made side by side, in threads of one process:
    the seconds in the table are a selector's own with 1 only.
    """
    sets = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]
    comparing.check(shares, seeds, heldout, None if epochs is None else Trial(epochs=epochs))
    found = contenders(recipes, sets, baseline=True)
    base = maker(found).recipe
    words = (overrides or {}) | {"export_path": str(Path(out) / POOL), "work_dir": None}
    planned = plan.make(recipe.load(base.name, **words))
    before = [s for s in planned.stages if s.kind not in ("select", "export")]
    do_stages(planned, before, base.name, words, gpu, gpu_jobs, gpu_deployment)
    choosing.close()  # of a comparison before, in this process
    choices = [(c.name, share, seed) for share, c, seed in product(shares, found, range(seeds))]
    choose_all(recipes, sets, out, heldout, choices, at_a_time)
    told = report(recipes, sets, out, {"shares": shares, "seeds": seeds, "heldout": heldout}, epochs)
    page, text = (Path(out) / "compare.html").resolve(), counted(len(told["runs"]), "choice")
    create_markdown_artifact((Path(out) / "compare.md").read_text("utf-8"), key="comparison", description=text)
    link_report(page, text)
    get_run_logger().info("%s of %d rows; report: %s", text, told["pool"]["rows"], page)
    return told


def choose_all(
    recipes: list[str], sets: list[str], out: str, heldout: float, choices: list[tuple[str, float, int]], at_a_time: int,
) -> None:
    """A task for each choice, `at_a_time` at a time. What others chose is kept where one fails."""
    begun: list[Any] = []
    for k, (name, share, seed) in enumerate(choices):
        label = f"{name}-{share:g}-seed-{seed}"
        named = choose.with_options(name=label, task_run_name=label)
        if at_a_time == 1:  # in the flow's own thread, which a cancellation interrupts
            named(recipes, sets, out, heldout, name, share, seed)
            continue
        if k >= at_a_time:
            begun[k - at_a_time].wait()
        begun.append(named.submit(recipes, sets, out, heldout, name, share, seed))
    for future in begun:
        future.wait()
    for future in begun:
        future.result()
