"""The story of every row of a run, against what its ledger, its kept rows and the operators themselves say; with and without workspace."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tamis.pipeline import dups, why
from tamis.pipeline.cli import app
from tamis.pipeline.dups import diff
from tamis.pipeline.ledger import ID
from tamis.pipeline.reporting.words import REASONS, row_id
from tamis.pipeline.run import run

LINE = "the same long line that stands in every one of these texts\n"
ROWS = [
    *({"id": f"own{i}", "text": f"{LINE}own words number {i} of this text, and some more {'x' * i}", "q": i % 5, "lang": "ab"[i % 2]} for i in range(12)),
    {"id": "short", "text": "no", "q": 1, "lang": "a"}, {"id": "twin", "text": "Twice told", "q": 4, "lang": "b"}, {"id": "twin2", "text": "twice TOLD", "q": 0, "lang": "b"},
    {"id": "null", "text": None, "q": 0, "lang": "a"}, {"id": "only", "text": LINE, "q": 0, "lang": "a"},
]
PROCESS: list[Any] = [
    "whitespace_normalization_mapper", {"text_length_filter": {"min_len": 5}}, {"document_deduplicator": {"lowercase": True}},
    {"document_line_deduplicator": {"frequency_threshold": 3}}, {"specified_field_filter": {"field_key": "lang", "target_value": ["a", "b"]}},
    {"quality_selector": {"quality_key": "q", "select_num": 6}},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stories")
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    run({"dataset_path": str(folder / "rows.jsonl"), "export_path": str(folder / "out"), "np": 1, "process": PROCESS})
    return folder / "out"


@pytest.fixture
def bare(finished: Path, tmp_path: Path) -> Path:
    """The same run, whose workspace has been removed."""
    shutil.copytree(finished, tmp_path / "bare", ignore=shutil.ignore_patterns("work"))
    return tmp_path / "bare"


def lines(folder: Path, kind: str) -> dict[int, dict[str, Any]]:
    return {r[ID]: r for r in pq.read_table(folder / kind).to_pylist()}


def test_every_row_s_story_ends_where_the_books_say(finished: Path) -> None:
    kept, gone = lines(finished, "kept"), lines(finished, "ledger")
    steps = {s["step"]: s for s in json.loads((finished / "manifest.json").read_text())["steps"]}
    assert len(kept) + len(gone) == len(ROWS) and {r["step"] for r in gone.values()} == {0, 2, 3, 4, 6}
    for row in ROWS:
        story = why.story(finished, str(row["id"]))
        assert [e.step for e in story.events] == list(range((6 if story.left_at is None else story.left_at) + 1))
        assert [e.op for e in story.events] == [steps[e.step]["op"] for e in story.events] and story.whole
        assert (story.left_at is None) == (story.id in kept)
        if story.left_at is None:
            assert (story.shard, story.row) == (kept[story.id]["shard"], kept[story.id]["row"])
            assert pq.read_table(finished / story.shard).to_pylist()[story.row]["id"] == row["id"]  # type: ignore[operator, index]
        else:
            line, last = gone[story.id], story.events[-1]
            assert story.left_at == line["step"] and last.verdict == "left" and last.told.startswith(REASONS.get(line["reason"], line["reason"]))
            assert line["stat"] not in last.numbers or last.numbers[line["stat"]] == line["value"] or line["stat"] == "similarity"


def test_the_same_story_is_told_as_far_as_the_ledger_goes_without_the_workspace(finished: Path, bare: Path) -> None:
    for row in ROWS:
        full, short = why.story(finished, str(row["id"])), why.story(bare, str(row["id"]))
        assert (short.id, short.where, short.left_at, short.shard, short.row) == (full.id, full.where, full.left_at, full.shard, full.row)
        assert [(e.step, e.op) for e in short.events] == [(e.step, e.op) for e in full.events] and not short.whole
        verdicts = {e.verdict for e in short.events}
        assert verdicts <= {"read", "mapped", "passed", "stays", "left"}
        if full.left_at in (0, 2, 3):
            assert short.events[-1].told == full.events[-1].told, "what decided is in the ledger"
        assert why.text(short).endswith("numbers that did not decide are not told.")


def test_numbers_of_a_story_are_those_of_the_text(finished: Path) -> None:
    """What a line deduplicator took, and how long the text was before it."""
    by_id = {str(r["id"]): r for r in ROWS}
    for name in ("own3", "own11"):
        story = why.story(finished, name)
        events = {e.op: e for e in story.events}
        assert events["text_length_filter"].numbers == {"text_len": len(str(by_id[name]["text"]).strip())}
        cut = events["document_line_deduplicator"]
        assert cut.verdict == "trimmed" and set(cut.numbers.values()) & {1, len(LINE), len(LINE) - 1}
        assert events["whitespace_normalization_mapper"].verdict == "mapped"
    emptied = why.story(finished, "only")
    assert emptied.left_at == 4 and emptied.events[-1].told.startswith("nothing left")


def test_a_selection_is_told_with_rank_and_worth(finished: Path) -> None:
    shown = [why.story(finished, str(r["id"])) for r in ROWS]
    chosen = [s.events[-1] for s in shown if s.left_at is None]
    assert sorted(e.numbers["order"] for e in chosen) == list(range(len(chosen)))
    assert all(e.told.startswith(f"pick {e.numbers['order'] + 1} of {len(chosen)}, gain ") and e.verdict == "chosen" for e in chosen)
    out = [s.events[-1] for s in shown if s.left_at == 6]
    assert out and all(e.told.startswith("not selected") and "budget" in e.told for e in out)


def test_the_command_tells_what_python_tells(finished: Path) -> None:
    for row in ("own1", "twin2", "null", row_id(why.story(finished, "short").id)):
        told = CliRunner().invoke(app, ["why", str(finished), row], env={"COLUMNS": "300"})
        assert told.exit_code == 0 and told.output.rstrip("\n") == why.text(why.story(finished, row))


# ---- what differs between duplicates

def whole(pieces: list[tuple[str, str]], kinds: tuple[str, ...]) -> list[str]:
    return "".join(text for what, text in pieces if what in kinds).split()


@pytest.mark.parametrize("change", [0, 1, 20, 39])
def test_a_long_stretch_that_is_the_same_is_skipped_and_counted(change: int) -> None:
    words = [f"w{i}" for i in range(40)]
    other = [*words[:change], "NEW", *words[change + 1 :]]
    pieces = list(diff(" ".join(words), " ".join(other)))
    assert [(w, t.strip()) for w, t in pieces if w in ("removed", "added")] == [("removed", f"w{change}"), ("added", "NEW")]
    skipped = sum(int(t.split()[0].strip("[")) for w, t in pieces if w == "skipped")
    shown = whole(pieces, ("same",))
    assert skipped + len(shown) == 39
    near = set(words[max(0, change - dups.AROUND) : change] + words[change + 1 : change + 1 + dups.AROUND])
    assert near <= set(shown), "what stands around a difference is shown"


def test_white_space_is_no_difference_and_texts_are_compared_so_far() -> None:
    assert {w for w, _ in diff("a  b\nc", " a b c ")} <= {"same", "skipped"}
    words = [f"w{i}" for i in range(dups.WORDS)]
    assert {w for w, _ in diff(" ".join([*words, "x"]), " ".join([*words, "y"]))} <= {"same", "skipped"}
    assert [w for w, _ in diff("x y", "")] == ["removed"]


def test_duplicates_that_were_not_verified_have_no_similarity(tmp_path: Path) -> None:
    texts = [" ".join(f"word{i}" for i in range(40)) + end for end in ("", " a", " b")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": t, "id": str(i)}) + "\n" for i, t in enumerate([*texts, "alone"])))
    run({"dataset_path": str(tmp_path / "rows.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
         "process": [{"document_minhash_deduplicator": {"verify": False, "jaccard_threshold": 0.5}}]})
    (cluster,) = dups.clusters(tmp_path / "out")
    assert cluster.size == 3 and [m.similarity for m in cluster.members] == [None, None]
    story = why.story(tmp_path / "out", "1")
    assert "similarity" not in story.events[-1].told and story.events[-1].relatives[0].similarity is None
    assert [r.similarity for r in why.story(tmp_path / "out", "0").events[-1].relatives] == [None, None]
    shown = CliRunner().invoke(app, ["dups", str(tmp_path / "out"), "--members", "1"], env={"COLUMNS": "200"}).output
    assert "3 rows  step 1" in shown and "similarity" not in shown and shown.count("left: ") == 1


def test_no_duplicates_and_markup_of_the_user_s(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "[red]a[/red] [b]"}) + "\n")
    words = {"dataset_path": str(tmp_path / "rows.jsonl"), "export_path": str(tmp_path / "out"), "np": 1, "process": ["document_deduplicator"]}
    run(words)
    assert dups.clusters(tmp_path / "out") == []
    assert CliRunner().invoke(app, ["dups", str(tmp_path / "out")]).output.strip() == "No row left as a duplicate of another row of this run."
    assert CliRunner().invoke(app, ["dups", str(tmp_path / "out"), "--json"]).output.strip() == "[]"
    (tmp_path / "rows.jsonl").write_text((json.dumps({"text": "[red]a[/red] [b]"}) + "\n") * 2)
    run(words)
    shown = CliRunner().invoke(app, ["dups", str(tmp_path / "out")], env={"COLUMNS": "200"}).output
    assert "[red]a[/red] [b]" in shown and "the same words" in shown
