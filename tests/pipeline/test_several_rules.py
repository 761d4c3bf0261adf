"""A filter of several rules in a run: each rule's number is a stat, the ledger names the rule; a mapper's numbers are stats."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tamis.pipeline.analyze import analyze
from tamis.pipeline.run import apply

GOOD = "These are the words of a text that have something to say. " * 8
ROWS = [{"text": t} for t in (GOOD, "the and to of " * 5, "# the and " * 30, GOOD.replace("text", "4444 1111 2222 2222 5555 2222 11111"), "", GOOD + "x")]


def left(done: Any) -> dict[int, dict[str, Any]]:
    ids = done.stats.column("__id__").to_pylist() if "__id__" in done.stats.column_names else []
    return {ids.index(line["__id__"]) if ids else line["__position__"]: line for line in done.ledger.to_pylist()}


def test_the_ledger_names_the_rule_and_its_number() -> None:
    done = apply([{"gopher_quality_filter": {"min_alpha_words_ratio": 0.7}}], ROWS)
    lines = left(done)
    told = {row: (line["reason"], line["stat"], line["bound"]) for row, line in lines.items()}
    assert told == {
        1: ("gopher_words_below_min", "gopher_words", "50 <= v <= 100000"),
        2: ("gopher_hash_ratio_above_max", "gopher_hash_ratio", "v <= 0.1"),
        3: ("gopher_alpha_words_below_min", "gopher_alpha_words", "0.7 <= v"),
        4: ("gopher_words_below_min", "gopher_words", "50 <= v <= 100000"),
    }
    assert lines[1]["value"] == 20 and lines[2]["value"] == pytest.approx(1 / 3)
    assert done.table.num_rows == 2 and done.stats.column("gopher_quality_broken").to_pylist()[0] == 0


def test_more_rules_may_be_broken_and_the_range_reversed() -> None:
    assert apply([{"gopher_quality_filter": {"max_broken": 2}}], ROWS).table.num_rows == 5  # the empty text breaks four
    reverse = apply([{"gopher_quality_filter": {"reversed_range": True, "max_broken": 0, "max_closed_interval": False}}], ROWS)
    assert {line["reason"] for line in reverse.ledger.to_pylist()} <= {"in_reversed_range"}


def test_published_thresholds_are_not_replaced_by_percentiles(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS * 40), "utf-8")
    (tmp_path / "asked.yaml").write_text(json.dumps({
        "dataset_path": str(tmp_path / "data.jsonl"), "export_path": str(tmp_path / "out"),
        "process": [{"gopher_quality_filter": {"min_doc_words": 30}}]}), "utf-8")
    found = analyze(tmp_path / "asked.yaml", tmp_path / "analysis")
    assert "  # - gopher_quality_filter: {min_doc_words: 30}  # would remove 66.7%" in found.suggestion
    assert "max_broken" not in found.suggestion


def test_a_mappers_numbers_are_stats_of_the_rows_that_reached_it() -> None:
    rows = [{"text": "menu\nThis is a good line.\n" + "And so is this one here.\n" * 4}, {"text": "menu"}, {"text": None}]
    done = apply([{"c4_lines_mapper": {}}, {"c4_quality_filter": {}}], pa.Table.from_pylist(rows), keep_stats_in_res_ds=True)
    assert done.stats.column("c4_lines_removed").to_pylist() == [1, 1, None]
    assert done.table.to_pylist()[0]["text"].startswith("This is") and done.table.num_rows == 1
    assert [line["reason"] for line in done.ledger.to_pylist() if line["step"] == 2] == ["c4_sentences_below_min"]
