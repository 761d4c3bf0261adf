"""The small parts beneath the readers and writers: names, cuts, types of columns, sizes of rows."""

import functools
import io
import itertools
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.formats import delimited, kinds, rows, schemas, splits, writers
from tamis.pipeline.formats.finding import Source

# ---- names

@pytest.mark.parametrize(("name", "format", "codec"), [
    ("a.jsonl", "jsonl", None), ("A.JSONL.GZ", "jsonl", "gzip"), ("x/a.json.zst", "json", "zstd"), ("a.csv.gz", "csv", "gzip"), ("a.tsv", "tsv", None),
    ("a.parquet", "parquet", None), ("a.parquet.gz", None, None), ("a.txt.gz", None, None), ("a.md", "text", None), ("a.gz", None, None),
    ("a.py", None, None), ("noext", None, None), ("a.csv.jsonl", "jsonl", None), ("jsonl", None, None),
])
def test_a_name_says_format_and_compression(name, format, codec):
    assert kinds.format_of(name) == (format, codec)


@pytest.mark.parametrize(("name", "wanted", "format"), [
    ("a.py", [".py"], ("text", None)), ("A.PY", [".py"], ("text", None)), ("a.py", [".PY"], ("text", None)), ("a.py.gz", [".py"], (None, None)),
    ("a.jsonl", [".py"], ("jsonl", None)), ("a.rs", [".py", ".rs"], ("text", None)), ("a.gz", [".gz"], (None, None)),
])
def test_suffixes_that_are_asked_for_are_text(name, wanted, format):
    assert kinds.format_of(name, wanted) == format


def test_every_suffix_that_is_told_can_be_read():
    told = kinds.readable()
    assert len(told) == len(set(told)) == 7 + 4 * 2
    assert all(kinds.format_of("a" + suffix)[0] for suffix in told)


def test_files_are_counted_most_first_ties_by_name():
    assert kinds.counted(["a.jsonl", "b.csv", "c.jsonl", "LICENSE", "d.json.gz"]) == "2 .jsonl, 1 .csv, 1 .json.gz, 1 without suffix"


@pytest.mark.parametrize(("names", "wanted", "words"), [
    (["a.jsonl", "b.json.gz"], [], None), (["a.csv", "b.csv"], [], None), (["a.txt", "b.md"], [], None), (["a.csv", "b.py"], [".csv"], None),
    (["a.csv", "b.tsv"], [], "several kinds lie there: 1 .csv, 1 .tsv"), (["a.csv", "a2.csv", "b.jsonl"], [], r"for example `suffixes: \[.csv\]`"),
    (["a.csv", "b.py"], [], "several kinds"), (["a.py"], [], r"1 .py is no format that is read.*`suffixes: \[.py\]` reads such files as text"),
    (["a.py", "b.rs"], [], "1 .py, 1 .rs is no format"), (["noext"], [], r"suffixes: \[.ext\]"),
])
def test_files_of_one_family_go_together(names, wanted, words):
    if words is None:
        kinds.one_family(names, wanted, "d")
    else:
        with pytest.raises(RecipeError, match=words):
            kinds.one_family(names, wanted, "d")


# ---- cuts

@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 100))
def test_row_groups_are_cut_in_order_and_only_one_alone_may_be_too_large(sizes, target):
    ranges = splits._group_ranges(sizes, target)
    assert [g for start, stop in ranges for g in range(start, stop)] == list(range(len(sizes)))
    assert all(sum(sizes[start:stop]) <= target or stop - start == 1 for start, stop in ranges)
    assert all(sum(sizes[a:d]) > target for (a, _), (_, d) in itertools.pairwise(ranges)) or all(
        sum(sizes[a : b + 1]) > target for (a, b) in ranges[:-1])


def source(name: str, size: int, format: str = "jsonl", codec: str | None = None) -> Source:
    return Source(f"/d/{name}", name, size, "digest", format, codec)


@pytest.mark.parametrize(("size", "ranges"), [(0, []), (1, [(0, 1)]), (100, [(0, 100)]), (149, [(0, 149)]), (151, [(0, 75), (75, 151)]), (300, [(0, 100), (100, 200), (200, 300)])])
def test_lines_are_cut_by_bytes_and_nothing_else(size, ranges):
    assert splits._ranges(source("a", size), "jsonl", 100) == ranges
    assert splits._ranges(source("a", size, codec="gzip"), "jsonl", 100) == splits._ranges(source("a", size), "csv", 100) == [(0, size)]


