"""Lakes of odd logs, closed folders, torn archives and changed parents: a line for each, and nothing else suffers."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_formats import applied, planned

from tamis.pipeline import recipe
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.lake import graph
from tamis.pipeline.lake.restore import restore
from tamis.pipeline.lake.run_lake import Asked, asked, lake_root
from tamis.pipeline.lake.settings import STEP

WHOLE = pa.table({"a": list(range(30)), "b": ["x", "y", None] * 10})


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two good tables, one in the other."""
    root = (tmp_path / "lake").resolve()
    root.mkdir()
    pq.write_table(WHOLE, root / "good.parquet")
    pq.write_table(WHOLE.slice(3, 9), root / "inside.parquet")
    return root


def scanned(lake: Path) -> tuple[set[tuple[str, str]], dict[str, str]]:
    told, _ = planned(lake, lake.parent / "run", "storage_price=1000")
    found = graph.load(told.run)
    return {(found.names[p], found.names[c]) for p, c in zip(found.parent, found.child, strict=True)}, {t.where: t.what for t in found.troubles}


GOOD = {("good.parquet", "inside.parquet")}


def log_lines(folder: Path, change: Any) -> None:
    """Each line of a table's first log entry, changed."""
    log = folder / "_delta_log/00000000000000000000.json"
    log.write_text("".join(json.dumps(change(json.loads(line))) + "\n" for line in log.read_text().splitlines()))


def test_a_delta_table_with_what_is_not_read_is_left_out(lake: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    deltalake.write_deltalake(str(lake / "new"), WHOLE)

    def with_vectors(line: dict[str, Any]) -> dict[str, Any]:
        return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}} if "protocol" in line else line

    log_lines(lake / "new", with_vectors)
    edges, troubles = scanned(lake)
    assert edges == GOOD and troubles == {"new": "cannot be read (its Delta protocol has features that are not read: deletionVectors)"}


