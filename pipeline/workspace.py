"""The folder that a run owns: one folder per stage, named by its fingerprint, each part and each stage with a done-mark.

    RUN/
      data/ ledger/ manifest.json report.html recipe.yaml README.md     what the user takes away
      work/
        .lock                        held while a run writes here
        01-rows-<fingerprint>/
          rows/part-00000-000.parquet   rows that stay (a part is a split of the input; pieces only where schemas change)
          stats/part-00000.parquet      one line for every row that entered: ids and numbers
          ledger/part-00000.parquet     one line for every row that left here
          done/part-00000.json          this part's counts, written last
          files.json                    the size of each of these files, by which loss and damage are seen
          done.json                     the stage's record, written last of all
        02-dedup-<fingerprint>/ ...

All writing is to a temporary name beside the target, then a rename: what exists is whole. A stage whose done.json
exists is never run again; a part whose mark exists is not either.
"""

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import RecipeError, StaleError
from .export import file_suffix
from .formats.places import shown

LAYOUT = 3  # raise when files in a stage folder change their meaning: no older stage is then taken for done
_STAGE = re.compile(r"\d{2,}-[a-z]+-[0-9a-f]{16}")
_URL = re.compile(r"[a-zA-Z][\w+.-]+:/")  # a path has lost the second of its slashes
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class StageFolder:
    """One stage's files."""

    path: Path

    def file(self, kind: str, part: int, suffix: str = "parquet") -> Path:
        """`<kind>/part-00000.<suffix>`."""
        return self.path / kind / f"part-{part:05d}.{suffix}"

    def pieces(self, part: int) -> list[Path]:
        """The row files of a part, in order."""
        found = (self.path / "rows").glob(f"part-{part:05d}-*.parquet")
        return sorted(found, key=lambda p: int(p.stem.rpartition("-")[2]))  # by number: piece 1000 comes after 999

    @property
    def record(self) -> dict[str, Any] | None:
        """What done.json says, or None while the stage is not complete."""
        return read_json(self.path / "done.json")

    def part_record(self, part: int, mark: str = "done") -> dict[str, Any] | None:
        """The counts of a finished part, or None."""
        return read_json(self.file(mark, part, "json"))

    def finish_part(self, part: int, record: dict[str, Any], mark: str = "done") -> dict[str, Any]:
        """Mark a part as done, with its counts."""
        write_json(self.file(mark, part, "json"), record)
        return record

    def finish(self, record: dict[str, Any]) -> dict[str, Any]:
        """Mark the stage as done."""
        write_json(self.path / "files.json", self._sizes())
        write_json(self.path / "done.json", record)
        return record


    def check(self) -> None:
        """Raises StaleError where a file of this finished stage is gone, or of another size than when it was finished."""
        told, there = read_json(self.path / "files.json"), self._sizes()
        wrong = ["files.json"] if told is None else [name for name, size in told.items() if there.get(name) != size]
        if wrong:
            raise StaleError(f"{self.path / wrong[0]} is gone or damaged: remove {self.path} and run again")

    def _sizes(self) -> dict[str, int]:
        """Path -> bytes of every file but the stage's own marks and half-written ones."""
        files = (p for p in self.path.rglob("*") if p.is_file() and not p.name.startswith("."))
        return {p.relative_to(self.path).as_posix(): p.stat().st_size for p in files
                if p.parent != self.path or p.name not in ("files.json", "done.json")}


class Workspace:
    """The `work/` folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, index: int, kind: str, fingerprint: str) -> StageFolder:
        """The folder of one stage (it may not exist yet)."""
        return StageFolder(self.folder / f"{index:02d}-{kind}-{fingerprint[:16]}")

    @contextmanager
    def lock(self, shared: bool = False, patience: float = 0.0) -> Iterator[None]:
        """Hold the workspace (`shared`: together with others that share it); the system releases it if we die.

        Raises StaleError while another run holds it, after having waited `patience` seconds for it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("a")
        except OSError as e:
            raise RecipeError(f"{self.folder} cannot be written to ({e.strerror}); give the run another export_path") from e
        with file:
            deadline = time.monotonic() + patience
            while not _locked(file, shared):
                if time.monotonic() >= deadline:
                    raise StaleError(f"another run is writing to {self.folder}; wait for it, or name another export_path")
                time.sleep(0.2)
            yield

    def clean(self, keep: set[Path]) -> None:
        """Remove stage folders of earlier recipes and half-written files; nothing that is not ours by its name."""
        for path in self.folder.iterdir():
            if path.is_dir() and path not in keep and _STAGE.fullmatch(path.name):
                shutil.rmtree(path)
        for path in (p for folder in keep for p in folder.rglob(".*.tmp")):
            if _HALF_WRITTEN.fullmatch(path.name):
                path.unlink()


