"""The job of the GPU pool: some parts of a stage that asks a model, done where the accelerator is.

The flow `curate` starts it through its deployment, several at a time where several workers share a stage. It holds a
lock file in the workspace while it lives, which the operating system lets go of however it dies: so the other side
knows a lost worker from a slow one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.concurrency.sync import concurrency
from pydantic import Field

from ..pipeline import plan, recipe
from ..pipeline.errors import RecipeError, StaleError
from ..pipeline.execute import share
from ..pipeline.workspace import Place, read_json, write_json
from .parameters import Overrides, RecipePath
from .watching import Watched

LIMIT = "gpu"  # the global concurrency limit; made by `tamis deploy` or `prefect gcl create gpu --limit 1`
LEASE = 60.0  # seconds after which a slot whose holder died is free again; renewed while it lives
PATIENCE = 600.0  # seconds to wait for another run that holds the workspace


@flow(name="model-stage", log_prints=True)
def model_stage(
    recipe_path: RecipePath, overrides: Overrides, index: Annotated[int, Field(ge=1)],
    parts: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)], pin: str | None = None,
) -> int:
    """Do `parts` of stage `index` of a recipe; answer how many rows they hold.

    `pin` is the file in which the run that orders this job has said what it began with (`pinned`).
    """
    planned = planned_as(pin, recipe_path, overrides, index)
    if not set(parts) <= set(range(len(planned.splits))):
        raise RecipeError(f"parts {spoken(parts)}: {recipe_path} has the parts 0 to {len(planned.splits) - 1}")
    with alive(place_of(planned), index, parts), concurrency(LIMIT, occupy=1, lease_duration=LEASE):
        get_run_logger().info("stage %d: parts %s: begins", index, spoken(parts))
        rows = share(planned, Watched(), index, parts, patience=PATIENCE)
    get_run_logger().info("stage %d: parts %s, %d rows, done by process %d", index, spoken(parts), rows, os.getpid())
    return rows


def pinned(planned: plan.Plan, index: int) -> Path:
    """A file in the workspace with a stage's fingerprint and the plan's input files: more may have arrived when a job looks."""
    fingerprint = planned.stages[index - 1].fingerprint
    file = place_of(planned).work.absolute() / f".pin-{index:02d}-{fingerprint[:16]}.json"
    write_json(file, {"fingerprint": fingerprint, "files": [s.source for s in planned.sources]})
    return file


def planned_as(pin: str | None, recipe_path: str, overrides: dict[str, Any], index: int) -> plan.Plan:
    """The plan over the pinned files. Raises StaleError where stage `index` is not the pinned one: the recipe has been edited."""
    told = read_json(Path(pin)) if pin else None
    if pin and told is None:
        raise StaleError(f"{pin} is gone: the run that ordered this job has ended, or this machine does not see its workspace")
    planned = plan.make(recipe.load(recipe_path, **overrides | ({"only_files": told["files"]} if told else {})))
    if not 1 <= index <= len(planned.stages) or (told and planned.stages[index - 1].fingerprint != told["fingerprint"]):
        raise StaleError(f"{recipe_path}: its stage {index} is no longer the one that this job was ordered for: run it again")
    return planned


def place_of(planned: plan.Plan) -> Place:
    """Where the run writes."""
    return Place.of(planned.recipe.export_path, planned.recipe.work_dir)


def sign_of_life(place: Place, index: int, parts: list[int]) -> Path:
    """The file that the job of these parts holds locked while it lives."""
    return place.work / f".job-{index:02d}-{min(parts):05d}"


@contextmanager
def alive(place: Place, index: int, parts: list[int]) -> Iterator[None]:
    """Hold the sign of life, waiting for an earlier job of the same parts that may still be dying."""
    with sign_of_life(place, index, parts).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lives(place: Place, index: int, parts: list[int]) -> bool:
    """Whether some process does these parts at this moment."""
    try:
        with sign_of_life(place, index, parts).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def spoken(parts: list[int]) -> str:
    """`3`, or `0 to 7`."""
    return str(parts[0]) if len(parts) == 1 else f"{min(parts)} to {max(parts)}"
