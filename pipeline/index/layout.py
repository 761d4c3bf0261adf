"""An index on disk: one manifest that says what is committed, and a folder of segments that never change.

    INDEX/
      manifest.json                what it is made with, its batches, its segments; replaced whole, so a reader sees all or nothing
      segments/
        000000000000-000000200000-<8 hex>/   documents 0 to 200,000
          keys.u64      every key, ascending: a row that shares one with a document may be its duplicate
          fences.u64    each 512th key: read whole, it tells which 4 KiB of keys.u64 to read
          holders.u32   the document of each key, counted from the segment's first
          sets.u64      the sets that decide (shingle hashes), one after the other
          ends.u64      where each document's set ends in sets.u64
          kept.u64      the number of the document that stays for each document: itself, or the one it is a duplicate of
          documents.parquet   where each document came from: __id__, __source__, __position__
      .lock  .readers              held by the one that writes, by those that read

Documents are numbered 0, 1, 2 ... as they are remembered; compaction changes segments, never numbers. A *batch* is what one
run remembered; so the index as it was before any batch is the documents below that batch's first number.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import xxhash

from ..errors import StaleError
from ..workspace import write_json

FORMAT = 1
INDEXABLE = ("document_deduplicator", "document_minhash_deduplicator")
NUMBERS = ("keys.u64", "fences.u64", "holders.u32", "sets.u64", "ends.u64", "kept.u64")
DOCUMENTS = "documents.parquet"


@dataclass(frozen=True)
class Made:
    """What an index is made with; a step can use it only if all of this is the same.

    Attributes:
        operator, version: the deduplicator.
        settings: all its settings.
        models: keyword -> sha256 of what is loaded for it; where that lies decides nothing.
    """

    operator: str
    version: int
    settings: Mapping[str, Any]
    models: Mapping[str, str] = field(default_factory=dict)

    def differences(self, other: "Made") -> list[str]:
        """In words, what `other` (the step) has otherwise than this (the index)."""
        if self.operator != other.operator:
            return [f"the index is of {self.operator}, the step is {other.operator}"]
        told = [] if self.version == other.version else [f"version is {self.version} in the index, {other.version} in the step"]
        for key in sorted({*self.settings, *other.settings}):
            mine, theirs = self.settings.get(key), other.settings.get(key)
            if mine != theirs and key != "tokenizer_model":  # its content decides: see `models`
                told.append(f"{key} is {mine!r} in the index, {theirs!r} in the step")
        if not told and self.models != other.models:
            told = ["tokenizer_model is of another content in the index than in the step"]
        return told


@dataclass(frozen=True)
class Batch:
    """What one run remembered.

    Attributes:
        name: hash of input, steps before and settings, so that the same run again is known; None: came by a merge.
        start, documents: its documents are start to start + documents.
        kept: how many of them stay for themselves.
        inputs: (source, digest of its content) of each file read.
        state: hash of all that is in the index up to and with this batch.
    """

    name: str | None
    start: int
    documents: int
    kept: int
    inputs: tuple[tuple[str, str], ...]
    state: str


@dataclass(frozen=True)
class Segment:
    """One folder of documents `start` to `start + documents`; `files`: name -> {bytes, digest}."""

    name: str
    start: int
    documents: int
    files: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Manifest:
    """What is committed."""

    made: Made
    batches: tuple[Batch, ...] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def documents(self) -> int:
        """How many documents are known."""
        return self.batches[-1].start + self.batches[-1].documents if self.batches else 0

    @property
    def bytes(self) -> int:
        """Size of the segments."""
        return sum(f["bytes"] for s in self.segments for f in s.files.values())

    def state(self, documents: int | None = None) -> str:
        """Hash of what is known, or of its first `documents` (where a batch begins)."""
        before = [b.state for b in self.batches if documents is None or b.start < documents]
        return before[-1] if before else digest_of(asdict(self.made))

    def batch(self, name: str) -> Batch | None:
        """The batch of that name, if it is known."""
        return next((b for b in self.batches if b.name == name), None)

    def with_batch(self, batch: Batch, segment: Segment | None) -> "Manifest":
        """One batch more."""
        return replace(self, batches=(*self.batches, batch), segments=(*self.segments, segment) if segment else self.segments)


def digest_of(value: Any) -> str:
    """32 hex digits of plain JSON values."""
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True, ensure_ascii=False, default=list).encode())


def read(index: Path) -> Manifest | None:
    """What is committed at `index`; None where there is no index. Raises StaleError where it is damaged or of another format."""
    path = index / "manifest.json"
    try:
        told = json.loads(path.read_text("utf-8"))
        if told["format"] != FORMAT:
            raise StaleError(f"{path}: this is format {told['format']}, this version of tamis reads {FORMAT}: build the index anew")
        batches = [Batch(**{**b, "inputs": tuple((s, d) for s, d in b["inputs"])}) for b in told["batches"]]
        return Manifest(Made(**told["made"]), tuple(batches), tuple(_segment(s) for s in told["segments"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise StaleError(f"{path} is damaged or no manifest of an index ({e})") from e


def _segment(told: Mapping[str, Any]) -> Segment:
    """Raises what `read` catches where a file that every segment has is not told of, or it lies elsewhere."""
    files = {n: {"bytes": int(told["files"][n]["bytes"]), "digest": str(told["files"][n]["digest"])} for n in (*NUMBERS, DOCUMENTS)}
    if Path(told["name"]).name != told["name"]:
        raise ValueError(f"{told['name']!r} is no name of a segment")
    return Segment(**{**told, "files": files})


def missized(index: Path, segment: Segment) -> list[str]:
    """What of a segment is gone or has another size than was written, in words; reads no byte of it."""
    wrong = []
    for name, told in segment.files.items():
        path = folder_of(index, segment) / name
        if not path.is_file():
            wrong.append(f"{path} is gone")
        elif path.stat().st_size != told["bytes"]:
            wrong.append(f"{path} is not what was written")
    return wrong


def write(index: Path, manifest: Manifest) -> None:
    """Commit: from here on, this is the index."""
    write_json(index / "manifest.json", {"format": FORMAT, **asdict(manifest), "documents": manifest.documents})


def folder_of(index: Path, segment: Segment) -> Path:
    """Where a segment lies."""
    return index / "segments" / segment.name


__all__ = ["DOCUMENTS", "FORMAT", "INDEXABLE", "NUMBERS", "Batch", "Made", "Manifest", "Segment", "digest_of", "folder_of",
           "missized", "read", "write"]
