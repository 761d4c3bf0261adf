"""A lake as a flow: it waits for a person, moves what was approved, and nothing that nobody has seen."""

import contextvars
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound

from tamis.flows.lake import apply, digest, lake
from tamis.pipeline.errors import StaleError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path: Path, prefect_api: None) -> Path:
    shutil.copytree(ROOT / "recipes" / "data" / "lake", tmp_path / "lake")
    path, text = tmp_path / "recipe.yaml", (ROOT / "recipes" / "lake.yaml").read_text()
    path.write_text(text.replace("data/lake", str(tmp_path / "lake")).replace("outputs/lake", str(tmp_path / "out")))
    return path


PATIENCE = 120 / 3600  # hours: a question that nobody answers fails its test, and does not hold up the others


def asked(recipe: Path, *answers: dict[str, Any]) -> tuple[Callable[[], dict[str, Any]], list[str]]:
    """A call of the flow that is answered by a person, who sees the texts in the list."""
    texts: list[str] = []
    over = threading.Event()

    def person() -> None:
        told = [dict(a) for a in answers]
        with get_client(sync_client=True) as client:
            while told and not over.wait(0.1):
                with suppress(httpx.HTTPError, ObjectNotFound):  # a busy server; paused, and its question not there yet
                    for one in paused(client.read_flow_runs(flow_run_filter=FlowRunFilter(state={"type": {"any_": ["PAUSED"]}}))):
                        text = str(client.read_flow_run_input(one.id, key_of(one, "description")))
                        client.resume_flow_run(one.id, run_input=told[0])
                        texts.append(text)
                        told.pop(0)

    def paused(runs: list[FlowRun]) -> list[FlowRun]:
        return [r for r in runs if r.parameters.get("recipe_path") == str(recipe)]

    def key_of(one: FlowRun, what: str) -> str:
        assert one.state is not None and one.state.state_details.run_input_keyset is not None
        return one.state.state_details.run_input_keyset[what]

    def call() -> dict[str, Any]:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(person,), daemon=True)
        thread.start()
        try:
            return lake(str(recipe), patience_hours=PATIENCE, look_every=1)
        finally:
            over.set()
            thread.join(30)

    return call, texts


def tables(recipe: Path) -> set[str]:
    return {p.name for p in (recipe.parent / "lake").iterdir() if not p.name.startswith(".")}


def test_what_a_person_approves_is_moved(recipe: Path) -> None:
    before = tables(recipe)
    call, texts = asked(recipe, {"approve": True})
    told = call()
    assert told["answer"] == "approved" and len(told["moved"]) == 4
    assert before - tables(recipe) == set(told["moved"]), "those and no others"
    assert "4 of 7 tables can go" in texts[0] and all(f"`{t}`" in texts[0] for t in told["moved"])


def test_a_spared_table_makes_another_plan_that_is_asked_about_again(recipe: Path) -> None:
    call, texts = asked(recipe, {"approve": True, "spare": ["orders_backup*"]}, {"approve": True})
    told = call()
    assert len(texts) == 2 and "orders_backup" not in texts[1]
    assert "orders_backup.jsonl" in tables(recipe) and told["moved"] and "orders_backup.jsonl" not in told["moved"]


def test_a_no_moves_nothing(recipe: Path) -> None:
    before = tables(recipe)
    call, _ = asked(recipe, {"approve": False})
    assert call() == {"run": str(recipe.parent / "out"), "answer": "declined", "moved": []}
    assert tables(recipe) == before


def test_silence_moves_nothing(recipe: Path) -> None:
    before = tables(recipe)
    with pytest.raises(FlowPauseTimeout):
        lake(str(recipe), patience_hours=2 / 3600, look_every=1)
    assert tables(recipe) == before


def test_an_approval_is_of_one_plan(recipe: Path) -> None:
    call, _ = asked(recipe, {"approve": False})
    run, before = Path(call()["run"]), tables(recipe)
    approved = digest(run)
    (run / "plan.json").write_text((run / "plan.json").read_text().replace("cities", "towns"))
    with pytest.raises(StaleError, match="no longer there; nothing was moved"):
        apply.fn(str(run), approved)
    assert tables(recipe) == before
