"""What a selector is given, how much it may take, and what is written of its choice."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.pipeline import steps
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.stages import select
from tamis.pipeline.stages.elsewhere import bytes_held, vectors_of
from tamis.pipeline.stages.lineage import Lineage
from tamis.pipeline.workspace import StageFolder, read_json, write_table
from tamis.selectors.base import Pool, Selection


def step(**given: Any) -> steps.Step:
    made, wrong, _ = steps.build(3, "random_selector", given, "text")
    assert made is not None and not wrong
    return made


@pytest.mark.parametrize(("given", "rows", "budget"), [
    ({}, 10, 10), ({"select_num": 4}, 10, 4), ({"select_num": 40}, 10, 40), ({"select_ratio": 0.5}, 9, 4), ({"select_ratio": 0.29}, 100, 29),
    ({"select_ratio": 0.5, "select_num": 3}, 10, 3), ({"select_ratio": 0.2, "select_num": 3}, 10, 2), ({"select_tokens": 12.5}, 10, 12.5),
    ({"select_ratio": 1.0}, 7, 7), ({"select_ratio": 0.0}, 7, 0), ({"select_num": 0}, 7, 0), ({"select_ratio": 0.29, "compat": "data-juicer"}, 100, 28),
])
def test_the_budget_is_rows_or_tokens_and_of_two_the_smaller(given, rows, budget):
    assert select._budget(step(**given), Pool(np.arange(rows))) == budget


@pytest.mark.parametrize(("given", "key"), [
    ({"select_num": 3, "cost_key": "n"}, None), ({"select_tokens": 3, "cost_key": "n"}, "n"), ({"select_tokens": 3}, "num_embedding_tokens"),
])
def test_costs_are_looked_at_where_the_budget_is_in_tokens(given, key):
    assert select._cost_key(step(**given)) == key


def test_a_number_that_is_missing_or_a_cost_below_nothing_is_refused():
    assert select._all_there(np.array([0.0, -1.0]), "n", "quality").tolist() == [0, -1]
    assert select._all_there(np.array([0.0]), "n", "cost").tolist() == [0]
    with pytest.raises(ValueError, match=r"quality_key 'n' has no value in 2 of 3 rows"):
        select._all_there(np.array([1, np.nan, np.nan]), "n", "quality")
    with pytest.raises(ValueError, match=r"cost_key 'n' is negative in 1 rows"):
        select._all_there(np.array([1.0, -1.0]), "n", "cost")


@pytest.fixture
def before(tmp_path: Path) -> Lineage:
    """Two parts of rows, of which row 2 has left."""
    made = StageFolder(tmp_path / "rows")
    for part, (ids, n, source) in enumerate((([3, 1, 2], [0.3, 0.1, 0.2], ["x", None, "y"]), ([9, 8], [0.9, 0.8], ["x", "z"]))):
        keys = {ID: pa.array(ids, pa.int64()), SOURCE: ["s"] * len(ids), POSITION: pa.array(range(len(ids)), pa.int64())}
        meta = pa.array([{"source": s} for s in source])
        write_table(made.path / f"rows/part-{part:05d}-000.parquet", pa.table(keys | {"n": n, "meta": meta}))
        made.finish_part(part, {"pieces": 1})
        write_table(made.file("stats", part), pa.table({ID: ids, "len": [10 * i for i in ids]}))
    gone = StageFolder(tmp_path / "gone")
    for part, ids in enumerate(([2], [])):
        write_table(gone.file("ledger", part), pa.table({ID: pa.array(ids, pa.int64())}))
    return Lineage(made, numbers=(("len", made, "stats"),)).after_narrow(gone)


def test_the_pool_is_the_rows_that_stand_with_their_numbers(before):
    pool = select.pool_of(step(select_tokens=9, cost_key="len", quality_key="n"), before, range(2))
    assert pool.ids.tolist() == [3, 1, 9, 8] and pool.embedding is None and pool.field is None
    assert pool.quality is not None and pool.quality.tolist() == [0.3, 0.1, 0.9, 0.8]
    assert pool.cost is not None and pool.cost.tolist() == [30, 10, 90, 80]
    bare = select.pool_of(step(select_num=1), before, range(2))
    assert bare.quality is None and bare.cost is None
    assert select.pool_of(step(), before, range(0)).ids.tolist() == []


@pytest.mark.parametrize(("key", "held"), [
    ("n", [0.3, 0.1, 0.9, 0.8]), ("meta.source", ["x", None, "x", "z"]), ("__dj__stats__.len", [30, 10, 90, 80]), ("nowhere", [None] * 4),
])
def test_a_field_is_a_column_a_field_of_one_or_a_number(before, key, held):
    assert select._field(key, before, range(2)).tolist() == held


def test_vectors_find_their_rows_in_any_order(before, tmp_path):
    stage = StageFolder(tmp_path / "vectors")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.array([2, 2, 1, 1, 3, 3], np.float16)), 2)
    write_table(stage.file("vectors", 0), pa.table({ID: [2, 1, 3], "vector": vectors}))
    told = vectors_of(before.after_embedding(stage), 0, np.array([3, 1]))
    assert told.tolist() == [[3, 3], [1, 1]] and told.dtype == np.float32
    with pytest.raises(ValueError, match="put a text_embedding_mapper step before it"):
        vectors_of(before, 0, np.array([3]))


def test_what_vectors_would_take_is_told_though_the_first_part_has_no_rows(before, tmp_path):
    stage = StageFolder(tmp_path / "vectors")
    none = pa.FixedSizeListArray.from_arrays(pa.array([], pa.float16()), 1)
    some = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(12, np.float16)), 6)
    for part, (ids, vectors) in enumerate((([], none), ([9, 8], some))):
        write_table(stage.file("vectors", part), pa.table({ID: pa.array(ids, pa.int64()), "vector": vectors}))
    assert bytes_held(before.after_embedding(stage), range(2)) == 4 * 6 * 2 and bytes_held(before, range(2)) == 0


def written(folder: Path, pool: Pool, chosen: Selection, budget: float = 2) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    made = StageFolder(folder)
    select._write(step(), made, pool, chosen, budget)
    facts = read_json(made.path / "facts.json")
    assert facts is not None
    return pq.read_table(made.path / "selection.parquet").to_pylist(), pq.read_table(made.path / "decisions.parquet").to_pylist(), facts


def test_every_row_is_told_by_id_and_those_not_chosen_are_sent_away(tmp_path):
    pool = Pool(np.array([7, 5, 9, 1]), quality=np.array([0.1, 0.2, 0.3, 0.4]))
    notes = {"rank": np.array([3, 1, 2, 4]), "distance": np.array([0.123456, 1, 2, 3.0])}
    rows, sent, facts = written(tmp_path, pool, Selection(np.array([1, 2]), np.array([5.0, 4.0]), notes, {"left": 0.0}))
    assert [(r[ID], r["picked"], r["order"], r["rank"], r["quality"]) for r in rows] == [
        (1, False, -1, 4, 0.4), (5, True, 0, 1, 0.2), (7, False, -1, 3, 0.1), (9, True, 1, 2, 0.3)]
    assert [r["gain"] for r in rows if r["picked"]] == [5, 4] and all(np.isnan(r["gain"]) for r in rows if not r["picked"])
    assert [(d[ID], d["reason"], d["stat"], d["value"], d["bound"], d["note"]) for d in sent] == [
        (1, "not_selected", "rank", 4.0, "budget 2", "rank 4, distance 3"), (7, "not_selected", "rank", 3.0, "budget 2", "rank 3, distance 0.1235")]
    assert facts == {"budget": 2, "spent": 2, "pool": 4, "picked": 2, "left": 0}


def test_a_choice_without_ranks_is_told_without_a_number_and_costs_are_summed(tmp_path):
    pool = Pool(np.array([1, 2]), cost=np.array([2.5, 4.0]))
    rows, sent, facts = written(tmp_path, pool, Selection(np.array([1]), np.array([1.0])), 4.5)
    assert [(d[ID], d["stat"], d["value"], d["bound"], d["note"]) for d in sent] == [(1, None, None, "budget 4.5", "")]
    assert "quality" not in rows[0] and facts["spent"] == 4.0
