"""Filters on columns against what their words say, one row at a time; conditions against closures built beside their text."""

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.filters.fields import (
    field,
    general_field_filter_condition,
    specified_field,
    specified_numeric_field,
    suffix_stays,
)
from tamis.pipeline.errors import OperatorError
from tamis.pipeline.run import apply

Row = dict[str, Any]
Test = tuple[str, Callable[[Row], bool]]
KIND = pa.struct([("n", pa.int64()), ("s", pa.string()), ("meta", pa.struct([("n", pa.int64()), ("tags", pa.list_(pa.int64()))]))])
ROWS = st.lists(st.fixed_dictionaries({
    "n": st.none() | st.integers(-3, 3), "s": st.sampled_from([None, "", "a", "b"]),
    "meta": st.none() | st.fixed_dictionaries({"n": st.none() | st.integers(-3, 3), "tags": st.none() | st.lists(st.integers(0, 2), max_size=2)}),
}), max_size=6)
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
READ: dict[str, Callable[[Row], Any]] = {
    "n": lambda r: r["n"], "meta.n": lambda r: (r["meta"] or {}).get("n"), "gone": lambda r: None, "meta.gone.deeper": lambda r: None,
}


def _holds(sign: str, a: Any, b: Any) -> bool:
    return a is not None and b is not None and ORDER[sign](a, b)


@st.composite
def comparison(draw: st.DrawFn) -> Test:
    name, low, high = draw(st.sampled_from([*READ, "s"])), draw(st.integers(-2, 2)), draw(st.integers(-2, 2))
    if name == "s":
        wanted, inside = draw(st.lists(st.sampled_from("abc"), max_size=2)), draw(st.booleans())
        text = f"s {'in' if inside else 'not in'} {draw(st.sampled_from([list, tuple]))(wanted)!r}"
        return text, lambda r: (r["s"] in wanted) == inside if r["s"] is not None else not inside
    read, one, two = READ[name], draw(st.sampled_from(list(ORDER))), draw(st.sampled_from(list(ORDER)))
    if draw(st.booleans()):
        return f"{low} {one} {name} {two} {high}", lambda r: _holds(one, low, read(r)) and _holds(two, read(r), high)
    return f"-{name} {one} +{low}", lambda r: _holds(one, None if read(r) is None else -read(r), low)


CONDITIONS = st.recursive(comparison(), lambda inner: st.one_of(
    inner.map(lambda t: (f"not ({t[0]})", lambda r: not t[1](r))),
    st.tuples(inner, inner).map(lambda t: (f"({t[0][0]}) and ({t[1][0]})", lambda r: t[0][1](r) and t[1][1](r))),
    st.tuples(inner, inner, inner).map(lambda t: (" or ".join(f"({c[0]})" for c in t), lambda r: any(c[1](r) for c in t))),
), max_leaves=6)


@given(ROWS, CONDITIONS, st.integers(0, 2))
def test_a_condition_holds_where_its_parts_do(rows: list[Row], condition: Test, skip: int) -> None:
    text, expected = condition
    column = pa.array(rows, KIND).slice(skip)
    assert general_field_filter_condition(column, filter_condition=f"  {text}\n").to_pylist() == [int(expected(r)) for r in rows[skip:]]


def test_values_of_lists_and_constants_are_looked_up_as_python_does() -> None:
    rows = pa.array([{"meta": {"n": 1, "tags": [1, 2]}}, {"meta": {"n": 2, "tags": []}}, {"meta": None}], pa.struct([KIND.field("meta")]))

    def told(condition: str) -> list[int]:
        return general_field_filter_condition(rows, filter_condition=condition).to_pylist()  # type: ignore[no-any-return]

    assert told("1 in meta.tags") == [1, 0, 0] and told("3 not in meta.tags") == [1, 1, 1]
    assert told("meta.n in {1, 5}") == [1, 0, 0] and told("meta.n in [True, 7]") == [1, 0, 0]
    assert told("meta.tags") == [1, 0, 0] and told("not meta.n") == [0, 0, 1] and told("") == told("  ") == [1, 1, 1]
    assert told("'x'") == [1, 1, 1] and told("meta.n == None") == told("meta.n != None") == [0, 0, 0]


