"""What `tamis deploy` writes, and what it refuses, without a server."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tamis.flows.curate import dealt
from tamis.flows.deploy import deploy
from tamis.flows.model_stage import alive, lives
from tamis.pipeline.cli import app
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.workspace import Place


@pytest.fixture
def recipe(tmp_path: Path, demo_corpus: Path) -> Path:
    path = tmp_path / 'odd "name": {x}.yaml'
    path.write_text(f"project_name: 'a: \"b\" # {{c}}'\ndataset_path: {demo_corpus}\nexport_path: {tmp_path}/out\nprocess: []\n")
    return path


def read(file: Path) -> dict:
    return yaml.safe_load(file.read_text("utf-8"))


def test_the_file_says_what_was_asked(recipe: Path) -> None:
    file = deploy(str(recipe), name="it's \"nightly\"", pool="cpu: pool", cron="0 3 * * *", timezone="Europe/Berlin", register=False)
    told = read(file)
    (one,) = told["deployments"]
    assert one["name"] == "it's \"nightly\"" and one["work_pool"] == {"name": "cpu: pool"}
    assert one["schedules"] == [{"cron": "0 3 * * *", "timezone": "Europe/Berlin"}]
    assert one["parameters"] == {"recipe_path": str(recipe)} and one["description"] == f'a: "b" # {{c}}: {recipe.name}'
    assert told["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == str(Path.cwd())


def test_a_gpu_pool_adds_a_deployment_that_the_flow_is_told_of(recipe: Path) -> None:
    flow, jobs = read(deploy(str(recipe), name="n", pool="p", gpu_pool="g", gpu_jobs=3, register=False))["deployments"]
    assert flow["schedules"] == [] and flow["parameters"] == {
        "recipe_path": str(recipe), "gpu": "deployment", "gpu_jobs": 3, "gpu_deployment": "model-stage/n"}
    assert jobs["name"] == "n" and jobs["work_pool"]["name"] == "g" and jobs["entrypoint"] == "tamis.flows.model_stage:model_stage"


@pytest.mark.parametrize(("words", "told"), [
    ({"cron": "at three"}, "cron 'at three'"), ({"cron": "0 3 * * *", "timezone": "Mars/Base"}, "Invalid timezone"), ({"gpu_jobs": 0}, "gpu_jobs must be"),
    ({"gpu_limit": 0}, "gpu_limit must be"), ({"cron": "0 0 31 2 *"}, "failed to find next date"), ({"cron": "* * * * * *"}, "has 6 fields"),
    ({"gpu_jobs": 4}, "gpu_jobs is 4, but no stage is handed on"),
])
def test_what_makes_no_sense_is_refused_and_nothing_is_written(recipe: Path, words: dict, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        deploy(str(recipe), name="n", pool="p", register=False, **words)
    assert not recipe.with_suffix(".prefect.yaml").exists()


def test_without_a_server_nothing_is_registered_and_none_is_started(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("tamis.flows.deploy.PREFECT_API_URL", type("Unset", (), {"value": staticmethod(lambda: None)}))
    with pytest.raises(RecipeError, match="no Prefect server is named.*--no-register"):
        deploy(str(recipe), name="n", pool="p")
    assert not recipe.with_suffix(".prefect.yaml").exists()


def test_a_recipe_that_cannot_run_is_not_deployed(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("process: []", "process: [text_lenght_filter]"))
    answer = CliRunner().invoke(app, ["deploy", str(recipe), "--no-register"])
    assert isinstance(answer.exception, RecipeError) and "text_length_filter" in str(answer.exception)


@pytest.mark.parametrize(("parts", "jobs"), [(0, 3), (1, 3), (7, 3), (8, 8), (100, 7)])
def test_parts_are_dealt_whole_and_evenly(parts: int, jobs: int) -> None:
    shares = dealt(parts, jobs)
    assert [p for share in shares for p in share] == list(range(parts)) and all(shares)
    assert not shares or max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_sign_of_life_is_seen_while_it_lasts(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, None)
    assert not lives(place, 3, [0, 1])
    with alive(place, 3, [0, 1]):
        assert lives(place, 3, [0, 1]) and not lives(place, 3, [2, 3])
    assert not lives(place, 3, [0, 1])
