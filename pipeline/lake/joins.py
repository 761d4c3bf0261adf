"""Edges against row hashes: one exchange brings together what lies in a range of the hash space, and all edges are asked there.

A table's hashes over some columns are sent once, however many edges they are in: to the targets of their group, which are
tables that edges connect, or several small such groups, cut into as many ranges of the hash space as their hashes need.
An edge that two sketches decide is not asked, and a table that has no other edge is not sent.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...operators.dedup.components import components, packed
from ...operators.lake.exact import RowSet, cuts, found, merged, missing
from ...operators.lake.sketch import disproved, sketch
from ..engines.base import Counts, Engine
from ..errors import StaleError
from ..workspace import StageFolder, read_json, sound, write_json
from .jobs import write_compact
from .sketches import HELD, LACKING, OPEN, Run, decided

RANGE_ROWS = 8_000_000  # hashes of one target, about: some 600 MB with what is made of them

ROW_BYTES = 24  # of a row that is sent: two hashes and a count
SKETCHED = -1  # instead of the number of a draw: sketches proved that some row is missing
Rows = tuple[Any, tuple[Run, ...]]  # equal first halves, equal rows; where they lie


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

    @property
    def whole(self) -> Rows:
        """All rows, as a set."""
        return self.fingerprint or self.sets, self.sets


NO_ROWS = Hashes((), (), 0, None)
NOTHING = merged([])
Pair = tuple[Hashes, Hashes]  # a child, its parent


def gather(folder: StageFolder, records: Sequence[Mapping[str, Any]]) -> dict[int, Hashes]:
    """request -> where its hashes lie, from the records of a scan's parts."""
    runs: dict[int, dict[str, list[Any]]] = {}
    for part, record in enumerate(records):
        path = str(folder.file("runs", part, "arrow").relative_to(folder.path.parent))
        for key, kind, offset, length, rows, told in record["runs"]:
            runs.setdefault(key, {"set": [], "draws": []})[kind].append((path, offset, length, rows, told))
    return {
        key: Hashes(
            tuple(r[:3] for r in told["set"]), tuple(r[:3] for r in told["draws"]),
            sum(r[3] for r in told["set"] or told["draws"]), told["set"][0][4] if len(told["set"]) == 1 else None,
        )
        for key, told in runs.items()
    }


def lacking(folder: StageFolder, engine: Engine, pairs: Sequence[Pair], bag: bool, tolerance: float) -> list[tuple[int, bool]]:
    """Of each pair: how many rows of the child the parent lacks, and whether two sketches proved it: then only that some do."""
    quick = not bag and not tolerance
    known = _known(folder, pairs) if quick else np.full(len(pairs), OPEN)
    answers = [[[1, 1]] if told == LACKING else [] for told in known.tolist()]
    left = np.flatnonzero(known == OPEN).tolist()
    take = TakeHashes(folder.path, "bag" if bag else "set", quick=quick)
    for i, own in zip(left, _asked(folder, engine, [(pairs[i][0].whole, pairs[i][1].whole) for i in left], take), strict=True):
        answers[i] = own
    return [(sum(count for count, _ in own), any(sketched for _, sketched in own)) for own in answers]


def first_missed(folder: StageFolder, engine: Engine, pairs: Sequence[Pair]) -> list[int | None]:
    """Of each pair: the number of the child's first draw that the parent lacks; None: it has all; SKETCHED: some row it lacks."""
    known = _known(folder, pairs)
    answers = [SKETCHED if told == LACKING else None for told in known.tolist()]
    left = np.flatnonzero(known == OPEN).tolist()
    asked = [((pairs[i][0].draws, pairs[i][0].draws), pairs[i][1].whole) for i in left]
    for i, own in zip(left, _asked(folder, engine, asked, TakeHashes(folder.path, "draws")), strict=True):
        answers[i] = min((number for (number,) in own), default=None)
    return answers


def exchanged(folder: StageFolder) -> int:
    """Bytes of hashes that a stage's exchange sends."""
    return int((read_json(folder.path / "joins.json") or {"rows": 0})["rows"]) * ROW_BYTES


def _known(folder: StageFolder, pairs: Sequence[Pair]) -> np.ndarray:
    """int8[n]: what sketches and fingerprints decide of each pair; nothing where only draws of the child are known."""
    same = np.array([bool(child.sets) and child.whole[0] == parent.whole[0] for child, parent in pairs], bool)
    asked = [((), ()) if alike else (child.sets, parent.sets) for alike, (child, parent) in zip(same, pairs, strict=True)]
    return np.where(same, HELD, decided(folder.path.parent, asked))


def _asked(folder: StageFolder, engine: Engine, pairs: Sequence[tuple[Rows, Rows]], take: "TakeHashes") -> list[list[list[int]]]:
    """What targets say of each pair of rows: nothing where they miss none, or where both are the same rows."""
    number: dict[Any, int] = {}
    runs: list[tuple[Run, ...]] = []
    for name, own in (rows for pair in pairs for rows in pair):
        if number.setdefault(name, len(runs)) == len(runs):
            runs.append(own)
    asked = [(number[child], number[parent]) for (child, _), (parent, _) in pairs]
    told: dict[tuple[int, int], list[list[int]]] = {pair: [] for pair in sorted(set(asked))}
    plan = read_json(folder.path / "joins.json") or _cut(folder, [(c, p) for c, p in told if c != p], runs)
    records = [folder.part_record(target, "joined") for target in range(plan["targets"])]
    if None in records:
        records = list(engine.exchange(EmitHashes(folder.path), range(plan["sources"]), take, plan["targets"]))
    for child, parent, *answer in (a for record in records for a in record["answers"]):  # type: ignore[index]
        told[child, parent].append(answer)
    return [told[pair] for pair in asked]


