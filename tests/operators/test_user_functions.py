"""Functions of the user's: what they are given, what becomes of their answers, and how they are told that they fail."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.mappers.user_code import by_file, by_lambda

ROWS = pa.array([{"text": "a", "n": 1}, {"text": "b", "n": 2}, {"text": None, "n": None}], pa.struct([("text", pa.string()), ("n", pa.int16())]))


def test_columns_that_are_left_out_stay_and_new_ones_come() -> None:
    answer = by_lambda(ROWS, function=lambda row: {"text": (row["text"] or "") + "!", "size": len(row["text"] or "")})
    assert answer.to_pylist() == [{"text": "a!", "n": 1, "size": 1}, {"text": "b!", "n": 2, "size": 1}, {"text": "!", "n": None, "size": 0}]
    assert answer.type.field("n").type == pa.int16() and answer.type.field("text").type == pa.string()


def test_a_column_that_only_some_rows_answer_is_null_in_the_others() -> None:
    answer = by_file(ROWS, function=lambda row: {"odd": row["n"]} if row["n"] == 1 else {})
    assert answer.field("odd").to_pylist() == [1, None, None] and answer.field("text").to_pylist() == ["a", "b", None]


def test_a_row_is_a_copy_that_the_function_may_change() -> None:
    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        row.clear()
        return {"n": 5}

    assert by_lambda(ROWS, function=spoil).to_pylist() == [{"text": t, "n": 5} for t in ("a", "b", None)]


def test_a_batched_function_answers_whole_columns_and_nothing_more() -> None:
    answer = by_lambda(ROWS, function=lambda columns: {"n": [v or 0 for v in columns["n"]][::-1], "t": tuple(columns["text"])}, batched=True)
    assert answer.to_pylist() == [{"n": 0, "t": "a"}, {"n": 2, "t": "b"}, {"n": 1, "t": None}]
    assert answer.type.field("n").type == pa.int16()


def test_values_that_no_longer_fit_their_column_change_its_type() -> None:
    assert by_lambda(ROWS, function=lambda row: {"n": 70_000}).type.field("n").type == pa.int64()
    assert by_lambda(ROWS, function=lambda row: {"n": "x"}).type.field("n").type == pa.string()
    assert by_lambda(ROWS, function=lambda row: {"n": [1.5]}).type.field("n").type == pa.list_(pa.float64())


@given(st.lists(st.fixed_dictionaries({"a": st.none() | st.integers(-5, 5), "b": st.none() | st.text(max_size=3)}), min_size=1, max_size=6), st.booleans(), st.integers(0, 2))
def test_a_function_that_changes_nothing_changes_nothing(rows: list[dict[str, Any]], batched: bool, skip: int) -> None:
    column = pa.array(rows, pa.struct([("a", pa.int64()), ("b", pa.string())])).slice(skip)
    assert by_lambda(column, function=lambda row: row, batched=batched).equals(column)


def test_without_a_function_or_rows_nothing_is_called() -> None:
    assert by_lambda(ROWS, function=None) is ROWS
    none = ROWS.slice(0, 0)
    assert by_file(none, function=lambda row: pytest.fail("called"), batched=True) is none


@pytest.mark.parametrize(("function", "batched", "told"), [
    (lambda row: row["gone"], False, "fails: KeyError: 'gone'"), (lambda row: 1 / 0, False, "ZeroDivisionError"),
    (lambda row: None, False, "must answer a dict with text as keys, not NoneType"), (lambda row: {1: 2}, False, "dict with text as keys"),
    (lambda row: row["text"].upper(), False, "not str"), (lambda columns: {"n": [1]}, True, "as many rows as it was given"),
    (lambda columns: [1], True, "not list"), (lambda columns: {"n": 5}, True, "TypeError"),
    (lambda row: {"n": 1 if row["n"] == 1 else {"a": 2}}, False, "its values for 'n' are of no one type"),
    (lambda row: {"n": object()}, False, "its values for 'n'"), (lambda row: {"new": 2**200}, False, "its values for 'new'"),
])
def test_what_fails_is_told_in_a_sentence(function: Any, batched: bool, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        by_lambda(ROWS, function=function, batched=batched)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interruption_is_not_taken_for_a_failure(raised: type[BaseException]) -> None:
    def interrupted(row: dict[str, Any]) -> dict[str, Any]:
        raise raised

    with pytest.raises(raised):
        by_lambda(ROWS, function=interrupted)
