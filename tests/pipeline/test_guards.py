"""Guards stop a run before export, and say which step did it."""

import json
from pathlib import Path

import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.errors import GuardError, RecipeError, StaleError
from tamis.pipeline.execute import Silent, execute, share
from tamis.pipeline.run import run
from tamis.pipeline.workspace import Workspace


@pytest.fixture
def asked(tmp_path: Path) -> dict:
    with (tmp_path / "data.jsonl").open("w") as f:
        for i in range(100):
            f.write(json.dumps({"text": "x" * (i + 1)}) + "\n")
    return {
        "dataset_path": str(tmp_path / "data.jsonl"), "export_path": str(tmp_path / "out"), "np": 1,
        "process": [{"text_length_filter": {"min_len": 11}}, {"text_length_filter": {"min_len": 41}}, {"random_selector": {"select_num": 20}}],
    }


@pytest.mark.parametrize(("guards", "told"), [
    ({"max_drop": 0.39}, r"40 of 100 rows left \(40.0%\), 30 of them in step 2 \(text_length_filter\); guards.max_drop is 0.39"),
    ({"max_drop_per_step": 0.33}, r"step 2 \(text_length_filter\) sent 30 of 90 rows away \(33.3%\)"),
    ({"min_rows": 21}, r"20 rows are left after step 3 \(random_selector\)"),
])
def test_a_guard_stops_before_export_and_names_the_step(asked: dict, guards: dict, told: str, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=told):
        run(asked | {"guards": guards})
    assert not (tmp_path / "out" / "data").exists() and not (tmp_path / "out" / "manifest.json").exists()


def test_what_is_just_allowed_passes_and_a_selection_is_no_drop(asked: dict) -> None:
    manifest = run(asked | {"guards": {"max_drop": 0.4, "max_drop_per_step": 0.34, "min_rows": 20}})
    assert manifest["rows_out"] == 20
    assert manifest["recipe"]["guards"] == {"max_drop": 0.4, "max_drop_per_step": 0.34, "min_rows": 20}


def test_rows_that_are_made_one_are_no_drop(asked: dict) -> None:
    grouped = asked | {"process": [{"naive_grouper": {}}], "guards": {"max_drop": 0, "max_drop_per_step": 0}}
    assert run(grouped)["rows_out"] == 1
    with pytest.raises(GuardError, match=r"1 rows are left after step 1 \(naive_grouper\)"):
        run(grouped | {"guards": {"min_rows": 2}})


def test_a_loosened_guard_goes_on_from_there(asked: dict, tmp_path: Path) -> None:
    with pytest.raises(GuardError):
        run(asked | {"guards": {"max_drop": 0.1}})
    manifest = run(asked | {"guards": {"max_drop": 0.5}})
    assert manifest["timing"][0]["reused"], "a guard is no part of a fingerprint"


@pytest.mark.parametrize(("guards", "told"), [
    ({"max_drops": 0.5}, "unknown limit 'max_drops'. Did you mean 'max_drop'"), ({"max_drop": 60}, "max_drop is a share of the rows read"),
    ({"min_rows": "many"}, "min_rows is a number of rows"), (0.6, "guards is a mapping"), ({"max_drop": True}, "not True"),
])
def test_a_wrong_guard_is_a_mistake_in_the_recipe(asked: dict, guards: object, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        run(asked | {"guards": guards})


def test_an_empty_corpus_drops_nothing(asked: dict, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "x"}\n')
    asked["process"] = [{"text_length_filter": {"min_len": 0}}]
    assert run(asked | {"guards": {"max_drop": 0.0, "max_drop_per_step": 0.0}})["rows_out"] == 1


def test_a_run_waits_for_another_as_long_as_it_is_told_to(asked: dict) -> None:
    planned = plan.make(recipe.load(asked))
    with Workspace(Path(asked["export_path"]) / "work").lock(), pytest.raises(StaleError, match="another run is writing"):
        execute(planned, Silent(), patience=0.3)
    assert execute(planned, Silent(), patience=0.3)["rows_out"] == 20


def test_only_a_model_stage_is_shared_and_only_when_it_is_its_turn(asked: dict) -> None:
    asked["process"] = [{"text_embedding_mapper": {}}, {"random_selector": {"select_num": 20}}]
    planned = plan.make(recipe.load(asked))
    with pytest.raises(StaleError, match="stage 1 .rows. is not complete"):
        share(planned, Silent(), 2, [0])
    execute(planned, Silent(), upto=1)
    with pytest.raises(ValueError, match="asks no model"):
        share(planned, Silent(), 3, [0])
    with Workspace(Path(asked["export_path"]) / "work").lock(shared=True):
        assert share(planned, Silent(), 2, [0]) == 100, "beside another that shares"
        with pytest.raises(StaleError, match="another run is writing"):
            execute(planned, Silent())
    record = execute(planned, Silent(), upto=2)
    assert record["rows_in"] == 100
