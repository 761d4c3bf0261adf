"""Apply and restore: there and back on every format; what has changed is refused."""

import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from lake_formats import FORMATS, applied, plain_lake, planned, write_jsonl
from planted_lake import plant, write, write_csv, write_parquet

from tamis.operators.lake.rebuild import differing
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.lake import apply_plan, graph
from tamis.pipeline.lake.finding import find
from tamis.pipeline.lake.inspect_table import inspect
from tamis.pipeline.lake.restore import restore, restore_all
from tamis.pipeline.lake.run_lake import Asked
from tamis.pipeline.lake.trash import locked


def everything(lake: Path) -> dict[str, bytes]:
    return {p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.rglob("*") if p.is_file() and ".tamis-trash" not in p.parts}


def test_there_and_back_on_parquet(tmp_path: Path) -> None:
    made, lake = plant(21), tmp_path / "lake"
    write(made, lake, 21)
    told, plan = planned(lake, tmp_path / "run")
    before = everything(lake)
    assert len(plan["delete"]) > 15 and plan["totals"]["gap"] < 1e-6
    moved = applied(told)
    assert {d["table"] for d in moved} == {d["table"] for d in plan["delete"]} == set(before) - set(everything(lake))
    recipes = restore_all(lake.resolve(), told.settings, lambda *_: None)
    assert [r["table"] for r in recipes] == sorted(d["table"] for d in plan["delete"])
    for recipe in recipes:
        table = pq.read_table(lake / recipe["table"])
        old = made.tables[recipe["table"].removesuffix(".parquet")]
        assert differing(old, table.cast(old.schema)) == [] and recipe["fingerprint"]["rows"] == old.num_rows
    assert restore_all(lake.resolve(), told.settings, lambda *_: None) == []
    assert set(everything(lake)) == set(before)
    trash = list((lake / ".tamis-trash").glob("*/table/*"))
    assert sorted(p.name for p in trash) == sorted(d["table"] for d in plan["delete"])  # nothing was unlinked
    assert all(before[p.name] == p.read_bytes() for p in trash)


@FORMATS
def test_there_and_back_on_every_format(tmp_path: Path, writer: Any) -> None:
    lake = tmp_path / "lake"
    write(plain_lake(), lake, 3, writer)
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000")
    assert {t.where for t in graph.load(told.run).troubles} <= {"none.jsonl"}  # without a line there are no columns
    names = {d["table"].split(".")[0] for d in plan["delete"]}
    assert {"part", "few", "one"} <= names and ("all" in names) != ("copy" in names), names
    applied(told)
    first = {d["table"]: _recipe(lake, d["table"]) for d in plan["delete"]}
    assert not any((lake / d["table"]).exists() for d in plan["delete"])
    for d in plan["delete"]:
        restore(lake.resolve(), d["table"], told.settings)
    again, plan_again = planned(lake, tmp_path / "again", "storage_price=1000")
    one, two = ({(d["table"], d["rows"]) for d in p["delete"] if d["rows"] < 100} for p in (plan, plan_again))
    assert one == two  # of the two equal tables either may go
    applied(again)
    second = {d["table"]: _recipe(lake, d["table"]) for d in plan_again["delete"]}
    assert all(first[t]["fingerprint"] == second[t]["fingerprint"] for t in second if t in first)


def _recipe(lake: Path, table: str) -> dict[str, Any]:
    told = [json.loads(p.read_text()) for p in (lake / ".tamis-trash").glob("*/restore.json")]
    return max((t for t in told if t["table"] == table), key=lambda t: t["token"] == "" or t["when"])


def test_formats_mixed(tmp_path: Path) -> None:
    lake, made = tmp_path / "lake", plain_lake()
    lake.mkdir()
    write_parquet(made.tables["all"], lake / "all", random.Random(1))
    write_csv(made.tables["part"], lake / "part", random.Random(1))
    write_jsonl(made.tables["few"], lake / "few", random.Random(1))
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000")
    assert {d["table"] for d in plan["delete"]} == {"part.csv", "few.jsonl"}
    applied(told)
    for d in plan["delete"]:
        restore(lake.resolve(), d["table"], told.settings)
    part = pv.read_csv(lake / "part.csv", parse_options=pv.ParseOptions(newlines_in_values=True))
    assert part.column("id").to_pylist() == list(range(20, 70))
    assert [json.loads(x)["code"] for x in (lake / "few.jsonl").read_text().splitlines()] == ["005", "005", "010", "003"]


