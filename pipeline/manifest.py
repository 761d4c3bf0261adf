"""The manifest: what was asked, of what, with what, and what came of it; enough to run it again and to check it."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from . import corpus
from . import recipe as recipes
from .errors import LostRowError
from .plan import Plan
from .steps import Step

PACKAGES = ("tamis", "pyarrow", "numpy", "numba", "xxhash", "datasketch", "ftfy", "regex", "orjson", "fasttext-predict",
            "torch", "sentence-transformers", "faiss-cpu", "pyspark")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose answers matter, where installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def build(plan: Plan, records: list[Mapping[str, Any]], timing: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The manifest of a finished run. Raises LostRowError if its counts do not add up."""
    export = records[-1]
    steps = steps_of(plan, records)
    _add_up(records)
    rows_in, left = records[0]["rows_in"], sum(sum(s["left"].values()) for s in steps)
    born = sum(record.get("born", 0) for record in records)
    if rows_in + born != export["rows"] + left:
        lost = rows_in + born - export["rows"] - left
        raise LostRowError(f"{rows_in} rows were read, {born} more made of them, {export['rows']} exported, "
                           f"{left} are in the ledger: "
                           f"{lost} are lost")
    lines = sum(f["rows"] for f in export["ledger"])
    if lines != left:
        raise LostRowError(f"{left} rows left, but the ledger has {lines} lines")
    return {
        "project_name": plan.recipe.project_name, "tamis": versions()["tamis"], "recipe": recipes.words(plan.recipe, public=True),
        "seed": plan.recipe.seed, "notes": list(plan.recipe.notes),
        "inputs": [{"source": s.source, "path": corpus.shown(s.url), "bytes": s.bytes, "digest": s.digest} for s in plan.sources],
        "models": [p.describe() for stage in plan.stages for pins in stage.pins for p in pins],
        "rows_in": rows_in, "rows_born": born, "rows_out": export["rows"], "rows_left": left,
        "content_hash": export["content_hash"],
        "steps": steps, "shards": export["shards"], "ledger": export["ledger"], "kept": export["kept"],
        "stages": [{"stage": s.index, "kind": s.kind, "fingerprint": s.fingerprint} for s in plan.stages],
        "versions": versions(), "engine": plan.recipe.engine, "timing": [dict(t) for t in timing],
    }


def _add_up(records: list[Mapping[str, Any]]) -> None:
    """Raises LostRowError where a stage took in other rows than the one before it gave out."""
    given = records[0]["rows_in"]
    for number, record in enumerate(records, 1):
        took, gave = record.get("rows_in", record.get("rows")), record.get("rows_out", record.get("rows"))
        if took != given or gave != took + record.get("born", 0) - record.get("left", 0):
            raise LostRowError(f"stage {number} ({record['kind']}) was given {given} rows, took {took} and gave {gave}, "
                               f"with {record.get('left', 0)} in the ledger")
        given = gave


def steps_of(plan: Plan, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows in, rows out and reasons of each step of the stages done so far; step 0 is reading."""
    told, rows = [], records[0]["rows_in"]
    for stage, record in zip(plan.stages, records, strict=False):
        numbers = [s.number for s in stage.steps]
        rows += record.get("born", 0) if stage.kind == "pool" else 0
        for number in ([0, *numbers] if stage.index == 1 else numbers):
            left = _left(record, number)
            step = next((s for s in stage.steps if s.number == number), None)
            rows += record.get("born", 0) if step and getattr(step.op, "many", False) else 0  # what it cut rows into, it took in
            told.append(_step(step, stage.index, rows, left, record.get("facts", {}).get(str(number), {})))
            rows = told[-1]["rows_out"]
    return told


def _left(record: Mapping[str, Any], number: int) -> dict[str, int]:
    return {k.split(" ", 1)[1]: n for k, n in record.get("by", {}).items() if k.split(" ", 1)[0] == str(number)}


def _step(step: Step | None, stage: int, rows_in: int, left: dict[str, int], facts: Mapping[str, Any]) -> dict[str, Any]:
    described = {"step": 0, "op": "read"} if step is None else step.describe()
    return described | {
        "kind": "read" if step is None else step.kind, "stage": stage, "rows_in": rows_in,
        "rows_out": rows_in - sum(left.values()), "left": left, "facts": dict(facts),
    }
