"""Data-Juicer's ways of saying what a key of ours says: where the data lies, weights, leniency, stand-ins for what is not at hand."""

from pathlib import Path
from typing import Any

import pytest

from tamis.pipeline import recipe
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.translate import EVERYTHING


def load(**words: Any) -> recipe.Recipe:
    return recipe.load(words)


@pytest.mark.parametrize(("path", "paths", "weights"), [
    ("0.3 a.jsonl 0.7 b.jsonl", ("a.jsonl", "b.jsonl"), [0.3, 0.7]), ("a.jsonl 2 b.jsonl", ("a.jsonl", "b.jsonl"), [1.0, 2.0]),
    ("1 'my data/a.jsonl' 3 b", ("my data/a.jsonl", "b"), [1.0, 3.0]), ("5e-1 a", ("a",), [0.5]), ("1 2 a", ("a",), [2.0]),
])
def test_weights_before_paths(path: str, paths: tuple[str, ...], weights: list[float]) -> None:
    plain = load(dataset_path=path)
    assert plain.dataset_path == paths and plain.process == () and "weights mean something only with max_sample_num" in plain.notes[0]
    for given in ({"max_sample_num": 9}, {"dataset": {"max_sample_num": 9}}):
        mixed = load(dataset_path=path, process=["text_length_filter"], **given)
        assert [s.name for s in mixed.process] == ["mixture_selector", "text_length_filter"] and mixed.dataset_path == paths
        assert dict(mixed.process[0].settings) | {"groups": None} == {
            "paths": list(paths), "weights": weights, "max_sample_num": 9, "field_key": "__source__", "groups": None, "compat": None}
        assert "other steps, which count from 2 then" in mixed.notes[0]


@pytest.mark.parametrize("path", ["a.jsonl b.jsonl", "0.5 0.7", "it's a.jsonl 1 b", " a.jsonl "])
def test_what_has_no_weights_is_left_as_it_is(path: str) -> None:
    assert load(dataset_path=path).dataset_path == (path,) and not load(dataset_path=path).notes


def test_a_path_that_is_there_is_no_list_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1 a.jsonl").write_text("")
    assert load(dataset_path="1 a.jsonl").dataset_path == ("1 a.jsonl",)


@pytest.mark.parametrize(("dataset", "told"), [
    ({"configs": [{"type": "local", "path": "a"}, {"type": "ondisk", "path": "b"}, {"path": "c"}]}, ("a", "b", "c")),
    ({"configs": [{"type": "remote", "path": "a"}]}, None), ({"configs": [{"type": "local", "path": "a"}, {"type": "remote", "path": "b"}]}, None),
    ({"configs": [{"type": "local"}]}, None), ({"configs": ["a"]}, None), ("a.jsonl", None), ({"path": "a"}, None),
])
def test_sets_by_configs_are_read_where_all_are_local(dataset: Any, told: tuple[str, ...] | None) -> None:
    if told is None:
        with pytest.raises(RecipeError, match="dataset: only configs with 'type: local' and a path can be read"):
            load(dataset=dataset)
    else:
        assert load(dataset=dataset).dataset_path == told and not load(dataset=dataset).notes
    assert load(dataset_path="mine", dataset=dataset).dataset_path == ("mine",), "what is said plainly goes first"


def test_weights_of_configs_that_are_no_numbers_are_a_mistake_of_the_mixture() -> None:
    configs = [{"path": "a", "weight": "much"}, {"path": "b"}]
    assert "weights mean something" in load(dataset={"configs": configs}).notes[0]
    with pytest.raises(RecipeError, match=r"step 1 \(mixture_selector\): weights must be a list, each a number, not"):
        load(dataset={"configs": configs, "max_sample_num": 3})
    with pytest.raises(RecipeError, match=r"step 1 \(mixture_selector\): max_sample_num must be a whole number, not 'many'"):
        load(dataset={"configs": configs[1:], "max_sample_num": "many"})


