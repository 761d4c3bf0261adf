"""What days and folders of a pool look like when something has slipped: nothing came, types changed, somebody went back."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifelong_days import day, files_of, newest, words
from static_model import make

from tamis.pipeline import analyze, plan, recipe, verify
from tamis.pipeline.errors import RecipeError, StaleError, TamisError
from tamis.pipeline.lifelong import store, story
from tamis.pipeline.run import run


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    (folder / name).write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(folder / name)


def test_days_on_which_nothing_came_make_versions_like_the_one_before(tmp_path: Path) -> None:
    """Files of no byte, of blank lines, of no row; also as the first day, and two in a row."""
    embed = {"text_embedding_mapper": {"model": str(make(tmp_path / "model", ["rice", "sail"]))}}
    steps = [{"text_length_filter": {"min_len": 3}}, embed, {"cluster_pruning_selector": {"select_num": 9, "k": 2}}]
    for name, text in (("none", ""), ("none-again", ""), ("blank", "\n\n"), ("rows", '{"text": "rice and rice"}\n' * 5), ("void", "")):
        (tmp_path / f"{name}.jsonl").write_text(text)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    seen = []
    for name in ("none.jsonl", "none-again.jsonl", "rows.jsonl", "void.jsonl", "blank.jsonl", "empty.parquet"):
        out = tmp_path / f"out-{name.replace('.', '-')}"
        told = run(words(tmp_path, str(tmp_path / name), export_path=str(out)) | {"process": steps})
        assert [f for f in verify.check(out) if f.level != "ok"] == []
        seen.append((told["pool"]["version"], told["pool"]["rows"], told["pool"]["new rows"], told["rows_out"]))
    assert seen == [(1, 0, 0, 0), (2, 0, 0, 0), (3, 5, 5, 5), (4, 5, 0, 5), (5, 5, 0, 5), (6, 5, 0, 5)]
    before, after = (store.version(tmp_path / "pool", v) for v in (3, 6))
    assert before is not None and after is not None
    assert all(before.table(n).equals(after.table(n)) for n in ("rows.parquet", "vectors.parquet", "numbers.parquet"))


def test_the_report_says_where_rows_of_the_pool_came_from(tmp_path: Path) -> None:
    run(words(tmp_path, day(tmp_path, "monday", {0: 30}, 1), cap=20, export_path=str(tmp_path / "a")))
    run(words(tmp_path, day(tmp_path, "tuesday", {0: 9}, 2), cap=20, export_path=str(tmp_path / "b")))
    page = (tmp_path / "b" / "report.html").read_text()
    rows = newest(tmp_path).table("left.parquet").to_pylist()
    assert rows and any(f"monday.jsonl:{r['__position__']}" in page for r in rows)
    assert "monday says" in page and "tuesday says" in page


def test_the_same_run_again_is_never_done_over_a_version_that_it_did_not_see(tmp_path: Path) -> None:
    """Somebody went back to version 1, took other rows in, and went on again from version 3, as current.json allows."""
    days = [day(tmp_path, name, {0: 20, 1: 20}, i) for i, name in enumerate(("monday", "tuesday", "friday"))]
    asked = [words(tmp_path, d, cap=25, export_path=str(tmp_path / f"out-{i}")) for i, d in enumerate(days)]
    told = [run(a) for a in asked]
    (tmp_path / "pool" / "current.json").write_text(store.pointer(1))
    run(words(tmp_path, day(tmp_path, "other", {2: 30}, 9), cap=25, export_path=str(tmp_path / "other")))
    (tmp_path / "pool" / "current.json").write_text(store.pointer(3))
    before = files_of(tmp_path / "pool")
    assert run(asked[2])["content_hash"] == told[2]["content_hash"], "with the run's work folder it stands as it was"
    shutil.rmtree(tmp_path / "out-2" / "work")
    with pytest.raises(StaleError, match="version before, which this run saw, is not kept any more"):
        run(asked[2])
    assert files_of(tmp_path / "pool") == before


def test_a_pointer_that_names_no_version_is_told(tmp_path: Path) -> None:
    run(words(tmp_path, day(tmp_path, "monday", {0: 20}, 1)))
    pointer = tmp_path / "pool" / "current.json"
    for text in ('{"format": 1, "version": true}', '{"format": 1}', '{"format": 1, "version": "1"}'):
        pointer.write_text(text)
        with pytest.raises(StaleError, match="current.json is damaged: put the folder back"):
            store.current(tmp_path / "pool")
    pointer.unlink()
    pointer.mkdir()
    with pytest.raises(StaleError, match="current.json cannot be read .* put the folder back"):
        store.current(tmp_path / "pool")


def test_a_column_of_another_type_than_the_pool_s_is_told_before_data_is_read(tmp_path: Path) -> None:
    def file(name: str, mark: Any) -> str:
        return written(tmp_path, name, [{"text": f"row {i} of {name}", "vector": [1.0, i], "mark": mark} for i in range(6)])

    run(words(tmp_path, file("monday.jsonl", 1)))
    run(words(tmp_path, file("tuesday.jsonl", 1.5)))
    with pytest.raises(RecipeError, match=r"column 'mark' is a number in pool '.*pool' and text in the data.*rename or convert"):
        plan.make(recipe.load(words(tmp_path, file("friday.jsonl", "x"))))
    assert newest(tmp_path).number == 2
    rows = newest(tmp_path).folder / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:-40] + b"\0" * 40)
    with pytest.raises(StaleError, match="rows.parquet is not what was written"):
        plan.make(recipe.load(words(tmp_path, file("sunday.jsonl", 2))))


def test_an_id_that_several_rows_have_is_told_with_their_places(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        rows = [{"id": i, "text": f"{name} says {i}", "vector": [1.0, i]} for i in range(4)]
        run(words(tmp_path, written(tmp_path, f"{name}.jsonl", rows), export_path=str(tmp_path / name)))
    with pytest.raises(TamisError, match=r"2 rows .* 'id'.*monday.jsonl:\d+, tuesday.jsonl:\d+"):
        story.tell(tmp_path / "pool", "2")
    where = newest(tmp_path).table("rows.parquet").to_pylist()[0]["__position__"]
    assert "monday says" in story.tell(tmp_path / "pool", f"monday.jsonl:{where}")
    for row in ("a:" + "9" * 5000, "9" * 5000, "\ud800"):
        with pytest.raises(TamisError, match="no row"):
            story.tell(tmp_path / "pool", row)


def test_a_disk_that_fills_up_while_a_version_is_written_leaves_the_pool_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = words(tmp_path, day(tmp_path, "monday", {0: 20}, 1))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_measured", full)
        with pytest.raises(TamisError, match=r"pool .*pool is as it was, its next version cannot be written: .*No space left"):
            run(asked)
    assert files_of(tmp_path / "pool") == {}, "what was half-written gives its room back"
    assert run(asked)["pool"]["version"] == 1


def test_a_recipe_with_a_pool_can_be_analyzed_and_nothing_is_taken_in(tmp_path: Path) -> None:
    asked = words(tmp_path, day(tmp_path, "monday", {0: 20}, 1))
    (tmp_path / "recipe.yaml").write_text(json.dumps(asked))
    found = analyze.analyze(tmp_path / "recipe.yaml", tmp_path / "numbers")
    assert found.rows == 20 and [n.op for n in found.numbers] == ["text_length_filter"]
    assert [name for name, _ in found.skipped] == ["text_embedding_mapper", "cluster_pruning_selector", "pool"]
    assert not (tmp_path / "pool").exists()
