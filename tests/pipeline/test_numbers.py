"""One number of a run: who reached the step, the summary, the borders of the bins, labels and how many of each."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pipeline import ledger
from tamis.pipeline.ledger import ID
from tamis.pipeline.reporting import numbers
from tamis.pipeline.reporting.numbers import Spread
from tamis.pipeline.workspace import StageFolder, write_table


def stage(folder: Path, *parts: dict) -> StageFolder:
    """A stage whose parts have columns of numbers and ledger lines (id, step)."""
    made = StageFolder(folder)
    for i, part in enumerate(parts):
        columns = {k: v for k, v in part.items() if k != "left"}
        write_table(made.file("stats", i), pa.table({ID: pa.array(columns.pop("ids"), pa.int64()), **columns}))
        lines = [{ID: row, "step": step} for row, step in part.get("left", [])]
        write_table(made.file("ledger", i), pa.Table.from_pylist(lines, ledger.SCHEMA))
    return made


def test_those_who_left_before_did_not_reach_the_step_and_those_without_a_number_may_have_left_at_it(tmp_path):
    """Row 2 left before (no number), row 3 left here by its number, row 4 left here for want of one; row 6 leaves later."""
    made = stage(tmp_path, {"ids": [1, 2, 3, 4], "n": [5.0, None, 1.0, None], "left": [(2, 1), (3, 2), (4, 2)]},
                 {"ids": [5, 6], "n": [7.0, 8.0], "left": [(6, 3)]})
    rows, = numbers.reached(made, [("n", 2)], numbers.Departures(made))
    assert rows.ids.tolist() == [1, 3, 4, 5, 6] and rows.left.tolist() == [False, True, True, False, False]
    assert rows.values[[0, 1, 3, 4]].tolist() == [5, 1, 7, 8] and np.isnan(rows.values[2])


def test_a_stage_without_parts_has_no_rows(tmp_path):
    rows, = numbers.reached(StageFolder(tmp_path), [("n", 1)], numbers.Departures(StageFolder(tmp_path)))
    assert (rows.ids.dtype, rows.values.dtype, rows.left.dtype) == (np.int64, np.float64, bool) and not len(rows.ids)


def test_a_number_that_a_part_never_computed_is_none(tmp_path):
    made = stage(tmp_path, {"ids": [1, 2], "n": pa.array([3, None], pa.int64())}, {"ids": [3]})
    told = [(ids, values) for i in (0, 1) for ids, (values,) in [numbers.read_numbers(made.file("stats", i), ["n"])]]
    assert [t[0].tolist() for t in told] == [[1, 2], [3]]
    assert told[0][1][0] == 3 and np.isnan(told[0][1][1]) and np.isnan(told[1][1]).all()


@pytest.mark.parametrize("column", [pa.array([1, None]), pa.array([1.0, None]), pa.array([True, None])])
def test_any_number_is_a_float_and_null_is_none(column):
    told = numbers.floats(pa.chunked_array([column]))
    assert told.dtype == np.float64 and told[0] == 1 and np.isnan(told[1])


def test_labels_are_counted_most_frequent_first_ties_by_name_and_the_rest_together(tmp_path):
    first = {"ids": range(6), "lang": ["en", "en", "de", None, "fr", "en"], "left": [(1, 1), (2, 1), (4, 9)]}
    second = {"ids": range(6, 9), "lang": ["de", "it", "it"], "left": [(7, 1)]}
    made = stage(tmp_path, first, second)
    assert numbers.labels(made, "lang", 1, numbers.Departures(made)) == [("en", 2, 1), ("de", 1, 1), ("it", 1, 1), ("fr", 1, 0)]
    assert numbers.labels(made, "lang", 1, numbers.Departures(made), most=4)[-1] == ("fr", 1, 0)
    assert numbers.labels(made, "lang", 1, numbers.Departures(made), most=2) == [("en", 2, 1), ("de", 1, 1), ("2 others", 2, 1)]


def test_a_summary_of_few():
    assert numbers.spread(np.array([4.0, np.nan, 1.0, 3.0])) == Spread(4, 1, 1, 1, 1, 3, 3, 3, 4, pytest.approx(8 / 3))
    assert numbers.spread(np.array([np.nan])) == Spread(1, 1)
    assert numbers.spread(np.array([])) == Spread(0, 0)


def test_quantiles_are_the_lower_of_two_values_that_occur():
    told = numbers.spread(np.random.default_rng(0).permutation(201).astype(float))
    assert (told.p1, told.p5, told.median, told.p95, told.p99) == (2, 10, 100, 190, 198)
    told = numbers.spread(np.arange(200.0))
    assert (told.p1, told.p5, told.median, told.p95, told.p99) == (1, 9, 99, 189, 197)


def test_a_summary_leaves_the_values_as_they_are():
    values = np.array([3.0, 1.0, 2.0])
    numbers.spread(values)
    assert values.tolist() == [3, 1, 2]


def binned(values, bounds=(), left=None):
    values = np.array(values, float)
    left = np.zeros(len(values), bool) if left is None else np.array(left)
    return numbers.histogram(values, left, numbers.spread(values), bounds)


def test_a_few_whole_numbers_have_a_bin_each_and_a_bound_between_two_of_them_moves_nothing():
    h = binned([2, 3, 3, 5], [3], [True, False, False, False])
    assert h.edges.tolist() == [1.5, 2.5, 3.5, 4.5, 5.5] and not h.log
    assert h.stays.tolist() == [0, 2, 0, 1] and h.left.tolist() == [1, 0, 0, 0]


def test_a_bound_among_many_whole_numbers_is_a_border():
    values = np.arange(0, 1000)
    h = binned(values, [333, 667], (values < 333) | (values > 667))
    assert {333, 667} <= set(h.edges.tolist()) and len(h.edges) == numbers.BINS + 1
    assert (h.left[h.edges[:-1] < 333] > 0).all() and not h.stays[h.edges[:-1] < 333].any()


def test_whole_numbers_have_a_bin_each_up_to_the_number_of_bins():
    assert len(binned([0, numbers.BINS - 1]).stays) == numbers.BINS
    wide = binned([0, numbers.BINS])
    assert len(wide.stays) == numbers.BINS and wide.edges[[0, -1]].tolist() == [0, numbers.BINS]


def test_a_bound_near_the_data_widens_the_picture_and_one_far_away_does_not():
    assert binned([0.0, 0.25, 1.0], [1.2]).edges[[0, -1]].tolist() == [0, 1.2]
    assert binned([0.0, 0.25, 1.0], [-0.3]).edges[[0, -1]].tolist() == [-0.3, 1]
    assert binned([0.0, 0.25, 1.0], [1.4, -0.4]).edges[[0, -1]].tolist() == [0, 1]
    assert binned([2, 4], [4]).edges[[0, -1]].tolist() == [1.5, 4.5]


def test_one_value_has_a_picture_around_it():
    h = binned([0.5, 0.5])
    assert h.edges[0] == 0.5 and h.edges[-1] == pytest.approx(0.501) and h.stays.sum() == 2
    large = binned([10000.5])
    assert large.edges[-1] == pytest.approx(10000.5 * 1.001)
    assert binned([]).edges[[0, -1]].tolist() == [0, 1] and binned([np.nan]).stays.sum() == 0


@pytest.mark.parametrize(("values", "log"), [
    ([0, 1, 2, 100], False), ([0, 1, 2, 101], True), ([0, 4, 5, 101], True), ([0, 5, 5, 101], False), ([-1, 0, 0, 5000], False), ([0, 1, 1, 99.0], False),
])
def test_the_axis_is_logarithmic_where_the_largest_is_far_from_the_middle(values, log):
    assert binned(values).log is log


def test_a_logarithmic_axis_ends_where_the_data_ends_and_holds_bounds_up_to_ten_times_that():
    values = [1, 2, 3, 10_000]
    h = binned(values)
    assert h.edges[0] == 1 and h.edges[-1] == 10_000 and len(h.edges) == numbers.BINS + 1
    steps = np.diff(np.log10(1 + h.edges))
    assert np.ptp(steps) < 1e-9
    assert binned(values, [100_000]).edges[-1] == 100_000
    assert binned(values, [100_001]).edges[-1] == 10_000
    assert binned(values, [0]).edges[0] == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_no_bin_mixes_both_sides_of_two_bounds(values, a, b):
    low, high = min(a, b), max(a, b)
    values = np.array(values)
    left = (values < low) | (values > high)
    h = numbers.histogram(values, left, numbers.spread(values), [low, high])
    assert h.stays.sum() + h.left.sum() == len(values) and (np.diff(h.edges) >= 0).all()


def test_infinity_is_drawn_nowhere():
    h = binned([0.5, np.inf, 0.7])
    assert h.stays.sum() == 2 and h.edges[[0, -1]].tolist() == [0.5, 0.7]
