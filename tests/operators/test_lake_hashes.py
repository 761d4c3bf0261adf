"""Row hashes: equal values are equal however they are stored, other values differ; sets, bags, sketches, the way back."""

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.lake.exact import RowSet, cuts, fingerprint, found, merged, missing, row_set
from tamis.operators.lake.leaves import leaves
from tamis.operators.lake.rebuild import Index, assembled, converted, differing
from tamis.operators.lake.row_hashes import row_hashes, table_cells
from tamis.operators.lake.sketch import containment, disproved, sketch


def cell(array: pa.Array, **how: Any) -> list[tuple[int, int]]:
    return [tuple(x) for x in table_cells(pa.table({"x": array}), **how)["x"].T.tolist()]


def hashes(table: pa.Table, names: list[str] | None = None) -> np.ndarray:
    return row_hashes(table_cells(table), names or [leaf.name for leaf in leaves(table.schema)], table.num_rows)


ALIKE = [
    [pa.array([5], pa.int8()), pa.array([5], pa.uint64()), pa.array([5.0]), pa.array([5.0], pa.float32()), pa.array(["5"]),
     pa.array([Decimal("5.00")]), pa.array(["5"]).dictionary_encode(), pa.array(["5"], pa.large_string()), pa.array(["5"], pa.string_view())],
    [pa.array([0.0]), pa.array([-0.0]), pa.array([0]), pa.array([Decimal("-0.00")]), pa.array(["0"])],
    [pa.array([0.5]), pa.array([0.5], pa.float32()), pa.array(["0.5"]), pa.array([Decimal("0.500")])],
    [pa.array([2**63 + 5], pa.uint64()), pa.array([str(2**63 + 5)]), pa.array([Decimal(2**63 + 5)])],
    [pa.array([-(2**63)]), pa.array([-(2.0**63)]), pa.array([str(-(2**63))])],
    [pa.array([1e300]), pa.array(["1e+300"])],
    [pa.array([True]), pa.array(["true"])],
    [pa.array([dt.date(2024, 2, 29)]), pa.array(["2024-02-29"])],
    [pa.array([dt.datetime(2024, 1, 1, 2)], pa.timestamp(u)) for u in ("s", "ms", "us", "ns")],
    [pa.array([dt.datetime(2024, 1, 1, 2)], pa.timestamp("us", "UTC")), pa.array([dt.datetime(2024, 1, 1, 2)], pa.timestamp("s", "Asia/Tokyo"))],
    [pa.array([b"ab"]), pa.array([b"ab"], pa.large_binary()), pa.array([b"ab"], pa.binary(2))],
    [pa.array([[1, 2]]), pa.array([[1.0, 2.0]])],
]
DIFFERENT = [
    pa.array([5]), pa.array(["05"]), pa.array(["5.0"]), pa.array(["+5"]), pa.array([" 5"]), pa.array(["-0"]), pa.array(["0"]),
    pa.array([""]), pa.array([None], pa.int64()), pa.array([float("nan")]), pa.array(["nan"]), pa.array([float("inf")]), pa.array([b"5"]),
    pa.array([dt.datetime(2024, 1, 1)]), pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us", "UTC")), pa.array([dt.date(2024, 1, 1)]),
    pa.array([dt.time(5)]), pa.array([dt.timedelta(5)]), pa.array([[5]]), pa.array([["5"]]), pa.array([[0.5]]), pa.array([["0.5"]]),
    pa.array(["1e5"]), pa.array([100000]), pa.array([0.1], pa.float32()), pa.array([0.1]), pa.array(["True"]), pa.array([True]),
    pa.array([10**18 - 1]), pa.array([str(10**18)]), pa.array([str(10**20)]), pa.array(["5" * 50]),
]


@pytest.mark.parametrize("arrays", ALIKE, ids=lambda a: str(a[0].type))
def test_what_casts_without_loss_is_alike(arrays: list[pa.Array]) -> None:
    assert len({cell(a)[0] for a in arrays}) == 1


def test_everything_else_differs() -> None:
    assert len({cell(a)[0] for a in DIFFERENT}) == len(DIFFERENT)


def test_missing_as_empty() -> None:
    told = {cell(a, missing="empty")[0] for a in (pa.array([None], pa.int8()), pa.array([""]), pa.array([float("nan")]), pa.nulls(1))}
    assert len(told) == 1 and cell(pa.array(["0"]), missing="empty")[0] not in told


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_integers_and_their_text_are_alike(values: list[int | None]) -> None:
    assert cell(pa.array(values, pa.int64())) == cell(pa.array([None if v is None else str(v) for v in values], pa.string()))


@given(st.lists(st.text(alphabet="0123456789.-+eE ", max_size=24), min_size=1))
def test_texts_are_alike_only_where_they_are_one_text(values: list[str]) -> None:
    told = cell(pa.array(values))
    assert len(set(told)) == len(set(values))


@given(st.lists(st.floats(width=64, allow_nan=False), min_size=1))
def test_floats_are_alike_only_where_they_are_equal(values: list[float]) -> None:
    assert len(set(cell(pa.array(values)))) == len(set(values))


