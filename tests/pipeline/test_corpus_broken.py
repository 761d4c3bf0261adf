"""Broken input: an error with file, line and reason, or, where the recipe tolerates it, a row that says so."""

import gzip
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tamis.pipeline import corpus
from tamis.pipeline.corpus import ERROR, Source, cut, discover, peek_schema, read
from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.formats import lines
from tamis.pipeline.formats.heads import json_head
from tamis.pipeline.ledger import POSITION

GOOD = b'{"text": "good", "n": 1}\n'
WAY_OUT = "on_error: {set_aside: N}"


def sources(base: Path, name: str, data: bytes) -> list[Source]:
    (base / name).write_bytes(data)
    return discover(name, base=base)


def rows_of(found: list[Source], tolerate: bool) -> list[dict]:
    batches = [b for s in cut(found) for b in read(s, text_keys=["text"], batch_rows=10, batch_bytes=1 << 20, tolerate=tolerate)]
    return [row for batch in batches for row in batch.to_pylist()]


def refused(found: list[Source]) -> str:
    with pytest.raises(ReadError) as e:
        rows_of(found, tolerate=False)
    assert WAY_OUT in str(e.value)
    return str(e.value)


BROKEN_LINES = {
    b'{"text": "cut': "not JSON",
    b"[1, 2]": "a JSON object is expected, this is list",
    b"3": "a JSON object is expected, this is int",
    b'{"text": "a"} {"text": "b"}': "not JSON",
    b'{"text": "\xff"}': "not UTF-8: byte 0xff at 10 of the line",
    b'{"text": "\\ud800"}': "surrogate",
    b'{"text": "\\ud800", "v": NaN}': "lone surrogate",
    b'{"text": "a\x01"}': "not JSON",
    b'{"text": 5}': "column 'text' is a number here, text elsewhere",
    b'{"text": "a", "n": "x"}': "column 'n' is text here, a number elsewhere",
    b'{"text": "a", "n": [1]}': "column 'n' is a list here, a number elsewhere",
    b'{"text": "a", "h": 12345678901234567890}': "column 'h' holds 12345678901234567890, too large",
    b'{"text": "a", "m": [1, "x"]}': "column 'm[]' is a number and text",
    b'{"text": "a", "n": 1e400}': "not JSON",
}


@pytest.mark.parametrize("codec", ["", ".gz", ".zst"])
@pytest.mark.parametrize("line", BROKEN_LINES)
def test_a_broken_line_is_located_or_set_aside_alone(tmp_path, line, codec):
    data = GOOD * 20 + b"\n" + line + b"\n" + GOOD * 3
    packed = {"": data, ".gz": gzip.compress(data), ".zst": zstandard.compress(data)}[codec]
    found = sources(tmp_path, f"corpus.jsonl{codec}", packed)
    message = refused(found)
    assert f"corpus.jsonl{codec}, line 22 (byte {20 * len(GOOD) + 1}): " in message and BROKEN_LINES[line] in message
    rows = rows_of(found, tolerate=True)
    assert len(rows) == 24 and [i for i, row in enumerate(rows) if row[ERROR]] == [20]
    assert BROKEN_LINES[line] in rows[20][ERROR] and WAY_OUT not in rows[20][ERROR]
    assert rows[20]["text"] is None and rows[20]["n"] is None and rows[20][POSITION] == 20 * len(GOOD) + 1
    assert [row["text"] for row in rows[:20] + rows[21:]] == ["good"] * 23


def test_the_last_line_may_be_the_broken_one(tmp_path):
    assert "line 3 (byte" in refused(sources(tmp_path, "x.jsonl", GOOD * 2 + b'{"text"'))


def test_line_numbers_count_from_the_file_in_any_range(tmp_path):
    data = GOOD * 50 + b"{}}\n" + GOOD * 50
    (split,) = cut(sources(tmp_path, "x.jsonl", data))
    piece = replace(split, start=40 * len(GOOD), stop=60 * len(GOOD))
    with pytest.raises(ReadError, match=rf"line 51 \(byte {50 * len(GOOD)}\)"):
        list(read(piece, text_keys=["text"], batch_rows=9, batch_bytes=999, tolerate=False))


