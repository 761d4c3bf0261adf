"""A recipe as a Prefect flow: a task per stage, which is `tamis run`'s own loop with @task around its body.

The workspace decides what is done, not Prefect's cache: a flow that crashed at night and is run again in the morning
takes up every finished stage, and its task is `Cached`. Tasks pass a recipe path and a stage number, never rows.

    from tamis.flows.curate import curate
    curate("recipes/demo.yaml")

With `gpu="deployment"`, stages that ask a model run as jobs of another work pool (flows/model_stage.py), `gpu_jobs` at a time.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.futures import wait
from prefect.states import Completed, State

from ..pipeline import plan, recipe
from ..pipeline.errors import GuardError
from ..pipeline.execute import MODEL_STAGES, Silent, asks_model, execute
from ..pipeline.plan import Plan, Stage
from ..pipeline.run import claim
from ..pipeline.workspace import Workspace
from .elsewhere import follow, stopped_with_us
from .model_stage import PATIENCE, pinned, place_of
from .parameters import Gpu, GpuDeployment, GpuJobs, Overrides, RecipePath
from .retrying import RETRIED
from .watching import Watched, publish, warn

GPU_DEPLOYMENT = "model-stage/gpu"
_plans: dict[str, Plan] = {}  # of each flow run of this process


@task(**RETRIED)
def run_stage(recipe_path: str, overrides: dict[str, Any], index: int) -> dict[str, Any] | State[Any]:
    """Do one stage (those before it are complete and only taken up); answer its record, or `Cached` where it was done."""
    planned = of_this_run(recipe_path, overrides)
    done = complete(planned, index)
    try:
        record = execute(planned, Watched(), upto=index, patience=PATIENCE)
    except GuardError as e:
        warn(recipe_path, str(e))
        raise
    return Completed(name="Cached", message="complete in the workspace", data=None) if done else record


@task(**RETRIED)
def run_elsewhere(recipe_path: str, overrides: dict[str, Any], index: int, parts: list[int], deployment: str) -> None:
    """Have a job of the GPU pool do some parts of a model stage."""
    planned = of_this_run(recipe_path, overrides)
    told = {"recipe_path": recipe_path, "overrides": overrides, "index": index, "parts": parts, "pin": str(pinned(planned, index))}
    follow(deployment, told, place_of(planned))


@flow(name="curate", log_prints=True)
def curate(
    recipe_path: RecipePath, overrides: Overrides | None = None, gpu: Gpu = "inline", gpu_jobs: GpuJobs = 1,
    gpu_deployment: GpuDeployment = GPU_DEPLOYMENT,
) -> dict[str, Any]:
    """Run a recipe stage by stage and answer its manifest. `overrides` replace top-level keys of the recipe."""
    words = overrides or {}
    planned = plan.make(recipe.load(recipe_path, **words))
    claim(planned)
    do_stages(planned, planned.stages, recipe_path, words, gpu, gpu_jobs, gpu_deployment)
    manifest = execute(planned, Silent(), patience=PATIENCE)
    place = place_of(planned)
    publish(manifest, place.run)
    get_run_logger().info("%d of %d rows stay; report: %s", manifest["rows_out"], manifest["rows_in"], place.run / "report.html")
    return manifest


def do_stages(
    planned: Plan, stages: Iterable[Stage], recipe_path: str, words: dict[str, Any], gpu: str, gpu_jobs: int, gpu_deployment: str,
) -> None:
    """A task for each of these stages, in order; before one that asks a model, with `gpu="deployment"`, its jobs elsewhere.

    All of them keep to this plan, whatever files arrive and however the recipe is edited meanwhile.
    """
    _plans[str(runtime.flow_run.get_id())] = planned
    try:
        _do_stages(planned, stages, recipe_path, words, gpu, gpu_jobs, gpu_deployment)
    finally:
        del _plans[str(runtime.flow_run.get_id())]


def of_this_run(recipe_path: str, overrides: dict[str, Any]) -> Plan:
    """The plan that the flow run of this task began with; made anew for a task on its own."""
    return _plans.get(str(runtime.flow_run.get_id())) or plan.make(recipe.load(recipe_path, **overrides))


def _do_stages(
    planned: Plan, stages: Iterable[Stage], recipe_path: str, words: dict[str, Any], gpu: str, gpu_jobs: int, gpu_deployment: str,
) -> None:
    for stage in stages:
        name = f"{stage.index}-{stage.kind}"
        if gpu == "deployment" and asks_model(stage) and not complete(planned, stage.index):
            shares = dealt(len(planned.splits), gpu_jobs if stage.kind in MODEL_STAGES else 1)  # a selection is one job
            with stopped_with_us():
                jobs = [run_elsewhere.with_options(name=f"{name}-job-{k}", task_run_name=f"{name}-job-{k}").submit(
                    recipe_path, words, stage.index, parts, gpu_deployment) for k, parts in enumerate(shares, 1)]
                wait(jobs)
                for job in jobs:
                    job.result()
        run_stage.with_options(name=name, task_run_name=name)(recipe_path, words, stage.index)


def complete(planned: Plan, index: int) -> bool:
    """Whether a stage is done in the workspace."""
    stage = planned.stages[index - 1]
    return Workspace(place_of(planned).work).stage(stage.index, stage.kind, stage.fingerprint).record is not None


def dealt(parts: int, jobs: int) -> list[list[int]]:
    """The parts in as many runs of neighbours as there are jobs, and none empty. Raises ValueError for fewer than one job."""
    if jobs < 1:
        raise ValueError(f"gpu_jobs must be at least 1, it is {jobs}")
    jobs = min(jobs, parts)
    bounds = [parts * k // jobs for k in range(jobs + 1)] if jobs else [0]
    return [list(range(a, b)) for a, b in pairwise(bounds)]
