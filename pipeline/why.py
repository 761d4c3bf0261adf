"""Why one row stayed or left: its whole story, from the ledger, the kept rows and, where it stands, the workspace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import ledger
from .ledger import ID, POSITION, SOURCE
from .lifelong import story as pools
from .reporting import pulls
from .reporting.finished import Finished, lines
from .reporting.lookup import find
from .reporting.words import REASONS, counted, number, oneline, row_id

MOST = 12  # members of a cluster that are listed


@dataclass(frozen=True)
class Relative:
    """A row that left for another's sake, or the one that stayed: where it lies, how alike the two are, how it begins."""

    id: int
    where: str
    similarity: float | None
    excerpt: str


@dataclass(frozen=True)
class Event:
    """What one step did to the row; `verdict`: stays, left, mapped, trimmed, embedded, chosen, passed (workspace gone)."""

    step: int
    op: str
    verdict: str
    told: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    relatives: tuple[Relative, ...] = ()


@dataclass(frozen=True)
class Story:
    """One row's story. `shard`, `row`: where it was exported, or None; `left_at`: the step it left at, or None."""

    id: int
    where: str
    found_by: str
    excerpt: str
    events: tuple[Event, ...]
    shard: str | None
    row: int | None
    left_at: int | None
    whole: bool


def story(run: Path, row: str, key: str = "id") -> Story:
    """The story of one row of a finished run.

    `row`: its value in the column `key`, or `corpus.jsonl:1234` (source and position), or `corpus.jsonl#17` (line, from
    1; of Parquet and CSV, the record), or its `__id__` as 16 hex digits or decimal. The source may be left out where
    there is one: `#17`.
    Raises TamisError where that means no row or several, or `run` is not the folder of a finished run.
    """
    finished = Finished.open(Path(run))
    found = find(finished, row, key)
    kept = finished.lines("kept", [found.id]).get(found.id)
    gone = finished.lines("ledger", [found.id]).get(found.id)
    line = kept or gone
    assert line is not None
    left_at = None if gone is None else int(gone["step"])
    stages = [finished.stage(s["stage"]) for s in finished.manifest["stages"] if s["kind"] != "export"]
    excerpt = gone["excerpt"] if gone else (finished.text_of(kept) if kept else None)
    pool = pools.joined(finished.manifest, line[SOURCE])
    return Story(
        found.id, f"{line[SOURCE]}:{line[POSITION]}", found.by, (excerpt or "")[: ledger.EXCERPT],
        tuple(_events(finished, found.id, gone, left_at, pool)), kept["shard"] if kept else None, kept["row"] if kept else None,
        left_at, all(s is not None for s in stages),
    )


def _events(
    run: Finished, row: int, gone: Mapping[str, Any] | None, left_at: int | None, pool: tuple[int, str] | None,
) -> Iterator[Event]:
    if pool is not None:
        yield Event(0, "pool", "joined", pool[1])
    for step in run.manifest["steps"]:
        if left_at is not None and step["step"] > left_at:
            return
        if pool is not None and step["step"] < pool[0]:  # it was in the pool: this run has not read it
            continue
        leaves = gone if step["step"] == left_at else None
        yield _TELL.get(step["kind"], _tell_mapper)(run, step, row, leaves)


def _verdict(step: Mapping[str, Any], leaves: Mapping[str, Any] | None, told: str, verdict: str, **more: Any) -> Event:
    """What the step did; `verdict` is for a row that did not leave."""
    if leaves is None:
        return Event(step["step"], step["op"], verdict, told, **more)
    why = REASONS.get(leaves["reason"], leaves["reason"])
    note = f" ({leaves['note']})" if leaves["note"] else ""
    joint = ": " if told and leaves["reason"] != "duplicate" else " " if told else ""
    return Event(step["step"], step["op"], "left", f"{why}{joint}{told}{note}", **more)


