"""Which rows leave and what is said of them; and which rows an operator fails on, found with few calls."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import Range
from tamis.pipeline import decide, ledger, steps
from tamis.pipeline.decide import Verdict
from tamis.pipeline.ledger import ID, POSITION, SOURCE

ROWS = {ID: pa.array([7, 8, 9]), SOURCE: pa.array(["a", "a", "b"]), POSITION: pa.array([0, 1, 0])}


def step(name, **given):
    made, wrong, _ = steps.build(1, name, given, "text")
    assert made is not None and not wrong
    return made


def verdicts(made, answer):
    return [(v.out.to_pylist(), v.reason if isinstance(v.reason, str) else v.reason.to_pylist(), v.stat, v.bound) for v in decide.verdicts(made, answer)]


def test_each_row_is_judged_by_its_number():
    told = verdicts(step("text_length_filter", min_len=2, max_len=4), pa.array([1, 2, 4, 5]))
    assert told == [([True, False, False, True], ["below_min", "above_max", "above_max", "above_max"], "text_len", "2 <= v <= 4")]


def test_rows_without_a_number_leave_first_and_the_others_are_judged_alone():
    told = verdicts(step("text_length_filter", min_len=2), pa.array([None, 1, 2], pa.int64()))
    assert [(out, stat) for out, _, stat, _ in told] == [([True, False, False], "text_len"), ([True, False], "text_len")]
    assert told[0][1] == "no_number" and told[1][1][0] == "below_min"


def label(wanted, names, scores):
    made = step("language_id_score_filter", lang=wanted, min_score=0.5)
    return verdicts(made, pa.StructArray.from_arrays([pa.array(names, pa.string()), pa.array(scores, pa.float64())], made.op.stats))


def test_a_label_is_looked_at_before_the_number():
    told = label("en", ["de", "en", "en"], [0.9, 0.1, 0.9])
    assert told[0] == ([True, False, False], "not_member", "lang", "lang in en")
    assert told[1][0] == [True, False] and told[1][2] == "lang_score"
    told = label(["en", "de"], ["de", "fr", "en"], [0.9, 0.9, 0.9])
    assert told[0] == ([False, True, False], "not_member", "lang", "lang in en, de")


@pytest.mark.parametrize("wanted", ["", []])
def test_no_label_wanted_is_any_label(wanted):
    assert label(wanted, ["de", "xx"], [0.9, 0.1]) == [([False, True], ["above_max", "below_min"], "lang_score", "0.5 <= v")]


@pytest.mark.parametrize(("keep", "values", "told"), [
    (Range(2), [1, 1.5], ["below_min", "below_min"]), (Range(None, 5), [6, 7], ["above_max", "above_max"]), (Range(2, 5), [1, 6], ["below_min", "above_max"]),
    (Range(2, 5, min_closed=False), [2, 6], ["below_min", "above_max"]), (Range(2, 2), [1, 3], ["below_min", "above_max"]),
    (Range(2, 5, reverse=True), [3, 4], ["in_reversed_range", "in_reversed_range"]), (Range(None, 5, reverse=True), [3], ["in_reversed_range"]),
])
def test_the_reason_is_the_side_on_which_a_number_lies(keep, values, told):
    assert decide.reasons(keep, pa.array(values, pa.float64())).to_pylist() == told


def test_a_line_tells_only_of_those_who_leave():
    verdict = Verdict(pa.array([True, False, True]), pa.array(["x", "y", "z"]), "n", pa.array([1, 2, 3]), "v < 1", pa.array(["p", "q", "r"]))
    told = decide.lines(ROWS, pa.array(["one", "two", None]), 4, "op", verdict)
    assert len(verdict) == 2 and told.schema == ledger.SCHEMA
    assert told.to_pylist() == [
        {ID: 7, SOURCE: "a", POSITION: 0, "step": 4, "op": "op", "reason": "x", "stat": "n", "value": 1.0, "bound": "v < 1", "kept_id": None,
         "note": "p", "excerpt": "one"},
        {ID: 9, SOURCE: "b", POSITION: 0, "step": 4, "op": "op", "reason": "z", "stat": "n", "value": 3.0, "bound": "v < 1", "kept_id": None,
         "note": "r", "excerpt": None},
    ]


def test_a_line_of_a_verdict_without_number_or_text_says_so_with_nulls():
    line, = decide.lines(ROWS, None, 1, "op", Verdict(pa.array([False, True, False]), "why")).to_pylist()
    assert (line[ID], line["reason"]) == (8, "why")
    assert {line[c] for c in ("stat", "value", "bound", "note", "excerpt", "kept_id")} == {None}


def test_an_excerpt_counts_code_points():
    assert decide.excerpt(pa.array(["é" * 161, "x" * 160, "", None])).to_pylist() == ["é" * 160, "x" * 160, "", None]


def failing(bad, calls):
    def call(start, stop):
        calls.append((start, stop))
        here = [i for i in bad if start <= i < stop]
        if here:
            raise ValueError(f"row {here[0]}")
        return pa.nulls(stop - start)
    return call


@given(st.integers(1, 40), st.data())
def test_every_failing_row_is_found_in_order_with_its_own_words(rows, data):
    bad = sorted(data.draw(st.sets(st.integers(0, rows - 1))))
    calls: list[tuple[int, int]] = []
    found, why = decide.failures(failing(bad, calls), rows, ValueError("batch"))
    assert found == bad and why == [f"row {i}" for i in bad]
    assert len(calls) <= 1 + 2 * len(bad) * 7  # halving, not one by one
    assert all(start < stop for start, stop in calls)


@given(st.integers(1, 100), st.data())
def test_the_first_failing_row_is_found_by_halving(rows, data):
    bad = sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1)))
    calls: list[tuple[int, int]] = []
    found, why = decide.first_failure(failing(bad, calls), rows, ValueError(f"row {bad[0]}"))
    assert found == bad[:1] and why == [f"row {bad[0]}"]
    assert len(calls) <= 7


def test_a_single_row_that_fails_is_not_called_again():
    assert decide.first_failure(lambda a, b: pytest.fail("called"), 1, ValueError("alone")) == ([0], ["alone"])
