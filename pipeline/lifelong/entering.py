"""What a run does with its pool: it holds it while it works, and at its end makes the next version of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import corpus
from ..errors import LostRowError, StaleError
from ..export import ContentHash
from ..ledger import ID, SOURCE
from ..ledger import SCHEMA as LEDGER
from ..plan import Plan, Stage
from ..stages import pooled
from ..stages.lineage import Lineage, read
from ..workspace import StageFolder, read_json
from . import store
from .pinning import PoolPin
from .store import SINCE, Version

Done = Sequence[tuple[Stage, StageFolder, Lineage | None]]


def pin_of(planned: Plan) -> PoolPin | None:
    """The pool of a run, if it has one."""
    return next((s.pool for s in planned.stages if s.pool is not None), None)


@contextmanager
def held(planned: Plan) -> Iterator[None]:
    """Nobody else takes rows into the pool meanwhile. Raises StaleError where another does, or has since the plan was made."""
    pin = pin_of(planned)
    if pin is None:
        yield
        return
    with store.writing(pin.folder):
        newest = store.current(pin.folder)
        takes = newest.told["takes"] if newest else []
        mine = next((t["version"] for t in takes if t["key"] == pin.key), 0)
        if mine != pin.taken or (not mine and (newest.state if newest else "") != pin.state):
            raise StaleError(f"pool {pin.folder} has taken rows in since the run was planned: run again")
        yield


def entered(planned: Plan, done: Done) -> dict[str, Any] | None:
    """Make the next version of the pool, unless this run has made it already; for the manifest, what has become of the pool."""
    pin = pin_of(planned)
    if pin is None:
        return None
    if pin.taken:
        newest = store.current(pin.folder)
        assert newest is not None  # `held` has read it
        take = next(t for t in newest.told["takes"] if t["key"] == pin.key)
        return _for_run(pin, newest.told["takes"], take)
    stage, folder, before = next(d for d in done if d[0].kind == "select" and d[0].pool is not None)
    joined = next(d[1] for d in done if d[0].kind == "pool")
    assert before is not None
    embedded = next((d[1].record or {} for d in done if d[0].kind == "embed"), {})
    made = _Making(planned, pin, stage, folder, joined, before, embedded.get("facts", {}))
    told = made.told()
    number = told["told"]["version"]
    take = {"version": number, "key": pin.key, "before": pin.state, "inputs": [list(i) for i in pin.inputs]}
    take["told"] = told.pop("told")
    takes = [*(pin.base.told["takes"] if pin.base else []), take]
    store.write(pin.folder, number, made.tables(), told | {"takes": takes, "before": pin.state}, pin.asked.versions)
    return _for_run(pin, takes, take)


def _for_run(pin: PoolPin, takes: Sequence[Mapping[str, Any]], take: Mapping[str, Any]) -> dict[str, Any]:
    """What the run's manifest says: where rows of the pool came from (source -> version), as it was then."""
    sources = {s: t["version"] for t in takes if t["version"] <= take["version"] for s, _ in t["inputs"]}
    return {"path": str(pin.folder), "step": pin.step, "sources": sources, **take["told"]}


