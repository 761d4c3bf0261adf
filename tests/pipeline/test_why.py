import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import planted
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import why
from tamis.pipeline.errors import TamisError
from tamis.pipeline.ledger import ID
from tamis.pipeline.reporting import lookup
from tamis.pipeline.reporting.words import row_id
from tamis.pipeline.workspace import StageFolder, write_table


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("why")
    planted.make(folder)
    return folder / "out"


def line_of(name: str) -> int:
    return next(i for i, r in enumerate(planted.rows(), 1) if isinstance(r, dict) and r["id"] == name)


@pytest.mark.parametrize(("name", "step", "reason"), [
    ("short", 1, "below the minimum"), ("signs", 2, "below the minimum"), ("copy", 3, "duplicate of"),
    ("near", 4, "duplicate of"), ("null", 0, "no text"),
])
def test_the_step_that_a_row_left_at(run, name, step, reason):
    story = why.story(run, name)
    assert story.left_at == step == story.events[-1].step
    assert story.shard is None
    assert story.events[-1].told.startswith(reason)
    assert [e.verdict for e in story.events[:-1]] == ["read", *["stays"] * (step - 1)][: len(story.events) - 1]


def test_numbers_and_bounds_of_every_filter_that_was_reached(run):
    story = why.story(run, "copy")
    text = planted.sentences(5)
    assert story.events[1].numbers == {"text_len": len(text)}
    assert "60 ≤ v" in story.events[1].told
    assert story.events[2].numbers["alnum_ratio"] == pytest.approx(sum(c.isalnum() for c in text) / len(text))


def test_a_duplicate_tells_of_the_row_kept_and_that_one_of_the_duplicate(run):
    twin = why.story(run, "near").events[-1].relatives[0]
    kept = why.story(run, "good7")
    assert twin.id == kept.id
    assert twin.similarity is not None and 0.6 < twin.similarity < 1
    assert twin.excerpt == planted.sentences(7)[:160]
    told = next(e for e in kept.events if e.op == "document_minhash_deduplicator")
    assert [r.id for r in told.relatives] == [why.story(run, "near").id]
    assert told.relatives[0].similarity == twin.similarity


def test_a_kept_row_lies_where_its_story_says(run):
    shown = [why.story(run, f"good{i}") for i in range(40)]
    kept = [(i, s) for i, s in enumerate(shown) if s.left_at is None]
    assert kept
    for i, story in kept:
        assert pq.read_table(run / story.shard).column("id")[story.row].as_py() == f"good{i}"
        assert story.events[-1].verdict == "chosen"
    for _, story in [(i, s) for i, s in enumerate(shown) if s.left_at is not None]:
        assert story.left_at == 5 and "not selected" in why.text(story)


@pytest.mark.parametrize("name", ["good0", "good1", "near", "null"])
def test_every_way_to_name_a_row_is_the_same_row(run, name):
    story = why.story(run, name)
    source, position = story.where.split(":")
    line = line_of(name)  # the blank line counts: this is what an editor shows
    ways = [row_id(story.id), str(story.id), f"{source}:{position}", f":{position}", f"{source}#{line}", f"#{line}", "0x" + row_id(story.id)]
    assert [why.story(run, way) for way in ways] == [
        why.Story(**{**vars(story), "found_by": by}) for by in ("id", "id", "place", "place", "line", "line", "id")]


def test_another_id_column(run):
    assert why.story(run, planted.sentences(9), key="text").id == why.story(run, "good9").id


@pytest.mark.parametrize(("row", "told"), [
    ("good99", "Did you mean 'good9'|Did you mean 'good39'"), ("corpus.jsonl:1", "nearest rows begin at 0"), ("#2", "line 2 holds no row"),
    ("#9999", "line 9999 holds no row"), ("0123456789abcdef", "SOURCE:POSITION"), ("", "SOURCE:POSITION"),
])
def test_no_such_row_says_what_would_be_one(run, row, told):
    with pytest.raises(TamisError, match=told):
        why.story(run, row)


def test_an_ambiguous_row_lists_its_matches(run):
    with pytest.raises(TamisError, match="means 2 rows") as e:
        why.story(run, "twin")
    places = [word for line in str(e.value).splitlines()[1:] for word in line.split() if word.startswith("corpus.jsonl:")]
    assert len({why.story(run, p).id for p in places}) == 2


def test_without_workspace_and_input_the_ledger_still_tells(run, tmp_path):
    full = why.story(run, "near")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "work")
    bare = why.story(copy, row_id(full.id))
    assert (bare.left_at, bare.where, bare.events[-1].told) == (full.left_at, full.where, full.events[-1].told)
    assert not bare.whole and "workspace of this run has been removed" in why.text(bare)
    short = why.story(copy, row_id(why.story(run, "short").id))
    assert short.events[-1].numbers["text_len"] == len(f"too short {planted.EVIL}")


def test_without_the_input_exported_rows_are_found_by_their_own_id(tmp_path):
    planted.make(tmp_path, process=[{"text_length_filter": {"min_len": 60}}])
    (tmp_path / "data" / "corpus.jsonl").unlink()
    story = why.story(tmp_path / "out", "good4")
    assert pq.read_table(tmp_path / "out" / story.shard).column("id")[story.row].as_py() == "good4"
    with pytest.raises(TamisError, match="input is no longer there"):
        why.story(tmp_path / "out", "short")


