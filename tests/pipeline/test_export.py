"""Export: the same rows make the same bytes, shards roll by the data alone, files appear whole; hash and card."""

import datetime as dt
import decimal
import itertools
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import execute
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.export import ContentHash, Exporter, dataset_card, export, file_suffix
from tamis.pipeline.formats import splits, writers
from tamis.pipeline.formats.rows import row_bytes
from tamis.pipeline.run import run

ROWS = [
    {"text": f"row {i} é😀\u2028 " * (i % 5), "n": i if i % 3 else None, "tags": ["a", "b"][: i % 3], "meta": {"k": i / 7, "s": None if i % 2 else "x"}}
    for i in range(400)
]
TABLE = pa.Table.from_pylist(ROWS)
FORMATS = ["parquet", "jsonl", "jsonl.gz", "jsonl.zst"]


def batches(*edges: int) -> list[pa.RecordBatch]:
    """TABLE in batches that begin at the given rows."""
    cuts = [0, *sorted(edges), len(TABLE)]
    return [b for a, z in itertools.pairwise(cuts) for b in TABLE.slice(a, z - a).to_batches()]


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def back(path: str) -> list[dict]:
    if path.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    with pa.input_stream(path) as stream:  # by the suffix: gz; zst
        return [json.loads(line) for line in stream.read().decode().split("\n") if line]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("limits", [{}, {"shard_rows": 77}, {"shard_bytes": 3000}, {"shard_bytes": 5000, "shard_rows": 50}])
def test_same_rows_same_bytes_whatever_the_batches(tmp_path, format, limits, monkeypatch):
    monkeypatch.setattr(writers, "GROUP_BYTES", 4000)
    monkeypatch.setattr(writers, "PIECE", 1000)
    rng = random.Random(0)
    ways = [batches(), batches(*range(1, 400)), batches(*rng.sample(range(1, 400), 9)), [*batches(200), batches()[0].slice(0, 0)]]
    found = [export(way, str(tmp_path / str(i)), TABLE.schema, format=format, texts=["text"], **limits) for i, way in enumerate(ways)]
    facts = [[(Path(s.path).name, s.rows, s.bytes, s.digest) for s in shards] for shards in found]
    assert facts[0] == facts[1] == facts[2] == facts[3]
    assert [content(s.path) for s in found[0]] == [content(s.path) for s in found[1]]
    assert [row for s in found[0] for row in back(s.path)] == ROWS
    if "shard_rows" in limits:
        assert all(s.rows <= limits["shard_rows"] for s in found[0])


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 60), max_size=30), limit=st.integers(1, 120), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_shards_are_filled_greedily_row_by_row(tmp_path_factory, sizes, limit, cuts):
    table = pa.table({"text": pa.array(["x" * n for n in sizes], pa.string())})
    widths = [n + 4 for n in sizes]
    assert row_bytes(table).tolist() == widths
    expected, filled = [0], 0
    for width in widths:
        if expected[-1] and filled + width > limit:
            expected.append(0)
            filled = 0
        expected[-1] += 1
        filled += width
    edges = sorted({0, len(sizes), *(c for c in cuts if c < len(sizes))})
    parts = [b for a, z in itertools.pairwise(edges) for b in table.slice(a, z - a).to_batches()]
    shards = export(parts, str(tmp_path_factory.mktemp("s")), table.schema, shard_bytes=limit)
    assert [s.rows for s in shards] == expected


def test_digest_and_size_are_the_files(tmp_path):
    import xxhash

    (shard,) = export(batches(), str(tmp_path), TABLE.schema)
    data = content(shard.path)
    assert shard.bytes == len(data) and shard.digest == f"xxh3:{xxhash.xxh3_128_hexdigest(data)}" and shard.rows == 400


def test_parquet_is_laid_out_for_text(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "GROUP_BYTES", 5000)
    (shard,) = export(batches(), str(tmp_path), TABLE.schema.with_metadata({"huggingface": "{}"}), texts=["text"])
    file = pq.ParquetFile(shard.path, page_checksum_verification=True)
    column = file.metadata.row_group(0).column(0)
    assert file.num_row_groups > 3 and column.compression == "ZSTD" and not column.has_dictionary_page
    assert file.metadata.row_group(0).column(1).has_dictionary_page and b"huggingface" not in (file.metadata.metadata or {})
    assert file.read().to_pylist() == ROWS


def test_an_exact_file(tmp_path):
    for name in ("x.jsonl", "x.json", "x.parquet", "x.jsonl.zst", "deep/er/x.jsonl.gz"):
        (shard,) = export(batches(), str(tmp_path / name), TABLE.schema)
        assert shard.path == str(tmp_path / name) and back(shard.path) == ROWS
    assert file_suffix("a/b.jsonl.gz") == ".jsonl.gz" and file_suffix("a/b") == "" and file_suffix("a/.jsonl") == ""


