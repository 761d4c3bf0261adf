"""The exchange of row hashes against brute force on Python values: sets, bags and draws, in one range of the hash space or many."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators.lake.exact import RowSet, fingerprint, row_set
from tamis.operators.lake.sketch import disproved, sketch
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.lake import joins, sketches
from tamis.pipeline.lake.hashing import write_runs
from tamis.pipeline.workspace import StageFolder

WORDS = np.random.default_rng(0).integers(0, 1 << 64, (2, 400), np.uint64)  # the hash of each row that there is
WORDS[0, 390:] = WORDS[0, 390]  # of which some share their first half


class Watched(LocalEngine):
    """An engine that knows how many rows were sent for each target, and what was answered."""

    def __init__(self) -> None:
        super().__init__(1)
        self.sent: Counter[int] = Counter()
        self.answers: list[Any] = []
        self.exchanges = 0

    def exchange(self, emit: Any, sources: Any, take: Any, targets: int) -> Any:
        self.exchanges += 1
        for source in sources:
            for target, batch in emit(source):
                self.sent[target] += len(batch)
        self.answers = super().exchange(emit, sources, take, targets)
        return self.answers


def lake(seed: int) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Rows of tables, and (child, parent): one parent of many, small ones apart, empty ones, copies, repetitions."""
    rng = np.random.default_rng(seed)
    tables = [rng.permutation(400).tolist(), rng.integers(0, 400, 900).tolist(), [], [], [7]]
    tables += [rng.choice(400, rng.integers(1, 60)).tolist() for _ in range(25)]
    tables += [tables[0], tables[5][::-1], tables[5] * 3, [390, 392], [391, 393, 395]]
    edges = [(child, parent) for child in range(len(tables)) for parent in (0, 1, 30) if child != parent]
    edges += [tuple(e) for e in rng.integers(0, len(tables), (40, 2)).tolist() if e[0] != e[1]]  # type: ignore[misc]
    return tables, [*edges, *edges[:9], (33, 34), (34, 33)]


def written(folder: Path, tables: list[list[int]], draws: int = 0) -> tuple[StageFolder, list[joins.Hashes]]:
    """The runs that a scan would have left: each table cut in up to three files."""
    stage, rng, parts = StageFolder(folder / "04-content-0"), np.random.default_rng(1), 3
    sets: list[list[RowSet]] = [[] for _ in range(parts)]
    records: list[dict[str, Any]] = [{"runs": []} for _ in range(parts)]

    def add(part: int, key: int, kind: str, rows: int, found: RowSet) -> None:
        told = fingerprint(found)
        offset = sum(len(s) for s in sets[part])
        records[part]["runs"].append([key, kind, offset, len(found), rows, f"{told['set']}{told['bag']}"])
        sets[part].append(found)

    for key, rows in enumerate(tables):
        pieces = [rows] if len(rows) < 30 else [rows[:20], rows[20:25], rows[25:]]
        for part, piece in enumerate(pieces, parts - len(pieces)):
            add(part, key, "set", len(piece), row_set(WORDS[:, piece]))
        at = rng.integers(0, max(1, len(rows)), draws if rows else 0)
        for part in range(parts):
            mine = np.flatnonzero(np.arange(len(at)) % parts == part)
            chosen = WORDS[:, [rows[i] for i in at[mine]]]
            order = np.argsort(chosen[0], kind="stable")
            if len(mine):
                add(part, key, "draws", len(mine), RowSet(chosen[0][order], chosen[1][order], mine[order]))
        DRAWN[key] = [rows[i] for i in at]
    for part in range(parts):
        write_runs(stage.file("runs", part, "arrow"), sets[part])
    found = joins.gather(stage, records)
    return stage, [found[key] for key in range(len(tables))]


DRAWN: dict[int, list[int]] = {}


@pytest.fixture(params=[10**9, 150, 9], ids=lambda rows: f"{rows} rows a range")
def ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(joins, "RANGE_ROWS", request.param)
    yield request.param


@pytest.mark.parametrize(("bag", "tolerance"), [(False, 0.1), (True, 0.0), (False, 0.0)])
def test_rows_that_are_lacking(tmp_path: Path, ranges: int, bag: bool, tolerance: float) -> None:
    tables, edges = lake(ranges)
    stage, hashes = written(tmp_path, tables)
    engine = Watched()
    told = joins.lacking(stage, engine, [(hashes[c], hashes[p]) for c, p in edges], bag, tolerance)
    exact = bag or tolerance > 0
    for (child, parent), (count, sketched) in zip(edges, told, strict=True):
        own, have = Counter(tables[child]), Counter(tables[parent])
        true = sum((own - have).values()) if bag else sum(n for row, n in own.items() if row not in have)
        assert count == true if exact else (count > 0) == (true > 0), (child, parent)
        assert not (sketched and exact)
    assert any(sketched for _, sketched in told) != exact
    assert len(engine.answers) >= len(engine.sent) > (ranges < 1000) * 10
    distinct = {h.fingerprint or h.sets: h.size for h in hashes}
    assert sum(engine.sent.values()) <= sum(distinct.values())  # once, however many edges and copies a table has
    assert max(engine.sent.values()) < 2 * ranges + 60  # chance, and the ten rows that share a first half lie in one range
    again = joins.lacking(stage, engine, [(hashes[c], hashes[p]) for c, p in edges], bag, tolerance)
    assert again == told and engine.exchanges == 1


