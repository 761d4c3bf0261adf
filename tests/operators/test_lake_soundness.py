"""Metadata may know little, and wrong of what it was not asked; what it refutes is never contained. Against plain sets of values.

The containment that counts is R2D2's: each row of the child, by the child's columns, is a row of the parent.
"""

import datetime as dt
import math
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.lake import families
from tamis.operators.lake.canonical import cells
from tamis.operators.lake.containment import contained_tables
from tamis.operators.lake.families import APART, NAMES, ORDERED, family
from tamis.operators.lake.min_max import RULES, ColumnStats, ranked, refuted, with_missing_empty

INT, F, T = families.INTEGER, families.FLOAT, families.TEXT
KINDS: dict[str, list[Any]] = {  # two columns of each kind may be equal to those of another: 5, 5.0 and "5" are one value
    "int": [None, -2, 0, 1, 5, 7], "float": [None, -2.0, -0.0, 0.0, 0.5, 5.0, math.nan, math.inf], "text": [None, "", "0", "0.5", "5", "zz"],
    "long": ["aaaa", "aaab", "aabb", "zzz", None], "none": [None],
}
FAMILY = {"int": INT, "float": F, "text": T, "long": T, "none": families.UNKNOWN}


def plain(value: Any, empty: bool) -> Any:
    """What a cell is compared by: the text of it; nulls a value of their own, and of `empty` the same as NaN and nothing."""
    if value is None or (empty and (value == "" or value != value)):
        return None
    if isinstance(value, float):
        value = "nan as a number" if value != value else int(value) if math.isfinite(value) and value == int(value) else value
    return value if isinstance(value, str) else str(value) if not isinstance(value, float) or math.isfinite(value) else f"{value} as a number"


def told(values: list[Any], kind: str, chance: random.Random) -> ColumnStats:
    """True statistics, of which some are forgotten and bounds of texts may be cut short."""
    numbers = [v for v in values if v is not None and v == v]
    low, high = (min(numbers), max(numbers)) if numbers else (None, None)
    low_exact = high_exact = bool(numbers)
    if FAMILY[kind] == T and numbers:
        low, high = low.encode(), high.encode()
        if chance.random() < 0.4 and len(low) > 2:
            low, low_exact = low[:2], False
        if chance.random() < 0.4 and len(high) > 2:
            high, high_exact = high[:1] + bytes([high[1] + 1]), False
    if chance.random() < 0.2:
        low, low_exact = None, False
    if chance.random() < 0.2:
        high, high_exact = None, False
    if low is not None and chance.random() < 0.2:
        low_exact = False
    nulls, rows, distinct = values.count(None), len(values), len({repr(n) for n in numbers})
    forget = [chance.random() < 0.3 for _ in range(3)]
    some = None if FAMILY[kind] != T or chance.random() < 0.7 else frozenset(values)
    return ColumnStats(FAMILY[kind], low, high, low_exact, high_exact, None if forget[0] else nulls, None if forget[1] else rows,
                       None if forget[2] else distinct, some)


def stored(kind: str, values: list[Any], empty: bool, chance: random.Random) -> tuple[str, list[Any]]:
    """The same values as a child may hold them: in another type; where null, NaN and nothing are one, one for another."""
    if kind == "int" and chance.random() < 0.6:
        kind = chance.choice(["float", "text"])
        values = [None if v is None else str(v) if kind == "text" else chance.choice([0.0, -0.0]) if v == 0 else float(v) for v in values]
    if empty and kind in ("float", "text", "long"):
        nothing = math.nan if kind == "float" else ""
        values = [chance.choice([None, nothing]) if plain(v, True) is None else v for v in values]
    return kind, values


TABLE = st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(list(KINDS)), st.integers(0, 6)).flatmap(lambda t: st.tuples(
    st.tuples(st.just(t[0]), st.lists(st.sampled_from(KINDS[t[0]]), min_size=t[2], max_size=t[2])),
    st.tuples(st.just(t[1]), st.lists(st.sampled_from(KINDS[t[1]]), min_size=t[2], max_size=t[2]))))


