"""What metadata tells of a table is true of its rows: bounds, counts, values, whoever wrote them; and what a token, a name, a folder mean."""

import datetime as dt
import json
import os
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.lake import families
from tamis.pipeline.lake import finding, inspect_table, tables
from tamis.pipeline.lake.finding import find, partition_of
from tamis.pipeline.lake.settings import Settings, fits
from tamis.pipeline.lake.tables import Table, Trouble

STEM = "the same beginning of a text that is longer than any limit"
VALUES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int8(), st.integers(-128, 127)), (pa.uint8(), st.integers(0, 255)), (pa.int64(), st.integers(-(2**63), 2**63 - 1)), (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.uint32(), st.integers(0, 2**32 - 1)), (pa.float32(), st.floats(width=32)), (pa.float64(), st.floats()), (pa.float16(), st.floats(width=16)), (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=5) | st.text(max_size=4).map(lambda t: STEM + t)), (pa.binary(), st.binary(max_size=5) | st.binary(max_size=3).map(lambda b: STEM.encode() * 2 + b)),
    (pa.date32(), st.dates(dt.date(1900, 1, 1))), (pa.decimal128(12, 3), st.decimals(-10**8, 10**8, places=3)), (pa.decimal128(30, 9), st.decimals(-10**15, 10**15, places=9)),
    *((pa.timestamp(unit), st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2200, 1, 1)).map(lambda d: d.replace(microsecond=0))) for unit in ("s", "ms", "us", "ns")),
    (pa.timestamp("us", "UTC"), st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2200, 1, 1))), (pa.time64("us"), st.times()), (pa.struct([("x", pa.int32())]), st.none() | st.fixed_dictionaries({"x": st.none() | st.integers(0, 9)})),
]


def columns(rows: int) -> st.SearchStrategy[tuple[pa.DataType, list[Any]]]:
    return st.sampled_from(VALUES).flatmap(lambda v: st.tuples(st.just(v[0]), st.lists(st.none() | v[1], min_size=rows, max_size=rows)))


def comparable(array: pa.ChunkedArray) -> list[Any]:
    """Values as the facts put bounds: numbers, bytes, days, nanoseconds; without nulls and NaN."""
    type = array.type
    if pa.types.is_timestamp(type) or pa.types.is_time(type):
        ticks = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[type.unit]
        return [v * ticks for v in pc.cast(array, pa.int64()).to_pylist() if v is not None]
    if pa.types.is_date(type):
        return [(v - dt.date(1970, 1, 1)).days for v in array.to_pylist() if v is not None]
    found = [float(v) if pa.types.is_floating(type) else v for v in array.to_pylist() if v is not None]
    return [v.encode() if isinstance(v, str) else v for v in found if v == v]


def check(table: Table, rows: pa.Table) -> int:
    """Every fact against the rows; answers how many bounds there are."""
    bounds = 0
    assert table.rows in (None, rows.num_rows) and set(table.leaves) == set(table.stats)
    for name, facts in table.stats.items():
        column = rows.column(name) if "." not in name else pc.struct_field(rows.column(name.partition(".")[0]).combine_chunks(), name.partition(".")[2])
        values = comparable(column) if not pa.types.is_nested(column.type) else []
        assert facts.nulls is None or facts.nulls == column.null_count, name
        assert facts.rows in (None, rows.num_rows) and facts.distinct in (None, len(set(values)))
        assert facts.values is None or facts.values == set(column.to_pylist())
        if facts.low is None:
            continue
        bounds += 1
        assert values and facts.low <= min(values) and max(values) <= facts.high, (name, facts)
        assert not facts.low_exact or facts.low == min(values), (name, facts)
        assert not facts.high_exact or facts.high == max(values), (name, facts)
    return bounds


