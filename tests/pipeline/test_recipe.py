"""A recipe's mistakes: each found before any data is read, located, with what would be right."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tamis.operators.base import Range
from tamis.pipeline import recipe
from tamis.pipeline.errors import RecipeError


def load(text: str, tmp_path: Path, **more: Any) -> recipe.Recipe:
    path = tmp_path / "web.yaml"
    path.write_text(text, "utf-8")
    return recipe.load(path, **more)


def problems(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(RecipeError) as e:
        load(text, tmp_path)
    return [line.replace(str(tmp_path) + "/", "") for line in str(e.value).splitlines()]


def process(*steps: str) -> str:
    return "dataset_path: x.jsonl\nprocess:\n" + "\n".join(f"  - {s}" for s in steps) + "\n"


def test_a_data_juicer_recipe_is_read_as_it_is(tmp_path: Path) -> None:
    text = """
# a recipe as Data-Juicer's users write them
project_name: 'redpajama-c4-refine'
dataset_path: '/path/to/your/dataset.jsonl'
export_path: '/path/to/your/dataset.jsonl'
np: 50
open_tracer: true
text_keys: 'text'
process:
  - clean_email_mapper:
  - text_length_filter:
      max_len: 2e5
  - words_num_filter:
      lang: en
      tokenization: false
      min_num: 20
      max_num: 1e5
      num_proc: 4
  - special_characters_filter