def test_texts_lie_together_up_to_the_target(monkeypatch):
    monkeypatch.setattr(splits, "SMALLEST", 100)
    sizes = [60, 40, 1, 200, 5]
    made = splits.cut([source(f"{i}.txt", size, "text") for i, size in enumerate(sizes)])
    assert [[name for _, name in s.parts] for s in made] == [["0.txt", "1.txt"], ["2.txt"], ["3.txt"], ["4.txt"]]
    assert [(s.index, s.start, s.stop, s.size, s.format) for s in made] == [(0, 0, 100, 100, "text"), (1, 0, 1, 1, "text"), (2, 0, 200, 200, "text"), (3, 0, 5, 5, "text")]


# ---- comma-separated values

VALUES = ["", "0", "7", "-12", "123456789012345", "123456789012345678", "1.5", "-0.25", "1e5", "007", "+3", "word", "1234567890123456.5", "1234567890123456789"]


@given(st.lists(st.sampled_from(VALUES), max_size=6))
def test_the_type_of_a_column_does_not_depend_on_the_order_of_its_values(values):
    found = {str(delimited_type(list(order))) for order in itertools.islice(itertools.permutations(values), 60)}
    assert len(found) == 1


def delimited_type(values: list[str]) -> pa.DataType | None:
    def next_type(type: pa.DataType | None, value: str) -> pa.DataType | None:
        return type if type == pa.string() else delimited._narrowed(type, value)  # what is text stays text

    return functools.reduce(next_type, values, None)


@pytest.mark.parametrize(("values", "told"), [
    (["1", "2"], pa.int64()), (["1", "", "1.5"], pa.float64()), (["1.5", "x"], pa.string()), (["", ""], pa.null()), (["01"], pa.string()),
    (["123456789012345678"], pa.int64()), (["123456789012345678", "1.5"], pa.string()), (["1.5", "123456789012345678"], pa.string()),
    (["123456789012345", "1.5"], pa.float64()), (["1234567890123456789"], pa.string()), (["123456789012345678", "1"], pa.int64()),
])
def test_a_column_is_a_number_where_no_digit_of_any_value_is_lost(tmp_path, values, told):
    path = tmp_path / "a.csv"
    path.write_text("id,n\n" + "".join(f"x,{v}\n" for v in values))
    for head in (200, None):
        assert delimited.schema_of(str(path), None, "csv", [], rows=head).field("n").type == told
    read = list(delimited.read_records(str(path), "a", None, "csv", texts=[], batch_bytes=1 << 20, tolerate=False))
    assert [v for r in read for v in r.columns.column("n").to_pylist()] == [
        v if told == pa.string() else None if not v else int(v) if told == pa.int64() else float(v) for v in values]