@settings(max_examples=500)
@given(TABLE, TABLE, st.integers(0, 10**6), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.3]))
def test_what_is_contained_is_never_refuted_however_little_is_known(
    parent: Any, child: Any, seed: int, bag: bool, empty: bool, tolerance: float
) -> None:
    chance = random.Random(seed)
    if chance.random() < 0.8 and parent[0][1]:  # a true child: some of the parent's rows, or but one of them
        picked = [chance.randrange(len(parent[0][1])) for _ in range(chance.randint(0, 6))]
        child = [(kind, [values[i] for i in picked]) for kind, values in parent]
        if tolerance and len(picked) > 3:
            child = [(kind, [*values, chance.choice(KINDS[kind])]) for kind, values in child]
        child = tuple(stored(kind, values, empty, chance) for kind, values in child)
    rows = [list(zip(*(([plain(v, empty) for v in values]) for _, values in table), strict=True)) for table in (parent, child)]
    left = list(rows[0])
    lacking = 0
    for row in rows[1]:
        if row in left:
            if bag:
                left.remove(row)
        else:
            lacking += 1
    contained = lacking <= tolerance * len(rows[1])
    tables = [{name: told(values, kind, chance) for name, (kind, values) in zip("ab", table, strict=True)} for table in (parent, child)]
    if empty:
        tables = [{name: with_missing_empty(s) for name, s in table.items()} for table in tables]
    facts = ranked(tables, np.array([0, 0]))[0]
    rule = refuted(facts, facts, np.array([0]), np.array([1]), bag=bag, tolerance=tolerance, empty=empty)[0]
    assert rule < 0 or not contained, RULES[rule]


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=2, max_size=6))
def test_whole_numbers_with_exact_bounds_are_refuted_where_their_ranges_stick_out(columns: list[list[int]]) -> None:
    tables = [{"x": ColumnStats(INT, min(c), max(c), True, True, 0, len(c))} for c in columns]
    facts = ranked(tables, np.zeros(len(tables), np.int64))[0]
    p, c = (g.ravel() for g in np.meshgrid(np.arange(len(tables)), np.arange(len(tables))))
    found = refuted(facts, facts, p, c)
    assert (found < 0).tolist() == [min(columns[i]) <= min(columns[j]) and max(columns[j]) <= max(columns[i]) for i, j in zip(p, c, strict=True)]


def test_a_child_of_fewer_columns_is_compared_by_its_own() -> None:
    wide = {"a": ColumnStats(INT, 0, 9, True, True), "b": ColumnStats(INT, 0, 1, True, True), "c": ColumnStats(T, b"k", b"m", True, True)}
    narrow = [{"c": ColumnStats(T, b"l", b"l", True, True)}, {"c": ColumnStats(T, b"a", b"l", True, True)}]
    facts = ranked([wide, *narrow], np.array([0, 1, 1]))
    assert refuted(facts[0], facts[1], np.array([0, 0]), np.array([0, 1])).tolist() == [-1, RULES.index("range")]
    nothing = ranked([wide, {}], np.array([0, 1]))
    assert refuted(nothing[0], nothing[1], np.array([0]), np.array([0]), bag=True).tolist() == [-1], "no columns: contained in all"
    assert ranked([], np.empty(0, np.int64)) == []


VALUES: dict[pa.DataType, list[Any]] = {  # values of each family, some of which are equal to another family's
    pa.int8(): [1, 0, -3], pa.uint64(): [1, 2**64 - 1], pa.float64(): [1.0, 0.5, math.nan, -0.0], pa.decimal128(9, 3): [Decimal(1), Decimal("0.500")],
    pa.string(): ["1", "0.5", "true", "2024-02-29", "nan", ""], pa.bool_(): [True, False], pa.date32(): [dt.date(2024, 2, 29)],
    pa.timestamp("ms"): [dt.datetime(2024, 2, 29)], pa.timestamp("us", "UTC"): [dt.datetime(2024, 2, 29, tzinfo=dt.UTC)], pa.time32("s"): [dt.time(0, 0, 1)],
    pa.duration("s"): [dt.timedelta(seconds=1)], pa.binary(): [b"1", b"true"], pa.list_(pa.int64()): [[1], []],
}


