import json
import random
from pathlib import Path

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators import catalog
from tamis.operators.base import Range
from tamis.pipeline import analyze, recipe
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.reporting import numbers, suggest
from tamis.pipeline.run import run


def corpus(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
    return path


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [planted.sentences(i, 5 + i % 50) for i in range(300)] + ["#" * (20 + i) for i in range(3)]


@pytest.fixture(scope="module")
def found(tmp_path_factory, texts) -> tuple[analyze.Analysis, Path]:
    folder = tmp_path_factory.mktemp("analyze")
    return analyze.analyze(corpus(folder / "data", texts), folder / "out"), folder / "out"


def test_every_filter_is_computed_or_told_why_not(found):
    told, _ = found
    names = {n.op for n in told.numbers} | {name for name, _ in told.skipped}
    assert names == {op.name for op in catalog.table("filter")}
    assert {"text_length_filter", "alphanumeric_filter", "words_num_filter"} <= {n.op for n in told.numbers}
    assert told.rows == 303 and all(n.spread.count == 303 for n in told.numbers)


def test_the_numbers_are_the_numbers(found, texts):
    told = next(n for n in found[0].numbers if n.op == "text_length_filter")
    lengths = sorted(map(len, texts))
    spread = told.spread
    assert (spread.min, spread.median, spread.max) == (lengths[0], lengths[151], lengths[-1])
    assert (spread.p1, spread.p99) == (lengths[int(0.01 * 302)], lengths[int(0.99 * 302)])
    assert spread.mean == pytest.approx(np.mean(lengths))
    assert [e.value for e in told.low] == lengths[:3] and [e.value for e in told.high] == lengths[::-1][:3]
    assert all(len(e.excerpt) == min(160, int(e.value or 0)) for e in [*told.low, *told.high])


def test_the_suggested_recipe_runs_and_each_step_removes_about_one_percent(found, tmp_path):
    told, folder = found
    asked = recipe.load(folder / "suggested.yaml")
    assert len(asked.process) >= 5
    alone = {n.op: n.removes for n in told.numbers}
    for step in asked.process:
        only = run({"dataset_path": list(asked.dataset_path), "export_path": str(tmp_path / step.name), "np": 1,
                    "process": [{step.name: recipe.words(asked)["process"][step.number - 1][step.name]}]})
        assert only["rows_left"] == alone[step.name]
        assert 0 < only["rows_left"] <= 0.06 * 303


def test_a_recipe_s_bounds_alone_remove_what_a_run_of_that_filter_removes(tmp_path, texts):
    data = corpus(tmp_path / "data", texts)
    steps = [{"text_length_filter": {"min_len": 100}}, {"alphanumeric_filter": {"min_ratio": 0.5, "max_ratio": 0.9}},
             {"document_deduplicator": {}}]
    words = {"dataset_path": str(data), "process": steps, "np": 1}
    (tmp_path / "r.yaml").write_text(json.dumps(words), "utf-8")
    told = analyze.analyze(tmp_path / "r.yaml", tmp_path / "out")
    for number, step in zip(told.numbers, steps, strict=False):
        alone = run(words | {"process": [step], "export_path": str(tmp_path / number.op)})
        assert number.removes == alone["rows_left"]
    assert told.numbers[0].keep == "at least 100" and told.numbers[1].keep == "0.5 to 0.9"
    assert told.skipped == [("document_deduplicator", "it works on the corpus as a whole")]


def test_rows_that_a_filter_would_remove_are_still_scored_by_the_next(tmp_path, texts):
    data = corpus(tmp_path / "data", texts)
    (tmp_path / "r.yaml").write_text(json.dumps({"dataset_path": str(data), "np": 1, "process": [
        {"text_length_filter": {"min_len": 10**6}}, {"alphanumeric_filter": {}}]}), "utf-8")
    told = analyze.analyze(tmp_path / "r.yaml", tmp_path / "out")
    assert told.numbers[0].removes == 303
    assert told.numbers[1].spread.count == 303 and not told.numbers[1].spread.nulls


def test_batches_change_nothing_and_a_second_analysis_is_taken_up(tmp_path, texts):
    data = corpus(tmp_path / "data", texts)
    answers = []
    for rows in (7, 4096):
        words = {"dataset_path": str(data), "np": 1, "batch_rows": rows, "process": [{"text_length_filter": {}}, {"word_repetition_filter": {}}]}
        (tmp_path / "r.yaml").write_text(json.dumps(words), "utf-8")
        told = analyze.as_json(analyze.analyze(tmp_path / "r.yaml", tmp_path / f"out{rows}"))
        answers.append(told | {"seconds": 0})
    assert answers[0] == answers[1]
    marks = {p: p.stat().st_mtime_ns for p in (tmp_path / "out7/work").rglob("*.parquet")}
    analyze.analyze(tmp_path / "r.yaml", tmp_path / "out7")
    assert marks and marks == {p: p.stat().st_mtime_ns for p in (tmp_path / "out7/work").rglob("*.parquet")}


def test_files_are_written_and_texts_are_escaped(tmp_path):
    data = corpus(tmp_path / "data", [planted.EVIL, *(planted.sentences(i) for i in range(5))])
    told = analyze.analyze(data, tmp_path / "out")
    page = (tmp_path / "out/analysis.html").read_text("utf-8")
    assert "&lt;script&gt;" in page and "<script" not in page
    assert json.loads((tmp_path / "out/analysis.json").read_text("utf-8"))["rows"] == 6
    assert told.suggestion in told.text() and "text_len" in told.text()


def test_an_empty_column_is_no_accident(tmp_path):
    data = corpus(tmp_path / "data", ["", "", ""])
    told = analyze.analyze(data, tmp_path / "out")
    assert told.rows == 3 and next(n for n in told.numbers if n.stat == "text_len").spread.max == 0


def test_a_mistake_is_a_recipe_error(tmp_path):
    with pytest.raises(RecipeError):
        analyze.analyze(tmp_path / "nothing.jsonl", tmp_path / "out")


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 10**6)), min_size=1, max_size=300), st.randoms(use_true_random=False))
def test_suggested_bounds_keep_at_least_ninety_percent(values: list[int], chance: random.Random):
    """At most 1 % (5 % of one extreme value) leaves on each side, whatever the values; their order is of no matter."""
    told = np.array(values, float)
    chance.shuffle(values)
    for name in ("text_length_filter", "words_num_filter"):
        op = catalog.by_name(name)
        keep = suggest.bounds(op, told, numbers.spread(told))
        assert keep == suggest.bounds(op, np.array(values, float), numbers.spread(np.array(values, float)))
        below = 0 if keep.min is None else (told < keep.min).sum()
        above = 0 if keep.max is None else (told > keep.max).sum()
        assert max(below, above) <= 0.05 * len(told)
        assert (keep.min is None) == (below == 0) and (keep.max is None) == (above == 0)


