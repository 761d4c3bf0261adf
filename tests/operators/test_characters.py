"""Characters: shares and lengths as Python counts them, one code point at a time."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.filters.characters import alnum_ratio, special_char_ratio, text_len
from tamis.operators.kernels.codepoints import SPECIAL, spread

SPECIALS = {chr(code) for code in np.flatnonzero(spread(SPECIAL))}
texts = st.lists(st.one_of(st.none(), st.text(max_size=80), st.text(alphabet="aZ9é٣漢😀\u0301\x00 -_½\n", max_size=600)), max_size=8)


def column(rows: list[str | None]) -> pa.Array:
    return pa.array(rows, pa.string())


@given(texts, st.integers(0, 2))
def test_as_python_counts(rows: list[str | None], skip: int) -> None:
    text = column(rows).slice(skip)
    kept = text.to_pylist()
    share = lambda row, test: sum(map(test, row)) / len(row) if row else 0.0  # noqa: E731
    assert alnum_ratio(text).to_pylist() == [None if r is None else share(r, str.isalnum) for r in kept]
    assert special_char_ratio(text).to_pylist() == [None if r is None else share(r, SPECIALS.__contains__) for r in kept]
    assert text_len(text).to_pylist() == [None if r is None else len(r) for r in kept]


def test_every_code_point_alone() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assert alnum_ratio(column(points)).to_pylist() == [float(p.isalnum()) for p in points]
    assert special_char_ratio(column(points)).to_pylist() == [float(p in SPECIALS) for p in points]
    assert set(text_len(column(points)).to_pylist()) == {1}


@pytest.mark.parametrize("before", [0, 1, 126, 127, 128, 129, 255, 256, 1000])
def test_blocks_of_ascii_join_what_is_not(before: int) -> None:
    row = "a-" * (before // 2) + "é" + "漢😀" + "1." * 200
    assert alnum_ratio(column([row])).to_pylist() == [sum(map(str.isalnum, row)) / len(row)]


def test_types_and_empty_columns() -> None:
    for function, kind in ((alnum_ratio, pa.float64()), (special_char_ratio, pa.float64()), (text_len, pa.int64())):
        assert function(column([])).type == kind and len(function(column([]))) == 0
        assert function(column([None, None])).to_pylist() == [None, None]
        assert function(pa.array(["é1", None], pa.large_string())).type == kind


def test_an_emoji_of_several_code_points_counts_by_each() -> None:
    assert special_char_ratio(column(["\U0001f468\u200d\U0001f469"])).to_pylist() == [2 / 3]  # the joiner is not special


def test_a_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="tokenizer model"):
        alnum_ratio(column(["a"]), tokenization=True)
