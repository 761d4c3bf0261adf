"""Slips of the pen: wherever one letter of a recipe is wrong, its line is told and what was meant; what is right is taken."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators import catalog
from tamis.pipeline import keys, plan, recipe, steps
from tamis.pipeline.errors import RecipeError, did_you_mean
from tamis.pipeline.run import run

LOADED = {"dataset_path": "x.jsonl"}
WORDS = """\
# a comment
dataset_path: rows.jsonl

export_path: out
seed: 3
process:
  - whitespace_normalization_mapper
  - text_length_filter: {min_len: 3, max_len: 90}
  - alphanumeric_filter:
      # of letters
      min_ratio: 0.2
      max_ratio: 0.9
  - document_minhash_deduplicator: {jaccard_threshold: 0.8, window_size: 3, lowercase: true}
  - random_selector: {select_num: 5}
"""
# what may be misspelt -> the line on which that is seen: a step's settings are looked at where the step begins
PLACES = {"dataset_path": 2, "export_path": 4, "seed": 5, "process": 6, "whitespace_normalization_mapper": 7, "text_length_filter": 8,
          "min_len": 8, "max_len": 8, "alphanumeric_filter": 9, "min_ratio": 9, "max_ratio": 9, "document_minhash_deduplicator": 13,
          "jaccard_threshold": 13, "window_size": 13, "random_selector": 14, "select_num": 14}


def slip(word: str, place: int, kind: str) -> str:
    """The word with a letter left out, doubled, or changed with its neighbour."""
    i = place % (len(word) - 1)
    return {"out": word[:i] + word[i + 1 :], "twice": word[: i + 1] + word[i:], "swapped": word[:i] + word[i + 1] + word[i] + word[i + 2 :]}[kind]


@settings(max_examples=80)
@given(st.sampled_from(sorted(PLACES)), st.integers(0, 40), st.sampled_from(["out", "twice", "swapped"]))
def test_one_wrong_letter_is_located_and_the_word_is_suggested(tmp_path_factory: pytest.TempPathFactory, word: str, place: int, kind: str) -> None:
    wrong = slip(word, place, kind)
    if wrong == word:
        return
    file = tmp_path_factory.mktemp("slips", numbered=True) / "r.yaml"
    file.write_text(re.sub(rf"\b{word}\b", wrong, WORDS, count=1))
    with pytest.raises(RecipeError) as e:
        recipe.load(file)
    line = next(told for told in str(e.value).splitlines() if repr(wrong) in told)
    assert line.startswith(f"{file}:{PLACES[word]}") and f"Did you mean {word!r}?" in line
    assert str(e.value).count("Did you mean") == 1, "one slip is one complaint"


@pytest.mark.parametrize("name", [n for n in steps.known_names() if len(n) > 5])
def test_every_operator_and_setting_is_found_by_a_slip(name: str) -> None:
    """The operator with a letter too few, and each of its settings too; of names that are nearly alike, one of those."""
    near = {n for n in steps.known_names() if did_you_mean(name[:-2] + name[-1], [n])}
    wrong = steps.build(1, name[:-2] + name[-1], {}, "text")[1]
    assert len(wrong) == 1 and any(f"Did you mean {n!r}?" in wrong[0] for n in near), wrong
    op = steps.find(name)
    assert op is not None
    wanted = steps.declared_settings(op)
    for key in (k for k in wanted if len(k) > 3):
        told = [w for w in steps.build(1, name, {key + "x": 1}, "text")[1] if w.startswith("unknown setting")]
        assert len(told) == 1 and any(f"Did you mean {k!r}?" in told[0] for k in wanted), told


def test_keys_that_are_nearly_ours_are_refused_and_strange_ones_are_noted() -> None:
    for key in keys.KEYS:
        if len(key) > 3:
            with pytest.raises(RecipeError, match=f"unknown key '{key}s?_'. Did you mean '"):
                recipe.load(LOADED | {key + "_": 1})
    assert recipe.load(LOADED | {"zzzz": 1, "1": 2}).notes == ("recipe: unknown key 'zzzz'; ignored", "recipe: unknown key '1'; ignored")


# ---- --set

@pytest.mark.parametrize(("told", "words"), [
    ("text_lenght_filter.min_len=3", "--set text_lenght_filter.min_len=3: no step is called 'text_lenght_filter'. Did you mean 'text_length_filter'?"),
    ("words_num_filter.min_num=3", "no step is called 'words_num_filter'. The recipe's steps: |'words_num_filter'. Did you mean 't"), ("dataset.max_sample_num=5", "no step is called 'dataset'."),
    ("proces.1.min_len=3", "no step is called 'proces'"), ("process.x.min_len=3", "process.N.SETTING with N from 1 to 5"),
    ("process.6.min_len=3", "with N from 1 to 5"), ("process.-1.min_len=3", "with N from 1 to 5"), ("process.1.a.b=3", "with N from 1 to 5"),
    ("process.2.min_lenn=3", "r.yaml:8, step 2 (text_length_filter): unknown setting 'min_lenn'. Did you mean 'min_len'?"),
    ("text_length_filter.min_len=three", "step 2 (text_length_filter): min_len must be a whole number, not 'three'"),
    ("sed=3", "unknown key 'sed'. Did you mean 'seed'?"), ("seed: 3", "write KEY=VALUE"), ("seed={", "the value is not valid YAML"),
    ("process.1=text_length_filter", "no step is called|with N from 1 to 5"),
])
def test_a_wrong_set_is_told_and_never_passed_over(tmp_path: Path, told: str, words: str) -> None:
    (tmp_path / "r.yaml").write_text(WORDS)
    with pytest.raises(RecipeError) as e:
        recipe.load(tmp_path / "r.yaml", sets=[told])
    assert any(w in str(e.value) for w in words.split("|"))
    name = told.split(".")[0]
    assert f"Did you mean {name!r}" not in str(e.value), "what is not there is no advice"


@pytest.mark.parametrize(("sets", "expected"), [
    (["process.2.min_len=7"], {"min_len": 7, "max_len": 90}), (["text_length_filter.max_len=null"], {"min_len": 3, "max_len": None}),
    (["process.2.min_len=7", "text_length_filter.min_len=8", " process.2.max_len =1e2"], {"min_len": 8, "max_len": 100}),
    (["process=[{text_length_filter: {min_len: 1}}]", "process.1.max_len=2"], None),
])
def test_a_right_set_is_taken_in_order_and_nothing_else_changes(tmp_path: Path, sets: list[str], expected: dict[str, Any] | None) -> None:
    (tmp_path / "r.yaml").write_text(WORDS)
    plain, told = recipe.load(tmp_path / "r.yaml"), recipe.load(tmp_path / "r.yaml", sets=sets)
    if expected is None:
        assert [(s.name, s.keep.min, s.keep.max) for s in told.process if s.keep] == [("text_length_filter", 1, 2)]
        return
    keep = told.process[1].keep
    assert keep is not None and (keep.min, keep.max) == (expected["min_len"], expected["max_len"])
    assert [s.describe() for i, s in enumerate(told.process) if i != 1] == [s.describe() for i, s in enumerate(plain.process) if i != 1]


# ---- values of keys

@pytest.mark.parametrize(("words", "told"), [
    ({"guards": {"max_drop": float("nan")}}, "guards: max_drop is a share of the rows read, not nan"),
    ({"guards": {"min_rows": float("inf")}}, "guards: min_rows is a number of rows, not inf"), ({"guards": {"min_rows": -1}}, "not -1"),
    ({"trace_num": -1}, "trace_num must not be negative"), ({"export_shard_size": -1}, "must not be negative"), ({"np": -2}, "must not be negative"),
    ({"batch_rows": 0}, "batch_rows must be at least 1"), ({"on_error": {"set_aside": 2.5}}, "on_error is 'stop' or"),
    ({"on_error": {"set_aside": True}}, "on_error is 'stop' or"), ({"on_error": {}}, "on_error is 'stop' or"),
    ({"on_error": {"set_aside": 1, "stop": 2}}, "on_error is 'stop' or"), ({"text_keys": []}, "text_keys is empty"),
    ({"op_list_to_trace": ["text_lenght_filter"]}, "op_list_to_trace: unknown operator 'text_lenght_filter'. Did you mean 'text_length_filter'?"),
    ({"export_path": "x.parquet", "export_type": "json"}, "export_type json contradicts export_path x.parquet"),
    ({"export_path": "x.JSONL"}, "would be a folder of that name; a file is .jsonl"), ({"only_files": "a.jsonl"}, "only_files must be a list, each text"),
])
def test_a_value_that_cannot_be_is_told_before_any_data_is_read(words: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as e:
        recipe.load(LOADED | words)
    assert told in str(e.value)


def test_values_that_can_be() -> None:
    assert recipe.load(LOADED | {"on_error": {"set_aside": 1e5}}).set_aside == 100_000
    assert recipe.load(LOADED | {"on_error": {"set_aside": 0}}).set_aside == 0
    asked = recipe.load(LOADED | {"open_tracer": True, "op_list_to_trace": ["image_blur_mapper", "ray_document_deduplicator", "zzz"], "trace_num": 0})
    assert asked.tracer == recipe.Tracer(("image_blur_mapper", "ray_document_deduplicator", "zzz"), 0, ()), "Data-Juicer has those"
    assert recipe.load(LOADED | {"guards": {"max_drop": 1, "max_drop_per_step": 0, "min_rows": 1e6}}).guards["min_rows"] == 1e6


def test_stages_do_not_lie_among_the_results(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    words = {"dataset_path": str(tmp_path / "rows.jsonl"), "export_path": str(tmp_path / "out"), "np": 1}
    for inside in ("data", "kept/work", "ledger/../data/w"):
        with pytest.raises(RecipeError, match="lies among the results; let the stages lie elsewhere"):
            run(words | {"work_dir": str(tmp_path / "out" / inside)})
    assert not (tmp_path / "out").exists()
    assert run(words | {"work_dir": str(tmp_path / "out" / "stages")})["rows_out"] == 1


# ---- what is written can be read again

def defaults() -> list[tuple[str, dict[str, Any]]]:
    """Every operator and selector that can be had without a setting that must be given."""
    told = []
    for name in steps.known_names():
        step, wrong, _ = steps.build(1, name, {}, "text")
        if step is not None and not wrong and step.kind != "table":
            told.append((name, dict(step.settings)))
    return told


@pytest.mark.parametrize(("name", "settings"), defaults())
def test_every_operator_is_written_down_so_that_it_is_read_as_the_same(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    asked = recipe.load(LOADED | {"allow_code": True, "process": [name, {name: {"text_key": "title"} if "text_key" in steps.declared_settings(
        steps.find(name)) else {}}]})  # type: ignore[arg-type]
    (tmp_path / "r.yaml").write_text(recipe.dump(asked))
    again = recipe.load(tmp_path / "r.yaml")
    assert [s.describe() for s in again.process] == [s.describe() for s in asked.process]
    assert dict(again.process[0].settings) == settings


def test_every_key_that_was_given_is_written_down(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "title": "b", "n": 1}\n')
    words = {
        "project_name": "p: q", "dataset_path": [str(tmp_path / "rows.jsonl")], "export_path": str(tmp_path / "o.jsonl"), "np": 2,
        "text_keys": ["text", "title"], "suffixes": [".jsonl"], "only_files": ["rows.jsonl"], "seed": 9, "engine": "local",
        "on_error": {"set_aside": 4}, "compat": "data-juicer", "allow_code": True, "guards": {"max_drop": 0.5}, "work_dir": str(tmp_path / "w"),
        "export_type": "jsonl", "export_shard_size": 77, "keep_stats_in_res_ds": True, "validators": [{"type": "code"}], "open_tracer": True,
        "op_list_to_trace": ["text_length_filter"], "trace_num": 3, "trace_keys": ["n"], "batch_rows": 5, "spark_master": "local[1]",
        "spark_partitions": 2, "process": [{"text_length_filter": {"min_len": 1}}],
    }
    beside = {"substitutes", "custom_operator_paths", "pool"}
    assert set(keys.KEYS) - set(words) == beside, "a substitute is put in, and is no more to be said; a pool is below"
    told = recipe.words(recipe.load(words))
    assert {k: told[k] for k in words if k != "process"} == {k: v for k, v in words.items() if k != "process"}
    assert recipe.words(recipe.load(told)) == told
    for pool in (str(tmp_path / "pool"), {"path": str(tmp_path / "pool"), "begin": False, "drift": 0.1, "versions": 2, "split_width": 3.0}):
        asked = recipe.load(words | {"pool": pool})
        told_of_pool = recipe.words(asked)["pool"]
        assert recipe.load(words | {"pool": told_of_pool}).pool == asked.pool is not None
        assert told_of_pool == pool or {k: told_of_pool[k] for k in pool} == pool
    first = [s.fingerprint for s in plan.make(recipe.load(words)).stages]
    assert [s.fingerprint for s in plan.make(recipe.load(told)).stages] == first and catalog.by_name("text_length_filter")
