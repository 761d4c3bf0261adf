"""The flow does what `tamis run` does, stage by stage, and takes up what a crashed night left."""

import json
from pathlib import Path

import pytest
from loopback import Loopback, until
from prefect.states import Failed, State

from tamis.flows.curate import curate
from tamis.flows.model_stage import pinned, planned_as
from tamis.flows.retrying import RETRIED, worth_a_retry
from tamis.pipeline import plan
from tamis.pipeline import recipe as recipes
from tamis.pipeline.errors import GuardError, LostWorkerError, ReadError, RecipeError, StaleError, TamisError
from tamis.pipeline.run import run

RECIPE = """
dataset_path: {data}
export_path: {out}
process:
  - whitespace_normalization_mapper
  - text_length_filter: {{min_len: 500}}
  - document_deduplicator
  - random_selector: {{select_num: 50}}
"""


@pytest.fixture
def recipe(tmp_path: Path, demo_corpus: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(data=demo_corpus, out=tmp_path / "flow"))
    return path


def test_a_flow_answers_what_a_run_answers(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    manifest = curate(str(recipe), {"np": 1})
    assert manifest["rows_out"] == 50
    assert manifest["content_hash"] == run(recipe, np=1, export_path=str(tmp_path / "plain"))["content_hash"]
    assert all(t["reused"] for t in manifest["timing"]), "the stages were done by the tasks"


def test_a_run_is_seen_in_the_ui(prefect_api: None, loopback: Loopback, recipe: Path, tmp_path: Path) -> None:
    manifest = curate(str(recipe), {"np": 1})
    (run,) = [r["id"] for r in loopback.runs("curate") if r["parameters"]["recipe_path"] == str(recipe)]
    shown = {a["key"]: a for a in loopback.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})}
    steps = json.loads(shown["steps"]["data"])
    assert [s["operator"] for s in steps] == [s["op"] for s in manifest["steps"]] and steps[-1]["rows out"] == 50
    total = f"{manifest['rows_in']:,} rows in, 50 out, {manifest['rows_in'] - 50:,} in the ledger"
    assert total in shown["steps"]["description"] and manifest["content_hash"] in shown["steps"]["description"]
    assert (tmp_path / "flow" / "report.html").as_uri() in shown["report"]["data"]
    assert shown["stage-1-rows"]["data"] == shown["stage-2-dedup"]["data"] == 100.0
    dedup = next(s for s in manifest["steps"] if s["op"] == "document_deduplicator")
    assert shown["stage-2-dedup"]["description"].startswith(f"{dedup['rows_in']:,} -> {dedup['rows_out']:,} rows"), "two passes, counted once"
    assert {t["name"] for t in loopback.tasks(run)} == {"1-rows", "2-dedup", "3-select", "4-export"}


