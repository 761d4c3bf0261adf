"""One entry of a process list: its settings typed, what no data could satisfy, and all that decides its answer."""

import inspect
import typing
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators import catalog as operators
from tamis.operators.base import Range
from tamis.pipeline import steps
from tamis.selectors import catalog as selectors


def built(name: str, line: int = 0, number: int = 1, **given: Any) -> steps.Step:
    step, wrong, _ = steps.build(number, name, given, "text", line)
    assert step is not None and not wrong
    return step


def wrong(name: str, **given: Any) -> list[str]:
    return steps.build(1, name, given, "text")[1]


# ---- values

@pytest.mark.parametrize(("annotation", "given", "told"), [
    (int, 1e5, 100_000), (int | None, 3.0, 3), (int | None, None, None), (float, 3, 3.0), (float | None, 3, 3.0), (int | float, 3, 3), (bool, True, True),
    (tuple[str, ...], ["a", "b"], ("a", "b")), (list[str], ["a"], ["a"]), (str | list[str], ["a"], ["a"]), (str, "1", "1"),
    (Literal["a", "b"], "b", "b"), (int, 2**63 - 1, 2**63 - 1), (int, -(2**63), -(2**63)), (float, 2**53, float(2**53)),
])
def test_a_value_is_taken_as_what_the_setting_is(annotation, given, told):
    answer = steps.typed("x", annotation, given)
    assert answer == told and type(answer) is type(told)


@pytest.mark.parametrize(("annotation", "given", "words"), [
    (int, 1.5, "x must be a whole number, not 1.5"), (int, "1", "x must be a whole number, not '1'"), (int, True, "x must be a whole number, not True"),
    (float, True, "x must be a number, not True"), (float, "1", "x must be a number, not '1'"), (bool, 1, "x must be true or false, not 1"),
    (str, 1, "x must be text, not 1"), (float | None, float("nan"), "x must be a number, not nan"), (int | None, float("inf"), "x must be a whole number, not inf"),
    (int, 2**63, f"x is {2**63}, beyond all whole numbers of 64 bits"), (int, -(2**63) - 1, f"x is {-(2**63) - 1}, beyond all whole numbers of 64 bits"),
    (list[str], "a", "x must be a list, each text, not 'a'"), (list, "a", "x must be a list, not 'a'"), (dict, 1, "x must be a mapping, not 1"),
    (Literal["a", "b"], "c", "x must be one of a, b, not 'c'"), (str | list[str] | None, 3, "x must be text or a list, each text, not 3"),
    (tuple[int, ...], ["a"], "x must be a list, each a whole number, not ('a',)"), (int, [1], r"x must be a whole number, not [1]"),
])
def test_a_value_that_is_something_else_is_refused_in_one_sentence(annotation, given, words):
    with pytest.raises(ValueError) as e:
        steps.typed("x", annotation, given)
    assert str(e.value) == words


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_in_any_notation_is_the_same(value):
    assert steps.typed("x", int, float(value)) == steps.typed("x", int, value) == value


# ---- names

def test_features_are_no_steps_and_every_other_name_is():
    names = steps.known_names()
    assert len(names) == len(set(names))
    assert set(names) == {o.name for o in operators.table() if o.kind != "feature"} | {s.name for s in selectors.table()}
    assert all(steps.find(n) is not None for n in names)
    feature = next(o.name for o in operators.table() if o.kind == "feature")
    assert steps.find(feature) is None and wrong(feature)[0].startswith(f"unknown operator '{feature}'.")


@pytest.mark.parametrize(("name", "kind"), [
    ("text_length_filter", "filter"), ("fix_unicode_mapper", "mapper"), ("document_deduplicator", "deduplicator"), ("random_selector", "selector"),
])
def test_a_step_is_called_and_sorted_by_its_operator(name, kind):
    step = built(name, line=7, number=3)
    assert (step.name, step.kind, step.number, step.line) == (name, kind, 3, 7)


# ---- settings

