"""There and back in every format: read in parts as a loop reads it, rebuilt in pieces with rows stored beside, written as it was."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from lake_formats import applied, planned

from tamis.pipeline.errors import StaleError
from tamis.pipeline.lake import apply_plan, graph, readers, rewrite, way_back
from tamis.pipeline.lake.restore import restore
from tamis.pipeline.lake.trash import Entry, entries, locked, move, needed_parents

NAMES = ["plain", 'quo"ted', "two\nlines", "carriage\r\nreturn", "comma, tab\t", "é😀\u2028", " blanks ", "007", "NULL", "nan", "-", "\\N"]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [{"id": f"{i}", "name": chance.choice([None, *NAMES]), "code": f"{i % 7:03d}", "note": None} for i in range(count)]


def packed(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else zstandard.compress(data) if path.suffix == ".zst" else data)


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data


def delimited(path: Path, table: list[dict[str, Any]]) -> None:
    file = io.StringIO(newline="")
    made = csv.DictWriter(file, list(table[0]), delimiter="\t" if ".tsv" in path.name else ",", lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    made.writeheader()
    made.writerows(table)
    packed(path, file.getvalue().encode())


def lines(path: Path, table: list[dict[str, Any]]) -> None:
    typed = [{**r, "id": int(r["id"]), "deep": {"tags": [r["code"], None], "of": {"n": int(r["id"]) / 4}}} for r in table]
    packed(path, "".join(json.dumps({k: v for k, v in r.items() if v is not None or k == "note"}, ensure_ascii=False) + "\n" for r in typed).encode())


def parquet(path: Path, table: list[dict[str, Any]]) -> None:
    made = pa.table({"id": pa.array([int(r["id"]) for r in table], pa.int32()), "name": pa.array([r["name"] for r in table]).dictionary_encode(),
                     "deep": [{"x": None if i % 5 == 0 else i, "y": [str(i)]} if i % 4 else None for i in (int(r["id"]) for r in table)], "note": pa.nulls(len(table), pa.string())})
    pq.write_table(made.replace_schema_metadata({"who": "me"}), path, row_group_size=9, compression="snappy")


def hive(path: Path, table: list[dict[str, Any]]) -> None:
    """Files of unlike sizes below partitions, one of which is null; a mark of its writer's beside them."""
    for code in ("000", "001", None):
        mine = [r for r in table if (r["code"] if r["code"] < "002" else None) == code]
        folder = path / f"code={'__HIVE_DEFAULT_PARTITION__' if code is None else code}"
        folder.mkdir(parents=True)
        for number, part in enumerate((mine[:3], mine[3:])):
            pq.write_table(pa.table({"id": pa.array([int(r["id"]) for r in part], pa.int64()), "name": pa.array([r["name"] for r in part], pa.string())}), folder / f"f{number}.parquet",
                           row_group_size=4, compression="zstd")


def seen(path: Path, groups: bool = True) -> Any:
    """What a reader other than ours sees of a table: values in order, and how it is stored; with `groups` also in how many pieces."""
    if path.is_dir():
        return {p.relative_to(path).as_posix(): seen(p, groups) for p in sorted(path.rglob("*")) if p.is_file() and p.name[0] != "_"}
    mode = path.stat().st_mode & 0o777
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            parts = [file.metadata.row_group(g) for g in range(file.num_row_groups)]
            return (file.read().to_pylist(), str(file.schema_arrow), file.schema_arrow.metadata, {g.column(0).compression for g in parts}, mode,
                    [g.num_rows for g in parts] if groups else None)
    text = unpacked(path).decode()
    if ".jsonl" in path.name:
        return [{k: v for k, v in json.loads(line).items() if v is not None} for line in text.split("\n") if line], mode
    return list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in path.name else ",")), mode


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    ".csv": delimited, ".csv.gz": delimited, ".tsv.zst": delimited, ".jsonl": lines, ".jsonl.gz": lines, ".parquet": parquet, "": hive}


