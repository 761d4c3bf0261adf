"""Before anything is read: whether a step can use the index that it names, and which state of it the run will see."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...operators.base import Operator
from ..errors import StaleError
from ..formats.places import shown
from ..resources import Pin
from ..steps import Step
from ..workspace import Place
from . import layout
from .layout import INDEXABLE, Made, Manifest

KEYS = ("against", "remember")


@dataclass(frozen=True)
class IndexPin:
    """The index of one step, as the plan found it.

    Attributes:
        path: its folder.
        against: whether rows are compared with it.
        remember: whether the step's rows are added to it.
        batch: the name that this run's rows have in it.
        documents, state: how many documents the run sees, and their hash: all, or those before its own batch.
        inputs: (source, digest) of the run's files.
        made: what the index is, or will be, made with.
    """

    path: Path
    against: bool
    remember: bool
    batch: str
    documents: int
    state: str
    inputs: tuple[tuple[str, str], ...]
    made: Made

    def __str__(self) -> str:
        compared = f"compared with {self.documents:,} documents, by this process" if self.against else "new"
        return f"index: {self.path}, {compared}{'; all rows of this step are then added' if self.remember else ''}"

    def describe(self) -> dict[str, Any]:
        """What of it decides the step's answer."""
        return {"index": self.state, "documents": self.documents} if self.against else {}


def path_of(step: Step) -> str | None:
    """The folder that a step names, if any."""
    against, remember = step.extra.get("against"), step.extra.get("remember")
    return against or (remember if isinstance(remember, str) else None)


def told_without(step: Step) -> dict[str, Any]:
    """The step's description without its index: where that lies decides nothing, and what is in it is pinned."""
    return {k: v for k, v in step.describe().items() if k not in (*KEYS, "cache", "factors")}


def problems(step: Step, place: Place, data: Sequence[Path]) -> list[str]:
    """What is wrong with the way a step names its index; `data` are the files and folders that the recipe reads."""
    against, remember, path = step.extra.get("against"), step.extra.get("remember"), path_of(step)
    if remember is True and not against:
        return ["remember: true needs against, which says where the index is; a new index is named by remember: PATH"]
    if path is None:
        return []
    if isinstance(remember, str) and against and Path(remember) != Path(against):
        return [f"remember {remember!r} and against {against!r} are two indexes: add rows to the one they were compared with "
                "(remember: true), and join indexes by tamis dedup-index merge"]
    if step.name not in INDEXABLE:
        return [f"no index can be kept for it; there are indexes for {' and '.join(INDEXABLE)}"]
    return _place_problems(path, place, data)


def _place_problems(path: str, place: Place, data: Sequence[Path]) -> list[str]:
    if "://" in path:
        return [f"index {shown(path)!r} must be a folder of this machine"]
    try:
        index = Path(path).expanduser().resolve()
    except RuntimeError:
        return [f"index {path!r}: there is no such home directory, or its links lead in a circle"]
    if index.exists() and not index.is_dir():
        return [f"index {path!r} is a file, not a folder"]
    own = [p.resolve() for p in (place.work, *(place.run / n for n in ("data", "kept", "ledger")))]
    if index == place.run.resolve() or any(index.is_relative_to(o) for o in own) or place.run.resolve().is_relative_to(index):
        return [f"index {path!r} lies where the run writes its own files; give it a folder of its own"]
    for folder in data:
        if index.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(index):
            return [f"index {path!r} and dataset_path {str(folder)!r} lie in one another: the index would be read as data"]
    return []


def pin(step: Step, pins: tuple[Pin, ...], batch: str, inputs: tuple[tuple[str, str], ...]) -> IndexPin | None:
    """The index that a step (with what is loaded for it) names, or None. Raises ValueError where it cannot be used as asked."""
    named, remember = path_of(step), step.extra.get("remember")
    if named is None:
        return None
    assert isinstance(step.op, Operator)
    path = Path(named).expanduser().absolute()
    made = Made(step.name, step.op.version, dict(step.settings), {p.keyword: p.sha256 for p in pins})
    against = bool(step.extra.get("against"))
    try:
        manifest = layout.read(path)
    except StaleError as e:
        raise ValueError(str(e)) from e
    if manifest is None:
        _can_begin(path, named, against)
        manifest = Manifest(made)
    wrong = manifest.made.differences(made)
    if wrong:
        raise ValueError(f"index {named!r} is made with other settings: {'; '.join(wrong)}")
    held = manifest.batch(batch)
    if held is None:
        _not_twice(manifest, named, inputs)
        if not against and manifest.documents:
            raise ValueError(f"index {named!r} exists already: add against: {named}, so that rows are compared with it before "
                             "they are remembered (tamis dedup-index extend), or name a new folder")
    if held is not None and not against and held.start:
        raise ValueError(f"index {named!r} has these rows after others: add against: {named}")
    limit = manifest.documents if held is None else held.start
    return IndexPin(path, against, bool(remember), batch, limit, manifest.state(limit), inputs, made)


def _can_begin(path: Path, named: str, against: bool) -> None:
    if against:
        raise ValueError(f"against {named!r}: there is no index. Begin one with tamis dedup-index build {named} RECIPE, or with "
                         f"remember: {named} and without against")
    if path.exists() and any(p.name not in (".lock", ".readers", "segments", ".work") and not p.name.endswith(".tmp")
                             for p in path.iterdir()):
        raise ValueError(f"remember {named!r}: the folder holds something else than an index; name a new one")


def _not_twice(manifest: Manifest, named: str, inputs: tuple[tuple[str, str], ...]) -> None:
    known = {i for b in manifest.batches for i in b.inputs}
    again = [i[0] for i in inputs if i in known]
    if again:
        more = f" and {len(again) - 3:,} more" if len(again) > 3 else ""
        raise ValueError(f"index {named!r} holds rows of {', '.join(again[:3])}{more} already, remembered by other steps or "
                         "settings: every row would leave as its own duplicate. Give only new files, or build another index")