def test_json_shards(tmp_path):
    planted.make(tmp_path, export_path=str(tmp_path / "kept.jsonl"), process=[{"text_length_filter": {"min_len": 60}}])
    story = why.story(tmp_path / "kept", "good4")
    assert story.excerpt == planted.sentences(4)[:160]
    shard = (tmp_path / "kept" / story.shard).read_text("utf-8").splitlines()
    assert json.loads(shard[story.row])["id"] == "good4"


def test_a_broken_line_is_told(run):
    ledger = pq.read_table(run / "ledger")
    broken = next(r for r in ledger.to_pylist() if r["reason"] == "error")
    assert "not JSON" in why.text(why.story(run, str(broken[ID])))


@pytest.mark.parametrize(("numbers", "verdict", "told"), [((2, 17), "trimmed", "pieces 2, points 17"), ((0, 0), "stays", "pieces 0, points 0")])
def test_what_a_trimmer_took_of_a_row(tmp_path, numbers, verdict, told):
    """Two parts; of row 7 the numbers are in the second. Without the workspace only the number that decided is known."""
    stage = StageFolder(tmp_path)
    for part, row in enumerate((3, 7)):
        write_table(stage.file("stats", part), pa.table({ID: [row], "pieces": [numbers[0]], "points": [numbers[1]], "other": [1]}))
    step = {"step": 2, "op": "trim", "stage": 1, "stats": ["pieces", "points"], "kind": "trimmer"}
    finished = SimpleNamespace(stage=lambda index: stage if index == 1 else None)
    event = why._tell_trimmer(finished, step, 7, None)
    assert (event.verdict, event.told, event.numbers) == (verdict, told, dict(zip(("pieces", "points"), numbers, strict=True)))
    gone = {"reason": "emptied", "stat": "points", "value": 9.0, "note": None}
    away = SimpleNamespace(stage=lambda index: None)
    assert why._tell_trimmer(away, step, 7, None) == why.Event(2, "trim", "passed", "", {})
    assert why._tell_trimmer(away, step, 7, gone) == why.Event(2, "trim", "left", "nothing left: points 9", {"points": 9.0})
    assert why._tell_trimmer(finished, step, 7, gone).told == f"nothing left: {told}"


def event(step: int, verdict: str = "stays", told: str = "", relatives: tuple[why.Relative, ...] = ()) -> why.Event:
    return why.Event(step, f"op{step}" if step else "read", verdict, told, relatives=relatives)


def test_a_story_is_told_in_plain_lines():
    others = tuple(why.Relative(i, f"s:{i}", None if i else 0.5, "x" * 200) for i in range(why.MOST + 2))
    told = why.Story(255, "s:9", "id", "a\nb", (event(0, "read"), event(1, "stays", "n 3"), event(12, "left", "why", others)), None, None, 12, True)
    lines = why.text(told).splitlines()
    assert lines[0] == "s:9  (__id__ 00000000000000ff)" and lines[1] == "  a ⏎ b" and lines[2] == ""
    assert lines[3:6] == ["     read  read", "  1  op1   stays     n 3", " 12  op12  left      why"]
    assert lines[6] == "       0.500  s:0  " + "x" * 90 and lines[7] == "       s:1  " + "x" * 90
    assert len([x for x in lines if x.startswith("       s:")]) == why.MOST - 1 and "       and 2 more" in lines
    assert lines[-1] == "It left at step 12 (op12): why."


@pytest.mark.parametrize(("left_at", "events", "last"), [
    (None, (event(0, "read"), event(1)), "It lies in data/x.parquet, row 1,234."), (0, (event(0, "left", "error"),), "It was not read."),
])
def test_a_story_ends_with_the_row_s_fate(left_at, events, last):
    told = why.Story(1, "s:0", "id", "", events, "data/x.parquet", 1234, left_at, True)
    assert why.text(told).splitlines()[-1] == last and why.text(told).splitlines()[1] == ""
    assert "workspace of this run has been removed" in why.text(why.Story(**{**vars(told), "whole": False}))


def test_not_a_run(tmp_path):
    for folder, told in ((tmp_path, "no manifest.json"), (tmp_path / "nowhere", "no such folder")):
        with pytest.raises(TamisError, match=told):
            why.story(folder, "1")


@pytest.mark.parametrize("position", [2**63, 2**64, 10**30])
def test_no_row_lies_beyond_the_end_of_any_file(run, position):
    with pytest.raises(TamisError, match="no file is as long"):
        why.story(run, f":{position}")
    with pytest.raises(TamisError, match="nearest rows begin at"):
        why.story(run, f":{2**63 - 1}")


def test_a_column_of_objects_names_no_row_and_few_values_are_held_for_a_suggestion(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": f"t{i}", "meta": {"x": i}, "n": i}) + "\n" for i in range(9)))
    manifest = planted.run({"dataset_path": str(tmp_path / "a.jsonl"), "export_path": str(tmp_path / "out"), "process": [], "np": 1})
    assert manifest["rows_out"] == 9
    with pytest.raises(TamisError, match="no row 'z'"):
        why.story(tmp_path / "out", "z", key="meta")
    assert why.story(tmp_path / "out", "7", key="n").excerpt == "t7"
    finished, held = lookup.Finished.open(tmp_path / "out"), []
    monkeypatch.setattr(lookup, "KNOWN", 4)
    assert list(lookup._by_key(finished, "z", "text", held)) == [] and held == ["t0", "t1", "t2", "t3"]