def _locked(file: IO[str], shared: bool) -> bool:
    """Whether the file's lock could be had."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def sound(path: Path) -> Iterator[Path]:
    """While a file that a finished stage left is read. Raises StaleError, with the way out, where it is gone or damaged."""
    try:
        yield path
    except (OSError, pa.ArrowException) as e:
        raise StaleError(f"{path} is gone or damaged ({e}): remove {_home(path)} and run again") from e


def _home(path: Path) -> Path:
    """The stage folder that a file lies in."""
    return next((p for p in path.parents if _STAGE.fullmatch(p.name)), path.parent)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file. Raises StaleError where it holds something else."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise StaleError(f"{path} is damaged ({e}): remove {_home(path)} and run again") from e
    if not isinstance(told, dict):
        raise StaleError(f"{path} is damaged (it holds no object): remove {_home(path)} and run again")
    return told


def write_json(path: Path, value: Any) -> None:
    """Write JSON, sorted and readable, whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
    atomically(path, lambda tmp: tmp.write_text(text + "\n", "utf-8"))


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` with a temporary path beside `path`, make it durable, rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write(tmp)
        with tmp.open("rb+") as f:
            os.fsync(f.fileno())
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file (zstd, each page with a checksum, which `lineage.read` verifies), whole or not at all."""
    atomically(path, lambda tmp: pq.write_table(table, tmp, compression="zstd", compression_level=1, write_page_checksum=True))


@dataclass(frozen=True)
class Place:
    """Where a run writes: its folder, its workspace, and the one file that `export_path` names, if it names one."""

    run: Path
    work: Path
    file: Path | None

    @classmethod
    def of(cls, export_path: str, work_dir: str | None = None) -> "Place":
        """`out/` is a run folder; `out/x.jsonl` asks for that file, with the run folder `out/x/` beside it."""
        if _URL.match(export_path) and not export_path.startswith("file:"):
            raise RecipeError(f"export_path {shown(export_path)!r}: a run folder must be local; copy the folder there afterwards")
        try:
            path = Path(export_path.removeprefix("file://")).expanduser()
            work = Path(work_dir).expanduser() if work_dir else None
        except RuntimeError as e:  # ~nobody
            raise RecipeError(f"export_path {export_path!r} cannot be written to: there is no such home directory") from e
        try:
            whole = [p.resolve() for p in (path, *([work] if work else []))]
        except RuntimeError as e:
            raise RecipeError(f"export_path {export_path!r} cannot be written to: its links lead in a circle") from e
        if whole[0] in (Path("/"), Path.home().resolve()):
            raise RecipeError(f"export_path {export_path!r}: results do not go there directly; name a folder of their own")
        suffix = file_suffix(path.name)
        folder = path.with_name(path.name.removesuffix(suffix)) if suffix else path
        return cls(folder, work or folder / "work", path if suffix else None)

    def seen_by(self, engine: str) -> "Place":
        """The same as the processes of an engine find it: those of Spark have each a working folder of its own."""
        return self if engine != "spark" else Place(self.run.absolute(), self.work.absolute(), self.file and self.file.absolute())

    def claim(self, inputs: Iterable[str], folders: Iterable[Path] = ()) -> None:
        """Make sure that the run overwrites nothing that is not its own.

        `inputs` are the files to be read, `folders` those that are searched for more. Raises RecipeError where an input
        lies where the run writes, where the run would write into a searched folder and so be its own input next time,
        or where the run folder holds files of a run's names that no run has written.
        """
        own = [p.resolve() for p in (*(self.run / name for name in _FOLDERS), self.work)]
        for path in (Path(i.removeprefix("file://")).resolve() for i in inputs if "://" not in i.removeprefix("file://")):
            if (self.file and path == self.file.resolve()) or any(path.is_relative_to(o) for o in own):
                key = "work_dir" if self.work != self.run / "work" and path.is_relative_to(own[-1]) else "export_path"
                raise RecipeError(f"{key}: the run would overwrite its own input {path}; let it write elsewhere")
        if any(self.work.resolve().is_relative_to(o) for o in own[:-1]):
            raise RecipeError(f"work_dir {self.work} lies among the results; let the stages lie elsewhere")
        for folder in folders:
            if any(p.resolve().is_relative_to(folder.resolve()) for p in (self.file or self.run, self.run, self.work)):
                raise RecipeError(f"export_path: the results would lie inside dataset_path {folder}, and the next run would read "
                                  "them as data; let it write elsewhere, or say by `suffixes` which files are data")
        if self.file and self.file.is_dir():
            raise RecipeError(f"export_path {self.file} is a folder; name a file, or a folder without a suffix")
        there = [name for name in (*_FOLDERS, *_FILES) if (self.run / name).exists()]
        if self.file and self.file.exists() and not self._known():
            raise RecipeError(f"export_path {self.file} exists, and no run of tamis has written it; name another, or remove it")
        if there and not self._known():
            raise RecipeError(f"export_path {self.run} holds {', '.join(there)}, which no run of tamis has written; "
                              "name a folder of its own")

    def _known(self) -> bool:
        """Whether the run folder is one that a run has made, or begun."""
        if any((work / ".lock").exists() for work in (self.work, self.run / "work")):
            return True
        try:
            told = read_json(self.run / "manifest.json")
        except StaleError:  # JSON of somebody else, or none
            return False
        return told is not None and "tamis" in told


_FOLDERS = ("data", "kept", "ledger")
_FILES = ("README.md", "recipe.yaml", "report.html", "manifest.json")
