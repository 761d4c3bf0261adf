"""Deployed flows on loopback: a server, a CPU pool and a GPU pool, a schedule, each worker doing its part."""

import json
import re
import time
from pathlib import Path

import pytest
from loopback import Loopback, until

from tamis.pipeline.run import run

RECIPE = """
dataset_path: {data}
export_path: {out}
np: 1
process:
  - text_length_filter: {{min_len: 500}}
  - document_deduplicator
  - text_embedding_mapper: {{max_tokens: 16}}
  - kmeans_diversity_selector: {{select_num: 100, k: 20}}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """The demo corpus in four files: four parts."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = demo_corpus.read_text("utf-8").splitlines(keepends=True)
    for i in range(4):
        (folder / f"{i}.jsonl").write_text("".join(lines[i::4]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> str:
    """The content hash of a plain run."""
    path = tmp_path_factory.mktemp("plain") / "recipe.yaml"
    path.write_text(RECIPE.format(data=corpus, out=path.parent / "out"))
    return str(run(path)["content_hash"])


@pytest.fixture
def recipe(tmp_path: Path, corpus: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(data=corpus, out=tmp_path / "out"))
    return path


def manifest(recipe: Path) -> dict:
    return json.loads((recipe.parent / "out" / "manifest.json").read_text())


def started(prefect: Loopback) -> list[dict]:
    return [r for r in prefect.runs("curate") if r["start_time"]]


def test_a_schedule_runs_and_the_gpu_pool_does_the_model_stage(prefect: Loopback, recipe: Path, expected: str) -> None:
    prefect.tamis("deploy", str(recipe), "--name", "minutely", "--cron", "* * * * *", "--gpu-pool", "gpu-pool", "--gpu-jobs", "2")
    began = time.monotonic()
    until(lambda: bool(started(prefect)), 75, "the schedule starts a run")
    assert time.monotonic() - began < 75
    night = prefect.ended(started(prefect)[0]["id"], 180)
    prefect.forget("curate/minutely")
    assert night["state_type"] == "COMPLETED", prefect.logs(night["id"])
    assert night["auto_scheduled"] and manifest(recipe)["content_hash"] == expected

    jobs = [r for r in prefect.runs("model-stage") if r["parent_task_run_id"]]
    assert len(jobs) == 2 and all(j["state_type"] == "COMPLETED" for j in jobs)
    assert {j["work_pool_name"] for j in jobs} == {"gpu-pool"} and night["work_pool_name"] == "cpu-pool"
    pids = {int(re.search(r"done by process (\d+)", prefect.logs(j["id"])).group(1)) for j in jobs}
    assert len(pids) == 2, "each job is a process of its own"
