"""A finished run read back: rows in shards of either kind, lines by id, and places that name one source or none."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline.errors import TamisError
from tamis.pipeline.ledger import ID
from tamis.pipeline.reporting import finished, lookup
from tamis.pipeline.reporting.finished import Finished


def run(folder: Path, **manifest: Any) -> Finished:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"recipe": {"text_keys": ["text"], "dataset_path": []}, "inputs": [], "stages": [], "steps": [], "shards": [], "ledger": [],
            "kept": [], "rows_in": 0, "rows_out": 0, "rows_left": 0, **manifest}
    (folder / "manifest.json").write_text(json.dumps(told), "utf-8")
    return Finished.open(folder)


ROWS = [{"text": f"t{i}", "n": i} for i in range(7)]


@pytest.fixture(params=["data/a.parquet", "data/a.jsonl", "data/a.jsonl.gz"])
def shard(request, tmp_path) -> tuple[Finished, str]:
    path = tmp_path / request.param
    path.parent.mkdir()
    lines = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=3)
    else:
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return run(tmp_path), request.param


def test_each_exported_row_is_found_by_its_number(shard):
    made, path = shard
    assert [made.exported(path, i) for i in range(7)] == ROWS
    assert made.exported(path, 7) is None and made.exported("data/none.parquet", 0) is None
    assert made.text_of({"shard": path, "row": 3}) == "t3" and made.text_of({"shard": path, "row": 9}) is None


def test_a_row_without_text_has_none(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": null}\n{"x": 1}\n{"text": 5}\n')
    made = run(tmp_path)
    assert [made.text_of({"shard": "a.jsonl", "row": i}) for i in range(3)] == [None, None, "5"]


def test_lines_are_those_of_all_parts(tmp_path):
    made = run(tmp_path)
    for part, ids in enumerate(([1, 2], [3])):
        (tmp_path / "kept").mkdir(exist_ok=True)
        pq.write_table(pa.table({ID: ids, "x": [10 * i for i in ids]}), tmp_path / f"kept/part-{part:05d}.parquet")
    assert [f.name for f in made.files("kept")] == ["part-00000.parquet", "part-00001.parquet"] and made.files("ledger") == []
    assert made.lines("kept", [3, 1, 99]) == {1: {ID: 1, "x": 10}, 3: {ID: 3, "x": 30}}
    assert list(finished.lines(made.files("kept"), ID, [2], ["x"])) == [{"x": 20}]


def test_a_stage_is_found_while_its_folder_stands(tmp_path):
    stages = [{"stage": 1, "kind": "rows", "fingerprint": "f" * 32}, {"stage": 2, "kind": "dedup", "fingerprint": "e" * 32}]
    made = run(tmp_path / "out", stages=stages)
    assert made.stage(1) is None
    (tmp_path / "out/work" / f"02-dedup-{'e' * 16}").mkdir(parents=True)
    found = made.stage(2)
    assert found is not None and found.path.name == f"02-dedup-{'e' * 16}" and made.stage(1) is None
    elsewhere = run(tmp_path / "other", stages=stages, recipe={"text_keys": ["text"], "work_dir": str(tmp_path / "out/work")})
    assert elsewhere.stage(2) == found


@pytest.mark.parametrize(("content", "words"), [("{", "damaged"), ("[]", "damaged")])
def test_a_damaged_manifest_is_told(tmp_path, content, words):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(TamisError, match=words):
        Finished.open(tmp_path)


def test_inputs_are_those_whose_path_still_stands(tmp_path):
    (tmp_path / "here.jsonl").write_text("")
    inputs = [{"source": n, "path": str(tmp_path / n), "bytes": 0, "digest": "d"} for n in ("here.jsonl", "gone.jsonl")]
    remote = {"source": "far.jsonl", "path": "s3://bucket/far.jsonl", "bytes": 1, "digest": "e"}
    found = run(tmp_path, inputs=[*inputs, remote]).sources()
    assert [(s.source, s.url, s.bytes, s.digest, s.format) for s in found] == [
        ("here.jsonl", str(tmp_path / "here.jsonl"), 0, "d", "jsonl"), ("far.jsonl", "s3://bucket/far.jsonl", 1, "e", "jsonl")]


@pytest.mark.parametrize(("name", "source"), [
    ("a/x.jsonl", "a/x.jsonl"), ("b/y.jsonl", "b/y.jsonl"), ("y.jsonl", "b/y.jsonl"), ("x.jsonl", None), ("l", None), ("", None), ("none", None),
])
def test_a_source_is_called_by_its_name_or_an_end_that_no_other_has(tmp_path, name, source):
    made = run(tmp_path, inputs=[{"source": s} for s in ("a/x.jsonl", "c/x.jsonl", "b/y.jsonl")])
    assert lookup._source_called(made, name) == source


def test_the_only_source_need_not_be_named(tmp_path):
    assert lookup._source_called(run(tmp_path, inputs=[{"source": "a/x.jsonl"}]), "") == "a/x.jsonl"


def test_ids_are_decimal_or_sixteen_hex_digits_and_no_other_number(tmp_path):
    made = run(tmp_path)
    (tmp_path / "kept").mkdir()
    pq.write_table(pa.table({ID: [255, -1, 16, -(2**63)]}), tmp_path / "kept/part-00000.parquet")

    def ids(row: str) -> list[int]:
        return [f.id for f in lookup._by_id(made, row)]

    assert ids("255") == ids("00000000000000ff") == ids("0x00000000000000ff") == [255]
    assert ids("-1") == ids("f" * 16) == ids(str(2**64 - 1)) == [-1] and ids(str(2**63)) == [-(2**63)]
    assert ids("ff") == ids("10") == ids("") == ids("abc") == ids(str(2**64 + 255)) == []
