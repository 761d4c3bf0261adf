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

from prefect import flow, get_run_logger
from prefect.concurrency.sync import concurrency

from ..pipeline import plan, recipe
from ..pipeline.execute import share
from ..pipeline.workspace import Place
from .parameters import Overrides, RecipePath
from .watching import Watched

LIMIT = "gpu"  # the global concurrency limit; made by `tamis deploy` or `prefect gcl create gpu --limit 1`
LEASE = 60.0  # seconds after which a slot whose holder died is free again; renewed while it lives
PATIENCE = 600.0  # seconds to wait for another run that holds the workspace


@flow(name="model-stage", log_prints=True)
def model_stage(recipe_path: RecipePath, overrides: Overrides, index: int, parts: list[int]) -> int:
    """Do `parts` of stage `index` of a recipe; answer how many rows they hold."""
    planned = plan.make(recipe.load(recipe_path, **overrides))
    with alive(place_of(planned), index, parts), concurrency(LIMIT, occupy=1, lease_duration=LEASE):
        get_run_logger().info("stage %d: parts %s: begins", index, spoken(parts))
        rows = share(planned, Watched(), index, parts, patience=PATIENCE)
    get_run_logger().info("stage %d: parts %s, %d rows, done by process %d", index, spoken(parts), rows, os.getpid())
    return rows


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
