"""The graph that a scan leaves in its run folder, and reads back: tables, edges, troubles, a certificate for each edge."""

import importlib.metadata
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.lake.leaves import leaves
from ...operators.lake.numerals import kinds
from ..errors import RecipeError
from ..workspace import atomically, read_json, sound, write_json, write_table
from .scan import Line, Scanned
from .settings import Settings
from .tables import Trouble

HASH = "sum over columns of 2 x 64-bit hashes of name and canonical value, version 1"


@dataclass(frozen=True)
class Graph:
    """A finished scan.

    Attributes:
        root: the lake. fingerprint: of its tables and the scan's settings.
        tables: of each its name, kind, rows, bytes, token, version, number of columns, and why it must stay.
        parent, child: int64[e], numbers of tables. missing, rows, distinct: int64[e], of each edge's child.
        read: int64[e], stored bytes of the child's columns inside the parent.
    """

    root: Path
    fingerprint: str
    tables: list[dict[str, Any]]
    troubles: list[Trouble]
    lines: list[Line]
    parent: np.ndarray
    child: np.ndarray
    missing: np.ndarray
    rows: np.ndarray
    distinct: np.ndarray
    read: np.ndarray

    @property
    def names(self) -> list[str]:
        """The tables' names."""
        return [t["name"] for t in self.tables]


def save(run: Path, root: Path, scanned: Scanned, settings: Settings) -> Graph:
    """Write graph.json, edges.parquet and certificates.jsonl; graph.json last, so that it stands for all of them."""
    tables = [
        {"name": t.name, "kind": t.kind, "rows": t.rows, "bytes": t.bytes, "token": t.token, "version": t.version,
         "columns": len(t.leaves), "held": scanned.held.get(t.name, "")} for t in scanned.tables
    ]
    read = np.array([scanned.tables[p].bytes_of(scanned.tables[c].leaves)
                     for p, c in zip(scanned.parent.tolist(), scanned.child.tolist(), strict=True)], np.int64)
    columns = {"parent": scanned.parent, "child": scanned.child, "missing": scanned.missing, "rows": scanned.rows,
               "distinct": scanned.distinct, "read": read}
    write_table(run / "edges.parquet", pa.table({k: pa.array(v, pa.int64()) for k, v in columns.items()}))
    text = "".join(json.dumps(c, ensure_ascii=False) + "\n" for c in _certificates(scanned, settings))
    atomically(run / "certificates.jsonl", lambda tmp: tmp.write_text(text, "utf-8"))
    told = {
        "tamis": importlib.metadata.version("tamis"), "root": str(root), "fingerprint": scanned.fingerprint, "tables": tables,
        "troubles": [asdict(t) for t in scanned.troubles], "stages": [asdict(x) for x in scanned.lines],
        "settings": settings.scan_words(),
    }
    write_json(run / "graph.json", told)
    return _graph(told, columns)


def _certificates(scanned: Scanned, settings: Settings) -> list[dict[str, Any]]:
    """What was verified of each edge, by what, when. `casts`: of columns whose types differ, [parent's, child's].

    `as_numbers`, where there are any: columns that are text in one of the two.
    """
    when, version = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), importlib.metadata.version("tamis")
    types = [{} if t.schema is None else {leaf.name: str(leaf.type) for leaf in leaves(t.schema)} for t in scanned.tables]
    kinds_of = [(frozenset[str](), frozenset[str]()) if t.schema is None else kinds(t.schema) for t in scanned.tables]
    made = []
    edges = zip(scanned.parent.tolist(), scanned.child.tolist(), scanned.missing.tolist(), scanned.rows.tolist(),
                scanned.distinct.tolist(), scanned.prints, strict=True)
    for p, c, missing, rows, distinct, (own, other) in edges:
        parent, child = scanned.tables[p], scanned.tables[c]
        casts = {name: [types[p][name], kind] for name, kind in types[c].items() if types[p].get(name, kind) != kind}
        (texts, own_numbers), (other_texts, other_numbers) = kinds_of[c], kinds_of[p]
        numbers = sorted(((texts & other_numbers) | (other_texts & own_numbers)).intersection(child.leaves))
        made.append({
            "parent": parent.name, "child": child.name, "parent_token": parent.token, "child_token": child.token,
            "rows": rows, "distinct": distinct, "missing": missing, "child_fingerprint": own, "parent_fingerprint": other,
            "as": "bag" if settings.bag else "set", "missing_values": settings.missing_values, "columns": sorted(child.leaves),
            "casts": casts, **({"as_numbers": numbers} if numbers else {}),
            "hash": HASH, "tamis": version, "when": when,
        })
    return made


def load(run: Path) -> Graph:
    """The graph in a run folder. Raises RecipeError where there is none."""
    told = read_json(run / "graph.json")
    if told is None:
        raise RecipeError(f"{run}: no lake has been scanned there; begin with: tamis lake scan PATH --out {run}")
    with sound(run / "edges.parquet") as path:
        table = pq.read_table(path)
    return _graph(told, {n: table.column(n).to_numpy() for n in table.schema.names})


def _graph(told: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> Graph:
    return Graph(
        Path(told["root"]), told["fingerprint"], list(told["tables"]), [Trouble(**t) for t in told["troubles"]],
        [Line(**x) for x in told["stages"]], *(columns[n] for n in ("parent", "child", "missing", "rows", "distinct", "read")),
    )
