"""Looking after an index: fewer segments, two indexes as one, what is in it, whether it is whole."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecipeError, StaleError
from . import layout
from .columns import mapped
from .joining import Piece, digest, join
from .layout import Batch, Manifest, Segment, digest_of, folder_of
from .locking import reading, sweep, writing

MANY = 8  # segments from which `text` advises to compact


def load(index: Path) -> Manifest:
    """What is committed. Raises RecipeError where there is no index."""
    manifest = layout.read(index)
    if manifest is None:
        raise RecipeError(f"{index}: no index is there. Begin one with tamis dedup-index build {index} RECIPE")
    return manifest


def compact(index: Path) -> Manifest:
    """Make one segment of all: the same answers, in fewer reads. Killed at any moment, the index is what it was, or done.

    Raises StaleError where a byte of it is not what was written: new digests would pass it off as whole.
    """
    load(index)
    with writing(index):
        manifest = load(index)
        if len(manifest.segments) > 1:
            _whole(index, manifest)
            one = _joined(index, index, manifest.segments, 0, 0)
            manifest = replace(manifest, segments=(one,))
            layout.write(index, manifest)
            sweep(index)
    return manifest


def merge(index: Path, others: Sequence[Path]) -> Manifest:
    """Add all documents of other indexes after those of `index`; the others stay as they are.

    What the indexes keep is not compared: it has been published. A row alike to documents of both leaves for the older number.
    Raises StaleError where they are made with other settings, RecipeError where one is missing, the same, or shares inputs.
    StaleError also where a byte of another is not what was written.
    """
    load(index)
    with writing(index):
        manifest = load(index)
        for other in others:
            if other.resolve() == index.resolve():
                raise RecipeError(f"{other}: an index is not merged with itself")
            with reading(other):
                manifest = _with(index, manifest, other, load(other))
        layout.write(index, manifest)
    return manifest


def _with(index: Path, mine: Manifest, other: Path, theirs: Manifest) -> Manifest:
    wrong = mine.made.differences(theirs.made)
    if wrong:
        told = "; ".join(wrong).replace("in the index", f"in {index}").replace("in the step", f"in {other}")
        raise StaleError(f"{index} and {other} are made with other settings: {told.replace('the step is', f'{other} is')}")
    both = {i for b in mine.batches for i in b.inputs} & {i for b in theirs.batches for i in b.inputs}
    if both:
        names = sorted(source for source, _ in both)
        raise RecipeError(f"{index} and {other} both hold rows of {', '.join(names[:3])}")
    _whole(other, theirs)
    at = mine.documents
    for batch in theirs.batches:
        state = digest_of([mine.state(), batch.state])
        mine = mine.with_batch(Batch(None, at + batch.start, batch.documents, batch.kept, batch.inputs, state), None)
    if not theirs.segments:
        return mine
    return replace(mine, segments=(*mine.segments, _joined(index, other, theirs.segments, at, at)))


def _joined(index: Path, source: Path, segments: Sequence[Segment], start: int, shift: int) -> Segment:
    folders = [folder_of(source, s) for s in segments]
    return join(index, [Piece(f) for f in folders], _shifted(folders, shift), start)


def _shifted(folders: Sequence[Path], shift: int) -> Iterator[np.ndarray]:
    for folder in folders:
        yield mapped(folder / "kept.u64") + np.uint64(shift)


def described(index: Path) -> dict[str, Any]:
    """The index as plain values: what it is made with, counts, sizes, batches."""
    manifest = load(index)
    sizes: dict[str, int] = {}
    for segment in manifest.segments:
        for name, told in segment.files.items():
            sizes[name] = sizes.get(name, 0) + told["bytes"]
    return {
        "index": str(index), "operator": manifest.made.operator, "version": manifest.made.version,
        "settings": dict(manifest.made.settings), "documents": manifest.documents, "kept": sum(b.kept for b in manifest.batches),
        "bytes": manifest.bytes, "files": sizes, "segments": len(manifest.segments), "state": manifest.state(),
        "batches": [{"batch": b.name, "documents": b.documents, "kept": b.kept, "files": [s for s, _ in b.inputs]}
                    for b in manifest.batches],
    }


def damage(index: Path) -> list[str]:
    """What of the index is missing or not what the manifest says; reads every byte."""
    with reading(index):
        return list(_wrong(index, load(index)))


def _wrong(index: Path, manifest: Manifest) -> Iterator[str]:
    for segment in manifest.segments:
        gone = layout.missized(index, segment)
        yield from gone
        for name, told in segment.files.items() if not gone else ():
            path = folder_of(index, segment) / name
            if digest(path) != told["digest"]:
                yield f"{path} is not what was written"


def _whole(index: Path, manifest: Manifest) -> None:
    for wrong in _wrong(index, manifest):
        raise StaleError(f"index {index} is damaged: {wrong}: build the index anew")


def text(told: dict[str, Any], wrong: Sequence[str]) -> str:
    """What `described` and `damage` answer, for a terminal."""
    settings = ", ".join(f"{k} {v}" for k, v in told["settings"].items() if v is not None)
    lines = [
        f"{told['index']}: {told['documents']:,} documents, {told['kept']:,} of them stay; {told['bytes']:,} bytes in "
        f"{told['segments']} segment(s)", f"{told['operator']}, version {told['version']}: {settings}", "",
    ]
    for number, batch in enumerate(told["batches"], 1):
        files = ", ".join(batch["files"][:3]) + (f" and {len(batch['files']) - 3:,} more" if len(batch["files"]) > 3 else "")
        lines.append(f"batch {number:>3}  {batch['documents']:>12,} documents  {batch['kept']:>12,} stay   {files}")
    if told["segments"] > MANY:
        lines += ["", f"Every lookup asks each of the {told['segments']} segments: tamis dedup-index compact {told['index']}"]
    return "\n".join([*lines, *(f"DAMAGED: {w}" for w in wrong)])
