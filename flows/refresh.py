"""A pool for life as a flow: each night takes the files that are new, compared with all rows that were taken before.

The recipe's export_path is the pool (pipeline/pool.py). Each batch is a run of the flow `curate` inside this one, with its own
stages, tasks and artifacts; a night that crashed is finished first, as the batch that it was.

    prefect deployment run refresh/nightly --param recipe_path=recipes/pool.yaml
"""

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from ..pipeline import pool, recipe
from ..pipeline.errors import RecipeError
from ..pipeline.pool import Pool
from .curate import GPU_DEPLOYMENT, curate
from .parameters import Gpu, GpuDeployment, GpuJobs, Overrides, RecipePath
from .retrying import RETRIED

SHOWN = 100  # batches in the artifact, the latest first; pool.json has all


@task(**RETRIED)
def look(recipe_path: str, overrides: dict[str, Any]) -> str | None:
    """The recipe of the next batch: begun before, or of what is new; None: nothing is.

    Raises RecipeError for a URL with a password: tasks and jobs read a batch's recipe from the pool, where none is written.
    """
    hidden = pool.unwritten(recipe.load(recipe_path, **overrides))
    if hidden:
        raise RecipeError(f"{recipe_path}: {', '.join(hidden)} has URLs with a password, which a flow does not write down "
                          "for its tasks: give it in the environment of the workers (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; "
                          "for others settings of fsspec as JSON, FSSPEC_HTTPS ...)")
    batch = pool.begin(recipe_path, **overrides)
    return None if batch is None else str(batch)


@task(**RETRIED)
def enter(batch: str) -> dict[str, Any]:
    """Enter a finished batch in the pool's books, and show them: artifact `pool`."""
    line = pool.taken(Path(batch))
    told = Pool(Path(batch).parents[2]).told()
    sums = pool.totals(told)
    text = f"{sums['files']:,} files, {sums['rows_in']:,} rows read, {sums['rows_out']:,} kept"
    create_table_artifact(told["batches"][::-1][:SHOWN], key="pool", description=text)
    return line


@flow(name="refresh", log_prints=True)
def refresh(
    recipe_path: RecipePath, overrides: Overrides | None = None, gpu: Gpu = "inline", gpu_jobs: GpuJobs = 1,
    gpu_deployment: GpuDeployment = GPU_DEPLOYMENT,
) -> dict[str, Any]:
    """Take all that is new; answer the pool's totals and the batches taken, none where nothing is new."""
    words = overrides or {}
    done = []
    while (batch := look(recipe_path, words)) is not None:
        curate.with_options(flow_run_name=f"batch-{Path(batch).parent.name}")(
            batch, gpu=gpu, gpu_jobs=gpu_jobs, gpu_deployment=gpu_deployment)
        done.append(enter(batch))
    books = Pool.of(recipe.load(recipe_path, **words))
    sums = pool.totals(books.told())
    get_run_logger().info("%s; %d files, %d of %d rows kept", f"{len(done)} batches" if done else "nothing new",
                          sums["files"], sums["rows_out"], sums["rows_in"])
    return sums | {"pool": str(books.folder), "batches": done}