@pytest.mark.parametrize(("condition", "told"), [
    ("len(s) > 1", "holds Call"), ("n + 1 > 2", "holds BinOp"), ("s[0] == 'a'", "holds Subscript"), ("n if s else 1", "holds IfExp"),
    ("lambda: n", "holds Lambda"), ("[x for x in s]", "holds ListComp"), ("f'{n}'", "holds JoinedStr"), ("n is None", "holds Is"),
    ("~n == 1", "holds Invert"), ("(n := 1)", "holds NamedExpr"), ("n <", "is not a condition"), ("n; s", "is not a condition"),
    ("n = 1", "is not a condition"), ("a\0b", "is not a condition"), ("n" + ".b" * 50_000, "is not a condition"),
])
def test_what_is_no_condition_is_refused_before_any_row_is_seen(condition: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"filter_condition .*{told}"):
        general_field_filter_condition(pa.array([], KIND), filter_condition=condition)


@pytest.mark.parametrize("condition", ["n < 'a'", "n in 5", "-s > 1", "n in {[1]}"])
def test_values_that_cannot_be_compared_are_an_error_that_quotes_the_condition(condition: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"filter_condition {condition!r}: ")):
        general_field_filter_condition(pa.array([{"n": 1, "s": "a"}]), filter_condition=condition)
    with pytest.raises(OperatorError, match="general_field_filter"):
        apply([{"general_field_filter": {"filter_condition": condition}}], [{"text": "x", "n": 1, "s": "a"}])


def test_a_column_whose_name_has_a_dot_comes_before_a_field() -> None:
    rows = pa.array([{"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}, {"a.b": None, "a": None}])
    assert field(rows, "a.b").to_pylist() == [1, None] and field(rows, "a.c.d").to_pylist() == [3, None]
    assert field(rows, "a.c.d.e").to_pylist() == field(rows, "b").to_pylist() == field(rows, "").to_pylist() == [None, None]
    assert field(rows.slice(1), "a.c.d").to_pylist() == [None]


VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "1"]))


@given(st.lists(VALUES, max_size=8), st.lists(VALUES, max_size=3), st.booleans(), st.integers(0, 2))
def test_a_row_stays_by_its_value_or_by_all_of_a_list(values: list[Any], targets: list[Any], listed: bool, skip: int) -> None:
    rows = [{"m": {"v": [v, "a"] if listed else v}} for v in values]
    kind = pa.struct([("m", pa.struct([("v", pa.list_(pa.string()) if listed else pa.string())]))])
    got = specified_field(pa.array(rows, kind).slice(skip), field_key="m.v", target_value=targets).to_pylist()
    assert got == [int(not targets or (v in targets and (not listed or "a" in targets))) for v in values[skip:]]


def test_members_are_compared_as_python_compares() -> None:
    def told(values: list[Any], targets: list[Any]) -> list[int]:
        return specified_field(pa.array([{"v": v} for v in values]), field_key="v", target_value=targets).to_pylist()  # type: ignore[no-any-return]

    assert told([1, 2, None], [1.0]) == told([True, False, None], [1]) == [1, 0, 0]
    assert told(["1", "2"], [1, "2"]) == [0, 1] and told([[], None], ["a"]) == [1, 0] and told([[], None], [None]) == [1, 1]
    assert told([{"a": 1}, {"a": 2}], [{"a": 2}]) == [0, 1] and told([[1], [2]], [[1]]) == [0, 0]
    nowhere = pa.array([{"v": 1}])
    assert specified_field(nowhere, field_key="x", target_value=[1]).to_pylist() == [0]
    assert specified_field(nowhere, field_key="x", target_value=[None]).to_pylist() == specified_field(nowhere).to_pylist() == [1]
    assert specified_field(nowhere, target_value=[2]).to_pylist() == specified_field(nowhere, field_key="v").to_pylist() == [1]


