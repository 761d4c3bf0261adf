"""A finished run's folder, read back: manifest, ledger, kept rows, shards, and the workspace where it still stands."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..corpus import Source
from ..errors import TamisError
from ..formats.compression import Unpacked, codec_of
from ..formats.kinds import format_of
from ..formats.lines import stream_blocks
from ..formats.objects import loaded
from ..formats.places import open_input
from ..ledger import ID
from ..workspace import StageFolder, Workspace, read_json

_PARTS = {"recipe": dict, "inputs": list, "steps": list, "stages": list, "shards": list, "ledger": list, "kept": list,
          "rows_in": int, "rows_out": int, "rows_left": int}  # of a manifest, what is asked of it below and by `verify`


@dataclass(frozen=True)
class Finished:
    """A run folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Finished":
        """Raises TamisError where the folder holds no finished run."""
        try:
            manifest = read_json(folder / "manifest.json") if folder.is_dir() else None
        except ValueError as e:
            raise TamisError(f"{folder / 'manifest.json'} is damaged: {e}") from e
        if manifest is None:
            there = "it has no manifest.json" if folder.is_dir() else "there is no such folder"
            raise TamisError(f"{folder} is not the folder of a finished run: {there}")
        if wrong := sorted(key for key, type in _PARTS.items() if not isinstance(manifest.get(key), type)):
            lacks = f"it lacks {', '.join(wrong)}"
            raise TamisError(f"{folder / 'manifest.json'} is no manifest of a finished run, or damaged: {lacks}")
        return cls(folder, manifest)

    @property
    def text_key(self) -> str:
        """The column that holds the text."""
        return str(self.manifest["recipe"]["text_keys"][0])

    def stage(self, index: int) -> StageFolder | None:
        """A stage's folder, or None where the workspace has been cleared away."""
        told = next(s for s in self.manifest["stages"] if s["stage"] == index)
        work = Path(self.manifest["recipe"].get("work_dir") or self.folder / "work")
        folder = Workspace(work).stage(index, told["kind"], told["fingerprint"])
        return folder if folder.path.is_dir() else None

    def files(self, kind: str) -> list[Path]:
        """The parts of `ledger` or `kept`."""
        return sorted((self.folder / kind).glob("part-*.parquet"))

    def lines(self, kind: str, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """id -> its line in `ledger` or `kept`. Cost: one pass over that folder."""
        return {r[ID]: r for r in lines(self.files(kind), ID, list(ids))}

    def sources(self) -> list[Source]:
        """Those of the input files that are still where the run read them. Cost: nothing is read."""
        suffixes = self.manifest["recipe"].get("suffixes", [])
        return [_source(i, suffixes) for i in self.manifest["inputs"] if "://" in i["path"] or Path(i["path"]).exists()]

    def text_of(self, kept: Mapping[str, Any]) -> str | None:
        """The text of a row by its line in `kept`; None where its shard is gone or has no such row."""
        row = self.exported(str(kept["shard"]), int(kept["row"]))
        return None if row is None or row.get(self.text_key) is None else str(row[self.text_key])

    def exported(self, shard: str, row: int) -> dict[str, Any] | None:
        """One exported row with all its columns. Cost: reads one row group, or the lines before it."""
        path = self.folder / shard
        if not path.exists():
            return None
        if path.suffix == ".parquet":
            return _parquet_row(path, row)
        return _json_row(path, row)


def lines(files: Iterable[Path], column: str, values: list[Any], columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Lines of Parquet files whose `column` is one of `values`, file by file."""
    for file in files:
        yield from pq.read_table(file, columns=columns, filters=pc.field(column).isin(values)).to_pylist()


def _source(told: Mapping[str, Any], suffixes: list[str]) -> Source:
    format, codec = format_of(told["path"], suffixes)
    return Source(told["path"], told["source"], told["bytes"], told["digest"], format or "text", codec)


def _parquet_row(path: Path, row: int) -> dict[str, Any] | None:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                found: dict[str, Any] = file.read_row_group(group).slice(row, 1).to_pylist()[0]
                return found
            row -= rows
    return None


def _json_row(path: Path, row: int) -> dict[str, Any] | None:
    with Unpacked(open_input(str(path)), codec_of(path.name)) as file:
        for block in stream_blocks(file):
            if row < len(block):
                return loaded(block.line(row))[0]
            row -= len(block)
    return None

