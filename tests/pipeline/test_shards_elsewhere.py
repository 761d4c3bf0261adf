"""Shards written by tasks side by side are those written in one stream, byte for byte; a task done twice, or half, does no harm."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import execute
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.formats import splits
from tamis.pipeline.run import run
from tamis.pipeline.stages import export, spread
from tamis.pipeline.verify import check


class Elsewhere(LocalEngine):
    """As if the workers were on other machines."""

    remote = True


class Twice(Elsewhere):
    """Each task is begun by a worker that dies while it writes, then done by another, then once more by a slow one."""

    def map(self, task: Any, parts: Any, done: Any) -> list[Any]:
        if isinstance(task, spread.ShardTask):
            for part in parts:
                task(part)
                (Path(task.out.folder) / f".{task.out._names(len(task.cuts))[part]}.01234567.tmp").write_bytes(b"half of it")
        return super().map(task, parts, done)


TEXTS = [f"text {i} " + "é中x"[i % 3] * (i * 13 % 40) for i in range(90)]
PROCESS = [{"text_length_filter": {"min_len": 12}}, "document_deduplicator"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that are cut into many parts, one of which nothing stays of."""
    rows = [{"text": t, "n": i, "meta": {"tags": [t[:3]] * (i % 3)}} for i, t in enumerate(TEXTS)]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows[:60]), tmp_path / "data" / "a.parquet", row_group_size=11)
    pq.write_table(pa.Table.from_pylist([{"text": "short"}] * 5), tmp_path / "data" / "b.parquet")
    pq.write_table(pa.Table.from_pylist([r | {"more": r["n"] / 2} for r in rows[60:]]), tmp_path / "data" / "c.parquet")
    monkeypatch.setattr(splits, "SMALLEST", 1)
    return tmp_path / "data"


def go(data: Path, out: Path, engine: type[LocalEngine], monkeypatch: pytest.MonkeyPatch, **keys: Any) -> dict[str, Any]:
    monkeypatch.setattr(execute, "engine_for", lambda asked: engine(1))
    return run({"dataset_path": str(data), "export_path": str(out), "np": 1, "process": PROCESS, **keys})


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("keys", [
    {"export_type": "jsonl", "export_shard_size": 900}, {"export_type": "parquet", "export_shard_size": 700},
    {"export_type": "parquet", "keep_stats_in_res_ds": True},
], ids=str)
def test_the_same_files_to_the_byte(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]) -> None:
    one = go(data, tmp_path / "one", LocalEngine, monkeypatch, **keys)
    many = go(data, tmp_path / "many", Twice, monkeypatch, **keys)
    assert files(tmp_path / "many" / "data") == files(tmp_path / "one" / "data") and many["shards"] == one["shards"]
    assert many["content_hash"] == one["content_hash"] and many["rows_out"] == one["rows_out"] == sum(s["rows"] for s in one["shards"])
    kept = [pq.read_table(tmp_path / x / "kept").to_pylist() for x in ("one", "many")]
    assert kept[0] == kept[1] and {f.level for f in check(tmp_path / "many")} == {"ok"}
    assert (len(one["shards"]) > 3) == ("export_shard_size" in keys)


def test_a_smaller_export_removes_what_the_larger_one_left(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    many = go(data, out, Elsewhere, monkeypatch, export_type="jsonl", export_shard_size=300)
    few = go(data, out, Elsewhere, monkeypatch, export_type="jsonl", export_shard_size=2000)
    assert 1 < len(few["shards"]) < len(many["shards"])
    assert sorted(files(out / "data")) == [Path(s["path"]).name for s in few["shards"]]
    assert few["content_hash"] == many["content_hash"]


@pytest.mark.parametrize("engine", [LocalEngine, Elsewhere])
def test_nothing_to_export_is_one_empty_shard(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: type[LocalEngine]) -> None:
    made = go(data, tmp_path / "out", engine, monkeypatch, process=[{"text_length_filter": {"min_len": 10**6}}], export_type="parquet")
    assert made["rows_out"] == 0 and [s["rows"] for s in made["shards"]] == [0]
    assert "text" in pq.read_schema(tmp_path / "out" / made["shards"][0]["path"]).names
    assert len(pq.read_table(tmp_path / "out" / "kept")) == 0 and len(pq.read_table(tmp_path / "out" / "ledger")) == 95


def test_kept_and_ledger_in_many_files_are_those_in_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(data, tmp_path / "one", LocalEngine, monkeypatch)
    monkeypatch.setattr(export, "TABLE_ROWS", 10)
    out = tmp_path / "many"
    told = go(data, out, LocalEngine, monkeypatch)
    for kind in ("kept", "ledger"):
        whole = pq.read_table(tmp_path / "one" / kind).to_pylist()
        names = sorted(p.name for p in (out / kind).iterdir())
        assert [r for name in names for r in pq.read_table(out / kind / name).to_pylist()] == whole and len(whole) > 10
    assert len(list((out / "kept").iterdir())) > 2 and {f.level for f in check(out)} == {"ok"}
    monkeypatch.undo()
    again = run({"dataset_path": str(data), "export_path": str(out), "np": 1, "process": [{"text_length_filter": {"min_len": 30}}]})
    assert [p.name for p in (out / "kept").iterdir()] == ["part-00000.parquet"] and again["rows_out"] < told["rows_out"]
    assert {f.level for f in check(out)} == {"ok"}


@pytest.mark.parametrize(("kind", "harm"), [
    ("data", lambda p: p.write_bytes(p.read_bytes()[:-1])), ("kept", lambda p: p.unlink()), ("ledger", lambda p: p.write_bytes(b"")),
], ids=["data", "kept", "ledger"])
def test_an_export_with_a_file_gone_or_cut_is_made_again_and_nothing_else(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Any, kind: str
) -> None:
    first = go(data, tmp_path / "out", LocalEngine, monkeypatch)
    whole = files(tmp_path / "out" / kind)
    harm(next((tmp_path / "out" / kind).iterdir()))
    again = go(data, tmp_path / "out", LocalEngine, monkeypatch)
    assert [t["reused"] for t in again["timing"]] == [True] * (len(again["timing"]) - 1) + [False]
    assert files(tmp_path / "out" / kind) == whole and again["content_hash"] == first["content_hash"]