def test_the_first_draw_that_misses(tmp_path: Path, ranges: int) -> None:
    tables, edges = lake(ranges + 1)
    stage, hashes = written(tmp_path, tables, draws=20)
    told = joins.first_missed(stage, LocalEngine(1), [(hashes[c], hashes[p]) for c, p in edges])
    true = [next((i for i, row in enumerate(DRAWN[c]) if row not in tables[p]), None) for c, p in edges]
    for (child, parent), missed, first in zip(edges, told, true, strict=True):
        assert missed == first or (missed == joins.SKETCHED and not set(tables[child]) <= set(tables[parent])), (child, parent)
    assert joins.SKETCHED in told and None in true
    without = [joins.Hashes((), h.draws, h.rows, None) for h in hashes]  # of a child that was only drawn from
    told = joins.first_missed(StageFolder(tmp_path / "04-content-1"), LocalEngine(1), [(without[c], hashes[p]) for c, p in edges])
    assert told == true and len(set(true)) > 5


def test_nothing_to_ask(tmp_path: Path) -> None:
    stage, hashes = written(tmp_path, [[], [1, 2], [2, 1]])
    assert joins.lacking(StageFolder(tmp_path / "05-exact-0"), LocalEngine(1), [], False, 0.0) == []
    engine = Watched()
    pairs = [(hashes[1], hashes[2]), (hashes[2], hashes[1])]  # one fingerprint
    assert joins.lacking(stage, engine, pairs, False, 0.0) == [(0, False)] * 2 and not engine.sent


def test_workers_change_nothing_and_a_record_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joins, "RANGE_ROWS", 150)
    tables, edges = lake(3)
    told = []
    for workers in (1, 2):
        stage, hashes = written(tmp_path / str(workers), tables)
        engine = LocalEngine(workers)
        pairs = [(hashes[c], hashes[p]) for c, p in edges]
        told.append(joins.lacking(stage, engine, pairs, False, 0.0))
        engine.close()
        records = sorted((stage.path / "joined").iterdir())
        bytes_before = [r.read_bytes() for r in records]
        for record in records[::2]:
            record.unlink()
        assert joins.lacking(stage, LocalEngine(1), pairs, False, 0.0) == told[0]
        assert [r.read_bytes() for r in records] == bytes_before
    assert told[0] == told[1] and len(records) > 10


def test_what_is_sent_is_a_view_of_the_file_and_names_no_text(tmp_path: Path) -> None:
    tables, edges = lake(4)
    stage, hashes = written(tmp_path, tables)
    joins.lacking(stage, LocalEngine(1), [(hashes[c], hashes[p]) for c, p in edges], False, 0.0)
    before = pa.total_allocated_bytes()
    sent = [batch for source in range(3) for _, batch in joins.EmitHashes(stage.path)(source)]
    assert pa.total_allocated_bytes() - before < 10_000 and sum(b.nbytes for b in sent) > 30_000
    assert {str(t) for b in sent for t in b.schema.types} == {"uint64", "int64"}


@pytest.mark.parametrize("size", [4, 30, 256])
def test_sketches_decide_only_what_is_so(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "SIZE", size)
    monkeypatch.setattr(sketches, "sketch", lambda rows: sketch(rows, size))
    monkeypatch.setattr(sketches, "disproved", lambda child, parent: disproved(child, parent, size))
    tables, edges = lake(size)
    stage, hashes = written(tmp_path, tables)
    told = sketches.decided(stage.path.parent, [(hashes[c].sets, hashes[p].sets) for c, p in edges])
    for (child, parent), answer in zip(edges, told.tolist(), strict=True):
        own, have = set(tables[child]), set(tables[parent])
        assert answer != sketches.LACKING or not own <= have, (child, parent)
        assert answer != sketches.HELD or own <= have
        assert answer != sketches.OPEN or not hashes[child].sets or max(len(own), len(have)) >= size  # small tables are known whole
    assert {sketches.LACKING, sketches.OPEN} <= set(told.tolist()) and (sketches.HELD in told.tolist() or size == 4)
    assert sketches.decided(tmp_path, []).shape == (0,) and sketches.decided(stage.path.parent, [((), hashes[0].sets)]).tolist() == [sketches.OPEN]


def test_a_table_without_an_open_edge_is_not_sent(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(0, 1 << 64, (2, 5000), np.uint64)
    words[:, :3000] = words[:, np.argsort(words[0, :3000])]  # the first hundred rows have the smallest hashes
    tables = {"parent": words[:, 100:3000], "held": words[:, 200:1000], "apart": words[:, 3000:], "known": words[:, 1:40], "all": words[:, :60]}
    stage = StageFolder(tmp_path / "05-exact-0")
    sets = [row_set(hashes) for hashes in tables.values()]
    write_runs(stage.file("runs", 0, "arrow"), sets)
    starts = np.cumsum([0, *map(len, sets)]).tolist()
    told = {f: fingerprint(s) for f, s in zip(tables, sets, strict=True)}
    records = [{"runs": [[k, "set", starts[k], len(s), len(s), f"{told[n]['set']}{told[n]['bag']}"] for k, (n, s) in enumerate(zip(tables, sets, strict=True))]}]
    parent, held, apart, known, whole = joins.gather(stage, records).values()
    engine = Watched()
    pairs = [(held, parent), (apart, parent), (known, whole), (whole, parent), (parent, parent)]
    assert joins.lacking(stage, engine, pairs, False, 0.0) == [(0, False), (1, True), (0, False), (1, True), (0, False)]
    assert sum(engine.sent.values()) == parent.size + held.size == joins.exchanged(stage) // joins.ROW_BYTES
    again = StageFolder(tmp_path / "05-exact-0" / ".." / "05-exact-1")
    assert [count > 0 for count, _ in joins.lacking(again, engine, pairs, False, 0.5)] == [False, True, False, True, False]  # all are asked where some may miss
    assert joins.exchanged(again) // joins.ROW_BYTES == sum(h.size for h in (parent, held, apart, known, whole))
