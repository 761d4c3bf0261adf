"""Numbers, shares, sizes, reasons and bounds as people read them: each word, at each border."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import COUNT, RATIO, Range, Unit
from tamis.pipeline.reporting import words

OPEN = Unit("any number", "value")


@pytest.mark.parametrize(("value", "told"), [
    (0.0, "0"), (-0.5, "−0.5"), (1.0, "1"), (999.0, "999"), (1000.0, "1,000"), (-1234.0, "−1,234"),
    (0.00012345, "0.000123"), (0.99949, "0.999"), (1.00049, "1"), (1.0006, "1.001"), (-1.5, "−1.5"),
    (12.345678, "12.35"), (999.94, "999.9"), (1000.4, "1,000"), (-1000.6, "−1,001"), (0.00001, "1e-05"),
    (1e14, "100,000,000,000,000"), (1e15, "1,000,000,000,000,000"), (float("inf"), "∞"), (float("-inf"), "−∞"),
])
def test_a_number_has_four_digits_and_a_true_minus(value, told):
    assert words.number(value) == told


@given(st.floats(-1e9, 1e9))
def test_a_number_that_is_read_back_is_nearly_the_number(value):
    read = float(words.number(value).replace(",", "").replace("−", "-"))
    assert read == pytest.approx(value, rel=0.006, abs=1e-300)


@pytest.mark.parametrize(("part", "whole", "told"), [
    (0, 7, "0%"), (7, 7, "100%"), (1, 1000, "0.1%"), (1, 1001, "<0.1%"), (999, 1000, "99.9%"), (1000, 1001, ">99.9%"),
    (1, 3, "33.3%"), (3, 2, "150.0%"), (0, 0, "–"),
])
def test_a_share_is_never_nothing_of_something_nor_all_of_less(part, whole, told):
    assert words.share(part, whole) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (3000, "3,000 rows")])
def test_one_is_one_and_all_else_is_many(count, told):
    assert words.counted(count, "row") == told


@pytest.mark.parametrize(("value", "told"), [
    (0, "0.00 s"), (9.99, "9.99 s"), (10, "10.0 s"), (119.9, "119.9 s"), (120, "2 min 0 s"), (125.6, "2 min 6 s"),
    (7199, "119 min 59 s"), (7200, "2 h 0 min"), (9000, "2 h 30 min"),
])
def test_seconds_turn_into_minutes_and_hours(value, told):
    assert words.seconds(value) == told


@pytest.mark.parametrize(("count", "told"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_600_000, "3.6 MB"), (2_500_000_000, "2.5 GB"),
    (999_900_000_000, "999.9 GB"), (1_000_000_000_000, "1.0 TB"), (1_234_500_000_000_000, "1,234.5 TB"),
])
def test_bytes_have_the_largest_unit_that_is_not_below_one(count, told):
    assert words.size(count) == told


def test_reasons_are_told_most_frequent_first_and_in_words():
    left = {"error": 2, "below_min": 1500, "above_max": 2, "some_new_reason": 7}
    assert words.reasons(left) == "1,500 below the minimum, 7 some new reason, 2 above the maximum, 2 error"
    assert words.reasons({}) == ""


@pytest.mark.parametrize(("keep", "unit", "told"), [
    (Range(0, 1), RATIO, []), (Range(0.5, 1), RATIO, [("min", 0.5)]), (Range(0, 0.5), RATIO, [("max", 0.5)]),
    (Range(0, 1, min_closed=False), RATIO, [("min", 0.0)]), (Range(0, 1, max_closed=False), RATIO, [("max", 1.0)]),
    (Range(0, 1, reverse=True), RATIO, [("min", 0.0), ("max", 1.0)]), (Range(0, None), COUNT, []), (Range(0, 7), COUNT, [("max", 7.0)]),
    (Range(0, 0), OPEN, [("min", 0.0), ("max", 0.0)]), (Range(), OPEN, []),
])
def test_a_bound_is_drawn_where_it_can_exclude_something(keep, unit, told):
    assert words.drawn(keep, unit) == told


@pytest.mark.parametrize(("keep", "told"), [
    (Range(1, 5), "1 to 5"), (Range(1, 5, min_closed=False), "more than 1 and at most 5"), (Range(1, 5, max_closed=False), "at least 1 and less than 5"),
    (Range(None, 5), "at most 5"), (Range(None, 5, max_closed=False), "less than 5"), (Range(1), "at least 1"), (Range(), "any value"),
    (Range(1, 5, reverse=True), "at most 1 or at least 5"), (Range(1, 5, min_closed=False, reverse=True), "less than 1 or at least 5"),
    (Range(1, 5, max_closed=False, reverse=True), "at most 1 or more than 5"), (Range(1, None, reverse=True), "at most 1"),
    (Range(None, 5, reverse=True), "at least 5"), (Range(reverse=True), "nothing"),
])
def test_what_stays_is_what_is_said(keep, told):
    assert words.stays(keep, OPEN) == told
    values = [0.0, 1.0, 3.0, 5.0, 9.0]
    said = {"any value": lambda v: True, "nothing": lambda v: False}.get(told) or (lambda v: reads_as(told, v))
    assert keep.holds(pa.array(values)).to_pylist() == [said(v) for v in values]


def reads_as(told, value):
    """What a person understands by the words."""
    if " or " in told:
        return any(reads_as(part, value) for part in told.split(" or "))
    if " and " in told:
        return all(reads_as(part, value) for part in told.split(" and "))
    if " to " in told:
        low, high = map(float, told.split(" to "))
        return low <= value <= high
    name, bound = told.rsplit(" ", 1)
    return {"at least": value >= float(bound), "more than": value > float(bound), "at most": value <= float(bound),
            "less than": value < float(bound)}[name]


@pytest.mark.parametrize(("value", "told"), [(0, "0" * 16), (255, "00000000000000ff"), (-1, "f" * 16), (-(2**63), "8" + "0" * 15)])
def test_an_id_is_sixteen_hex_digits(value, told):
    assert words.row_id(value) == told


def test_nothing_is_not_a_number():
    assert words.number(None) == words.number(math.nan) == "–"
