"""The table of steps: what was asked beyond the defaults, rows in and out, reasons."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ...operators.base import Operator
from ..ledger import POSITION, SOURCE
from ..plan import Plan
from ..steps import Step
from ..workspace import StageFolder
from .shelf import parts
from .words import reasons, share, stays

ASIDE = 20  # broken rows listed


@dataclass(frozen=True)
class StepView:
    """One line of the table; `asked`: (setting, value) that differ from the default."""

    number: int
    op: str
    stays: str
    asked: list[tuple[str, str]]
    rows_in: int
    rows_out: int
    left: int
    share: str
    reasons: str


def views(manifest: Mapping[str, Any], plan: Plan) -> list[StepView]:
    """All steps, reading first."""
    known = {s.number: s for stage in plan.stages for s in stage.steps}
    told = []
    for s in manifest["steps"]:
        step, left = known.get(s["step"]), s["rows_in"] - s["rows_out"]
        unit = step.op.unit if step is not None and isinstance(step.op, Operator) else None
        stay = stays(step.keep, unit) if step is not None and step.keep is not None and unit is not None else ""
        told.append(StepView(s["step"], s["op"], stay, differing(step, plan.recipe.text_keys[0]) if step else [], s["rows_in"],
                             s["rows_out"], left, share(left, s["rows_in"]) if left else "", _what(s)))
    return told


def _what(step: Mapping[str, Any]) -> str:
    """Why rows left, and how many texts a mapper changed or a trimmer shortened."""
    changed, frequent = step["facts"].get("changed", 0), step["facts"].get("frequent")
    told = [reasons(step["left"])] if step["left"] else []
    if frequent is not None:
        told.append(f"{frequent:,} passages stand too often; {changed:,} texts shortened")
    elif changed and not told:
        told.append(f"{changed:,} texts changed")
    return "; ".join(told)


def differing(step: Step, text_key: str) -> list[tuple[str, str]]:
    """Settings that are not the default. A filter's bounds are told apart from these."""
    found = [(k, v) for k, v in step.settings.items() if v != step.op.settings[k].default]
    found += [(k, v) for k, v in step.extra.items() if v not in (None, "first")]
    found += [("text_key", step.text_key)] if step.text_key != text_key else []
    return [(k, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=list)) for k, v in found]


def broken(manifest: Mapping[str, Any], folders: Mapping[int, StageFolder]) -> Iterator[tuple[str, str, str]]:
    """(place, step, what was wrong) of the first rows that were set aside."""
    told = 0
    for s in manifest["steps"]:
        if "error" not in s["left"] or told >= ASIDE:
            continue
        for file in parts(folders[s["stage"]], "ledger"):
            this = [("step", "=", s["step"]), ("reason", "=", "error")]
            lines = pq.read_table(file, columns=[SOURCE, POSITION, "op", "note"], filters=this)
            for r in lines.slice(0, ASIDE - told).to_pylist():
                told += 1
                yield f"{r[SOURCE]}:{r[POSITION]}", r["op"], r["note"] or ""