def test_a_text_column_is_text_whatever_it_holds(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\n1,1\n2,2\n")
    assert delimited.schema_of(str(tmp_path / "a.csv"), None, "csv", ["text"]).types == [pa.string(), pa.int64()]


@pytest.mark.parametrize(("batch_bytes", "cuts"), [(1, [1] * 5), (6, [2, 2, 1]), (100, [5])])
def test_records_come_in_batches_of_few_bytes_and_are_numbered_through(tmp_path, batch_bytes, cuts):
    (tmp_path / "a.csv").write_text("t\n" + "abc\n" * 5)
    read = list(delimited.read_records(str(tmp_path / "a.csv"), "a", None, "csv", texts=["t"], batch_bytes=batch_bytes, tolerate=False))
    assert [len(r.positions) for r in read] == cuts and [p for r in read for p in r.positions] == list(range(5))


@pytest.mark.parametrize(("content", "words"), [
    ("a,b\n1,2\n3\n", "a, line 3 (record 1): 1 fields where the header names 2"), ('a\n1\n"x"y\n', "a, line 3 (record 1): not CSV ("),
    ("a\n\xff\n", "a, line 2 (record 0): not UTF-8"), ("a,a\n1,2\n", "a: line 1: the header names 'a' more than once"),
    ("\xff\n1\n", "a: line 1, the header: not UTF-8"), ('a,b\n1,2\n\n"x\ny",2\n3\n', "a, line 6 (record 2): 1 fields"),
])
def test_a_broken_record_is_told_with_its_line_and_number(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content.encode("latin-1"))

    def read(tolerate: bool) -> list[rows.Rows]:
        return list(delimited.read_records(str(tmp_path / "a.csv"), "a", None, "csv", texts=[], batch_bytes=1 << 20, tolerate=tolerate))

    with pytest.raises(ReadError) as e:
        read(False)
    assert str(e.value).startswith(words) and rows.HINT in str(e.value)
    told, = [error for r in read(True) for error in r.errors.values()]
    assert told.startswith(words) and rows.HINT not in told


# ---- types

TEXT, NUMBER = pa.string(), pa.int64()


@pytest.mark.parametrize(("a", "b", "both"), [
    (TEXT, pa.null(), TEXT), (pa.null(), NUMBER, NUMBER), (NUMBER, pa.float64(), pa.float64()), (pa.int8(), NUMBER, NUMBER), (pa.null(), pa.null(), pa.null()),
    (pa.struct([("x", NUMBER)]), pa.struct([("y", TEXT), ("x", pa.float64())]), pa.struct([("x", pa.float64()), ("y", TEXT)])),
    (pa.list_(NUMBER), pa.list_(pa.null()), pa.list_(NUMBER)), (pa.list_(NUMBER, 3), pa.list_(pa.float64(), 3), pa.list_(pa.float64(), 3)),
    (pa.list_(NUMBER, 3), pa.list_(NUMBER, 2), pa.list_(NUMBER)), (pa.list_(NUMBER, 3), pa.list_(NUMBER), pa.list_(NUMBER)),
])
def test_two_types_become_the_one_that_holds_both(a, b, both):
    assert schemas.merge(a, b, "c") == both


@pytest.mark.parametrize(("a", "b", "path", "words"), [
    (TEXT, NUMBER, "c", "column 'c' is text and a number"), (pa.list_(TEXT), pa.list_(NUMBER), "c[]", "is text and a number"),
    (pa.struct([("x", TEXT)]), pa.struct([("x", pa.bool_())]), "c.x", "is text and true/false"), (pa.struct([]), TEXT, "c", "is an object and text"),
    (TEXT, pa.binary(), "c", "is text and binary"), (pa.date32(), pa.timestamp("us"), "c", "is date32"), (NUMBER, pa.bool_(), "c", "is a number and true/false"), (pa.list_(TEXT), pa.struct([]), "c", "is a list and an object"),
])
def test_types_that_nothing_holds_are_named_with_the_place_where_they_part(a, b, path, words):
    with pytest.raises(schemas.ConflictError, match=words.replace("[", r"\[")) as e:
        schemas.merge(a, b, "c")
    assert e.value.path == path


@pytest.mark.parametrize(("type", "told"), [
    (pa.large_string(), TEXT), (pa.dictionary(pa.int32(), TEXT), TEXT), (pa.large_binary(), pa.binary()), (pa.large_list(pa.large_string()), pa.list_(TEXT)),
    (pa.struct([("x", pa.large_string())]), pa.struct([("x", TEXT)])), (pa.map_(pa.large_string(), NUMBER), pa.map_(TEXT, NUMBER)),
    (pa.list_(pa.large_string(), 3), pa.list_(TEXT, 3)), (pa.string_view(), TEXT), (pa.uuid(), pa.binary(16)), (NUMBER, NUMBER),
])
def test_columns_are_carried_in_one_plain_type(type, told):
    assert schemas.plain(type) == told


def test_nesting_is_counted():
    def nested(depth: int) -> pa.DataType:
        return functools.reduce(lambda t, _: pa.list_(t), range(depth), NUMBER)

    assert not schemas.too_deep(nested(schemas.DEPTH - 1)) and schemas.too_deep(nested(schemas.DEPTH))
    assert schemas.too_deep(pa.struct([("a", NUMBER), ("b", pa.list_(NUMBER))]), left=2)


def test_a_batch_is_brought_to_a_schema():
    batch = pa.RecordBatch.from_pydict({"n": [2**53 + 1, None], "x": [1, 2]})
    schema = pa.schema([("new", TEXT), ("x", NUMBER), ("n", pa.float64())])
    assert schemas.conform(batch, schema).to_pydict() == {"new": [None, None], "x": [1, 2], "n": [float(2**53), None]}
    assert schemas.conform(batch, batch.schema) is batch
    with pytest.raises(ReadError, match=r"a batch: columns \['n', 'x'\] are not in the schema"):
        schemas.conform(batch, pa.schema([("y", NUMBER)]))
    with pytest.raises(ReadError, match=r"s.jsonl: column 'n' \(double\) cannot be int64"):
        schemas.conform(pa.RecordBatch.from_pydict({"__source__": ["s.jsonl"], "n": [1.5]}), pa.schema([("__source__", TEXT), ("n", NUMBER)]))


def test_objects_without_fields_become_null_wherever_they_stand():
    array = pa.array([{"a": {}, "b": [{}, None], "c": 1}, None, {"a": None, "b": None, "c": 2}], pa.struct(
        [("a", pa.struct([])), ("b", pa.list_(pa.struct([]))), ("c", NUMBER)]))
    assert schemas.settled(array).to_pylist() == [{"a": None, "b": [None, None], "c": 1}, None, {"a": None, "b": None, "c": 2}]
    assert schemas.settled(array).type == pa.struct([("a", pa.null()), ("b", pa.list_(pa.null())), ("c", NUMBER)])


# ---- rows

@pytest.mark.parametrize(("start", "most", "room", "count"), [(0, None, None, 4), (1, None, None, 3), (1, 2, None, 2), (3, 9, None, 1), (0, None, 5, 1), (0, None, 10, 2), (0, None, 9, 1), (0, 1, 10, 1), (0, None, 4, 0)])
def test_how_many_rows_fit(start, most, room, count):
    assert rows.fitting(np.array([5, 5, 5, 5]), start, most, room) == count


def test_slices_keep_to_rows_and_bytes_and_a_large_row_stands_alone():
    batch = pa.RecordBatch.from_pydict({"t": ["a", "b" * 100, "c", "d", "e"]})  # 5, 104, 5, 5, 5 bytes
    assert [s.column("t").to_pylist() for s in rows.sliced(batch, 9, 10)] == [["a"], ["b" * 100], ["c", "d"], ["e"]]
    assert [len(s) for s in rows.sliced(batch, 2, 10**6)] == [2, 2, 1]
    assert rows.row_bytes(batch).tolist() == [5, 104, 5, 5, 5]


def test_rows_are_measured_by_their_values():
    batch = pa.RecordBatch.from_pydict({
        "n": pa.array([1, None]), "b": pa.array([True, None]), "l": pa.array([["a", "bc"], None]), "s": pa.array([{"x": "abc"}, None]), "z": pa.nulls(2),
        "m": pa.array([[("k", 1)], None], pa.map_(TEXT, NUMBER))})
    assert rows.row_bytes(batch).tolist() == [8 + 1 + (4 + 5 + 6) + (1 + 7) + 0 + (4 + 1 + 5 + 8), 8 + 1 + 4 + (1 + 4) + 0 + 4]


def test_rows_whose_text_is_no_text_are_broken_and_the_others_stay():
    wrong = pa.StringArray.from_buffers(3, pa.py_buffer(np.array([0, 1, 2, 3], np.int32)), pa.py_buffer(b"a\xffc"))
    given_rows = rows.Rows("s", pa.RecordBatch.from_arrays([wrong, pa.array([1, 2, 3])], ["t", "n"]), np.arange(3))
    told = rows.misspelt(given_rows, lambda i: f"row {i}", tolerate=True)
    assert told.columns.to_pydict() == {"t": ["a", None, "c"], "n": [1, None, 3]} and told.errors == {1: "s, row 1: column 't' is not UTF-8"}
    with pytest.raises(ReadError, match="s, row 1: column 't' is not UTF-8"):
        rows.misspelt(given_rows, lambda i: f"row {i}", tolerate=False)
    fine = rows.Rows("s", pa.RecordBatch.from_pydict({"t": ["é"]}), np.arange(1))
    assert rows.misspelt(fine, str, tolerate=True) is fine


@pytest.mark.parametrize("schema", [pa.schema([]), pa.schema([("t", TEXT), ("n", NUMBER)])])
def test_a_break_in_a_file_is_one_row_of_nulls_whatever_the_columns(schema):
    told = rows.broken_row("s", 17, "truncated", schema)
    assert (told.columns.num_rows, told.positions.tolist(), told.errors) == (1, [17], {0: "truncated"})
    assert told.columns.schema.names == schema.names and all(c.null_count == 1 for c in told.columns.columns)


def test_every_float_inside_a_column_is_found():
    column = pa.array([{"a": 1.0, "b": [2.0, 3.0], "c": "x"}, None, {"a": None, "b": None, "c": "y"}])
    assert [leaf.to_pylist() for leaf in rows.floats(column)] == [[1.0, None, None], [2.0, 3.0]]


# ---- written bytes

@pytest.mark.parametrize("codec", ["", "gz", "zst"])
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_file_s_bytes_depend_on_its_lines_alone(codec, cuts):
    lines = [b"%d\n" % i for i in range(sum(cuts))]
    written = []
    for pieces in ([len(lines)], cuts):
        file, at = io.BytesIO(), 0
        writer = writers.JsonEncoder(codec, None).start(file)
        for n in pieces:
            writer.write(lines[at : at + n], np.ones(n))
            at += n
        writer.close()
        written.append(file.getvalue())
    assert written[0] == written[1]
    if codec == "gz":
        assert zlib.decompress(written[0], 31) == b"".join(lines)
    if not codec:
        assert written[0] == b"".join(lines)


def test_row_groups_end_with_the_row_that_fills_them(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(writers, "GROUP_BYTES", 20)
    batch = pa.RecordBatch.from_pydict({"n": list(range(8))})
    path = tmp_path / "a.parquet"
    with path.open("wb") as file:
        made = writers.encoder("parquet", batch.schema)
        writer = made.start(file)
        for part in (batch.slice(0, 1), batch.slice(1, 5), batch.slice(6)):
            writer.write(*made.encode(part))
        writer.close()
    found = pq.ParquetFile(path).metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [3, 3, 2]
    assert pq.read_table(path).column("n").to_pylist() == list(range(8))
