"""Whether a finished run is still what its manifest says: shards, ledger, kept rows, content, inputs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import corpus
from .corpus import Source
from .errors import ReadError, RecipeError
from .export import ContentHash
from .formats.finding import digest_of
from .formats.kinds import format_of
from .formats.rows import HINT
from .ledger import ID, KEY_COLUMNS
from .reporting.finished import Finished
from .reporting.words import counted

EXAMPLES = 3  # offenders named in a finding


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: `level` ok, warn or fail; `text` one sentence."""

    level: Literal["ok", "warn", "fail"]
    text: str


@dataclass(frozen=True)
class _Books:
    """The narrow columns of ledger and kept rows. Cost: about 40 bytes a row."""

    kept: pa.Table
    ledger: pa.Table


def check(run: Path) -> list[Finding]:
    """Everything that can be checked about a finished run without repeating it, in reading order.

    Shards are read whole (digest, content); of ledger and kept rows the narrow columns. A changed input is a warning:
    the run's answer stands, but cannot be repeated. Raises TamisError where `run` is not the folder of a finished run.
    """
    finished = Finished.open(Path(run))
    found = [*_guarded("the files", _files, finished)]
    try:
        books = _Books(_read(finished, "kept", [ID, "shard", "row"]), _read(finished, "ledger", [ID, "step", "reason", "kept_id"]))
    except (OSError, pa.ArrowException) as e:
        return [*found, Finding("fail", f"ledger or kept rows cannot be read: {e}."), *_guarded("the inputs", _inputs, finished)]
    found += _sums(finished, books)
    found += _steps(finished, books)
    found += _relatives(books)
    found += _numbering(finished, books)
    found += _guarded("the content", lambda f: _content(f, books), finished)
    return [*found, *_guarded("the inputs", _inputs, finished)]


def _guarded(what: str, checks: Callable[[Finished], Iterator[Finding]], run: Finished) -> Iterator[Finding]:
    """The findings of a check that reads files; a file that cannot be read is a finding too."""
    try:
        yield from checks(run)
    except (OSError, pa.ArrowException, ReadError, RecipeError) as e:
        yield Finding("fail", f"{what} cannot be checked: {str(e).removesuffix(f'. {HINT}')}.")


def _read(run: Finished, kind: str, columns: list[str]) -> pa.Table:
    files = run.files(kind)
    if not files:
        raise FileNotFoundError(f"there is no {kind}/part-*.parquet in {run.folder}")
    return pa.concat_tables([pq.read_table(f, columns=columns) for f in files])


def _verdict(wrong: list[str], right: str) -> Finding:
    """ok, or fail with the first few offenders."""
    if not wrong:
        return Finding("ok", right)
    more = f" and {len(wrong) - EXAMPLES:,} more" if len(wrong) > EXAMPLES else ""
    return Finding("fail", "; ".join(wrong[:EXAMPLES]) + more + ".")


def _files(run: Finished) -> Iterator[Finding]:
    """Each file that the manifest names, byte for byte; and beside them none that readers of a folder would take for one."""
    shards, others = run.manifest["shards"], [*run.manifest["ledger"], *run.manifest["kept"]]
    digests, wrong = {f["path"]: f["digest"] for f in (*shards, *others)}, []
    for name, digest in digests.items():
        path = run.folder / name
        if not path.exists():
            wrong.append(f"{name} is missing")
        elif digest_of(str(path)) != digest:
            wrong.append(f"{name} has changed: its digest is not the manifest's")
    for folder in ("data", "ledger", "kept"):
        there = sorted(f"{folder}/{p.name}" for p in (run.folder / folder).glob("[!._]*"))
        wrong += [f"{name} is not of this run, but whoever reads {folder}/ reads it too" for name in there if name not in digests]
    told = f"{counted(len(shards), 'exported file')}, {len(others)} of ledger and kept rows"
    yield _verdict(wrong, f"{told}, byte for byte what the manifest says.")
    rows = sum(s["rows"] for s in shards)
    if rows != run.manifest["rows_out"]:
        yield Finding("fail", f"the manifest's shards hold {rows:,} rows, it says that {run.manifest['rows_out']:,} were kept.")


def _sums(run: Finished, books: _Books) -> Iterator[Finding]:
    told, kept, left = run.manifest, len(books.kept), len(books.ledger)
    wrong = [f"{name} has {n:,} lines, the manifest says {told[key]:,}"
             for name, n, key in (("kept", kept, "rows_out"), ("the ledger", left, "rows_left")) if n != told[key]]
    rows = told["rows_in"] + told.get("rows_born", 0)
    if kept + left != rows:
        wrong.append(f"{rows:,} rows were read or made of them, but kept and ledger together have {kept + left:,} lines")
    came = "read or made of them" if told.get("rows_born") else "read"
    yield _verdict(wrong, f"{kept:,} kept + {left:,} in the ledger = {rows:,} rows {came}.")
    ids = np.concatenate([books.kept.column(ID).to_numpy(), books.ledger.column(ID).to_numpy()])
    names, counts = np.unique(ids, return_counts=True)
    twice = names[counts > 1]
    yield _verdict([f"row {i} has {n} lines" for i, n in zip(twice.tolist(), counts[counts > 1].tolist(), strict=True)],
                   "Every row has one line, among the kept or in the ledger.")