@pytest.mark.parametrize(("suffix", "chunk"), [*((suffix, 7) for suffix in WRITERS), (".parquet", 1 << 20), ("", 1 << 20)])
def test_a_table_comes_back_as_it_was_with_the_rows_that_its_parent_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, chunk: int) -> None:
    """Rows that lie beside are its first, its last, and two on either side of where one piece of a rebuild ends."""
    monkeypatch.setattr(way_back, "CHUNK", chunk)
    monkeypatch.setattr(rewrite, "CHUNK", chunk)
    lake = tmp_path / "lake"
    lake.mkdir()
    whole = rows(80)
    own = [{**r, "id": f"{1000 + i}"} if i in (0, 6, 7, 39) else r for i, r in enumerate(random.Random(1).sample(whole, 40))]
    WRITERS[suffix](lake / f"all{suffix}", whole)
    WRITERS[suffix](lake / f"own{suffix}", own)
    if suffix:
        (lake / f"own{suffix}").chmod(0o640)
    before = seen(lake / f"own{suffix}", chunk > 100)
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000", "tolerance=0.12")
    (d,) = plan["delete"]
    assert (d["table"], d["rows"], d["missing"]) == (f"own{suffix}", 40, 4) and "4 rows stored beside" in d["how"]
    assert len(applied(told)) == 1 and not (lake / f"own{suffix}").exists()
    (entry,) = entries(lake / ".tamis-trash")
    assert pq.read_table(entry.path / "residual.parquet").num_rows == 4
    assert (pq.read_table(entry.path / "rows.parquet").column("row").to_numpy() < 0).sum() == 4
    restore(lake.resolve(), f"own{suffix}", told.settings)
    assert seen(lake / f"own{suffix}", chunk > 100) == before
    journal = [json.loads(line) for line in (lake / ".tamis-trash/journal.jsonl").read_text().splitlines()]
    assert [j["what"] for j in journal] == ["began", "moved", f"rebuilt from all{suffix}"] and {j["table"] for j in journal} == {f"own{suffix}"}


@pytest.mark.parametrize("suffix", [s for s in WRITERS if s])
def test_a_table_without_rows_comes_back_with_its_columns(tmp_path: Path, suffix: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    WRITERS[suffix](lake / f"all{suffix}", rows(9))
    if suffix == ".parquet":
        pq.write_table(pq.read_table(lake / "all.parquet").slice(0, 0), lake / "none.parquet")
    else:
        packed(lake / f"none{suffix}", (b"" if ".jsonl" in suffix else unpacked(lake / f"all{suffix}").splitlines(keepends=True)[0]))
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000", "start_seconds=0", "write_price=0", "read_price=0")
    if ".jsonl" in suffix:
        assert [(t.where, t.what) for t in graph.load(told.run).troubles] == [(f"none{suffix}", "has no columns")]
        return
    before = seen(lake / f"none{suffix}")
    assert [d["table"] for d in plan["delete"]] == [f"none{suffix}"]
    applied(told)
    restore(lake.resolve(), f"none{suffix}", told.settings)
    assert seen(lake / f"none{suffix}")[0] == before[0]


# ---- reading in parts

def unit(kind: str, path: Path, names: list[str], **how: Any) -> tuple[list[dict[str, Any]], int]:
    """The rows, only of the leaves asked for, and the bytes that it took."""
    spent: list[int] = []
    found = [row for batch in readers.read_unit(kind, str(path), names, spent=spent.append, **how) for row in batch.to_pylist()]
    return found, sum(spent)


def test_row_groups_and_columns_are_read_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "ROWS", 4)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": range(20), "b": [str(i) * 50 for i in range(20)], "s": [{"x": i, "y": -i} for i in range(20)]}), path, row_group_size=6)
    whole, all_bytes = unit("parquet", path, ["a", "b", "s.x", "s.y"])
    assert whole == pq.read_table(path).to_pylist()
    with pq.ParquetFile(path) as file:
        meta = [[file.metadata.row_group(g).column(c) for c in range(4)] for g in range(4)]
    assert [c.path_in_schema for c in meta[0]] == ["a", "b", "s.x", "s.y"] and all_bytes == sum(c.total_compressed_size for g in meta for c in g)
    found, spent = unit("parquet", path, ["a", "s.y"], groups=[1, 3])
    assert found == [{"a": i, "s": {"y": -i}} for i in [*range(6, 12), 18, 19]]
    assert spent == sum(meta[g][c].total_compressed_size for g in (1, 3) for c in (0, 3))
    assert unit("parquet", path, ["nowhere"], groups=[0, 3]) == ([{}] * 8, 0), "rows are known without a column"


