"""Hostile and unusual lakes: each thing gets a located line, the rest goes on, nothing outside the root is touched."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.operators.lake import families
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.errors import RecipeError, StaleError
from tamis.pipeline.execute import Silent
from tamis.pipeline.lake.apply_plan import apply
from tamis.pipeline.lake.finding import find, root_of
from tamis.pipeline.lake.graph import load
from tamis.pipeline.lake.inspect_table import inspect
from tamis.pipeline.lake.run_lake import asked_of, plan_lake, scan_lake
from tamis.pipeline.lake.scan import Scanned, scan
from tamis.pipeline.lake.settings import Settings
from tamis.pipeline.lake.tables import Table
from tamis.pipeline.workspace import Workspace

GOOD = pa.table({"a": list(range(20)), "b": ["x", "y"] * 10})


def lake_with(tmp_path: Path) -> Path:
    root = (tmp_path / "lake").resolve()
    root.mkdir()
    pq.write_table(GOOD, root / "good.parquet")
    pq.write_table(GOOD.slice(3, 9), root / "inside.parquet")
    return root


def scanned(root: Path, **settings: Any) -> Scanned:
    return scan(root, Settings.of(settings), Workspace(root.parent / "work"), LocalEngine(1), Silent())


def edges(told: Scanned) -> set[tuple[str, str]]:
    return {(told.tables[p].name, told.tables[c].name) for p, c in zip(told.parent, told.child, strict=True)}


def left_out(told: Scanned) -> dict[str, str]:
    return {t.where: t.what for t in told.troubles}


def test_each_bad_table_has_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = lake_with(tmp_path)
    (root / "garbage.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    (root / "no_bytes.parquet").write_bytes(b"")
    (root / "no_bytes.csv").write_bytes(b"")
    (root / "ragged.csv").write_text("a,b\n1,x\n2\n")
    (root / "latin.csv").write_bytes(b"a,b\n1,\xe9\n")
    (root / "broken.jsonl").write_text('{"a": 1}\n{"a": \n')
    (root / "twice.csv").write_text("a,a\n1,2\n")
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), root / "twice.parquet")
    pq.write_table(GOOD.slice(0, 0), root / "empty.parquet")
    (root / "_delta_log").mkdir()  # hidden name in a folder that is then Delta: see below
    (root / "_delta_log").rmdir()
    (root / "delta" / "_delta_log").mkdir(parents=True)
    (root / "delta" / "_delta_log" / "00000000000000000000.json").write_text("{not json")
    (root / "berg" / "metadata").mkdir(parents=True)
    (root / "berg" / "metadata" / "v1.metadata.json").write_text("{}")
    os.mkfifo(root / "pipe.csv")
    told = scanned(root)
    assert {("good.parquet", "inside.parquet"), ("good.parquet", "empty.parquet"), ("inside.parquet", "empty.parquet")} <= edges(told)
    out = left_out(told)
    bad = {"garbage.parquet", "no_bytes.parquet", "no_bytes.csv", "broken.jsonl", "twice.csv", "twice.parquet", "delta", "berg", "pipe.csv"}
    assert bad <= set(out)
    assert "stand twice: a" in out["twice.parquet"] and "stand twice: a" in out["twice.csv"]
    assert "no regular file" in out["pipe.csv"] and "line 2" in out["broken.jsonl"]
    assert all("\n" not in what and what for what in out.values())


@pytest.mark.parametrize("content", [b"a,b\n1,x\n2\n", b"a,b\n1,\xe9\n"], ids=["ragged", "latin"])
def test_what_only_reading_shows_is_told_too(tmp_path: Path, content: bytes) -> None:
    root = lake_with(tmp_path)
    (root / "bad.csv").write_bytes(content)
    told = scanned(root)
    assert "bad.csv" in left_out(told) and ("good.parquet", "inside.parquet") in edges(told)
    assert not any("bad.csv" in e for e in edges(told))


def test_damage_behind_a_good_footer_is_told(tmp_path: Path) -> None:
    root = lake_with(tmp_path)
    path = root / "damaged.parquet"
    pq.write_table(GOOD.slice(2, 9), path, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:60] = b"\xff" * 56
    path.write_bytes(data)
    told = scanned(root)
    assert "damaged.parquet" in left_out(told) and edges(told) == {("good.parquet", "inside.parquet")}


def test_ten_thousand_columns(tmp_path: Path) -> None:
    root = lake_with(tmp_path)
    wide = pa.table({f"c{i}": [i, i + 1] for i in range(10_000)})
    pq.write_table(wide, root / "wide.parquet", write_statistics=True)
    pq.write_table(wide.slice(1), root / "part.parquet")
    assert edges(scanned(root)) == {("good.parquet", "inside.parquet"), ("wide.parquet", "part.parquet")}


def test_the_footer_of_a_ten_gigabyte_row_group_is_read_without_its_rows(tmp_path: Path) -> None:
    """The column chunk's offsets are moved behind a hole of ten gigabytes; the file takes no room on the disk."""
    root = lake_with(tmp_path)
    path = root / "large.parquet"
    pq.write_table(pa.table({"a": pa.array(range(20, 40)), "b": ["x"] * 20}), path)
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[-8:-4])
    with path.open("wb") as file:
        file.write(data[: -8 - size])
        file.seek(10 << 30)
        file.write(data[-8 - size:])
    assert path.stat().st_size > 10 << 30 and path.stat().st_blocks * 512 < 1 << 20
    told = scanned(root)
    table = next(t for t in told.tables if t.name == "large.parquet")
    assert table.rows == 20 and table.footer_bytes < 10_000 and table.bytes > 10 << 30
    assert edges(told) == {("good.parquet", "inside.parquet")}  # its range alone refutes: no row of it was read


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    pq.write_table(GOOD, outside / "secret.parquet")
    root = lake_with(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to("..")
    (root / "out").symlink_to(outside)
    (root / "file.parquet").symlink_to(outside / "secret.parquet")
    told = scanned(root)
    assert edges(told) == {("good.parquet", "inside.parquet")}
    assert {"loop", "sub/up", "out", "file.parquet"} <= set(left_out(told))


def test_a_log_that_names_files_outside_is_refused(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    root = lake_with(tmp_path)
    pq.write_table(GOOD, tmp_path / "secret.parquet")
    deltalake.write_deltalake(str(root / "delta"), GOOD)
    log = root / "delta" / "_delta_log" / "00000000000000000000.json"
    lines = [json.loads(x) for x in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["path"] = "../../secret.parquet"
    log.write_text("\n".join(json.dumps(x) for x in lines))
    assert "outside the lake" in left_out(scanned(root))["delta"]


def test_iceberg_is_a_parent_and_never_deleted(tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    root = lake_with(tmp_path)
    catalog = catalogs.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/cat.db", warehouse=f"file://{root}/warehouse")
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=GOOD.schema)
    table.append(GOOD.slice(0, 12))
    table.append(GOOD.slice(12))
    told = scanned(root)
    name = next(t.name for t in told.tables if t.kind == "iceberg")
    assert {(name, "good.parquet"), ("good.parquet", name), (name, "inside.parquet")} <= edges(told)
    asked = asked_of(str(root), str(tmp_path / "run"), ["np=1", "storage_price=1000"])
    scan_lake(asked, Silent())
    assert {d["table"] for d in plan_lake(asked)["delete"]} == {"good.parquet", "inside.parquet"}
    metadata = sorted((root / name / "metadata").glob("*.metadata.json"))[-1]
    moved = json.loads(metadata.read_text())
    for snapshot in moved["snapshots"]:
        snapshot["manifest-list"] = "file:///etc/passwd"
    metadata.write_text(json.dumps(moved))
    assert "outside the lake" in left_out(scanned(root))[name]


def test_delta_bounds_are_bounds_with_care(tmp_path: Path) -> None:
    """Time stamps in a Delta log are cut to milliseconds, texts to some length: the true child must survive them."""
    import datetime as dt

    deltalake = pytest.importorskip("deltalake")
    root = (tmp_path / "lake").resolve()
    start = dt.datetime(2024, 1, 1)
    table = pa.table({
        "at": pa.array([start + dt.timedelta(microseconds=1001 * i) for i in range(50)], pa.timestamp("us")),
        "text": [f"{'long ' * 40}{i:03d}" for i in range(50)], "f": [float("nan"), *map(float, range(49))],
        "d": pa.array(list(range(50)), pa.decimal128(20, 4)),
    })
    deltalake.write_deltalake(str(root / "all"), table)
    deltalake.write_deltalake(str(root / "part"), table.slice(7, 20))
    pq.write_table(table.slice(9, 9), root / "file.parquet")
    told = scanned(root)
    assert {("all", "part"), ("all", "file.parquet"), ("part", "file.parquet")} == edges(told)
    facts = next(t for t in told.tables if t.name == "all").stats
    assert facts["at"].high is None and not facts["text"].high_exact and facts["d"].low is None
    assert facts["f"].family == families.FLOAT


def test_hive_partitions_are_columns(tmp_path: Path) -> None:
    root = (tmp_path / "lake").resolve()
    table = pa.table({"a": list(range(12)), "day": ["2024-01-01", "2024-01-02", None] * 4})
    pq.write_to_dataset(table, root / "hive", partition_cols=["day"])
    pq.write_table(table, root / "flat.parquet")
    pq.write_table(table.filter(pa.compute.equal(table["day"], "2024-01-02")), root / "one_day.parquet")
    told = scanned(root)
    assert {("hive", "flat.parquet"), ("flat.parquet", "hive"), ("hive", "one_day.parquet")} <= edges(told)
    hive = next(t for t in told.tables if t.name == "hive")
    assert hive.stats["day"].values == {"2024-01-01", "2024-01-02", None} and hive.stats["day"].nulls == 4


def test_what_is_no_lake(tmp_path: Path) -> None:
    for path in ("s3://bucket/lake", str(tmp_path / "nowhere")):
        with pytest.raises(RecipeError):
            root_of(path)
    root = lake_with(tmp_path)
    with pytest.raises(RecipeError, match="must not write into the lake"):
        scan_lake(asked_of(str(root), str(root / "run")), Silent())


@pytest.mark.parametrize("wrong", [
    {"epsilon": 0.0}, {"tolerance": 1.0}, {"copies": 0}, {"trash": "../away"}, {"trash": "visible"}, {"read_speed": 0.0},
    {"storage_price": -1.0}, {"overrides": {"*": {"price": 1.0}}},
])
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="table_containment_deduplicator"):
        Settings.of(wrong)


def test_a_lake_without_tables(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.mkdir()
    told = scanned(root.resolve())
    assert not told.tables and not len(told.parent)


def test_every_stage_line_is_located_below_the_root(tmp_path: Path) -> None:
    root = lake_with(tmp_path)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "bad.parquet").write_bytes(b"nothing")
    places, _ = find(root, Settings.of())
    assert [p.name for p in places] == ["deep/er/bad.parquet", "good.parquet", "inside.parquet"]
    assert isinstance(inspect(places[1], root), Table)
    assert "deep/er/bad.parquet" in left_out(scanned(root))


def planned(root: Path, out: Path) -> tuple[Any, dict[str, Any]]:
    asked = asked_of(str(root), str(out), ["np=1", "storage_price=1000"])
    scan_lake(asked, Silent())
    return asked, plan_lake(asked)


@pytest.mark.parametrize("more", ["README.txt", "b=x/000000_0", "sub/_delta_log/0.json"])
def test_a_folder_that_holds_more_than_its_table_stays(tmp_path: Path, more: str) -> None:
    """It would be moved too, and would not come back from the parent."""
    root = lake_with(tmp_path)
    pq.write_to_dataset(GOOD.slice(2, 6), root / "hive", partition_cols=["b"])
    (root / "hive" / "_SUCCESS").write_text("")
    asked, plan = planned(root, tmp_path / "run")
    assert "hive" in {d["table"] for d in plan["delete"]}
    (root / "hive" / more).parent.mkdir(exist_ok=True, parents=True)
    (root / "hive" / more).write_text("precious")
    with pytest.raises(StaleError, match=f"hive: {more} lies in its folder"):
        apply(asked.run, load(asked.run), asked.settings, lambda *_: None)
    _, plan = planned(root, tmp_path / "again")
    assert "hive" in plan["held"] and "hive" not in {d["table"] for d in plan["delete"]}
    assert (root / "hive" / more).read_text() == "precious" and (root / "inside.parquet").exists()


@pytest.mark.parametrize("absolute", [False, True], ids=["beside", "shallow clone"])
def test_files_that_another_table_reads_stay(tmp_path: Path, absolute: bool) -> None:
    deltalake = pytest.importorskip("deltalake")
    root = lake_with(tmp_path)
    deltalake.write_deltalake(str(root / "source"), GOOD.slice(0, 8))
    deltalake.write_deltalake(str(root / "clone"), GOOD.slice(8))
    text = (root / "source" / "_delta_log" / "00000000000000000000.json").read_text()
    add = next(json.loads(x) for x in text.splitlines() if '"add"' in x)
    add["add"]["path"] = (f"file://{root}/source/" if absolute else "../source/") + add["add"]["path"]
    asked, before = planned(root, tmp_path / "before")
    (root / "clone" / "_delta_log" / "00000000000000000001.json").write_text(json.dumps(add) + "\n")
    if "source" in {d["table"] for d in before["delete"]}:
        with pytest.raises(StaleError, match="source: clone reads its files too"):
            apply(asked.run, load(asked.run), asked.settings, lambda *_: None)
    _, plan = planned(root, tmp_path / "run")
    assert plan["held"] == {"source": "clone reads its files too"}
    assert "source" not in {d["table"] for d in plan["delete"]} and "inside.parquet" in {d["table"] for d in plan["delete"]}


def test_a_csv_of_other_separators_stays(tmp_path: Path) -> None:
    root = (tmp_path / "lake").resolve()
    root.mkdir()
    (root / "all.csv").write_text('a;b\n"x; 1";"y"\n1;2\n"p";q\n')
    (root / "part.csv").write_text('a;b\n"x; 1";"y"\n"p";q\n')
    _, plan = planned(root, tmp_path / "run")
    assert not plan["delete"] and "separated by ';'" in plan["held"]["part.csv"]


def test_a_name_that_is_no_text_has_a_line(tmp_path: Path) -> None:
    root = lake_with(tmp_path)
    for folder in ("", "some/", "hive/a=1/"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        try:
            (root / os.fsdecode(folder.encode() + b"b\xffd.parquet")).write_bytes((root / "good.parquet").read_bytes())
        except OSError:
            pytest.skip("this file system takes no such name")
    _, plan = planned(root, tmp_path / "run")
    assert [d["table"] for d in plan["delete"]] == ["inside.parquet"]
    assert {"b\\udcffd.parquet", "some/b\\udcffd.parquet", "hive"} <= set(left_out(scanned(root)))


def test_a_closed_folder_within_a_table_has_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lake_with(tmp_path)
    pq.write_to_dataset(GOOD.slice(2, 6), root / "hive", partition_cols=["b"])
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("b=x"):  # modes do not close anything for root
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    told = scanned(root)
    assert left_out(told) == {"hive": "a folder in it cannot be listed (Permission denied)"}
    assert edges(told) == {("good.parquet", "inside.parquet")}