def test_a_lines_type_is_judged_by_the_head_of_its_file_not_by_its_range(tmp_path):
    data = b'{"text": "a", "year": 2020}\n' * 3000 + b'{"text": "b", "year": "unknown"}\n'
    (split,) = cut(sources(tmp_path, "x.jsonl", data))
    tail = replace(split, start=len(data) - 20 - 28, stop=len(data))
    with pytest.raises(ReadError, match="line 3001 .*column 'year' is text here, a number elsewhere"):
        list(read(tail, text_keys=["text"], batch_rows=9, batch_bytes=999, tolerate=False))


def test_a_head_is_read_once_for_all_splits_of_a_file_and_again_when_it_has_changed(tmp_path, monkeypatch):
    """Each split read it again: of a file whose first line is 20 MB, that is half a second for each MB."""
    calls = []
    monkeypatch.setattr(corpus, "json_head", lambda *asked: calls.append(asked) or json_head(*asked))
    (split,) = cut(sources(tmp_path, "x.jsonl", GOOD * 50))
    assert split.modified
    how = {"text_keys": ["text"], "batch_rows": 9, "batch_bytes": 999, "tolerate": False}
    pieces = [replace(split, start=i * 10 * len(GOOD), stop=(i + 1) * 10 * len(GOOD)) for i in range(5)]
    assert sum(len(b) for piece in pieces for b in read(piece, **how)) == 50 and len(calls) == 1
    list(read(replace(split, modified=split.modified + 1), **how))
    assert len(calls) == 2


def test_a_file_of_broken_lines_alone_keeps_them_all(tmp_path):
    rows = rows_of(sources(tmp_path, "x.jsonl", b"nonsense\n" * 5), tolerate=True)
    assert len(rows) == 5 and all(row[ERROR] and row["text"] is None for row in rows)


