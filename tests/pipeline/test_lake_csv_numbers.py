"""CSV copies of columns of numbers: found beside Parquet, JSON lines and Delta, deleted, and restored to the letter."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from lake_formats import applied, planned

from tamis.pipeline.errors import StaleError
from tamis.pipeline.lake import graph, readers, rewrite, way_back
from tamis.pipeline.lake.restore import restore, restore_all

ALL = "storage_price=1000"
PRICES = [1.0, 0.5, 100.0, 1e16, 1e-5, 12.25, None, 3.0, -2.0, 0.30000000000000004, 1e7]


def table() -> pa.Table:
    n = len(PRICES)
    return pa.table({
        "id": pa.array(range(n), pa.int32()), "price": pa.array(PRICES), "name": [f"n{i}, \"x\"" for i in range(n)],
        "paid": pa.array([Decimal(i) / 4 for i in range(n)], pa.decimal128(12, 2)), "count": pa.array([None if i == 3 else i for i in range(n)], pa.int64()),
    })


def by_python(rows: pa.Table, path: Path) -> None:
    """As pandas and Python's csv do: floats by repr, a column of integers with holes as floats."""
    with path.open("w", newline="") as sink:
        out = csv.writer(sink)
        out.writerow(rows.schema.names)
        for row in rows.to_pylist():
            row["count"] = None if row["count"] is None else float(row["count"])
            out.writerow(row.values())


def by_arrow(rows: pa.Table, path: Path) -> None:
    pv.write_csv(rows, path)


def in_many_hands(rows: pa.Table, path: Path) -> None:
    with path.open("w", newline="") as sink:
        out = csv.writer(sink)
        out.writerow(rows.schema.names)
        for i, row in enumerate(rows.to_pylist()):
            price = row["price"]
            row["price"] = price if price is None or price >= 1e7 or price < 1e-4 or i == 9 else (f"{price:.2f}", f"{price:g}", repr(price))[i % 3]
            out.writerow(row.values())


WRITERS = pytest.mark.parametrize("write", [by_python, by_arrow, in_many_hands])


def edges(run: Path) -> set[tuple[str, str]]:
    found = graph.load(run)
    return {(found.names[p], found.names[c]) for p, c in zip(found.parent.tolist(), found.child.tolist(), strict=True)}


def cells_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as source:
        return list(csv.reader(source))


@pytest.mark.parametrize("chunk", [1 << 20, 4])
@WRITERS
def test_a_csv_copy_is_found_deleted_and_restored_to_the_letter(
    tmp_path: Path, write: Callable[[pa.Table, Path], None], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "CHUNK", chunk)
    monkeypatch.setattr(rewrite, "CHUNK", chunk)
    monkeypatch.setattr(readers, "ROWS", chunk)
    lake, run = tmp_path / "lake", tmp_path / "run"
    lake.mkdir()
    pq.write_table(table(), lake / "all.parquet")
    write(table(), lake / "copy.csv")
    write(table().slice(2, 6).select(["count", "price"]), lake / "part.csv")
    before = {p.name: cells_of(p) for p in lake.glob("*.csv")}
    told, plan = planned(lake, run, ALL, "keep=[all.parquet]")
    assert {("all.parquet", "copy.csv"), ("all.parquet", "part.csv")} <= edges(run)
    assert {d["table"]: d["parent"] for d in plan["delete"]} == {"copy.csv": "all.parquet", "part.csv": "all.parquet"}
    applied(told)
    assert [p.name for p in lake.glob("[a-z]*")] == ["all.parquet"]
    done = restore_all(lake, told.settings, lambda recipe, why: None)
    assert len(done) == 2 and {p.name: cells_of(p) for p in lake.glob("*.csv")} == before
    told_of = {c["child"]: c["as_numbers"] for c in map(json.loads, (run / "certificates.jsonl").read_text().splitlines()) if "as_numbers" in c}
    assert told_of["copy.csv"] == ["count", "id", "paid", "price"] and graph.load(run).lines[-1].told["read_as_numbers"] >= 2


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "delta"])
def test_a_table_of_numbers_comes_back_from_a_csv(tmp_path: Path, kind: str) -> None:
    lake, run = tmp_path / "lake", tmp_path / "run"
    lake.mkdir()
    by_python(table(), lake / "all.csv")
    rows = table().slice(1, 7).select(["price", "count"])
    if kind == "parquet":
        pq.write_table(rows, lake / "part.parquet")
    elif kind == "delta":
        pytest.importorskip("deltalake").write_deltalake(str(lake / "part.delta"), rows)
    else:
        (lake / "part.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows.to_pylist()))
    told, plan = planned(lake, run, ALL)
    name = f"part.{kind}"
    assert [(d["table"], d["parent"]) for d in plan["delete"]] == [(name, "all.csv")]
    applied(told)
    assert not (lake / name).exists()
    restore(lake, name, told.settings)
    if kind == "parquet":
        assert pq.read_table(lake / name).equals(rows)
    again = planned(lake, tmp_path / "again", ALL)[1]
    assert [d["rows"] for d in again["delete"]] == [7]


@pytest.mark.parametrize(("text", "number"), [
    ("1.2", 1.25), ("007", 7), ("5,0", 5.0), ("+5", 5), ("1e400", 1.0), ("5.", 5.0), ("٥", 5), ("0x5", 5), ("1_0", 10), ("0.1", 0.1 + 1e-17 * 8),
])
def test_what_is_not_that_number_or_not_written_by_any_known_hand_is_not_found(tmp_path: Path, text: str, number: float) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    pq.write_table(pa.table({"v": [number, 99.5]}), lake / "all.parquet")
    (lake / "text.csv").write_text(f'v\n"{text}"\n')
    planned(lake, tmp_path / "run")
    same = float(number) == 0.1 and text == "0.1"
    assert edges(tmp_path / "run") == ({("all.parquet", "text.csv")} if same else set())


def test_text_beside_text_stays_text(tmp_path: Path) -> None:
    """Of two columns of text nobody says that they are numbers: version 1.10 is not version 1.1."""
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "all.csv").write_text("version,n\n1.1,1\n1.2,2\n")
    (lake / "part.csv").write_text("version,n\n1.10,1\n")
    pq.write_table(pa.table({"version": ["1.1", "1.2"], "n": [1.0, 2.0]}), lake / "text.parquet")
    planned(lake, tmp_path / "run")
    assert edges(tmp_path / "run") == {("text.parquet", "all.csv"), ("all.csv", "text.parquet")}


