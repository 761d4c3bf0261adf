"""Only stages that ask a model ask Spark for a GPU: on a small cluster whose one worker says that it has one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow
GPUS = """#!/bin/sh
echo '{"name": "gpu", "addresses": ["0"]}'
"""
SMALL = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def go(folder: Path) -> None:
    """In a process of its own, for a process has one Spark: sixteen parts on two cores and one GPU."""
    from pyspark.sql import SparkSession

    from tamis.pipeline.run import run

    settings = {
        "spark.worker.resource.gpu.amount": "1", "spark.worker.resource.gpu.discoveryScript": str(folder / "gpus.sh"),
        "spark.executor.resource.gpu.amount": "1", "spark.tamis.gpus": "1", "spark.executor.memory": "512m",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{folder / 'events'}", "spark.eventLog.compress": "false",
        "spark.driver.extraJavaOptions": SMALL, "spark.executor.extraJavaOptions": SMALL,
    }
    builder = SparkSession.builder.master("local-cluster[1,2,1024]").appName("gpus")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    run({"dataset_path": str(folder / "data"), "export_path": str(folder / "out"), "engine": "spark", "process": [
        {"text_length_filter": {}}, {"text_embedding_mapper": {"vector_key": "v"}}, {"kmeans_diversity_selector": {"k": 2, "select_num": 5}}]})
    session.stop()


def at_once(tasks: list[dict[str, Any]]) -> int:
    """How many of the tasks ran at the same time, at most; the driver hears of an end when the next one may have begun."""
    ends = sorted([(t["Task Info"]["Launch Time"], 1) for t in tasks]
                  + [(t["Task Info"]["Launch Time"] + t["Task Metrics"]["Executor Run Time"], -1) for t in tasks])
    running = most = 0
    for _, change in ends:
        running += change
        most = max(most, running)
    return most


def test_a_stage_that_asks_a_model_has_a_gpu_for_each_task_and_no_other_stage_has_one(tmp_path: Path) -> None:
    for name in ("data", "events"):
        (tmp_path / name).mkdir()
    for i in range(16):
        rows = [{"text": f"a text {i} {j}", "v": [float(i + 1), float(j), 1.0]} for j in range(5)]
        (tmp_path / "data" / f"{i:02}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (tmp_path / "gpus.sh").write_text(GPUS)
    (tmp_path / "gpus.sh").chmod(0o755)
    subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, timeout=240, capture_output=True,
                   env=os.environ | {"PYSPARK_PYTHON": sys.executable})
    events = [json.loads(line) for file in (tmp_path / "events").rglob("events_*") for line in file.open()]
    asked = {e["Resource Profile Id"]: e["Task Resource Requests"] for e in events if e["Event"].endswith("ResourceProfileAdded")}
    jobs = {s: e["Properties"]["spark.job.description"] for e in events if e["Event"].endswith("JobStart") for s in e["Stage IDs"]}
    profile = {e["Stage Info"]["Stage ID"]: e["Stage Info"]["Resource Profile Id"] for e in events if e["Event"].endswith("StageCompleted")}
    ran: dict[int, list[dict[str, Any]]] = {}
    for e in events:
        if e["Event"].endswith("TaskEnd"):
            ran.setdefault(e["Stage ID"], []).append(e)
    with_gpu = {s for s, p in profile.items() if "gpu" in asked[p]}
    assert {jobs[s] for s in with_gpu} == {"tamis EmbedTask"} and asked[profile[min(with_gpu)]]["gpu"]["Amount"] == 1.0
    assert {"tamis RowsTask", "tamis NearestTask"} <= {jobs[s] for s in profile if s not in with_gpu}
    assert all(at_once(ran[s]) == 1 for s in with_gpu) and max(at_once(tasks) for s, tasks in ran.items() if s not in with_gpu) == 2


if __name__ == "__main__":
    go(Path(sys.argv[1]))