def test_a_filter_s_bounds_bear_its_unit_and_its_defaults():
    wanted = steps.declared_settings(operators.by_name("text_length_filter"))
    assert wanted["min_len"] == (int | None, 10) and wanted["text_key"] == (str | None, None)
    assert wanted["min_closed_interval"] == wanted["max_closed_interval"] == (bool, True) and wanted["reversed_range"] == (bool, False)
    assert steps.declared_settings(operators.by_name("alphanumeric_filter"))["min_ratio"][0] == float | None


def test_keep_rules_are_a_deduplicator_s_and_budgets_a_selector_s():
    has = {name: set(steps.declared_settings(steps.find(name))) for name in
           ("text_length_filter", "fix_unicode_mapper", "document_deduplicator", "random_selector")}
    assert [n for n, s in has.items() if "score_key" in s] == ["document_deduplicator"]
    assert [n for n, s in has.items() if "select_num" in s] == ["random_selector"]
    assert [n for n, s in has.items() if "reversed_range" in s] == ["text_length_filter"]
    assert [n for n, s in has.items() if "text_key" not in s] == ["random_selector"]
    assert "seed" not in has["random_selector"]


def test_what_is_shown_of_an_operator_is_what_it_can_do():
    """Settings that it only knows in order to refuse them are not offered; the refusal still says why."""
    has = {name: set(steps.offered_settings(steps.find(name))) for name in (
        "document_minhash_deduplicator", "document_simhash_deduplicator", "document_url_deduplicator", "remove_repeat_sentences_mapper")}
    assert [n for n, s in has.items() if {"against", "remember"} & s] == ["document_minhash_deduplicator"]
    assert "tokenizer" not in has["remove_repeat_sentences_mapper"] and "min_repeat_sentence_length" in has["remove_repeat_sentences_mapper"]
    assert {"against", "remember"} <= set(steps.declared_settings(steps.find("document_simhash_deduplicator")))


def offered_values():
    """(operator, setting, value) of every yes, no and named choice that is shown of an operator which needs nothing loaded."""
    for op in operators.table():
        if op.kind in ("feature", "table") or op.resources:
            continue
        for key, (annotation, _) in steps.offered_settings(op).items():
            values = (True, False) if annotation is bool else typing.get_args(annotation)
            if key in op.settings and (annotation is bool or typing.get_origin(annotation) is typing.Literal):
                yield from ((op.name, key, value) for value in values)


@pytest.mark.parametrize(("name", "key", "value"), list(offered_values()))
def test_no_offered_choice_is_refused(name, key, value):
    op = operators.by_name(name)
    needed = {s.name: {"lambda_str": "lambda d: d"}.get(s.name, "1 < 2") for s in op.settings.values() if s.default is inspect.Parameter.empty}
    step, wrong, _ = steps.build(1, name, {**needed, key: value}, "text")
    assert step is not None, wrong
    if all(read in ("text", "url") for read in op.reads):
        op.function(*(pa.array([], pa.string()) for _ in op.reads), **step.settings)


def test_what_steers_another_engine_is_noted_and_what_is_unknown_is_not_guessed():
    step, problems, notes = steps.build(1, "text_length_filter", {"num_proc": 4, "min_len": 3}, "text")
    assert step is not None and step.keep == Range(3, step.op.keep.max) and not problems
    assert notes == ["'num_proc' is Data-Juicer's and steers its engine; ignored"]
    step, problems, notes = steps.build(1, "fix_unicode_mapper", {"zzz": 4, "num_proc": 1}, "text")
    assert step is None and len(notes) == 1
    assert problems == ["unknown setting 'zzz'. It takes: normalization, text_key."]


def test_every_mistake_of_a_step_is_told():
    assert wrong("text_length_filter", min_len="a", max_len=1.5, max_lem=3) == [
        "unknown setting 'max_lem'. Did you mean 'max_len'?", "min_len must be a whole number, not 'a'", "max_len must be a whole number, not 1.5"]


def test_the_column_is_the_step_s_own_or_the_recipe_s():
    assert built("text_length_filter").text_key == "text" and built("text_length_filter", text_key="title").text_key == "title"
    step, _, _ = steps.build(1, "text_length_filter", {}, "body")
    assert step is not None and step.text_key == "body" and "text_key" not in step.settings


