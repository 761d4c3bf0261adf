"""What Spark costs: against the local engine on the same job, by number of partitions, and what moves between tasks.

    python benchmarks/spark.py FOLDER [--mb 120] [--rounds 1] [--part overhead|partitions|moved|all]

FOLDER holds text (JSONL, Parquet ...; docs/reading.md); about --mb megabytes of it are laid out anew in 64 files. The job is
six filters and MinHash with verification. `overhead`: the command, from start to end, two workers on either engine.
`partitions`: one warm session, the same job in 1 to 64 tasks a stage. `moved`: from Spark's own metrics (its event log), for
each job: core-seconds, bytes shuffled, bytes that came to the driver; and from these figures what 1 TB and 100 TB cost.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tamis.pipeline import corpus
from tamis.pipeline.formats import splits
from tamis.pipeline.run import run

FILES = 64
PROCESS: list[dict[str, Any]] = [
    {"whitespace_normalization_mapper": {}}, {"text_length_filter": {"min_len": 50}}, {"alphanumeric_filter": {"min_ratio": 0.4}},
    {"words_num_filter": {"min_num": 10}}, {"maximum_line_length_filter": {"min_len": 20}},
    {"character_repetition_filter": {"max_ratio": 0.6}}, {"stopwords_filter": {"min_ratio": 0.0}},
    {"document_minhash_deduplicator": {"jaccard_threshold": 0.7}},
]
PARTITIONS = (1, 2, 4, 8, 17, 64)
# The cluster that costs are computed for: 40 machines of 16 vCPU and 64 GB, on-demand at 0.05 USD a vCPU hour (about what the large
# clouds ask for general machines), 10 Gbit/s each; a vCPU taken as one core of the machine that measured.
MACHINES, CORES, PRICE, NETWORK = 40, 16, 0.05, 1.25e9
AVERAGE = 3000  # bytes of a document, for numbers of rows


def lay_out(source: Path, folder: Path, size: int) -> tuple[int, int]:
    """Write FILES files of JSON lines; answer rows and bytes of text."""
    out = [(folder / f"{i:02}.jsonl").open("w", encoding="utf-8") for i in range(FILES)]
    rows = held = 0
    found = corpus.cut(tuple(corpus.discover([str(source)], base=Path.cwd())))
    for number, split in enumerate(found, 1):  # about as much of each
        for batch in corpus.read(split, text_keys=("text",), batch_rows=1000, batch_bytes=8 << 20, tolerate=True):
            for text in batch.column("text").to_pylist():
                if text is None:
                    continue
                out[rows % FILES].write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                rows, held = rows + 1, held + len(text.encode())
                if held >= size * number / len(found):
                    break
            if held >= size * number / len(found):
                break
    for file in out:
        file.close()
    return rows, held


def recipe(data: Path, out: Path, **keys: Any) -> dict[str, Any]:
    return {"dataset_path": str(data), "export_path": str(out), "process": PROCESS, "seed": 1, "np": 2, **keys}


def command(scratch: Path, words: dict[str, Any], **environment: str) -> None:
    """`tamis run`, in a process of its own."""
    (scratch / "r.yaml").write_text(json.dumps(words))
    words_of = [sys.executable, "-m", "tamis", "run", str(scratch / "r.yaml"), "--json"]
    subprocess.run(words_of, check=True, capture_output=True, env=os.environ | environment)


def overhead(data: Path, scratch: Path, rounds: int, size: int) -> None:
    print("| engine | seconds, best | of which stages | MB/s |\n|---|--:|--:|--:|")
    best: dict[str, tuple[float, float]] = {}
    hashes = set()
    for number in range(rounds):
        for engine in ("local", "spark"):
            out = scratch / f"{engine}{number}"
            words = recipe(data, out, engine=engine, **({"spark_master": "local[2]"} if engine == "spark" else {}))
            began = time.perf_counter()
            command(scratch, words)
            seconds = time.perf_counter() - began
            manifest = json.loads((out / "manifest.json").read_text())
            hashes.add(manifest["content_hash"])
            best[engine] = min(best.get(engine, (1e9, 0.0)), (seconds, sum(t["seconds"] for t in manifest["timing"])))
            shutil.rmtree(out)
    for engine, (seconds, stages) in best.items():
        print(f"| {engine}, 2 workers | {seconds:.1f} | {stages:.1f} | {size / 1e6 / seconds:.1f} |")
    print(f"\nratio {best['spark'][0] / best['local'][0]:.2f}, of the stages alone {best['spark'][1] / best['local'][1]:.2f}; "
          f"the same content hash: {len(hashes) == 1}\n")


def partitions(data: Path, scratch: Path, rows: int) -> None:
    from tamis.pipeline.engines.spark import SparkEngine

    session = SparkEngine("local[2]", 2)._start()
    run(recipe(data, scratch / "warm", engine="spark", spark_partitions=2))
    print("| partitions | seconds | rows/s |\n|--:|--:|--:|")
    for number in PARTITIONS:
        began = time.perf_counter()
        run(recipe(data, scratch / f"p{number}", engine="spark", spark_partitions=number))
        seconds = time.perf_counter() - began
        print(f"| {number} | {seconds:.1f} | {rows / seconds:,.0f} |", flush=True)
    session.stop()
    print()


def jobs(log: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """(what, figures) of each job of an event log, in order."""
    stage_of: dict[int, str] = {}
    found: dict[str, dict[str, float]] = {}
    for line in log.read_text("utf-8").splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            what = (event.get("Properties") or {}).get("spark.job.description", "stars")
            stage_of |= dict.fromkeys(event["Stage IDs"], what)
            found.setdefault(what, {"tasks": 0, "seconds": 0.0, "shuffled": 0, "driver": 0})
        elif event["Event"] == "SparkListenerTaskEnd" and (metrics := event.get("Task Metrics")):
            told = found[stage_of[event["Stage ID"]]]
            told["tasks"] += 1
            told["seconds"] += metrics["Executor Run Time"] / 1000
            told["shuffled"] += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            told["driver"] += metrics["Result Size"]
    yield from found.items()


def moved(data: Path, scratch: Path, rows: int, size: int) -> None:
    log = scratch / "events"
    log.mkdir()
    words = recipe(data, scratch / "moved", engine="spark", spark_master="local[2]")
    confs = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{log}", "spark.eventLog.compress": "false",
             "spark.eventLog.rolling.enabled": "false"}
    command(scratch, words, PYSPARK_SUBMIT_ARGS=" ".join(f"--conf {k}={v}" for k, v in confs.items()) + " pyspark-shell")
    total = {"tasks": 0.0, "seconds": 0.0, "shuffled": 0.0, "driver": 0.0}
    print("| job | tasks | core-seconds | bytes shuffled a row | bytes to the driver a row |\n|---|--:|--:|--:|--:|")
    for what, told in jobs(next(p for p in log.iterdir() if p.is_file() and not p.name.startswith("."))):
        total = {k: total[k] + told[k] for k in total}
        print(f"| {what.removeprefix('tamis ')} | {told['tasks']:.0f} | {told['seconds']:.1f} | {told['shuffled'] / rows:.1f} | "
              f"{told['driver'] / rows:.1f} |")
    print("| all | {tasks:.0f} | {seconds:.1f} | ".format(**total)
          + f"{total['shuffled'] / rows:.1f} | {total['driver'] / rows:.1f} |")
    print(f"\nA row has {size / rows:,.0f} bytes of text: {total['shuffled'] / size:.1%} as much was shuffled, "
          f"{total['driver'] / size:.2%} came to the driver.\n")
    costs(total["seconds"] / size, total["shuffled"] / size)


def costs(seconds: float, shuffled: float) -> None:
    """From core-seconds and shuffled bytes for each byte of text."""
    print(f"{MACHINES} machines of {CORES} vCPU at {PRICE} USD a vCPU hour:\n")
    print("| text | rows | parts | core-hours | USD | hours | shuffled | of it a machine | on the wire, minutes |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, size in (("1 TB", 1e12), ("100 TB", 1e14)):
        hours, moves = seconds * size / 3600, shuffled * size
        print(f"| {name} | {size / AVERAGE / 1e6:,.0f} million | {size / splits.LARGEST:,.0f} | {hours:,.0f} | "
              f"{hours * PRICE:,.0f} | {hours / MACHINES / CORES:,.1f} | {moves / 1e9:,.0f} GB | "
              f"{moves / MACHINES / 1e9:,.1f} GB | {moves / MACHINES / NETWORK / 60:,.1f} |")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--mb", type=float, default=120)
    asked.add_argument("--rounds", type=int, default=1)
    asked.add_argument("--part", default="all", choices=("overhead", "partitions", "moved", "all"))
    told = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="tamis-spark-") as folder:
        scratch = Path(folder)
        (data := scratch / "data").mkdir()
        rows, size = lay_out(told.folder, data, int(told.mb * 1e6))
        print(f"{rows:,} rows, {size / 1e6:,.0f} MB of text, {FILES} files\n", flush=True)
        if told.part in ("overhead", "all"):
            overhead(data, scratch, told.rounds, size)
        if told.part in ("partitions", "all"):
            partitions(data, scratch, rows)
        if told.part in ("moved", "all"):
            moved(data, scratch, rows, size)


if __name__ == "__main__":
    main()