@settings(max_examples=40)
@given(st.data())
def test_facts_of_parquet_hold_for_its_rows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One table of one to three files, which may lack a column; written in many ways."""
    root = tmp_path_factory.mktemp("facts").resolve()
    rows = data.draw(st.integers(0, 12))
    made = [pa.array(values, type) for type, values in data.draw(st.lists(columns(rows), min_size=1, max_size=4))]
    whole = pa.table({f"c{i}": a for i, a in enumerate(made)})
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=2)))
    (root / "t").mkdir()
    parts = []
    for number, (a, b) in enumerate(zip([0, *cuts], [*cuts, rows], strict=True)):
        piece = whole.slice(a, b - a)
        dropped = data.draw(st.sampled_from(whole.schema.names)) if number and whole.num_columns > 1 and data.draw(st.booleans()) else None
        if dropped:
            piece = piece.drop_columns([dropped])
        pq.write_table(piece, root / "t" / f"part-{number}.parquet", row_group_size=data.draw(st.sampled_from([1, 3, 100])),
                       use_dictionary=data.draw(st.booleans()), write_statistics=data.draw(st.booleans()), store_schema=data.draw(st.booleans()),
                       version=data.draw(st.sampled_from(["1.0", "2.6"])) if whole.schema.field(0).type != pa.timestamp("ns") else "2.6")
        parts.append(piece)
    (place,), _ = find(root, Settings.of())
    table = inspect_table.inspect(place, root)
    if isinstance(table, Trouble):
        assert "cannot be read" in table.what  # types of the files do not go together, such as milliseconds of version 1.0
        return
    read = pa.concat_tables(parts, promote_options="default").cast(pa.schema([whole.schema.field(n) for n in pa.concat_tables(parts, promote_options="default").schema.names]))
    check(table, read)


def test_bounds_are_there_where_they_can_be(tmp_path: Path) -> None:
    """The test above would hold for facts that say nothing."""
    kinds = {"i": [3, -1, None], "u": pa.array([2**64 - 1, 0, None], pa.uint64()), "f": [float("nan"), -0.5, 2.5], "s": ["b", "a", "c" * 50], "b": [True, False, None],
             "d": [dt.date(2020, 1, 2), dt.date(1960, 1, 1), None], "t": pa.array([dt.datetime(2020, 1, 1), None, dt.datetime(1960, 1, 1)], pa.timestamp("ms")), "m": [Decimal("1.50"), Decimal("-2.25"), None]}
    pq.write_table(pa.table(kinds), tmp_path / "x.parquet")
    (place,), _ = find(tmp_path.resolve(), Settings.of())
    table = inspect_table.inspect(place, tmp_path.resolve())
    assert isinstance(table, Table) and check(table, pa.table(kinds)) == len(kinds) and table.rows == 3
    bounds = {n: (s.low, s.high) for n, s in table.stats.items()}
    assert bounds == {"i": (-1, 3), "u": (0, 2**64 - 1), "f": (-0.5, 2.5), "s": (b"a", b"c" * 50), "b": (0, 1), "d": (-3653, 18263),
                      "t": (-315619200 * 10**9, 1577836800 * 10**9), "m": (Decimal("-2.25"), Decimal("1.50"))}
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        group = file.metadata.row_group(0)
        assert table.column_bytes == {name: group.column(i).total_compressed_size for i, name in enumerate(kinds)}
    assert table.bytes_of(("i", "s")) == table.column_bytes["i"] + table.column_bytes["s"]
    assert table.footer_bytes < table.bytes == (tmp_path / "x.parquet").stat().st_size


@settings(max_examples=8)
@given(st.data())
def test_facts_of_delta_hold_for_its_rows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    deltalake = pytest.importorskip("deltalake")
    root = tmp_path_factory.mktemp("delta").resolve()
    names = {"i": pa.int32(), "f": pa.float64(), "s": pa.string(), "d": pa.date32(), "m": pa.decimal128(12, 3), "t": pa.timestamp("us"), "p": pa.string()}
    kinds = {str(type): values for type, values in VALUES} | {"int32": st.integers(-(2**31), 2**31 - 1), "string": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4).map(lambda t: STEM[:len(t) * 20] + t)}
    parts = []
    for mode in ("error", "append"):
        rows = data.draw(st.integers(1, 6))
        part = pa.table({n: pa.array(data.draw(st.lists(st.none() | kinds[str(t)], min_size=rows, max_size=rows)) if n != "p" else data.draw(
            st.lists(st.sampled_from([None, "a b", "c/d", "é=f"]), min_size=rows, max_size=rows)), t) for n, t in names.items()})
        deltalake.write_deltalake(str(root / "t"), part, partition_by=["p"], mode=mode)
        parts.append(part)
    (place,), _ = find(root, Settings.of())
    table = inspect_table.inspect(place, root)
    assert isinstance(table, Table), table
    whole = pa.concat_tables(parts)
    check(table, whole)
    assert place.kind == "delta" and table.version == 1 and table.stats["p"].values == set(whole.column("p").to_pylist())
    for file in table.files:  # their writer is another one, which cuts the bounds of long texts
        shutil.copy(file.path, root / "alone.parquet")
        alone = inspect_table.inspect(finding.Place("alone.parquet", "parquet", root / "alone.parquet", ((root / "alone.parquet", ()),)), root)
        assert isinstance(alone, Table) and not str(pq.ParquetFile(file.path).metadata.created_by).startswith("parquet-cpp")
        check(alone, pq.read_table(file.path, partitioning=None))


def test_facts_of_iceberg_hold_for_its_rows(tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    root = (tmp_path / "lake").resolve()
    root.mkdir()
    rows = pa.table({"i": pa.array([5, None, -3, 2**40], pa.int64()), "s": ["é" * 20, "b", None, "a" * 40], "f": [1.5, float("nan"), None, -2.0]})
    catalog = catalogs.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/cat.db", warehouse=f"file://{root}")
    catalog.create_namespace("n")
    made = catalog.create_table("n.t", schema=rows.schema)
    made.append(rows.slice(0, 2))
    made.append(rows.slice(2))
    (place,), _ = find(root, Settings.of())
    table = inspect_table.inspect(place, root)
    assert isinstance(table, Table) and table.kind == "iceberg" and check(table, rows) == 2, "whole numbers and texts"
    assert (table.stats["i"].low, table.stats["i"].high, table.stats["i"].low_exact) == (-3, 2**40, True) and not table.stats["s"].high_exact


# ---- what is a table, and when is it another

def kinds_of(root: Path, **asked: Any) -> tuple[dict[str, str], dict[str, str]]:
    places, troubles = find(root.resolve(), Settings.of(asked))
    return {p.name: p.kind for p in places}, {t.where: t.what for t in troubles}


def test_what_is_a_table(tmp_path: Path) -> None:
    for name in ("a.csv", "b.tsv.gz", "c.jsonl.zst", "d.parquet", "e.json", "f.txt", "g.md", ".h.csv", "_i.csv", "sub/j.CSV", "_delta/k.csv", "hive/x=1/l.csv", "hive/x=2/y=3/m.csv",
                 "spark/part-0.csv", "spark/_SUCCESS", "mixed/part-0.csv", "mixed/part-1.jsonl", "named/2020/n.csv", "named/2021/o.csv", "metadata/p.csv", "no table.xlsx", "x=1.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    found, troubles = kinds_of(tmp_path)
    single = {"a.csv": "csv", "b.tsv.gz": "tsv", "c.jsonl.zst": "jsonl", "d.parquet": "parquet", "sub/j.CSV": "csv", "metadata/p.csv": "csv", "x=1.csv": "csv"}
    assert found == single | {"hive": "csv", "spark": "csv", "named/2020/n.csv": "csv", "named/2021/o.csv": "csv"}
    assert troubles == {"mixed": "files of several kinds lie in the folder of one table: csv, jsonl"}
    assert kinds_of(tmp_path, folders=["nam*"])[0] == single | {"hive": "csv", "spark": "csv", "named": "csv"}
    (place,) = [p for p in find(tmp_path.resolve(), Settings.of())[0] if p.name == "hive"]
    assert [partition for _, partition in place.files] == [(("x", "1"),), (("x", "2"), ("y", "3"))] and not place.more


@pytest.mark.parametrize(("folders", "told"), [
    (("a=1", "b=x%2Fy"), (("a", "1"), ("b", "x/y"))), (("a=",), (("a", ""),)), (("a=b=c",), (("a", "b=c"),)), (("plain", "a%20b=1"), (("a b", "1"),)),
    ((f"a={finding.NULL_PARTITION}",), (("a", None),)), ((), ()),
])
def test_partitions_are_in_the_names_of_folders(folders: tuple[str, ...], told: Any) -> None:
    assert partition_of(folders) == told


def token(root: Path, name: str) -> str:
    place, = [p for p in find(root.resolve(), Settings.of())[0] if p.name == name]
    table = inspect_table.inspect(place, root.resolve())
    assert isinstance(table, Table)
    return table.token


def test_a_token_changes_with_every_file_and_with_nothing_else(tmp_path: Path) -> None:
    for name in ("t/part-0.csv", "t/part-1.csv", "u.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    first = token(tmp_path, "t")
    (tmp_path / "u.csv").write_text("a\n2\n3\n")
    (tmp_path / "t").touch()
    assert token(tmp_path, "t") == first
    seen = {first}
    file = tmp_path / "t/part-1.csv"
    changes = [lambda: file.write_text("a\n12\n"), lambda: os.utime(file, ns=(1, 1)), lambda: file.rename(tmp_path / "t/part-2.csv"),
               lambda: shutil.copy(tmp_path / "t/part-0.csv", tmp_path / "t/part-3.csv"), lambda: (tmp_path / "t/part-0.csv").unlink()]
    for number, change in enumerate(changes):
        change()
        seen.add(token(tmp_path, "t"))
        assert len(seen) == number + 2


@pytest.mark.parametrize(("header", "names"), [
    (b"a,b\n", ["a", "b"]), (b"\xef\xbb\xbfa,b\r\n1,2\r\n", ["a", "b"]), (b'"a\nb","c,d"\n1,2\n', ["a\nb", "c,d"]), (b"a,b", ["a", "b"]), (b'"x ""y""",z\n', ['x "y"', "z"]),
    (b"only\n", ["only"]), ("ä,é\n".encode(), ["ä", "é"]), (b"a,,c\n1,2,3\n", ["a", "", "c"]),
])
def test_a_header_names_the_columns(tmp_path: Path, header: bytes, names: list[str]) -> None:
    (tmp_path / "x.csv").write_bytes(header)
    (tmp_path / "y.tsv").write_bytes(header.replace(b",", b"\t") if b'"c,d"' not in header else header)
    assert inspect_table._header(tmp_path / "x.csv", "csv").names == names
    if b'"c,d"' not in header:
        assert inspect_table._header(tmp_path / "y.tsv", "tsv").names == names


