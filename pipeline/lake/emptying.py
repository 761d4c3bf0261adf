"""Emptying the trash: the one place where tamis deletes a table for good, and only on the user's word.

Before a copy goes, its table is rebuilt from its parent and verified once more, as `restore` would. The way back stays:
restore.json, row numbers, residual rows. A copy is renamed before it is deleted, so that a kill leaves it whole or gone.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StaleError
from .finding import Place
from .restore import located, rebuilt, remove_below, within
from .settings import Settings
from .trash import Entry, locked, move, note, readable


@dataclass(frozen=True)
class Copy:
    """A table that lies in the trash. `parent`: what it comes back from; None where it is back in the lake already.

    `damage`: why its restore.json cannot be read, or "".
    """

    entry: Entry
    table: str
    bytes: int
    parent: str | None
    damage: str = ""


def copies(trash: Path) -> list[Copy]:
    """The tables that lie in the trash, by name: of this and of earlier runs."""
    whole, damaged = readable(trash)
    found = [Copy(e, str(r["table"]), int(r["bytes"]), None if e.restored else str(r["parent"]["name"])) for e, r in whole]
    found += [Copy(d.entry, d.table or d.entry.path.name, 0, None, d.why) for d in damaged]
    there = (c for c in found if c.entry.moved() or c.entry.emptied.exists())
    return sorted(there, key=lambda c: (c.table, c.entry.path.name))


def empty(root: Path, settings: Settings, told: Callable[[Copy, str], None]) -> list[Copy]:
    """Delete what lies in the trash; answers what was deleted. `told` hears why a copy stays, or "".

    Raises StaleError while another apply or restore holds the trash.
    """
    trash = root / settings.trash
    if not trash.is_dir():
        return []
    gone = []
    with locked(trash):
        again = {str(r["table"]) for e, r in readable(trash)[0] if e.gone and not e.restored}  # deleted a second time
        places = located(root, settings)
        for copy in copies(trash):
            why = copy.damage or _needed(copy, root, places, again) or _delete(copy)
            if not why:
                gone.append(copy)
            told(copy, why)
    return gone


def _needed(copy: Copy, root: Path, places: Mapping[str, Place], again: set[str]) -> str:
    """Why a copy must stay; empty: it need not."""
    recipe: dict[str, Any] = copy.entry.recipe or {}
    if copy.entry.moved() is None:
        return ""  # an emptying was interrupted: only the rest of a copy is left
    if copy.parent is None:
        return "" if copy.table in again or (root / copy.table).exists() else "it was restored, and is not in the lake any more"
    try:
        within(root, root / copy.table, recipe)
        rebuilt(copy.entry, recipe, places, root)
    except StaleError as e:
        return str(e)
    finally:
        remove_below(copy.entry.path / "rebuilt")
    return ""


def _delete(copy: Copy) -> str:
    """Delete a copy; answers why it could not be, or ""."""
    entry = copy.entry
    try:
        if entry.emptied.exists():
            shutil.rmtree(entry.emptied)
        moved = entry.moved()
        if moved is not None:
            move(moved, entry.emptied / moved.name)
            note(entry.path.parent, "emptied", copy.table, entry)
            shutil.rmtree(entry.emptied)
    except (OSError, StaleError) as e:
        return f"cannot be deleted ({e})"
    return ""
