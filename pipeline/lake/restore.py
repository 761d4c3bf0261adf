"""Bringing a table back: rebuilt from its parent, verified by fingerprint, then put where it was with one rename."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...operators.lake.exact import fingerprint, row_set
from ...operators.lake.leaves import leaves
from ..errors import RecipeError, StaleError, did_you_mean
from .delta import delta_table
from .finding import Place, find
from .inspect_table import BROKEN, inspect, reason
from .rewrite import durable, write_table_again
from .settings import Settings
from .tables import Table, Trouble, schema_of_text
from .trash import Damage, Entry, locked, mark_restored, move, note, readable
from .way_back import hashed


def restore(root: Path, name: str, settings: Settings, from_trash: bool = False) -> dict[str, Any]:
    """Bring a deleted table back; answers its restore recipe. `from_trash`: by moving the trashed copy back instead.

    The trashed copy of a rebuilt table stays in the trash. Raises RecipeError where no such table was deleted, StaleError
    where something lies in its place, or the parent no longer holds its rows.
    """
    trash = root / settings.trash
    found, damaged = readable(trash)
    waiting = _waiting(found)
    _undamaged(name, damaged)
    if name not in waiting:
        if any(e.restored and r["table"] == name for e, r in found):
            raise RecipeError(f"{name}: has been restored already")
        known = sorted(waiting)
        raise RecipeError(f"{name}: no such table is in the trash {trash}.{did_you_mean(name, known)} "
                          f"There are: {', '.join(known[:8]) or 'none'}{' ...' if len(known) > 8 else ''}")
    entry, recipe = waiting[name]
    within(root, root / name, recipe)
    with locked(trash):
        _bring_back(entry, recipe, located(root, settings), root, from_trash)
    return recipe


def restore_all(
    root: Path, settings: Settings, told: Callable[[Mapping[str, Any], str], None], from_trash: bool = False
) -> list[dict[str, Any]]:
    """Bring every deleted table back, as `restore` does; answers their restore recipes.

    `told` hears of each why it could not be, or ""; of what has a damaged restore.json nothing but "table".
    Raises StaleError while another run moves tables of the lake.
    """
    trash, done = root / settings.trash, []
    if not trash.is_dir():
        return []
    with locked(trash):
        places = located(root, settings)
        found, damaged = readable(trash)
        waiting = _waiting(found)
        for loss in (d for d in damaged if not d.entry.restored and d.table not in waiting):
            told({"table": loss.table}, loss.why)
        for name, (entry, recipe) in sorted(waiting.items()):
            try:
                _undamaged(name, damaged)
                within(root, root / name, recipe)
                _bring_back(entry, recipe, places, root, from_trash)
            except (OSError, StaleError) as e:
                told(recipe, str(e))
                continue
            done.append(recipe)
            told(recipe, "")
    return done


def located(root: Path, settings: Settings) -> dict[str, Place]:
    """The tables that lie in the lake, by name."""
    return {p.name: p for p in find(root, settings)[0]}


def _undamaged(name: str, damaged: Iterable[Damage]) -> None:
    """Raises StaleError where a deletion of a table has a damaged recipe: another one of the same name may be an older table."""
    for loss in damaged:
        if loss.table == name and not loss.entry.restored:
            raise StaleError(f"{name}: {loss.why}")


def _waiting(found: Iterable[tuple[Entry, dict[str, Any]]]) -> dict[str, tuple[Entry, dict[str, Any]]]:
    """What has been deleted and not restored, by name; of a table that was deleted twice, the later."""
    waiting = [(e, r) for e, r in found if e.gone and not e.restored]
    return {str(r["table"]): (e, r) for e, r in sorted(waiting, key=lambda w: str(w[1]["when"]))}


def _bring_back(entry: Entry, recipe: Mapping[str, Any], places: Mapping[str, Place], root: Path, from_trash: bool) -> None:
    name = str(recipe["table"])
    target = root / name
    if target.exists():
        if _verified(_placed(target, recipe, root), recipe, root):
            mark_restored(entry, "it lay there whole")  # a restore was interrupted after its last step
            return
        raise StaleError(f"{name}: something else lies there now; move it away first")
    if from_trash:
        moved = entry.moved()
        if moved is None:
            raise StaleError(f"{name}: its copy in the trash is gone; restore it from its parent")
        move(moved, target)
        how = "moved back"
    else:
        move(rebuilt(entry, recipe, places, root), target)
        how = f"rebuilt from {recipe['parent']['name']}"
    try:
        mark_restored(entry, how)
        note(entry.path.parent, how, name, entry)
    except OSError as e:  # a full disk lets tables be moved, and no more
        why = f"{name}: is in its place again, but that could not be written down ({e.strerror or e})"
        raise StaleError(f"{why}: restore it once more when there is room") from e


def within(root: Path, target: Path, recipe: Mapping[str, Any]) -> None:
    """Raises StaleError where a restore recipe would write outside the lake: the trash lies where others may write."""
    names = [Path(f["name"]) for f in recipe["files"]]
    outside = any(n.is_absolute() or ".." in n.parts for n in (*names, Path(recipe["table"])))
    if outside or not target.parent.resolve().is_relative_to(root):
        raise StaleError(f"{recipe['table']}: its restore recipe leads out of the lake; somebody has changed it")


def rebuilt(entry: Entry, recipe: Mapping[str, Any], places: Mapping[str, Place], root: Path) -> Path:
    """The table, written anew inside its entry and verified. `places`: of the lake's tables.

    Raises StaleError where the parent no longer holds its rows.
    """
    parent = _parent(recipe["parent"], places.get(recipe["parent"]["name"]), root)
    path = entry.path / "rebuilt" / Path(recipe["table"]).name
    remove_below(entry.path / "rebuilt")
    with _whole(entry, "rows.parquet") as rows:
        told = pq.read_table(rows)
        numbers = told.column("row").to_numpy()
        written = {n: f if isinstance(f, int) else told.column(f).cast(pa.uint8()).to_numpy()
                   for n, f in recipe.get("written", {}).items()}
    schema = schema_of_text(recipe["schema"])
    rest = schema.empty_table()
    if recipe["residual_rows"]:
        with _whole(entry, "residual.parquet") as residual:
            rest = pq.read_table(residual).cast(schema)
    try:
        write_table_again(recipe, path, numbers, rest, schema, parent, str(root), written)
    except (StaleError, *BROKEN) as e:
        told = f"{recipe['table']}: cannot be rebuilt from {parent.name} as it is now, it {reason(e)}."
        raise StaleError(told + _other_way(entry)) from e
    if not _verified(_placed(path, recipe, root), recipe, root):
        raise StaleError(f"{recipe['table']}: what {parent.name} holds now is not what was deleted.{_other_way(entry)}")
    durable(entry.path / "rebuilt")
    return path


@contextmanager
def _whole(entry: Entry, name: str) -> Iterator[Path]:
    """While a file of the way back is read. Nobody is told to remove what is damaged: the table itself may lie beside it."""
    try:
        yield entry.path / name
    except (OSError, KeyError, pa.ArrowException) as e:
        raise StaleError(f"{entry.path / name} {reason(e)}.{_other_way(entry)}") from e


def _other_way(entry: Entry) -> str:
    if entry.moved() is None:
        return " Its copy has left the trash"
    return f" Its copy still lies in {entry.table}: restore it with --from-trash"


def remove_below(folder: Path) -> None:
    """Remove what a rebuild of ours left in a folder."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _parent(told: Mapping[str, Any], place: Place | None, root: Path) -> Table:
    """The parent as it is now; of Delta, as it was."""
    if place is None:
        raise StaleError(f"{told['name']}: the parent is gone; restore it first, or restore with --from-trash")
    if told["kind"] == "delta" and told["version"] is not None:
        return delta_table(place, root, int(told["version"]))
    found = inspect(place, root)
    if isinstance(found, Trouble):
        raise StaleError(f"{told['name']}: the parent {found.what}")
    return found


def _placed(path: Path, recipe: Mapping[str, Any], root: Path) -> Table | None:
    """The table that lies at a path, read as its kind."""
    if recipe["kind"] == "delta":
        place = Place(recipe["table"], "delta", path)
    elif recipe["folder"]:
        told = [(path / f["name"], tuple((k, v) for k, v in f["partition"])) for f in recipe["files"]]
        place = Place(recipe["table"], recipe["kind"], path, tuple(told))
    else:
        place = Place(recipe["table"], recipe["kind"], path, ((path, ()),))
    found = inspect(place, root)
    return None if isinstance(found, Trouble) else found


def _verified(table: Table | None, recipe: Mapping[str, Any], root: Path) -> bool:
    """Whether a table's rows have the fingerprint of the deleted one's."""
    if table is None:
        return False
    try:
        names = tuple(sorted(leaf.name for leaf in leaves(schema_of_text(recipe["schema"]))))
        told = fingerprint(row_set(hashed(table, names, recipe["missing_values"], str(root))))
    except BROKEN:
        return False
    return bool(told == recipe["fingerprint"]) and set(table.leaves) == set(names)