def test_an_exact_file_in_shards_is_named_as_data_juicer_does(tmp_path):
    shards = export(batches(), str(tmp_path / "name.jsonl"), TABLE.schema, shard_rows=100)
    assert [Path(s.path).name for s in shards] == [f"name-0{i}-of-04.jsonl" for i in range(4)]
    export(batches(), str(tmp_path / "name.jsonl"), TABLE.schema, shard_rows=200)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["name-00-of-02.jsonl", "name-01-of-02.jsonl"], "the four have no successor"


def test_without_rows_there_is_an_empty_file_with_its_columns(tmp_path):
    (shard,) = export([], str(tmp_path / "p"), TABLE.schema)
    assert pq.read_table(shard.path).schema == TABLE.schema and shard.rows == 0
    (shard,) = export([], str(tmp_path / "j"), TABLE.schema, format="jsonl.zst")
    assert back(shard.path) == []


def test_nothing_shows_until_all_is_written(tmp_path):
    with Exporter(str(tmp_path / "out"), TABLE.schema, shard_rows=50) as out:
        for batch in batches(100, 200):
            out.write(batch)
            assert all(p.name.startswith(".") for p in (tmp_path / "out").iterdir())
    assert len(out.shards) == 8 and {p.name for p in (tmp_path / "out").iterdir()} == {f"part-0000{i}.parquet" for i in range(8)}


def test_a_failed_export_leaves_what_was_there(tmp_path):
    export(batches(), str(tmp_path), TABLE.schema, shard_rows=200)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ZeroDivisionError), Exporter(str(tmp_path), TABLE.schema, shard_rows=10) as out:
        out.write(batches()[0])
        raise ZeroDivisionError
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_shorter_export_takes_the_place_of_a_longer_one(tmp_path):
    (tmp_path / "mine.txt").write_text("stays")
    (tmp_path / ".part-00000.parquet.tmp").write_text("left by a killed run")
    export(batches(), str(tmp_path), TABLE.schema, shard_rows=50)
    export(batches(), str(tmp_path), TABLE.schema, shard_rows=300)
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["mine.txt", "part-00000.parquet", "part-00001.parquet"]


@pytest.mark.parametrize(("path", "ours", "others"), [
    ("", [".part-00007.parquet.tmp", ".part-100000.jsonl.zst.tmp", ".part-00007.parquet.0123abcd.tmp", "part-00009.jsonl"],
     [".part-7.parquet.tmp", ".part-00007.csv.tmp", ".my-00007.parquet.tmp", "part-00009.csv", ".part-00007.parquet.0123.tmp"]),
    ("a+b.jsonl", [".a+b-00003.jsonl.tmp", ".a+b.jsonl.0123abcd.tmp", ".a+b-03-of-04.jsonl.0123abcd.tmp", "a+b-03-of-04.jsonl"],
     [".aab-00003.jsonl.tmp", ".x.jsonl.0123abcd.tmp", ".a+b-00003.parquet.tmp", ".a+b-c-00003.jsonl.tmp", ".manifest.json.0123abcd.tmp"]),
])
def test_what_a_kill_left_of_more_shards_goes_and_nothing_else(tmp_path, path, ours, others):
    for name in (*ours, *others):
        (tmp_path / name).write_text("left")
    (shard,) = export(batches(), str(tmp_path / path), TABLE.schema)
    assert {p.name for p in tmp_path.iterdir()} == {*others, Path(shard.path).name}


def test_json_of_every_kind_of_value(tmp_path):
    table = pa.table({
        "z": pa.array(["é\u2028\x00\"\\", None]), "big": pa.array([2**63 - 1, -(2**63)]), "f": [0.1, 1e300], "b": [True, None],
        "t": pa.array([1_600_000_000_123_456_789, None], pa.timestamp("ns")), "u": pa.array([0, 1], pa.timestamp("s", "UTC")),
        "d": [dt.date(2020, 1, 2), None], "c": [decimal.Decimal("1.50"), None], "m": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "n": [[{"x": None}], []], "e": pa.array([{}, {}], pa.struct([])),
    })
    (shard,) = export(table.to_batches(), str(tmp_path / "x.jsonl"), table.schema)
    first, second = content(shard.path).decode().split("\n")[:2]
    assert first == (
        '{"z":"é\u2028\\u0000\\"\\\\","big":9223372036854775807,"f":0.1,"b":true,"t":"2020-09-13T12:26:40.123456789","u":"1970-01-01T00:00:00Z",'
        '"d":"2020-01-02","c":"1.50","m":{"k":1},"n":[{"x":null}],"e":{}}'
    )
    assert json.loads(second)["big"] == -(2**63) and json.loads(second)["b"] is None


def test_nan_is_written_as_python_and_pyarrow_read_it(tmp_path):
    table = pa.table({"v": [1e16, float("nan")], "w": [[float("-inf")], [1.0]]})
    (shard,) = export(table.to_batches(), str(tmp_path / "x.jsonl"), table.schema)
    alone = export([table.slice(0, 1).to_batches()[0], table.slice(1, 1).to_batches()[0]], str(tmp_path / "y.jsonl"), table.schema)
    assert content(shard.path) == content(alone[0].path)
    assert str(pj.read_json(shard.path).to_pylist()) == str(table.to_pylist())


