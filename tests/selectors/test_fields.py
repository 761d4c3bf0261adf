"""Selectors on one column: what Data-Juicer 1.6.1 picked, in its order; and the same through a run."""

import heapq
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline.errors import TamisError
from tamis.pipeline.run import apply
from tamis.selectors import catalog
from tamis.selectors.base import Pool, Selection
from tamis.selectors.fields import number_of

GOLDEN = Path(__file__).parents[1] / "golden"
INPUTS = json.loads((GOLDEN / "inputs.json").read_text("utf-8"))
NAMES = ["topk_specified_field_selector", "frequency_specified_field_selector", "range_specified_field_selector",
         "tags_specified_field_selector", "random_selector"]
CASES = [json.loads(line) for name in NAMES for line in (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()]


def value(row: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        row = row[part]
    return row


def choose(name: str, rows: list[Any], key: str | None, budget: float, **settings: Any) -> Selection:
    field = np.empty(len(rows), object)
    field[:] = [value(r, key) if key else None for r in rows] if key is not None else None
    pool = Pool(np.arange(len(rows)), field=None if key is None else field)
    return catalog.by_name(name).function(pool, budget, seed=0, **settings)


def test_all_that_was_recorded_is_replayed() -> None:
    assert len(CASES) == 21


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_same_rows_in_the_same_order(case: dict[str, Any]) -> None:
    name, rows, params = case["id"].split("#")[0], INPUTS[case["input"]], case["params"]
    if name == "random_selector":
        limits = [len(rows), params.get("select_num", len(rows)), int(params.get("select_ratio", 1) * len(rows))]
        got = choose(name, rows, None, min(limits), compat="data-juicer")
        repeats = len(case["kept_ids"]) > len(rows)  # it picks rows again where more are asked for than there are; we do not
        assert (sorted(got.index.tolist()) == sorted(set(case["kept_ids"]))) if repeats else got.index.tolist() == case["kept_ids"]
    else:
        assert choose(name, rows, params.get("field_key", ""), 0, **params).index.tolist() == case["kept_ids"]


@pytest.mark.parametrize("case", [c for c in CASES if c["params"].get("select_num") != 30], ids=lambda case: case["id"])
def test_the_same_rows_through_a_run(case: dict[str, Any]) -> None:
    process = [{case["id"].split("#")[0]: case["params"]}]
    table = apply(process, INPUTS[case["input"]], compat="data-juicer").table
    assert sorted(table.column("id").to_pylist()) == sorted(case["kept_ids"])


mixed = st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(-2, 2), st.sampled_from(["1", "2.5", "x", ""])), min_size=2, max_size=12)


@given(mixed, st.integers(1, 12), st.booleans())
def test_topk_is_heapq(values: list[Any], k: int, reverse: bool) -> None:
    rows = [{"a": {"b": v}} for v in values]
    numbers = [number_of(v, -(2**63 - 1) if reverse else 2**63 - 1) for v in values]
    wanted = (heapq.nlargest if reverse else heapq.nsmallest)(k, range(len(rows)), numbers.__getitem__)
    assert choose("topk_specified_field_selector", rows, "a.b", 0, field_key="a.b", topk=k, reverse=reverse).index.tolist() == wanted


@given(mixed, st.floats(0, 1), st.floats(0, 1), st.none() | st.integers(0, 12), st.none() | st.integers(0, 12))
def test_ranges_are_heapq_twice(values: list[Any], low: float, high: float, first: int | None, last: int | None) -> None:
    rows, n = [{"a": v} for v in values], len(values)
    got = choose("range_specified_field_selector", rows, "a", 0, field_key="a", lower_percentile=low, upper_percentile=high,
                 lower_rank=first, upper_rank=last).index.tolist()
    lower = max(int(low * n), first or 0)
    upper = max(lower, int(high * n) if last is None else min(int(high * n), last))
    numbers = [number_of(v) for v in values]
    small = heapq.nsmallest(upper, range(n), numbers.__getitem__)
    inner = [numbers[i] for i in small]
    assert got == [small[i] for i in heapq.nlargest(upper - lower, range(len(small)), inner.__getitem__)]


def test_a_number_of_a_filter_can_be_the_field() -> None:
    rows = [{"text": "a" * n} for n in (3, 9, 1, 7)]
    process = [{"text_length_filter": {"min_len": 2}}, {"topk_specified_field_selector": {"field_key": "__dj__stats__.text_len", "topk": 2}}]
    assert apply(process, rows).table.column("text").to_pylist() == ["a" * 9, "a" * 7]


def test_lists_have_no_frequency() -> None:
    with pytest.raises(TamisError, match="must hold text or numbers"):
        apply([{"frequency_specified_field_selector": {"field_key": "tags", "topk": 1}}], [{"text": "a", "tags": ["x"]}, {"text": "b", "tags": []}])
