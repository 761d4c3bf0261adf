"""Steps that read other columns than the text, set columns, cut a row into several, or run the user's Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.pipeline import columns, plan, recipe
from tamis.pipeline.batch import child_ids
from tamis.pipeline.errors import RecipeError, TamisError
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import apply, run
from tamis.pipeline.verify import check

ROWS = [
    {"text": "one\n\ntwo\n\nthree", "meta": {"lang": "en", "n": 1, "title": "A  b"}, "score": 0.5},
    {"text": "\n\n \n\n", "meta": {"lang": "de", "n": 2, "title": "c"}, "score": 0.0},
    {"text": "alone", "meta": {"lang": "fr", "n": None, "title": "d"}, "score": 2.5},
]


def kept(process: list[Any], **keys: Any) -> list[dict[str, Any]]:
    table = apply(process, ROWS, **keys).table
    return table.select([c for c in table.column_names if not c.startswith("__")]).to_pylist()


def test_fields_of_struct_columns() -> None:
    assert [r["meta"]["lang"] for r in kept([{"specified_field_filter": {"field_key": "meta.lang", "target_value": ["en", "fr"]}}])] == ["en", "fr"]
    assert [r["score"] for r in kept([{"specified_numeric_field_filter": {"field_key": "score", "max_value": 1}}])] == [0.5, 0.0]
    assert [r["score"] for r in kept([{"specified_numeric_field_filter": {"field_key": "score", "max_value": 1}}], compat="data-juicer")] == [0.5]
    assert len(kept([{"specified_field_filter": {"field_key": "meta.lang", "target_value": ["en"], "reversed_range": True}}])) == 2


def test_a_condition_sees_columns_and_numbers_before_it() -> None:
    process = [{"text_length_filter": {"min_len": 1}}, {"general_field_filter": {"filter_condition": "__dj__stats__.text_len > 4 and meta.n != 7"}}]
    assert [r["meta"]["lang"] for r in kept(process)] == ["en", "de"]
    with pytest.raises(RecipeError, match="it knows and, or, not"):
        kept([{"general_field_filter": {"filter_condition": "len(text) > 3"}}])


def test_a_text_key_inside_a_struct() -> None:
    got = kept([{"remove_long_words_mapper": {"text_key": "meta.title"}}, {"text_length_filter": {"text_key": "meta.title", "min_len": 3}}])
    assert [r["meta"] for r in got] == [{"lang": "en", "n": 1, "title": "A b"}]
    with pytest.raises(RecipeError, match=r"no column 'meta.tite'"):
        kept([{"text_length_filter": {"text_key": "meta.tite"}}])
    with pytest.raises(RecipeError, match="field_key: no column or field 'meta.m'"):
        kept([{"specified_field_filter": {"field_key": "meta.m", "target_value": [1]}}])


def test_a_row_becomes_several_and_the_books_still_balance() -> None:
    process = [{"text_length_filter": {"min_len": 1}}, {"text_chunk_mapper": {}}, {"words_num_filter": {"min_num": 1}}, {"document_deduplicator": {}}]
    made = apply(process, ROWS)
    assert made.table.column("text").to_pylist() == ["one", "two", "three", "alone"]
    assert made.ledger.select(["step", "reason"]).to_pylist() == [{"step": 2, "reason": "no_text"}]
    assert (made.manifest["rows_in"], made.manifest["rows_born"], made.manifest["rows_out"], made.manifest["rows_left"]) == (3, 2, 4, 1)
    assert [s["rows_out"] for s in made.manifest["steps"]] == [3, 3, 4, 4, 4]


def test_chunks_do_not_depend_on_batches_or_workers(tmp_path: Path) -> None:
    lines = [f'{{"text": "a{i} b{i}\\n\\nc{i % 3}", "n": {i}}}' for i in range(50)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    told = []
    for name, keys in (("a", {"np": 1}), ("b", {"np": 2, "batch_rows": 7})):
        made = run({"dataset_path": str(tmp_path / "in.jsonl"), "export_path": str(tmp_path / name),
                    "process": [{"text_chunk_mapper": {}}, {"document_deduplicator": {}}], **keys})
        assert not [f for f in check(tmp_path / name) if f.level == "fail"]
        told.append((made["content_hash"], made["rows_born"], made["rows_left"]))
    assert told[0] == told[1] and told[0][1:] == (50, 47)


def test_child_ids_are_distinct_and_the_first_is_the_parent() -> None:
    ids = np.repeat(np.array([1, 2, -5], np.int64), 1000)
    number = np.tile(np.arange(1000), 3)
    made = child_ids(ids, number)
    assert made[number == 0].tolist() == [1, 2, -5] and len(set(made.tolist())) == 3000


def test_tables_become_a_column() -> None:
    rows = [{"text": "<table><tr><td>1</td></tr></table>"}, {"text": "none"}]
    table = apply([{"extract_tables_from_html_mapper": {}}], rows).table
    assert table.column("__dj__meta__").to_pylist() == [{"html_tables": [[["1"]]]}, {"html_tables": []}]
    assert table.column("text").to_pylist() == [r["text"] for r in rows]


def test_python_runs_only_where_it_is_allowed(tmp_path: Path) -> None:
    step = {"python_lambda_mapper": {"lambda_str": "lambda r: {'text': r['text'].upper(), 'size': len(r['text'])}"}}
    with pytest.raises(RecipeError, match="allow_code: true"):
        kept([step])
    assert [(r["text"], r["size"]) for r in kept([step], allow_code=True)][-1] == ("ALONE", 5)
    (tmp_path / "mine.py").write_text("def process(rows):\n    return {'text': [t + '!' for t in rows['text']]}\n")
    by_file = {"python_file_mapper": {"file_path": str(tmp_path / "mine.py"), "function_name": "process", "batched": True}}
    assert [r["text"] for r in kept([by_file], allow_code=True)][-1] == "alone!"
    with pytest.raises(RecipeError, match="one argument"):
        kept([{"python_lambda_mapper": {"lambda_str": "lambda a, b: a"}}], allow_code=True)
    with pytest.raises(TamisError, match="the function fails: KeyError"):
        kept([{"python_lambda_mapper": {"lambda_str": "lambda r: {'text': r['nothing']}"}}], allow_code=True)


def test_the_manifest_says_what_ran_and_the_recipe_runs_again(tmp_path: Path) -> None:
    asked = recipe.load({"dataset_path": "x", "allow_code": True, "compat": "data-juicer",
                         "process": [{"python_lambda_mapper": {"lambda_str": "lambda r: r"}}, {"specified_numeric_field_filter": {}}]})
    again = recipe.load(recipe.words(asked))
    assert [s.describe() for s in again.process] == [s.describe() for s in asked.process] and again.allow_code


def test_columns_by_path() -> None:
    held = {"a": pa.array([{"b": {"c": 1}}, None]), "x.y": pa.array([1, 2])}
    assert columns.find(held, "a.b.c").to_pylist() == [1, None] and columns.find(held, "x.y").to_pylist() == [1, 2]  # type: ignore[union-attr]
    assert columns.find(held, "a.z") is None
    columns.put(held, "a.b.c", pa.array([5, None]))
    assert held["a"].to_pylist() == [{"b": {"c": 5}}, None]
    assert columns.type_at(pa.schema([("a", held["a"].type)]), "a.b.c") == pa.int64()


def test_a_chunk_step_begins_a_stage_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n')
    made = plan.make(recipe.load({"dataset_path": str(tmp_path / "in.jsonl"), "process": [{"text_length_filter": {}}, {"text_chunk_mapper": {}}]}))
    assert [(s.kind, [x.name for x in s.steps]) for s in made.stages[:2]] == [("rows", ["text_length_filter"]), ("rows", ["text_chunk_mapper"])]
    assert ID == "__id__"
