"""Scores brought up to date from a sample: exact where the drift is a line, never worse than leave-one-out says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors.parts.drift import up_to_date


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(3, 30), st.floats(-5, 5), st.floats(-100, 100))
def test_a_straight_drift_is_undone_everywhere(seed: int, sampled: int, slope: float, shift: float) -> None:
    old = np.random.default_rng(seed).normal(size=60)
    sample, true = np.arange(60)[::2][:sampled], slope * old + shift
    moved, told = up_to_date(old, sample, true[sample])
    assert told.rows == sampled and moved[sample].tolist() == true[sample].tolist()
    if told.corrected:
        assert np.allclose(moved, true, atol=1e-6) and told.slope == pytest.approx(slope, abs=1e-6)
    else:
        assert told.before < 1e-6


def test_the_error_without_the_row_itself_is_that_of_lines_through_all_others() -> None:
    rng = np.random.default_rng(3)
    old, sample = rng.normal(size=30), np.arange(12)
    fresh = 2 * old[sample] + 1 + 0.3 * rng.normal(size=12)
    _, told = up_to_date(old, sample, fresh)
    wrong = []
    for i in range(12):
        rest = np.delete(sample, i)
        slope, intercept = np.polyfit(old[rest], np.delete(fresh, i), 1)
        wrong.append(fresh[i] - slope * old[i] - intercept)
    assert told.after == pytest.approx(float(np.sqrt(np.mean(np.square(wrong)))))
    assert told.before == pytest.approx(float(np.sqrt(np.mean((fresh - old[sample]) ** 2)))) and told.corrected


def test_no_line_where_it_would_predict_worse_than_the_old_scores() -> None:
    old = np.array([1.0, 2, 3, 4, 50, 60])
    moved, told = up_to_date(old, np.array([0, 1, 2]), np.array([1.1, 1.9, 3.1]))
    assert not told.corrected and moved.tolist() == [1.1, 1.9, 3.1, 4, 50, 60]
    for sample in ([], [0], [0, 1]):
        moved, told = up_to_date(old, np.array(sample, int), old[sample] + 5)
        assert not told.corrected and moved[3:].tolist() == [4, 50, 60], "too few for a line"
    _, told = up_to_date(np.ones(5), np.arange(4), np.arange(4.0))
    assert not told.corrected, "one old score tells nothing"


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 3 old scores and 0 of 1 new ones"):
        up_to_date(np.array([1.0, np.nan, 2.0]), np.array([0]), np.array([1.0]))
