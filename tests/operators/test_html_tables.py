"""HTML: the text of pages as Lexbor reads it, and tables as lists of cells."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

lexbor = pytest.importorskip("selectolax.lexbor")
pytest.importorskip("bs4")

from tamis.operators.mappers.markup import html_tables, html_text  # noqa: E402
from tamis.pipeline.run import apply  # noqa: E402

PIECES = st.sampled_from([
    "<p>", "</p>", "<li>", "</li>", "<ol>", "<LI>", "<b", ">", "<", "&amp;", "&lt", "&", "a", "é", "漢", " ", "\n", "\t", "\r\n", "\r", "\x00", "\f", "\x0b",
    "\u00a0", "\ufeff", "<script>x</script>", "<!-- c -->", "<br/>", "</", "😀", "<td>", "<table>", "]]>", "<![CDATA[",
])


def text_of(page: str) -> str:
    """Data-Juicer's rule on every text, whatever is in it."""
    page = page.replace("<li>", "\n*").replace("</li>", "").replace("<ol>", "\n*").replace("</ol>", "")
    return str(lexbor.LexborHTMLParser(page).text())


@settings(max_examples=200)
@given(st.lists(st.lists(PIECES, max_size=12).map("".join) | st.none(), max_size=4))
def test_texts_without_marks_are_what_the_parser_would_make_of_them(pages: list[str | None]) -> None:
    got = html_text(pa.array(["pad", *pages], pa.string()).slice(1)).to_pylist()
    assert got == [None if p is None else text_of(p) for p in pages]


def test_lists_get_bullets_and_scripts_stay() -> None:
    page = "<html><body><h1>A</h1><ul><li>one</li><li>two</li></ul><script>var x;</script><p>R&amp;D &eacute; &#8212;</p></body></html>"
    assert html_text(pa.array([page])).to_pylist() == ["A\n*one\n*twovar x;R&D é —"]


TABLE = (
    "<p>before</p><table class='t'><thead><tr><th>Name</th><th> Age </th></tr></thead><tbody><tr><td>Ann</td><td>34 <b>y</b></td></tr>"
    "<tr></tr><tr><td></td><td>x</td></tr></tbody></table>"
)


def tables(page: str | None, **how: Any) -> Any:
    row = html_tables(pa.array([page], pa.string()), **how).to_pylist()[0]
    return row["__dj__meta__"] if row["__dj__meta__"] is None else row["__dj__meta__"][how.get("tables_field_name", "html_tables")]


def test_cells_are_stripped_and_rows_without_cells_left_out() -> None:
    assert tables(TABLE) == [[["Name", "Age"], ["Ann", "34y"], ["", "x"]]]
    assert tables(TABLE, include_header=False) == [[["Ann", "34y"], ["", "x"]]]
    assert tables("<TABLE><TR><TH>only</TH></TR></TABLE>") == [[["only"]]] and tables("<TABLE><TR><TH>only</TH></TR></TABLE>", include_header=False) == []
    assert tables("no table") == tables("") == tables("<table></table>") == [] and tables("a<table") == []


def test_a_table_within_a_table_is_told_with_its_outer_one_and_alone() -> None:
    inner = "<table><tr><td>in</td></tr></table>"
    assert tables(f"<table><tr><td>out{inner}</td></tr></table>") == [[["outin"], ["in"]], [["in"]]]


def test_tags_are_kept_where_they_are_asked_for() -> None:
    two = "<table><tr><td>1</td></tr></table> and <table id='b'></table>"
    assert tables(two, retain_html_tags=True) == ["<table><tr><td>1</td></tr></table>", '<table id="b"></table>']
    assert tables(two, retain_html_tags=True, include_header=False) == tables(two, retain_html_tags=True), "whole tables have no rows to leave out"


def test_the_text_stays_and_nulls_are_null() -> None:
    column = pa.array(["pad", TABLE, None, "plain"]).slice(1)
    answer = html_tables(column, tables_field_name="found")
    assert answer.is_null().to_pylist() == [False, True, False] and answer.type.names == ["__dj__meta__"]
    assert [f.name for f in answer.type.field(0).type] == ["found"]
    assert answer.type == html_tables(pa.array([], pa.string()), tables_field_name="found").type
    done = apply([{"extract_tables_from_html_mapper": {"include_header": False}}], [{"text": TABLE}])
    assert done.table.to_pylist()[0]["text"] == TABLE