def test_rows_that_the_parent_lacks_are_stored_beside(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    a = np.arange(1000)
    pq.write_table(pa.table({"a": a, "b": a % 7}), lake / "parent.parquet")
    child = pa.table({"a": np.concatenate([[5000], a[:300], [6000], a[700:]]), "b": np.concatenate([[1], a[:300] % 7, [2], a[700:] % 7])})
    pq.write_table(child, lake / "child.parquet")
    assert not planned(lake, tmp_path / "strict", "storage_price=1000")[1]["delete"]
    told, plan = planned(lake, tmp_path / "run", "tolerance=0.01", "storage_price=1000")
    (d,) = plan["delete"]
    assert (d["table"], d["missing"]) == ("child.parquet", 2) and "2 rows stored beside" in d["how"]
    applied(told)
    restore(lake.resolve(), "child.parquet", told.settings)
    assert pq.read_table(lake / "child.parquet").equals(child)


def pair(tmp_path: Path) -> tuple[Path, Asked]:
    lake = tmp_path / "lake"
    lake.mkdir()
    table = pa.table({"a": list(range(50)), "b": ["x", "y"] * 25})
    pq.write_table(table, lake / "all.parquet")
    pq.write_table(table.slice(5, 20), lake / "part.parquet")
    pq.write_table(table.slice(10, 20), lake / "zone.parquet")
    return lake, planned(lake, tmp_path / "run", "storage_price=1000")[0]


@pytest.mark.parametrize("changed", ["all.parquet", "part.parquet"])
def test_a_change_after_the_plan_is_refused_before_anything_moves(tmp_path: Path, changed: str) -> None:
    lake, told = pair(tmp_path)
    pq.write_table(pa.table({"a": list(range(49)), "b": ["x"] * 49}), lake / changed)
    with pytest.raises(StaleError, match=f"{changed}: has changed since the lake was scanned"):
        applied(told)
    assert len(list(lake.glob("*.parquet"))) == 3


def test_rows_that_went_missing_unnoticed_are_refused(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    pq.write_table(pa.table({"a": [0] * 50, "b": ["x"] * 50}), lake / "all.parquet")
    plan = json.loads((told.run / "plan.json").read_text())
    token = inspect(next(p for p in find(lake.resolve(), told.settings)[0] if p.name == "all.parquet"), lake.resolve()).token
    for d in plan["delete"]:
        d["parent_token"] = token
    (told.run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(StaleError, match="rows are not in all.parquet"):
        applied(told)
    assert (lake / "part.parquet").exists() and (lake / "zone.parquet").exists()


def test_a_parent_that_changed_after_apply_is_told_and_the_trash_helps(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    pq.write_table(pa.table({"a": [0] * 50, "b": ["x"] * 50}), lake / "all.parquet")
    with pytest.raises(StaleError, match="--from-trash"):
        restore(lake.resolve(), "part.parquet", told.settings)
    assert not (lake / "part.parquet").exists()
    restore(lake.resolve(), "part.parquet", told.settings, from_trash=True)
    assert pq.read_table(lake / "part.parquet").column("a").to_pylist() == list(range(5, 25))


def test_all_come_back_but_those_that_cannot(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    shutil.copy(lake / "all.parquet", lake / "part.parquet")  # something else lies there
    heard: dict[str, str] = {}
    done = restore_all(lake.resolve(), told.settings, lambda recipe, why: heard.update({recipe["table"]: why}))
    assert [r["table"] for r in done] == ["zone.parquet"] and heard["zone.parquet"] == "" and "something else" in heard["part.parquet"]
    assert pq.read_table(lake / "zone.parquet").column("a").to_pylist() == list(range(10, 30))
    (lake / "part.parquet").unlink()
    assert [r["table"] for r in restore_all(lake.resolve(), told.settings, lambda *_: None, from_trash=True)] == ["part.parquet"]
    with locked(lake / ".tamis-trash"), pytest.raises(StaleError, match="is being written to by process"):
        restore_all(lake.resolve(), told.settings, lambda *_: None)
    assert restore_all(tmp_path, told.settings, lambda *_: None) == []  # a lake without a trash


def test_of_a_table_that_was_deleted_twice_the_later_comes_back(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    first = list((lake / ".tamis-trash").glob("*/restore.json"))
    other = pq.read_table(lake / "all.parquet").slice(3, 20)
    pq.write_table(other, lake / "part.parquet")
    applied(planned(lake, tmp_path / "again", "storage_price=1000")[0])
    for path in first:  # as if it had been a day before
        path.write_text(json.dumps(json.loads(path.read_text()) | {"when": "2001-01-01T00:00:00Z"}))
    restore_all(lake.resolve(), told.settings, lambda *_: None)
    assert pq.read_table(lake / "part.parquet").equals(other)


def test_a_delta_parent_is_read_as_it_was(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    lake = tmp_path / "lake"
    table = pa.table({"a": list(range(50)), "b": ["x", "y"] * 25})
    deltalake.write_deltalake(str(lake / "all"), table)
    pq.write_table(table.slice(5, 20), lake / "part.parquet")
    told, _ = planned(lake, tmp_path / "run", "storage_price=1000")
    applied(told)
    deltalake.write_deltalake(str(lake / "all"), pa.table({"a": [1], "b": ["z"]}), mode="overwrite")
    restore(lake.resolve(), "part.parquet", told.settings)
    assert pq.read_table(lake / "part.parquet").equals(table.slice(5, 20))


def test_what_lies_in_the_place_is_not_overwritten(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    (lake / "part.parquet").write_text("mine")
    for from_trash in (False, True):
        with pytest.raises(StaleError, match="something else lies there"):
            restore(lake.resolve(), "part.parquet", told.settings, from_trash)
    assert (lake / "part.parquet").read_text() == "mine"
    with pytest.raises(RecipeError, match=r"Did you mean 'zone.parquet'"):
        restore(lake.resolve(), "zon.parquet", told.settings)


def test_a_parent_that_deleted_tables_come_back_from_stays(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    shutil.copy(lake / "all.parquet", lake / "twin.parquet")
    _, plan = planned(lake, tmp_path / "next", "storage_price=1000")
    assert [d["table"] for d in plan["delete"]] == ["twin.parquet"] and plan["kept_for_restores"] == ["all.parquet"]


@pytest.mark.parametrize("emptied", ["*/table/*", "*/table"])
def test_an_emptied_trash_keeps_the_way_back(tmp_path: Path, emptied: str) -> None:
    lake, told = pair(tmp_path)
    content = pq.read_table(lake / "part.parquet")
    applied(told)
    for path in (lake / ".tamis-trash").glob(emptied):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(lake / "all.parquet", lake / "twin.parquet")
    assert planned(lake, tmp_path / "next", "storage_price=1000")[1]["kept_for_restores"] == ["all.parquet"]
    restore(lake.resolve(), "part.parquet", told.settings)
    assert pq.read_table(lake / "part.parquet").equals(content)
    with pytest.raises(RecipeError, match="has been restored already"):
        restore(lake.resolve(), "part.parquet", told.settings)


def test_a_plan_of_before_does_not_delete_a_parent_that_is_needed_since(tmp_path: Path) -> None:
    lake, first = pair(tmp_path)
    shutil.copy(lake / "all.parquet", lake / "twin.parquet")
    second, plan = planned(lake, tmp_path / "second", "storage_price=1000", "keep=['twin*', 'part*', 'zone*']")
    assert [d["table"] for d in plan["delete"]] == ["all.parquet"]
    applied(first)  # part and zone come back from all
    with pytest.raises(StaleError, match=r"all.parquet: tables in the trash come back from it"):
        applied(second)
    assert (lake / "all.parquet").exists()


def test_rows_that_are_one_but_not_to_the_letter_stay_and_the_rest_goes(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    pq.write_table(pa.table({"a": ["", None, "x", "y"], "b": [1, 1, 2, 3]}), lake / "all.parquet")
    pq.write_table(pa.table({"a": [None, "x"], "b": [1, 2]}), lake / "other.parquet")  # the first equal row of all has ""
    pq.write_table(pa.table({"a": ["", "y"], "b": [1, 3]}), lake / "same.parquet")
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000", "missing_values=empty")
    assert {d["table"] for d in plan["delete"]} == {"other.parquet", "same.parquet"}
    heard: list[str] = []
    apply_plan.apply(told.run, graph.load(told.run), told.settings, lambda _, what: heard.append(what))
    assert sorted(heard)[0] == "moved" and "other.parquet: cannot be rebuilt to the letter" in sorted(heard)[1]
    assert (lake / "other.parquet").exists() and not (lake / "same.parquet").exists()
    assert json.loads((told.run / "applied.json").read_text())["deleted"] == ["same.parquet"]


def test_a_private_table_comes_back_private(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    (lake / "part.parquet").chmod(0o640)
    applied(told)
    restore(lake.resolve(), "part.parquet", told.settings)
    assert (lake / "part.parquet").stat().st_mode & 0o777 == 0o640


def test_a_trash_on_another_disk_is_told_before_anything_moves(tmp_path: Path) -> None:
    lake, told = pair(tmp_path)
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == lake.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        (lake / ".tamis-trash").symlink_to(other)
        with pytest.raises(StaleError, match="lies on another disk than"):
            applied(told)
        assert not list(Path(other).glob("*/restore.json")) and len(list(lake.glob("*.parquet"))) == 3


def test_a_read_only_folder_is_told_before_anything_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, told = pair(tmp_path)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != lake.resolve() and access(path, mode))  # root may write anywhere
    with pytest.raises(StaleError, match="read-only"):
        applied(told)
    assert len(list(lake.glob("*.parquet"))) == 3


def test_the_keep_list_and_the_least_copies(tmp_path: Path) -> None:
    lake, _ = pair(tmp_path)
    shutil.copy(lake / "all.parquet", lake / "twin.parquet")
    _, plan = planned(lake, tmp_path / "next", "storage_price=1000", "keep=['z*', all.parquet]")
    assert {d["table"] for d in plan["delete"]} == {"twin.parquet", "part.parquet"}
    _, plan = planned(lake, tmp_path / "two", "storage_price=1000", "copies=2")
    assert {d["table"] for d in plan["delete"]} == {"part.parquet", "zone.parquet"}
    _, plan = planned(lake, tmp_path / "slow", "storage_price=1000", "max_latency=0.5")
    assert not plan["delete"] and plan["too_slow"] > 0
    _, plan = planned(lake, tmp_path / "busy", "storage_price=1000", "overrides={'*.parquet': {accesses: 1e9}}")
    assert not plan["delete"]


@pytest.mark.parametrize("key", ["table", "files"])
def test_a_restore_recipe_that_leads_out_of_the_lake_is_refused(tmp_path: Path, key: str) -> None:
    lake, told = pair(tmp_path)
    applied(told)
    path = next(p for p in lake.glob(".tamis-trash/*/restore.json") if json.loads(p.read_text())["table"] == "part.parquet")
    recipe = json.loads(path.read_text())
    name = "part.parquet" if key == "files" else "../escaped.parquet"
    recipe |= {"table": name, "folder": True}
    recipe["files"][0]["name"] = "../../../escaped.parquet" if key == "files" else "part.parquet"
    path.write_text(json.dumps(recipe))
    with pytest.raises(StaleError, match="leads out of the lake"):
        restore(lake.resolve(), name, told.settings)
    assert not list(tmp_path.rglob("escaped*"))