def test_links_lead_where_files_are_served(prefect_api: None, loopback: Loopback, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAMIS_HOME", str(recipe.parent))
    monkeypatch.setenv("TAMIS_FILES_URL", "http://files:8000/")
    curate(str(recipe), {"np": 1})
    links = [a["data"] for a in loopback.post("/artifacts/filter", {"artifacts": {"key": {"any_": ["report"]}}})]
    assert any("(http://files:8000/flow/report.html)" in link for link in links)


def test_a_guard_stops_a_flow_and_says_so(prefect_api: None, loopback: Loopback, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="guards.max_drop is 0.1"):
        curate(str(recipe), {"np": 1, "guards": {"max_drop": 0.1}})
    assert not (tmp_path / "flow" / "data").exists()

    def told() -> list[str]:
        found = loopback.post("/events/filter", {"filter": {"event": {"name": ["tamis.guard"]}}})["events"]
        return [e["payload"]["message"] for e in found if e["resource"]["prefect.resource.id"] == f"tamis.recipe.{recipe}"]

    until(lambda: len(told()) == 1, 30, "the event is there, once")
    assert "step 2 (text_length_filter)" in told()[0]


@pytest.mark.parametrize(("error", "again"), [
    (LostWorkerError("gone"), True), (OSError("disk"), True), (ReadError("broken"), False), (RecipeError("no"), False), (GuardError("no"), False),
    (ValueError("no"), False), (PermissionError("no"), False), (NotADirectoryError("no"), False), (TimeoutError("slow"), True),
])
def test_what_is_tried_again(error: Exception, again: bool) -> None:
    state: State[None] = Failed(data=error)
    assert worth_a_retry(None, None, state) is again and RETRIED["retries"] == 3


def test_storage_that_hiccups_is_tried_again() -> None:
    error = TamisError("work: no space")
    error.__cause__ = OSError("no space")
    state: State[None] = Failed(data=error)
    assert worth_a_retry(None, None, state)


def test_a_folder_that_may_not_be_written_to_is_not() -> None:
    error = RecipeError("work cannot be written to")
    error.__cause__ = PermissionError("no")
    state: State[None] = Failed(data=error)
    assert not worth_a_retry(None, None, state)


def test_a_gpu_deployment_that_is_not_there_is_named(prefect_api: None, recipe: Path) -> None:
    words = {"np": 1, "process": ["text_embedding_mapper"]}
    with pytest.raises(TamisError, match="there is no deployment model-stage/nobody .*register it"):
        curate(str(recipe), words, gpu="deployment", gpu_deployment="model-stage/nobody")


def test_what_fails_while_a_run_is_stopped_is_not_tried_again() -> None:
    try:
        try:
            raise KeyboardInterrupt
        finally:
            raise ConnectionRefusedError("Spark is gone")
    except ConnectionRefusedError as e:
        state: State[None] = Failed(data=e)
    assert not worth_a_retry(None, None, state)


def test_the_next_night_takes_up_what_is_done(prefect_api: None, recipe: Path, tmp_path: Path) -> None:
    curate(str(recipe), {"np": 1})
    marks = {p: p.stat().st_mtime_ns for p in (tmp_path / "flow" / "work").glob("*/done.json")}
    curate(str(recipe), {"np": 1})
    assert {p: p.stat().st_mtime_ns for p in marks} == marks


MEDDLING = """
from pathlib import Path

def meddle(row):
    folder = Path({folder!r})
    (folder / "data" / "late.jsonl").write_text('{{"text": "arrived while the run was at work"}}\\n')
    (folder / "recipe.yaml").write_text("process: [nothing_of_the_kind]")
    return row
"""


def test_a_run_keeps_to_what_it_began_with(prefect_api: None, tmp_path: Path) -> None:
    """A file arrives and the recipe is edited in its first stage."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text("".join(json.dumps({"text": f"a text of number {k % 7}"}) + "\n" for k in range(9)))
    (tmp_path / "meddle.py").write_text(MEDDLING.format(folder=str(tmp_path)))
    words = {"dataset_path": str(tmp_path / "data"), "export_path": str(tmp_path / "out"), "np": 1, "allow_code": True, "process": [
        {"python_file_mapper": {"file_path": str(tmp_path / "meddle.py"), "function_name": "meddle"}}, "document_deduplicator"]}
    (tmp_path / "recipe.yaml").write_text(json.dumps(words))
    told = curate(str(tmp_path / "recipe.yaml"))
    assert (told["rows_in"], told["rows_out"]) == (9, 7) and (tmp_path / "data" / "late.jsonl").exists()
    assert len(list((tmp_path / "out" / "work").glob("0*-*"))) == len(told["timing"]) == 3, "no stage was done twice"


def test_a_job_elsewhere_keeps_to_what_its_run_began_with(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file, pin_of = tmp_path / "recipe.yaml", tmp_path / "out" / "work"
    (tmp_path / "data" / "a.jsonl").write_text('{"text": "one"}\n')
    file.write_text(f"dataset_path: {tmp_path}/data\nexport_path: {tmp_path}/out\nprocess: [document_deduplicator]\n")
    planned = plan.make(recipes.load(file))
    pin = pinned(planned, 2)
    assert pin.parent == pin_of and len(planned_as(str(pin), str(file), {}, 2).splits) == 1
    (tmp_path / "data" / "late.jsonl").write_text('{"text": "two"}\n')
    assert [s.source for s in planned_as(str(pin), str(file), {}, 2).sources] == ["a.jsonl"], "what arrived since is not this run's"
    assert len(planned_as(None, str(file), {}, 2).sources) == 2
    file.write_text(file.read_text().replace("document_deduplicator", "{document_deduplicator: {lowercase: true}}"))
    for index in (2, 9):
        with pytest.raises(StaleError, match=f"its stage {index} is no longer the one"):
            planned_as(str(pin), str(file), {}, index)
    pin.unlink()
    with pytest.raises(StaleError, match="is gone"):
        planned_as(str(pin), str(file), {}, 2)


def test_a_mistake_in_the_recipe_fails_at_once_and_is_not_tried_again(prefect_api: None, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("min_len", "min_lenght"))
    with pytest.raises(RecipeError, match="Did you mean 'min_len'"):
        curate(str(recipe))


def test_a_model_stage_falls_back_to_no_other_device_than_the_recipe_allows(prefect_api: None, recipe: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (recipe.parent / "one.jsonl").write_text('{"text": "one"}\n')
    told, steps = {"np": 1, "dataset_path": str(recipe.parent / "one.jsonl")}, "text_embedding_mapper"
    with pytest.raises(TamisError, match="cannot be loaded with {'device': 'cuda'"):
        curate(str(recipe), told | {"process": [{steps: {"device": "cuda"}}]})
    assert curate(str(recipe), told | {"process": [{steps: {"device": "auto"}}]})["rows_out"] == 1
