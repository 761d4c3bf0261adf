"""Comma- and tab-separated records: what the standard library writes is read back, broken ones are told alone."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.corpus import ERROR, conform, cut, discover, peek_schema, read, unify
from tamis.pipeline.errors import ReadError, RecipeError
from tamis.pipeline.formats import delimited
from tamis.pipeline.ledger import POSITION

FIELD = st.text(alphabet=st.sampled_from("ab 1,;\t\"'\\\n\ré😀\u2028\x00\x0b\x1c\ufeff"), max_size=12)
RECORDS = st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=8)


def rows_of(base: Path, name: str, data: bytes, texts: tuple[str, ...] = ("text",), tolerate: bool = False, batch_bytes: int = 1 << 20) -> list[dict[str, Any]]:
    (base / name).write_bytes(data)
    found = discover(name, base=base)
    batches = [b for s in cut(found) for b in read(s, text_keys=texts, batch_rows=3, batch_bytes=batch_bytes, tolerate=tolerate)]
    return [row for batch in batches for row in batch.to_pylist()]


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith("__")} for row in rows]


def written(records: list[Any], **dialect: Any) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, **dialect).writerows([("a", "b", "c"), *records])
    return file.getvalue().encode()


@settings(max_examples=40)
@given(
    records=RECORDS, quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), end=st.sampled_from(["\n", "\r\n"]),
    name=st.sampled_from(["x.csv", "x.tsv"]), bom=st.booleans(), batch_bytes=st.sampled_from([1, 20, 1 << 20]),
)
def test_what_the_standard_library_writes_is_read_to_the_letter(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], quoting: Any, end: str, name: str, bom: bool, batch_bytes: int,
) -> None:
    if any("\r" in field for record in records for field in record):
        quoting = csv.QUOTE_ALL  # the library itself does not always quote these
    data = written(records, delimiter="\t" if name == "x.tsv" else ",", quoting=quoting, lineterminator=end)
    rows = rows_of(tmp_path_factory.mktemp("csv"), name, b"\xef\xbb\xbf" * bom + data, ("a", "b", "c"), batch_bytes=batch_bytes)
    assert [tuple(row[c] for c in "abc") for row in rows] == records
    assert [row[POSITION] for row in rows] == list(range(len(records)))


@pytest.mark.parametrize("piece", ['é,"', '","', '"\n"', '\r\n"x', '😀', '""""'])
def test_nothing_is_lost_where_one_piece_of_the_file_ends_and_the_next_begins(piece: str, tmp_path: Path) -> None:
    """The file is read by mebibytes; each byte of what is hard to read comes to lie on either side of that border."""
    for shift in range(len(piece.encode()) + 1):
        filled = "x" * ((1 << 20) - len("text,n\n") - 1 - shift)
        records = [(filled + piece, "1"), (piece, "2")]
        file = io.StringIO(newline="")
        csv.writer(file, lineterminator="\n").writerows([("text", "n"), *records])
        rows = rows_of(tmp_path, "x.csv", file.getvalue().encode())
        assert [(row["text"], row["n"]) for row in rows] == [(records[0][0], 1), (piece, 2)], shift


BROKEN = {"few": b"only one\n", "many": b"a,1,2\n", "quotes": b'"x"y,1\n', "bytes": b"\xff,1\n", "carriage": b"a\rb,1\n"}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("place", range(5))
def test_a_broken_record_harms_no_other_wherever_it_stands(kind: str, place: int, tmp_path: Path) -> None:
    good = [f"word {i},{i}\n".encode() for i in range(4)]
    data = b"text,n\n" + b"".join([*good[:place], BROKEN[kind], *good[place:]])
    rows = rows_of(tmp_path, "x.csv", data, tolerate=True, batch_bytes=10)
    assert [i for i, row in enumerate(rows) if row[ERROR]] == [place] and rows[place]["text"] is rows[place]["n"] is None
    assert plain(rows[:place] + rows[place + 1:]) == [{"text": f"word {i}", "n": i} for i in range(4)]
    assert rows[place][ERROR].startswith(f"x.csv, line {place + 2} (record {place}): ")
    assert [row[POSITION] for row in rows] == list(range(5))
    with pytest.raises(ReadError, match=rf"x\.csv, line {place + 2} \(record {place}\)"):
        rows_of(tmp_path, "x.csv", data)


