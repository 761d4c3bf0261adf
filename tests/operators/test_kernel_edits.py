"""Columns as buffers and back, code points replaced, addresses in one form, numbers read: against str, re and urllib."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.urls import normal_urls
from tamis.operators.kernels import codepoints, pieces, spans
from tamis.operators.kernels.blanks import normalise
from tamis.operators.kernels.row_hash import INTEGER, MAYBE, TEXT, read_numbers
from tamis.operators.kernels.strings import list_view, lists, masked, nulls, rewrite, strings, view
from tamis.operators.kernels.translating import table_of, translate

KINDS = (pa.string(), pa.large_string())
ROWS = st.lists(st.none() | st.text(st.sampled_from("abé漢😀. \n\t") | st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6)


def column(rows: list[str | None], kind: pa.DataType = KINDS[0]) -> pa.Array:
    return pa.array(["pad", *rows, "pad"], kind).slice(1, len(rows))


@given(ROWS, st.dictionaries(st.sampled_from("abé漢😀. \n"), st.text("xé漢😀", max_size=3), max_size=8), st.none() | st.sampled_from(["", "?", "漢"]))
def test_code_points_are_replaced_as_str_translate_replaces_them(rows: list[str | None], table: dict[str, str], others: str | None) -> None:
    for kind in KINDS:
        text = column(rows, kind)
        found = translate(text, table_of(table, others=others))
        found.validate(full=True)
        expected = [None if r is None else "".join(table.get(c, c if others is None else others) for c in r) for r in rows]
        assert found.type == kind and found.to_pylist() == expected
        assert expected != rows or found.equals(text)


def test_a_table_that_changes_nothing_costs_no_copy_and_254_replacements_fit() -> None:
    text = column(["abc", None, "", "é"])
    assert translate(text, table_of({})) is text and translate(text, table_of({"x": "y", "a": "a"})) is text
    assert translate(text, table_of({"a": "a", "b": "b"}, others=".")).to_pylist() == ["ab.", None, "", "."]
    many = {chr(0x4E00 + i): str(i) for i in range(254)}
    assert translate(pa.array(["".join(many)]), table_of(many)).to_pylist() == ["".join(many.values())]


def test_a_column_that_holds_more_than_its_type_can_is_refused() -> None:
    with pytest.raises(ValueError):
        strings(np.array([0, 2**31]), np.zeros(1, np.uint8), like=pa.array(["x"]))
    with pytest.raises(ValueError):
        lists(np.array([0, 2**31]), np.zeros(1, np.uint64), pa.array(["x"]))
    with pytest.raises(ValueError, match="the column is string_view"):
        view(pa.array(["x"], pa.string_view()))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_file_with_several_chunks_are_viewed_one_by_one(kind: pa.DataType) -> None:
    whole = pa.chunked_array([pa.array(["a", None], kind), pa.array([], kind), pa.array(["é漢", "", "😀"], kind)])
    for at in range(len(whole) + 1):
        for chunk in whole.slice(at, 3).chunks:
            offsets, data = view(chunk)
            assert [data[a:b].tobytes().decode() for a, b in pairwise(offsets)] == [r or "" for r in chunk.to_pylist()]
            assert not data.flags.writeable and offsets.dtype == np.int64
            assert (nulls(chunk) is None) == (chunk.null_count == 0) and masked(np.arange(len(chunk)), chunk).null_count == chunk.null_count
            assert rewrite(chunk, np.ones(len(chunk), bool), str.upper).to_pylist() == [r and r.upper() for r in chunk.to_pylist()]


@given(st.lists(st.none() | st.lists(st.integers(0, 2**64 - 1), max_size=4), max_size=6), st.integers(0, 3))
def test_lists_are_viewed_as_they_are_sliced_and_made_again(rows: list[list[int] | None], skip: int) -> None:
    text = column([None if row is None else "x" for row in rows])
    column_of = pa.array(rows, pa.list_(pa.uint64())).slice(skip)
    offsets, values = list_view(column_of)
    assert [values[a:b].tolist() for a, b in pairwise(offsets)] == [r or [] for r in column_of.to_pylist()]
    again = lists(offsets - offsets[0], values[offsets[0] : offsets[-1]], text.slice(skip))
    again.validate(full=True)
    assert again.to_pylist() == column_of.to_pylist()


def one_form(url: str, names: tuple[str, ...], keep_scheme: bool) -> str:
    """The rules of the docstring, one after the other, on a string."""
    url = url.strip().split("#")[0]
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    scheme = found[1].lower() if found else ""
    rest = url[found.end() :] if found else url
    front, _, query = rest.partition("?")
    authority, slash, path = front.partition("/")
    user, at, host = authority.rpartition("@")
    port = re.search(r":([0-9]*)$", host)
    plain = {"http": ["", "80"], "https": ["", "443"], "": ["", "80", "443"]}.get(scheme, [""])
    if port and port[1] in plain and (not port[1] or scheme):
        host = host[: port.start()]
    host = "".join(c.lower() if c.isascii() else c for c in host.removesuffix("."))
    kept = []
    for pair in query.split("&"):
        name = "".join(c.lower() if c.isascii() else c for c in pair.split("=")[0])
        if pair and not any(name.startswith(n[:-1]) if n.endswith("*") else name == n for n in names):
            kept.append(pair)
    shown = scheme + ":" if scheme and (keep_scheme or scheme not in ("http", "https")) else ""
    return shown + user + at + host + (slash + path).removesuffix("/") + ("?" + "&".join(kept) if kept else "")


PARTS = st.sampled_from(["http", "HTTPS", "ftp", "x-y.z+1", "1a", "://", ":", "/", "//", "a.B", "é", "@", "80", "443", "8080", ".", "?", "&", "=", "utm_a", "UTM_B=1", "id",
                         "ID=2", "idx=3", "#", "#top", "c=%2F", " ", "\u3000"])


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join), st.booleans())
@example("http://h:443/", False)
@example("h:80", False)
@example("ftp://h:21.?&&a", True)
def test_any_string_takes_the_form_of_the_rules(url: str, keep_scheme: bool) -> None:
    names = ("utm_*", "id")
    found = normal_urls(column([url]), names, keep_scheme).to_pylist()[0]
    assert found == one_form(url, names, keep_scheme)


NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text("0123456789-+.eE ", max_size=8) | st.integers(-(10**19), 10**19).map(str) | st.floats().map(str) | st.just("1" * 41), min_size=1, max_size=8))
@example(["0", "-0", "00", "-01", "999999999999999999", "-999999999999999999", "1000000000000000000", "1.", ".1", "1e", "1e+", "-", "", "0.0e-0", "1" * 40, "1" * 41])
def test_numbers_are_read_by_their_grammar(rows: list[str]) -> None:
    tags, words = read_numbers(*view(column(rows)))
    for row, tag, word in zip(rows, tags.tolist(), words.astype(np.int64).tolist(), strict=True):
        if not NUMBER.fullmatch(row) or len(row) > 40 or row == "-0":
            assert tag == TEXT
        elif re.fullmatch(r"-?[0-9]{1,18}", row):
            assert (tag, word) == (INTEGER, int(row))
        else:
            assert tag == MAYBE


@given(ROWS)
def test_words_between_blanks_are_measured_stripped_and_searched(rows: list[str | None]) -> None:
    offsets, data = view(column(rows))
    counts, places = pieces.words_at(offsets, data)
    told = [w for row in rows for w in re.split("[ \t\n]+", row or "") if w]
    assert [data[a:b].tobytes().decode() for a, b in places] == told
    assert counts.tolist() == np.cumsum([0, *(sum(bool(w) for w in re.split("[ \t\n]+", row or "")) for row in rows)]).tolist()
    assert pieces.lengths_of(data, places).tolist() == list(map(len, told))
    parts = ["漢", "a", "é.", ""]
    encoded = [p.encode() for p in parts]
    for some in (encoded, encoded[:2], encoded[2:3], []):
        bounds, joined = np.cumsum([0, *map(len, some)]), np.frombuffer(b"".join(some) or b"\0", np.uint8)
        assert pieces.holding(data, places, bounds, joined).tolist() == [any(p in w.encode() for p in some) for w in told]


@given(ROWS)
def test_blanks_at_the_ends_go_and_those_within_become_spaces(rows: list[str | None]) -> None:
    text = column(rows)
    offsets, data = normalise(*view(text), codepoints.classes())
    blanks = {chr(c) for c in np.flatnonzero(codepoints.spread(codepoints.BLANKS))}
    expected = [r if r is None else "".join(" " if c in blanks else c for c in r.strip()) for r in rows]
    assert strings(offsets, data, like=text).to_pylist() == expected


@given(st.lists(st.text(st.sampled_from("a@bB.:/w漢 <>\n"), max_size=14) | st.none(), max_size=5))
def test_stretches_lie_between_borders_in_order_and_hold_an_anchor(rows: list[str | None]) -> None:
    text = column(rows)
    offsets, data = view(text)
    for find, anchors in ((spans.link_stretches, ":/wW"), (spans.email_stretches, "@")):
        places = find(text)
        found = [data[a:b].tobytes().decode() for a, b in places.tolist()]
        assert all(any(c in s for c in anchors) for s in found)
        left = iter([s for row in rows for s in re.split(r"[ \t\r\n<>]", row or "")])
        assert all(any(s == other for other in left) for s in found)
        gone = {k for a, b in places.tolist() for k in range(a, b)}
        kept = [bytes(data[k] for k in range(a, b) if k not in gone).decode() for a, b in pairwise(offsets)]
        again = spans.rewrite_stretches(text, places, regex.compile(".+"), "")
        assert again.to_pylist() == [None if row is None else k for row, k in zip(rows, kept, strict=True)]
