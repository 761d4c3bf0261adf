"""The plan: which tables to delete, from which parent each is rebuilt, what that saves; nothing is touched yet."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ...operators.lake.costs import latency, rebuild_cost, retain_cost
from ...operators.lake.retention import Problem, Retention, greedy, keep_all, retain
from ..errors import RecipeError
from ..workspace import write_json
from .graph import Graph
from .settings import Settings, fits
from .trash import needed_parents

INDEX_BYTES = 4  # stored for each row of a deleted table: its row number in the parent, before compression
NEVER = ("iceberg",)  # kinds that belong to a catalog


def plan(run: Path, graph: Graph, settings: Settings) -> dict[str, Any]:
    """The cheapest plan for a graph, written as plan.json. Its parts: totals, deletions, and why tables stay."""
    if importlib.util.find_spec("scipy") is None:
        raise RecipeError("planning deletions needs the extra 'lake': pip install 'tamis[lake]'")
    size = np.array([t["bytes"] for t in graph.tables], float)
    each = [settings.of_table(name) for name in graph.names]
    runs, accesses, limit = (np.array([e[k] for e in each], float) for k in ("maintenance_runs", "accesses", "max_latency"))
    residual = np.where(graph.rows > 0, graph.missing / np.maximum(graph.rows, 1), 0) * size[graph.child]
    stored = residual + INDEX_BYTES * graph.rows
    keep = retain_cost(size, runs, settings.prices)
    rebuild = rebuild_cost(graph.read.astype(float), size[graph.child], stored, accesses[graph.child], settings.prices)
    seconds = latency(graph.read.astype(float), size[graph.child], settings.prices)
    quick = (seconds <= limit[graph.child]) & np.array([graph.tables[c]["kind"] not in NEVER for c in graph.child.tolist()], bool)
    held = {graph.names[c]: str(graph.tables[c].get("held", "")) for c in graph.child[quick].tolist()}
    usable = quick & np.array([not held.get(graph.names[c]) for c in graph.child.tolist()], bool)
    edges = np.flatnonzero(usable)
    asked = np.array([fits(name, settings.keep) for name in graph.names], bool)
    bound_to = needed_parents(graph.root / settings.trash)
    must = asked | np.array([name in bound_to for name in graph.names], bool)
    problem = Problem(keep, graph.parent[edges], graph.child[edges], rebuild[edges], must, settings.copies)
    chosen, simple = retain(problem, settings.solver_seconds), greedy(problem)
    told = {
        "root": str(graph.root), "graph": graph.fingerprint, "trash": settings.trash,
        "totals": _totals(graph, problem, chosen, simple, size),
        "delete": _deletions(graph, chosen, edges, keep, rebuild, seconds),
        "kept_by_list": [n for n, a in zip(graph.names, asked, strict=True) if a],
        "kept_for_restores": sorted(bound_to & set(graph.names)),
        "gone": [name for name in graph.names if not (graph.root / name).exists()],
        "held": {name: why for name, why in sorted(held.items()) if why},
        "too_slow": int((~quick).sum()),
    }
    write_json(run / "plan.json", told)
    return told


def _totals(graph: Graph, problem: Problem, chosen: Retention, simple: Retention, size: np.ndarray) -> dict[str, Any]:
    gone = ~chosen.kept
    return {
        "tables": len(graph.tables), "edges": len(graph.parent), "usable_edges": len(problem.parent), "deleted": int(gone.sum()),
        "bytes": int(size.sum()), "bytes_deleted": int(size[gone].sum()), "keep_all": keep_all(problem), "plan": chosen.cost,
        "greedy": simple.cost, "bound": chosen.bound, "gap": chosen.gap, "solved": dict(chosen.solved), "copies": problem.copies,
    }


def _deletions(
    graph: Graph, chosen: Retention, edges: np.ndarray, keep: np.ndarray, rebuild: np.ndarray, seconds: np.ndarray
) -> list[dict[str, Any]]:
    made = []
    for v in np.flatnonzero(~chosen.kept).tolist():
        e = int(edges[chosen.edge[v]])
        child, parent = graph.tables[v], graph.tables[int(graph.parent[e])]
        made.append({
            "table": child["name"], "parent": parent["name"], "token": child["token"], "parent_token": parent["token"],
            "bytes": child["bytes"], "rows": int(graph.rows[e]), "missing": int(graph.missing[e]),
            "saves": float(keep[v] - rebuild[e]), "rebuild_cost": float(rebuild[e]), "rebuild_seconds": float(seconds[e]),
            "how": _how(child, parent, int(graph.missing[e])),
        })
    return sorted(made, key=lambda d: (-d["saves"], d["table"]))


def _how(child: dict[str, Any], parent: dict[str, Any], missing: int) -> str:
    """How the table comes back, in words."""
    columns = f"{child['columns']} of {parent['columns']} columns" if child["columns"] < parent["columns"] else "all columns"
    rest = f", and {missing} rows stored beside" if missing else ""
    return f"{columns} of {parent['name']}, rows by number{rest}"