class _Making:
    """The next version of a pool, from the stage that has chosen its rows."""

    def __init__(
        self, planned: Plan, pin: PoolPin, stage: Stage, folder: StageFolder, joined: StageFolder, before: Lineage,
        embedding: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.computed = next((told["computed"] for told in embedding.values() if "computed" in told), 0)
        self.planned, self.pin, self.stage, self.folder, self.joined = planned, pin, stage, folder, joined
        self.parts = range(len(planned.splits))
        self.lineage, self.names = before.after_narrow(folder), pooled.names_of(before)
        self.number = 1 if pin.base is None else pin.base.number + 1
        self.base: Version | None = pin.base
        pieces = [p for part in self.parts for p in self.lineage.pieces(part)]
        nothing = pa.schema([*LEDGER][:3])  # the key columns
        self.schema = corpus.unify([nothing, *(pq.read_schema(p) for p in pieces)])
        ids = [b.column(ID).to_numpy() for part in self.parts for b in self.lineage.read(part, [])]
        self.ids = np.concatenate([np.empty(0, np.int64), *ids])
        self.since = self._since()
        self.left = self._left()
        old = 0 if self.base is None else int(self.base.told["rows"])
        stayed = int((self.since < self.number).sum())
        if old != stayed + len(self.left):
            raise LostRowError(f"of the {old} rows of pool {pin.folder} {stayed} stay and {len(self.left)} are in the ledger")

    def _since(self) -> np.ndarray:
        """int64[n], the version that took each row in."""
        if self.base is None:
            return np.full(len(self.ids), self.number)
        held = self.base.table("numbers.parquet", [ID, SINCE])
        at = pc.index_in(pa.array(self.ids), held.column(ID).combine_chunks())
        return np.asarray(pc.fill_null(held.column(SINCE).take(at), self.number).to_numpy())

    def _left(self) -> pa.Table:
        """Ledger lines of the rows that were in the pool and are not any more, with the version that had taken them in."""
        schema = LEDGER.append(pa.field(SINCE, pa.int64()))
        if self.base is None:
            return schema.empty_table()
        held = self.base.table("numbers.parquet", [ID, SINCE])
        lines = pa.concat_tables([read(self.folder.file("ledger", part)) for part in self.parts])
        lines = lines.filter(pc.is_in(lines.column(ID), held.column(ID).combine_chunks())).sort_by(ID)
        at = pc.index_in(lines.column(ID), held.column(ID).combine_chunks())
        return lines.append_column(SINCE, held.column(SINCE).take(at)).cast(schema)

    def _remembered(self) -> pa.Table:
        return read(self.folder.path / "identity.parquet")

    def _rows(self, path: Path) -> None:
        with pq.ParquetWriter(path, self.schema, compression="zstd", compression_level=1) as writer:
            for batch in self._batches():
                writer.write_batch(batch)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in chain.from_iterable(self.lineage.read(part) for part in self.parts):
            yield corpus.conform(batch, self.schema)

    def _vectors(self) -> pa.Table:
        tables = [read(self.joined.file("vectors", part)) for part in self.parts]
        tables = [t for t in tables if len(t)] or tables[:1]
        whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        return whole.take(pc.index_in(pa.array(self.ids), whole.column(ID).combine_chunks()))

    def _numbers(self) -> pa.Table:
        whole = pa.concat_tables([read(self.joined.file("stats", part)) for part in self.parts], promote_options="permissive")
        whole = whole.take(pc.index_in(pa.array(self.ids), whole.column(ID).combine_chunks()))
        return whole.add_column(1, SINCE, pa.array(self.since)).combine_chunks()

    def tables(self) -> dict[str, Any]:
        """File -> what writes it."""
        vectors, numbers = self._vectors(), self._numbers()
        return {
            "rows.parquet": self._rows,
            "vectors.parquet": lambda path: pq.write_table(vectors, path, compression="zstd", compression_level=1),
            "numbers.parquet": lambda path: pq.write_table(numbers, path, compression="zstd", compression_level=1),
            "clusters.parquet": lambda path: pq.write_table(self._remembered(), path, compression="zstd", compression_level=1),
            "left.parquet": lambda path: pq.write_table(self.left, path, compression="zstd", compression_level=1),
        }

    def told(self) -> dict[str, Any]:
        """The version's manifest, without its files; under `told`, what the run's manifest says of it."""
        hashed = ContentHash(self.planned.recipe.text_keys)
        for batch in self._batches():
            hashed.update(batch)
        facts, clusters = read_json(self.folder.path / "facts.json") or {}, self._remembered()
        following = int((clusters.schema.metadata or {}).get(b"following", b"0"))
        drift, new = pooled.drift_of(self.joined), self.since == self.number
        arrived = int(sum((self.joined.part_record(part) or {})["rows_in"] for part in self.parts))
        counts = {
            "rows": len(self.ids), "rows before": 0 if self.base is None else self.base.told["rows"], "new rows": arrived,
            "new that stay": int(new.sum()), "old that stay": int((~new).sum()), "old that left": len(self.left),
        }
        reasons = dict(sorted(Counter(self.left.column("reason").to_pylist()).items()))
        summary = {
            "version": self.number, **counts, "left by": reasons, "vectors computed": self.computed,
            "rows scored again": drift["rows"],
            "drift": drift["of"], "clusters": len(clusters), "events": facts.get("events", []), "content_hash": hashed.hexdigest(),
        }
        vectors = self._vectors()
        return {
            "rows": len(self.ids), "content_hash": hashed.hexdigest(), "text_keys": list(self.planned.recipe.text_keys),
            "embedding": dict(self.pin.embedding), "numbers": dict(self.pin.numbers),
            "dimensions": vectors.schema.field("vector").type.list_size, "clusters": {"k": len(clusters), "following": following},
            "sources": dict(sorted(Counter(self._sources()).items())), "told": summary,
        }

    def _sources(self) -> list[str]:
        return [s for part in self.parts for b in self.lineage.read(part, []) for s in b.column(SOURCE).to_pylist()]


def text(told: Mapping[str, Any]) -> str:
    """What has become of the pool, in plain lines, for a terminal."""
    left = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in told["left by"].items())
    gone = f", {told['old that left']:,} left ({left})" if left else ""
    events = Counter(e["event"] for e in told["events"])
    changes = ", ".join(f"{n} {event}" for event, n in sorted(events.items())) or "none split, merged or emptied"
    lines = [f"pool: {told['path']}, version {told['version']:04d}: {told['rows']:,} rows. Of {told['rows before']:,} before, "
             f"{told['old that stay']:,} stay{gone}; of {told['new rows']:,} new {told['new that stay']:,} stay",
             f"      vectors of {told['vectors computed']:,} rows computed; {told['clusters']:,} clusters: {changes}"]
    for name, drift in told["drift"].items():
        moved = f"{drift['slope']:.3g} x {drift['intercept']:+.3g}" if drift["corrected"] else "left as they are"
        then = f", then off by {drift['after']:.3g}" if drift["corrected"] else ""
        lines.append(f"      {name} of {drift['rows']:,} old rows taken again: off by {drift['before']:.3g} (root mean square); "
                     f"the others: {moved}{then}")
    return "\n".join(lines)