@pytest.mark.parametrize(("array", "expected", "without_zero"), [
    (pa.array(["1.5", " 2 ", "1e3", "0", "", "x", "0x1", "٣", None]), [1.5, 2, 1000, 0, None, None, None, 3, None], [1.5, 2, 1000, None, None, None, None, 3, None]),
    (pa.array(["7"], pa.large_string()), [7], [7]), (pa.array([3, 0, None], pa.int8()), [3, 0, None], [3, None, None]),
    (pa.array([True, False]), [1, 0], [1, None]), (pa.array([2**63], pa.uint64()), [2.0**63], [2.0**63]),
    (pa.array([Decimal("2.50"), Decimal(0)]), [2.5, 0], [2.5, None]), (pa.array([-0.5, 0.0], pa.float32()), [-0.5, 0], [-0.5, None]),
    (pa.array(["5", "x", "5"]).dictionary_encode(), [5, None, 5], [5, None, 5]), (pa.array([4, 0]).dictionary_encode(), [4, 0], [4, None]),
    (pa.array([[1]]), [None], [None]), (pa.array([None]), [None], [None]), (pa.array([b"1"]), [None], [None]),
], ids=lambda a: str(a.type) if isinstance(a, pa.Array) else "")
def test_a_number_is_what_python_reads_as_one(array: pa.Array, expected: list[Any], without_zero: list[Any]) -> None:
    rows = pa.StructArray.from_arrays([array], names=["n"])
    assert specified_numeric_field(rows, field_key="n").to_pylist() == expected
    if without_zero[-1] is not None or array.type != pa.string():
        assert specified_numeric_field(rows, field_key="n", compat="data-juicer").to_pylist() == [v or None for v in without_zero]
    assert specified_numeric_field(rows).to_pylist() == [0.0] * len(array)
    assert specified_numeric_field(rows, field_key="m").to_pylist() == [None] * len(array)


def test_rows_without_a_number_leave_and_say_so() -> None:
    rows = [{"text": "a", "n": "3"}, {"text": "b", "n": "three"}, {"text": "c", "n": None}, {"text": "d", "n": "9"}]
    done = apply([{"specified_numeric_field_filter": {"field_key": "n", "max_value": 5}}], rows)
    assert done.table.column("text").to_pylist() == ["a"]
    assert done.ledger.column("reason").to_pylist() == ["no_number", "no_number", "above_max"]


def test_a_column_of_categories_is_a_column_of_its_values() -> None:
    kinds = pa.array(["news", "spam", None, "news"]).dictionary_encode()
    rows = pa.StructArray.from_arrays([kinds], names=["kind"])
    assert specified_field(rows, field_key="kind", target_value=["news"]).to_pylist() == [1, 0, 0, 1]
    assert specified_field(rows, field_key="kind", target_value=["news", None]).to_pylist() == [1, 0, 1, 1]
    assert general_field_filter_condition(rows, filter_condition="kind == 'news'").to_pylist() == [1, 0, 0, 1]


def test_a_suffix_is_what_follows_the_last_dot_of_the_files_name() -> None:
    names = ["a.py", "d.ir/README", "x.JSONL.GZ", "x.tar.gz", "b.gz", "c.a.b", ".py", None, "s3://k/v.1/t.Md"]

    def told(wanted: str | list[str] | None) -> list[int | None]:
        return suffix_stays(pa.array(["pad", *names]).slice(1), suffixes=wanted).to_pylist()  # type: ignore[no-any-return]

    assert told([".py"]) == told(".py") == [1, 0, 0, 0, 0, 0, 1, None, 0]
    assert told([".jsonl.gz", ".gz", ".b", ".md"]) == [0, 0, 1, 0, 1, 1, 0, None, 1] and told([".tar.gz"])[3] == 1
    assert told([]) == told(None) == [1, 1, 1, 1, 1, 1, 1, None, 1] and told("") == told([""]) == [0, 1, 0, 0, 0, 0, 0, None, 0]
