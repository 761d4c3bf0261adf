"""Groupers: which rows become one, and how many one becomes, against dictionaries."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.groups import all_rows, by_keys, ungrouped

KIND = pa.struct([("k", pa.string()), ("m", pa.struct([("n", pa.int64())])), ("x.y", pa.float64())])
ROWS = st.lists(st.fixed_dictionaries({
    "k": st.sampled_from([None, "", "a", "b"]), "m": st.none() | st.fixed_dictionaries({"n": st.none() | st.integers(0, 2)}),
    "x.y": st.none() | st.sampled_from([0.0, 1.0]),
}), max_size=12)


@given(ROWS, st.lists(st.sampled_from(["k", "m.n", "x.y", "gone", "k.deeper"]), min_size=1, max_size=3), st.integers(0, 2))
def test_rows_with_the_same_values_in_all_keys_are_one_in_order_of_appearance(rows: list[dict[str, Any]], keys: list[str], skip: int) -> None:
    def value(row: dict[str, Any], key: str) -> Any:
        return {"k": row["k"], "m.n": (row["m"] or {}).get("n"), "x.y": row["x.y"]}.get(key)

    told = [tuple(value(row, key) for key in keys) for row in rows[skip:]]
    order = list(dict.fromkeys(told))
    assert by_keys(pa.array(rows, KIND).slice(skip), group_by_keys=keys).to_pylist() == [order.index(t) for t in told]


def test_values_of_different_types_are_never_one_by_chance() -> None:
    rows = pa.array([{"a": "1", "b": None}, {"a": None, "b": "1"}, {"a": "1, None", "b": ""}, {"a": "None", "b": "1"}, {"a": "1", "b": None}])
    assert by_keys(rows, group_by_keys=["a", "b"]).to_pylist() == [0, 1, 2, 3, 0]
    lists = pa.array([{"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}, {"a": None}, {"a": []}])
    assert by_keys(lists, group_by_keys=["a"]).to_pylist() == [0, 1, 0, 2, 3]


def test_all_rows_are_one() -> None:
    assert all_rows(pa.array([{"a": 1}] * 3)).to_pylist() == [0, 0, 0] and len(all_rows(pa.array([], KIND))) == 0


@given(st.lists(st.none() | st.integers(0, 4), max_size=8), st.integers(0, 2))
def test_a_row_becomes_as_many_as_its_lists_hold(sizes: list[int | None], skip: int) -> None:
    rows = [{"a": None if n is None else list(range(n)), "b": None if n is None else ["x"] * n, "__dj__batch_meta__": {"z": 1}} for n in sizes]
    kind = pa.struct([("a", pa.list_(pa.int64())), ("b", pa.list_(pa.string())), ("__dj__batch_meta__", pa.struct([("z", pa.int64())]))])
    assert ungrouped(pa.array(rows, kind).slice(skip)).to_pylist() == [n or 0 for n in sizes[skip:]]


def test_rows_that_cannot_be_taken_apart_are_named() -> None:
    with pytest.raises(ValueError, match="column 'b' is string, not a list"):
        ungrouped(pa.array([{"a": [1], "b": "x"}]))
    with pytest.raises(ValueError, match="'b' has 1, others 2 elements"):
        ungrouped(pa.array([{"a": [1], "b": [1]}, {"a": [1, 2], "b": [3]}]))
    assert ungrouped(pa.array([{"__dj__batch_meta__": 1}])).to_pylist() == [1]
