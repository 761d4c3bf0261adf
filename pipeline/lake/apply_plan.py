"""Doing a plan: each table's way back is proved and written down, then one rename moves it to the trash.

Kill it at any moment and call it again: a table lies where it was or in the trash, whole; what is done is not repeated.
"""

import importlib.metadata
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import RecipeError, StaleError
from ..workspace import atomically, read_json, write_json, write_table
from .finding import Place, find
from .footers import Footer
from .graph import HASH, Graph
from .held import held
from .inspect_table import inspect
from .settings import Settings
from .tables import Table, Trouble, schema_text
from .trash import FORMAT, Entry, locked, move, needed_parents, note, now
from .way_back import OtherLettersError, WayBack, find_way_back


def apply(run: Path, graph: Graph, settings: Settings, told: Callable[[Mapping[str, Any], str], None]) -> list[dict[str, Any]]:
    """Move every table of the run's plan to the trash; answers those. `told` hears of each: moved, done before, or why it stays.

    Raises StaleError, before anything is moved, where a table or its parent is not what was planned.
    """
    plan = read_json(run / "plan.json")
    if plan is None:
        raise RecipeError(f"{run}: there is no plan; make one with: tamis lake plan {run}")
    if plan["graph"] != graph.fingerprint or plan["trash"] != settings.trash:
        raise StaleError(f"{run}: the plan was made for another scan; make it anew with: tamis lake plan {run}")
    root, trash = graph.root, graph.root / settings.trash
    with locked(trash):
        places = {p.name: p for p in find(root, settings)[0]}
        _movable(plan["delete"], places, root, trash)
        now_there = {name: _table(places, name, root) for d in plan["delete"] for name in (d["table"], d["parent"])}
        entries = {d["table"]: Entry.of(trash, d["table"], d["token"]) for d in plan["delete"]}
        todo = [d for d in plan["delete"] if not _done(entries[d["table"]], now_there[d["table"]])]
        for d in todo:
            _unchanged(d["table"], now_there[d["table"]], d["token"])
            _unchanged(d["parent"], now_there[d["parent"]], d["parent_token"])
        moved = []
        for d in plan["delete"]:
            if d not in todo:
                told(d, "done before")
                continue
            try:
                _move(d, now_there, entries[d["table"]], settings, root, graph.fingerprint)
            except OtherLettersError as e:
                told(d, f"stays: {e}")
                continue
            moved.append(d)
            told(d, "moved")
        gone = [d["table"] for d in plan["delete"] if d in moved or d not in todo]
        write_json(run / "applied.json", {"when": now(), "deleted": gone, "trash": str(trash)})
    return moved


def _movable(deletions: list[dict[str, Any]], places: Mapping[str, Place], root: Path, trash: Path) -> None:
    """Raises StaleError where a table cannot be moved, or more would be lost with it than its rows, since the scan or the plan."""
    logs = [inspect(p, root) for p in places.values() if p.kind in ("delta", "iceberg")]
    stay = held([t for t in logs if isinstance(t, Table)], places)
    needed = needed_parents(trash)
    for name in (d["table"] for d in deletions if d["table"] in places):
        if name in stay:
            raise StaleError(f"{name}: {stay[name]}; scan and plan again")
        if name in needed:
            raise StaleError(f"{name}: tables in the trash come back from it; plan again")
        path = places[name].path
        if not os.access(path.parent, os.W_OK):
            raise StaleError(f"{name}: its folder is read-only, it cannot be moved; set keep to spare it and plan again")
        if path.stat().st_dev != trash.stat().st_dev:
            raise StaleError(f"{name}: lies on another disk than {trash}, it cannot be moved; set keep to spare it and plan again")


def _table(places: Mapping[str, Place], name: str, root: Path) -> Table | None:
    found = inspect(places[name], root) if name in places else None
    return found if isinstance(found, Table) else None


def _done(entry: Entry, there: Table | None) -> bool:
    return there is None and entry.moved() is not None and not entry.restored


