"""What has become of one row of a pool: when it came, whether it is there, and if not, why it left."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..corpus import row_ids
from ..errors import TamisError
from ..ledger import EXCERPT, ID, POSITION, SOURCE
from ..reporting.words import REASONS, ids_of, row_id
from . import store
from .store import SINCE, Version


def is_pool(folder: Path) -> bool:
    """Whether the folder is a pool."""
    return (folder / "current.json").is_file()


def joined(manifest: Mapping[str, Any], source: str) -> tuple[int, str] | None:
    """Of a run with a pool: the first step that saw a row of `source`, and how it came, where it came from the pool."""
    pool = manifest.get("pool")
    since = pool["sources"].get(source) if pool else None
    if not pool or since is None or since == pool["version"]:
        return None
    return pool["step"], f"from {pool['path']}, in which it has been since version {since:04d}"


def tell(pool: Path, row: str, key: str = "id") -> str:
    """The story of a row that is, or was, in a pool, in plain lines.

    `row`: its value in the column `key` (of rows that are there), SOURCE:POSITION, or its `__id__`. Raises TamisError where no
    version that is kept knows it, or several rows have that value.
    """
    newest = store.current(pool)
    assert newest is not None  # `is_pool` has seen it
    row = row.encode("utf-8", "backslashreplace").decode()  # of a terminal, any bytes
    wanted, rows = _ids(row), newest.table("rows.parquet")
    found = rows.filter(pc.is_in(rows.column(ID), pa.array(wanted, pa.int64()))).to_pylist() or _keyed(rows, row, key)
    if len(found) > 1:
        places = ", ".join(f"{r[SOURCE]}:{r[POSITION]}" for r in found[:5])
        raise TamisError(f"{pool}: {len(found)} rows have {row!r} as their {key!r}: name one by its place, {places}"
                         f"{' ...' if len(found) > 5 else ''}")
    if found:
        return _stays(newest, found[0])
    for version in _older(pool, newest):
        left = version.table("left.parquet")
        gone = left.filter(pc.is_in(left.column(ID), pa.array(wanted, pa.int64()))).to_pylist()
        if gone:
            return _left(version, gone[0])
    oldest = min((v.number for v in _older(pool, newest)), default=newest.number)
    raise TamisError(f"{pool}: no row {row!r} is there, nor has one left since version {oldest:04d}, the oldest kept. A row "
                     f"is its value in your id column (--key), SOURCE:POSITION or its __id__; for one that was never taken in, ask "
                     "the run: tamis why RUN ROW")


def _keyed(rows: pa.Table, row: str, key: str) -> list[dict[str, Any]]:
    """The rows whose `key` is `row`."""
    if key not in rows.schema.names or pa.types.is_nested(rows.schema.field(key).type):
        return []
    return rows.filter(pc.equal(pc.cast(rows.column(key), pa.string()), row)).to_pylist()  # type: ignore[no-any-return]


def _ids(row: str) -> list[int]:
    source, colon, position = row.rpartition(":")
    placed = colon and position.isdecimal() and len(position) < 20 and int(position) < 1 << 63
    return ids_of(row) + ([int(row_ids(source, np.array([int(position)]))[0])] if placed else [])


def _older(pool: Path, newest: Version) -> Iterator[Version]:
    """The versions that are kept, the newest first."""
    for number in range(newest.number, 0, -1):
        found = store.version(pool, number)
        if found is None:
            return
        yield found


def _head(line: dict[str, Any], excerpt: str) -> str:
    return f"{line[SOURCE]}:{line[POSITION]}  (__id__ {row_id(line[ID])})\n  {' '.join(excerpt.split())[:EXCERPT]}\n"


def _came(newest: Version, since: int) -> str:
    take = next(t for t in newest.told["takes"] if t["version"] == since)
    return f"It came with version {since:04d} ({', '.join(s for s, _ in take['inputs'][:3])})."


def _stays(newest: Version, line: dict[str, Any]) -> str:
    numbers = newest.table("numbers.parquet")
    told = numbers.filter(pc.equal(numbers.column(ID), line[ID])).to_pylist()[0]
    since = told.pop(SINCE)
    scores = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in told.items() if k != ID and v is not None)
    text = str(line.get(newest.told["text_keys"][0]) or "")
    return "\n".join([_head(line, text), _came(newest, since), f"It is in the pool, version {newest.number:04d}"
                      + (f"; its scores: {scores}." if scores else ".")])


def _left(version: Version, line: dict[str, Any]) -> str:
    why = REASONS.get(line["reason"], line["reason"])
    alike = "" if line["value"] is None else f", similarity {line['value']:.3f}"
    bound = f" ({line['bound']})" if line["bound"] else ""
    joined = " of" if line["reason"] == "duplicate" else ", most like"
    other = "" if line["kept_id"] is None else f"{joined} {_named(version, line['kept_id'])}"
    note = f"; {line['note']}" if line["note"] else ""
    left = f"It left with version {version.number:04d}, at step {line['step']} ({line['op']}): {why}{other}{alike}{bound}{note}."
    return "\n".join([_head(line, line["excerpt"] or ""), _came(version, line[SINCE]), left])


def _named(version: Version, row: int) -> str:
    rows = version.table("rows.parquet", [ID, SOURCE, POSITION])
    found = rows.filter(pc.equal(rows.column(ID), row)).to_pylist()
    return f"{found[0][SOURCE]}:{found[0][POSITION]}" if found else f"__id__ {row_id(row)}"