def _cut(folder: StageFolder, questions: Sequence[tuple[int, int]], runs: Sequence[tuple[Run, ...]]) -> dict[str, Any]:
    """Write what each file sends where, and what each group is asked; answer how many sources and targets there are."""
    size = np.array([sum(length for _, _, length in own) for own in runs], np.int64)
    child, parent = np.array(questions, np.int64).reshape(-1, 2).T
    group = packed(components(child, parent, len(runs)), size, RANGE_ROWS)
    weight = np.bincount(group[group >= 0], size[group >= 0]).astype(np.int64)
    ranges = np.maximum(1, -(-weight // RANGE_ROWS))
    starts = np.cumsum(ranges) - ranges
    sends: dict[str, list[list[int]]] = {}
    for number, g in enumerate(group.tolist()):
        for path, offset, length in runs[number] if g >= 0 else ():
            sends.setdefault(path, []).append([number, offset, length, int(starts[g]), int(ranges[g])])
    for source, path in enumerate(sorted(sends)):
        write_compact(folder.file("sends", source, "json"), {"file": path, "runs": sends[path]})
    asked: list[list[tuple[int, int]]] = [[] for _ in starts]
    for pair in questions:
        asked[group[pair[0]]].append(pair)
    for g, own in enumerate(asked):
        write_compact(folder.file("questions", g, "json"), {"questions": own})
    plan = {"sources": len(sends), "targets": int(ranges.sum()), "starts": starts.tolist(), "rows": int(weight.sum())}
    write_json(folder.path / "joins.json", plan)
    return plan


def _told(folder: Path, kind: str, number: int) -> dict[str, Any]:
    path = StageFolder(folder).file(kind, number, "json")
    told = read_json(path)
    if told is None:
        raise StaleError(f"{path} is gone: remove {folder} and scan again")
    return told


@dataclass(frozen=True)
class EmitHashes:
    """The hashes of one file of a scan: each table's run, cut by the ranges of its group. Nothing is copied."""

    folder: Path

    def __call__(self, source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(first, second, count) of one table's rows, for one target; the table stands in the schema's metadata."""
        job = _told(self.folder, "sends", source)
        with sound(self.folder.parent / job["file"]) as path, pa.memory_map(str(path)) as file:
            batch = pa.ipc.open_file(file).get_batch(0)
        for table, offset, length, target, ranges in job["runs"]:
            run = batch.slice(offset, length).replace_schema_metadata({"table": str(table)})
            bounds = cuts(run.column("first").to_numpy(), ranges)
            for number, (low, high) in enumerate(pairwise(bounds.tolist())):
                if high > low:
                    yield target + number, run.slice(low, high - low)


@dataclass(frozen=True)
class TakeHashes:
    """What a target answers: [child, parent, ...] for each pair of its group that misses something in its range.

    `how`: of draws, the number of the first that the parent lacks; of a set or a bag, the rows that it lacks and 0, or 1 and 1
    where two sketches of a range of several proved that it lacks some (`quick`).
    """

    folder: Path
    how: Literal["set", "bag", "draws"]
    quick: bool = False

    def __call__(self, target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        """Answer the questions of the target's group, or take up the record."""
        stage = StageFolder(self.folder)
        known = stage.part_record(target, "joined")
        if known is not None:
            return known
        plan = read_json(self.folder / "joins.json") or {}
        group = bisect_right(plan["starts"], target) - 1
        questions = _told(self.folder, "questions", group)["questions"]
        first, last = [*plan["starts"], plan["targets"]][group:group + 2]
        quick = self.quick and last - first > 1  # of one range the sketches have been looked at
        runs: dict[int, list[RowSet]] = {}
        for batch in batches:
            own = RowSet(*(column.to_numpy() for column in batch.columns))
            runs.setdefault(int(batch.schema.metadata[b"table"]), []).append(own)
        drawn = {child: runs.pop(child, []) for child in {c for c, _ in questions}} if self.how == "draws" else {}
        sets = {table: merged(runs.pop(table)) for table in list(runs)}
        answers = []
        for child, parent in questions:
            whole = sets.get(parent, NOTHING)
            told = self._draws(drawn[child], whole) if drawn else self._rows(sets.get(child, NOTHING), whole, quick)
            answers += [[child, parent, *told]] if told else []
        return stage.finish_part(target, {"answers": answers}, "joined")

    def _rows(self, child: RowSet, parent: RowSet, quick: bool) -> list[int]:
        if quick and disproved(sketch(child), sketch(parent)):
            return [1, 1]
        count = int(missing(child, parent, self.how == "bag").sum())
        return [count, 0] if count else []

    def _draws(self, child: Sequence[RowSet], parent: RowSet) -> list[int]:
        missed = np.concatenate([rows.count[~found(rows, parent)] for rows in (*child, NOTHING)])
        return [int(missed.min())] if len(missed) else []