def _steps(run: Finished, books: _Books) -> Iterator[Finding]:
    """Each step's lines by reason, against the manifest."""
    tally = books.ledger.group_by(["step", "reason"]).aggregate([([], "count_all")]).to_pylist()
    found: dict[int, Counter[str]] = {}
    for r in tally:
        found.setdefault(r["step"], Counter())[r["reason"]] = r["count_all"]
    told = {s["step"]: s for s in run.manifest["steps"]}
    wrong = [f"the ledger has lines of step {n}, which the recipe does not have" for n in sorted(set(found) - set(told))]
    for n, step in told.items():
        if dict(found.get(n, {})) != step["left"]:
            there = _counts(found.get(n, {}))
            wrong.append(f"step {n} ({step['op']}): the ledger has {there}, the manifest {_counts(step['left'])}")
    yield _verdict(wrong, f"The ledger's lines per step and reason are the manifest's, over {len(told)} steps.")


def _counts(left: Any) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(left.items())) or "nothing"


def _relatives(books: _Books) -> Iterator[Finding]:
    """Whoever a duplicate left for was still there at that step."""
    lines = books.ledger.filter(pc.is_valid(books.ledger.column("kept_id")))
    wanted, steps = lines.column("kept_id").to_numpy(), lines.column("step").to_numpy()
    ids, left_at = books.ledger.column(ID).to_numpy(), books.ledger.column("step").to_numpy()
    order = np.argsort(ids, kind="stable")
    stays = np.isin(wanted, books.kept.column(ID).to_numpy())
    if len(ids):
        at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
        stays |= (ids[at] == wanted) & (left_at[at] > steps)
    wrong = [f"row {r} left for row {k}, which is neither kept nor left later"
             for r, k in zip(lines.column(ID).to_numpy()[~stays].tolist(), wanted[~stays].tolist(), strict=True)]
    duplicates = int(pc.sum(pc.equal(lines.column("reason"), "duplicate")).as_py() or 0)
    others = f", and {len(lines) - duplicates:,} more lines name such a row" if len(lines) > duplicates else ""
    yield _verdict(wrong, f"Each of the {duplicates:,} duplicates left for a row that was still there{others}.")


def _numbering(run: Finished, books: _Books) -> Iterator[Finding]:
    """The kept lines of each shard number its rows 0, 1, 2 ..."""
    wrong = []
    told = {s["path"]: s["rows"] for s in run.manifest["shards"]}
    for shard in pc.unique(books.kept.column("shard")).to_pylist():
        rows = np.sort(books.kept.filter(pc.equal(books.kept.column("shard"), shard)).column("row").to_numpy())
        if shard not in told:
            wrong.append(f"kept rows are said to lie in {shard}, which the manifest does not name")
        elif len(rows) != told[shard] or (rows != np.arange(len(rows))).any():
            wrong.append(f"the kept lines of {shard} do not number its {told[shard]:,} rows")
    yield _verdict(wrong, "Every kept line points to a row of its own in an exported file.")


def _content(run: Finished, books: _Books) -> Iterator[Finding]:
    """The content hash, computed again from the exported text and the ids of the kept lines."""
    texts = run.manifest["recipe"]["text_keys"]
    again = ContentHash(texts)
    for told in run.manifest["shards"]:
        kept = books.kept.filter(pc.equal(books.kept.column("shard"), told["path"])).sort_by("row")
        at = 0
        for batch in _shard_batches(run, told, texts):
            ids = kept.column(ID).slice(at, len(batch)).combine_chunks()
            if len(ids) != len(batch):
                break
            at += len(batch)
            again.update(pa.RecordBatch.from_arrays([ids, *(batch.column(t) for t in texts)], names=[ID, *texts]))
    same = again.hexdigest() == run.manifest["content_hash"]
    yield _verdict([] if same else ["the exported text is not what was exported: its content hash is another"],
                   f"The text of the exported rows has the manifest's content hash, {run.manifest['content_hash'][:16]}.")


def _shard_batches(run: Finished, told: dict[str, Any], texts: list[str]) -> Iterator[pa.RecordBatch]:
    path = run.folder / told["path"]
    if not path.exists() or not told["rows"]:
        return
    format, codec = format_of(path.name)
    source = Source(str(path), told["path"], path.stat().st_size, "", format or "parquet", codec)
    wanted = [] if any(s["kind"] == "grouper" for s in run.manifest["steps"]) else texts  # texts of grouped rows are lists
    for split in corpus.cut([source]):
        for batch in corpus.read(split, text_keys=wanted, batch_rows=8192, batch_bytes=16 << 20, tolerate=False):
            yield batch.drop_columns([c for c in KEY_COLUMNS if c in batch.schema.names])


def _inputs(run: Finished) -> Iterator[Finding]:
    told = {i["source"]: i["digest"] for i in run.manifest["inputs"]}
    there = {s.source: s for s in run.sources()}
    changed = [n for n, d in told.items() if n in there and digest_of(there[n].url) != d]
    missing = [n for n in told if n not in there]
    for names, what in ((missing, "can no longer be found where the run read it"), (changed, "has changed since the run")):
        if names:
            shown = ", ".join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else "")
            yield Finding("warn", f"Input {shown} {what}: the result stands, but cannot be made again.")
    if not missing and not changed:
        yield Finding("ok", f"{counted(len(told), 'input file')}, still what the run read.")
