import json
import shutil
from pathlib import Path

import planted
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import verify
from tamis.pipeline.errors import TamisError
from tamis.pipeline.ledger import ID


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    planted.make(folder)
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    manifest = json.loads((tmp_path / "copy/out/manifest.json").read_text("utf-8"))
    manifest["recipe"]["dataset_path"] = [str(tmp_path / "copy/data")]
    for i in manifest["inputs"]:
        i["path"] = str(tmp_path / "copy/data" / i["source"])
    (tmp_path / "copy/out/manifest.json").write_text(json.dumps(manifest), "utf-8")
    return tmp_path / "copy" / "out"


def failures(run: Path) -> str:
    return "\n".join(f.text for f in verify.check(run) if f.level == "fail")


def rewrite(run: Path, kind: str, change) -> None:
    path = next((run / kind).glob("part-*.parquet"))
    pq.write_table(change(pq.read_table(path)), path)


def test_a_sound_run_has_nothing_to_find(run):
    found = verify.check(run)
    assert {f.level for f in found} == {"ok"}
    assert len(found) >= 8
    assert all(f.text.endswith(".") for f in found)


def test_a_changed_shard(run):
    shard = next((run / "data").iterdir())
    table = pq.read_table(shard)
    text = ["another text", *table.column("text").to_pylist()[1:]]
    pq.write_table(table.set_column(table.schema.get_field_index("text"), "text", pa.array(text)), shard)
    assert "has changed" in failures(run) and "content hash is another" in failures(run)


def test_a_missing_shard(run):
    next((run / "data").iterdir()).unlink()
    assert "is missing" in failures(run)


def test_a_lost_ledger_line(run):
    rewrite(run, "ledger", lambda t: t.slice(1))
    assert "ledger has 17 lines, the manifest says 18" in failures(run) or "rows were read, but kept and ledger together" in failures(run)


def test_a_row_with_two_lines(run):
    rewrite(run, "ledger", lambda t: pa.concat_tables([t.slice(1), t.slice(1, 1)]))
    assert "has 2 lines" in failures(run)


def test_a_step_that_is_not_in_the_recipe(run):
    def change(t: pa.Table) -> pa.Table:
        steps = pa.array([99, *t.column("step").to_pylist()[1:]], pa.int32())
        return t.set_column(t.schema.get_field_index("step"), "step", steps)

    rewrite(run, "ledger", change)
    assert "step 99, which the recipe does not have" in failures(run)


@pytest.mark.parametrize("other", [12345, None])
def test_a_duplicate_of_nobody_or_of_a_row_that_had_left_before(run, other):
    def change(t: pa.Table) -> pa.Table:
        gone_first = t.filter(pc.less(t.column("step"), 3)).column(ID)[0].as_py()
        kept = [None if k is None else (other or gone_first) for k in t.column("kept_id").to_pylist()]
        return t.set_column(t.schema.get_field_index("kept_id"), "kept_id", pa.array(kept, pa.int64()))

    rewrite(run, "ledger", change)
    assert "neither kept nor left later" in failures(run)


def test_a_duplicate_of_a_row_that_left_at_the_same_step(run):
    """Of itself, say: nothing of the cluster would stay."""
    def change(t: pa.Table) -> pa.Table:
        itself = pc.if_else(pc.is_valid(t.column("kept_id")), t.column(ID), None)
        return t.set_column(t.schema.get_field_index("kept_id"), "kept_id", itself)

    rewrite(run, "ledger", change)
    assert "neither kept nor left later" in failures(run)


def test_the_last_kept_line_of_a_shard_is_gone(run):
    rewrite(run, "kept", lambda t: t.filter(pc.less(t.column("row"), pc.max(t.column("row")))))
    assert "do not number its 30 rows" in failures(run) and "kept has 29 lines, the manifest says 30" in failures(run)


def test_kept_lines_of_a_shard_that_the_manifest_does_not_name(run):
    rewrite(run, "kept", lambda t: t.set_column(t.schema.get_field_index("shard"), "shard", pa.array(["data/other.parquet"] * len(t))))
    assert "kept rows are said to lie in data/other.parquet, which the manifest does not name" in failures(run)


def test_rows_that_were_cut_into_several_are_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one two three four"}\n{"text": "x"}\n')
    told = planted.run({"dataset_path": str(tmp_path / "a.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
                        "process": [{"text_chunk_mapper": {"max_len": 8, "split_pattern": " "}}, {"text_length_filter": {"min_len": 3}}]})
    assert told["rows_born"] > 0
    found = verify.check(tmp_path / "out")
    assert {f.level for f in found} == {"ok"}
    assert any(f.text.endswith(f"= {2 + told['rows_born']} rows read or made of them.") for f in found)


def test_kept_lines_that_point_to_one_row(run):
    def change(t: pa.Table) -> pa.Table:
        return t.set_column(t.schema.get_field_index("row"), "row", pa.array([0] * len(t), pa.int64()))

    rewrite(run, "kept", change)
    assert "do not number its 30 rows" in failures(run)


def test_swapped_ids_change_the_content(run):
    def change(t: pa.Table) -> pa.Table:
        ids = t.column(ID).to_pylist()
        return t.set_column(t.schema.get_field_index(ID), ID, pa.array([ids[1], ids[0], *ids[2:]], pa.int64()))

    rewrite(run, "kept", change)
    assert "content hash is another" in failures(run)


def test_changed_and_missing_inputs_are_warnings(run):
    data = run.parent / "data" / "corpus.jsonl"
    data.write_text(data.read_text("utf-8").replace("too short", "too small"), "utf-8")
    assert [f.text for f in verify.check(run) if f.level == "warn"] == [
        "Input corpus.jsonl has changed since the run: the result stands, but cannot be made again."]
    data.unlink()
    assert "can no longer be found" in next(f.text for f in verify.check(run) if f.level == "warn")
    assert not failures(run)


def test_files_that_cannot_be_read(run):
    next((run / "ledger").glob("part-*.parquet")).write_bytes(b"nonsense")
    assert "cannot be read" in failures(run)
    shutil.rmtree(run / "kept")
    assert "cannot be read" in failures(run)


def test_not_a_run(tmp_path):
    with pytest.raises(TamisError, match=r"no manifest\.json"):
        verify.check(tmp_path)
    (tmp_path / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(TamisError, match="damaged"):
        verify.check(tmp_path)
