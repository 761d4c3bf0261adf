"""Who may write to a workspace at the same time, how long one waits for another, and what of a finished stage is taken up."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.analyze import analyze
from tamis.pipeline.errors import RecipeError, StaleError, TamisError
from tamis.pipeline.execute import Silent, execute
from tamis.pipeline.pool import Pool
from tamis.pipeline.run import claim, run
from tamis.pipeline.workspace import Place, StageFolder, Workspace, read_json, sound


@pytest.mark.parametrize(("first", "second", "together"), [(True, True, True), (True, False, False), (False, True, False), (False, False, False)])
def test_who_shares_shares_with_those_that_share(tmp_path: Path, first: bool, second: bool, together: bool) -> None:
    with Workspace(tmp_path).lock(shared=first):
        if together:
            with Workspace(tmp_path).lock(shared=second):
                pass
        else:
            with pytest.raises(StaleError, match="another run is writing to"), Workspace(tmp_path).lock(shared=second):
                pass
    with Workspace(tmp_path).lock(shared=second):
        pass


def test_the_patient_get_in_when_the_other_is_done(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with Workspace(tmp_path).lock():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(30)
    began = time.monotonic()
    with pytest.raises(StaleError), Workspace(tmp_path).lock(patience=0.05):
        pass
    assert time.monotonic() - began >= 0.05
    threading.Timer(0.1, leave.set).start()
    with Workspace(tmp_path).lock(patience=30):
        assert leave.is_set()
    thread.join()


def test_a_lock_is_let_go_whatever_happens_inside(tmp_path: Path) -> None:
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), Workspace(tmp_path).lock():
            raise error
        with Workspace(tmp_path).lock():
            pass
    pool = Pool(tmp_path / "deep" / "pool")
    with pytest.raises(ValueError), pool.lock():
        raise ValueError
    with pool.lock():
        assert (tmp_path / "deep/pool/.lock").exists()


@pytest.fixture
def stage(tmp_path: Path) -> StageFolder:
    """A finished stage of three files."""
    folder = StageFolder(tmp_path / "02-dedup-0123456789abcdef")
    for name, text in (("rows/part-00000-000.parquet", "abc"), ("ledger/part-00000.parquet", "defg"), ("empty.bin", "")):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(text)
    folder.finish({"rows": 3})
    return folder


def test_the_size_of_every_file_is_written_down_but_not_of_what_is_half_written(stage: StageFolder) -> None:
    assert read_json(stage.path / "files.json") == {"rows/part-00000-000.parquet": 3, "ledger/part-00000.parquet": 4, "empty.bin": 0}
    stage.check()
    (stage.path / "rows" / ".part.0a1b2c3d.tmp").write_text("half")
    (stage.path / "more.bin").write_text("of a later pass")
    stage.check()


@pytest.mark.parametrize(("harm", "name"), [
    (lambda p: (p / "empty.bin").unlink(), "empty.bin"), (lambda p: (p / "rows/part-00000-000.parquet").write_text("ab"), "rows/part-00000-000.parquet"),
    (lambda p: (p / "files.json").unlink(), "files.json"), (lambda p: (p / "ledger").rename(p / "ledgers"), "ledger/part-00000.parquet"),
])
def test_what_is_gone_or_of_another_size_is_named_with_the_way_out(stage: StageFolder, harm: Any, name: str) -> None:
    harm(stage.path)
    with pytest.raises(StaleError) as e:
        stage.check()
    assert str(e.value) == f"{stage.path / name} is gone or damaged: remove {stage.path} and run again"


def test_the_way_out_works(tmp_path: Path) -> None:
    """The folder that the message names is removed, the command is given again: the result is what it was."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": f"row {i}"}) + "\n" for i in range(9)))
    words = {"dataset_path": str(tmp_path / "in.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
             "process": ["document_deduplicator", {"text_length_filter": {"min_len": 2}}]}
    first = run(words)
    victim = next((tmp_path / "out/work").glob("02-dedup-*/ledger/*"))
    victim.write_bytes(b"x")
    with pytest.raises(StaleError) as e:
        run(words)
    named = Path(str(e.value).partition("remove ")[2].partition(" and run again")[0])
    assert named == victim.parents[1]
    for file in sorted(named.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    named.rmdir()
    told = run(words)
    assert [t["reused"] for t in told["timing"]] == [True, False, True, True] and told["content_hash"] == first["content_hash"]


@pytest.mark.parametrize("content", ["[]", "5", '"x"', "null", "{"])
def test_a_mark_that_holds_something_else_is_damage(tmp_path: Path, content: str) -> None:
    path = tmp_path / "03-select-0123456789abcdef" / "done.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(StaleError, match=rf"done\.json is damaged .*remove {path.parent} and run again"):
        read_json(path)
    with pytest.raises(StaleError, match="remove .*01-rows-ffffffffffffffff and run again"), sound(
            tmp_path / "01-rows-ffffffffffffffff" / "a" / "b.parquet"):
        raise OSError(2, "gone")


# ---- a plan that is done stage by stage

def planned(tmp_path: Path, **keys: Any) -> plan.Plan:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": f"row {i // 2}", "n": i}) + "\n" for i in range(8)))
    return plan.make(recipe.load({"dataset_path": str(tmp_path / "in.jsonl"), "export_path": str(tmp_path / "out"), "np": 1, "process": [
        "document_deduplicator", {"random_selector": {"select_num": 2}}]} | keys))


def test_stage_by_stage_is_the_same_as_at_once(tmp_path: Path) -> None:
    made = planned(tmp_path)
    records = [execute(made, Silent(), upto=i) for i in (1, 2, 3)]
    assert [(r["kind"], r["rows_in"], r["rows_out"]) for r in records] == [("rows", 8, 8), ("dedup", 8, 4), ("select", 4, 2)]
    assert not (tmp_path / "out" / "data").exists() and not (tmp_path / "out" / "manifest.json").exists()
    told = execute(made, Silent())
    assert [t["reused"] for t in told["timing"]] == [True, True, True, False]
    other = execute(planned(tmp_path, export_path=str(tmp_path / "whole")), Silent())
    assert told["content_hash"] == other["content_hash"] and told["steps"] == other["steps"]
    assert execute(made, Silent(), upto=3) == records[2], "and of a finished run it is taken up"


def test_what_stops_the_run_in_the_middle_is_told_with_the_run_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.pipeline import execute as executing

    made = planned(tmp_path)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(executing.export, "run", full)
    with pytest.raises(TamisError, match=r"out: .*No space left on device. What is finished is kept: run again to go on from there"):
        run(dict(made.recipe.asked or {}))
    monkeypatch.undo()
    assert [t["reused"] for t in run(dict(made.recipe.asked or {}))["timing"]] == [True, True, True, False]


def test_a_lake_is_no_run_of_rows(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    made = plan.make(recipe.load({"dataset_path": str(tmp_path / "lake"), "export_path": str(tmp_path / "out"), "process": [
        "table_containment_deduplicator"]}))
    with pytest.raises(RecipeError, match="table_containment_deduplicator works on a lake of tables, not on rows"):
        claim(made)
    (tmp_path / "lake.yaml").write_text(recipe.dump(made.recipe))
    with pytest.raises(RecipeError, match="works on a lake of tables, not on rows: tamis lake scan"):
        analyze(tmp_path / "lake.yaml", tmp_path / "an")
    for words, told in (({"process": ["table_containment_deduplicator", "document_deduplicator"]}, "it must be the only step"),
                        ({"process": ["document_deduplicator", "table_containment_deduplicator"]}, "step 2 .*it must be the only step"),
                        ({"dataset_path": [str(tmp_path), "b"]}, "must be one folder"), ({"dataset_path": str(tmp_path / "x")}, "must be one folder")):
        with pytest.raises(RecipeError, match=told):
            plan.make(recipe.load({"dataset_path": str(tmp_path / "lake"), "process": ["table_containment_deduplicator"]} | words))


@pytest.mark.parametrize(("export_path", "told"), [
    ("out/x.jsonl", None), ("file://{}/y", None), ("nosuch://host/x", "a run folder must be local"), ("~nobody-of-that-name/x", "no such home directory"),
])
def test_places(tmp_path: Path, export_path: str, told: str | None) -> None:
    if told is None:
        assert Place.of(export_path.format(tmp_path)).run in (Path("out/x"), tmp_path / "y")
        return
    with pytest.raises(RecipeError, match=told):
        Place.of(export_path)