def test_partitions_come_in_their_own_type_and_hide_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1, 2], "day": ["wrong", "wrong"]}), path)
    found, _ = unit("delta", path, ["a", "day", "n"], partition=(("day", "2024-01-02"), ("n", None)), types={"n": pa.int64()})
    assert found == [{"a": i, "day": "2024-01-02", "n": None} for i in (1, 2)]
    batch = next(readers.read_unit("delta", str(path), ["n"], partition=(("n", "7"),), types={"n": pa.int16()}))
    assert batch.schema == pa.schema([("n", pa.int16())]) and batch.to_pylist() == [{"n": 7}] * 2


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz", "x.tsv.zst"])
def test_fields_are_texts_and_an_empty_one_is_null(tmp_path: Path, name: str) -> None:
    delimited(tmp_path / name, rows(60))
    kind = name.split(".")[1]
    found, spent = unit(kind, tmp_path / name, ["code", "id", "name", "note", "gone"])
    assert found == [{"code": r["code"], "id": r["id"], "name": r["name"], "note": None, "gone": None} for r in rows(60)]
    assert spent == (tmp_path / name).stat().st_size


def test_an_empty_line_is_a_null_in_a_table_of_one_column_and_nothing_in_others(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text('a\nx\n\ny\n""\n')
    (tmp_path / "two.csv").write_text("a,b\nx,1\n\ny,\n")
    one, two = (pa.schema([(n, pa.string()) for n in names]) for names in ("a", "ab"))
    assert [r["a"] for r in unit("csv", tmp_path / "one.csv", ["a"], schema=one)[0]] == ["x", None, "y", None]
    assert unit("csv", tmp_path / "two.csv", ["a", "b"], schema=two)[0] == [{"a": "x", "b": "1"}, {"a": "y", "b": None}]


def test_json_lines_come_in_the_types_of_the_whole_table(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"b": "2020-01-01"}\n')
    schema = pa.schema([("a", pa.float64()), ("b", pa.string()), ("c", pa.int64())])
    batch, = readers.read_unit("jsonl", str(tmp_path / "x.jsonl"), ["a", "b", "c"], schema=schema)
    assert batch.schema == schema and batch.to_pylist() == [{"a": 1.0, "b": None, "c": None}, {"a": None, "b": "2020-01-01", "c": None}]


# ---- the trash

def test_nothing_is_overwritten_and_nothing_moved_twice(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for target in ("b", "dangling"):
        with pytest.raises(StaleError, match="exists: nothing is overwritten; move it away first"):
            move(tmp_path / "a", tmp_path / target)
    with pytest.raises(StaleError, match="gone cannot be moved to .*No such file"):
        move(tmp_path / "gone", tmp_path / "c")
    move(tmp_path / "a", tmp_path / "deep/er/a")
    assert (tmp_path / "deep/er/a").read_text() == "a" and not (tmp_path / "a").exists() and (tmp_path / "b").read_text() == "b"


def test_an_entry_is_a_table_as_it_was(tmp_path: Path) -> None:
    one = Entry.of(tmp_path, "t.csv", "token")
    assert one == Entry.of(tmp_path, "t.csv", "token") and one not in (Entry.of(tmp_path, "t.csv", "other"), Entry.of(tmp_path, "t.csvt", "oken"))
    assert one.moved() is None and one.recipe is None and not one.gone and not one.restored and entries(tmp_path / "nowhere") == []
    (one.path / "table").mkdir(parents=True)
    (one.path / "restore.json").write_text(json.dumps({
        "table": "t.csv", "parent": {"name": "p.csv", "kind": "csv", "version": None}, "kind": "csv", "when": "", "bytes": 0, "schema": "",
        "residual_rows": 0, "missing_values": "null", "fingerprint": {}, "partitions": [], "folder": False, "files": []}))
    assert one.gone and one.moved() is None and entries(tmp_path) == [one] and needed_parents(tmp_path) == {"p.csv"}
    (one.path / "restored.json").write_text("{}")
    assert one.restored and needed_parents(tmp_path) == set()


def test_two_that_move_tables_do_not_meet(tmp_path: Path) -> None:
    with locked(tmp_path / "trash"), pytest.raises(StaleError, match="lake trash .* is being written to by process"), locked(tmp_path / "trash"):
        raise AssertionError("both went in")
    with locked(tmp_path / "trash"):
        pass


def test_a_change_while_the_way_back_is_sought_is_seen_before_the_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    delimited(lake / "all.csv", rows(30))
    delimited(lake / "own.csv", rows(10))
    told, _ = planned(lake, tmp_path / "run", "storage_price=1000")
    seek = apply_plan.find_way_back

    def slow(*args: Any) -> Any:
        found = seek(*args)
        delimited(lake / "own.csv", rows(11))
        return found

    monkeypatch.setattr(apply_plan, "find_way_back", slow)
    with pytest.raises(StaleError, match="own.csv: has changed since the lake was scanned"):
        applied(told)
    assert len(seen(lake / "own.csv")[0]) == 12 and not list(lake.glob(".tamis-trash/*/table/*"))
