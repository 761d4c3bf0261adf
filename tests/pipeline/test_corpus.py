"""Reading: every row once, with the same id, however files are cut; types kept; schemas merged."""

import gzip
import itertools
import json
import pickle
import random
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.corpus import ERROR, Split, conform, cut, discover, peek_schema, read, row_ids, unify
from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.formats import jsonl, lines
from tamis.pipeline.formats.rows import row_bytes, sliced
from tamis.pipeline.ledger import ID, POSITION, SOURCE

ROWS = [{"text": f"row {i} " + "é😀" * (i % 7), "n": i, "meta": {"tag": "t", "date": "2020-01-01"}} for i in range(200)]


def rows_of(splits, texts=("text",), tolerate=False, batch_rows=50, batch_bytes=1 << 20) -> list[dict]:
    found = []
    for split in splits:
        for batch in read(split, text_keys=texts, batch_rows=batch_rows, batch_bytes=batch_bytes, tolerate=tolerate):
            batch.validate(full=True)
            assert batch.schema.names[:3] == [ID, SOURCE, POSITION] and batch.schema.names[-1] == ERROR
            assert len(batch) <= batch_rows
            found += batch.to_pylist()
    return found


def corpus(base: Path, name: str, data: bytes) -> list[Split]:
    (base / name).write_bytes(data)
    return cut(discover(name, base=base))


def users(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if not k.startswith("__")} for row in rows]