def test_one_table_read_both_ways_beside_two_others(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "part.csv").write_text("v\n1.0\n2.5\n")
    (lake / "text.csv").write_text("v\n1.0\n2.5\n7\n")
    (lake / "else.csv").write_text("v\n1\n2.50\n7\n")
    pq.write_table(pa.table({"v": [1.0, 2.5, 7.0, 8.0]}), lake / "all.parquet")
    planned(lake, tmp_path / "run")
    assert edges(tmp_path / "run") == {("all.parquet", n) for n in ("part.csv", "text.csv", "else.csv")} | {("text.csv", "part.csv")}


def test_as_often_as_they_occur_and_with_rows_that_are_missing(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    pq.write_table(pa.table({"v": [float(i) for i in range(50)]}), lake / "all.parquet")
    (lake / "twice.csv").write_text("v\n1.0\n1.0\n2.0\n")
    (lake / "most.csv").write_text("v\n" + "".join(f"{i}.0\n" for i in range(40)) + "77.0\nx\n")
    planned(lake, tmp_path / "bag", "bag=true")
    assert edges(tmp_path / "bag") == set()
    told, plan = planned(lake, tmp_path / "run", ALL, "tolerance=0.1")
    assert {(d["table"], d["missing"]) for d in plan["delete"]} == {("twice.csv", 0), ("most.csv", 2)}
    before = {n: cells_of(lake / n) for n in ("twice.csv", "most.csv")}
    applied(told)
    assert restore_all(lake, told.settings, lambda *_: None) and {n: cells_of(lake / n) for n in before} == before


@pytest.mark.parametrize("form", [1, 999, "written.7", "row", None, [18]])
def test_a_recipe_that_writes_otherwise_restores_nothing(tmp_path: Path, form: Any) -> None:
    """Of a table's text every letter counts: what does not come back to its own fingerprint does not come back."""
    lake = tmp_path / "lake"
    lake.mkdir()
    pq.write_table(pa.table({"v": [1.0, 2.0, 4.5]}), lake / "all.parquet")
    (lake / "part.csv").write_text("v\n1.00\n4.50\n")
    told, _ = planned(lake, tmp_path / "run", ALL)
    applied(told)
    recipe = next((lake / ".tamis-trash").glob("*/restore.json"))
    said = json.loads(recipe.read_text())
    assert said["written"] == {"v": 16 + 2}
    recipe.write_text(json.dumps(said | {"written": {"v": form}}))
    with pytest.raises(StaleError):
        restore(lake, "part.csv", told.settings)
    assert not (lake / "part.csv").exists()
    if not isinstance(form, int | str):  # no recipe at all: its copy is moved back by hand
        with pytest.raises(StaleError, match="is damaged"):
            restore(lake, "part.csv", told.settings, from_trash=True)
        return
    restore(lake, "part.csv", told.settings, from_trash=True)
    assert cells_of(lake / "part.csv") == [["v"], ["1.00"], ["4.50"]]


def test_a_lone_carriage_return_within_a_cell_comes_back(tmp_path: Path) -> None:
    """Python's csv puts no quotes around it, and then every reader ends the line there."""
    lake = tmp_path / "lake"
    lake.mkdir()
    rows = [["v", "note"], ["1.0", "a\rb"], ["2.5", "\r"], ["1.0", ""], ["2.5", "plain, \"said\""]]
    pq.write_table(pa.table({"v": [1.0, 2.5, 1.0, 2.5, 7.0], "note": ["a\rb", "\r", None, "plain, \"said\"", "x"]}), lake / "all.parquet")
    with (lake / "part.csv").open("w", newline="") as sink:
        csv.writer(sink, quoting=csv.QUOTE_ALL).writerows(rows)
    told, plan = planned(lake, tmp_path / "run", ALL)
    assert [d["table"] for d in plan["delete"]] == ["part.csv"]
    applied(told)
    restore(lake, "part.csv", told.settings)
    assert cells_of(lake / "part.csv") == rows
    assert b'2.5,"plain, ""said"""\n' in (lake / "part.csv").read_bytes()  # quotes elsewhere only where they are needed
