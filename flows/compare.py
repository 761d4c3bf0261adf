"""Selectors compared as a flow: the pool stage by stage, as in `curate`, then every selector, budget and seed, one report.

    prefect deployment run compare/weekly --param recipes='["recipes/random.yaml", "recipes/kmq.yaml"]'
"""

import json
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from ..pipeline import compare as comparing
from ..pipeline import plan, recipe
from ..pipeline.comparing.contenders import contenders, maker
from ..pipeline.comparing.trial import Trial
from ..pipeline.reporting.words import counted
from .curate import GPU_DEPLOYMENT, do_stages
from .parameters import Gpu, GpuDeployment, GpuJobs, Overrides, RecipePath
from .retrying import RETRIED
from .watching import Watched, link_report

Share = Annotated[float, Field(gt=0, le=1)]
POOL = "pool"  # the folder below `out` in which the pool is made


@task(**RETRIED)
def choose(recipes: list[str], sets: list[str], out: str, how: dict[str, Any], epochs: float | None) -> dict[str, Any]:
    """Every selector with every budget and seed over the finished pool; answers what `tamis compare` answers."""
    proxy = None if epochs is None else Trial(epochs=epochs)
    return comparing.compare(recipes, out, sets=sets, proxy=proxy, progress=Watched(), **how)


@flow(name="compare", log_prints=True)
def compare(
    recipes: Annotated[list[RecipePath], Field(min_length=1)], out: str = "outputs/compare", overrides: Overrides | None = None,
    shares: Annotated[list[Share], Field(min_length=1)] = [0.1],  # noqa: B006  a default that the UI shows
    seeds: Annotated[int, Field(ge=1)] = 3, heldout: Annotated[float, Field(ge=0, lt=1)] = 0.05,
    epochs: Annotated[float, Field(gt=0, description="Train a small model on each choice, for so many passes.")] | None = None,
    gpu: Gpu = "inline", gpu_jobs: GpuJobs = 1, gpu_deployment: GpuDeployment = GPU_DEPLOYMENT,
) -> dict[str, Any]:
    """Compare the selectors that end these recipes, with equal budgets in tokens; answer what compare.json holds.

    `overrides` replace top-level keys of all the recipes.
    """
    sets = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]
    base = maker(contenders(recipes, sets, baseline=True)).recipe
    words = (overrides or {}) | {"export_path": str(Path(out) / POOL), "work_dir": None}
    planned = plan.make(recipe.load(base.name, **words))
    before = [s for s in planned.stages if s.kind not in ("select", "export")]
    do_stages(planned, before, base.name, words, gpu, gpu_jobs, gpu_deployment)
    told = choose(recipes, sets, out, {"shares": shares, "seeds": seeds, "heldout": heldout}, epochs)
    page, text = (Path(out) / "compare.html").resolve(), counted(len(told["runs"]), "choice")
    create_markdown_artifact((Path(out) / "compare.md").read_text("utf-8"), key="comparison", description=text)
    link_report(page, text)
    get_run_logger().info("%s of %d rows; report: %s", text, told["pool"]["rows"], page)
    return told