@pytest.mark.parametrize("type", [pa.binary(), pa.list_(pa.large_binary()), pa.duration("s"), pa.struct([("x", pa.binary(3))])])
def test_what_json_cannot_hold_is_refused(tmp_path, type):
    with pytest.raises(RecipeError, match="column 'image' is .*JSON cannot hold"):
        Exporter(str(tmp_path / "x.jsonl"), pa.schema([("image", type)]))


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"'lance' is not known\. Formats: parquet, jsonl"):
        Exporter(str(tmp_path), TABLE.schema, format="lance")


def test_objects_without_fields_are_null_in_parquet(tmp_path):
    table = pa.table({"e": pa.array([{}, None], pa.struct([])), "x": [1, 2]})
    (shard,) = export(table.to_batches(), str(tmp_path), table.schema)
    assert pq.read_table(shard.path).to_pylist() == [{"e": None, "x": 1}, {"e": None, "x": 2}]


def hashed(table: pa.Table, size: int = 100, texts=("text",)) -> str:
    result = ContentHash(texts)
    for batch in table.to_batches(max_chunksize=size):
        result.update(batch)
    return result.hexdigest()


def test_content_hash_knows_rows_not_their_order_or_batches():
    table = TABLE.append_column("__id__", pa.array(range(-200, 200), pa.int64()))
    shuffled = table.take(random.Random(1).sample(range(400), 400))
    assert hashed(table) == hashed(table, 7) == hashed(shuffled, 33) == hashed(table.select(["__id__", "text"]))
    assert len(hashed(table)) == 32 and hashed(table.slice(0, 0)) == "0" * 32


def test_content_hash_tells_every_difference():
    def of(*rows, texts=("a", "b")):
        schema = pa.schema([("__id__", pa.int64()), ("a", pa.string()), ("b", pa.string())])
        return hashed(pa.table(list(map(list, zip(*rows, strict=True))), schema=schema), texts=texts)

    found = [
        of((1, "x", "y")), of((1, "y", "x")), of((2, "x", "y")), of((1, "xy", "")), of((1, "", "xy")), of((1, None, "xy")), of((1, None, None)),
        of((1, "", "")), of((1, "x", "y"), (2, "x", "y")), of((1, "x", "y"), (1, "x", "y")), of((1, "x", "y"), texts=("a",)),
        of((1, "x", "q"), (2, "p", "y")), of((1, "p", "y"), (2, "x", "q")),
    ]
    assert len(set(found)) == len(found)


def test_datasets_and_pyarrow_load_a_run_folder_by_its_card(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    export(batches(), str(out / "data"), TABLE.schema, shard_rows=150, texts=["text"])
    export([pa.RecordBatch.from_pylist([{"reason": "below_min", "__id__": 7}])], str(out / "rejected"), pa.schema([("reason", pa.string()), ("__id__", pa.int64())]))
    (out / "manifest.json").write_text("{}")
    card = dataset_card('web: "small"', {"default": "data/*.parquet", "rejected": "rejected/*.parquet"}, about="Made by a test.")
    (out / "README.md").write_text(card)
    assert card.endswith('# web: "small"\n\nMade by a test.\n')
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == 400 and loaded["train"]["text"][:] == [row["text"] for row in ROWS]
    assert datasets.load_dataset(str(out), "rejected", cache_dir=str(tmp_path / "cache"))["train"][0] == {"reason": "below_min", "__id__": 7}
    assert ds.dataset(out / "data").to_table().to_pylist() == ROWS


@pytest.mark.parametrize("keys", [
    {"export_type": "parquet", "export_shard_size": 20_000, "keep_stats_in_res_ds": True}, {"export_type": "jsonl", "export_shard_size": 9_000},
    {"export_path": "one.jsonl.zst"}, {"export_path": "some.jsonl.gz", "export_shard_size": 30_000}, {"export_path": "x.parquet"},
], ids=str)
def test_written_by_many_the_files_are_the_same(tmp_path, monkeypatch, demo_corpus, keys):
    monkeypatch.setattr(splits, "SMALLEST", 100_000)
    elsewhere = type("Elsewhere", (LocalEngine,), {"remote": True})
    made = []
    for name, engine in (("one", LocalEngine), ("many", elsewhere)):
        monkeypatch.setattr(execute, "engine_for", lambda asked, engine=engine: engine(1))
        (tmp_path / name).mkdir()
        place = tmp_path / name / keys.get("export_path", "out")
        process = [{"text_length_filter": {"min_len": 3000}}, {"alphanumeric_filter": {}}]
        made.append(run({"dataset_path": str(demo_corpus), "process": process, "np": 1, **keys, "export_path": str(place)}))
        assert not list((tmp_path / name).rglob(".*.tmp"))
    assert made[0]["content_hash"] == made[1]["content_hash"] and len(made[0]["shards"]) > (1 if "export_shard_size" in keys else 0)
    assert [s | {"path": Path(s["path"]).name} for s in made[0]["shards"]] == [s | {"path": Path(s["path"]).name} for s in made[1]["shards"]]
    assert made[0]["kept"] == made[1]["kept"] and made[0]["ledger"] == made[1]["ledger"]
