"""Decontamination in a run: the ledger names the example, and another evaluation file means another answer."""

import json
from pathlib import Path

import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

QUESTION = "A train leaves the town at nine and drives at sixty miles an hour to the next town; when is it there?"
ROWS = [{"text": t} for t in ("Nothing of the kind.", f"Homework: {QUESTION.upper()} Answer: late.", "A train leaves the town at nine.")]


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (
        {"id": "q1", "question": QUESTION, "choices": ["nine", "ten"], "answer": 1}, {"id": "q2", "question": "Why?", "choices": [], "answer": 0},
    )), "utf-8")
    return path


def test_the_ledger_names_the_example(evaluation: Path) -> None:
    done = apply([{"ngram_decontamination_filter": {"evaluation": str(evaluation)}}], ROWS)
    line, = done.ledger.to_pylist()
    assert line["note"] == "quiz.jsonl:1 (q1, question)" and line["stat"] == "contamination" and line["value"] == 1.0
    assert done.stats.column("contaminated_by").to_pylist() == [None, "quiz.jsonl:1 (q1, question)", None]
    assert apply([{"ngram_decontamination_filter": {"evaluation": str(evaluation), "fields": ["choices"], "min_words": 1}}],
                 [{"text": "Ten!"}]).ledger.to_pylist()[0]["note"] == "quiz.jsonl:1 (q1)"


def test_what_the_examples_say_is_part_of_the_fingerprint(evaluation: Path, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")

    def planned(path: Path) -> plan.Plan:
        return plan.make(recipe.load({
            "dataset_path": str(tmp_path / "data.jsonl"), "export_path": str(tmp_path / "out"),
            "process": [{"ngram_decontamination_filter": {"evaluation": str(path)}}]}))

    before = planned(evaluation)
    assert any("too few words" in n and "quiz.jsonl:2 (q2, question)" in n for n in before.recipe.notes)
    moved = tmp_path / "elsewhere" / "quiz.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(evaluation.read_bytes())
    assert planned(moved).stages[0].fingerprint == before.stages[0].fingerprint
    evaluation.write_text(evaluation.read_text("utf-8").replace("sixty", "fifty"), "utf-8")
    assert planned(evaluation).stages[0].fingerprint != before.stages[0].fingerprint


@pytest.mark.parametrize("asked, told", [
    ({}, "evaluation must be given"), ({"evaluation": "no/such.jsonl"}, "no/such.jsonl"), ({"fields": ["prompt"]}, "no texts 'prompt'"),
    ({"min_words": 20}, "min_words must be from 1 to ngram"), ({"ngram": 60, "min_words": 50}, "no example has 50 words"),
])
def test_what_cannot_be_is_told_by_the_plan(evaluation: Path, asked: dict[str, object], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        apply([{"ngram_decontamination_filter": {**({"evaluation": str(evaluation)} if asked else {}), **asked}}], ROWS)


def test_the_mapper_cuts_rows_into_pieces(evaluation: Path) -> None:
    rows = [{"text": "before " * 100 + QUESTION + " after" * 100}, {"text": "clean"}]
    done = apply([{"ngram_decontamination_mapper": {"evaluation": str(evaluation), "window": 10}}], rows)
    assert [len(row["text"]) for row in done.table.to_pylist()] == [690, 591, 5]
