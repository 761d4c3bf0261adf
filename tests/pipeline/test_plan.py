"""The plan: stages, and fingerprints that change exactly when an answer could."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline import plan, recipe
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

YAML = """
dataset_path: data
export_path: out
seed: 1
process:
  - whitespace_normalization_mapper
  - text_length_filter: {min_len: 3}
  - stopwords_filter: {min_ratio: 0, stopwords_dir: tables}
  - document_deduplicator: {lowercase: true}
  - document_minhash_deduplicator:
  - words_num_filter: {min_num: 1}
  - random_selector: {select_num: 2}
"""
ROWS = ['{"text": "one two three", "n": 1}', '{"text": "four five six", "n": 2}']


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text("\n".join(ROWS) + "\n")
    (tmp_path / "tables" / "stopwords.json").write_text('{"en": ["the"]}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(text: str = YAML, **keys: Any) -> plan.Plan:
    Path("r.yaml").write_text(text, "utf-8")
    return plan.make(recipe.load("r.yaml", **keys))


def prints(planned: plan.Plan) -> list[str]:
    return [s.fingerprint for s in planned.stages]


def changed(first: list[str], second: list[str]) -> int | None:
    """The first stage, from 1, whose fingerprint is another; all after it must be too. None: none is."""
    assert len(first) == len(second)
    same = [a == b for a, b in zip(first, second, strict=True)]
    if all(same):
        return None
    assert same == sorted(same, reverse=True), "a stage whose input may differ has kept its name"
    return same.index(False) + 1


def test_filters_and_mappers_in_a_row_are_one_pass(home):
    planned = made()
    assert [s.kind for s in planned.stages] == ["rows", "dedup", "dedup", "rows", "select", "export"]
    assert [[p.number for p in s.steps] for s in planned.stages] == [[1, 2, 3], [4], [5], [6], [7], []]
    assert [s.features for s in planned.stages] == [("words",), (), (), (), (), ()]
    assert planned.stages[0].stats == ("text_len", "stopwords_ratio")
    assert all(planned.stage_of(step) is stage for stage in planned.stages for step in stage.steps)
    assert len(set(prints(planned))) == 6 and all(len(p) == 32 for p in prints(planned))


@pytest.mark.parametrize(("old", "new", "stage"), [
    ("min_len: 3", "min_len: 4", 1), ("min_len: 3", "min_len: 3, max_len: 9", 1), ("min_len: 3", "min_len: 3, reversed_range: true", 1),
    ("min_len: 3", "min_len: 3, min_closed_interval: false", 1), ("min_len: 3", "min_len: 3, text_key: text2", 1),
    ("seed: 1", "seed: 2", 1), ("lowercase: true", "lowercase: false", 2), ("lowercase: true", "lowercase: true, keep: longest", 2),
    ("lowercase: true", "lowercase: true, keep: best, score_key: n", 2), ("minhash_deduplicator:", "minhash_deduplicator: {jaccard_threshold: 0.8}", 3),
    ("minhash_deduplicator:", "minhash_deduplicator: {verify: false}", 3), ("min_num: 1", "min_num: 2", 4),
    ("select_num: 2", "select_num: 1", 5), ("select_num: 2", "select_num: 2, quality_key: n", 5), ("select_num: 2", "select_ratio: 0.5", 5),
    ("seed: 1", "seed: 1\nkeep_stats_in_res_ds: true", 6), ("seed: 1", "seed: 1\nexport_type: jsonl", 6),
    ("seed: 1", "seed: 1\nexport_shard_size: 9", 6), ("seed: 1", "seed: 1\nproject_name: x", 6), ("seed: 1", "seed: 1\non_error: {set_aside: 1}", 1),
    ("seed: 1", "seed: 1\ntext_keys: [text, text2]", 1),
])
def test_what_could_change_an_answer_changes_its_stage_and_those_after_it(home, old, new, stage):
    (home / "data" / "a.jsonl").write_text('{"text": "a", "text2": "b", "n": 1}\n')
    assert YAML.count(old) == 1
    assert changed(prints(made()), prints(made(YAML.replace(old, new)))) == stage


@pytest.mark.parametrize(("old", "new"), [
    ("seed: 1", "seed: 1\nnp: 7"), ("seed: 1", "seed: 1\nbatch_rows: 3"), ("seed: 1", "seed: 1\nengine: spark"), ("seed: 1", "seed: 1\nwork_dir: w"),
    ("export_path: out", "export_path: elsewhere/deep"), ("seed: 1", "seed: 1\nopen_tracer: true"), ("seed: 1", "# why not\nseed: 1  # more"),
    ("- text_length_filter: {min_len: 3}", "- text_length_filter:\n      # a comment\n      min_len: 3.0e0"),
    ("min_len: 3", "min_len: 3, num_proc: 9"), ("min_len: 3", "min_len: 3, min_closed_interval: true"), ("min_num: 1", "min_num: 1, lang: en"),
    ("minhash_deduplicator:", "minhash_deduplicator: {num_permutations: 256}"), ("lowercase: true", "lowercase: true, keep: first"),
    ("dataset_path: data", "dataset_path: [./data/a.jsonl]"), ("seed: 1\n", ""), ("dataset_path: data\nexport_path: out", "export_path: out\ndataset_path: data"),
])
def test_what_changes_no_answer_changes_no_name(home, old, new):
    assert YAML.count(old) == 1
    keys = {"seed": 1} if new == "" else {}
    assert changed(prints(made()), prints(made(YAML.replace(old, new), **keys))) is None


def test_content_of_inputs_and_word_lists_counts_and_where_they_lie_does_not(home):
    first = prints(made())
    assert changed(first, prints(made())) is None
    (home / "tables" / "stopwords.json").write_text('{"en": ["of"]}')
    assert changed(first, prints(made())) == 1
    (home / "tables" / "stopwords.json").write_text('{"en": ["the"]}')
    (home / "tables" / "flagged_words.json").write_text('{"en": ["darn"]}')
    (home / "data" / "a.jsonl").touch()
    assert changed(first, prints(made())) is None
    (home / "tables").rename(home / "lists")
    (home / "data").rename(home / "moved")
    moved = YAML.replace("path: data", "path: moved").replace("dir: tables", "dir: lists")
    assert changed(first, prints(made(moved))) is None
    (home / "moved" / "a.jsonl").write_text("\n".join(reversed(ROWS)) + "\n")
    assert changed(first, prints(made(moved))) == 1


def test_a_file_more_or_another_name_is_another_input(home):
    first = prints(made())
    (home / "data" / "b.jsonl").write_text(ROWS[0] + "\n")
    assert changed(first, prints(made())) == 1
    (home / "data" / "b.jsonl").unlink()
    (home / "data" / "a.jsonl").rename(home / "data" / "c.jsonl")
    assert changed(first, prints(made())) == 1, "a row's id comes from its file's name"


def test_a_raised_version_is_another_stage(home, monkeypatch):
    from dataclasses import replace

    from tamis.operators import catalog

    first = prints(made())
    op = catalog.by_name("document_deduplicator")
    monkeypatch.setitem(catalog._BY_NAME, op.name, replace(op, version=op.version + 1))
    assert changed(first, prints(made())) == 2


NAMES = st.sampled_from(["text_length_filter", "alphanumeric_filter", "document_deduplicator", "whitespace_normalization_mapper", "words_num_filter"])


@settings(max_examples=40)
@given(st.lists(NAMES, max_size=6), st.lists(NAMES, max_size=6))
def test_stages_are_shared_as_far_as_the_steps_are(tmp_path_factory, one, other):
    """Two recipes share exactly the stages before the first step in which they differ."""
    data = tmp_path_factory.mktemp("shared") / "a.jsonl"
    data.write_text(ROWS[0])
    plans = [plan.make(recipe.load({"dataset_path": str(data), "process": p})) for p in (one, other)]
    common = [a.fingerprint for a, b in zip(*(p.stages for p in plans), strict=False) if a.fingerprint == b.fingerprint]
    for planned in plans:
        assert [s.fingerprint for s in planned.stages][: len(common)] == common
    groups = [[(s.kind, [x.name for x in s.steps]) for s in p.stages] for p in plans]
    same = next((i for i, (a, b) in enumerate(zip(*groups, strict=False)) if a != b), min(map(len, groups)))
    assert len(common) == same


def test_the_plan_as_plain_values(home):
    told = json.loads(json.dumps(plan.describe(made())))
    assert [(s["stage"], s["kind"], [x["op"] for x in s["steps"]]) for s in told["stages"]][1] == (2, "dedup", ["document_deduplicator"])
    assert told["stages"][0]["columns_in"] == ["text", "n"]
    assert told["stages"][1]["columns_in"] == ["text", "n", "text_len", "stopwords_ratio"]
    assert told["inputs"] == [{"source": "a.jsonl", "bytes": (home / "data/a.jsonl").stat().st_size, "digest": told["inputs"][0]["digest"]}]


@pytest.mark.parametrize(("step", "told"), [
    ("text_length_filter: {text_key: txet}", "r.yaml:4, step 1 (text_length_filter): no column 'txet' in the data. Did you mean 'text'? It has: text, n."),
    ("kmeans_diversity_selector: {select_num: 1}", "step 1 (kmeans_diversity_selector): it chooses by vectors: put a text_embedding_mapper step before it"),
    ("random_selector", "how much shall be selected?"), ("random_selector: {select_tokens: 5}", "select_tokens needs cost_key"),
    ("clean_email_mapper: {pattern: '['}", "step 1 (clean_email_mapper): "),
    ("document_deduplicator: {keep: best, score_key: text}", "score_key 'text' is neither a numeric column nor an earlier step's number. There are: n."),
    ("document_deduplicator: {keep: best, score_key: text_len}", "score_key 'text_len' is neither"),
])
def test_what_cannot_be_done_is_located(home, step, told):
    with pytest.raises(RecipeError) as e:
        made(f"dataset_path: data\n\nprocess:\n  - {step}\n")
    assert told in str(e.value) and len(str(e.value).splitlines()) == 1


def test_mistakes_of_all_steps_are_told_at_once(home):
    with pytest.raises(RecipeError) as e:
        made("dataset_path: data\nprocess:\n  - stopwords_filter: {stopwords_dir: data}\n  - flagged_words_filter: {lang: xx}\n")
    assert [line.split(",")[0] for line in str(e.value).splitlines()] == ["r.yaml:3", "r.yaml:4"]


def test_planning_writes_nothing(home):
    before = sorted(home.rglob("*"))
    made()
    assert sorted(home.rglob("*")) == sorted({*before, home / "r.yaml"})


def test_data_is_looked_for_here_and_then_beside_the_recipe(home, monkeypatch):
    first = prints(made())
    (home / "other").mkdir()
    monkeypatch.chdir(home / "other")
    text = YAML.replace("dir: tables", f"dir: {home / 'tables'}")
    (home / "r.yaml").write_text(text)
    assert [s.source for s in plan.make(recipe.load(home / "r.yaml")).sources] == ["a.jsonl"]
    (home / "other" / "data").mkdir()
    (home / "other" / "data" / "mine.jsonl").write_text(ROWS[0])
    assert [s.source for s in plan.make(recipe.load(home / "r.yaml")).sources] == ["mine.jsonl"]
    assert first


@pytest.mark.parametrize("pattern", ["data", "data/*.jsonl", "d?ta/a.jsonl"])
def test_a_path_that_leads_somewhere_from_here_is_not_looked_for_beside_the_recipe(home, monkeypatch, pattern):
    """Both folders have such a file; from a third place only the one beside the recipe leads anywhere."""
    other, third = home / "other", home / "third"
    (other / "data").mkdir(parents=True)
    third.mkdir()
    (other / "data" / "a.jsonl").write_text('{"text": "beside the recipe"}\n')
    (other / "r.yaml").write_text(YAML.replace("dataset_path: data", f"dataset_path: {pattern}").replace("tables}", f"{home}/tables}}"))
    asked = recipe.load(other / "r.yaml")
    assert [s.url for s in plan.make(asked).sources] == [str(home / "data" / "a.jsonl")]
    monkeypatch.chdir(third)
    assert [s.url for s in plan.make(asked).sources] == [str(other / "data" / "a.jsonl")]


def test_tokens_that_nobody_has_counted_are_no_number() -> None:
    rows = pa.Table.from_pylist([{"text": "a", "v": [1.0, 2.0]}])
    by_hand: dict[str, Any] = {"text_embedding_mapper": {"vector_key": "v"}}
    for steps in ([by_hand], ["text_embedding_mapper", by_hand]):
        for how, told in (({}, "select_tokens needs cost_key"), ({"cost_key": "num_embedding_tokens"}, "neither a numeric column nor")):
            with pytest.raises(RecipeError, match=told):
                apply([*steps, {"random_selector": {"select_tokens": 5, **how}}], rows)


@pytest.mark.parametrize(("step", "told"), [
    ({"semantic_deduplicator": {"eps": 5}}, "eps"), ({"semantic_deduplicator": {"eps": -1}}, "eps"),
    ({"cluster_pruning_selector": {"select_num": 3, "k": 0}}, "k must be 1 or more clusters, it is 0"),
    ({"kmeans_diversity_selector": {"select_num": 3, "k": -4}}, "k must be 1 or more clusters, it is -4"),
    ({"kmeans_diversity_selector": {"select_num": 3, "clustering": "bounded", "most": 0}}, "most must be 1 or more rows of a cluster"),
    ({"iterative_diversity_selector": {"select_num": 3, "rounds": 0}}, "rounds is 0; it must be 1 or more"),
    ({"kmeans_diversity_selector": {"select_num": 3, "beta": -3}}, "beta"),
])
def test_what_a_selector_refuses_is_told_before_data_is_read(home, step, told):
    asked = {"dataset_path": "data", "export_path": "out", "process": ["text_embedding_mapper", step]}
    (name, settings), = step.items()
    with pytest.raises(RecipeError, match=told) as e:
        plan.make(recipe.load(asked))
    assert f"step 2 ({name})" in str(e.value)
    settings = {k: v for k, v in settings.items() if k == "select_num"}
    assert plan.make(recipe.load(asked | {"process": ["text_embedding_mapper", {name: settings}]})).stages
