"""`tamis dups`: the largest clusters, and what differs in them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tamis.pipeline.cli import app
from tamis.pipeline.dups import clusters, diff
from tamis.pipeline.errors import TamisError
from tamis.pipeline.run import run

STEM = " ".join(f"word{i}" for i in range(60))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    rows = [STEM, f"{STEM} end", f"{STEM} close", "alone here", "Twice told", "twice told"]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": t}) + "\n" for t in rows))
    process = [{"document_deduplicator": {"lowercase": True}}, {"document_minhash_deduplicator": {}}]
    run({"dataset_path": str(data), "export_path": str(tmp_path / "out"), "process": process, "np": 1})
    return tmp_path / "out"


def test_the_largest_cluster_comes_first_with_its_differences(finished: Path) -> None:
    first, second = clusters(finished)
    assert (first.size, first.op, second.size, second.op) == (3, "document_minhash_deduplicator", 2, "document_deduplicator")
    assert first.kept_where.endswith("rows.jsonl:0") and len(first.members) == 2
    added = sorted(piece.strip() for m in first.members for what, piece in m.diff or () if what == "added")
    assert added == ["close", "end"]
    assert all(0.7 <= (m.similarity or 0) < 1 for m in first.members)
    changed = [(what, piece.strip()) for what, piece in second.members[0].diff or () if what in ("removed", "added")]
    assert changed == [("removed", "Twice"), ("added", "twice")]
    assert len(clusters(finished, limit=1, members=1)[0].members) == 1


def test_without_the_workspace_the_beginnings_are_told(finished: Path) -> None:
    shutil.rmtree(finished / "work")
    found = clusters(finished)
    assert [c.size for c in found] == [3, 2]
    assert found[0].members[0].diff is None and found[0].members[0].excerpt.startswith("word0 word1")


def test_the_command_prints_text_and_json(finished: Path) -> None:
    told = CliRunner().invoke(app, ["dups", str(finished), "--limit", "1"])
    assert told.exit_code == 0 and "3 rows" in told.stdout and "{+end+}" in told.stdout
    as_json = json.loads(CliRunner().invoke(app, ["dups", str(finished), "--json"]).stdout)
    assert [c["size"] for c in as_json] == [3, 2]


def test_a_folder_without_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(TamisError, match="not the folder of a finished run"):
        clusters(tmp_path)


def test_a_difference_is_the_whole_of_both_texts_where_they_are_short() -> None:
    pieces = list(diff("a b c", "a x c d"))
    assert "".join(p for what, p in pieces if what in ("same", "removed")) == "a b c"
    assert "".join(p for what, p in pieces if what in ("same", "added")) == "a x c d"
    assert list(diff("", "")) == [] and list(diff("", "new")) == [("added", "new")]


def test_a_row_less_alike_than_asked_is_said_to_be_linked_through_others(tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(100)]
    rows = [" ".join(words), " ".join([*words[12:], *(f"new{i}" for i in range(12))]),
            " ".join([*words[24:], *(f"new{i}" for i in range(24))])]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": t}) + "\n" for t in rows))
    process = [{"document_minhash_deduplicator": {"window_size": 1}}]
    run({"dataset_path": str(data), "export_path": str(tmp_path / "out"), "process": process, "np": 1})
    far, near = clusters(tmp_path / "out")[0].members
    assert (far.similarity or 1) < 0.7 <= (near.similarity or 0) and near.note is None
    told = CliRunner().invoke(app, ["dups", str(tmp_path / "out")], terminal_width=300)
    assert "linked through others" in " ".join(told.stdout.split())
