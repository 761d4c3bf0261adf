"""Deployed flows when processes die, the server goes, two runs meet, or a person cancels: nothing finished is done again.

A mapper in the recipes notes each row that it sees, and waits at one row until the test has opened a gate: so the middle of a
stage is where the test wants it, on a fast machine and on a slow one, and what is done twice is counted.
"""

import json
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback import Loopback, alive, until

from tamis.pipeline.run import run

NOTING = '''
import time
from pathlib import Path

HERE = Path(__file__).parent


def note(row):
    with (HERE / "seen.txt").open("a") as file:
        file.write(row["id"] + "\\n")
    while row["id"] == "2-20" and not (HERE / "open").exists():
        (HERE / "waits").touch()
        time.sleep(0.05)
    return row
'''
GATED = """
dataset_path: {data}
export_path: {folder}/out
np: {np}
allow_code: true
process:
  - python_file_mapper: {{file_path: {folder}/noting.py, function_name: note}}
  - document_deduplicator
  - random_selector: {{select_num: 50}}
"""
EMBEDDED = """
dataset_path: {data}
export_path: {folder}/out
np: 1
process:
  - document_deduplicator
  - text_embedding_mapper
  - kmeans_diversity_selector: {{select_num: 100, k: 5}}
"""
DEPLOYED = """
name: tamis
pull:
- prefect.deployments.steps.set_working_directory: {{directory: {folder}}}
deployments:
- {{name: first, entrypoint: "tamis.flows.curate:curate", work_pool: {{name: cpu-pool}}}}
- {{name: second, entrypoint: "tamis.flows.curate:curate", work_pool: {{name: cpu-pool}}}}
- {{name: first, entrypoint: "tamis.flows.model_stage:model_stage", work_pool: {{name: gpu-pool}}}}
"""
FIRST, SECOND = "curate/first", "curate/second"
GPU = {"gpu": "deployment", "gpu_deployment": "model-stage/first"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """200 documents in four files."""
    folder = tmp_path_factory.mktemp("data")
    texts = [json.loads(line)["text"] for line in demo_corpus.read_text("utf-8").splitlines()[:200]]
    for i in range(4):
        rows = [{"id": f"{i}-{k}", "text": text} for k, text in enumerate(texts[i::4])]
        (folder / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return folder


def gated(folder: Path, data: Path, np: int = 1) -> Path:
    """A recipe that waits at its gate."""
    (folder / "noting.py").write_text(NOTING)
    (folder / "recipe.yaml").write_text(GATED.format(data=data, folder=folder, np=np))
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, data: Path) -> str:
    """The content hash of a plain run of the gated recipe."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "open").touch()
    return str(run(gated(folder, data))["content_hash"])


@pytest.fixture(scope="module", autouse=True)
def deployed(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> None:
    loopback.ready({"cpu-worker": "cpu-pool", "gpu-worker": "gpu-pool"})
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "prefect.yaml").write_text(DEPLOYED.format(folder=folder))
    loopback.deploy(folder / "prefect.yaml")


def order(prefect: Loopback, deployment: str, recipe: Path, **more: str) -> str:
    return prefect.order(deployment, recipe_path=str(recipe), **more)


def done(prefect: Loopback, flow_run: str, recipe: Path) -> str:
    """The content hash that a run leaves."""
    ended = prefect.ended(flow_run, 180)
    assert ended["state_type"] == "COMPLETED", prefect.logs(flow_run)
    return str(json.loads((recipe.parent / "out" / "manifest.json").read_text())["content_hash"])


def seen(folder: Path) -> Counter[str]:
    """How often the mapper was given each row."""
    return Counter((folder / "seen.txt").read_text().split())


def test_a_killed_cpu_worker_costs_the_part_that_it_was_at(prefect: Loopback, data: Path, expected: str, tmp_path: Path) -> None:
    recipe = gated(tmp_path, data)
    night = order(prefect, FIRST, recipe)
    until((tmp_path / "waits").exists, 120, "the run is in the middle of its third part")
    prefect.kill("cpu-worker")
    prefect.worker("cpu-worker", "cpu-pool")
    prefect.finish(night, "CRASHED")
    (tmp_path / "open").touch()
    assert done(prefect, order(prefect, FIRST, recipe), recipe) == expected
    twice = {f"2-{k}" for k in range(21)}
    assert len(seen(tmp_path)) == 200 and {row for row, n in seen(tmp_path).items() if n > 1} == twice


def test_a_server_gone_for_thirty_seconds_costs_nothing_that_is_done(
    prefect: Loopback, data: Path, expected: str, tmp_path: Path
) -> None:
    recipe = gated(tmp_path, data)
    night = order(prefect, FIRST, recipe)
    until((tmp_path / "waits").exists, 120, "the run is in the middle of its third part")
    prefect.kill("server")
    (tmp_path / "open").touch()
    time.sleep(30)
    prefect.start_server()
    assert done(prefect, night, recipe) == expected, "the run outlives it"
    assert set(seen(tmp_path).values()) == {1} and len(seen(tmp_path)) == 200
    again = order(prefect, FIRST, recipe)
    assert done(prefect, again, recipe) == expected and set(seen(tmp_path).values()) == {1}
    assert {t["state_name"] for t in prefect.tasks(again)} == {"Cached"}


def test_two_runs_of_one_recipe_wait_for_each_other(prefect: Loopback, data: Path, expected: str, tmp_path: Path) -> None:
    recipe = gated(tmp_path, data)
    runs = [order(prefect, FIRST, recipe), order(prefect, SECOND, recipe)]
    until((tmp_path / "waits").exists, 120, "one is in the middle of a stage")
    until(lambda: {prefect.state(r)["state_type"] for r in runs} == {"RUNNING"}, 120, "both have begun")
    until(lambda: all(len(prefect.tasks(r)) == 1 for r in runs), 120, "both are at their first stage")
    (tmp_path / "open").touch()
    assert [done(prefect, r, recipe) for r in runs] == [expected, expected]
    assert set(seen(tmp_path).values()) == {1} and len(seen(tmp_path)) == 200


def test_a_cancelled_run_stops_at_once_and_resumes(prefect: Loopback, data: Path, expected: str, tmp_path: Path) -> None:
    recipe, before = gated(tmp_path, data, np=2), prefect.family("cpu-worker")
    night = order(prefect, FIRST, recipe)
    until((tmp_path / "waits").exists, 120, "the run is in the middle of its third part")
    until(lambda: len(seen(tmp_path)) == 171, 60, "the other process has done the rest")
    stops(prefect, night, prefect.family("cpu-worker") - before)
    (tmp_path / "open").touch()
    assert run(recipe)["content_hash"] == expected
    assert max(seen(tmp_path).values()) == 2 and sum(n > 1 for n in seen(tmp_path).values()) == 21


def stops(prefect: Loopback, flow_run: str, processes: set[int]) -> None:
    """Cancel a run: within ten seconds none of its processes is left, and it is told so."""
    assert processes, "the run has processes of its own"
    began = time.monotonic()
    prefect.finish(flow_run, "CANCELLING")
    until(lambda: not any(alive(pid) for pid in processes), 60, "its processes end")
    took = time.monotonic() - began
    assert prefect.ended(flow_run, 60)["state_type"] == "CANCELLED"
    print(f"stopped after {took:.1f} s")
    assert took < 10


@pytest.fixture
def long_part(tmp_path: Path, demo_corpus: Path) -> Path:
    """1,600 short documents in one part: two pieces for the model."""
    texts = [json.loads(line)["text"] for line in demo_corpus.read_text("utf-8").splitlines()]
    rows = [{"id": str(k), "text": f"{k} {text[:70]}"} for k, text in enumerate(texts[:1600])]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return tmp_path / "long.jsonl"


def test_a_killed_gpu_worker_costs_the_piece_that_it_was_at(prefect: Loopback, long_part: Path, tmp_path: Path) -> None:
    recipe, pieces = tmp_path / "recipe.yaml", tmp_path / "out" / "work"
    recipe.write_text(EMBEDDED.format(data=long_part, folder=tmp_path))
    before = prefect.family("cpu-worker")
    night = order(prefect, FIRST, recipe, **GPU)
    until(lambda: any(pieces.glob("*-embed-*/pieces/part-00000-00000.parquet")), 180, "the first piece is done")
    prefect.kill("gpu-worker")
    (finished,) = pieces.glob("*-embed-*/pieces/*.parquet")
    marked(finished)
    prefect.worker("gpu-worker", "gpu-pool")
    until(lambda: len(jobs(prefect, recipe)) == 2, 120, "the flow notices and orders another job")
    assert jobs(prefect, recipe)[0]["state_type"] == "CRASHED"
    until(lambda: jobs(prefect, recipe)[1]["state_type"] == "RUNNING", 120, "which runs")

    # and this one is cancelled, by way of the flow that ordered it
    stops(prefect, night, prefect.family("cpu-worker") - before)
    second = jobs(prefect, recipe)[1]["id"]
    assert prefect.ended(second, 60)["state_type"] in ("CANCELLED", "CRASHED", "COMPLETED")

    answer = run(recipe)["content_hash"]
    assert answer == run(recipe, export_path=str(tmp_path / "plain"))["content_hash"]
    vectors, = (tmp_path / "out" / "work").glob("*-embed-*/vectors/*.parquet")
    tokens = pq.read_table(vectors).column("num_embedding_tokens").to_pylist()
    assert len(tokens) == 1600 and [t == MARK for t in tokens] == [k < 1024 for k in range(1600)], "nor was any other"


MARK = 77_777


def marked(piece: Path) -> None:
    """Write a mark into a finished piece that decides nothing: if it is found in the end, the piece was not done again."""
    table = pq.read_table(piece)
    at = table.schema.get_field_index("num_embedding_tokens")
    pq.write_table(table.set_column(at, "num_embedding_tokens", pa.array([MARK] * len(table), pa.int64())), piece)


def jobs(prefect: Loopback, recipe: Path) -> list[dict]:
    return [r for r in prefect.runs("model-stage") if r["parameters"]["recipe_path"] == str(recipe)]
