"""The trash of a lake: a folder in its root, an entry for each table that was moved there, a journal beside them.

    .tamis-trash/
      journal.jsonl               what was done when: for people; the state is read from what lies where
      .lock                       held by apply and restore
      <entry>/restore.json        the certificate and the way back, written before the table moves
      <entry>/rows.parquet        the row number in the parent of each of its rows (-1: the next residual row)
      <entry>/residual.parquet    rows that the parent lacks, where some are tolerated
      <entry>/table/<name>        the table itself, as it was; only `tamis lake empty --yes` unlinks it
      <entry>/emptied/            what an interrupted emptying left of it
      <entry>/restored.json       it has been restored since

One rename moves a table, so it lies either where it was or here, whole.
"""

import errno
import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from ..alone import only_writer
from ..errors import StaleError
from ..workspace import read_json, write_json

FORMAT = 1
_SHAPE: dict[str, type | tuple[type, ...]] = {  # what restoring asks of a recipe
    "table": str, "kind": str, "when": str, "bytes": int, "schema": str, "residual_rows": int, "missing_values": (str, list),
    "fingerprint": dict, "partitions": list, "folder": bool, "files": list, "parent": dict,
}
_FILE = {"name": str, "rows": int, "partition": list}


@dataclass(frozen=True)
class Entry:
    """One table in the trash, or about to be."""

    path: Path

    @classmethod
    def of(cls, trash: Path, table: str, token: str) -> "Entry":
        """The entry of a table as it is now: the same after an interruption."""
        return cls(trash / xxhash.xxh3_64_hexdigest(f"{table}\0{token}".encode()))

    @property
    def recipe(self) -> dict[str, Any] | None:
        """restore.json, or None. Raises StaleError where it is damaged."""
        try:
            told = read_json(self.path / "restore.json")
        except (OSError, StaleError) as e:
            raise StaleError(self._lost()) from e
        if told is not None and not _whole(told):
            raise StaleError(self._lost())
        return told

    def _lost(self) -> str:
        moved = self.moved()
        what = f"Move {moved} back by hand" if moved else "Look for a backup of it"
        return f"{self.path / 'restore.json'} is damaged: the way back of a table is lost. {what}"

    @property
    def table(self) -> Path:
        """Where the moved table lies."""
        return self.path / "table"

    @property
    def emptied(self) -> Path:
        """Where the table lies while it is deleted for good."""
        return self.path / "emptied"

    def moved(self) -> Path | None:
        """The moved table, or None where it has not been moved, or has been taken back."""
        there = list(self.table.iterdir()) if self.table.is_dir() and not self.table.is_symlink() else []
        return there[0] if there else None

    @property
    def gone(self) -> bool:
        """Whether its table left the lake, now or once: also where the trash has been emptied with its folders."""
        recipe = self.recipe
        return recipe is not None and (self.table.is_dir() or not (self.path.parent.parent / str(recipe["table"])).exists())

    @property
    def restored(self) -> bool:
        """Whether it has been restored."""
        return (self.path / "restored.json").exists()


def entries(trash: Path) -> list[Entry]:
    """All entries with a way back, by name. Links lead to what is not ours to move or delete: they are none."""
    found = sorted(p for p in trash.iterdir() if p.is_dir() and not p.is_symlink()) if trash.is_dir() else []
    return [Entry(p) for p in found if (p / "restore.json").is_file()]


@dataclass(frozen=True)
class Damage:
    """An entry whose restore.json is damaged: its table by the journal, or "" where that does not know it either."""

    entry: Entry
    table: str
    why: str


def readable(trash: Path) -> tuple[list[tuple[Entry, dict[str, Any]]], list[Damage]]:
    """The entries with their recipes, by name, and those whose recipe is damaged: one of them keeps no other table away."""
    found: list[tuple[Entry, dict[str, Any]]] = []
    damaged: list[tuple[Entry, str]] = []
    for entry in entries(trash):
        try:
            recipe = entry.recipe
        except StaleError as e:
            damaged.append((entry, str(e)))
        else:
            found += [(entry, recipe)] if recipe else []
    names = _journalled(trash) if damaged else {}
    return found, [Damage(e, names.get(e.path.name, ""), why) for e, why in damaged]


def _journalled(trash: Path) -> dict[str, str]:
    """Entry -> table, by the journal; lines that a kill or a hand has cut are passed over."""
    names = {}
    path = trash / "journal.jsonl"
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else ():
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            names[str(told["entry"])] = str(told["table"])
    return names


def _whole(recipe: Mapping[str, Any]) -> bool:
    """Whether a restore recipe has all its parts."""
    if not all(isinstance(recipe.get(key), type) for key, type in _SHAPE.items()) or recipe["bytes"] < 0:
        return False
    files_whole = all(
        isinstance(f, dict) and all(isinstance(f.get(key), type) for key, type in _FILE.items())
        and all(isinstance(p, list) and len(p) == 2 for p in f["partition"]) for f in recipe["files"]
    )
    written = recipe.get("written", {})  # of text, how its numbers are written: a form, or the column of rows.parquet that has them
    if not isinstance(written, dict) or not all(isinstance(form, int | str) for form in written.values()):
        return False
    parent = recipe["parent"]
    named = isinstance(parent.get("name"), str) and "kind" in parent and "version" in parent
    return files_whole and named and bool(recipe["table"])


def needed_parents(trash: Path) -> set[str]:
    """Tables that deleted tables would be rebuilt from: they must stay as long as those are not restored."""
    waiting = [e.recipe for e in entries(trash) if e.gone and not e.restored]
    return {str(recipe["parent"]["name"]) for recipe in waiting if recipe}


def locked(trash: Path) -> AbstractContextManager[None]:
    """Hold the trash. Raises StaleError while another apply or restore does."""
    return only_writer(trash, "lake trash")


def note(trash: Path, what: str, table: str, entry: Entry) -> None:
    """Add a line to the journal, durably."""
    line = {"when": now(), "what": what, "table": table, "entry": entry.path.name}
    with (trash / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def now() -> str:
    """This moment, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, durably, to where nothing lies. Raises StaleError where something does, or on another disk."""
    if target.exists() or target.is_symlink():
        raise StaleError(f"{target} exists: nothing is overwritten; move it away first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    except OSError as e:
        why = ": the trash must lie on the lake's own disk" if e.errno == errno.EXDEV else ""
        raise StaleError(f"{source} cannot be moved to {target} ({e.strerror}){why}") from e
    for folder in {source.parent, target.parent}:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def mark_restored(entry: Entry, how: str) -> None:
    """Write restored.json."""
    write_json(entry.path / "restored.json", {"when": now(), "how": how})
