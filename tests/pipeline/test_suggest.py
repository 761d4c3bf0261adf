"""Bounds to start from: which side, how far, how rounded; and the recipe's text, which YAML reads back."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators import catalog
from tamis.operators.base import CONFIDENCE, COUNT, RATIO, Range, Unit
from tamis.pipeline import analyze, recipe, steps
from tamis.pipeline.reporting import numbers, suggest


def op(keep, unit=COUNT):
    return SimpleNamespace(keep=keep, unit=unit, rules=())


def bounds(values, keep=Range(), unit=COUNT):  # noqa: B008
    values = np.array(values, float)
    return suggest.bounds(op(keep, unit), values, numbers.spread(values))


def built(name, number=1, **given):
    step, wrong, _ = steps.build(number, name, given, "text")
    assert step is not None and not wrong
    return step


@pytest.mark.parametrize(("value", "whole", "told"), [
    (0.0, False, 0.0), (0.0123456, False, 0.0123), (0.9999, False, 0.999), (-0.0123456, False, -0.0124), (123456.0, True, 123000.0),
    (99.0, True, 99.0), (99.9, True, 99.0), (-99.5, True, -100.0), (12.34, True, 12.0), (12.34, False, 12.3), (0.3, False, 0.3),
    (1000.0, True, 1000.0), (1005.0, True, 1000.0), (0.29, False, 0.29), (5.0, True, 5.0),
])
def test_a_bound_is_rounded_down_to_three_digits_and_of_counts_to_a_whole_number(value, whole, told):
    assert suggest._rounded(value, whole) == told


@given(st.floats(-1e9, 1e9), st.booleans())
def test_rounding_goes_down_and_not_far(value, whole):
    told = suggest._rounded(value, whole)
    assert told <= value + 1e-6 * max(abs(value), float(whole)) + 1e-12
    assert value - told <= max(0.0101 * abs(value), 1.0 if whole else 0.0) + 1e-9
    assert suggest._rounded(told, whole) == pytest.approx(told)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_what_has_no_end_is_not_rounded(value):
    assert suggest._rounded(value, True) == value


@pytest.mark.parametrize(("keep", "unit", "sides"), [
    (Range(5), COUNT, (True, False)), (Range(0, 5), COUNT, (False, True)), (Range(5, 9), COUNT, (True, True)), (Range(), COUNT, (True, True)),
    (Range(0.25, 1), RATIO, (True, False)), (Range(0, 0.4), RATIO, (False, True)), (Range(0, 1), RATIO, (True, True)),
    (Range(10, 1e12), COUNT, (True, False)), (Range(-1e12, 5), Unit("x", "x"), (False, True)), (Range(-5, None), Unit("x", "x"), (True, False)),
])
def test_the_sides_are_those_on_which_the_default_can_exclude_something(keep, unit, sides):
    assert suggest._sides(op(keep, unit)) == sides


@pytest.mark.parametrize(("unit", "whole"), [(COUNT, True), (RATIO, False), (CONFIDENCE, False), (Unit("perplexity", "ppl"), False), (Unit("value", "value"), False)])
def test_counts_are_whole(unit, whole):
    assert suggest._whole(op(Range(), unit)) is whole


def test_bounds_lie_at_the_first_and_last_percent():
    assert bounds(range(1001)) == Range(10, 990)
    assert bounds(range(1001), Range(5)) == Range(10, None)
    assert bounds(range(1001), Range(0, 5)) == Range(None, 990)


def test_values_of_a_crowd_are_cut_together_if_they_are_at_most_five_percent():
    assert bounds([0] * 50 + [7] * 950) == Range(7, None)
    assert bounds([0] * 51 + [7] * 949) == Range()
    assert bounds([7] * 950 + [9] * 50) == Range(None, 7)
    assert bounds([7] * 949 + [9] * 51) == Range()


def test_nothing_to_cut_is_no_bound():
    assert bounds([3] * 500) == Range() and bounds([]) == Range() and bounds([math.nan]) == Range()


def test_the_text_is_a_recipe():
    told = numbers.spread(np.arange(1001.0))
    chosen = [built("text_length_filter"), built("alphanumeric_filter", 2, tokenization=True), built("fix_unicode_mapper", 3),
              built("document_deduplicator", 4)]
    ranges = {1: Range(12.0, 990.0), 2: Range()}
    text = suggest.suggestion(chosen, ranges, {1: told, 2: told}, {1: (5, 1000), 2: (0, 1000)}, ["a b.jsonl", "ü"], "text")
    read = yaml.safe_load(text)
    assert read == {"project_name": "suggested", "dataset_path": ["a b.jsonl", "ü"], "export_path": "outputs/suggested", "text_keys": "text",
                    "process": [{"text_length_filter": {"min_len": 12, "max_len": 990}}, {"fix_unicode_mapper": {}}]}
    assert "  - text_length_filter: {min_len: 12, max_len: 990}  # removes 0.5%\n" in text
    assert "  # - alphanumeric_filter: nothing lies far enough outside to be cut\n" in text
    assert "ü" in text and text.startswith("# About 1 %") and text.endswith("}\n")


def test_no_steps_are_an_empty_list():
    text = suggest.suggestion([], {}, {}, {}, ["x"], "text")
    assert yaml.safe_load(text)["process"] == [] and text.endswith("process: []\n")


def test_settings_that_were_given_are_written_again():
    step = built("alphanumeric_filter", tokenization=False)
    assert suggest._given(step, "text") == {} and suggest._given(step, "body") == {"text_key": "text"}
    other = built("word_repetition_filter", rep_len=7)
    line = suggest._step(other, Range(None, 0.25), numbers.spread(np.array([0.0, 0.1, 0.9])), (1, 3))
    assert line == "  - word_repetition_filter: {rep_len: 7, max_ratio: 0.25}  # removes 33.3%"


def test_a_side_left_open_gets_the_end_of_the_corpus_where_the_default_would_cut():
    """Default of text_length_filter: 10 and more. Texts of 3.7 to 95.2 stand for a column that the default would cut into."""
    step = built("text_length_filter")
    assert step.op.keep == catalog.by_name("text_length_filter").keep
    low = step.op.keep.min
    assert suggest._settings(step, Range(None, 90), numbers.spread(np.array([low - 6.3, 95.2]))) == {"min_len": math.floor(low - 6.3), "max_len": 90}
    assert suggest._settings(step, Range(None, 90), numbers.spread(np.array([low, 95.2]))) == {"max_len": 90}
    ratio = built("special_characters_filter")
    assert ratio.op.keep == Range(0.0, 0.25)
    assert suggest._settings(ratio, Range(), numbers.spread(np.array([0.0, 0.33333]))) == {"max_ratio": 0.334}
    assert suggest._settings(ratio, Range(), numbers.spread(np.array([0.0, 0.25]))) == {}


@pytest.mark.parametrize(("value", "told"), [
    (3.0, "3"), (0.25, "0.25"), (1e14, "100000000000000"), (1e15, "1000000000000000.0"), (True, "true"), (None, "null"), ("a: ü", '"a: ü"'),
    (("x", 1), '["x", 1]'), (frozenset({"x"}), '["x"]'),
])
def test_values_are_written_so_that_yaml_reads_them(value, told):
    assert suggest._value(value) == told
    assert yaml.safe_load(told) == (list(value) if isinstance(value, tuple | frozenset) else value)


def test_a_recipe_s_columns_and_fields_are_kept_in_what_is_suggested(tmp_path):
    """A step on another column names it, a field of fractions gets fractions, and what holds or not has no bounds to set."""
    rows = [{"text": "a b", "title": "x" * (5 + i % 40), "score": i / 200, "lang": "de" if i < 4 else "en"} for i in range(200)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    steps_ = [{"text_length_filter": {"text_key": "title"}}, {"specified_numeric_field_filter": {"field_key": "score"}},
              {"specified_field_filter": {"field_key": "lang", "target_value": ["en"]}}, {"whitespace_normalization_mapper": {"text_key": "title"}}]
    words = {"dataset_path": str(tmp_path / "a.jsonl"), "np": 1, "process": steps_}
    (tmp_path / "r.yaml").write_text(json.dumps(words))
    told = analyze.analyze(tmp_path / "r.yaml", tmp_path / "out")
    again = recipe.load(tmp_path / "out" / "suggested.yaml")
    written = yaml.safe_load(told.suggestion)["process"]
    assert written[0]["text_length_filter"]["text_key"] == "title" and written[3] == {"whitespace_normalization_mapper": {"text_key": "title"}}
    assert written[1] == {"specified_numeric_field_filter": {"field_key": "score", "min_value": 0.005, "max_value": 0.985}}
    assert written[2] == {"specified_field_filter": {"field_key": "lang", "target_value": ["en"]}}
    assert "target_value: [\"en\"]}  # removes 2.0%" in told.suggestion
    assert next(iter(again.process)).text_key == "title"
