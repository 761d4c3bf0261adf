"""The report of a lake: what was found, how, what it saves, and the graph drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..reporting.page import render
from ..workspace import atomically
from .graph import Graph
from .picture import families

STAGES = {
    "schema": "Columns within columns", "minmax": "Bounds and counts of metadata", "probe": "A few columns, whole",
    "content": "Drawn rows, all columns", "exact": "Every row",
}
_LISTED = 500


def usd(value: float) -> str:
    """A cost of the plan: `0.0123 USD`."""
    return f"{value:.6g} USD"


def gap(share: float) -> str:
    """How far a plan may be from the cheapest, as a share; below 1e-9, where a solver's rounding is, 0."""
    return f"{share:.2g}" if share >= 1e-9 else "0"


def write(run: Path, graph: Graph, plan: Mapping[str, Any]) -> Path:
    """Write report.html into the run folder."""
    path = run / "report.html"
    atomically(path, lambda tmp: tmp.write_text(html(graph, plan), "utf-8"))
    return path


def html(graph: Graph, plan: Mapping[str, Any]) -> str:
    """The page."""
    deleted = {d["table"]: d["parent"] for d in plan["delete"]}
    shown, more = families(graph, deleted)
    stages = [
        {"name": STAGES[line.stage], "stage": line.stage, "edges": line.edges, "rows": line.rows, "bytes": line.bytes,
         "seconds": line.seconds, "told": ", ".join(f"{k.replace('_', ' ')}: {v:,}" for k, v in line.told.items())}
        for line in graph.lines
    ]
    return render(
        "lake.html.j2", title=graph.root.name, root=str(graph.root), tables=len(graph.tables), stages=stages, families=shown,
        more_families=more, totals=plan["totals"], usd=usd, gap=gap(plan["totals"]["gap"]), deletions=plan["delete"][:_LISTED],
        more_deletions=max(0, len(plan["delete"]) - _LISTED), troubles=graph.troubles[:_LISTED], trouble_count=len(graph.troubles),
        kept_by_list=plan["kept_by_list"], kept_for_restores=plan["kept_for_restores"], too_slow=plan["too_slow"],
        held=plan.get("held", {}),
        fingerprint=graph.fingerprint, bytes_read=sum(line.bytes for line in graph.lines), trash=plan["trash"],
    )
