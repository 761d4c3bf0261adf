"""The folder of a pool: versions that never change, and one small file that says which is the newest.

    POOL/
      current.json                  format, number of the newest version; replaced whole, last of all
      .lock                         held while a run takes rows in
      versions/0002/
        manifest.json               what it was made of and with, counts, clusters, digests of the files below
        rows.parquet                the rows, oldest first, with the columns they came with
        vectors.parquet             __id__, vector, num_embedding_tokens
        numbers.parquet             __id__, since (the version that took the row in), and the numbers of steps
        clusters.parquet            name, rows, width, centroid
        left.parquet                ledger lines of the rows that were in the version before and left, with `since`
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from ..alone import only_writer
from ..errors import StaleError, TamisError
from ..workspace import read_json, write_json

FORMAT = 1
FILES = ("rows.parquet", "vectors.parquet", "numbers.parquet", "clusters.parquet", "left.parquet")
SINCE = "since"
_VERSION = re.compile(r"\d{4,}")
_HALF = re.compile(r"\.\d{4,}\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Version:
    """One version of a pool."""

    folder: Path
    told: dict[str, Any]

    @property
    def number(self) -> int:
        """1, 2, 3 ..."""
        return int(self.told["version"])

    @property
    def state(self) -> str:
        """A hash of all that it holds and was made of."""
        return str(self.told["state"])

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """One of its files. Raises StaleError where it is gone, or not what was written."""
        path, known = self.folder / name, self.told["files"][name]
        try:
            data = path.read_bytes()
        except OSError as e:
            raise StaleError(f"{path} is gone ({e.strerror}): {_WAY_OUT}") from e
        if f"xxh3:{xxhash.xxh3_128_hexdigest(data)}" != known["digest"]:
            raise StaleError(f"{path} is not what was written: {_WAY_OUT}")
        return pq.read_table(pa.BufferReader(data), columns=columns)

    def columns(self) -> pa.Schema:
        """The columns of its rows. Raises StaleError where the file cannot be read."""
        try:
            return pq.read_schema(self.folder / "rows.parquet")
        except (OSError, pa.ArrowException) as e:
            raise StaleError(f"{self.folder / 'rows.parquet'} is not what was written: {_WAY_OUT}") from e


_WAY_OUT = "put the folder back from a copy, or go on from an older version by naming that in current.json"


def current(pool: Path) -> Version | None:
    """The newest version of a pool; None where there is no pool yet. Raises StaleError where it is damaged or of another format."""
    told = _json(pool / "current.json")
    if told is None:
        if any(_VERSION.fullmatch(p.name) and p.name != "0001" for p in (pool / "versions").glob("*")):
            raise StaleError(f"{pool}: current.json is gone; write {pointer('N')} there, N the newest folder below versions/")
        return None
    if told.get("format") != FORMAT:
        raise StaleError(f"{pool / 'current.json'} is of format {told.get('format')}, this tamis knows {FORMAT}")
    if type(told.get("version")) is not int:  # true is an int to Python
        raise StaleError(f"{pool / 'current.json'} is damaged: {_WAY_OUT}")
    found = version(pool, told["version"])
    if found is None:
        raise StaleError(f"{pool / 'current.json'} names version {told['version']}, which is gone: {_WAY_OUT}")
    return found


def pointer(number: int | str) -> str:
    """What current.json says, for people."""
    return f'{{"format": {FORMAT}, "version": {number}}}'


def version(pool: Path, number: int) -> Version | None:
    """A version by its number; None where it is not kept any more. Raises StaleError where it is damaged."""
    folder = home(pool, number)
    told = _json(folder / "manifest.json")
    if told is None:
        return None
    if told.get("state") != state_of(told):
        raise StaleError(f"{folder / 'manifest.json'} is not what was written: {_WAY_OUT}")
    wrong = [n for n, f in told["files"].items() if not (folder / n).is_file() or (folder / n).stat().st_size != f["bytes"]]
    if wrong:
        raise StaleError(f"{folder / wrong[0]} is gone or damaged: {_WAY_OUT}")
    return Version(folder, told)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except StaleError as e:
        raise StaleError(f"{path} is damaged: {_WAY_OUT}") from e
    except OSError as e:
        raise StaleError(f"{path} cannot be read ({e.strerror}): {_WAY_OUT}") from e


def home(pool: Path, number: int) -> Path:
    """Where a version lies."""
    return pool / "versions" / f"{number:04d}"


def state_of(told: dict[str, Any]) -> str:
    """32 hex digits over a version's manifest, its own hash left out."""
    words = json.dumps({k: v for k, v in told.items() if k != "state"}, sort_keys=True, ensure_ascii=False)
    return xxhash.xxh3_128_hexdigest(words.encode())


def write(pool: Path, number: int, tables: dict[str, Callable[[Path], Any]], told: dict[str, Any], keep: int) -> Version:
    """Add a version and make it the newest; then remove those beyond the `keep` newest. The caller holds the lock.

    Killed at any moment, the newest version is the old one, whole, or the new one, whole.
    """
    target = home(pool, number)
    half = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    half.mkdir(parents=True)
    try:
        for name, fill in tables.items():
            fill(half / name)
        files = {name: _measured(half / name) for name in tables}
    except OSError as e:
        shutil.rmtree(half, ignore_errors=True)  # of a disk that is full
        raise TamisError(f"pool {pool} is as it was, its next version cannot be written: {e}. Run again to go on from there") from e
    whole = told | {"format": FORMAT, "version": number, "files": files}
    whole["state"] = state_of(whole)
    write_json(half / "manifest.json", whole)
    if target.exists():  # of a run that died before it was made the newest
        shutil.rmtree(target)
    half.rename(target)
    _settle(target.parent)
    write_json(pool / "current.json", {"format": FORMAT, "version": number})
    _settle(pool)
    trim(pool, number, keep)
    return Version(target, whole)


def trim(pool: Path, newest: int, keep: int) -> None:
    """Remove the versions older than the `keep` newest."""
    for path in (pool / "versions").iterdir():
        if _VERSION.fullmatch(path.name) and int(path.name) <= newest - keep:
            shutil.rmtree(path)


def _measured(path: Path) -> dict[str, Any]:
    with path.open("rb+") as file:
        data = file.read()
        os.fsync(file.fileno())
    return {"bytes": len(data), "digest": f"xxh3:{xxhash.xxh3_128_hexdigest(data)}"}


def _settle(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(pool: Path) -> Iterator[None]:
    """Be the only one who takes rows into the pool; removes what one who died has left half-written.

    Raises StaleError naming the process that holds it, RecipeError where the folder cannot be written to.
    """
    with only_writer(pool, "pool"):
        for path in (pool / "versions").glob(".*.tmp"):
            if _HALF.fullmatch(path.name):
                shutil.rmtree(path)
        for path in pool.glob(".current.json.*.tmp"):
            path.unlink()
        yield
