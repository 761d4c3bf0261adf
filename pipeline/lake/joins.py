"""Edges against row hashes: anti-joins on partitions of the hash space, an engine's task; and where hashes lie."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...operators.lake.content import looked_at
from ...operators.lake.exact import RowSet, found, merged, missing
from ...operators.lake.sketch import disproved, sketch
from ..engines.base import Counts, Engine
from ..errors import StaleError
from ..workspace import StageFolder, read_json, sound, write_json
from .jobs import write_compact

LARGEST = 8_000_000  # rows of one pair that are compared at a time; more are cut into hash ranges
PART_ROWS = 16_000_000
_SPACE = 1 << 64

Run = tuple[str, int, int]  # file, offset, length


@dataclass(frozen=True)
class Hashes:
    """One request's answer: the runs of its set and of its draws, its rows, and its fingerprint where one run has it whole."""

    sets: tuple[Run, ...]
    draws: tuple[Run, ...]
    rows: int
    fingerprint: str | None

    @property
    def size(self) -> int:
        """Distinct rows, runs counted each for itself."""
        return sum(length for _, _, length in self.sets)


NO_ROWS = Hashes((), (), 0, None)


@dataclass(frozen=True)
class Question:
    """One child against one parent: `how` is set (rows that are missing) or draws (does every drawn row occur)."""

    child: Hashes
    parent: Hashes
    how: str = "set"


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
        missing: rows of the child that the parent lacks (of draws: 1 where one did). distinct: distinct rows that it lacks.
        looked: hashes of the child that were looked for. sketched: whether two sketches were proof enough.
    """

    missing: int
    distinct: int
    looked: int
    sketched: bool = False


def gather(folder: StageFolder, records: Sequence[Mapping[str, Any]]) -> dict[int, Hashes]:
    """request -> where its hashes lie, from the records of a scan's parts."""
    runs: dict[int, dict[str, list[Any]]] = {}
    for part, record in enumerate(records):
        path = str(folder.file("runs", part, "arrow"))
        for key, kind, offset, length, rows, told in record["runs"]:
            runs.setdefault(key, {"set": [], "draws": []})[kind].append((path, offset, length, rows, told))
    return {
        key: Hashes(
            tuple(r[:3] for r in told["set"]), tuple(r[:3] for r in told["draws"]),
            sum(r[3] for r in told["set"] or told["draws"]), told["set"][0][4] if len(told["set"]) == 1 else None,
        )
        for key, told in runs.items()
    }


def ask(
    folder: StageFolder, engine: Engine, questions: Sequence[Question], *, bag: bool, most: int, tolerance: float
) -> list[Answer]:
    """The answer to every question. Equal questions, by fingerprint, are asked once; the rest through `engine.map`."""
    asked: dict[Any, int] = {}
    of = [asked.setdefault(_same(q, i), i) for i, q in enumerate(questions)]
    chosen = list(asked.values())
    if read_json(folder.path / "joins.json") is None:
        parts = list(_parts([(i, questions[i]) for i in chosen]))
        for number, items in enumerate(parts):
            write_compact(folder.file("questions", number, "json"), {"items": items})
        write_json(folder.path / "joins.json", {"parts": len(parts)})
    count = (read_json(folder.path / "joins.json") or {})["parts"]
    task = JoinTask(folder.path, bag, most, tolerance)
    sums: dict[int, list[int]] = {}
    for record in engine.map(task, range(count), lambda _: None):
        for index, *told in record["answers"]:
            own = sums.setdefault(index, [0, 0, 0, 0])
            for i, value in enumerate(told):
                own[i] += value
    return [Answer(sums[i][0], sums[i][1], sums[i][2], bool(sums[i][3])) for i in of]


def _same(question: Question, index: int) -> Any:
    told = question.child.fingerprint, question.parent.fingerprint
    return (question.how, *told) if question.how == "set" and None not in told else index


def _parts(items: Sequence[tuple[int, Question]]) -> Iterable[list[Any]]:
    part: list[Any] = []
    size = 0
    ordered = sorted(items, key=lambda item: (item[1].parent.sets, item[0]))  # one parent's hashes are loaded once
    for index, q in ordered:
        rows = q.child.size + q.parent.size
        cuts = -(-rows // LARGEST) if q.how == "set" else 1
        for cut in range(max(1, cuts)):
            low, high = (_SPACE * c // max(1, cuts) for c in (cut, cut + 1))
            part.append([index, q.how, q.child.draws if q.how == "draws" else q.child.sets, q.parent.sets, str(low), str(high)])
            size += rows // max(1, cuts) + 1000
            if size > PART_ROWS:
                yield part
                part, size = [], 0
    if part:
        yield part


@dataclass(frozen=True)
class JoinTask:
    """Answers a part's questions: [question, rows missing, distinct missing, hashes looked for, by sketch]."""

    folder: Path
    bag: bool
    most: int
    tolerance: float

    def __call__(self, part: int) -> Counts:
        """Do a part, or take up its record."""
        stage = StageFolder(self.folder)
        known = stage.part_record(part, "joined")
        if known is not None:
            return known
        job = read_json(stage.file("questions", part, "json"))
        if job is None:
            raise StaleError(f"{stage.file('questions', part, 'json')} is gone: remove {self.folder} and scan again")
        load = lru_cache(maxsize=64)(_loaded)
        answers = [[index, *self._answer(load, *told)] for index, *told in job["items"]]
        return stage.finish_part(part, {"answers": answers}, "joined")

    def _answer(self, load: Any, how: str, child: list[Any], parent: list[Any], low: str, high: str) -> tuple[int, int, int, int]:
        whole = merged([_run(load, r, low, high) for r in parent])
        if how == "draws":
            return self._drawn(load, child, whole)
        own = merged([_run(load, r, low, high) for r in child])
        if not self.bag and not self.tolerance and disproved(sketch(own), sketch(whole)):
            return 1, 1, min(len(own), 256), 1
        lacking = missing(own, whole, self.bag)
        return int(lacking.sum()), int((lacking > 0).sum()), len(own), 0

    def _drawn(self, load: Any, child: list[Any], whole: RowSet) -> tuple[int, int, int, int]:
        drawn = [_run(load, r, "0", str(_SPACE), ordered=False) for r in child]
        number = np.concatenate([r.count for r in drawn]) if drawn else np.empty(0, np.int64)
        order = np.argsort(number, kind="stable")
        hashes = np.stack([np.concatenate([getattr(r, lane) for r in drawn]) if drawn else np.empty(0, np.uint64)
                           for lane in ("first", "second")])
        hit = found(hashes[:, order], whole)
        if self.tolerance:  # no draw is a proof then: the exact stage decides
            return 0, 0, len(hit), 0
        stays, looked = looked_at(hit, self.most)
        return int(not stays), 0, looked, 0


def _loaded(path: str) -> RowSet:
    with sound(Path(path)), pa.memory_map(path) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
        return RowSet(*(batch.column(name).to_numpy() for name in ("first", "second", "count")))


def _run(load: Any, run: Sequence[Any], low: str, high: str, ordered: bool = True) -> RowSet:
    path, offset, length = run
    whole = load(path)
    own = RowSet(*(getattr(whole, name)[offset:offset + length] for name in ("first", "second", "count")))
    return own.between(int(low), int(high)) if ordered else own
