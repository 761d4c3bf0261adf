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
          done.json                     the stage's record, written last of all
        02-dedup-<fingerprint>/ ...

All writing is to a temporary name beside the target, then a rename: what exists is whole. A stage whose done.json
exists is never run again; a part whose mark exists is not either.
"""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import RecipeError, StaleError

LAYOUT = 1  # raise when files in a stage folder change their meaning: no older stage is then taken for done


@dataclass(frozen=True)
class StageFolder:
    """One stage's files."""

    path: Path

    def file(self, kind: str, part: int, suffix: str = "parquet") -> Path:
        """`<kind>/part-00000.<suffix>`."""
        return self.path / kind / f"part-{part:05d}.{suffix}"

    def pieces(self, part: int) -> list[Path]:
        """The row files of a part, in order."""
        return sorted((self.path / "rows").glob(f"part-{part:05d}-*.parquet"))

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
        write_json(self.path / "done.json", record)
        return record


class Workspace:
    """The `work/` folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, index: int, kind: str, fingerprint: str) -> StageFolder:
        """The folder of one stage (it may not exist yet)."""
        return StageFolder(self.folder / f"{index:02d}-{kind}-{fingerprint[:16]}")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace; released by the operating system if we die. Raises StaleError while another run holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise StaleError(f"another run is writing to {self.folder}; wait for it, or give this one another export_path") from e
            yield

    def clean(self, keep: set[Path]) -> None:
        """Remove stage folders of earlier recipes and half-written files."""
        for path in self.folder.iterdir():
            if path.is_dir() and path not in keep:
                shutil.rmtree(path)
        for path in self.folder.rglob("*.tmp"):
            path.unlink()


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file."""
    try:
        return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None


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
    """Write a Parquet file (zstd), whole or not at all."""
    atomically(path, lambda tmp: pq.write_table(table, tmp, compression="zstd", compression_level=1))


@dataclass(frozen=True)
class Place:
    """Where a run writes: its folder, its workspace, and the one file that `export_path` names, if it names one."""

    run: Path
    work: Path
    file: Path | None

    @classmethod
    def of(cls, export_path: str, work_dir: str | None = None) -> "Place":
        """`out/` is a run folder; `out/x.jsonl` asks for that file, with the run folder `out/x/` beside it."""
        path = Path(export_path.removeprefix("file://"))
        if "://" in export_path and not export_path.startswith("file://"):
            raise RecipeError(f"export_path {export_path!r}: a run folder must be local; copy the folder there afterwards")
        known = (".jsonl", ".json", ".parquet", ".zst", ".gz")
        file = path if path.suffix in known else None
        folder = path.with_name(path.name.split(".")[0]) if file else path
        return cls(folder, Path(work_dir) if work_dir else folder / "work", file)