def as_lines(rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def pieces(splits: list[Split], size: int) -> list[Split]:
    (split,) = splits
    edges = [*range(0, split.size, size), split.size]
    return [replace(split, start=a, stop=b) for a, b in itertools.pairwise(edges)]


def test_every_format_gives_the_same_rows(tmp_path):
    data = as_lines(ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet", row_group_size=70)
    found = {
        "x.jsonl": corpus(tmp_path, "x.jsonl", data),
        "x.jsonl.gz": corpus(tmp_path, "x.jsonl.gz", gzip.compress(data[:5000]) + gzip.compress(data[5000:])),
        "x.jsonl.zst": corpus(tmp_path, "x.jsonl.zst", zstandard.compress(data[:999]) + zstandard.compress(data[999:])),
        "x.json": corpus(tmp_path, "x.json", data),
        "array.json": corpus(tmp_path, "array.json", json.dumps(ROWS).encode()),
        "pretty.json.gz": corpus(tmp_path, "pretty.json.gz", gzip.compress(json.dumps(ROWS, indent=2).encode())),
        "x.parquet": cut(discover("x.parquet", base=tmp_path)),
    }
    for name, splits in found.items():
        rows = rows_of(splits)
        assert users(rows) == ROWS, name
        assert {row[SOURCE] for row in rows} == {name} and all(row[ERROR] is None for row in rows)
        assert len({row[ID] for row in rows}) == len(ROWS)


def test_positions_are_offsets_of_lines_and_numbers_of_records(tmp_path):
    data = as_lines(ROWS)
    offsets = [0, *np.cumsum([len(line) + 1 for line in data.splitlines()])][:-1]
    for name, packed in (("x.jsonl", data), ("x.jsonl.gz", gzip.compress(data))):
        assert [r[POSITION] for r in rows_of(corpus(tmp_path, name, packed))] == offsets
    array = json.dumps(ROWS, ensure_ascii=False, indent=1).encode()
    for row in rows_of(corpus(tmp_path, "x.json", array))[::37]:
        assert json.JSONDecoder().raw_decode(array[row[POSITION]:].decode())[0]["n"] == row["n"]
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet", row_group_size=70)
    splits = cut(discover("x.parquet", base=tmp_path))
    whole = rows_of(splits)
    assert [r[POSITION] for r in whole] == list(range(200))
    assert rows_of([replace(splits[0], start=g, stop=g + 1) for g in range(3)]) == whole, "row groups on their own"


TEXT = st.text(alphabet=st.sampled_from("ab é😀\u2028\"\\\n\r\x00"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TEXT, max_size=12), size=st.integers(1, 90), ends=st.sampled_from(["\n", "\r\n", "\n\n", "\n \r\n"]),
    last=st.booleans(), bom=st.booleans(),
)
def test_ranges_of_any_size_read_each_line_once(tmp_path_factory, texts, size, ends, last, bom):
    base = tmp_path_factory.mktemp("ranges")
    text = ends.join(json.dumps({"text": t}, ensure_ascii=False) for t in texts) + (ends if last else "")
    data = b"\xef\xbb\xbf" * bom + text.encode()
    splits = corpus(base, "x.jsonl", data)
    if not splits:
        assert not data
        return
    rows = rows_of(splits)
    assert [row["text"] for row in rows] == texts
    assert rows_of(pieces(splits, size)) == rows
    for row in rows:
        assert json.loads(data[row[POSITION]:].split(b"\n")[0])["text"] == row["text"]


def test_long_lines_span_many_ranges(tmp_path):
    rows = [{"text": "x" * n} for n in (10, 300_000, 0, 70_000, 200_000, 5)]
    splits = corpus(tmp_path, "x.jsonl", as_lines(rows)[:-1])
    for size in (1000, 65_536, 100_001):
        assert users(rows_of(pieces(splits, size))) == rows


def test_ids_survive_a_move_and_depend_on_file_and_position_alone(tmp_path):
    for place in ("here", "there/deeper"):
        (tmp_path / place / "d").mkdir(parents=True)
        (tmp_path / place / "d/x.jsonl").write_bytes(as_lines(ROWS))
    here, there = (rows_of(cut(discover(p, base=tmp_path))) for p in ("here", "there/deeper"))
    assert here == there and here[0][SOURCE] == "d/x.jsonl"
    assert [r[ID] for r in here] == row_ids("d/x.jsonl", np.array([r[POSITION] for r in here])).tolist()


def test_row_ids_are_pinned_distinct_and_spread():
    assert row_ids("a.jsonl", np.array([0, 1, 2**40])).tolist() == [-8026022807309055468, -6107466051931343808, -3114917510868961495]
    many = row_ids("a.jsonl", np.arange(200_000))
    assert len(np.unique(many)) == 200_000 and len(np.intersect1d(many, row_ids("b.jsonl", np.arange(200_000)))) == 0
    assert abs(float((many > 0).mean()) - 0.5) < 0.01 and abs(float((many & 1).mean()) - 0.5) < 0.01


def test_splits_travel(tmp_path):
    splits = corpus(tmp_path, "x.jsonl", as_lines(ROWS))
    assert pickle.loads(pickle.dumps(splits)) == splits and str(tmp_path) not in repr(splits)


def test_dates_stay_text_wherever_they_first_appear(tmp_path):
    rows = [{"text": "a"}] * 3000 + [{"text": "2020-01-01", "when": "2020-01-01 10:00:00", "deep": [{"d": "2021-05-05"}]}]
    rows = rows_of(corpus(tmp_path, "x.jsonl", as_lines(rows)))
    assert rows[-1]["when"] == "2020-01-01 10:00:00" and rows[-1]["deep"] == [{"d": "2021-05-05"}]


def test_numbers_widen_and_nulls_give_way_within_a_file(tmp_path):
    rows = [{"text": "a", "v": None, "w": 1, "l": []}, {"text": "b", "v": 2, "w": 2, "l": [1]}, {"text": None, "v": 1.5, "w": 3, "l": [2.5]}]
    found = rows_of(corpus(tmp_path, "x.jsonl", as_lines(rows)))
    assert users(found) == rows
    assert peek_schema(discover("x.jsonl", base=tmp_path), ["text"]).types == [pa.string(), pa.float64(), pa.int64(), pa.list_(pa.float64())]


def test_python_writes_nan_and_it_is_read(tmp_path):
    data = b'{"text": "a", "v": NaN}\n{"text": "b", "v": -Infinity}\n{"text": "c", "v": 1.0}\n'
    values = [row["v"] for row in rows_of(corpus(tmp_path, "x.jsonl", data))]
    assert values[0] != values[0] and values[1:] == [float("-inf"), 1.0]


def test_last_of_repeated_keys_wins_and_missing_texts_are_null(tmp_path):
    rows = rows_of(corpus(tmp_path, "x.jsonl", b'{"text": "a", "text": "b"}\n{"other": 1}\n{"text": null}\n'))
    assert [row["text"] for row in rows] == ["b", None, None] and all(row[ERROR] is None for row in rows)


def test_objects_without_fields_become_null_so_that_parquet_can_hold_them(tmp_path):
    rows = [{"text": "a", "meta": {}, "deep": [{"e": {}, "n": 1}]}] * 3
    (batch,) = read(corpus(tmp_path, "x.jsonl", as_lines(rows))[0], text_keys=["text"], batch_rows=9, batch_bytes=1 << 20, tolerate=False)
    pq.write_table(pa.Table.from_batches([batch]), tmp_path / "x.parquet")
    assert batch.column("meta").null_count == 3 and batch.column("deep").to_pylist()[0] == [{"e": None, "n": 1}]


def test_deep_nesting_neither_crashes_nor_passes(tmp_path):
    deep = b'{"text": "a", "v": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"
    rows = rows_of(corpus(tmp_path, "x.jsonl", b'{"text": "ok"}\n' + deep + b'{"text": "[[[["}\n'), tolerate=True)
    assert [row["text"] for row in rows] == ["ok", None, "[[[["] and "line 2" in rows[1][ERROR]
    many = json.dumps({"text": "a", "v": [[1]] * 5000}).encode() + b"\n"
    assert rows_of(corpus(tmp_path, "y.jsonl", many))[0]["v"] == [[1]] * 5000, "many brackets, but shallow"
    rows = rows_of(corpus(tmp_path, "z.jsonl", b'{"text": "a", "v": ' + b"[" * 100 + b"]" * 100 + b"}\n"), tolerate=True)
    assert "nests more than 60 levels" in rows[0][ERROR]


def without_nulls(value):
    """Absent and null are one in a table."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "2020-01-01"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "x", "y"]), JSON, max_size=3), min_size=1, max_size=5))
def test_blocks_read_at_once_and_with_care_agree(rows):
    block = lines.block_of(as_lines(rows), 0, lambda: 0)
    known = pa.schema([("text", pa.string())])
    quick = jsonl._at_once(block, known)
    careful, errors = jsonl._with_care(block, "x", known, tolerate=True)
    for i, row in enumerate(rows):
        assert without_nulls(careful.slice(i, 1).to_pylist()[0]) == ({} if i in errors else without_nulls(row))
    if quick is None:
        return
    assert not errors, "what pyarrow takes without loss is right"
    assert set(quick.schema.names) == set(careful.schema.names)
    assert quick.to_pylist() == careful.select(quick.schema.names).to_pylist()


def test_streams_change_schema_between_blocks_and_unify(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "STREAM_BLOCK", 2000)
    monkeypatch.setattr(lines.stream_blocks, "__defaults__", (2000,))
    rows = [{"text": f"{i}", "v": None if i < 100 else i if i < 2000 else i + 0.5} for i in range(4000)]
    (split,) = corpus(tmp_path, "x.jsonl.gz", gzip.compress(as_lines(rows)))
    batches = list(read(split, text_keys=["text"], batch_rows=500, batch_bytes=1 << 20, tolerate=False))
    schema = unify([b.schema for b in batches])
    assert schema.field("v").type == pa.float64() and schema.names[-1] == ERROR
    table = pa.Table.from_batches([conform(b, schema) for b in batches])
    assert table.column("v").to_pylist() == [r["v"] for r in rows]


def test_csv_and_tsv(tmp_path):
    data = '\ufefftext,id,score,year,zip\r\n"two\r\nlines, ""quoted""",1,,2020,007\r\n\r\nplain é,2,1.5,n/a,12\r\n'
    rows = rows_of(corpus(tmp_path, "x.csv", data.encode()))
    assert users(rows) == [
        {"text": 'two\r\nlines, "quoted"', "id": 1, "score": None, "year": "2020", "zip": "007"},
        {"text": "plain é", "id": 2, "score": 1.5, "year": "n/a", "zip": "12"},
    ]
    assert [r[POSITION] for r in rows] == [0, 1]
    rows = rows_of(corpus(tmp_path, "x.tsv.gz", gzip.compress(b"text\tn\na,b\t1\n")))
    assert users(rows) == [{"text": "a,b", "n": 1}]


def test_csv_numbers_need_every_value_of_the_file(tmp_path):
    late = "".join(f"t,{i}\n" for i in range(5000)) + "t,none\n"
    rows = rows_of(corpus(tmp_path, "x.csv", ("text,n\n" + late).encode()))
    assert rows[0]["n"] == "0" and rows[-1]["n"] == "none"
    longest = "x" * 300_000
    assert rows_of(corpus(tmp_path, "y.csv", f"text,n\n{longest},1\n".encode()))[0]["text"] == longest


def test_text_files_are_rows_of_their_own(tmp_path):
    (tmp_path / "t").mkdir()
    for i in range(5):
        (tmp_path / f"t/{i}.txt").write_bytes(f"\ufefffile {i}\r\n".encode())
    rows = rows_of(cut(discover("t", base=tmp_path)))
    assert [(r["text"], r[SOURCE], r[POSITION]) for r in rows] == [(f"file {i}\r\n", f"{i}.txt", 0) for i in range(5)]


def test_parquet_text_comes_as_plain_strings(tmp_path):
    for i, type in enumerate((pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view())):
        table = pa.table({"text": pa.array(["a", None, "b"]).cast(type), "l": pa.array([["x"], [], None], pa.large_list(pa.large_string()))})
        pq.write_table(table, tmp_path / f"{i}.parquet")
    sources = discover(".", base=tmp_path)
    assert peek_schema(sources, ["text"]) == pa.schema([("text", pa.string()), ("l", pa.list_(pa.string()))])
    rows = rows_of(cut(sources))
    assert [r["text"] for r in rows] == ["a", None, "b"] * 3 and [r["l"] for r in rows] == [["x"], [], None] * 3


def test_parquet_batches_keep_to_their_bytes(tmp_path):
    table = pa.table({"text": ["".join(random.Random(i).choices(string.ascii_letters, k=10_000)) for i in range(300)]})
    pq.write_table(table, tmp_path / "x.parquet")
    (split,) = cut(discover("x.parquet", base=tmp_path))
    batches = list(read(split, text_keys=["text"], batch_rows=1000, batch_bytes=100_000, tolerate=False))
    assert max(int(row_bytes(b).sum()) for b in batches) <= 100_000 and sum(map(len, batches)) == 300


def test_row_bytes_do_not_depend_on_the_batch_around():
    table = pa.table({
        "s": ["abc", None, "", "é"], "l": [[1, 2], None, [], [3]], "o": [{"a": "x"}, None, {"a": None}, {"a": "yz"}], "b": [True, None, False, True],
        "m": pa.array([[("k", "v")], None, [], [("a", "b"), ("c", "d")]], pa.map_(pa.string(), pa.string())), "z": pa.nulls(4),
        "f": pa.array([[1.0, 2.0], None, [3.0, 4.0], None], pa.list_(pa.float32(), 2)),
    })
    (batch,) = table.to_batches()
    whole = row_bytes(batch)
    assert whole.tolist() == [row_bytes(batch.slice(i, 1))[0] for i in range(4)] == row_bytes(batch.slice(1))[:0].tolist() + whole.tolist()
    assert row_bytes(batch.slice(1)).tolist() == whole[1:].tolist()
    assert [len(b) for b in sliced(batch, 3, 10**6)] == [3, 1] and [len(b) for b in sliced(batch, 9, 1)] == [1] * 4


def test_unify_names_both_places():
    a, b = pa.schema([("meta", pa.string())]), pa.schema([("meta", pa.struct([("x", pa.int64())]))])
    with pytest.raises(RecipeError, match=r"column 'meta' is text in a\.jsonl and an object in b\.jsonl"):
        unify([a, b], ["a.jsonl", "b.jsonl"])
    deep = [pa.schema([("m", pa.struct([("x", pa.list_(t))]))]) for t in (pa.int64(), pa.string())]
    with pytest.raises(RecipeError, match=r"column 'm\.x\[\]' is a number in schema 1 and text in schema 2"):
        unify(deep)


def test_unify_and_conform_merge_structs_and_numbers():
    a = pa.RecordBatch.from_pylist([{"m": {"x": 1}, "n": 2**60 + 1, "only_a": True}])
    b = pa.RecordBatch.from_pylist([{"n": 0.5, "m": {"y": "s", "x": None}}, {"n": None, "m": None}])
    schema = unify([a.schema, b.schema])
    assert schema == unify([schema, a.schema, b.schema]) and schema.names == ["m", "n", "only_a"]
    table = pa.Table.from_batches([conform(x, schema) for x in (a, b)])
    assert table.to_pylist()[0] == {"m": {"x": 1, "y": None}, "n": float(2**60), "only_a": True}
    assert table.to_pylist()[1]["m"] == {"x": None, "y": "s"} and table.column("only_a").null_count == 2
    with pytest.raises(ReadError, match="column 'n'"):
        conform(b, pa.schema([("n", pa.int64()), ("m", schema.field("m").type)]))