def test_a_long_header_is_read_whole(tmp_path: Path) -> None:
    names = [f"column {i} " + "x" * 50 for i in range(4000)]
    (tmp_path / "x.csv").write_text(",".join(names) + "\n" + ",".join("1" * 4000) + "\n")
    (place,), _ = find(tmp_path.resolve(), Settings.of())
    table = inspect_table.inspect(place, tmp_path.resolve())
    assert isinstance(table, Table) and list(table.leaves) == names


def test_patterns_and_the_later_of_two(tmp_path: Path) -> None:
    assert fits("a/b.csv", ["a/*"]) and fits("a/b.csv", ["*"]) and fits("[x].csv", ["[x].csv"]) and not fits("A.csv", ["a*"]) and not fits("a", None) and not fits("a", [])
    told = Settings.of({"accesses": 2.0, "overrides": {"*.csv": {"accesses": 5.0}, "a*": {"accesses": 7.0, "max_latency": 1.0}}})
    assert told.of_table("a.csv") == {"accesses": 7.0, "maintenance_runs": 1.0, "max_latency": 1.0}
    assert told.of_table("b.csv")["accesses"] == 5 and told.of_table("b.parquet")["accesses"] == 2


def test_a_schema_goes_through_text_whole() -> None:
    schema = pa.schema([pa.field("a", pa.dictionary(pa.int8(), pa.string()), nullable=False, metadata={"k": "v"}), ("b", pa.struct([("c", pa.timestamp("ns", "Europe/Berlin"))]))], metadata={"x": "y"})
    assert tables.schema_of_text(json.loads(json.dumps(tables.schema_text(schema)))).equals(schema, check_metadata=True)
    assert families.family(schema.field("a").type) == families.TEXT
