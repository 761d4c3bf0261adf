"""A run on a real cluster on loopback: it finishes, whoever dies, and its answers are those of one machine.

The package travels as a wheel; executors have a Python that could not import it otherwise.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")
from standalone import SMALL, Cluster, kill, small_venv, wait_for

from tamis.pipeline.run import run

ROOT = Path(__file__).parents[2]
PROCESS: list[dict[str, Any]] = [
    {"whitespace_normalization_mapper": {}}, {"text_length_filter": {"min_len": 100}}, {"document_deduplicator": {"lowercase": True}},
    {"document_minhash_deduplicator": {"jaccard_threshold": 0.7}}, {"random_selector": {"select_ratio": 0.5}},
]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    if subprocess.run([*command, "--no-build-isolation"], capture_output=True, check=False).returncode:
        subprocess.run(command, check=True)
    return next(folder.glob("tamis-*.whl"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, demo_corpus: Path) -> Path:
    """The demo corpus in 24 files, so in 24 parts."""
    folder, lines = tmp_path_factory.mktemp("data"), demo_corpus.read_text("utf-8").splitlines(keepends=True)
    for i in range(24):
        (folder / f"{i:02}.jsonl").write_text("".join(lines[i::24]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Any]:
    return run(words(data, tmp_path_factory.mktemp("local") / "out") | {"np": 1})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, wheel: Path, data: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def words(data: Path, out: Path) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(out), "process": PROCESS, "seed": 3}


def start(cluster: Cluster, wheel: Path, data: Path, folder: Path) -> "subprocess.Popen[str]":
    """`tamis submit`, as a user would call it."""
    folder.mkdir(exist_ok=True)
    python = cluster.folder / "venv" / "bin" / "python"
    if not python.exists():
        small_venv(cluster.folder / "venv")
    (folder / "recipe.yaml").write_text(json.dumps(words(data, Path("out"))))  # executors have other working folders than the driver
    confs = {
        "spark.pyspark.python": str(python), "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "512m", "spark.driver.memory": "512m", "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": SMALL, "spark.executor.extraJavaOptions": SMALL,
    }
    command = [sys.executable, "-m", "tamis", "submit", str(folder / "recipe.yaml"), "--master", cluster.master, "--package", str(wheel)]
    command += [w for k, v in confs.items() for w in ("--conf", f"{k}={v}")]
    log = (folder / "log").open("a")
    env = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.Popen(command, stdout=log, stderr=log, text=True, start_new_session=True, env=env, cwd=folder)


def finished(process: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    try:
        assert process.wait(150) == 0, (folder / "log").read_text()[-3000:]
    finally:
        kill(process)
    return json.loads((folder / "out" / "manifest.json").read_text())  # type: ignore[no-any-return]


def answers(manifest: dict[str, Any]) -> Any:
    steps = [(s["op"], s["rows_in"], s["rows_out"], s["left"], s["facts"]) for s in manifest["steps"]]
    return manifest["content_hash"], [f["digest"] for f in (*manifest["shards"], *manifest["ledger"], *manifest["kept"])], steps


def test_it_finishes_as_on_one_machine_whoever_dies(
    cluster: Cluster, wheel: Path, data: Path, local: dict[str, Any], tmp_path: Path
) -> None:
    """One test, so that one process has the cluster."""
    submitted(cluster, wheel, data, local, tmp_path / "first")
    the_driver_dies_and_then_a_worker(cluster, wheel, data, local, tmp_path / "second")


def submitted(cluster: Cluster, wheel: Path, data: Path, local: dict[str, Any], tmp_path: Path) -> None:
    manifest = finished(start(cluster, wheel, data, tmp_path), tmp_path)
    assert answers(manifest) == answers(local)
    log = (tmp_path / "log").read_text()
    assert "spark-submit --master spark://127.0.0.1" in log.replace("\n", "") and "tamis.zip#tamis-package" in log
    unpacked = {p.parts[-5] for p in cluster.folder.glob("worker*/app-*/*/tamis-package/tamis/pipeline")}
    assert len(unpacked) >= 1
    # what ran on the executors was what had travelled: Python left its compiled files there
    assert list(cluster.folder.glob("worker*/app-*/*/tamis-package/tamis/pipeline/stages/__pycache__/rows.*"))


def the_driver_dies_and_then_a_worker(cluster: Cluster, wheel: Path, data: Path, local: dict[str, Any], tmp_path: Path) -> None:
    work = tmp_path / "out" / "work"
    first = start(cluster, wheel, data, tmp_path)
    wait_for(lambda: first.poll() is not None or list(work.glob("01-rows-*/done.json")), "the first stage does not finish", 120)
    kill(first)
    assert not (tmp_path / "out" / "manifest.json").exists()
    made = {p: p.stat().st_mtime_ns for p in work.glob("01-rows-*/rows/*.parquet")}
    assert made
    there = len(list(work.glob("*/done/*.json")))
    second = start(cluster, wheel, data, tmp_path)
    wait_for(lambda: len(list(work.glob("*/*done/*.json"))) > there + 2 or second.poll() is not None, "the second run does nothing", 120)
    cluster.kill_worker(0)
    assert not (tmp_path / "out" / "manifest.json").exists(), "the run was over before the worker could be killed"
    manifest = finished(second, tmp_path)
    assert answers(manifest) == answers(local)
    assert manifest["timing"][0]["reused"] and {p: p.stat().st_mtime_ns for p in made} == made
    assert len(cluster.alive()) == 1
