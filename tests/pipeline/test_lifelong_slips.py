"""What days and folders of a pool look like when something has slipped: nothing came, types changed, somebody went back."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from lifelong_days import day, newest, words
from static_model import make

from tamis.pipeline import verify
from tamis.pipeline.lifelong import store
from tamis.pipeline.run import run


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
