"""A recipe as a Prefect flow: a task per stage, which is `tamis run`'s own loop with @task around its body.

The workspace decides what is done, not Prefect's cache: a flow that crashed at night and is run again in the morning
takes up every finished stage. Tasks pass a recipe path and a stage number, never rows.

    from tamis.flows.curate import curate
    curate("recipes/demo.yaml")
"""

from typing import Any

from prefect import flow, get_run_logger, task

from ..pipeline import plan, recipe
from ..pipeline.display import told
from ..pipeline.errors import TamisError
from ..pipeline.execute import Silent, execute


def _worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Lost workers and storage that hiccups are tried again; what the user or the data did wrong is not."""
    try:
        state.result()
    except TamisError:
        return False
    except OSError:
        return True
    return False


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=_worth_a_retry, persist_result=False)
def run_stage(recipe_path: str, overrides: dict[str, Any], index: int) -> dict[str, Any]:
    """Do one stage (those before it are complete and only taken up); answer its record."""
    planned = plan.make(recipe.load(recipe_path, **overrides))
    record = execute(planned, Silent(), upto=index)
    get_run_logger().info("stage %d %s: %s", index, record["kind"], told(record, reused=False))
    return record


@flow(name="curate", log_prints=True)
def curate(recipe_path: str, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a recipe stage by stage and answer its manifest. `overrides` replace top-level keys of the recipe."""
    planned = plan.make(recipe.load(recipe_path, **(overrides or {})))
    for stage in planned.stages:
        run_stage.with_options(name=f"{stage.index}-{stage.kind}")(recipe_path, overrides or {}, stage.index)
    return execute(planned, Silent())
