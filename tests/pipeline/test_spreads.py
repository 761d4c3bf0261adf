"""Numbers without a decision: the rows at both ends, what bounds would remove, labels by count."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import Range
from tamis.pipeline import steps
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.reporting import spreads
from tamis.pipeline.reporting.numbers import Spread
from tamis.pipeline.workspace import StageFolder, write_table


def built(name: str, number: int = 1, **given: Any) -> steps.Step:
    step, wrong, _ = steps.build(number, name, given, "text")
    assert step is not None and not wrong
    return step


def ends(*rows: tuple[int, str, bool, float | None]) -> pa.Table:
    return pa.Table.from_pylist([{ID: i, SOURCE: "s", POSITION: 10 * i, "stat": stat, "low": low, "value": v, "excerpt": f"x{i}" if i else None}
                                 for i, stat, low, v in rows], spreads.END_SCHEMA)


@given(st.lists(st.one_of(st.integers(0, 4).map(float), st.just(float("nan")), st.just(float("inf"))), max_size=30), st.booleans(), st.randoms(use_true_random=False))
def test_the_outermost_three_are_the_same_in_any_order(values, low, chance):
    ids = np.arange(100, 100 + len(values))
    told = ids[spreads._outer(np.array(values), ids, low)].tolist()
    finite = sorted((v for v in values if np.isfinite(v)), reverse=not low)
    assert [values[i - 100] for i in told] == finite[:3]
    order = list(range(len(values)))
    chance.shuffle(order)
    again = ids[order][spreads._outer(np.array(values)[order] if values else np.array(values), ids[order], low)]
    assert again.tolist() == told


def test_the_ends_of_many_batches_are_the_ends_of_all():
    low = [(i, "a", True, float(v)) for i, v in enumerate([5, 3, 9, 1, 7], 1)]
    high = [(i, "a", False, float(v)) for i, v in enumerate([5, 3, 9, 1, 7], 1)]
    told = spreads.outermost(ends(*low, *high, (9, "b", True, 0.5)))
    assert [(r["stat"], r["low"], r["value"]) for r in told.to_pylist()] == [
        ("a", True, 1), ("a", True, 3), ("a", True, 5), ("a", False, 9), ("a", False, 7), ("a", False, 5), ("b", True, 0.5)]
    assert spreads.outermost(ends()).schema == spreads.END_SCHEMA


def test_the_ends_of_all_parts_are_read_as_examples(tmp_path):
    folder = StageFolder(tmp_path)
    assert spreads.read_ends(folder) == {}
    write_table(folder.file("ends", 0), ends((1, "a", True, 2.0), (2, "a", True, 4.0), (3, "a", True, 6.0)))
    write_table(folder.file("ends", 1), ends((4, "a", True, 3.0), (0, "a", False, 9.0)))
    told = spreads.read_ends(folder)
    assert [(e.id, e.value, e.where, e.excerpt) for e in told["a", True]] == [(1, 2.0, "s:10", "x1"), (4, 3.0, "s:40", "x4"), (2, 4.0, "s:20", "x2")]
    assert [(e.id, e.excerpt) for e in told["a", False]] == [(0, "")]


def test_rows_outside_of_bounds_and_rows_without_a_number():
    values = np.array([1, 5, np.nan, 9.0])
    step = built("text_length_filter")
    assert spreads.outside(step, Range(2, 8), values, None).tolist() == [True, False, True, True]
    assert spreads.outside(step, Range(), values, None).tolist() == [False, False, True, False]


@pytest.mark.parametrize(("wanted", "out"), [("en", [False, True, True]), (["en", "de"], [False, False, True]), ("", [False, False, True]), ([], [False, False, True])])
def test_rows_whose_label_is_not_wanted_are_outside(wanted, out):
    step = built("language_id_score_filter", lang=wanted)
    labels = pa.chunked_array([["en", "de", "en"]])
    assert spreads.outside(step, Range(0.5), np.array([0.9, 0.9, 0.1]), labels).tolist() == out
    assert spreads.outside(step, Range(0.5), np.array([0.9, 0.9, 0.1]), None).tolist() == [False, False, True]


def test_labels_are_counted_most_frequent_first_and_ties_by_name():
    labels = pa.chunked_array([["b", "a", None], ["c", "b", "a", "b"]])
    out = np.array([True, False, True, True, False, True, False])
    assert spreads.label_counts(labels, out) == [("b", 2, 1), ("a", 1, 1), ("c", 0, 1)]
    assert spreads.label_counts(labels, out, most=1) == [("b", 2, 1)]


def test_each_filter_s_column_is_read_from_all_parts_that_have_it(tmp_path):
    folder = StageFolder(tmp_path)
    write_table(folder.file("stats", 0), pa.table({ID: [1, 2], "text_len": [3, None], "lang": ["en", None], "lang_score": [0.5, None]}))
    write_table(folder.file("stats", 1), pa.table({ID: [3], "text_len": [7]}))
    asked = [built("text_length_filter"), built("fix_unicode_mapper", 2), built("language_id_score_filter", 3), built("words_num_filter", 4)]
    (one, values, labels, told), (two, scores, langs, _), (three, none, _, empty) = spreads.columns(folder, asked)
    assert (one.number, two.number, three.number) == (1, 3, 4)
    np.testing.assert_array_equal(values, [3, np.nan, 7])
    assert labels is None and (told.count, told.nulls, told.max) == (3, 1, 7)
    np.testing.assert_array_equal(scores, [0.5, np.nan])
    assert langs is not None and langs.to_pylist() == ["en", None] and len(none) == 0 and empty == Spread(0, 0)
