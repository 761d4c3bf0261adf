"""Redundant tables of a lake: scan, plan, ask a person, and move to the trash what was approved, and nothing else.

The flow pauses with the plan as an artifact and a form (`Approval`) in the UI. Who answers may spare tables: then the plan is
made anew and asked about again, so that nothing is moved that nobody has seen. No answer in time: nothing is moved.

    prefect deployment run lake/weekly --param recipe_path=recipes/lake.yaml
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.artifacts import create_table_artifact
from prefect.input import RunInput
from pydantic import Field

from ..pipeline.errors import StaleError
from ..pipeline.lake import apply_plan, graph
from ..pipeline.lake.run_lake import asked_of, plan_lake, scan_lake, scanned_at
from ..pipeline.lake.settings import STEP
from ..pipeline.reporting.words import counted, size
from .parameters import RecipePath
from .retrying import RETRIED
from .watching import Watched, link_report

LakeSettings = Annotated[dict[str, Any], Field(
    description="Replaces settings of the step.", json_schema_extra={"propertyNames": {"enum": sorted(STEP.settings)}})]
SHOWN = 200  # deletions in the artifact; plan.json and the report have all


class Approval(RunInput):
    """What a person says to a plan."""

    approve: bool = Field(False, description="Move the tables of this plan to the trash.")
    spare: list[str] = Field([], description="Tables or patterns that stay after all: the plan is made anew and asked about again.")


@task(**RETRIED)
def scan(recipe_path: str, settings: dict[str, Any]) -> str:
    """Find what is contained in what; answer the run's folder."""
    told = asked_of(recipe_path, None, [f"{k}={json.dumps(v)}" for k, v in settings.items()])
    found = scan_lake(told, Watched())
    get_run_logger().info("%s, %s", counted(len(found.tables), "table"), counted(len(found.parent), "containment"))
    return str(told.run)


@task(**RETRIED)
def plan(run: str, spare: list[str]) -> dict[str, Any]:
    """Choose what to delete, and show it: artifacts `deletions` and `report`; answer its totals and its digest."""
    asked = scanned_at(run)
    keep = [*(asked.settings.keep or []), *spare]
    made = plan_lake(scanned_at(run, [f"keep={json.dumps(keep)}"]))
    _show(Path(run), made)
    return {"deleted": made["totals"]["deleted"], "text": _text(made), "digest": digest(Path(run))}


@task(**RETRIED)
def apply(run: str, approved: str) -> list[str]:
    """Move the tables of the approved plan to the trash; answer those. Raises StaleError where the plan is another by now."""
    if digest(Path(run)) != approved:
        raise StaleError(f"{run}: the plan that was approved is no longer there; nothing was moved. Run the flow again")
    found = graph.load(Path(run))

    def watch(deletion: Mapping[str, Any], what: str) -> None:
        get_run_logger().info("%s: %s", deletion["table"], what)

    moved = apply_plan.apply(Path(run), found, scanned_at(run).settings, watch)
    return [d["table"] for d in moved]


@flow(name="lake", log_prints=True)
def lake(
    recipe_path: RecipePath, settings: LakeSettings | None = None, patience_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0,
    look_every: Annotated[int, Field(ge=1)] = 10,
) -> dict[str, Any]:
    """Scan, plan, wait for a person's approval for `patience_hours`, apply; answer what was moved.

    `settings` replace settings of the step. Answers are looked for every `look_every` seconds.
    """
    run = scan(recipe_path, settings or {})
    spare: list[str] = []
    while True:
        made = plan(run, spare)
        if not made["deleted"]:
            return _ended(run, "nothing to delete", [])
        form = Approval.with_initial_data(description=made["text"])
        answer = pause_flow_run(form, timeout=int(patience_hours * 3600), poll_interval=look_every)
        if answer.spare:
            spare += answer.spare
        elif answer.approve:
            return _ended(run, "approved", apply(run, made["digest"]))
        else:
            return _ended(run, "declined", [])


def digest(run: Path) -> str:
    """sha256 of the plan in a run folder."""
    return hashlib.sha256((run / "plan.json").read_bytes()).hexdigest()


def _ended(run: str, how: str, moved: list[str]) -> dict[str, Any]:
    get_run_logger().info("%s; %s moved", how, counted(len(moved), "table"))
    return {"run": run, "answer": how, "moved": moved}


def _show(run: Path, made: Mapping[str, Any]) -> None:
    rows = [{
        "table": d["table"], "comes back as": d["how"], "bytes": d["bytes"], "seconds to rebuild": round(d["rebuild_seconds"], 1),
    } for d in made["delete"][:SHOWN]]
    create_table_artifact(rows, key="deletions", description=_text(made))
    link_report(run / "report.html", _text(made))


def _text(made: Mapping[str, Any]) -> str:
    totals = made["totals"]
    first = ", ".join(f"`{d['table']}`" for d in made["delete"][:10])
    more = f" and {totals['deleted'] - 10:,} more" if totals["deleted"] > 10 else ""
    return (f"{made['root']}: {totals['deleted']:,} of {counted(totals['tables'], 'table')} can go, "
            f"{size(totals['bytes_deleted'])} of {size(totals['bytes'])}: {first or 'none'}{more}")