def _tell_read(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    return _verdict(step, leaves, "", verdict="read")


def _tell_mapper(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    verdict, folder = {"embedder": "embedded", "scorer": "scored"}.get(step["kind"], "mapped"), run.stage(step["stage"])
    if folder is None or not step.get("stats"):
        return _verdict(step, leaves, "", verdict=verdict)
    names = [ID, *step["stats"]]
    found = next(lines(sorted((folder.path / "stats").glob("part-*.parquet")), ID, [row], names), {})
    numbers = {n: found.get(n) for n in step["stats"]}
    told = ", ".join(f"{n} {number(v)}" for n, v in numbers.items() if v)
    return _verdict(step, leaves, told, verdict=verdict, numbers=numbers)


def _tell_filter(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    folder, names = run.stage(step["stage"]), step["stats"]
    numbers: dict[str, Any] = {}
    if folder is not None:
        found = next(lines(sorted((folder.path / "stats").glob("part-*.parquet")), ID, [row], [ID, *names]), {})
        numbers = {n: found.get(n) for n in names}
    elif leaves is not None:
        numbers = {leaves["stat"]: leaves["value"]}
    by_rule = leaves is not None and len(names) > 2 and leaves["stat"] in names[:-1]  # then that number is the one to see
    seen = {leaves["stat"]: leaves["value"]} if leaves is not None and by_rule else numbers
    shown = ", ".join(f"{n} {v if isinstance(v, str) else number(v)}" for n, v in seen.items())
    bound = leaves["bound"] if leaves is not None and leaves["bound"] else step["keep"]
    told = f"{shown}  ({bound})" if shown else f"({bound})"
    told = told.replace("<=", "≤")
    if leaves is not None and folder is not None and (leaves["reason"] == "not_member" or leaves["note"] in numbers.values()):
        leaves = {**leaves, "note": None}  # which names the value that is shown already
    return _verdict(step, leaves, told, numbers=numbers, verdict="stays" if folder is not None else "passed")


def _tell_dedup(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    if leaves is not None and leaves["kept_id"] is None:  # for a document of the index, which the note names
        told = f"similarity {leaves['value']:.3f} ({leaves['bound']})".replace(">=", "≥")
        return _verdict(step, leaves, told, "stays")
    if leaves is not None:
        other = int(leaves["kept_id"])
        relative, later = _relative(run, other, leaves["value"])
        alike = "" if leaves["value"] is None else f", similarity {leaves['value']:.3f}"  # None: not verified
        told = f"of {relative.where}{later}{alike} ({leaves['bound']})".replace(">=", "≥")
        return _verdict(step, leaves, told, "stays", relatives=(relative,))
    relatives = _left_for(run, step, row)
    told = f"{counted(len(relatives), 'row')} left for its sake" if relatives else "no duplicate"
    return _verdict(step, None, told, "stays", relatives=relatives)


def _left_for(run: Finished, step: Mapping[str, Any], row: int) -> tuple[Relative, ...]:
    """The rows that left at this step for the sake of `row`, most alike first."""
    members = sorted(lines(run.files("ledger"), "kept_id", [row]), key=lambda r: (-(r["value"] or 0), r[ID]))
    return tuple(Relative(r[ID], f"{r[SOURCE]}:{r[POSITION]}", r["value"], r["excerpt"] or "") for r in members
                 if r["step"] == step["step"] and r["reason"] == "duplicate")


def _tell_trimmer(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    folder, names = run.stage(step["stage"]), step["stats"]
    numbers: dict[str, Any] = {} if leaves is None else {leaves["stat"]: leaves["value"]}
    if folder is not None:
        found = next(lines(sorted((folder.path / "stats").glob("part-*.parquet")), ID, [row], [ID, *names]), {})
        numbers = {n: found.get(n) for n in names}
    told = ", ".join(f"{n} {number(v)}" for n, v in numbers.items())
    verdict = "passed" if folder is None else "trimmed" if any(numbers.values()) else "stays"
    return _verdict(step, leaves, told, verdict, numbers=numbers)


def _relative(run: Finished, row: int, similarity: float | None) -> tuple[Relative, str]:
    """The row kept in another's place, and, where it is not exported itself, when it left."""
    kept, gone = run.lines("kept", [row]).get(row), run.lines("ledger", [row]).get(row)
    line = kept or gone
    if line is None:
        return Relative(row, row_id(row), similarity, ""), ""
    excerpt = (run.text_of(kept) or "")[: ledger.EXCERPT] if kept else line["excerpt"] or ""
    later = "" if kept else f", which left later, at step {line['step']} ({line['op']})"
    return Relative(row, f"{line[SOURCE]}:{line[POSITION]}", similarity, excerpt), later


def _tell_selector(run: Finished, step: Mapping[str, Any], row: int, leaves: Mapping[str, Any] | None) -> Event:
    if leaves is not None and leaves["reason"] == "duplicate":
        return _tell_dedup(run, step, row, leaves)
    folder = run.stage(step["stage"])
    relatives = _left_for(run, step, row) if leaves is None and step["left"].get("duplicate") else ()
    file = folder.path / "selection.parquet" if folder else None
    if file is None or not file.exists():
        return _verdict(step, leaves, "" if leaves is None else leaves["bound"] or "", verdict="passed")
    table = pq.read_table(file)
    found = table.filter(pc.equal(table.column(ID), row)).to_pylist()[0]
    pulled = step["facts"] if "pulls" in step.get("facts", {}) and folder is not None else None  # a bandit chose
    unsaid = (ID, "picked", "order", "gain", *(("pull",) if pulled else ()))
    notes = {k: v for k, v in found.items() if k not in unsaid and not (pulled and v != v)}
    told = [f"{k} {number(v) if isinstance(v, float) else v}" for k, v in notes.items()]
    if "cluster" in notes:
        size = pc.sum(pc.equal(table.column("cluster"), notes["cluster"])).as_py()
        told[list(notes).index("cluster")] += f" ({counted(size, 'row')})"
    if pulled and folder is not None:
        told += pulls.story(folder.path, pulled, found)
    if found["picked"]:
        told = [f"pick {found['order'] + 1:,} of {step['rows_out']:,}", f"gain {number(found['gain'])}", *told]
    numbers = notes | {"order": found["order"], "gain": found["gain"]} if found["picked"] else notes
    if leaves is not None and leaves["kept_id"] is not None:
        relative, later = _relative(run, int(leaves["kept_id"]), leaves["value"])
        told.append(f"most like {relative.where}{later}, similarity {leaves['value']:.3f}")
        relatives = (relative,)
    told += [f"{counted(len(relatives), 'row')} left for its sake"] if relatives and leaves is None else []
    leaves = leaves and {**leaves, "note": leaves["bound"]}
    return _verdict(step, leaves, ", ".join(told), numbers=numbers, verdict="chosen", relatives=relatives)


_TELL = {"read": _tell_read, "filter": _tell_filter, "deduplicator": _tell_dedup, "trimmer": _tell_trimmer,
         "selector": _tell_selector}


def text(told: Story) -> str:
    """The story for a terminal, in plain lines."""
    out = [f"{oneline(told.where)}  (__id__ {row_id(told.id)})", *([f"  {oneline(told.excerpt)}"] if told.excerpt else []), ""]
    width = max(len(e.op) for e in told.events)
    for event in told.events:
        number_ = f"{event.step:>3}" if event.step else "   "
        out.append(f"{number_}  {event.op:<{width}}  {event.verdict:<8}  {event.told}".rstrip())
        for r in event.relatives[:MOST]:
            alike = "" if r.similarity is None else f"{r.similarity:.3f}  "
            out.append(f"       {alike}{oneline(r.where)}  {oneline(r.excerpt)[:90]}".rstrip())
        if len(event.relatives) > MOST:
            out.append(f"       and {len(event.relatives) - MOST:,} more")
    last = told.events[-1]
    fate = f"It lies in {told.shard}, row {told.row:,}." if told.left_at is None else (
        f"It left at step {last.step} ({last.op}): {last.told}." if last.step else "It was not read.")
    out += ["", fate]
    if not told.whole:
        out.append("The workspace of this run has been removed, so numbers that did not decide are not told.")
    return "\n".join(out)
