"""A recipe to start from: each filter with bounds where 1 % of this corpus lies outside."""

import json
import math
from collections.abc import Iterable, Mapping

import numpy as np

from ...operators.base import Operator, Range
from ..steps import Step
from .numbers import Spread
from .words import share

CROWD = 0.05  # rows of one extreme value that may be cut together
FAR = 1e12  # a default bound beyond this is no bound


def bounds(op: Operator, values: np.ndarray, told: Spread) -> Range:
    """Bounds at the 1st and 99th percentile, on the sides on which the filter decides by default; rounded outwards.

    Where more than 1 % of the rows share the least (or greatest) value, these rows are cut if they are at most 5 %.
    A side that would remove nothing is left open. Where the number has no bounds to set (it holds or not), or counts broken
    rules, which have published ones: the default.
    """
    assert op.unit is not None and op.keep is not None
    if not op.unit.suffix or op.rules:
        return op.keep
    low, high = _sides(op)
    whole = _whole(op)
    if told.min is None or told.max is None or told.p1 is None or told.p99 is None:
        return Range()
    least = _rounded(_inner(values, told.min, told.p1), whole) if low else told.min
    most = -_rounded(_inner(-values, -told.max, -told.p99), whole) if high else told.max
    return Range(least if least > told.min else None, most if most < told.max else None)


def _whole(op: Operator) -> bool:
    """Whether the number is a count, so that its bounds are whole numbers."""
    assert op.unit is not None
    return op.unit.suffix not in ("ratio", "score", "ppl", "value")


def _inner(values: np.ndarray, least: float, low: float) -> float:
    """`low`, or, where that is the least value itself and few rows have it, the next one."""
    if low > least:
        return low
    above = values[values > least]
    return float(above.min()) if len(above) and (values == least).sum() <= CROWD * len(values) else least


def _sides(op: Operator) -> tuple[bool, bool]:
    """Whether a filter's default has a lower and an upper bound that can exclude something; neither: both are tried."""
    assert op.unit is not None and op.keep is not None
    keep, unit = op.keep, op.unit
    low = keep.min is not None and (unit.low is None or keep.min > unit.low) and keep.min > -FAR
    high = keep.max is not None and (unit.high is None or keep.max < unit.high) and keep.max < FAR
    return (low, high) if low or high else (True, True)


def _rounded(value: float, whole: bool) -> float:
    """`value` down to three significant digits; to a whole number for counts."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    step = max(step, 1.0) if whole else step
    units = round(value / step, 6)
    return round(math.floor(units) * step, 12)


def suggestion(
    steps: Iterable[Step], chosen: Mapping[int, Range], told: Mapping[int, Spread], removes: Mapping[int, tuple[int, int]],
    dataset: list[str], text_key: str,
) -> str:
    """The recipe as YAML text. By step number, `removes`: rows that the bounds would remove alone, rows in all."""
    lines = [
        "# About 1 % of the corpus lies outside of each bound (up to 5 % where many rows share the extreme value): a place to",
        "# start, not an answer. Look at the rows at each bound before you believe it.",
        "project_name: suggested", f"dataset_path: {json.dumps(dataset, ensure_ascii=False)}",
        "export_path: outputs/suggested", f"text_keys: {json.dumps(text_key, ensure_ascii=False)}", "process:",
    ]
    for step in steps:
        if step.kind == "filter":
            lines.append(_step(step, chosen[step.number], told[step.number], removes[step.number], text_key))
        elif step.kind == "mapper":
            lines.append(f"  - {step.name}: {_flow(_given(step, text_key))}")
    return "\n".join(lines) + "\n" if not lines[-1].endswith("process:") else "\n".join(lines) + " []\n"


def _step(step: Step, keep: Range, told: Spread, removes: tuple[int, int], text_key: str = "text") -> str:
    if keep.min is None and keep.max is None:
        return f"  # - {step.name}: nothing lies far enough outside to be cut"
    words = f"{step.name}: {_flow(_given(step, text_key) | _settings(step, keep, told))}"
    if isinstance(step.op, Operator) and step.op.rules and removes[0] > CROWD * removes[1]:
        return f"  # - {words}  # would remove {share(*removes)}; its rules were made for prose from the web"
    return f"  - {words}  # removes {share(*removes)}"


def _settings(step: Step, keep: Range, told: Spread) -> dict[str, float]:
    """The bounds to write: those that cut; and on a side left open, where the operator's own would cut, the corpus's end."""
    op = step.op
    assert isinstance(op, Operator) and op.unit is not None and op.keep is not None
    if not op.unit.suffix or op.rules:
        return {}
    assert told.min is not None and told.max is not None
    whole, low, high = _whole(op), keep.min, keep.max
    if low is None and op.keep.min is not None and op.keep.min > told.min:
        low = _rounded(told.min, whole)
    if high is None and op.keep.max is not None and op.keep.max < told.max:
        high = -_rounded(-told.max, whole)
    return {f"{side}_{op.unit.suffix}": v for side, v in (("min", low), ("max", high)) if v is not None}


def _given(step: Step, text_key: str) -> dict[str, object]:
    """Settings that are not the default, and the column where it is another."""
    column = {"text_key": step.text_key} if step.text_key != text_key else {}
    return column | {k: v for k, v in step.settings.items() if v != step.op.settings[k].default}


def _flow(values: Mapping[str, object]) -> str:
    """A mapping in YAML's flow style; JSON is YAML."""
    return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in values.items()) + "}"


def _value(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, default=list)