def test_suggested_sides_are_those_of_the_default():
    ratio = catalog.by_name("special_characters_filter")
    values = np.linspace(0, 1, 1001)
    assert suggest.bounds(ratio, values, numbers.spread(values)) == Range(None, 0.99)
    assert suggest.bounds(catalog.by_name("alphanumeric_filter"), values, numbers.spread(values)) == Range(0.01, None)
    constant = np.full(100, 0.3)
    assert suggest.bounds(ratio, constant, numbers.spread(constant)) == Range()


def test_no_bound_is_written_that_is_none_and_the_operators_own_does_not_come_in_its_place(tmp_path):
    """A side on which nothing is to be cut is left out; where the default would cut there, the corpus's end stands instead."""
    texts = ["x" * 3] * 40 + [planted.sentences(i, 20) for i in range(160)]  # a fifth is shorter than the default's minimum
    told = analyze.analyze(corpus(tmp_path / "data", texts), tmp_path / "out")
    assert "null" not in told.suggestion
    asked = {s.name: s for s in recipe.load(tmp_path / "out" / "suggested.yaml").process}
    repeated = np.array([0.0] * 90 + [0.6] * 10)
    step = next(iter(recipe.load({"dataset_path": "x", "process": ["character_repetition_filter"]}).process))
    line = suggest._step(step, Range(None, 0.55), numbers.spread(repeated), (10, 100))
    assert line == "  - character_repetition_filter: {max_ratio: 0.55}  # removes 10.0%"
    words = next(iter(recipe.load({"dataset_path": "x", "process": ["words_num_filter"]}).process))
    assert words.keep is not None and words.keep.min == 10
    line = suggest._step(words, Range(None, 90), numbers.spread(np.array([3.0, 4.0, 95.0])), (1, 3))
    assert line.startswith("  - words_num_filter: {min_num: 3, max_num: 90}"), "10 would cut what is not to be cut"
    alone = {n.op: n.removes for n in told.numbers}
    for name, one in asked.items():
        only = run({"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / name), "np": 1,
                    "process": [{name: recipe.words(recipe.load(tmp_path / "out" / "suggested.yaml"))["process"][one.number - 1][name]}]})
        assert only["rows_left"] == alone[name]
