"""`validators`: what is wrong with the recipe's words, and what of the first rows, against rows that were planted."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import corpus, recipe, validators
from tamis.pipeline.errors import RecipeError


def load(*asked: Any) -> recipe.Recipe:
    return recipe.load({"dataset_path": "x", "validators": list(asked)})


@pytest.mark.parametrize(("asked", "told"), [
    ({"type": "required"}, "its type is one of required_fields, swift_messages, dj_conversation, code, not {'type': 'required'}"),
    ({"type": ["code"]}, "its type is one of"), ("code", "its type is one of"), (None, "not None"), ({}, "not {}"),
    ({"type": "required_fields"}, "required_fields must list the fields"),
    ({"type": "required_fields", "required_fields": "text"}, "required_fields must list the fields"),
    ({"type": "required_fields", "required_fields": [], "field_types": ["text"]}, "field_types is a mapping of fields to types, not ['text']"),
    ({"type": "required_fields", "required_fields": [], "field_types": {"a": "text"}}, "field type 'text' is none of str, string, int"),
    ({"type": "required_fields", "required_fields": [], "field_types": {"a": None}}, "field type 'None' is none of"),
    ({"type": "required_fields", "required_fields": [], "allow_missing": "some"}, "allow_missing must be a number, not 'some'"),
    ({"type": "required_fields", "required_fields": [], "allow_missing": -0.5}, "allow_missing must not be negative, it is -0.5"),
    ({"type": "code", "sample_size": "all"}, "sample_size must be a whole number, not 'all'"),
    ({"type": "code", "sample_size": -1}, "sample_size must not be negative, it is -1"),
    ({"type": "swift_messages", "min_turns": 1.5}, "min_turns must be a whole number, not 1.5"),
    ({"type": "dj_conversation", "max_turns": True}, "max_turns must be a whole number, not True"),
])
def test_a_wrong_entry_is_told_with_its_number_before_any_data_is_read(asked: Any, told: str) -> None:
    with pytest.raises(RecipeError) as e:
        load({"type": "code"}, asked)
    assert str(e.value).startswith("recipe: validators, entry 2: ") and told in str(e.value)


def test_all_mistakes_of_all_entries_are_told() -> None:
    with pytest.raises(RecipeError) as e:
        load({"type": "required_fields", "field_types": 3, "sample_size": -2}, {"type": "x"})
    assert [line.split(": ")[1] for line in str(e.value).splitlines()] == ["validators, entry 1"] * 3 + ["validators, entry 2"]


def test_what_is_right_is_taken_in_any_case_and_with_nulls() -> None:
    load({"type": "required_fields", "required_fields": ["a"], "field_types": {"a": "STR", "b": "Integer"}, "allow_missing": 0, "sample_size": 1e2},
         {"type": "swift_messages", "min_turns": None, "max_turns": 3}, {"type": "code"})


def found(tmp_path: Path, rows: list[dict[str, Any]], *asked: dict[str, Any], split: int = 0) -> list[str]:
    """What `check` says of rows, in one file or, at `split`, in two."""
    for name, part in (("a", rows[:split] if split else rows), ("b", rows[split:] if split else [])):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"text": "t"} | r) + "\n" for r in part))
    sources = corpus.discover(str(tmp_path / "*.jsonl"), base=tmp_path)
    return list(validators.check(asked, corpus.cut(sources), ["text"]))


@settings(max_examples=25)
@given(st.lists(st.sampled_from([1, None]), min_size=1, max_size=12), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 15))
def test_missing_fields_are_counted_over_the_sample(tmp_path_factory: pytest.TempPathFactory, has: list[int | None], allowed: float, sample: int) -> None:
    rows = [{"n": v, "m": 0} for v in has]
    seen = has[:sample]
    told = found(tmp_path_factory.mktemp("v"), rows, {
        "type": "required_fields", "required_fields": ["m", "n"], "allow_missing": allowed, "sample_size": sample}, split=len(rows) // 2)
    missing = seen.count(None)
    expected = [f"validators, required_fields: field 'n' is missing in {missing} of the first {len(seen)} rows; allow_missing is {allowed:g}"]
    assert told == (expected if missing > allowed * len(seen) else [])


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("str", "x", 3), ("int", 3, "x"), ("integer", 3, 2.5), ("float", 2.5, "x"), ("bool", True, "x"), ("list", [1], "x"), ("dict", {"a": 1}, "x"),
])
def test_field_types(tmp_path: Path, name: str, good: Any, bad: Any) -> None:
    asked = {"type": "required_fields", "required_fields": [], "field_types": {"f": name}}
    assert found(tmp_path, [{"f": good}, {"f": None}, {}], asked) == []
    assert found(tmp_path, [{"f": bad}], asked) == [f"validators, required_fields: field 'f' holds {bad!r}, which is no {name}"]


TALK = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": ""}]


@pytest.mark.parametrize(("messages", "told"), [
    (TALK, None), (TALK[1:], None), ("hello", "field 'messages' must be a list, not 'hello'"), (None, "field 'messages' must be a list, not None"),
    ([], "a conversation has 0 turns, not 1 to 3"), (TALK + TALK[1:2], "a conversation has 4 turns, not 1 to 3"),
    ([{"role": "tool", "content": "x"}], "a message's role must be system, user or assistant: {'role': 'tool', 'content': 'x'}"),
    ([{"role": "user", "content": None}], "a message has no content: {'role': 'user', 'content': None}"),
    ([{"content": "x"}], "a message's role must be system, user or assistant"),
])
def test_messages(tmp_path: Path, messages: Any, told: str | None) -> None:
    said = found(tmp_path, [{"messages": messages}], {"type": "swift_messages", "max_turns": 3})
    assert said == [] if told is None else len(said) == 1 and told in said[0]


@pytest.mark.parametrize(("row", "told"), [
    ({}, None), ({"system": None}, None), ({"system": "s", "history": None}, None), ({"history": [["q", "r"]]}, None),
    ({"query": 5}, "field 'query' must be text, not 5"), ({"response": None}, "field 'response' must be text, not None"),
    ({"system": 3}, "field 'system' must be text, not 3"), ({"history": "x"}, "field 'history' must be a list, not 'x'"),
    ({"history": [["q"]]}, "a turn of the history must be [query, response], not ['q']"),
    ({"history": [["q", "r"]] * 3}, "a conversation has 4 turns, not 1 to 3"),
    ({"history": [["q", None]]}, "a turn of the history must be [query, response]"),
])
def test_conversations(tmp_path: Path, row: dict[str, Any], told: str | None) -> None:
    whole = {"instruction": "i", "query": "q", "response": "r"} | row
    said = found(tmp_path, [whole], {"type": "dj_conversation", "max_turns": 3})
    assert said == [] if told is None else len(said) == 1 and told in said[0]


def test_one_sentence_for_each_validator_and_none_for_rows_behind_the_sample(tmp_path: Path) -> None:
    rows = [{"messages": TALK, "n": 1}] * 3 + [{"messages": [], "n": None}] * 5
    asked = [{"type": "swift_messages"}, {"type": "required_fields", "required_fields": ["n"]}, {"type": "code"}]
    assert [line.split(": ")[0] for line in found(tmp_path, rows, *asked)] == ["validators, swift_messages", "validators, required_fields"]
    assert found(tmp_path, rows, *({**a, "sample_size": 3} for a in asked)) == []
    assert found(tmp_path, [], *asked) == [], "no rows violate nothing"
