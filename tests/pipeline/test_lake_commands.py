"""`tamis lake` by its commands, on lakes of hostile names and many tables: what is printed, written and drawn is what there is."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_formats import FORMATS, plain_lake
from page_reader import is_safe, read_page, sections
from planted_lake import truth, write
from typer.testing import CliRunner

from tamis.pipeline.cli import app
from tamis.pipeline.lake import graph, picture, report
from tamis.pipeline.lake.graph import Graph, Line
from tamis.pipeline.lake.tables import Trouble
from tamis.pipeline.reporting import words

CHEAP = ["--set", "storage_price=1000", "--set", "np=1"]
SHOWN = 20  # lines of a list on a terminal


def call(*given: str) -> str:
    done = CliRunner().invoke(app, ["lake", *given], env={"COLUMNS": "300"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def parsed(*given: str) -> Any:
    return json.loads(call(*given, "--json"))


@FORMATS
def test_every_command_in_every_format(tmp_path: Path, writer: Any) -> None:
    made, lake, run = plain_lake(), tmp_path / "lake", str(tmp_path / "run")
    write(made, lake, 3, writer)
    before = {p.name for p in lake.iterdir()}
    told = parsed("scan", str(lake), "--out", run, *CHEAP)
    names = {t["name"].split(".")[0]: t["name"] for t in told["tables"]}
    edges = pq.read_table(tmp_path / "run/edges.parquet").to_pylist()
    found = {(told["tables"][e["parent"]]["name"], told["tables"][e["child"]]["name"]) for e in edges}
    assert found == {(names[p], names[c]) for p, c in truth(made) if p in names and c in names}
    certified = [json.loads(line) for line in (tmp_path / "run/certificates.jsonl").read_text().splitlines()]
    assert {(c["parent"], c["child"]) for c in certified} == found and all(c["missing"] == 0 for c in certified)
    assert {c["rows"] for c in certified if c["child"] == names["part"]} == {50} and {c["distinct"] for c in certified if c["child"] == names["few"]} == {3}
    assert [s["stage"] for s in told["stages"]] == ["schema", "minmax", "probe", "content", "exact"] and told["stages"][-1]["edges"] == len(edges)
    shown = call("plan", run, *CHEAP[:2])
    plan = parsed("plan", run, *CHEAP[:2])
    assert plan == json.loads((tmp_path / "run/plan.json").read_text())
    deleted = {d["table"] for d in plan["delete"]}
    kept = before - deleted
    assert {names[n] for n in ("part", "few", "one")} <= deleted and names["other"] in kept and len(deleted & {names["all"], names["copy"]}) == 1
    assert all((d["parent"], d["table"]) in found and d["parent"] in kept for d in plan["delete"])
    assert plan["totals"]["deleted"] == len(deleted) and plan["totals"]["bytes_deleted"] == sum(d["bytes"] for d in plan["delete"])
    assert plan["totals"]["plan"] <= plan["totals"]["greedy"] <= plan["totals"]["keep_all"] and all(d["table"] in shown for d in plan["delete"])
    moved = parsed("apply", run)
    assert {d["table"] for d in moved} == deleted and {p.name for p in lake.iterdir() if p.name[0] != "."} == kept
    assert parsed("apply", run) == [] and "0 tables moved" in call("apply", run)
    listed = parsed("empty", run)
    assert {(c["table"], c["deleted"]) for c in listed} == {(name, False) for name in deleted}
    assert f"{len(deleted)} of these tables have left the lake" in call("plan", run, *CHEAP[:2])
    back = sorted(deleted)
    assert "moved back from the trash" in call("restore", back[0], "--run", run, "--from-trash")
    assert all("fingerprint verified" in call("restore", name, "--run", run) for name in back[1:])
    assert {p.name for p in lake.iterdir() if p.name[0] != "."} == before
    gone = parsed("empty", run, "--yes")
    assert all(c["deleted"] for c in gone) and len(gone) == len(deleted) - 1 and not list(lake.glob(".tamis-trash/*/table/*"))
    page = read_page(Path(call("report", run).strip()).read_text("utf-8"))
    is_safe(page)
    again = parsed("scan", str(lake), "--out", str(tmp_path / "again"), *CHEAP)
    assert len(pq.read_table(tmp_path / "again/edges.parquet")) == len(edges) and {t["name"] for t in again["tables"]} == {t["name"] for t in told["tables"]}


NAMES = ["orders[old].csv", "[red]alarm[/red].csv", "a[/b].csv", "<img src=x onerror=alert(1)>.csv", "turned\u202evsc.csv", "es\x1b[2Jcape.csv", "line\nbreak.csv", "--help.csv", "naïve 😀 .csv", "per%20cent.csv"]


def test_tables_of_any_name_are_shown_moved_and_brought_back(tmp_path: Path) -> None:
    lake, run = tmp_path / "lake", str(tmp_path / "run")
    lake.mkdir()
    rows = [[str(i), f"name {i}"] for i in range(40)]
    for number, name in enumerate(["all.csv", *NAMES]):
        (lake / name).parent.mkdir(exist_ok=True)
        with (lake / name).open("w", newline="") as file:
            csv.writer(file).writerows([["id", "name"], *(rows if not number else rows[number:number + 9])])
    (lake / "bro\x1bken\u202e.csv").write_text("a,a\n1,2\n")
    scanned = call("scan", str(lake), "--out", run, *CHEAP)
    told = scanned + call("plan", run, *CHEAP[:2]) + call("apply", run) + call("empty", run)
    assert "left out: bro□ken□.csv: cannot be read" in scanned
    assert not [c for c in told if not c.isprintable() and c != "\n"]
    for name in NAMES:
        shown = words.oneline(name)
        assert f"moved: {shown} (comes back from all.csv)" in told and f"{shown}: " in told, name
        assert re.search(rf"^{re.escape(shown)}\s+all columns of all.csv", told, re.MULTILINE), name
        assert not (lake / name).exists()
    for name in NAMES:
        shown = call("restore", "--run", run, "--", name)
        assert shown.startswith(f"{words.oneline(name)}: rebuilt from all.csv, fingerprint verified; 9 rows") and (lake / name).is_file()
    page = read_page((tmp_path / "run/report.html").read_text("utf-8"))
    is_safe(page)
    table = next(t for node in sections(page)["plan"] for t in node.all("table"))
    assert sorted(row[0] for row in table.rows()) == sorted(" ".join(words.oneline(n).split()) for n in NAMES)


def test_long_lists_are_cut_and_say_how_much_is_not_shown(tmp_path: Path) -> None:
    lake, run = tmp_path / "lake", str(tmp_path / "run")
    lake.mkdir()
    pq.write_table(pa.table({"a": range(100)}), lake / "all.parquet")
    for i in range(SHOWN + 3):
        pq.write_table(pa.table({"a": range(i, i + 5)}), lake / f"part{i:02d}.parquet")
        (lake / f"bad{i:02d}.parquet").write_bytes(b"bad")
    scanned = call("scan", str(lake), "--out", run, *CHEAP)
    assert scanned.count("left out: ") == SHOWN and "and 3 more; graph.json lists them all" in scanned
    shown = call("plan", run, *CHEAP[:2])
    assert shown.count("all columns of all.parquet") == SHOWN and "and 3 more; plan.json lists them all" in shown and f"{SHOWN + 3} of {SHOWN + 4} tables" in shown
    call("apply", run)
    listed = call("empty", run)
    assert listed.count("comes back from all.parquet") == SHOWN and "and 3 more; --json lists them all" in listed and f"{SHOWN + 3} tables in" in listed


# ---- the page against what it tells of

def made_graph(tmp_path: Path, names: list[str], edges: list[tuple[int, int]], troubles: int = 0) -> Graph:
    """Edges as given and all that follow from them."""
    inside = np.zeros((len(names), len(names)), bool)
    for p, c in edges:
        inside[p, c] = True
    for k in range(len(names)):
        inside |= inside[:, [k]] & inside[[k], :]
    np.fill_diagonal(inside, False)
    parent, child = np.nonzero(inside)
    tables = [{"name": n, "kind": "csv", "rows": 3, "bytes": 1000 + i, "token": "", "version": None, "columns": 2, "held": ""} for i, n in enumerate(names)]
    ones = np.ones(len(parent), np.int64)
    lines = [Line(stage, 9 - i, 10**i, 10**(i + 2), i / 3, {"looked_at": 12345}) for i, stage in enumerate(report.STAGES)]
    return Graph(tmp_path, "f" * 32, tables, [Trouble(f"t{i}", "broken") for i in range(troubles)], lines, parent, child, ones * 0, ones, ones, ones)


def test_the_picture_has_every_table_and_the_edges_that_the_others_follow_from(tmp_path: Path) -> None:
    """0 and 1 are equal and hold 2 and 3; 2 holds 4, 3 holds 4; 5 holds 6; 7 is alone."""
    edges = [(0, 1), (1, 0), (0, 2), (0, 3), (2, 4), (3, 4), (5, 6)]
    found = made_graph(tmp_path, [f"t{i}.csv" for i in range(8)], edges)
    (large, small), more = picture.families(found, {"t1.csv": "t0.csv", "t4.csv": "t2.csv"})
    assert (large.tables, large.deleted, large.hidden, small.tables, small.deleted, more) == (5, 2, 0, 2, 0, 0)
    page = read_page(str(large.drawn))
    assert [t.text for t in page.all("text", "label")] == ["t0.csv and 1 equal", "t2.csv", "t3.csv", "t4.csv"]
    assert sorted(page.titles("edge")) == ["t2.csv is in t0.csv and 1 equal", "t3.csv is in t0.csv and 1 equal", "t4.csv is in t2.csv", "t4.csv is in t3.csv"]
    assert page.titles("stays") == ["1 of 2 deleted", "0 of 1 deleted", "0 of 1 deleted"] and page.titles("left") == ["1 of 1 deleted"]
    columns = {t.text: t.number("x") for t in page.all("text", "label")}
    assert columns["t0.csv and 1 equal"] < columns["t2.csv"] == columns["t3.csv"] < columns["t4.csv"]
    for place in page.all("rect"):
        assert 0 <= place.number("x") <= 1040 and place.number("y") + place.number("height") <= float(page.one("svg").attributes["viewbox"].split()[3])


def test_many_families_and_large_ones_are_drawn_in_part(tmp_path: Path) -> None:
    pairs = [(2 * i, 2 * i + 1) for i in range(picture.FAMILIES + 5)]
    first = 2 * len(pairs)
    star = [(first, first + i) for i in range(1, picture.NODES + 10)]
    found = made_graph(tmp_path, [f"t{i:03d}.csv" for i in range(first + picture.NODES + 10)], [*pairs, *star])
    shown, more = picture.families(found, {})
    assert (len(shown), more) == (picture.FAMILIES, 6)
    assert (shown[0].tables, shown[0].hidden) == (picture.NODES + 10, 10) and [f.tables for f in shown[1:]] == [2] * (picture.FAMILIES - 1)
    assert len(list(read_page(str(shown[0].drawn)).all("text", "label"))) == picture.NODES


@pytest.mark.parametrize("deletions", [0, 2, 503])
def test_the_page_says_what_graph_and_plan_say(tmp_path: Path, deletions: int) -> None:
    found = made_graph(tmp_path, [f"t{i}.csv" for i in range(deletions + 2)], [(0, i + 1) for i in range(min(deletions, 3))], troubles=deletions)
    totals = {"tables": deletions + 2, "edges": 3, "usable_edges": 2, "deleted": deletions, "bytes": 123456, "bytes_deleted": 1234, "keep_all": 7.25, "plan": 3.5,
              "greedy": 4.75, "bound": 3.4999999, "gap": 0.01, "solved": {"forest": 1}, "copies": 1}
    plan = {"totals": totals, "trash": ".tamis-trash", "too_slow": 1234, "kept_by_list": ["a", "b"], "kept_for_restores": ["c"], "held": {"t0.csv": "why\nit stays"},
            "delete": [{"table": f"t{i + 1}.csv", "parent": "t0.csv", "how": "all columns of t0.csv", "bytes": 10**i % 10**7, "rows": 1234 * i, "saves": 0.5, "rebuild_seconds": 1.04} for i in range(deletions)]}
    page = read_page(report.html(found, plan))
    is_safe(page)
    assert page.one("p", "lead").text.startswith(f"{deletions + 2} tables, 123.5 kB. {deletions} of them can go (1.2 kB, 1.0%)")
    parts = sections(page)
    stages = parts["stages"][1].one("table").rows()
    assert stages == [[report.STAGES[line.stage], f"{line.edges:,}", f"{line.rows:,}", words.size(line.bytes), f"{line.seconds:.2f}", "looked at: 12,345"] for line in found.lines]
    assert f"{words.size(sum(line.bytes for line in found.lines))} were read in all" in parts["stages"][2].text
    assert [row[1] for row in parts["costs"][1].one("table").rows()] == ["7.25 USD", "4.75 USD", "3.5 USD", "3.5 USD"]
    assert parts["costs"][1].facts() == {"gap": "0.01", "usable edges": "2", "too slow to rebuild": "1,234", "forest": "1"}
    assert "Stays: t0.csv: why ⏎ it stays." in page.one("main").text and "2 on the keep list, 1 that deleted tables come back from" in page.one("main").text
    assert ("plan" in parts) == ("left-out" in parts) == bool(deletions)
    if deletions:
        rows = parts["plan"][1].one("table").rows()
        assert rows[:2] == [["t1.csv", "all columns of t0.csv", "1 B", "0", "0.5", "1.0 s"], ["t2.csv", "all columns of t0.csv", "10 B", "1,234", "0.5", "1.0 s"]] and len(rows) == min(deletions, 500)
        assert ("and 3 more; plan.json lists them all." in page.one("main").text) == ("and 3 more; graph.json lists them all." in page.one("main").text) == (deletions > 500)


def test_a_graph_is_read_back_as_it_was_written_and_damage_is_told(tmp_path: Path) -> None:
    lake, run = tmp_path / "lake", tmp_path / "run"
    lake.mkdir()
    pq.write_table(pa.table({"a": range(9)}), lake / "all.parquet")
    pq.write_table(pa.table({"a": range(3)}), lake / "part.parquet")
    call("scan", str(lake), "--out", str(run), *CHEAP)
    read = graph.load(run)
    assert read.names == ["all.parquet", "part.parquet"] and (read.parent.tolist(), read.child.tolist(), read.rows.tolist(), read.missing.tolist()) == ([0], [1], [3], [0])
    with pq.ParquetFile(lake / "all.parquet") as file:
        assert read.read.tolist() == [file.metadata.row_group(0).column(0).total_compressed_size]
    (run / "edges.parquet").write_bytes(b"PAR1")
    done = CliRunner().invoke(app, ["lake", "plan", str(run)])
    assert done.exit_code == 1 and "edges.parquet" in str(done.exception) and "damaged" in str(done.exception)
