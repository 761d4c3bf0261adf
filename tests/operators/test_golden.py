"""What Data-Juicer 1.6.1 answered, answered again: tests/golden/<operator>.jsonl, on the texts of inputs.json.

Recorded by running it on texts of our own; its numbers carry ten decimals.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tamis.operators import catalog
from tamis.operators.base import Operator, Range
from tamis.pipeline import resources

GOLDEN = Path(__file__).parents[1] / "golden"
INPUTS = json.loads((GOLDEN / "inputs.json").read_text("utf-8"))
NAMES = [
    "alphanumeric_filter", "special_characters_filter", "text_length_filter", "words_num_filter", "stopwords_filter",
    "flagged_words_filter", "average_line_length_filter", "maximum_line_length_filter", "character_repetition_filter",
    "word_repetition_filter", "language_id_score_filter", "fix_unicode_mapper", "whitespace_normalization_mapper",
    "clean_links_mapper", "clean_email_mapper", "chinese_convert_mapper", "clean_copyright_mapper", "clean_ip_mapper",
    "expand_macro_mapper", "pii_redaction_mapper", "punctuation_normalization_mapper", "remove_bibliography_mapper",
    "remove_comments_mapper", "remove_header_mapper", "remove_long_words_mapper", "remove_non_chinese_character_mapper",
    "remove_repeat_sentences_mapper", "remove_specific_chars_mapper", "remove_table_text_mapper",
    "remove_words_with_incorrect_substrings_mapper", "replace_content_mapper", "clean_html_mapper",
    "extract_tables_from_html_mapper", "text_chunk_mapper", "python_lambda_mapper", "general_field_filter",
    "specified_field_filter", "specified_numeric_field_filter",
]
CASES = [json.loads(line) for name in NAMES for line in (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()]


def answer(op: Operator, case: dict[str, Any]) -> pa.Array:
    text = pa.array([row[case["params"].get("text_key", "text")] for row in INPUTS[case["input"]]], pa.string())
    features = {f.name: f for f in catalog.table("feature")}
    known = {"text": text, "rows": pa.array(INPUTS[case["input"]])}
    columns = [features[name].function(text) if name in features else known[name] for name in op.reads]
    given = {k: v for k, v in case["params"].items() if k in op.settings}
    given |= {"compat": "data-juicer"} if "compat" in op.settings else {}
    defaults = {k: s.default for k, s in op.settings.items()}
    return op.function(*columns, **given, **resources.load(resources.pin(op, defaults | given)))


def decision(op: Operator, params: dict[str, Any]) -> Range:
    assert op.unit is not None and op.keep is not None
    bounds = {end: params.get(f"{end}_{op.unit.suffix}", getattr(op.keep, end)) for end in ("min", "max")}
    closed = {f"{end}_closed": params.get(f"{end}_closed_interval", True) for end in ("min", "max")}
    return Range(**bounds, **closed, reverse=params.get("reversed_range", False))


def test_all_that_was_recorded_is_replayed() -> None:
    assert len(CASES) == 139 and {case["id"].split("#")[0] for case in CASES} == set(NAMES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_same_answer(case: dict[str, Any]) -> None:
    op = catalog.by_name(case["id"].split("#")[0])
    given = answer(op, case)
    known = {*op.settings, "text_key", "min_closed_interval", "max_closed_interval", "reversed_range"}
    assert set(case["params"]) <= known | ({f"{end}_{op.unit.suffix}" for end in ("min", "max")} if op.unit else set())
    if op.kind == "mapper":
        expected = case["texts"] if "texts" in case else case["rows"]
        if op.many:
            ids = [row["id"] for row in INPUTS[case["input"]]]
            assert [[i, piece] for i, pieces in zip(ids, given.to_pylist(), strict=True) for piece in pieces] == expected
        else:
            assert given.to_pylist() == expected
        return
    columns = dict(zip(op.stats, given.flatten() if pa.types.is_struct(given.type) else [given], strict=True))
    for name, expected in case["stats"].items():
        if name in ("meta.src", "meta.suffix"):  # Data-Juicer copies the field; here the stat says whether it is among the targets
            continue
        if case["params"].get("field_key") == name:
            (got,) = columns.values()
            assert [v or 0 for v in got.to_pylist()] == pytest.approx(expected, rel=0, abs=1e-9)
        elif name == "lang":
            assert columns[name].to_pylist() == expected
        else:
            capped = [float(v) for v in expected]
            assert columns[name].to_pylist() == pytest.approx(capped, rel=0, abs=1e-9)
    assert op.number is not None
    stays = decision(op, case["params"]).holds(columns[op.number]).to_pylist()
    if op.member:
        allowed = case["params"].get(op.member[1]) or None
        allowed = [allowed] if isinstance(allowed, str) else allowed
        stays = [s and (allowed is None or v in allowed) for s, v in zip(stays, columns[op.member[0]].to_pylist(), strict=True)]
    assert [row["id"] for row, s in zip(INPUTS[case["input"]], stays, strict=True) if s] == case["kept_ids"]
