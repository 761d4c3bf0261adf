"""Trace files, against the steps done one by one by hand: the first rows changed, dropped or found alike, no more than asked."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import tracer
from tamis.pipeline.run import run

ROWS = [{"text": ("  double  blank" if i % 2 else "single blank") + f" {'x' * i}", "n": i, "group": i // 3} for i in range(24)]


def traced(folder: Path, process: list[Any], rows: list[dict[str, Any]] | None = None, **keys: Any) -> dict[str, list[dict[str, Any]]]:
    """File name without its ending -> its entries."""
    lines = [json.dumps(r) if isinstance(r, dict) else r for r in (ROWS if rows is None else rows)]
    for name, part in (("a", lines[:7]), ("b", lines[7:])):
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in part))
    run({"dataset_path": str(folder / "*.jsonl"), "export_path": str(folder / "out"), "np": 1, "process": process, "open_tracer": True} | keys)
    return {p.stem: [json.loads(line) for line in p.read_text("utf-8").splitlines()] for p in sorted((folder / "out/trace").iterdir())}


@pytest.mark.parametrize("number", [1, 3, 10, 100])
def test_the_first_rows_that_a_mapper_changed_and_a_filter_dropped(tmp_path: Path, number: int) -> None:
    told = traced(tmp_path, ["whitespace_normalization_mapper", {"text_length_filter": {"min_len": 20}}], trace_num=number, trace_keys="n")
    changed = [r for r in ROWS if r["text"] != r["text"].strip()]
    assert [e["n"] for e in told["sample_trace-whitespace_normalization_mapper"]] == [r["n"] for r in changed][:number]
    assert all(e["original_text"] == ROWS[e["n"]]["text"] != e["processed_text"] for e in told["sample_trace-whitespace_normalization_mapper"])
    dropped = [r["n"] for r in ROWS if len(r["text"].strip()) < 20]
    assert [e["n"] for e in told["sample_trace-text_length_filter"]] == dropped[:number]
    assert all(set(e) == {"text", "n", "group"} and e["text"] == e["text"].strip() for e in told["sample_trace-text_length_filter"])


def test_each_step_sees_what_the_one_before_it_left(tmp_path: Path) -> None:
    """A pass of two filters of one name: both write to one file, as with Data-Juicer; the second sees no row that had left."""
    told = traced(tmp_path, [{"text_length_filter": {"min_len": 16}}, {"text_length_filter": {"max_len": 30}}], trace_num=50)
    (entries,) = told.values()
    assert [e["n"] for e in entries] == [r["n"] for r in ROWS if len(r["text"]) < 16] + [r["n"] for r in ROWS if len(r["text"]) > 30]


def test_steps_after_a_corpus_wide_one_are_traced_on_what_stands(tmp_path: Path) -> None:
    rows = [{"text": f"text {i // 2}", "n": i} for i in range(12)]
    told = traced(tmp_path, ["document_deduplicator", {"text_length_filter": {"min_len": 7}}], rows, trace_num=4)
    assert [(p["dup1"]["n"], p["dup2"]["n"]) for p in told["duplicate-document_deduplicator"]] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert [e["n"] for e in told["sample_trace-text_length_filter"]] == [0, 2, 4, 6]


def test_rows_that_are_broken_or_without_text_are_in_no_trace(tmp_path: Path) -> None:
    rows: list[Any] = ["{broken", {"text": None, "n": 0}, {"text": "short", "n": 1}, {"text": "  long  enough", "n": 2}]
    told = traced(tmp_path, ["whitespace_normalization_mapper", {"text_length_filter": {"min_len": 9}}], rows, on_error={"set_aside": 3})
    assert told["sample_trace-whitespace_normalization_mapper"] == [{"original_text": "  long  enough", "processed_text": "long  enough"}]
    assert [e["n"] for e in told["sample_trace-text_length_filter"]] == [1]


def test_rows_that_a_mapper_makes_are_shown_as_they_are(tmp_path: Path) -> None:
    told = traced(tmp_path, [{"text_chunk_mapper": {"max_len": 6, "split_pattern": " "}}], [{"text": "one two three", "n": 5}], trace_num=2)
    assert told == {"sample_trace-text_chunk_mapper": [{"text": "one", "n": 5}, {"text": "two", "n": 5}]}


def test_a_trace_of_another_run_is_not_left_behind(tmp_path: Path) -> None:
    traced(tmp_path, [{"text_length_filter": {"min_len": 16}}, "whitespace_normalization_mapper"])
    (tmp_path / "out/trace/mine.jsonl").write_text("{}\n")
    assert traced(tmp_path, ["fix_unicode_mapper"]) == {"sample_trace-fix_unicode_mapper": [], "mine": [{}]}
    assert traced(tmp_path, ["fix_unicode_mapper"], open_tracer=False) == {"mine": [{}]}, "nor where none is asked for now"


def test_a_step_that_does_nothing_is_left_at_that_after_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "ROWS", 7)  # the first file
    told = traced(tmp_path, [{"text_length_filter": {"max_len": 25}}])
    assert told == {"sample_trace-text_length_filter": []}, "the rows that are longer lie in the second"
    monkeypatch.setattr(tracer, "ROWS", 8)
    assert [e["n"] for e in traced(tmp_path, [{"text_length_filter": {"max_len": 25}}])["sample_trace-text_length_filter"]][:1] == [
        next(r["n"] for r in ROWS if len(r["text"]) > 25)]


def test_dates_are_written_as_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["ab", "abcdef"], "day": [date(2020, 1, 2), date(2021, 1, 2)]}), tmp_path / "x.parquet")
    run({"dataset_path": str(tmp_path / "x.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "open_tracer": True,
         "process": [{"text_length_filter": {"min_len": 3}}]})
    assert json.loads((tmp_path / "out/trace/sample_trace-text_length_filter.jsonl").read_text()) == {"text": "ab", "day": "2020-01-02"}