@pytest.mark.parametrize(("name", "pack"), [("x.jsonl.gz", gzip.compress), ("x.jsonl.zst", zstandard.compress)])
def test_a_truncated_stream_gives_its_whole_lines_and_one_row_for_the_break(tmp_path, name, pack):
    data = b"".join(json.dumps({"text": os.urandom(200).hex(), "n": i}).encode() + b"\n" for i in range(1000))
    whole = pack(data)
    found = sources(tmp_path, name, whole[: len(whole) // 2])
    assert "breaks off or is damaged" in (message := refused(found)) and f"{name}, byte " in message
    *rows, last = rows_of(found, tolerate=True)
    assert 300 < len(rows) < 1000 and [row["n"] for row in rows] == list(range(len(rows)))
    assert "breaks off" in last[ERROR] and last["text"] is None
    assert last[POSITION] == data.find(b"\n", rows[-1][POSITION]) + 1


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst", "x.csv.gz", "x.json.gz"])
@pytest.mark.parametrize("data", [b"", b"not compressed at all"])
def test_what_is_not_compressed_says_so(tmp_path, name, data):
    found = sources(tmp_path, name, data)
    assert "breaks off or is damaged" in refused(found)
    (row,) = rows_of(found, tolerate=True)
    assert row[ERROR]
    with pytest.raises(ReadError, match="breaks off or is damaged"):
        peek_schema(found, ["text"])
    assert peek_schema(found, ["text"], tolerate=True).names == ["text"]


def test_garbage_after_a_stream_is_told_after_its_rows(tmp_path):
    *rows, last = rows_of(sources(tmp_path, "x.jsonl.gz", gzip.compress(GOOD * 5) + b"garbage"), tolerate=True)
    assert [row["text"] for row in rows] == ["good"] * 5 and last[POSITION] == 5 * len(GOOD) and last[ERROR]


def test_arrays(tmp_path):
    found = sources(tmp_path, "x.json", b'[{"text": "a"},\n 3, {"text": "b]}"},\n {"text": "a\nb"}]')
    assert "x.json, line 2 (byte 17): a JSON object is expected" in refused(found)
    assert [row["text"] for row in rows_of(found, tolerate=True)] == ["a", None, "b]}", None], "a newline in a string is no JSON"
    *rows, last = rows_of(sources(tmp_path, "y.json", b'[{"text": "a"}, {"text": "b"}, {"te'), tolerate=True)
    assert [row["text"] for row in rows] == ["a", "b"] and "the array is cut off" in last[ERROR]
    *rows, last = rows_of(sources(tmp_path, "z.json", b'[{"text": "a"}] {"text": "b"}'), tolerate=True)
    assert [row["text"] for row in rows] == ["a"] and "something follows the end" in last[ERROR]
    rows = rows_of(sources(tmp_path, "v.json", b'[{"text": "a"},, {"text": "b"},]'), tolerate=True)
    assert [bool(row[ERROR]) for row in rows] == [False, True, False, True]
    assert rows_of(sources(tmp_path, "w.json", b" [ ] "), tolerate=False) == []


def test_a_line_beyond_the_limit_is_told_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 1 << 17)
    data = GOOD * 3 + b'{"text": "' + b"x" * (1 << 20) + b'"}\n' + GOOD
    (split,) = cut(sources(tmp_path, "x.jsonl", data))
    piece = replace(split, stop=100)
    with pytest.raises(ReadError, match=f"byte {3 * len(GOOD)}: a line of more than 0 MiB"):
        list(read(piece, text_keys=["text"], batch_rows=9, batch_bytes=999, tolerate=False))


def test_csv_records(tmp_path):
    data = b'text,n\ngood,1\n"two\nlines",2,3\nbad \xff,4\n"x"y,5\ngood,6\n"never closed,7\n'
    found = sources(tmp_path, "x.csv", data)
    assert "x.csv, line 3 (record 1): 3 fields where the header names 2" in refused(found)
    rows = rows_of(found, tolerate=True)
    assert [row["text"] for row in rows] == ["good", None, None, None, "good", None]
    reasons = [row[ERROR] for row in rows if row[ERROR]]
    assert "not UTF-8" in reasons[1] and "line 6 (record 3): not CSV" in reasons[2] and "line 8" in reasons[3]
    assert [row["n"] for row in rows] == [1, None, None, None, 6, None] and [row[POSITION] for row in rows] == list(range(6))


def test_csv_headers(tmp_path):
    with pytest.raises(ReadError, match=r"x\.csv: line 1: the header names 'a' more than once"):
        peek_schema(sources(tmp_path, "x.csv", b"a,text,a\n1,2,3\n"), ["text"])


def test_csv_stream_that_breaks_off(tmp_path):
    data = "text,n\n" + "".join(f"{os.urandom(100).hex()},{i}\n" for i in range(2000))
    packed = gzip.compress(data.encode())
    *rows, last = rows_of(sources(tmp_path, "x.csv.gz", packed[: len(packed) // 2]), tolerate=True)
    assert [row["n"] for row in rows] == list(range(len(rows))) and len(rows) > 100
    assert last[POSITION] == len(rows) and "breaks off" in last[ERROR]


def test_parquet_with_a_damaged_page_loses_that_row_group_and_says_which_records(tmp_path):
    table = pa.table({"text": [os.urandom(50).hex() for _ in range(3000)], "n": range(3000)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000, use_dictionary=False, compression="zstd", write_page_checksum=True)
    place = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(1).column(0).data_page_offset + 2000
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[place] ^= 255
    found = sources(tmp_path, "x.parquet", bytes(data))
    assert "x.parquet, row group 1: records 1000 to 1999 cannot be read" in refused(found)
    rows = rows_of(found, tolerate=True)
    assert [row[POSITION] for row in rows] == [*range(1000), 1000, *range(2000, 3000)]
    assert [row[POSITION] for row in rows if row[ERROR]] == [1000] and rows[1001]["n"] == 2000


def test_parquet_without_footer(tmp_path):
    pq.write_table(pa.table({"text": ["a"] * 100}), tmp_path / "x.parquet")
    found = sources(tmp_path, "y.parquet", (tmp_path / "x.parquet").read_bytes()[:-10])
    assert "y.parquet: not a whole Parquet file" in refused(found)
    (row,) = rows_of(found, tolerate=True)
    assert "not a whole Parquet file" in row[ERROR]
    with pytest.raises(ReadError, match="not a whole Parquet file"):
        peek_schema(found, ["text"])


def test_parquet_text_that_is_no_utf8(tmp_path):
    bad = pa.array([b"good", b"\xff", None]).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "x.parquet")
    found = discover("x.parquet", base=tmp_path)
    assert "x.parquet, record 1: column 'text' is not UTF-8" in refused(found)
    assert [row["text"] for row in rows_of(found, tolerate=True)] == ["good", None, None]


def test_text_that_is_no_utf8(tmp_path):
    found = sources(tmp_path, "x.txt", b"abc\xff")
    assert "x.txt: not UTF-8: byte 0xff at byte 3" in refused(found)
    (row,) = rows_of(found, tolerate=True)
    assert row["text"] is None and row[ERROR]


def peeked(found: list[Source], keys: list[str]) -> str:
    with pytest.raises(RecipeError) as e:
        peek_schema(found, keys)
    return str(e.value)


def test_missing_text_columns_are_seen_before_the_run(tmp_path):
    found = sources(tmp_path, "x.jsonl", GOOD)
    assert peeked(found, ["txt"]) == "x.jsonl has columns text, n; text_keys asks for 'txt'. Did you mean 'text'?"
    assert "text_keys asks for 'body'" in peeked(sources(tmp_path, "x.csv", b"text,n\na,1\n"), ["body"])
    pq.write_table(pa.table({"Text": ["a"]}), tmp_path / "x.parquet")
    assert "Did you mean 'Text'?" in peeked(discover("x.parquet", base=tmp_path), ["text"])


def test_text_columns_hold_text(tmp_path):
    assert "column 'n', which text_keys names, is a number, not text" in peeked(sources(tmp_path, "x.jsonl", GOOD), ["n"])
    pq.write_table(pa.table({"text": [["a"]]}), tmp_path / "x.parquet")
    assert "is a list, not text" in peeked(discover("x.parquet", base=tmp_path), ["text"])
    mostly = sources(tmp_path, "y.jsonl", b'{"text": 5}\n' + GOOD * 3)
    assert peek_schema(mostly, ["text"]).field("text").type == pa.string(), "one bad line is not the column"


@pytest.mark.parametrize("name", ["__id__", "__source__", "__position__", "__error__"])
def test_reserved_names_are_refused_at_the_head_and_further_down(tmp_path, name):
    line = json.dumps({"text": "a", name: "x"}).encode() + b"\n"
    assert f"x.jsonl has a column '{name}'" in peeked(sources(tmp_path, "x.jsonl", line), ["text"])
    with pytest.raises(RecipeError, match=name):
        rows_of(sources(tmp_path, "y.jsonl", GOOD * 5000 + line), tolerate=True)


def test_files_that_contradict_one_another_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "meta": "x"}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "a", "meta": {"k": 1}}\n')
    assert "column 'meta' is text in a.jsonl and an object in b.jsonl" in peeked(discover(".", base=tmp_path), ["text"])


def test_a_long_stream_needs_little_memory(tmp_path):
    row = json.dumps({"text": "lorem ipsum " * 100}).encode() + b"\n"
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(row * 1000)  # 240 MB in all
    (split,) = cut(discover("x.jsonl.gz", base=tmp_path))
    before, rows = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for batch in read(split, text_keys=["text"], batch_rows=4096, batch_bytes=16 << 20, tolerate=False):
        rows += len(batch)
    assert rows == 200_000 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB; the text is 240 MB"