def _unchanged(name: str, found: Table | None, token: str) -> None:
    if found is None:
        raise StaleError(f"{name}: is gone or cannot be read since the lake was scanned; scan it again")
    if found.token != token:
        raise StaleError(f"{name}: has changed since the lake was scanned; scan and plan again")


def _move(
    d: Mapping[str, Any], tables: Mapping[str, Table | None], entry: Entry, settings: Settings, root: Path, graph: str
) -> None:
    child, parent = tables[d["table"]], tables[d["parent"]]
    assert child is not None and parent is not None and child.schema is not None
    trash = entry.path.parent
    note(trash, "began", child.name, entry)
    back = find_way_back(child, parent, child.schema, d["missing"], settings.missing_values, str(root))
    write_way_back(entry, child, parent, back, settings, graph)
    # once more, directly before the move: reading took its time
    for table in (child, parent):
        again = inspect(_place_of(table), root)
        _unchanged(table.name, None if isinstance(again, Trouble) else again, table.token)
    (entry.path / "restored.json").unlink(missing_ok=True)  # it was taken back from here before
    move(Path(child.path), entry.table / Path(child.path).name)
    note(trash, "moved", child.name, entry)


def _place_of(table: Table) -> Place:
    files = tuple((Path(f.path), f.partition) for f in table.files) if table.kind not in ("delta", "iceberg") else ()
    return Place(table.name, table.kind, Path(table.path), files)


def write_way_back(entry: Entry, child: Table, parent: Table, back: WayBack, settings: Settings, graph: str) -> None:
    """The entry's files; restore.json last, so that it stands for all of them."""
    each = {name: codes for name, codes in sorted(back.written.items()) if not isinstance(codes, int)}
    written = back.written | {name: f"written.{i}" for i, name in enumerate(each)}
    rows = pa.table({"row": pa.array(back.rows, pa.int64())} | {str(written[n]): pa.array(codes) for n, codes in each.items()})

    def write(tmp: Path) -> None:
        pq.write_table(rows, tmp, compression="zstd", use_dictionary=[n for n in rows.schema.names if n != "row"],
                       column_encoding={"row": "DELTA_BINARY_PACKED"})

    atomically(entry.path / "rows.parquet", write)
    if back.residual.num_rows:
        write_table(entry.path / "residual.parquet", back.residual)
        (entry.path / "residual.parquet").chmod(_mode(child.files[0].path))  # rows of it: for the same eyes
    assert child.schema is not None
    write_json(entry.path / "restore.json", {
        "format": FORMAT, "tamis": importlib.metadata.version("tamis"), "when": now(), "hash": HASH, "graph": graph,
        "missing_values": settings.missing_values, "table": child.name, "kind": child.kind, "token": child.token,
        "bytes": child.bytes, "fingerprint": back.fingerprint, "residual_rows": back.residual.num_rows,
        "proof": "every row was rebuilt from the parent and compared by value",
        **({"written": written} if written else {}),
        "schema": schema_text(child.schema), "files": _files(child, back.file_rows), "partitions": list(child.typed_partitions),
        "folder": child.kind == "delta" or child.path != child.files[0].path,
        "parent": {"name": parent.name, "kind": parent.kind, "token": parent.token, "version": parent.version},
    })


def _mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def _files(child: Table, rows: list[int]) -> list[dict[str, Any]]:
    """How the table's files were written: name, mode, rows, partition, and of Parquet the schema, compression and row group."""
    told = []
    for file, count in zip(child.files, rows, strict=True) if child.kind != "delta" else ():
        one: dict[str, Any] = {"name": file.name, "partition": [list(p) for p in file.partition], "rows": count,
                               "mode": _mode(file.path)}
        if child.kind == "parquet":
            footer = Footer(file.path)
            group = footer.meta.row_group(0) if footer.groups else None
            one |= {"schema": schema_text(footer.schema), "group_rows": max(footer.groups, default=0),
                    "compression": group.column(0).compression.lower() if group and group.num_columns else "zstd"}
        told.append(one)
    return told