def test_a_delta_log_without_statistics_is_read_for_its_rows(lake: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    deltalake.write_deltalake(str(lake / "bare"), WHOLE.slice(1, 20))

    def without(line: dict[str, Any]) -> dict[str, Any]:
        if "add" in line:
            line["add"].pop("stats")
        return line

    log_lines(lake / "bare", without)
    edges, troubles = scanned(lake)
    assert edges == GOOD | {("good.parquet", "bare"), ("bare", "inside.parquet")} and not troubles


def test_a_delta_file_that_is_gone_is_told(lake: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    deltalake.write_deltalake(str(lake / "torn"), WHOLE.slice(1, 20))
    next((lake / "torn").glob("*.parquet")).unlink()
    edges, troubles = scanned(lake)
    assert edges == GOOD and "cannot be read" in troubles["torn"]


def test_an_iceberg_table_without_a_snapshot_has_no_rows(lake: Path, tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    catalog = catalogs.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/cat.db", warehouse=f"file://{lake}")
    catalog.create_namespace("n")
    catalog.create_table("n.t", schema=WHOLE.schema)
    edges, troubles = scanned(lake)
    name = next(c for _, c in edges if c not in ("good.parquet", "inside.parquet"))
    assert edges == GOOD | {("good.parquet", name), ("inside.parquet", name)} and not troubles


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.tsv.gz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage"])
def test_a_torn_archive_is_left_out_with_the_reason(lake: Path, name: str, damage: str) -> None:
    text = "".join(json.dumps({"a": i, "b": "x" * i}) + "\n" for i in range(99)) if "jsonl" in name else "a\tb\n" + "".join(f"{i}\tx{i}\n" for i in range(99))
    data = gzip.compress(text.replace("\t", "," if "csv" in name else "\t").encode())
    middle = len(data) // 2
    (lake / name).write_bytes({"cut": data[:middle], "flipped": data[:middle] + bytes([data[middle] ^ 64]) + data[middle + 1:], "garbage": b"not packed"}[damage])
    edges, troubles = scanned(lake)
    assert edges == GOOD and set(troubles) == {name} and troubles[name].startswith("cannot be read (")


def test_a_folder_that_cannot_be_listed_has_a_line(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lake / "closed").mkdir()
    (lake / "hive/b=x").mkdir(parents=True)
    pq.write_table(WHOLE.select(["a"]).slice(0, 5), lake / "hive/b=x/f.parquet")
    (lake / "hive/b=x/link.parquet").symlink_to(lake / "good.parquet")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("closed"):  # modes close nothing for root
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    edges, troubles = scanned(lake)
    assert edges == GOOD and troubles.pop("closed") == "the folder cannot be listed (Permission denied)"
    assert list(troubles) == ["hive/b=x/link.parquet"] and "symbolic link is not followed" in troubles["hive/b=x/link.parquet"]


def words(**more: Any) -> dict[str, Any]:
    return {"dataset_path": "lake", "process": [STEP.name], **more}


def test_what_a_recipe_of_a_lake_may_not_say(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lake.parent)
    assert isinstance(asked(recipe.load(words())), Asked) and lake_root(recipe.load(words())) == lake
    with pytest.raises(RecipeError, match="dataset_path is the root folder of one lake, 2 paths are given"):
        lake_root(recipe.load(words(dataset_path=["lake", "other"])))
    with pytest.raises(RecipeError, match=r"export_path .*x\.parquet: a lake run needs a folder"):
        asked(recipe.load(words(export_path="x.parquet")))
    with pytest.raises(RecipeError, match="works on tables, the other steps on rows: it must be the only step"):
        asked(recipe.load(words(process=[])))


@pytest.mark.parametrize(("damage", "told"), [
    ("parent garbage", "the parent cannot be read"), ("parent gone", "the parent is gone; restore it first, or restore with --from-trash"),
    ("parent short", "has 5 rows now, row 11 is needed"), ("parent other", "what good.parquet holds now is not what was deleted"),
    ("parent columns", "cannot be rebuilt from good.parquet as it is now.*no column 'b' any more"), ("no row numbers", "rows.parquet cannot be read"),
])
def test_whatever_hinders_a_rebuild_is_told_and_the_trash_still_helps(lake: Path, damage: str, told: str) -> None:
    made, _ = planned(lake, lake.parent / "run", "storage_price=1000")
    applied(made)
    parent, entry = lake / "good.parquet", next((lake / ".tamis-trash").glob("*/restore.json")).parent
    changed = {"parent garbage": b"garbage", "parent gone": None, "parent short": WHOLE.slice(0, 5), "parent columns": WHOLE.select(["a"]),
               "parent other": WHOLE.take(list(reversed(range(30)))), "no row numbers": b""}[damage]
    if damage == "no row numbers":
        (entry / "rows.parquet").unlink()
    elif changed is None:
        parent.unlink()
    elif isinstance(changed, bytes):
        parent.write_bytes(changed)
    else:
        pq.write_table(changed, parent)
    with pytest.raises(StaleError, match=told):
        restore(lake, "inside.parquet", made.settings)
    assert not (lake / "inside.parquet").exists()
    restore(lake, "inside.parquet", made.settings, from_trash=True)
    assert pq.read_table(lake / "inside.parquet").equals(WHOLE.slice(3, 9))
    with pytest.raises(RecipeError, match="inside.parquet: has been restored already"):
        restore(lake, "inside.parquet", made.settings)


def test_an_interrupted_restore_is_finished_by_the_next(lake: Path) -> None:
    """The table was put back, and the machine stopped before that was noted."""
    made, _ = planned(lake, lake.parent / "run", "storage_price=1000")
    applied(made)
    restore(lake, "inside.parquet", made.settings)
    entry = next((lake / ".tamis-trash").glob("*/restored.json")).parent
    (entry / "restored.json").unlink()
    assert restore(lake, "inside.parquet", made.settings)["fingerprint"]["rows"] == 9 and (entry / "restored.json").is_file()
    (entry / "restored.json").unlink()
    pq.write_table(WHOLE.slice(4, 9), lake / "inside.parquet")
    with pytest.raises(StaleError, match="something else lies there now"):
        restore(lake, "inside.parquet", made.settings)


def test_a_plan_is_for_its_own_scan(lake: Path) -> None:
    made, _ = planned(lake, lake.parent / "run", "storage_price=1000")
    shutil.copy(made.run / "plan.json", lake.parent / "old.json")
    pq.write_table(WHOLE.slice(0, 4), lake / "third.parquet")
    planned(lake, lake.parent / "run", "storage_price=1000")
    shutil.copy(lake.parent / "old.json", made.run / "plan.json")
    with pytest.raises(StaleError, match="the plan was made for another scan; make it anew with: tamis lake plan"):
        applied(made)
    assert len(list(lake.glob("*.parquet"))) == 3
