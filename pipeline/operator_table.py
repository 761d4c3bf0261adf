"""What there is to say of every operator and selector in one line: for `tamis ops` and docs/operators.md."""

import functools
import importlib.resources
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..operators.base import Operator
from ..selectors.base import Selector
from . import steps

COMMON = ("text_key", "min_closed_interval", "max_closed_interval", "reversed_range")  # settings that (nearly) all have


@dataclass(frozen=True)
class Line:
    """One operator.

    Attributes:
        name, kind, what: its recipe name, what it is, the first sentence of its documentation.
        numbers: the stats that it computes, the one it decides by last.
        unit: of that number.
        settings: `name=default` of each that is its own.
        source: the paper or program it follows.
        parity: how its answers have been compared with Data-Juicer's; empty: it is not Data-Juicer's.
        speed: MB of text a CPU second, as measured by benchmarks/operator_speed.py; None: not measured.
    """

    name: str
    kind: str
    what: str
    numbers: tuple[str, ...]
    unit: str
    settings: tuple[str, ...]
    source: str
    parity: str
    speed: float | None


def lines() -> list[Line]:
    """All of them, in catalog order."""
    found = (steps.find(name) for name in steps.known_names())
    return [_line(op) for op in found if op is not None]


def _line(op: Operator | Selector) -> Line:
    known = measured().get(op.name, {})
    kind = op.kind if isinstance(op, Operator) else "selector"
    told = (op.stats if op.rules or kind in ("mapper", "scorer") else op.stats[-1:]) if isinstance(op, Operator) else ()
    unit = op.unit.name if isinstance(op, Operator) and op.unit else ""
    settings = tuple(
        k if default is inspect.Parameter.empty else f"{k}={default!r}"
        for k, (_, default) in steps.offered_settings(op).items() if k not in COMMON
    )
    source = known.get("source") or _source(inspect.getdoc(op.function) or "")
    return Line(op.name, kind, op.summary, told, unit, settings, source, known.get("parity", ""), known.get("mb_per_cpu_second"))


def _source(doc: str) -> str:
    """What the documentation says behind `Source:`, up to an example or the end of the paragraph."""
    found = re.search(r"Source: (.*?)(?=\n\s*>>>|\n\s*\n|$)", doc, re.DOTALL)
    text = re.sub(r"\s+", " ", found.group(1)).strip() if found else ""
    return re.split(r"\. (?=`?[A-Za-z])", text)[0].rstrip(".")


@functools.cache
def measured() -> dict[str, dict[str, Any]]:
    """What benchmarks/operator_speed.py has written down."""
    path = Path(str(importlib.resources.files("tamis.recipes") / "tables" / "operators.json"))
    return dict(json.loads(path.read_text("utf-8"))["operators"]) if path.exists() else {}
