"""The largest clusters of duplicates of a finished run, with what differs between the row that stays and those that left."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import regex
from rich.console import Console
from rich.text import Text

from .columns import find
from .ledger import ID, POSITION, SOURCE
from .reporting.finished import Finished
from .reporting.words import oneline, row_id

WORDS = 2000  # of each text that are compared
AROUND = 6  # words shown at either side of a difference
_WORD = regex.compile(r"\s*\S+")

Piece = tuple[str, str]  # (same, removed, added or skipped; its text)


@dataclass(frozen=True)
class Member:
    """A row that left. `diff`: from the row that stays to this one; None where their texts are gone with the workspace.

    `note`: what the ledger says besides: that it is less alike than asked, as others of the cluster link the two.
    """

    id: str
    where: str
    similarity: float | None
    diff: tuple[Piece, ...] | None
    excerpt: str
    note: str | None = None


@dataclass(frozen=True)
class Cluster:
    """Rows that left for one row's sake at one step; `size` counts that one too, `members` are some of the others."""

    step: int
    op: str
    size: int
    kept_id: str
    kept_where: str
    kept_excerpt: str
    members: tuple[Member, ...]


def clusters(run: Path, limit: int = 5, members: int = 3) -> list[Cluster]:
    """The `limit` largest clusters, largest first, each with the `members` least alike to the row that stays.

    Raises TamisError where `run` is not the folder of a finished run. Cost: the ledger's narrow columns in memory; one
    pass over the rows of the workspace for the texts.
    """
    finished = Finished.open(Path(run))
    columns = ["step", "op", "kept_id"]
    read = [pq.read_table(f, columns=columns, filters=pc.field("reason") == "duplicate") for f in finished.files("ledger")]
    if not read:
        return []
    sizes = pa.concat_tables(read).group_by(columns).aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("step", "ascending"), ("kept_id", "ascending")]
    return [_cluster(finished, c, members) for c in sizes.sort_by(order).slice(0, limit).to_pylist()]


def indexed(run: Path) -> int:
    """How many rows left for the sake of rows that an index remembers: their texts are not here, so they are no clusters."""
    return sum(step["left"].get("indexed", 0) for step in Finished.open(Path(run)).manifest["steps"])


def _cluster(run: Finished, told: dict[str, Any], members: int) -> Cluster:
    kept = told["kept_id"]
    mine = (pc.field("kept_id") == kept) & (pc.field("step") == told["step"])
    gone = [r for f in run.files("ledger") for r in pq.read_table(f, filters=mine).to_pylist()]
    gone.sort(key=lambda r: (1.0 if r["value"] is None or np.isnan(r["value"]) else r["value"], r[ID]))
    shown = gone[:members]
    texts = _texts(run, told["step"], [kept, *(r[ID] for r in shown)])
    line = (run.lines("kept", [kept]) or run.lines("ledger", [kept])).get(kept, {})
    rows = tuple(Member(
        row_id(r[ID]), f"{r[SOURCE]}:{r[POSITION]}", None if r["value"] is None or np.isnan(r["value"]) else r["value"],
        tuple(diff(texts[kept], texts[r[ID]])) if kept in texts and r[ID] in texts else None, r["excerpt"] or "",
        r["note"],
    ) for r in shown)
    where = f"{line[SOURCE]}:{line[POSITION]}" if line else row_id(kept)
    return Cluster(told["step"], told["op"], told["count_all"] + 1, row_id(kept), where, texts.get(kept, "")[:160], rows)


def _texts(run: Finished, step: int, ids: list[int]) -> dict[int, str]:
    """Texts as the step saw them, of those rows whose text the workspace still has."""
    told = next(s for s in run.manifest["steps"] if s["step"] == step)
    writers = [s["stage"] for s in run.manifest["stages"] if s["kind"] in ("rows", "trim", "group") and s["stage"] < told["stage"]]
    folder = run.stage(writers[-1]) if writers else None
    found: dict[int, str] = {}
    for piece in sorted((folder.path / "rows").glob("part-*.parquet")) if folder else ():
        table = pq.read_table(piece, columns=[ID, told["text_key"]], filters=pc.field(ID).isin(ids))
        columns = dict(zip(table.column_names, (c.combine_chunks() for c in table.columns), strict=True))
        column = find(columns, told["text_key"])
        values = [""] * len(table) if column is None else column.to_pylist()
        found |= dict(zip(table.column(ID).to_pylist(), (t if isinstance(t, str) else "" for t in values), strict=True))
        if len(found) == len(ids):
            break
    return found


def diff(before: str, after: str) -> Iterator[Piece]:
    """What differs, word by word: (same | removed | added | skipped, text); long stretches that are the same are skipped.

    Words keep the white space before them. Beyond WORDS words nothing is compared.
    """
    a, b = _WORD.findall(before)[:WORDS], _WORD.findall(after)[:WORDS]
    bare = [w.strip() for w in a], [w.strip() for w in b]
    blocks = SequenceMatcher(None, *bare, autojunk=False).get_opcodes()
    for number, (what, a0, a1, b0, b1) in enumerate(blocks):
        if what == "equal":
            yield from _same(a[a0:a1], number > 0, number < len(blocks) - 1)
            continue
        if a1 > a0:
            yield "removed", "".join(a[a0:a1])
        if b1 > b0:
            yield "added", "".join(b[b0:b1])


def _same(words: list[str], follows: bool, goes_on: bool) -> Iterator[Piece]:
    """Equal words; only those near a difference are shown."""
    head, tail = AROUND if follows else 0, AROUND if goes_on else 0
    if len(words) <= head + tail + 1:
        yield "same", "".join(words)
        return
    if head:
        yield "same", "".join(words[:head])
    yield "skipped", f" [{len(words) - head - tail:,} words] "
    if tail:
        yield "same", "".join(words[-tail:])


def as_json(found: list[Cluster]) -> list[dict[str, Any]]:
    """Plain values."""
    return [asdict(c) for c in found]


_MARKS = {
    "same": ("", "", ""), "skipped": ("", "", "dim"), "removed": ("[-", "-]", "red strike"), "added": ("{+", "+}", "bold green"),
}


def show(console: Console, found: list[Cluster], indexed: int = 0) -> None:
    """For a terminal; what left has `[-...-]`, what is new `{+...+}`, so that it is readable without colours."""
    if not found:
        console.print("No row left as a duplicate of another row of this run.")
    if indexed:
        verb = "row left as a duplicate of one" if indexed == 1 else "rows left as duplicates of some"
        console.print(f"{indexed:,} {verb} that the index remembers; `tamis why RUN ROW` names it.\n")
    for c in found:
        console.print(Text(f"{c.size:,} rows  step {c.step} ({c.op})  stays: {oneline(c.kept_where)}", "bold"))
        console.print(Text(f"  {oneline(c.kept_excerpt)}", "dim"))
        for m in c.members:
            alike = "" if m.similarity is None else f"  similarity {m.similarity:.3f}"
            note = f" ({m.note})" if m.note else ""
            console.print(Text(f"  left: {oneline(m.where)}{alike}{note}", "cyan"))
            console.print(_drawn(m))
        console.print()


def _drawn(member: Member) -> Text:
    if member.diff is None:
        return Text(f"    {oneline(member.excerpt)}  (the workspace is gone, so only its beginning is known)", "dim")
    if all(what in ("same", "skipped") for what, _ in member.diff):
        return Text("    the same words", "dim")
    out = Text("    ")
    for what, piece in member.diff:
        before, after, style = _MARKS[what]
        words = oneline(" ".join(piece.split()))
        out.append(f"{before}{words}{after} ", style)
    return out
