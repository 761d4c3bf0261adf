"""Where the tables of a lake lie: a walk that follows no link and leaves no root.

A folder is one table where it says so: `_delta_log/` (Delta), `metadata/*.metadata.json` (Iceberg), `key=value` folders
or `part-*` files (Hive, Spark), or a pattern of the setting `folders`. Any other Parquet, CSV, TSV or JSONL file is a
table by itself. Names that begin with . or _ are passed over.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ..errors import RecipeError
from ..formats.kinds import format_of
from .settings import Settings, fits
from .tables import Partition, Trouble

KINDS = ("parquet", "csv", "tsv", "jsonl")
NOT_TEXT = "its name is not UTF-8: rename it"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_MARKS = re.compile(r"_SUCCESS|_metadata|_common_metadata|_(committed|started)_\d+|\.DS_Store|\..*\.crc")  # nothing lost with them


@dataclass(frozen=True)
class Place:
    """A table that was found: name below the root, kind, path, and its files with their partitions (none: a log tells).

    `more`: something in its folder that is no part of it, and would not come back with it; empty: nothing is.
    """

    name: str
    kind: str
    path: Path
    files: tuple[tuple[Path, Partition], ...] = ()
    more: str = ""


def root_of(path: str) -> Path:
    """The lake's root, resolved. Raises RecipeError where it is no local folder."""
    if "://" in path and not path.startswith("file://"):
        raise RecipeError(f"{path}: a lake is scanned where it can be renamed: give a local or mounted folder")
    try:
        root = Path(path.removeprefix("file://")).expanduser()
    except RuntimeError as e:  # ~nobody
        raise RecipeError(f"{path}: there is no such home directory") from e
    if not root.is_dir():
        raise RecipeError(f"{path}: there is no such folder; name the root of a lake of tables")
    return root.resolve()


def find(root: Path, settings: Settings) -> tuple[list[Place], list[Trouble]]:
    """Every table below the root, sorted by name, and what could not be looked at."""
    places: list[Place] = []
    troubles: list[Trouble] = []
    for found in _walk(root, root, settings):
        (troubles if isinstance(found, Trouble) else places).append(found)  # type: ignore[arg-type]
    return sorted(places, key=lambda p: p.name), sorted(troubles, key=lambda t: (t.where, t.what))


def name_of(root: Path, path: Path) -> str:
    """A path below the root, with '/'."""
    return path.relative_to(root).as_posix()


def _walk(root: Path, folder: Path, settings: Settings) -> Iterator[Place | Trouble]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as e:
        yield Trouble(name_of(root, folder), f"the folder cannot be listed ({e.strerror})")
        return
    kind = _folder_kind(root, folder, entries, settings)
    if kind in ("delta", "iceberg"):
        yield Place(name_of(root, folder), kind, folder, more=_more(folder, None) if kind == "delta" else "")
    elif kind and folder != root:
        yield from _folder_table(root, folder)
    else:
        for entry in entries:
            yield from _entry(root, entry, settings)


def _entry(root: Path, entry: os.DirEntry[str], settings: Settings) -> Iterator[Place | Trouble]:
    path = Path(entry.path)
    if entry.name.startswith((".", "_")):
        return
    if not _is_text(entry.name):
        yield Trouble(name_of(root, path).encode("utf-8", "backslashreplace").decode(), NOT_TEXT)
    elif entry.is_symlink():
        yield Trouble(name_of(root, path), "a symbolic link is not followed: its target may lie outside the lake, or above it")
    elif entry.is_dir(follow_symlinks=False):
        yield from _walk(root, path, settings)
    elif (kind := format_of(entry.name)[0]) in KINDS:
        if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            yield Place(name_of(root, path), str(kind), path, ((path, ()),))
        else:
            yield Trouble(name_of(root, path), "is no regular file")


def _folder_kind(root: Path, folder: Path, entries: list[os.DirEntry[str]], settings: Settings) -> str | None:
    names = {e.name for e in entries}
    if "_delta_log" in names and (folder / "_delta_log").is_dir():
        return "delta"
    if "metadata" in names and any((folder / "metadata").glob("*.metadata.json")):
        return "iceberg"
    hive = any("=" in e.name and e.is_dir(follow_symlinks=False) for e in entries)
    spark = any(n.startswith("part-") and format_of(n)[0] in KINDS for n in names)
    return "folder" if hive or spark or fits(name_of(root, folder), settings.folders) else None


def _folder_table(root: Path, folder: Path) -> Iterator[Place | Trouble]:
    """One table of all the files below a folder."""
    try:
        below = list(_files_below(folder))
    except OSError as e:
        yield Trouble(name_of(root, folder), f"a folder in it cannot be listed ({e.strerror})")
        return
    files: list[tuple[Path, Partition]] = []
    kinds = set()
    for path in below:
        if not _is_text(str(path)):
            yield Trouble(name_of(root, folder), f"a file in it: {NOT_TEXT}")
            return
        if path.is_symlink():
            yield Trouble(name_of(root, path), "a symbolic link is not followed: its target may lie outside the lake, or above it")
        elif (kind := format_of(path.name)[0]) in KINDS:
            kinds.add(str(kind))
            files.append((path, partition_of(path.relative_to(folder).parts[:-1])))
    if len(kinds) > 1:
        yield Trouble(name_of(root, folder), f"files of several kinds lie in the folder of one table: {', '.join(sorted(kinds))}")
    elif files:
        yield Place(name_of(root, folder), kinds.pop(), folder, tuple(files), _more(folder, {path for path, _ in files}))


def _is_text(name: str) -> bool:
    """Whether a name of the file system can be written down."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _more(folder: Path, own: set[Path] | None) -> str:
    """The first thing below a table's folder that is neither one of its files nor a mark of its writer's.

    `own`: its files; None, of Delta: its log and every Parquet file, which are its history.
    """
    closed: list[OSError] = []
    for at, folders, files in os.walk(folder, onerror=closed.append):
        here = Path(at)
        if own is None and here == folder:
            folders.remove("_delta_log")
        folders.sort()
        for name in sorted(files) + [f for f in folders if (here / f).is_symlink()]:
            mine = here / name in own if own is not None else name.endswith(".parquet") and not (here / name).is_symlink()
            if not mine and not _MARKS.fullmatch(name):
                return name_of(folder, here / name)
    return name_of(folder, Path(str(closed[0].filename))) if closed else ""


def _files_below(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path))
        else:
            yield Path(entry.path)


def partition_of(folders: tuple[str, ...]) -> Partition:
    """The partition columns in the names of folders.

    >>> partition_of(("day=2024-01-01", "city=K%C3%B6ln"))
    (('day', '2024-01-01'), ('city', 'Köln'))
    """
    pairs = [f.split("=", 1) for f in folders if "=" in f]
    return tuple((unquote(k), None if v == NULL_PARTITION else unquote(v)) for k, v in pairs)
