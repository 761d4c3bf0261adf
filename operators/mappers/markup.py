"""Mappers for HTML: its text, its tables."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..base import mapper
from ..kernels.strings import nulls, rewrite

_BULLETS = (("<li>", "\n*"), ("</li>", ""), ("<ol>", "\n*"), ("</ol>", ""))
_BLANKS = " \t\n\f"  # what an HTML parser drops before the first content
_CELLS = pa.list_(pa.list_(pa.list_(pa.string())))


@mapper("clean_html_mapper")
def html_text(text: pa.StringArray) -> pa.StringArray:
    """Text of HTML without its tags, list items on lines of their own behind a `*`; scripts' and styles' text stays.

    Plain text is taken for HTML too: blanks at its start and NUL go, line ends become newlines. Empty: empty. Null: null.
    Cost: one search; the parser (Lexbor) only on texts with `<`, `&`, a carriage return or NUL, there linear in the text,
    but quadratic in the depth of nesting. Raises ValueError where selectolax is not installed. Source: Data-Juicer.
    >>> html_text(pa.array(["<p>Tea &amp; <b>milk</b></p>"])).to_pylist()
    ['Tea & milk']
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as e:
        raise ValueError("clean_html_mapper needs the extra 'text': pip install 'tamis[text]'") from e

    def parse(row: str) -> str:
        for tag, put in _BULLETS:
            row = row.replace(tag, put)
        return str(LexborHTMLParser(row).text())

    marked = pc.fill_null(pc.match_substring_regex(text, "[<&\r\\x00]"), False)
    return rewrite(pc.if_else(marked, text, pc.utf8_ltrim(text, _BLANKS)), marked, parse)


@mapper("extract_tables_from_html_mapper")
def html_tables(
    text: pa.StringArray, *, tables_field_name: str = "html_tables", retain_html_tags: bool = False, include_header: bool = True
) -> pa.StructArray:
    """Tables of HTML, in the column `__dj__meta__` under `tables_field_name`: list of tables of rows of cells; the text stays.

    `retain_html_tags`: each table as HTML instead. `include_header` false: rows with a header cell are left out, and tables
    of which nothing stays. Empty: no tables. Null: null. Cost: one search; the parser only on texts with a table.
    Raises ValueError where Beautiful Soup is not installed. Source: Data-Juicer.
    >>> html_tables(pa.array(["<table><tr><td>1</td><td>2</td></tr></table>"])).to_pylist()
    [{'__dj__meta__': {'html_tables': [[['1', '2']]]}}]
    """
    try:
        from bs4 import BeautifulSoup
    except ImportError as e:
        raise ValueError("extract_tables_from_html_mapper needs the extra 'text': pip install 'tamis[text]'") from e
    marked = pc.fill_null(pc.match_substring(text, "<table", ignore_case=True), False).to_pylist()
    found: list[list[object]] = []
    for row, wanted in zip(text.to_pylist(), marked, strict=True):
        tables = BeautifulSoup(row, "html.parser").find_all("table") if wanted else []
        if retain_html_tags:
            found.append([str(table) for table in tables])
        else:
            found.append([rows for table in tables if (rows := _rows(table, include_header))])
    column = pa.array(found, pa.list_(pa.string()) if retain_html_tags else _CELLS)
    absent = nulls(text)
    mask = None if absent is None else pa.array(absent)
    meta = pa.StructArray.from_arrays([column], names=[tables_field_name])
    return pa.StructArray.from_arrays([meta], names=["__dj__meta__"], mask=mask)


def _rows(table: Any, include_header: bool) -> list[list[str]]:
    """The cells of each row that has some, inner tables' rows too."""
    rows = [row for row in table.find_all("tr") if include_header or row.find("th", recursive=False) is None]
    cells = ([cell.get_text(strip=True) for cell in row.find_all(["td", "th"], recursive=False)] for row in rows)
    return [row for row in cells if row]
