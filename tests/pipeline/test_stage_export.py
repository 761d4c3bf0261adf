"""The export stage through real runs: shards, what reloads them, what takes whose place."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.ledger import POSITION
from tamis.pipeline.run import run
from tamis.pipeline.verify import check


class Made:
    """A finished run."""

    def __init__(self, out: Path, manifest: dict[str, Any]) -> None:
        self.out, self.manifest = out, manifest

    @property
    def rows(self) -> list[dict[str, Any]]:
        return pq.read_table([self.out / s["path"] for s in self.manifest["shards"]]).to_pylist()


@pytest.fixture
def go(tmp_path):
    def go(process: list[Any], rows: list[dict[str, Any]], **keys: Any) -> Made:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        words = {"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "process": process}
        return Made(tmp_path / "out", run(words | keys))

    return go


ROWS = [{"id": i, "text": f"text {i} é\n" * 20, "meta": {"tags": ["a", str(i)], "score": i / 3}} for i in range(60)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_shards_in_order_reload_as_the_rows_that_stayed(go, kind):
    made = go([{"text_length_filter": {"min_len": 190}}], ROWS, export_type=kind, export_shard_size=4000)
    shards = made.manifest["shards"]
    expected = [r for r in ROWS if len(r["text"]) >= 190]
    assert len(shards) > 3 and [s["path"] for s in shards] == [f"data/part-{i:05d}.{kind}" for i in range(len(shards))]
    assert sum(s["rows"] for s in shards) == len(expected) == made.manifest["rows_out"]
    loaded = ds.dataset(made.out / "data", format="json" if kind == "jsonl" else "parquet").to_table()
    assert loaded.to_pylist() == expected and loaded.schema.names == ["id", "text", "meta"]
    if kind == "jsonl":
        lines = [line for s in shards for line in (made.out / s["path"]).read_text("utf-8").splitlines()]
        assert [json.loads(line) for line in lines] == expected
    for line in pq.read_table(made.out / "kept").to_pylist():
        shard = ds.dataset(made.out / line["shard"], format="json" if kind == "jsonl" else "parquet").to_table()
        assert shard.column("id")[line["row"]].as_py() == line[POSITION]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_datasets_loads_a_run_folder_with_its_ledger(go, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    made = go([{"text_length_filter": {"min_len": 190}}], ROWS, export_type=kind, export_shard_size=4000)
    loaded = datasets.load_dataset(str(made.out), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["text"][:] == [r["text"] for r in ROWS if len(r["text"]) >= 190]
    told = datasets.get_dataset_config_names(str(made.out))
    assert told == (["default", "ledger"] if kind == "parquet" else ["default"]), "it reads all of a folder in one format"
    if kind == "parquet":
        gone = datasets.load_dataset(str(made.out), "ledger", cache_dir=str(tmp_path / "cache"))["train"]
        assert gone["reason"][:] == ["below_min"] * 10


def test_numbers_are_kept_where_asked(go):
    process = [{"text_length_filter": {"min_len": 190}}, "document_deduplicator", {"alphanumeric_filter": {}}]
    made = go(process, ROWS, keep_stats_in_res_ds=True)
    for row in made.rows:
        text = row["text"]
        assert row["__dj__stats__"] == {"text_len": len(text), "alnum_ratio": pytest.approx(sum(c.isalnum() for c in text) / len(text), rel=1e-6)}
    assert "__dj__stats__" not in go(process, ROWS).rows[0]


def test_another_export_takes_the_place_of_the_last_one(go):
    first = go([], ROWS, export_type="jsonl", export_shard_size=2000)
    assert len(list((first.out / "data").iterdir())) > 5
    second = go([], ROWS, export_type="parquet")
    assert [p.name for p in (second.out / "data").iterdir()] == ["part-00000.parquet"]
    assert [t["reused"] for t in second.manifest["timing"]] == [True, False]
    assert second.manifest["content_hash"] == first.manifest["content_hash"]


def test_one_named_file(go, tmp_path):
    made = go([{"text_length_filter": {"min_len": 190}}], ROWS, export_path=str(tmp_path / "out.jsonl"))
    assert [json.loads(x)["id"] for x in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()] == list(range(10, 60))
    assert made.manifest["shards"][0]["path"] == "../out.jsonl" and {f.level for f in check(tmp_path / "out")} == {"ok"}
