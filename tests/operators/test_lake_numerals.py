"""Numbers written as text: read as the numbers that they are, and written again to the letter. Against Python's own writers."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.lake import numerals
from tamis.operators.lake.canonical import cells
from tamis.operators.lake.containment import contained_tables
from tamis.operators.lake.numerals import Handwriting, as_numbers, float_text, in_forms, plain, written
from tamis.operators.lake.rebuild import converted

WRITERS: dict[str, Callable[[float], str]] = {
    "python": repr, "two": lambda x: f"{x:.2f}", "six": lambda x: f"{x:.6f}", "arrow": lambda x: str(pa.array([x]).cast(pa.string())[0]),
    "whole": lambda x: str(int(x)) if x.is_integer() else repr(x), "java": lambda x: java(x),
}


def java(x: float) -> str:
    """By the rules of Double.toString: of digits that are enough, a point after the first, where it is small or great."""
    if not x or 1e-3 <= abs(x) < 1e7:
        return repr(x)
    sign, digits, exponent = Decimal(repr(x)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    return f"{'-' * sign}{figures[0]}.{figures[1:] or '0'}E{int(exponent) + len(digits) - 1}"


def words(array: pa.Array, numbers: bool = False, **how: Any) -> list[tuple[int, ...]]:
    made = cells(array, numbers=numbers, **how)
    return list(zip(made.tags.tolist(), made.a.tolist(), made.b.tolist(), strict=True))


def restored(numbers: pa.Array, texts: pa.Array) -> list[str | None]:
    """The texts, written again from the numbers."""
    hand = Handwriting()
    asked = np.ones(len(texts), bool)
    said = hand.learn(converted(numbers, pa.string()), texts, asked)
    again = in_forms(converted(numbers, pa.string()), hand.told(), asked)
    assert again.equals(said)
    return again.to_pylist()  # type: ignore[no-any-return]


FLOATS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e6, 1e6, width=32), st.integers(-10**17, 10**17).map(float),
                   st.integers(-10**6, 10**6).map(lambda n: n / 100), st.sampled_from([0.0, 1e16, 1e15, 1e-4, 1e-5, 123456789.0, 1e7, 9999999.0, 1e22, 0.1 + 0.2]))


@pytest.mark.parametrize("writer", ["python", "java", "arrow", "whole"])
@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.one_of(FLOATS, st.none()), min_size=1, max_size=12))
def test_what_a_program_writes_whole_is_read_as_its_number_and_written_again(writer: str, values: list[float | None]) -> None:
    numbers = pa.array([None if v is None else v + 0.0 for v in values], pa.float64())
    texts = pa.array([None if v is None else WRITERS[writer](v + 0.0) for v in values], pa.string())
    same = [a == b for a, b in zip(words(texts, numbers=True), words(numbers), strict=True)]
    if writer != "whole":
        assert all(same)
    back = restored(numbers, texts)
    assert all(t == b for t, b, s in zip(texts.to_pylist(), back, same, strict=True) if s)  # found, so it can be restored
    assert all(s or abs(v or 0) >= 1e15 for s, v in zip(same, values, strict=True))  # the others fall short of great numbers only


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text("0123456789.-+eE", max_size=12), st.sampled_from(["", "nan", "inf", "-inf", "NaN", "05.0", "5.", ".5", " 5.0", "1_0.0", "0x1", "-0.0", "-0.00", "1" + "0" * 70 + ".0"])), max_size=8), st.booleans())
def test_no_text_is_taken_for_a_number_that_does_not_give_it_back(texts: list[str], decimal: bool) -> None:
    for text in texts:
        try:
            value: Any = Decimal(text) if decimal else float(text)
            number = pa.array([value])
        except (ArithmeticError, TypeError, ValueError, pa.ArrowException):
            continue
        array = pa.array([text], pa.string())
        if words(array, numbers=True) == words(number):
            assert restored(number, array) == [text]
            assert words(converted(array, number.type)) == words(number)  # and the number comes back from the text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("0123456789.-eE", max_size=8), max_size=8))
def test_reading_as_numbers_finds_all_that_reading_as_text_finds(texts: list[str]) -> None:
    for text in texts:
        for make in (int, float):
            try:
                number = pa.array([make(text)])
            except (ValueError, OverflowError, pa.ArrowException):
                continue
            if words(pa.array([text])) == words(number):
                assert words(pa.array([text]), numbers=True) == words(number)


@pytest.mark.parametrize(("texts", "form"), [
    (["1", "0.5", None], numerals.PLAIN), (["1.0", "0.5", "1e-05", None], numerals.PYTHON), (["1.00", "0.50", "12.25"], numerals.PADDED + 2), (["1.0", "1.0E-5"], numerals.JAVA), ([None], numerals.PLAIN), ([], numerals.PLAIN),
])
def test_a_column_of_one_hand_takes_one_number_to_write_down(texts: list[str | None], form: int) -> None:
    hand, numbers = Handwriting(), pa.array([None if t is None else float(t) for t in texts], pa.float64())
    asked = np.ones(len(texts), bool)
    assert hand.learn(float_text(numbers), pa.array(texts, pa.string()), asked).to_pylist() == texts
    assert hand.told() == form


def test_a_hand_that_changes_later_is_told_cell_by_cell_from_the_first() -> None:
    pieces = [["1.0", "2.5"], ["3.00", None, "-0.0"], ["x", "7"]]
    hand, said = Handwriting(), []
    for piece in pieces:
        numbers = pa.array([None if t in (None, "x") else float(t) + 0.0 for t in piece], pa.float64())
        said.append(hand.learn(float_text(numbers), pa.array(piece, pa.string()), np.array([t != "x" for t in piece])))
    codes = hand.told()
    assert isinstance(codes, np.ndarray) and codes.dtype == np.uint8
    numbers = pa.array(["1", "2.5", "3", None, "0", "left", "7"])
    asked = np.array([True] * 5 + [False, True])
    assert in_forms(numbers, codes, asked).to_pylist() == ["1.0", "2.5", "3.00", None, "-0.0", "left", "7"]


@pytest.mark.parametrize("form", [-1, numerals.PADDED + numerals.LONGEST, 10**9])
def test_a_form_that_is_none_is_refused_before_it_takes_memory(form: int) -> None:
    with pytest.raises(ValueError, match="no form"):
        written(pa.array(["1"]), form)


def test_which_columns_are_read_as_numbers() -> None:
    text, number = pa.string(), pa.float32()
    own = pa.schema([("a", text), ("b", pa.large_string()), ("c", pa.dictionary(pa.int8(), text)), ("d", text), ("e", number), ("f", text), ("g", text)])
    other = pa.schema([("a", number), ("b", pa.decimal128(9, 2)), ("c", number), ("d", text), ("e", text), ("f", pa.bool_())])
    assert as_numbers(own, other) == {"a", "b"} and as_numbers(other, own) == {"e"}


def test_sliced_columns_and_missing_values() -> None:
    texts = pa.array(["9.9", "5.0", None, "", "nan", "x", "0.10"])
    assert plain(texts.slice(1)).to_pylist() == ["5", None, "", "nan", "x", "0.1"]
    numbers = pa.array([5.0, None, None, float("nan"), None, 0.1])
    got, want = words(texts.slice(1), numbers=True, missing="empty"), words(numbers, missing="empty")
    assert [g == w for g, w in zip(got, want, strict=True)] == [True, True, True, True, False, True]


def test_tables_in_memory_follow_the_same_rule() -> None:
    number, text = pa.table({"v": [1.0, 0.5, 2.0], "w": ["a", "b", "c"]}), pa.table({"v": ["1.0", "0.50"]})
    assert contained_tables({"n": number, "t": text}) == [("n", "t")]
    assert contained_tables({"n": pa.table({"v": ["1", "0.5", "2"]}), "t": text}) == []  # text beside text: 1.10 need not be 1.1
    assert contained_tables({"t": pa.table({"v": ["1.0", "0.50", "7", "x"]}), "n": pa.table({"v": pa.array([7, 1], pa.int8())})}) == [("t", "n")]
    assert contained_tables({"n": number, "t": pa.table({"v": ["1.0", "007"]})}) == []


@pytest.mark.parametrize("value", [1e19, 2.0**63, -2.0**63, 9.69228541670421e18, 1e-7, 1e23, 5e-324, 2.0**64])
@pytest.mark.parametrize("writer", ["python", "java", "arrow"])
def test_great_and_small_numbers_where_a_form_changes(writer: str, value: float) -> None:
    """Between 2^63 and 2^64 a float is a whole number of 64 bits; 1e-7 and 1e23 lie below their shortest digits."""
    numbers, texts = pa.array([value, 1.5]), pa.array([WRITERS[writer](value), "1.5"])
    assert words(texts, numbers=True) == words(numbers)
    assert restored(numbers, texts) == texts.to_pylist()
    if -(2.0**63) <= value < 2.0**64 and value.is_integer():
        assert restored(numbers, pa.array([str(int(value)), "1.5"])) == [str(int(value)), "1.5"]


def test_decimals_become_the_nearest_float_and_integers_fit_narrow_decimals() -> None:
    exact = pa.array([Decimal("14.7400"), Decimal("-0.7800"), Decimal("91.4000"), None], pa.decimal128(38, 4))
    assert converted(exact, pa.float64()).to_pylist() == [14.74, -0.78, 91.4, None]
    assert converted(pa.array([Decimal("5.00")], pa.decimal128(9, 2)), pa.int8()).to_pylist() == [5]
    assert converted(pa.array([7, None]), pa.decimal128(12, 2)).to_pylist() == [Decimal("7.00"), None]
    with pytest.raises(ValueError, match="without loss"):
        converted(pa.array([10**12]), pa.decimal128(12, 2))