def test_slices_chunks_and_column_order_change_nothing() -> None:
    table = pa.table({"a": [1, 2, 3, None], "b": ["x", "", None, "7"], "c": [{"d": 1.5}, None, {"d": None}, {"d": 2.0}]})
    whole = hashes(table)
    assert np.array_equal(hashes(table.slice(1, 2)), whole[:, 1:3])
    assert np.array_equal(hashes(pa.concat_tables([table.slice(0, 1), table.slice(1)]).combine_chunks()), whole)
    assert np.array_equal(hashes(table.select(["c", "a", "b"])), whole)
    assert not np.array_equal(hashes(table, ["a", "b"]), whole)
    assert len({tuple(x) for x in whole.T.tolist()}) == 4


def test_a_name_is_part_of_the_cell() -> None:
    a, b = pa.table({"a": [1], "b": [2]}), pa.table({"a": [2], "b": [1]})
    assert not np.array_equal(hashes(a), hashes(b))


SMALL = st.lists(st.integers(0, 12), max_size=40)


@given(SMALL, SMALL)
def test_sets_and_bags_against_counters(child: list[int], parent: list[int]) -> None:
    c, p = (row_set(hashes(pa.table({"a": pa.array(x, pa.int64())}))) for x in (child, parent))
    have, want = Counter(parent), Counter(child)
    assert missing(c, p).sum() == sum(n for v, n in want.items() if v not in have)
    assert missing(c, p, bag=True).sum() == sum((want - have).values())
    halves = merged([row_set(hashes(pa.table({"a": pa.array(x, pa.int64())}))) for x in (child[::2], child[1::2])])
    assert fingerprint(halves) == fingerprint(c) and (c.rows, len(c)) == (len(child), len(want))
    for ranges in (1, 2, 3, 7):
        which = [int(first) * ranges >> 64 for first in c.first]
        assert np.diff(cuts(c.first, ranges)).tolist() == [which.count(k) for k in range(ranges)]
    assert disproved(sketch(c, 4), sketch(p, 4), 4) <= bool(missing(c, p).any())


def test_equal_first_halves_are_told_apart_by_the_second() -> None:
    parent = RowSet(np.array([7, 7, 9], np.uint64), np.array([1, 3, 1], np.uint64), np.ones(3, np.int64))
    child = RowSet(np.array([7, 7], np.uint64), np.array([2, 3], np.uint64), np.ones(2, np.int64))
    assert missing(child, parent).tolist() == [1, 0]
    drawn = RowSet(np.array([9, 7, 9], np.uint64), np.array([1, 1, 2], np.uint64), np.arange(3))
    assert found(drawn, parent).tolist() == [True, True, False]


def test_a_sketch_proves_and_estimates() -> None:
    parent = row_set(hashes(pa.table({"a": np.arange(20_000)})))
    half = row_set(hashes(pa.table({"a": np.arange(10_000, 30_000)})))
    assert disproved(sketch(half), sketch(parent))
    assert not disproved(sketch(row_set(hashes(pa.table({"a": np.arange(5, 9000)})))), sketch(parent))
    assert abs(containment(sketch(half), sketch(parent)) - 0.5) < 0.15


def test_the_way_back_is_to_the_letter() -> None:
    parent = pa.table({"i": [5, 7, None, 5], "f": [1.0, 2.5, float("nan"), 1.0], "s": ["1", "02", None, "1"],
                       "d": [Decimal("1.10"), None, Decimal("3.00"), Decimal("1.10")],
                       "p": [{"x": 1, "y": None}, None, {"x": None, "y": "k"}, {"x": 1, "y": None}], "extra": [1, 2, 3, 4]})
    schema = pa.schema([("p", pa.struct([("y", pa.large_string()), ("x", pa.string())])), ("d", pa.string()), ("f", pa.float32()),
                        ("i", pa.string()), ("s", pa.string())])
    child = assembled(schema, parent.select(["p", "d", "f", "i", "s"]).take([2, 0, 1, 0]))
    names = ["d", "f", "i", "p.x", "p.y", "s"]
    rows = Index(hashes(parent, names)).rows(hashes(child, names))
    assert rows.tolist() == [2, 0, 1, 0]
    assert differing(child, assembled(schema, parent.take(pa.array(rows)))) == []
    assert child.column("i").to_pylist() == [None, "5", "7", "5"] and child.column("d").to_pylist() == ["3", "1.1", None, "1.1"]
    assert child.column("p").to_pylist()[2] is None


def test_a_difference_is_seen() -> None:
    one = pa.table({"a": [1.0, None], "p": [{"x": None}, {"x": 1}]})
    assert differing(one, pa.table({"a": [1.0, 2.0], "p": [{"x": None}, {"x": 1}]})) == ["a"]
    assert differing(one, pa.table({"a": [1.0, None], "p": pa.array([None, {"x": 1}], pa.struct([("x", pa.int64())]))})) == ["p.x"]
    assert differing(one, one.slice(0, 1)) == ["a", "p"]


@pytest.mark.parametrize(("values", "kind"), [(pa.array(["x"]), pa.int64()), (pa.array([1.5]), pa.int64()), (pa.array([300]), pa.int8())])
def test_what_loses_is_refused(values: pa.Array, kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match="without loss"):
        converted(values, kind)