"""
    asked = load(text, tmp_path)
    assert [s.name for s in asked.process] == ["clean_email_mapper", "text_length_filter", "words_num_filter", "special_characters_filter"]
    assert asked.process[1].keep == Range(min=10, max=200_000)
    assert asked.process[2].keep == Range(min=20, max=100_000)
    assert asked.process[3].keep == Range(min=0.0, max=0.25)
    assert asked.tracer.number == 10 and any("num_proc" in n for n in asked.notes)


@pytest.mark.parametrize(("steps", "expected"), [
    (["alphanumeric_filter: {min_ration: 0.5}"], "web.yaml:3, step 1 (alphanumeric_filter): unknown setting 'min_ration'. Did you mean 'min_ratio'?"),
    (["alphanumric_filter"], "web.yaml:3, step 1 (alphanumric_filter): unknown operator 'alphanumric_filter'. Did you mean 'alphanumeric_filter'?"),
    (["text_length_filter: {min_len: '30'}"], "min_len must be a whole number, not '30'"),
    (["text_length_filter: {min_len: 5.5}"], "min_len must be a whole number, not 5.5"),
    (["text_length_filter: {min_len: true}"], "min_len must be a whole number, not True"),
    (["alphanumeric_filter: {min_ratio: 0.9, max_ratio: 0.1}"], "min_ratio 0.9 is larger than max_ratio 0.1: no row could stay"),
    (["alphanumeric_filter: {min_ratio: 25}"], "min_ratio is 25, but the number is a share of the text, 0 to 1: no row could stay"),
    (["document_deduplicator: {keep: best}"], "keep: best needs score_key"),
    (["document_deduplicator: {keep: newest}"], "keep must be one of first, longest, best, oldest, not 'newest'"),
    (["random_selector: {select_ratio: 1.5}"], "select_ratio is a share, 0 to 1, it is 1.5"),
    (["random_selector: {select_num: 5, select_tokens: 100}"], "not both"),
    (["text_length_filter: 5"], "its settings must be a mapping, not 5"),
    (["{a: 1, b: 2}"], "a step is one operator with its settings"),
])
def test_a_step_that_cannot_be(steps: list[str], expected: str, tmp_path: Path) -> None:
    found = problems(process(*steps), tmp_path)
    assert len(found) == 1 and expected in found[0]


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    found = problems("dataset_pat: x\nnp: many\nprocess:\n  - text_length_filter: {min: 3}\n  - nonsense_filter:\n", tmp_path)
    assert [m[1] for f in found if (m := re.match(r"web.yaml:(\d+)", f))] == ["1", "2", "4", "5"]
    assert "unknown key 'dataset_pat'. Did you mean 'dataset_path'?" in found[0]
    assert any("dataset_path is missing" in f for f in found)


@pytest.mark.parametrize(("text", "expected"), [
    ("process: [\n", "web.yaml:2:1: not valid YAML"),
    ("- a\n- b\n", "a recipe is a mapping"),
    ("", "a recipe is a mapping"),
    ("dataset_path: a\ndataset_path: b\n", "web.yaml:2:1: not valid YAML: 'dataset_path' is given twice"),
    ("dataset_path: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ("dataset_path: a\ncustom_operator_paths: [x.py]\n", "say allow_code: true"),
    ("dataset_path: a\nexport_aws_credentials: {secret: abc}\n", "recipes hold no secrets"),
    ("dataset_path: a\non_error: {set_asid: 3}\n", "on_error is 'stop' or '{set_aside: N}'"),
    ("dataset_path: a\non_error: {set_aside: -1}\n", "on_error is 'stop' or '{set_aside: N}'"),
    ("dataset_path: a\nengine: ray\n", "engine must be one of local, spark, not 'ray'"),
])
def test_a_recipe_that_cannot_be(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in "\n".join(problems(text, tmp_path))


def test_no_such_recipe_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("{}")
    with pytest.raises(RecipeError, match="Did you mean 'web.yaml'"):
        recipe.load(tmp_path / "wbe.yaml")


def test_the_same_filter_twice_has_two_numbers(tmp_path: Path) -> None:
    asked = load(process("text_length_filter: {min_len: 1}", "text_length_filter: {text_key: title}"), tmp_path)
    assert [s.stats for s in asked.process] == [("text_len",), ("text_len.step2",)]
    assert asked.process[1].text_key == "title"


def test_a_second_instance_has_the_defaults_not_the_first_ones_settings(tmp_path: Path) -> None:
    asked = load(process("alphanumeric_filter: {min_ratio: 0.5, max_ratio: 0.9}", "alphanumeric_filter: {min_ratio: 0.3}"), tmp_path)
    assert asked.process[1].keep == Range(min=0.3)


def test_set_reaches_keys_and_steps(tmp_path: Path) -> None:
    text = process("text_length_filter", "alphanumeric_filter: {min_ratio: 0.2}")
    asked = load(text, tmp_path, sets=["seed=7", "process.1.min_len=3", "process.2.min_ratio=0.4"], np=3)
    assert (asked.seed, asked.workers) == (7, 3)
    assert [s.keep.min for s in asked.process if s.keep] == [3, 0.4]
    with pytest.raises(RecipeError, match="N from 1 to 2"):
        load(text, tmp_path, sets=["process.3.min_len=3"])
    with pytest.raises(RecipeError, match="write KEY=VALUE"):
        load(text, tmp_path, sets=["seed"])


def test_the_resolved_recipe_can_be_run_again(tmp_path: Path) -> None:
    asked = load(process("text_length_filter: {max_len: 1e5, reversed_range: true}", "document_minhash_deduplicator", "random_selector: {select_num: 3}"), tmp_path)
    again = recipe.load(yaml.safe_load(recipe.dump(asked)))
    assert [s.describe() for s in again.process] == [s.describe() for s in asked.process]
    assert recipe.words(again) == recipe.words(asked)


@pytest.mark.parametrize(("given", "kept"), [
    (Range(min=1, max=3), [1, 2, 3]),
    (Range(min=1, max=3, min_closed=False), [2, 3]),
    (Range(min=1, max=3, max_closed=False), [1, 2]),
    (Range(min=1, max=3, reverse=True), [0, 1, 3, 4]),
    (Range(min=1, max=3, min_closed=False, max_closed=False, reverse=True), [0, 4]),
    (Range(), [0, 1, 2, 3, 4]),
])
def test_ranges(given: Range, kept: list[int]) -> None:
    import pyarrow as pa

    values = pa.array([0, 1, 2, 3, 4, None])
    assert [v for v, h in zip(values.to_pylist(), given.holds(values).to_pylist(), strict=True) if h] == kept
    assert given.holds(values)[5].as_py() in (None, False)
