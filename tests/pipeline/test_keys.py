"""The keys of a recipe: their defaults, those that are read and left, those that are refused with the way out."""

from dataclasses import fields

import pytest

from tamis.pipeline import keys, recipe
from tamis.pipeline.errors import RecipeError


def test_no_key_is_of_two_kinds():
    kinds = [set(keys.KEYS), set(keys.IGNORED_KEYS), set(keys.REFUSED_KEYS)]
    assert sum(map(len, kinds)) == len(set().union(*kinds))


def test_a_recipe_of_nothing_has_the_defaults():
    asked = recipe.load({"dataset_path": "x.jsonl"})
    assert (list(asked.dataset_path), list(asked.text_keys), asked.export_path, asked.process) == (["x.jsonl"], ["text"], "./outputs", ())
    assert (asked.seed, asked.engine, asked.set_aside, asked.workers, asked.batch_rows) == (0, "local", None, 0, 4096)
    assert (asked.keep_stats, asked.export_shard_size, asked.export_type, asked.work_dir) == (False, 0, "parquet", None)
    assert asked.notes == () and {f.name for f in fields(asked)} >= {"guards", "seed"}


@pytest.mark.parametrize("key", sorted(keys.IGNORED_KEYS - {"load_jsonl_lenient"}))  # which is on_error by another name
def test_what_steers_another_engine_is_noted_and_changes_nothing(key):
    asked = recipe.load({"dataset_path": "x.jsonl", key: 1})
    assert asked.notes and all(key in note for note in asked.notes)
    assert recipe.words(asked) == recipe.words(recipe.load({"dataset_path": "x.jsonl"}))


@pytest.mark.parametrize("key", sorted(keys.REFUSED_KEYS))
def test_what_would_change_the_rows_is_refused_with_the_way_out(key):
    with pytest.raises(RecipeError) as e:
        recipe.load({"dataset_path": "x.jsonl", key: {"a": 1}})
    assert key in str(e.value) and keys.REFUSED_KEYS[key] in str(e.value)


@pytest.mark.parametrize("key", ["op_fusion", "use_cache", "executor_type", "percentiles", "use_checkpoint", "skip_op_error", "image_key", "debug"])
def test_keys_that_data_juicer_s_own_recipes_carry_are_known(key):
    assert key in keys.IGNORED_KEYS
