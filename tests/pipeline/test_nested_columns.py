"""Columns by their names, however deep they lie: against plain dictionaries, with nulls at any level and in slices."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import columns, copies
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import apply

INNER = pa.struct([("c", pa.int64()), ("d", pa.string())])
OUTER = pa.struct([("b", INNER), ("e", pa.int64())])
ROW = st.none() | st.fixed_dictionaries({
    "b": st.none() | st.fixed_dictionaries({"c": st.none() | st.integers(0, 9), "d": st.none() | st.text("xy", max_size=2)}),
    "e": st.none() | st.integers(0, 9)})


def walked(row: Any, key: str) -> Any:
    """What a path leads to in a row; None where something on the way is null."""
    for name in key.split("."):
        row = None if row is None else row[name]
    return row


@settings(max_examples=60)
@given(st.lists(ROW, max_size=8), st.sampled_from(["a", "a.b", "a.b.c", "a.b.d", "a.e"]), st.integers(0, 3))
def test_a_path_finds_what_walking_finds(rows: list[Any], key: str, start: int) -> None:
    held = {"a": pa.array(rows, OUTER).slice(start)}
    told = columns.find(held, key)
    assert told is not None and told.to_pylist() == [walked({"a": r}, key) for r in rows[start:]]
    assert told.type == columns.type_at(pa.schema([("a", OUTER)]), key)


@settings(max_examples=60)
@given(st.lists(ROW, max_size=8), st.sampled_from(["a.b.c", "a.b.d", "a.e"]), st.integers(0, 3))
def test_what_is_put_is_found_and_nothing_beside_it_moves(rows: list[Any], key: str, start: int) -> None:
    held = {"a": pa.array(rows, OUTER).slice(start)}
    count = len(held["a"])
    values = pa.array([f"v{i}" if key.endswith("d") else i for i in range(count)])
    columns.put(held, key, values)
    after = held["a"].to_pylist()
    *way, last = key.split(".")[1:]

    def written(row: Any, number: int) -> Any:
        """The row as a dictionary's assignment would leave it; a null on the way stays null."""
        here = row
        for name in way:
            here = None if here is None else here[name]
        if here is not None:
            here[last] = values[number].as_py()
        return row

    assert after == [written(r, i) for i, r in enumerate(rows[start:])]


@pytest.mark.parametrize("key", ["z", "a.z", "a.b.z", "a.e.c", "a.", ".a", "", "a..b", "b.c"])
def test_a_path_that_leads_nowhere_is_none(key: str) -> None:
    assert columns.find({"a": pa.array([None], OUTER)}, key) is None
    assert columns.type_at(pa.schema([("a", OUTER)]), key) is None


def test_a_column_with_a_dot_in_its_name_goes_before_a_field() -> None:
    held = {"a.e": pa.array(["own"]), "a": pa.array([{"b": None, "e": 5}], OUTER)}
    assert columns.find(held, "a.e").to_pylist() == ["own"]  # type: ignore[union-attr]
    assert columns.type_at(pa.schema([(k, v.type) for k, v in held.items()]), "a.e") == pa.string()
    columns.put(held, "a.e", pa.array(["new"]))
    assert held["a.e"].to_pylist() == ["new"] and held["a"].to_pylist() == [{"b": None, "e": 5}]
    columns.put(held, "x.y", pa.array([1]))
    assert held["x.y"].to_pylist() == [1], "of a struct that is not there, a column of that name"


@pytest.mark.parametrize(("before", "told"), [
    (None, [{"x": 1, "y": "n"}]), (pa.array(["text"]), [{"x": 1, "y": "n"}]), (pa.array([{"y": "o", "z": 3}]), [{"y": "n", "z": 3, "x": 1}]),
])
def test_structs_are_merged_field_by_field(before: Any, told: list[dict[str, Any]]) -> None:
    assert columns.merged(before, pa.array([{"x": 1, "y": "n"}])).to_pylist() == told


# ---- numbers beside rows

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=12)


@settings(max_examples=60)
@given(IDS, st.lists(st.integers(0, 14), max_size=12), st.randoms(use_true_random=False))
def test_each_row_gets_the_numbers_of_its_id(known: list[int], wanted: list[int], chance: Any) -> None:
    """Rows in any order, some of them twice, some that no numbers were computed for."""
    ids = [known[w] if w < len(known) else 2**62 + w for w in wanted]
    ids = [i for i in ids if i in known or i not in set(known)]
    numbers = pa.table({ID: pa.array(known, pa.int64()), SOURCE: ["s"] * len(known), POSITION: list(range(len(known))),
                        "n": pa.array([i % 1000 for i in known], pa.int64()), "text": ["not the text"] * len(known)})
    rows = pa.table({"text": pa.array([f"t{i}" for i in ids], pa.string())})
    told = copies.beside(rows, pa.chunked_array([pa.array(ids, pa.int64())]), numbers)
    assert told.column_names == ["text", "n"], "keys are no numbers, and what the rows have stays theirs"
    assert told.to_pylist() == [{"text": f"t{i}", "n": i % 1000 if i in known else None} for i in ids]


@pytest.mark.parametrize("keep_stats", [False, True])
def test_a_field_that_a_filter_looks_at_is_a_number_by_its_name(keep_stats: bool) -> None:
    """As Data-Juicer has it: the stat of a field filter is the field itself, wherever it lies, of every row that was read."""
    rows = [{"text": f"row {i}", "meta": {"stars": i, "lang": "ab"[i % 2]}, "n": float(i)} for i in range(6)]
    process = [{"specified_field_filter": {"field_key": "meta.lang", "target_value": ["a"]}},
               {"specified_numeric_field_filter": {"field_key": "meta.stars", "min_value": 1}},
               {"specified_numeric_field_filter": {"field_key": "n", "max_value": 4}}]
    made = apply(process, rows, keep_stats=keep_stats)
    assert made.stats.column("meta.lang").to_pylist() == list("ababab") and made.stats.column("meta.stars").to_pylist() == list(range(6))
    assert [r["n"] for r in made.table.to_pylist()] == [2.0, 4.0]
    assert ("meta.stars" in made.table.column_names) is keep_stats
    if keep_stats:
        assert made.table.column("meta.stars").to_pylist() == [2, 4] and made.table.column("n").to_pylist() == [2.0, 4.0]


def test_numbers_of_rows_that_were_cut_from_others_are_their_own() -> None:
    made = apply([{"text_chunk_mapper": {"max_len": 3, "split_pattern": " "}}, {"text_length_filter": {"min_len": 2}}],
                 [{"text": "ab c def"}, {"text": "xyz"}], keep_stats=True)
    assert all(r["text_len"] == len(r["text"]) for r in made.table.to_pylist()) and len(made.table) >= 3
    assert made.stats.column("row").to_pylist() == sorted(made.stats.column("row").to_pylist())
