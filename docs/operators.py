"""Writes docs/operators.md from the catalogs: `python docs/operators.py` (make docs). `--check` fails where it is stale."""

import sys
from pathlib import Path

from tamis.pipeline import operator_table

PAGE = Path(__file__).with_name("operators.md")
HEAD = """# Operators and selectors

Made by `make docs` from the code. Names, settings and defaults are Data-Juicer's where it has the operator;
every filter also takes `min_closed_interval`, `max_closed_interval`, `reversed_range`, and every operator `text_key`.
`tamis ops NAME` shows one whole, with formula and source. "As Data-Juicer": how its answers have been compared with those of
py-data-juicer 1.6.1 (empty: it has no such operator). MB of text a CPU second: `benchmarks/operator_speed.py`.
"""


def page() -> str:
    """The whole page."""
    kinds: dict[str, list[str]] = {}
    for op in operator_table.lines():
        number = " ".join(f"`{stat}`" for stat in op.numbers) + (": " if len(op.numbers) > 1 else " " if op.numbers else "")
        cells = [f"`{op.name}`", number + op.what, op.unit, ", ".join(f"`{s}`" for s in op.settings), op.source, op.parity,
                 "" if op.speed is None else f"{op.speed:,.0f}" if op.speed >= 10 else f"{op.speed:.1f}"]
        kinds.setdefault(op.kind, []).append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    parts = [HEAD]
    for kind, rows in kinds.items():
        head = ("name", "what it computes", "unit", "settings and defaults", "source", "as Data-Juicer, by", "MB/CPU s")
        parts += [f"\n## {kind.capitalize()}s\n", "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text("utf-8") != page() and "docs/operators.md is stale: make docs")
    PAGE.write_text(page(), "utf-8")
