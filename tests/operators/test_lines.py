"""Lines: as str.splitlines cuts them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.filters.lines import avg_line_length, max_line_length

BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
texts = st.lists(
    st.one_of(st.none(), st.text(max_size=60), st.text(alphabet=BREAKS + "\x1fab é漢\u2027\u202a\x84\x86😀", max_size=200)), max_size=8
)


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(rows, pa.string())


@given(texts, st.integers(0, 2))
def test_as_python_splits(rows: list[str | None], skip: int) -> None:
    text = column(rows).slice(skip)
    lines = [None if r is None else r.splitlines() for r in text.to_pylist()]
    average = [None if ls is None else len(r) / len(ls) if ls else 0.0 for r, ls in zip(text.to_pylist(), lines, strict=True)]
    assert avg_line_length(text).to_pylist() == average
    assert max_line_length(text).to_pylist() == [None if ls is None else max(map(len, ls), default=0) for ls in lines]


def test_every_code_point_breaks_or_does_not() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    longest = max_line_length(column([f"a{p}b" for p in points])).to_pylist()
    assert {p for p, length in zip(points, longest, strict=True) if length == 1} == set(BREAKS)


@pytest.mark.parametrize(("row", "average", "longest"), [
    ("", 0.0, 0), ("\n\n\n", 1.0, 0), ("a", 1.0, 1), ("a\n", 2.0, 1), ("\na", 1.0, 1), ("ab\r\ncd", 3.0, 2), ("ab\n\rcd", 2.0, 2),
])
def test_facts(row: str, average: float, longest: int) -> None:
    assert avg_line_length(column([row])).to_pylist() == [average]
    assert max_line_length(column([row])).to_pylist() == [longest]


def test_types_and_empty_columns() -> None:
    assert avg_line_length(column([])).type == pa.float64() and max_line_length(column([])).type == pa.int64()
    assert max_line_length(column([None])).to_pylist() == [None]
