"""Writes docs/operators.md from the catalogs: `python docs/operators.py` (make docs). `--check` fails where it is stale."""

import inspect
import sys
from pathlib import Path

from tamis.operators.base import Operator
from tamis.pipeline import steps

PAGE = Path(__file__).with_name("operators.md")
HEAD = """# Operators and selectors

Made by `make docs` from the code. Names, settings and defaults are Data-Juicer's where it has the operator;
every filter also takes `min_closed_interval`, `max_closed_interval`, `reversed_range`, and every operator `text_key`.
`tamis ops NAME` shows one whole, with formula and source.
"""
COMMON = {"text_key", "min_closed_interval", "max_closed_interval", "reversed_range"}


def page() -> str:
    """The whole page."""
    kinds: dict[str, list[str]] = {}
    for name in steps.known_names():
        op = steps.find(name)
        assert op is not None
        kind = op.kind if isinstance(op, Operator) else "selector"
        settings = ", ".join(
            f"`{k}`" if default is inspect.Parameter.empty else f"`{k}={default!r}`"
            for k, (_, default) in steps.offered_settings(op).items() if k not in COMMON
        )
        told = (op.stats if op.rules or kind == "mapper" else op.stats[-1:]) if isinstance(op, Operator) else ()
        number = " ".join(f"`{stat}`" for stat in told) + (": " if len(told) > 1 else " " if told else "")
        kinds.setdefault(kind, []).append(f"| `{name}` | {number}{op.summary.replace('|', chr(92) + '|')} | {settings} |")
    parts = [HEAD]
    for kind, rows in kinds.items():
        parts += [f"\n## {kind.capitalize()}s\n", "| name | what it computes | settings and defaults |", "|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text("utf-8") != page() and "docs/operators.md is stale: make docs")
    PAGE.write_text(page(), "utf-8")
