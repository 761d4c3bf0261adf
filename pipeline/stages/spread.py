"""The export as tasks, for engines whose workers are elsewhere: the files of `export.py` to the byte, and no text passes here.

One pass over the parts tells how large each row is as written; from that follows where each shard begins, and a second
pass writes the shards side by side. Which rows and ledger lines go into which file follows from the parts' counts.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..engines.base import Counts, Engine
from ..export import ContentHash, Exporter, Shard
from ..formats.places import Sink, finish, names_in, open_output, remove, rename
from ..formats.rows import fitting
from ..formats.schemas import conform
from ..workspace import StageFolder
from .lineage import Told
from .tables import read_arrow, write_arrow

Rows = Callable[[int], Iterator[pa.RecordBatch]]  # the rows of a part as they are exported, with their key columns


@dataclass(frozen=True)
class SizesTask:
    """How large each row of a part is, and its share of the content hash."""

    folder: StageFolder
    rows: Rows
    out: Exporter
    texts: tuple[str, ...]

    def __call__(self, part: int) -> Counts:
        """Write the sizes."""
        hashed, sizes = ContentHash(self.texts), [np.empty(0, np.int64)]
        for batch in self.rows(part):
            hashed.update(batch)
            sizes.append(self.out.encoder.encode(conform(batch.select(self.out.schema.names), self.out.schema))[1])
        write_arrow(self.folder.file("sizes", part, "arrow"), pa.table({"bytes": np.concatenate(sizes)}))
        return {"rows": hashed.rows, "total": f"{hashed.total:x}"}


@dataclass(frozen=True)
class ShardTask:
    """Writes one shard. `cuts`: of each shard, (part, first row, end) of all that goes into it."""

    rows: Rows
    out: Exporter
    cuts: tuple[tuple[tuple[int, int, int], ...], ...]

    def __call__(self, number: int) -> Counts:
        """Under its own name as soon as it is whole; an attempt that dies leaves a hidden file."""
        name = self.out._names(len(self.cuts))[number]
        url = f"{self.out.folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
        sink, rows = Sink(open_output(url)), 0
        writer = self.out.encoder.start(sink)  # type: ignore[arg-type]
        for part, start, stop in self.cuts[number]:
            at = 0
            for batch in self.rows(part):
                low, high = max(start - at, 0), min(stop - at, len(batch))
                if low < high:
                    writer.write(*self.out.encoder.encode(
                        conform(batch.select(self.out.schema.names).slice(low, high - low), self.out.schema)))
                    rows += high - low
                at += len(batch)
        writer.close()
        finish(sink.file)
        rename([(url, f"{self.out.folder}/{name}")])
        return {"rows": rows, "bytes": sink.bytes, "digest": f"xxh3:{sink.hash.hexdigest()}"}


def shards(
    engine: Engine, folder: StageFolder, rows: Rows, parts: range, out: Exporter, hashed: ContentHash, told: Told
) -> list[Shard]:
    """Write all shards of `out`; `hashed` receives the rows."""
    records = engine.map(SizesTask(folder, rows, out, hashed.texts), parts, told)
    hashed.total = (hashed.total + sum(int(r["total"], 16) for r in records)) % (1 << 128)
    hashed.rows += sum(r["rows"] for r in records)
    cuts = _cuts(((p, read_arrow(folder.file("sizes", p, "arrow")).column("bytes").to_numpy()) for p in parts), out)
    task = ShardTask(rows, out, tuple(map(tuple, cuts)))
    written = engine.map(task, range(len(cuts)), lambda _: None)
    names = out._names(len(cuts))
    for old in names_in(out.folder):
        if out.is_left(old, names):
            remove(f"{out.folder}/{old}")
    return [Shard(f"{out.folder}/{name}", w["rows"], w["bytes"], w["digest"]) for name, w in zip(names, written, strict=True)]


def _cuts(parts: Any, out: Exporter) -> list[list[tuple[int, int, int]]]:
    """Where `Exporter.write` would begin a new shard, part by part."""
    found: list[list[tuple[int, int, int]]] = [[]]
    rows = filled = 0
    for part, sizes in parts:
        start = 0
        while start < len(sizes):
            count = fitting(sizes, start, out.shard_rows - rows if out.shard_rows else None,
                            out.shard_bytes - filled if out.shard_bytes else None)
            if count == 0 and rows:
                found.append([])
                rows = filled = 0
                continue
            stop = start + max(1, count)
            found[-1].append((part, start, stop))
            rows, filled, start = rows + stop - start, filled + int(sizes[start:stop].sum()), stop
    return found
