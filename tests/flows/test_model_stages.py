"""Which stages a flow hands to the GPU pool: those that ask a model, cut into as many jobs as are asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect")
pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny_causal import COOKING, make

from tamis.flows import curate
from tamis.pipeline import plan, recipe


class Listening:
    """Stands for a task: notes what it is asked to do, and does nothing."""

    def __init__(self, asked: list[tuple[Any, ...]], what: str) -> None:
        self.asked, self.what = asked, what

    def with_options(self, **_: Any) -> "Listening":
        return self

    def __call__(self, recipe_path: str, words: dict[str, Any], index: int, *more: Any) -> "Listening":
        self.asked.append((self.what, index, *more))
        return self

    submit = __call__

    def result(self) -> None:
        return None


@pytest.mark.parametrize("gpu", ["deployment", "inline"])
def test_scoring_goes_where_the_accelerator_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str) -> None:
    (tmp_path / "data").mkdir()
    for i in range(3):
        (tmp_path / "data" / f"{i}.jsonl").write_text(json.dumps({"text": COOKING[i]}) + "\n")
    step = {"model": str(make(tmp_path / "model")), "reference": {"path": str(tmp_path / "data" / "0.jsonl")}}
    planned = plan.make(recipe.load({"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / "out"), "process": [
        {"influence_scorer": step}, {"quality_selector": {"select_num": 1, "quality_key": "influence_reward"}}]}))
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(curate, "run_stage", Listening(asked, "here"))
    monkeypatch.setattr(curate, "run_elsewhere", Listening(asked, "elsewhere"))
    monkeypatch.setattr(curate, "wait", lambda jobs: None)
    curate.do_stages(planned, planned.stages, "recipe.yaml", {}, gpu, 2, "model-stage/gpu")
    parts = list(range(len(planned.splits)))
    jobs = [("elsewhere", 2, share, "model-stage/gpu") for share in curate.dealt(len(parts), 2)] if gpu == "deployment" else []
    assert [s.kind for s in planned.stages] == ["rows", "score", "select", "export"]
    assert asked == [("here", 1), *jobs, ("here", 2), ("here", 3), ("here", 4)]
    assert [p for _, _, share, _ in jobs for p in share] == (parts if jobs else [])


@pytest.mark.parametrize("asking", [True, False])
def test_a_bandit_that_asks_a_model_is_one_job_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asking: bool) -> None:
    (tmp_path / "data").mkdir()
    for i in range(3):
        (tmp_path / "data" / f"{i}.jsonl").write_text(json.dumps({"text": COOKING[i], "about": "food", "worth": i}) + "\n")
    model = {"model": str(make(tmp_path / "model")), "reference": {"path": str(tmp_path / "data" / "0.jsonl")}}
    step = {"cluster_key": "about", "select_num": 1, **(model if asking else {"quality_key": "worth"})}
    planned = plan.make(recipe.load({"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / "out"), "process": [
        {"quad_selector": step}]}))
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(curate, "run_stage", Listening(asked, "here"))
    monkeypatch.setattr(curate, "run_elsewhere", Listening(asked, "elsewhere"))
    monkeypatch.setattr(curate, "wait", lambda jobs: None)
    curate.do_stages(planned, planned.stages, "recipe.yaml", {}, "deployment", 2, "model-stage/gpu")
    job = [("elsewhere", 2, list(range(len(planned.splits))), "model-stage/gpu")] if asking else []
    assert asked == [("here", 1), *job, ("here", 2), ("here", 3)]


def test_scores_and_vectors_of_a_model_are_jobs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for i in range(2):
        (tmp_path / "data" / f"{i}.jsonl").write_text(json.dumps({"text": COOKING[i]}) + "\n")
    model = {"model": str(make(tmp_path / "model"))}
    planned = plan.make(recipe.load({"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / "out"), "process": [
        {"difficulty_scorer": model}, {"model_vector_mapper": model}, {"adapt_selector": {"score_keys": ["ppl", "el2n"], "select_num": 1}}]}))
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(curate, "run_stage", Listening(asked, "here"))
    monkeypatch.setattr(curate, "run_elsewhere", Listening(asked, "elsewhere"))
    monkeypatch.setattr(curate, "wait", lambda jobs: None)
    curate.do_stages(planned, planned.stages, "recipe.yaml", {}, "deployment", 2, "model-stage/gpu")
    jobs = [("elsewhere", index, share, "model-stage/gpu") for index in (2, 3) for share in curate.dealt(len(planned.splits), 2)]
    assert sorted(a for a in asked if a[0] == "elsewhere") == sorted(jobs) and [a[1] for a in asked if a[0] == "here"] == [1, 2, 3, 4, 5]
