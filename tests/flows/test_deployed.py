"""Deployed flows on loopback: a server, a CPU pool and a GPU pool, a schedule, each worker doing its part."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from loopback import Loopback, alive, until
from prefect.settings import PREFECT_API_URL, temporary_settings

from tamis.flows.deploy import deploy
from tamis.pipeline.errors import RecipeError
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

SLOW = '''
import time
from pathlib import Path

HERE = Path(__file__).parent


def wait(row):
    while not (HERE / "open").exists():
        (HERE / "began").touch()
        time.sleep(0.1)
    return row
'''
ON_SPARK = """
dataset_path: {data}
export_path: {folder}/out
np: 1
engine: spark
allow_code: true
process:
  - python_file_mapper: {{file_path: {folder}/slow.py, function_name: wait}}
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


def started(prefect: Loopback, recipe: Path) -> list[dict]:
    return [r for r in prefect.runs("curate") if r["start_time"] and r["parameters"].get("recipe_path") == str(recipe)]


def another(recipe: Path) -> Path:
    """The same recipe elsewhere."""
    return Path(shutil.copy(recipe, recipe.parent / "another.yaml"))


def test_a_schedule_runs_and_the_gpu_pool_does_the_model_stage(prefect: Loopback, recipe: Path, expected: str) -> None:
    prefect.tamis("deploy", str(recipe), "--name", "minutely", "--cron", "* * * * *", "--gpu-pool", "gpu-pool", "--gpu-jobs", "2")
    with temporary_settings({PREFECT_API_URL: prefect.url}), pytest.raises(RecipeError, match=f"is the deployment of {recipe}: give"):
        deploy(str(another(recipe)), name="minutely", pool="cpu-pool")
    began = time.monotonic()
    until(lambda: bool(started(prefect, recipe)), 75, "the schedule starts a run")
    print(f"picked up within {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 75
    night = prefect.ended(started(prefect, recipe)[0]["id"], 180)
    prefect.forget("curate/minutely")
    assert night["state_type"] == "COMPLETED", prefect.logs(night["id"])
    assert night["auto_scheduled"] and manifest(recipe)["content_hash"] == expected

    jobs = [r for r in prefect.runs("model-stage") if r["parameters"]["recipe_path"] == str(recipe)]
    assert len(jobs) == 2 and all(j["state_type"] == "COMPLETED" for j in jobs)
    assert {j["work_pool_name"] for j in jobs} == {"gpu-pool"} and night["work_pool_name"] == "cpu-pool"
    pids = {int(re.search(r"done by process (\d+)", prefect.logs(j["id"])).group(1)) for j in jobs}
    print(f"cpu-pool: process {night['infrastructure_pid']}; gpu-pool: processes {sorted(pids)}; content {expected}")
    assert len(pids) == 2, "each job is a process of its own"
    for job in jobs:
        said = (prefect.folder / "gpu-worker.log").read_text()
        assert f"Worker 'gpu-worker' submitting flow run '{job['id']}'" in said
    (_, first_done), (second_begun, _) = sorted(prefect.span(j["id"], "begins", "done by process") for j in jobs)
    assert first_done <= second_begun, "the limit `gpu` is 1: one at a time"


def test_cancelling_a_run_on_spark_ends_it_with_its_executors(prefect: Loopback, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    recipe, before = tmp_path / "recipe.yaml", prefect.family("cpu-worker")
    (tmp_path / "slow.py").write_text(SLOW)
    recipe.write_text(ON_SPARK.format(data=corpus, folder=tmp_path))
    prefect.tamis("deploy", str(recipe), "--name", "spark")
    night = prefect.order("curate/spark")
    until((tmp_path / "began").exists, 120, "a task of Spark's is at work")
    processes, began = prefect.family("cpu-worker") - before, time.monotonic()
    prefect.finish(night, "CANCELLING")
    until(lambda: not any(alive(pid) for pid in processes), 60, "Spark and its Python workers end")
    print(f"{len(processes)} processes ended after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 10
    assert prefect.ended(night, 60)["state_type"] == "CANCELLED"
    (tmp_path / "open").touch()
    assert run(recipe, engine="local")["rows_out"] == 1609
