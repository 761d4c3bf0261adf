"""What a flow costs beyond the run itself, in seconds per stage: the same recipe by `run`, as a flow, and as a flow that resumes.

    python benchmarks/flow_overhead.py [--rounds 5] [--documents 400]

A Prefect server of its own is started on this machine. What a deployed run costs for the start of its process is told apart.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.testing.utilities import prefect_test_harness

from tamis.flows.curate import curate
from tamis.pipeline.run import run

CORPUS = Path(__file__).parents[1] / "recipes" / "data" / "corpus.jsonl"
PROCESS = ["whitespace_normalization_mapper", "document_deduplicator", {"text_length_filter": {"min_len": 200}},
           {"document_minhash_deduplicator": {}}, {"random_selector": {"select_num": 50}}]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=400)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, prefect_test_harness(server_startup_timeout=120):
        folder = Path(name)
        rows = CORPUS.read_text("utf-8").splitlines(keepends=True)[: asked.documents]
        (folder / "data.jsonl").write_text("".join(rows), "utf-8")
        recipe = folder / "recipe.yaml"
        words = {"dataset_path": str(folder / "data.jsonl"), "process": PROCESS, "np": 1, "export_path": "unused"}
        recipe.write_text(json.dumps(words))
        stages = len(run(recipe, export_path=str(folder / "warm"))["timing"])
        curate(str(recipe), {"export_path": str(folder / "warm-flow")})
        times = measured(recipe, folder, asked.rounds)
        start = started()
    show(times, stages, start)


def measured(recipe: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Way -> seconds of each round, the ways in turn."""
    times: dict[str, list[float]] = {"run": [], "flow": [], "run again": [], "flow again": []}
    for k in range(rounds):
        plain, flow = str(folder / f"run-{k}"), {"export_path": str(folder / f"flow-{k}")}
        times["run"].append(seconds(run, recipe, export_path=plain))
        times["flow"].append(seconds(curate, str(recipe), flow))
        times["run again"].append(seconds(run, recipe, export_path=plain))
        times["flow again"].append(seconds(curate, str(recipe), flow))
    return times


def seconds(do: Callable[..., Any], *args: Any, **settings: Any) -> float:
    """Of one call."""
    began = time.perf_counter()
    do(*args, **settings)
    return time.perf_counter() - began


def started() -> float:
    """Seconds until a fresh Python has the flow imported: what each deployed run begins with."""
    command = [sys.executable, "-c", "import tamis.flows.curate"]
    return statistics.median(seconds(subprocess.run, command, check=True) for _ in range(3))


def show(times: dict[str, list[float]], stages: int, start: float) -> None:
    """Medians, and the difference by stage."""
    middle = {way: statistics.median(each) for way, each in times.items()}
    print(f"{stages} stages, {len(times['run'])} rounds, medians in seconds\n")
    print(f"{'':24}{'tamis run':>10}{'flow':>8}{'flow costs':>12}{'a stage':>9}")
    for told, plain, flow in (("everything to do", "run", "flow"), ("everything done before", "run again", "flow again")):
        more = middle[flow] - middle[plain]
        print(f"{told:24}{middle[plain]:10.2f}{middle[flow]:8.2f}{more:12.2f}{more / stages:9.2f}")
    print(f"\nA deployed run starts a process: {start:.1f} s for Python, Prefect and tamis, and Prefect's own polling before that.")


if __name__ == "__main__":
    main()