def test_a_quote_that_is_never_closed_swallows_what_follows_and_is_told_where_it_opens(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "x.csv", b'text,n\na,1\n"open,2\nb,3\n', tolerate=True)
    assert [row["text"] for row in rows] == ["a", None] and "line 3 (record 1): not CSV" in rows[1][ERROR]


@pytest.mark.parametrize(("data", "names"), [
    (b"text,n\n", ["text", "n"]), (b"text,n", ["text", "n"]), (b"\xef\xbb\xbftext,n\n\n\r\n", ["text", "n"]), (b'"text","a,b"\n', ["text", "a,b"]),
])
def test_a_header_alone_has_columns_and_no_rows(data: bytes, names: list[str], tmp_path: Path) -> None:
    assert rows_of(tmp_path, "x.csv", data) == []
    assert peek_schema(discover("x.csv", base=tmp_path), ["text"]).names == names


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_file_of_nothing_has_neither(data: bytes, tmp_path: Path) -> None:
    assert rows_of(tmp_path, "x.csv", data) == []
    assert peek_schema(discover("x.csv", base=tmp_path), ["text"]).names == ["text"]


NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str), st.floats(allow_nan=False, allow_infinity=False).map(repr), st.sampled_from(["", "-0", "007", "1e3", ".5", "1.", "nan", " 1", "1_0", "٣"]),
    st.decimals(-10**6, 10**6, places=3).map(str),
)


@settings(max_examples=50)
@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_a_column_of_numbers_loses_nothing(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    """What is read as a number is the number that the text says, and says all of it: else it stays text."""
    data = "text,n\n" + "".join(f"t,{v}\n" for v in values)
    found = [row["n"] for row in rows_of(tmp_path_factory.mktemp("n"), "x.csv", data.encode())]
    if any(isinstance(v, str) for v in found):
        assert found == values
        return
    for value, text in zip(found, values, strict=True):
        assert (value is None) if not text else value == (int(text) if isinstance(value, int) else float(text))
        digits = text.lower().partition("e")[0].replace("-", "").replace(".", "").strip("0")
        assert isinstance(value, int) or len(digits) <= 17 or value is None


def test_what_is_wrong_in_the_first_records_decides_no_type(tmp_path: Path) -> None:
    data = b"text,n\n" + b"only\n" * (delimited.HEAD + 5) + b"a,1\n" * 3
    rows = rows_of(tmp_path, "x.csv", data, tolerate=True)
    assert [row["n"] for row in rows[-3:]] == [1, 1, 1] and sum(bool(row[ERROR]) for row in rows) == delimited.HEAD + 5


def test_a_column_without_a_value_in_one_file_goes_with_what_it_is_in_the_others(tmp_path: Path) -> None:
    for name, value in (("a.csv", "1"), ("b.csv", "1.5"), ("c.csv", "")):
        (tmp_path / name).write_text(f"text,n,note\nx,{value},{value and 'word'}\n")
    found = discover(".", base=tmp_path)
    schema = peek_schema(found, ["text"])
    assert [str(t) for t in schema.types] == ["string", "double", "string"]
    batches = [b for s in cut(found) for b in read(s, text_keys=["text"], batch_rows=9, batch_bytes=999, tolerate=False)]
    whole = unify([b.schema for b in batches])
    assert [conform(b, whole).to_pylist()[0]["n"] for b in batches] == [1.0, 1.5, None]
    (tmp_path / "d.csv").write_text("text,n\nx,word\n")
    with pytest.raises(RecipeError, match="column 'n' is a number in a.csv and text in d.csv"):
        peek_schema(discover(".", base=tmp_path), ["text"])


def test_numbers_that_begin_late_are_numbers(tmp_path: Path) -> None:
    data = "text,n\n" + "a,\n" * (delimited.HEAD + 5) + "a,7\n"
    assert [row["n"] for row in rows_of(tmp_path, "x.csv", data.encode())[-2:]] == [None, 7]


def test_records_keep_their_numbers_across_batches(tmp_path: Path) -> None:
    """Batches end after 4,096 records or enough bytes; positions go on."""
    count = 4096 * 2 + 5
    data = b"text\n" + b"".join(b"%d\n" % i for i in range(count))
    rows = rows_of(tmp_path, "x.csv", data)
    assert np.array_equal([row[POSITION] for row in rows], np.arange(count)) and rows[4096]["text"] == "4096" and rows[-1]["text"] == str(count - 1)


def test_a_column_of_ours_in_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="x.csv has a column '__source__', a name that tamis keeps for itself"):
        rows_of(tmp_path, "x.csv", b"text,__source__\na,b\n")
