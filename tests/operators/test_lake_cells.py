"""Cells of tables in one form, and the way back: against a rule written in Python, for every type that a table may hold."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.lake.canonical import cells, decimal_text, each_distinct, json_text
from tamis.operators.lake.leaves import columns, leaves
from tamis.operators.lake.rebuild import Index, assembled, converted, differing
from tamis.operators.lake.row_hashes import row_hashes, table_cells


def words(array: pa.Array, **how: Any) -> list[tuple[int, ...]]:
    made = cells(array, **how)
    return list(zip(made.tags.tolist(), made.a.tolist(), made.b.tolist(), strict=True))


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-20, 20), st.floats(allow_nan=False), st.floats(-100, 100, width=16),
    st.decimals(-1000, 1000, places=2), st.decimals(-(10**20), 10**20, places=0),
)


def as_array(value: Any) -> pa.Array:
    if isinstance(value, int):
        return pa.array([value], pa.int64() if value < 2**63 else pa.uint64())
    return pa.array([value])


def text_of(value: Any) -> str:
    """How a number is written: whole ones as whole ones, fractions as Arrow writes them, decimals without zeros at their end."""
    if isinstance(value, Decimal):
        told = f"{value:f}"
        told = told.rstrip("0").rstrip(".") if "." in told else told
        return "0" if told in ("-0", "") else told
    if isinstance(value, float) and value == int(value if abs(value) < 1e300 else 0) and abs(value) < 2**63:
        return str(int(value))
    return str(value) if isinstance(value, int) else pa.array([value]).cast(pa.string())[0].as_py()  # type: ignore[no-any-return]


@settings(max_examples=400)
@given(NUMBERS.filter(lambda v: v not in (float("inf"), float("-inf"))), NUMBERS.filter(lambda v: v not in (float("inf"), float("-inf"))))
def test_a_number_is_equal_to_its_text_and_to_numbers_that_are_written_so(one: Any, other: Any) -> None:
    a, b = (words(as_array(v))[0] for v in (one, other))
    assert a == words(pa.array([text_of(one)]))[0]
    if text_of(one) != text_of(other):
        whole = [isinstance(v, float) and abs(v) >= 2**63 for v in (one, other)]
        assert a != b or (any(whole) and int(float(text_of(one))) == int(float(text_of(other))))  # 1e19 and 10000000000000000000


@pytest.mark.parametrize("array", [
    pa.array([1, None, 3], pa.int16()), pa.array([1.5, None, float("nan")]), pa.array(["a", None, "7"]), pa.array([True, None, False]),
    pa.array([Decimal("1.50"), None, Decimal("-2")]), pa.array([b"x", None, b""]), pa.array([[1], None, []]), pa.array([{"a": 1}, None, {"a": None}]),
    pa.array([dt.date(2024, 1, 1), None, dt.date(1969, 12, 31)]), pa.array([1, None, -1], pa.timestamp("us")), pa.array([1, None, 2], pa.time64("ns")),
    pa.array([1, None, -5], pa.duration("ms")), pa.array([(1, 2, 3), None, (0, 0, 0)], pa.month_day_nano_interval()), pa.nulls(3),
    pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
], ids=lambda a: str(a.type))
def test_nulls_slices_and_encodings_are_the_cells_of_their_values(array: pa.Array) -> None:
    whole = words(array)
    assert whole[1] == (0, 0, 0) and (array.type == pa.null() or 0 not in (whole[0][0], whole[2][0]))
    assert words(array.slice(1)) == whole[1:] and words(pa.concat_arrays([array, array])) == whole * 2
    if pa.types.is_primitive(array.type) or pa.types.is_string(array.type):
        assert words(array.dictionary_encode()) == whole
    depths = np.array([0, 2, 0], np.uint8)
    assert words(array, depth=depths)[1] == (0, 2, 2), "null of a struct above is another null"


def test_run_ends_are_their_values() -> None:
    import pyarrow.compute as pc

    array = pa.array([5, 5, None, None, 6])
    assert words(pc.run_end_encode(array)) == words(array)


@given(st.lists(st.none() | st.floats() | st.sampled_from(["", "0", "x"]), max_size=6))
def test_missing_as_empty_makes_one_of_null_nan_and_nothing(values: list[Any]) -> None:
    texts = [v if isinstance(v, str) else None for v in values]
    numbers = [v if isinstance(v, float) else None for v in values]
    for array, gone in ((pa.array(texts, pa.string()), [not v for v in texts]), (pa.array(numbers, pa.float64()), [v is None or v != v for v in numbers])):
        empty, distinct = words(array, missing="empty"), words(array)
        assert [w == (0, 0, 0) for w in empty] == gone
        assert [e for e, g in zip(empty, gone, strict=True) if not g] == [d for d, g in zip(distinct, gone, strict=True) if not g]


@given(st.integers(-(2**40), 2**40), st.sampled_from(["s", "ms", "us", "ns"]), st.sampled_from(["s", "ms", "us", "ns"]))
def test_a_moment_is_one_in_any_unit_but_not_with_and_without_a_zone(seconds: int, one: str, other: str) -> None:
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    seconds = seconds if "ns" not in (one, other) else seconds % 2**33
    plain = [words(pa.array([seconds * ticks[u]], pa.timestamp(u)))[0] for u in (one, other)]
    zoned = [words(pa.array([seconds * ticks[u]], pa.timestamp(u, zone)))[0] for u, zone in ((one, "UTC"), (other, "Asia/Tokyo"))]
    spans = [words(pa.array([seconds * ticks[u]], pa.duration(u)))[0] for u in (one, other)]
    assert plain[0] == plain[1] and zoned[0] == zoned[1] and spans[0] == spans[1] and len({plain[0], zoned[0], spans[0]}) == 3
    later = words(pa.array([seconds * ticks[one] + 1], pa.timestamp(one)))[0]
    assert later != plain[0]


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.floats(allow_nan=True, allow_infinity=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3), max_leaves=6)


@given(NESTED)
def test_nested_values_are_one_json_whatever_the_order_of_their_keys(value: Any) -> None:
    def turned(v: Any) -> Any:
        if isinstance(v, dict):
            return {k: turned(v[k]) for k in reversed(v)}
        return tuple(map(turned, v)) if isinstance(v, list) else float(v) if type(v) is int else v

    told = json_text(value)
    assert told == json_text(turned(value)) and (value is None) == (told is None)
    if told is not None:
        assert json.dumps(json.loads(told), sort_keys=True, separators=(",", ":")) == told


def test_json_tells_types_apart_that_only_look_alike() -> None:
    values = [1, "1", 1.5, "1.5", True, "true", [1], [[1]], {"a": 1}, {"a": "1"}, Decimal("1.5"), b"1", dt.date(2024, 1, 1), "2024-01-01", float("nan"), "nan", [], {}, [None]]
    assert len({json_text(v) for v in values}) == len(values)
    assert json_text([Decimal("1.50")]) == json_text([Decimal("1.5")]) and json_text(2.0) == json_text(2)


@pytest.mark.parametrize(("value", "text"), [("1.50", "1.5"), ("100", "100"), ("0.00", "0"), ("-0.0", "0"), ("1E+3", "1000"), ("-1.2300", "-1.23"), ("0.0001", "0.0001")])
def test_a_decimal_is_told_without_exponent_or_zeros_at_its_end(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


def test_a_value_is_told_once_however_often_it_stands_there() -> None:
    asked: list[int] = []
    told = each_distinct(pa.array([3, None, 3, 4, 3]), lambda v: asked.append(v) or f"<{v}>")
    assert told.to_pylist() == ["<3>", None, "<3>", "<4>", "<3>"] and asked == [3, 4]


CONVERTED = [
    (pa.array([1, None, -3]), pa.string(), ["1", None, "-3"]), (pa.array(["1", None]), pa.int8(), [1, None]), (pa.array([1.0, None, 2.5]), pa.string(), ["1", None, "2.5"]),
    (pa.array([1.0, None]), pa.int32(), [1, None]), (pa.array([Decimal("1.50")]), pa.string(), ["1.5"]), (pa.array([Decimal("1.50")]), pa.float64(), [1.5]),
    (pa.array([1.25]), pa.decimal128(5, 2), [Decimal("1.25")]), (pa.array([Decimal("3.00")]), pa.decimal128(4, 0), [Decimal(3)]), (pa.array([True]), pa.string(), ["true"]),
    (pa.array(["true"]), pa.bool_(), [True]), (pa.array([dt.date(2024, 1, 2)]), pa.string(), ["2024-01-02"]), (pa.array(["2024-01-02"]), pa.date32(), [dt.date(2024, 1, 2)]),
    (pa.array(["a", None, "a"]), pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]), (pa.array(["a", "b"]).dictionary_encode(), pa.large_string(), ["a", "b"]),
    (pa.array([1], pa.timestamp("s")), pa.timestamp("ns"), None), (pa.array([2**60], pa.int64()), pa.string(), [str(2**60)]), (pa.array([1e300]), pa.string(), ["1e+300"]),
]


@pytest.mark.parametrize(("array", "kind", "expected"), CONVERTED, ids=lambda v: str(v.type) if isinstance(v, pa.Array) else str(v) if isinstance(v, pa.DataType) else "")
def test_a_converted_value_is_equal_to_what_it_was(array: pa.Array, kind: pa.DataType, expected: list[Any] | None) -> None:
    made = converted(array, kind)
    assert made.type == kind and words(made) == words(array) and (expected is None or made.to_pylist() == expected)


@pytest.mark.parametrize(("array", "kind"), [
    (pa.array([1.5]), pa.int64()), (pa.array([256]), pa.uint8()), (pa.array(["x"]), pa.float64()), (pa.array([2**60 + 1]), pa.float32()), (pa.array([[1]]), pa.int64()),
    (pa.array([Decimal("1.25")]), pa.decimal128(4, 1)), (pa.array([1], pa.timestamp("ns")), pa.timestamp("s")),
])
def test_a_value_that_would_lose_something_is_refused(array: pa.Array, kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match="cannot become .* without loss"):
        converted(array, kind)


ROWS = st.lists(st.fixed_dictionaries({
    "i": st.none() | st.integers(-3, 3), "s": st.none() | st.sampled_from(["", "1", "é"]),
    "p": st.none() | st.fixed_dictionaries({"x": st.none() | st.integers(0, 2), "q": st.none() | st.fixed_dictionaries({"y": st.none() | st.sampled_from(["a", "2"])})}),
}), max_size=8)
PARENT = pa.schema([("i", pa.int64()), ("s", pa.string()), ("p", pa.struct([("x", pa.int8()), ("q", pa.struct([("y", pa.string())]))]))])
CHILD = pa.schema([("p", pa.struct([("q", pa.struct([("y", pa.large_string())])), ("x", pa.string())])), ("i", pa.float64())])


@settings(max_examples=150)
@given(ROWS, st.lists(st.integers(0, 7), max_size=6))
def test_rows_of_a_child_are_found_in_its_parent_and_built_again(rows: list[dict[str, Any]], picks: list[int]) -> None:
    parent = pa.Table.from_pylist(rows, PARENT)
    picks = [p % len(rows) for p in picks] if rows else []
    child = assembled(CHILD, parent.take(pa.array(picks, pa.int64())))
    names = sorted(leaf.name for leaf in leaves(CHILD))
    assert names == ["i", "p.q.y", "p.x"]
    hashed = [row_hashes(table_cells(t, names), names, t.num_rows) for t in (parent, child)]
    places = Index(hashed[0]).rows(hashed[1])
    told = [(row["i"], row["p"]) for row in rows]
    assert places.tolist() == [told.index(told[p]) for p in picks], "the first row that is equal"
    again = assembled(CHILD, parent.take(pa.array(places)))
    assert differing(child, again) == [] and child.column("p").to_pylist() == again.column("p").to_pylist()
    shown = [r["p"] and {"q": r["p"]["q"], "x": None if r["p"]["x"] is None else str(r["p"]["x"])} for r in (rows[p] for p in picks)]
    assert child.column("p").to_pylist() == shown
    stranger = row_hashes(table_cells(pa.Table.from_pylist([{"p": None, "i": 99.0}], CHILD), names), names, 1)
    assert Index(hashed[0]).rows(stranger).tolist() == [-1]


def test_the_depth_of_nulls_below_several_structs_is_counted_from_the_leaf() -> None:
    kind = pa.struct([("b", pa.struct([("c", pa.struct([("d", pa.int8())]))]))])
    rows = [{"b": {"c": {"d": 1}}}, {"b": {"c": {"d": None}}}, {"b": {"c": None}}, {"b": None}, None]
    (column,) = columns(pa.table({"a": pa.chunked_array([pa.array(rows[:2], kind), pa.array(rows[2:], kind)])}))
    assert column.leaf.name == "a.b.c.d" and column.depth is not None and column.depth.tolist() == [0, 0, 1, 2, 3]
    sliced = pa.table({"a": pa.array(rows, kind)}).slice(3)
    assert next(columns(sliced)).depth.tolist() == [2, 3]  # type: ignore[union-attr]
    assert len(set(words(column.values, depth=column.depth))) == 5, "five different rows"


def test_tables_of_other_shapes_differ_in_all_columns() -> None:
    one = pa.table({"a": [1, 2], "b": [[1.0, float("nan")], None]})
    assert differing(one, pa.table({"a": [1, 2], "b": [[1.0, float("nan")], None]})) == []
    assert differing(one, pa.table({"a": [1, 2], "b": [[1.0, 2.0], None]})) == ["b"]
    assert differing(one, pa.table({"a": [1, 3], "b": [[1.0, float("nan")], None]})) == ["a"]
    assert differing(one, one.select(["a"])) == differing(one, one.slice(1)) == ["a", "b"]
    assert differing(pa.table({"a": pa.array([1], pa.int8())}), pa.table({"a": [1]})) == ["a"], "types are part of a table"
    floats = [pa.table({"f": pa.array([x, None, float("nan")], pa.float32())}) for x in (0.0, -0.0, 1.0)]
    assert differing(floats[0], floats[1]) == [] and differing(floats[0], floats[2]) == ["f"]