# ---- what no data could satisfy

@pytest.mark.parametrize(("name", "given", "words"), [
    ("text_length_filter", {"min_len": 9, "max_len": 8}, "min_len 9 is larger than max_len 8: no row could stay"),
    ("alphanumeric_filter", {"min_ratio": 1.5, "max_ratio": None}, "min_ratio is 1.5, but the number is a share of the text, 0 to 1: no row could stay"),
    ("text_length_filter", {"min_len": None, "max_len": -1}, "max_len is -1, but the number is never below 0: no row could stay"),
    ("document_deduplicator", {"keep": "best"}, "keep: best needs score_key: the column or stat whose largest value stays"),
    ("document_deduplicator", {"keep": "oldest"},
     "keep: oldest needs score_key: the column whose smallest number or earliest date (ISO 8601) stays"),
    ("random_selector", {"select_num": -1}, "select_num must not be negative, it is -1"),
    ("random_selector", {"select_ratio": -0.5}, "select_ratio must not be negative, it is -0.5"),
    ("random_selector", {"select_tokens": -3}, "select_tokens must not be negative, it is -3"),
    ("random_selector", {"select_ratio": 1.01}, "select_ratio is a share, 0 to 1, it is 1.01"),
    ("random_selector", {"select_num": 1, "select_tokens": 1}, "give a budget in rows (select_num, select_ratio) or in tokens (select_tokens), not both"),
    ("random_selector", {"select_ratio": 0.1, "select_tokens": 1}, "give a budget in rows (select_num, select_ratio) or in tokens (select_tokens), not both"),
])
def test_what_cannot_be_is_told_before_any_data_is_read(name, given, words):
    assert wrong(name, **given) == [words]


@pytest.mark.parametrize(("name", "given"), [
    ("text_length_filter", {"min_len": 8, "max_len": 8}), ("text_length_filter", {"min_len": 0, "max_len": 0}), ("alphanumeric_filter", {"min_ratio": 1.0}),
    ("alphanumeric_filter", {"min_ratio": None, "max_ratio": None}), ("text_length_filter", {"min_len": 9, "max_len": 8, "reversed_range": True}),
    ("document_deduplicator", {"keep": "longest"}), ("document_deduplicator", {"keep": "best", "score_key": "stars"}),
    ("random_selector", {}), ("random_selector", {"select_num": 0}), ("random_selector", {"select_ratio": 0.0}), ("random_selector", {"select_ratio": 1}),
    ("random_selector", {"select_tokens": 0}), ("random_selector", {"select_num": 3, "select_ratio": 0.5}),
])
def test_what_can_be_is_taken_up_to_its_very_end(name, given):
    assert wrong(name, **given) == []


# ---- what decides the answer

def test_a_filter_is_described_by_its_settings_range_and_numbers():
    step = built("text_length_filter", number=4, min_len=3, max_len=None, text_key="title", max_closed_interval=False)
    assert step.describe() == {"step": 4, "op": "text_length_filter", "version": step.op.version, "text_key": "title", "settings": {},
                               "keep": "3 <= v", "stats": ["text_len"]}


def test_a_deduplicator_and_a_selector_are_described_by_what_was_given_them():
    told = built("document_deduplicator", keep="best", score_key="stars", lowercase=True).describe()
    assert (told["keep"], told["score_key"], told["settings"]["lowercase"]) == ("best", "stars", True)
    assert "stats" not in told and "against" not in told
    told = built("random_selector", select_num=3).describe()
    assert told["select_num"] == 3 and not {"select_ratio", "select_tokens", "cost_key", "keep"} & set(told)


@pytest.mark.parametrize(("one", "other"), [
    ({"min_len": 3}, {"min_len": 4}), ({"max_len": 30}, {"max_len": None}), ({"min_closed_interval": False}, {}), ({"max_len": 30, "max_closed_interval": False}, {"max_len": 30}),
    ({"reversed_range": True}, {}), ({"text_key": "title"}, {}),
])
def test_another_answer_has_another_description(one, other):
    assert built("text_length_filter", **one).describe() != built("text_length_filter", **other).describe()
