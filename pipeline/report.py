"""report.html: what a run did, on one page that opens offline, prints and mails."""

from typing import Any

from .plan import Plan
from .reporting import atlas, choice, duplicates, filters, steps_table
from .reporting.flow import flow
from .reporting.page import render
from .reporting.shelf import Shelf
from .workspace import StageFolder

INPUTS = 40  # input files listed; the manifest has all


def html(manifest: dict[str, Any], plan: Plan, folders: list[StageFolder]) -> str:
    """The report of a finished run; `folders` are the stages' folders in the order of `plan.stages`.

    Cost: one pass over the numbers, ids and ledgers (17 bytes a row held, for one filter at a time); text is read only
    of the parts that hold an example.
    """
    by_index = {stage.index: folder for stage, folder in zip(plan.stages, folders, strict=True)}
    shelf = Shelf()
    sections = {
        "filters": list(filters.views(manifest, plan, by_index, shelf)),
        "dedups": list(duplicates.views(manifest, plan, by_index, shelf)),
        "choices": list(choice.views(manifest, plan, by_index, shelf)),
        "atlas": atlas.view(plan, by_index),
        "broken": list(steps_table.broken(manifest, by_index)),
    }
    shelf.fill(folders, plan.recipe.text_keys[0])
    return render(
        "report.html.j2", manifest=manifest, title=manifest["project_name"], seconds=sum(t["seconds"] for t in manifest["timing"]),
        reused=all(t["reused"] for t in manifest["timing"]),
        flow=flow(manifest["steps"]), steps=steps_table.views(manifest, plan), inputs=manifest["inputs"][:INPUTS],
        more_inputs=max(len(manifest["inputs"]) - INPUTS, 0), aside=_aside(manifest), **sections,
    )


def _aside(manifest: dict[str, Any]) -> int:
    """Rows that were broken."""
    return sum(step["left"].get("error", 0) for step in manifest["steps"])