@pytest.mark.parametrize(("words", "count"), [
    ({"load_jsonl_lenient": True}, EVERYTHING), ({"skip_op_error": True}, EVERYTHING), ({"load_jsonl_lenient": False}, None), ({"skip_op_error": False}, None),
    ({"skip_op_error": True, "on_error": "stop"}, None), ({"load_jsonl_lenient": True, "on_error": {"set_aside": 3}}, 3), ({"skip_op_error": "yes"}, None),
])
def test_leniency_is_a_number_of_rows_and_what_is_said_plainly_goes_first(words: dict[str, Any], count: int | None) -> None:
    asked = load(dataset_path="x", **words)
    assert asked.set_aside == count
    assert any("go to the ledger" in n for n in asked.notes) is (count == EVERYTHING)


def test_other_engines_names_and_spellings() -> None:
    assert "ray runs on our local engine" in load(dataset_path="x", executor_type="ray_partitioned").notes[0]
    assert not [n for n in load(dataset_path="x", executor_type="default").notes if "ray" in n]
    with pytest.raises(RecipeError, match="custom_operator_paths: there is no own.py"):
        load(dataset_path="x", allow_code=True, **{"custom-operator-paths": ["own.py"]})
    asked = load(dataset_path="x", process=[{"ray_bts_minhash_deduplicator": {"redis_address": "h:1", "num_proc": 4, "window_size": 3}}])
    assert asked.process[0].name == "document_minhash_deduplicator" and asked.process[0].settings["window_size"] == 3 and len(asked.notes) == 2
    with pytest.raises(RecipeError, match="unknown setting 'redis_address'"):
        load(dataset_path="x", process=[{"document_minhash_deduplicator": {"redis_address": "h:1"}}])


def test_substitutes_change_what_they_name_and_nothing_else() -> None:
    process = [{"words_num_filter": {"tokenization": True}}, {"perplexity_filter": {"lang": "en"}}, {"stopwords_filter": {"tokenization": False}}]
    asked = load(dataset_path="x", process=process, substitutes={"tokenization": "spaces", "perplexity_filter": "skip"})
    assert [(s.number, s.name, s.settings["tokenization"]) for s in asked.process] == [
        (1, "words_num_filter", False), (3, "stopwords_filter", False)], "the numbers are those of the recipe"
    assert asked.notes == ("step 1 (words_num_filter) splits words at spaces instead of by a tokenizer, as substitutes says",
                           "step 2 (perplexity_filter) is left out, as substitutes says")
    for wrong in ({"tokenization": "skip it"}, {"no_such_filter": "skip"}, {"words_num_filter": "spaces"}):
        with pytest.raises(RecipeError, match="substitutes: write 'tokenization: spaces' or 'OPERATOR: skip', not '"):
            load(dataset_path="x", substitutes=wrong)


def test_settings_leak_from_earlier_steps_only_in_its_own_way() -> None:
    """Of three steps of one name the third has, there, what the first two had and it has not."""
    process = [{"text_length_filter": {"min_len": 1, "max_len": 50}}, {"text_length_filter": {"max_len": 60}}, "text_length_filter", "words_num_filter"]
    ours, theirs = load(dataset_path="x", process=process), load(dataset_path="x", process=process, compat="data-juicer")
    assert [(s.keep.min, s.keep.max) for s in ours.process[:3] if s.keep] == [(1, 50), (10, 60), (10, None)]
    assert [(s.keep.min, s.keep.max) for s in theirs.process[:3] if s.keep] == [(1, 50), (1, 60), (1, 60)]
    assert [n for n in ours.notes if "would carry over" in n] and [n for n in theirs.notes if "as Data-Juicer does" in n]


@pytest.mark.parametrize(("name", "noted"), [
    ("document_minhash_deduplicator", True), ("ray_bts_minhash_deduplicator", True), ("document_simhash_deduplicator", True), ("document_deduplicator", False),
])
def test_answers_that_differ_are_noted_in_its_recipes_alone(name: str, noted: bool) -> None:
    assert any("other than in Data-Juicer" in n for n in load(dataset_path="x", use_cache=True, process=[name]).notes) is noted
    assert not any("other than in Data-Juicer" in n for n in load(dataset_path="x", process=[name]).notes)
    assert not any("other than in Data-Juicer" in n for n in load(dataset_path="x", use_cache=True, process=[name], compat="data-juicer").notes)
