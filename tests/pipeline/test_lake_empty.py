"""Emptying the trash: only on the user's word, only what can be brought back, and a kill leaves a copy whole or gone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.execute import Silent
from tamis.pipeline.lake import apply_plan, emptying, graph
from tamis.pipeline.lake import restore as restoring
from tamis.pipeline.lake.emptying import copies, empty
from tamis.pipeline.lake.restore import restore, restore_all
from tamis.pipeline.lake.run_lake import Asked, asked_of, plan_lake, scan_lake
from tamis.pipeline.lake.trash import locked

TABLE = pa.table({"a": list(range(50)), "b": ["x", "y"] * 25})
PART, ZONE = TABLE.slice(5, 20), TABLE.slice(10, 20)


@pytest.fixture
def trashed(tmp_path: Path) -> tuple[Path, Asked]:
    """A lake of all.parquet; part.parquet and the folder zone lie in its trash."""
    lake = (tmp_path / "lake").resolve()
    (lake / "zone").mkdir(parents=True)
    pq.write_table(TABLE, lake / "all.parquet")
    pq.write_table(PART, lake / "part.parquet")
    for i in range(2):
        pq.write_table(ZONE.slice(10 * i, 10), lake / "zone" / f"part-{i}.parquet")
    told = asked_of(str(lake), str(tmp_path / "run"), ["np=1", "storage_price=1000"])
    scan_lake(told, Silent())
    plan_lake(told)
    apply_plan.apply(told.run, graph.load(told.run), told.settings, lambda *_: None)
    assert sorted(p.name for p in lake.iterdir() if p.name[0] != ".") == ["all.parquet"]
    return lake, told


def call(*words: str) -> str:
    done = CliRunner().invoke(app, ["lake", *words], env={"COLUMNS": "160"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def in_the_trash(lake: Path) -> list[str]:
    return sorted(p.name for p in lake.glob(".tamis-trash/*/table/*"))


def test_without_the_word_nothing_is_deleted(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    shown = call("empty", str(told.run))
    assert "part.parquet: " in shown and "comes back from all.parquet" in shown and "Nothing was deleted" in shown
    assert in_the_trash(lake) == ["part.parquet", "zone"]


def test_with_it_the_copies_go_and_the_way_back_stays(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    shown = call("empty", str(told.run), "--yes")
    assert "deleted: part.parquet" in shown and "2 of 2 tables deleted" in shown and "do not change all.parquet" in shown
    assert not in_the_trash(lake) and not list(lake.glob(".tamis-trash/*/rebuilt/*")) and not copies(lake / ".tamis-trash")
    assert graph.load(told.run) and "all.parquet" in plan_lake(told)["kept_for_restores"]
    for name, content in (("part.parquet", PART), ("zone", ZONE)):
        with pytest.raises(StaleError, match="its copy in the trash is gone"):
            restore(lake, name, told.settings, from_trash=True)
        call("restore", name, "--run", str(told.run))
        assert pq.read_table(lake / name).equals(content)
    told_again = json.loads(call("empty", str(told.run), "--yes", "--json"))
    assert told_again == []


def test_what_cannot_be_rebuilt_stays(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    pq.write_table(TABLE.slice(0, 26), lake / "all.parquet")  # it holds part still, and zone no more
    shown = call("empty", str(told.run), "--yes")
    assert "deleted: part.parquet" in shown and "stays: zone: cannot be rebuilt from all.parquet" in shown and "1 of 2 tables" in shown
    assert in_the_trash(lake) == ["zone"]
    restore(lake, "zone", told.settings, from_trash=True)
    restore(lake, "part.parquet", told.settings)
    assert pq.read_table(lake / "zone").equals(ZONE) and pq.read_table(lake / "part.parquet").equals(PART)


def test_a_parent_that_is_gone_keeps_the_copies(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    (lake / "all.parquet").unlink()
    assert call("empty", str(told.run), "--yes").count("the parent is gone") == 2
    assert in_the_trash(lake) == ["part.parquet", "zone"]


def test_of_a_restored_table_the_old_copy_goes_only_while_the_table_is_there(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    restore(lake, "part.parquet", told.settings)
    (lake / "part.parquet").rename(lake.parent / "elsewhere.parquet")
    assert "stays: part.parquet: it was restored, and is not in the lake" in call("empty", str(told.run), "--yes")
    assert in_the_trash(lake) == ["part.parquet"]
    (lake.parent / "elsewhere.parquet").rename(lake / "part.parquet")
    assert "deleted: part.parquet" in call("empty", str(told.run), "--yes")
    assert not in_the_trash(lake) and pq.read_table(lake / "part.parquet").equals(PART)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["rebuilt", "note", "rmtree", "half"])
def test_a_kill_leaves_a_copy_whole_or_gone(trashed: tuple[Path, Asked], monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    lake, told = trashed

    def killed(*words: Any, **_: Any) -> None:
        if where == "half":
            next(p for p in words[0].rglob("*") if p.is_file()).unlink()
        raise Killed

    if where in ("rebuilt", "note"):
        monkeypatch.setattr(emptying, where, killed)
    else:
        monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(Killed):
        empty(lake, told.settings, lambda *_: None)
    monkeypatch.undo()
    whole = {"part.parquet": PART, "zone": ZONE}
    for path in lake.glob(".tamis-trash/*/table/*"):
        assert pq.read_table(path).equals(whole[path.name])
    assert len(empty(lake, told.settings, lambda *_: None)) == 2
    assert not list(lake.glob(".tamis-trash/*/emptied")) and not in_the_trash(lake)
    for name, content in whole.items():
        restore(lake, name, told.settings)
        assert pq.read_table(lake / name).equals(content)


def test_damage_in_the_trash_never_ends_in_advice_to_remove_it(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    entry = next(c.entry for c in copies(lake / ".tamis-trash") if c.table == "part.parquet")
    (entry.path / "rows.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(StaleError, match="rows.parquet cannot be read .*restore it with --from-trash"):
        restore(lake, "part.parquet", told.settings)
    assert "stays: part.parquet: " in call("empty", str(told.run), "--yes") and in_the_trash(lake) == ["part.parquet"]
    (entry.path / "restore.json").write_text("{")
    shown = "".join(call("empty", str(told.run), "--yes").split("\n"))
    assert "stays: part.parquet: " in shown and "/table/part.parquet back by hand" in shown and "remove" not in shown
    assert in_the_trash(lake) == ["part.parquet"]
    entry.table.joinpath("part.parquet").rename(lake / "part.parquet")
    with pytest.raises(StaleError, match="Look for a backup"):
        plan_lake(told)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", None, b"\xff", '{"table": "part.parquet"}', "files", "partition", "parent", "bytes"])
@pytest.mark.parametrize("journal", [True, False])
def test_one_damaged_restore_json_is_named_and_the_other_tables_go_on(
    trashed: tuple[Path, Asked], text: str | bytes | None, journal: bool
) -> None:
    lake, told = trashed
    entry = next(c.entry for c in copies(lake / ".tamis-trash") if c.table == "part.parquet")
    path = entry.path / "restore.json"
    recipe = json.loads(path.read_text())
    odd = {"files": recipe | {"files": [1]}, "partition": recipe | {"files": [recipe["files"][0] | {"partition": [[1]]}]},
           "parent": recipe | {"parent": {"name": 3}}, "bytes": recipe | {"bytes": "many"}}
    path.write_bytes(text if isinstance(text, bytes) else json.dumps(odd[text]).encode() if text in odd else (text or "\0").encode())
    if not journal:
        (lake / ".tamis-trash" / "journal.jsonl").write_text('{"entry": 3}\n[]\n{"cut')
    name = "part.parquet" if journal else entry.path.name
    listed = "".join(call("empty", str(told.run)).split("\n"))
    assert f"{name}: " in listed and f"{path} is damaged" in listed and "zone: " in listed
    with pytest.raises(RecipeError if not journal else StaleError, match=rf"part\.parquet: .*{'damaged' if journal else 'no such table'}"):
        restore(lake, "part.parquet", told.settings)
    heard: dict[str, str] = {}
    assert [r["table"] for r in restore_all(lake, told.settings, lambda r, why: heard.update({r["table"]: why}))] == ["zone"]
    assert heard["zone"] == "" and f"{path} is damaged" in heard["part.parquet" if journal else ""] and len(heard) == 2
    done = CliRunner().invoke(app, ["lake", "restore", "--all", "--run", str(told.run)], env={"COLUMNS": "160"})
    assert done.exit_code == 1 and isinstance(done.exception, StaleError) and "stays deleted: " in done.output
    assert [c.table for c in empty(lake, told.settings, lambda *_: None)] == ["zone"]
    assert in_the_trash(lake) == ["part.parquet"] and sorted(p.name for p in lake.glob("[!.]*")) == ["all.parquet", "zone"]


def test_a_full_disk_keeps_no_table_from_being_moved_back(trashed: tuple[Path, Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, told = trashed

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    heard: dict[str, str] = {}
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "mark_restored", full)
        assert restore_all(lake, told.settings, lambda r, why: heard.update({r["table"]: why}), from_trash=True) == []
    assert set(heard) == {"part.parquet", "zone"} and all("in its place again" in w and "No space left" in w for w in heard.values())
    assert pq.read_table(lake / "part.parquet").equals(PART) and pq.read_table(lake / "zone").equals(ZONE) and not in_the_trash(lake)
    assert len(restore_all(lake, told.settings, lambda *_: None)) == 2 and restore_all(lake, told.settings, lambda *_: None) == []


def test_of_a_table_deleted_twice_only_the_last_copy_must_be_proved(trashed: tuple[Path, Asked], tmp_path: Path) -> None:
    lake, told = trashed
    restore(lake, "part.parquet", told.settings)
    again = asked_of(str(lake), str(tmp_path / "again"), ["np=1", "storage_price=1000"])
    scan_lake(again, Silent())
    plan_lake(again)
    apply_plan.apply(again.run, graph.load(again.run), again.settings, lambda *_: None)
    assert in_the_trash(lake) == ["part.parquet", "part.parquet", "zone"]
    assert "3 of 3 tables deleted" in call("empty", str(told.run), "--yes")
    restore(lake, "part.parquet", told.settings)
    assert pq.read_table(lake / "part.parquet").equals(PART)


@pytest.mark.parametrize("link", ["entry", "table", "emptied"])
def test_links_in_the_trash_lead_nowhere(trashed: tuple[Path, Asked], tmp_path: Path, link: str) -> None:
    lake, told = trashed
    entry = next(c.entry for c in copies(lake / ".tamis-trash") if c.table == "part.parquet")
    outside = tmp_path / "outside"
    if link == "entry":
        entry.path.rename(outside)
        entry.path.symlink_to(outside)
    else:
        outside.mkdir()
        (outside / "part.parquet").write_text("precious")
        if link == "table":
            shutil.rmtree(entry.table)
        (entry.path / link).symlink_to(outside)
    call("empty", str(told.run), "--yes")
    assert len([p for p in outside.rglob("part.parquet") if p.is_file()]) == 1
    if link == "table":
        with pytest.raises(StaleError, match="its copy in the trash is gone"):
            restore(lake, "part.parquet", told.settings, from_trash=True)


def test_who_moves_tables_is_not_disturbed(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    with locked(lake / ".tamis-trash"), pytest.raises(StaleError, match="is being written to by process"):
        empty(lake, told.settings, lambda *_: None)
    assert in_the_trash(lake) == ["part.parquet", "zone"]


def test_a_lake_without_trash(trashed: tuple[Path, Asked]) -> None:
    lake, told = trashed
    shutil.rmtree(lake / ".tamis-trash")
    assert "0 tables in" in call("empty", str(told.run))
    assert empty(lake, told.settings, lambda *_: None) == []
