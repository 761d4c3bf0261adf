"""`tamis deploy`: a recipe as a scheduled Prefect deployment, written down as a file to keep and registered at the server."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.server.schemas.schedules import CronSchedule as Scheduled
from prefect.settings import PREFECT_API_URL

from ..pipeline import plan, recipe
from ..pipeline.errors import RecipeError, TamisError
from .model_stage import LIMIT

HEAD = """# Written by `tamis deploy`. Register it again after an edit:  prefect deploy --prefect-file {file} --all
name: tamis
pull:
- prefect.deployments.steps.set_working_directory: {{directory: {folder}}}
deployments:
- name: {name}
  description: {description}
  entrypoint: tamis.flows.curate:curate
  work_pool: {{name: {pool}}}
  schedules:{schedules}
  concurrency_limit: {{limit: 1, collision_strategy: ENQUEUE}}   # two nights at once would only wait for each other
  tags: [tamis]
  parameters: {parameters}
"""
GPU = """- name: {name}
  description: {description}
  entrypoint: tamis.flows.model_stage:model_stage
  work_pool: {{name: {pool}}}
  tags: [tamis, gpu]
"""


def deploy(
    recipe_path: str, *, name: str, pool: str, cron: str | None = None, timezone: str = "UTC", gpu_pool: str | None = None,
    gpu_jobs: int = 1, gpu_limit: int | None = None, file: Path | None = None, register: bool = True,
) -> Path:
    """Write the deployment file of a recipe and register it; answer the file.

    With `gpu_pool`, stages that ask a model become jobs of that pool, `gpu_jobs` share one stage. At most `gpu_limit`
    run at a time anywhere: Prefect's global concurrency limit `gpu`, one for each GPU (None: as it is, or 1).
    Raises RecipeError for a recipe that cannot be planned or a schedule that is none, TamisError where registering fails.
    """
    path = Path(os.path.realpath(recipe_path))  # as it stands where its links lead in a circle
    planned = plan.make(recipe.load(path))
    for number, what in ((gpu_jobs, "gpu_jobs"), (gpu_limit, "gpu_limit")):
        if number is not None and number < 1:
            raise RecipeError(f"{what} must be at least 1, it is {number}")
    if gpu_jobs > 1 and not gpu_pool:
        raise RecipeError(f"gpu_jobs is {gpu_jobs}, but no stage is handed on: name the pool that does such jobs (gpu_pool)")
    if register and not PREFECT_API_URL.value():
        raise RecipeError("no Prefect server is named. `prefect server start` runs one, PREFECT_API_URL=http://127.0.0.1:4200/api "
                          "in the environment names it. To write the file only: --no-register")
    if register:
        _not_anothers(f"curate/{name}", path)
    target = Path(os.path.realpath(file or path.with_suffix(".prefect.yaml")))
    text = written(planned.recipe.project_name, path, target, name, pool, _schedules(cron, timezone), gpu_pool, gpu_jobs)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    if register:
        if gpu_pool:
            _limit(gpu_limit)
        _register(target)
    return target


def written(
    project: str, path: Path, file: Path, name: str, pool: str, schedules: str, gpu_pool: str | None, gpu_jobs: int,
) -> str:
    """The deployment file's text. Every word of the user's goes in as JSON, which is YAML."""
    parameters = {"recipe_path": str(path)}
    if gpu_pool:
        parameters |= {"gpu": "deployment", "gpu_jobs": gpu_jobs, "gpu_deployment": f"model-stage/{name}"}  # type: ignore[dict-item]
    words = {
        "file": file.name, "folder": json.dumps(str(Path.cwd())), "name": json.dumps(name), "pool": json.dumps(pool),
        "description": json.dumps(f"{project}: {path.name}"), "parameters": json.dumps(parameters), "schedules": schedules,
    }
    text, jobs = HEAD.format(**words), f"Parts of a stage that asks a model, for the curate flow of {path.name}"
    return text + GPU.format(name=json.dumps(name), pool=json.dumps(gpu_pool), description=json.dumps(jobs)) if gpu_pool else text


def _schedules(cron: str | None, timezone: str) -> str:
    if cron is None:
        return " []"
    try:
        CronSchedule(cron=cron, timezone=timezone)
        asyncio.run(Scheduled(cron=cron, timezone=timezone).get_dates(1))  # "0 0 31 2 *" is well formed, and there is no such day
    except ValueError as e:
        raise RecipeError(f"no schedule: cron {cron!r}, timezone {timezone!r}: {_reason(e)}") from e
    if len(cron.split()) > 5:
        raise RecipeError(f"no schedule: cron {cron!r} has {len(cron.split())} fields: minute, hour, day, month, weekday are all")
    return f"\n  - {{cron: {json.dumps(cron)}, timezone: {json.dumps(timezone)}}}"


def _reason(error: ValueError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.startswith("  ")]
    return lines[0].split(" [type=")[0].removeprefix("Value error, ") if lines else str(error)


def _not_anothers(name: str, path: Path) -> None:
    """Raises RecipeError where another recipe is deployed under this name: its schedule would end without a word."""
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(name)
        except ObjectNotFound:
            return
    other = known.parameters.get("recipe_path")
    if other != str(path):
        raise RecipeError(f"{name} is the deployment of {other}: give this one another --name, or remove that one first with "
                          f"`prefect deployment delete {name}`")


def _limit(slots: int | None) -> None:
    with get_client(sync_client=True) as client:
        known = {limit.name for limit in client.read_global_concurrency_limits(limit=200, offset=0)}
        if slots is not None or LIMIT not in known:
            client.upsert_global_concurrency_limit_by_name(LIMIT, slots or 1)


def _register(file: Path) -> None:
    """Prefect's own command does it, as a person would."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(file), "--all"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise TamisError(f"{file} is written, but Prefect did not take it: {' '.join(told)}")