def test_families_that_are_apart_have_no_value_in_common_and_others_do() -> None:
    told: dict[int, set[Any]] = {}
    for kind, values in VALUES.items():
        made = cells(pa.array(values, kind))
        told.setdefault(family(kind), set()).update(zip(made.tags.tolist(), made.a.tolist(), made.b.tolist(), strict=True))
    assert set(told) == set(range(len(NAMES))) - {families.UNKNOWN}
    for a, one in told.items():
        for b, other in told.items():
            assert bool(one & other) == (not APART[a, b]), (NAMES[a], NAMES[b])
    assert not APART[families.UNKNOWN].any() and not ORDERED[families.UNKNOWN].any() and (APART == APART.T).all() and (ORDERED == ORDERED.T).all()
    assert not ORDERED[families.FLOAT, families.DECIMAL] and ORDERED[families.INTEGER, families.DECIMAL] and not ORDERED[families.NESTED].any()


def test_a_familys_name_is_that_of_what_is_stored() -> None:
    assert family(pa.dictionary(pa.int8(), pa.string())) == T and family(pa.run_end_encoded(pa.int32(), pa.float32())) == F
    assert family(pa.string_view()) == family(pa.large_string()) == T and family(pa.binary_view()) == family(pa.binary(3)) == families.BINARY
    assert family(pa.map_(pa.string(), pa.int8())) == family(pa.struct([])) == families.NESTED and family(pa.null()) == families.UNKNOWN


CELLS = st.sampled_from([None, 0, 1, 2, "", "1", "a", math.nan, 0.5])
LAKE = st.lists(st.tuples(st.sampled_from(["a", "ab", "abc", "b", "ac"]), st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4)), min_size=1, max_size=5)


@settings(max_examples=100)
@given(LAKE, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.25, 0.5]))
def test_tables_in_memory_are_contained_where_each_row_is(lake: Any, bag: bool, empty: bool, tolerance: float) -> None:
    named = {}
    for i, (names, rows) in enumerate(lake):
        columns = {name: [None if r[k] is None else str(r[k]) for r in rows] for k, name in enumerate(names)}
        named[f"t{i}"] = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    got = contained_tables(named, missing_values="empty" if empty else "distinct", bag=bag, tolerance=tolerance)

    def rows_of(table: pa.Table, names: list[str]) -> list[Any]:
        return [tuple(None if empty and not v else v for v in row.values()) for row in table.select(names).to_pylist()]

    expected = []
    for p, parent in named.items():
        for c, child in named.items():
            if p == c or not set(child.column_names) <= set(parent.column_names):
                continue
            names = child.column_names
            have, lacking = rows_of(parent, names), 0
            for row in rows_of(child, names):
                lacking += row not in have
                if bag and row in have:
                    have.remove(row)
            if lacking <= tolerance * child.num_rows:
                expected.append((p, c))
    assert got == sorted(expected)


def test_a_column_permuted_by_itself_is_not_contained_though_all_its_numbers_are() -> None:
    whole = pa.table({"a": [1, 2, 3], "b": [10, 20, 30]})
    turned = pa.table({"a": [1, 2, 3], "b": [20, 30, 10]})
    assert contained_tables({"whole": whole, "turned": turned}) == []
    assert contained_tables({"whole": whole, "part": turned.select(["b"])}) == [("whole", "part")]
    stats = {n: ColumnStats(INT, min(whole[n].to_pylist()), max(whole[n].to_pylist()), True, True, 0, 3, 3) for n in "ab"}
    facts = ranked([stats, stats], np.array([0, 0]))[0]
    assert refuted(facts, facts, np.array([0]), np.array([1])).tolist() == [-1], "metadata cannot know it"


@pytest.mark.parametrize("kinds", [(pa.int8(), pa.string()), (pa.float32(), pa.decimal128(22, 1)), (pa.int64(), pa.float64()), (pa.string(), pa.large_string())])
def test_types_that_cast_without_loss_do_not_hide_a_copy(kinds: tuple[pa.DataType, pa.DataType]) -> None:
    one, two = (pa.table({"x": pa.array(["1", "2", "5"]).cast(pa.int64()).cast(k)}) for k in kinds)
    assert contained_tables({"one": one, "two": two.slice(0, 2)}) == [("one", "two")]
