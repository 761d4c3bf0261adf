"""Whole runs side by side with Data-Juicer: the same recipe, the same file, one process each, from JSON lines to JSON lines.

    python benchmarks/juicer_speed.py --data DIR --peer DIR/bin [--mb 13 30] [--rounds 1] [--ways "np 1" "np 2" "np 1, fused"]

`--peer` is the folder with `dj-process` of an environment with py-data-juicer 1.6.1. Documents are drawn evenly from all files of
`--data`, as they are (`mixed`), and once more with all letters moved to Cyrillic (`cyrillic`: two bytes a letter). CPU seconds are
those of the process tree; those of the same recipe on one document are told too, as they are paid once, and what each document
more costs, from the smallest corpus to the largest. Ours and the peer's ways take turns. Memory is the peak of the whole tree,
pages that processes share counted once (PSS), sampled five times a second; both write nothing but the rows that stay and what a
run writes of itself: no tracer, no monitor, no cache, no stored numbers in the rows.
"""

import argparse
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

LISTS = str(Path(__file__).resolve().parents[1] / "recipes" / "tables")
SIX: list[dict[str, Any]] = [
    {"text_length_filter": {"min_len": 10}}, {"words_num_filter": {"min_num": 10}}, {"alphanumeric_filter": {"min_ratio": 0.25}},
    {"special_characters_filter": {"max_ratio": 0.5}}, {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.5}},
    {"word_repetition_filter": {"rep_len": 10, "max_ratio": 0.5}},
]
TEN = [
    *SIX, {"average_line_length_filter": {"min_len": 3}}, {"maximum_line_length_filter": {"min_len": 3}},
    {"stopwords_filter": {"min_ratio": 0.0, "stopwords_dir": LISTS}}, {"flagged_words_filter": {"flagged_words_dir": LISTS}},
]
RECIPES = {
    "ten filters": TEN,
    "six filters and MinHash": [*SIX, {"document_minhash_deduplicator": {"window_size": 5, "jaccard_threshold": 0.7}}],
}


def documents(folder: Path, size: int) -> list[str]:
    """Texts, evenly from all files, together about `size` bytes."""
    files = sorted(folder.rglob("*.jsonl*"))
    found: list[str] = []
    for file in files:
        raw = file.open("rb")
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if file.suffix == ".zst" else raw
        rows = [json.loads(line)["text"] for line in itertools.islice(io.TextIOWrapper(stream, encoding="utf-8"), 30_000)]
        share = size // len(files)
        step = max(1, sum(len(r) for r in rows) // share)
        found += rows[::step]
    return found


def moved(text: str) -> str:
    """The text with a to z moved into the Cyrillic block."""
    return text.translate({ord("a") + i: 0x430 + i for i in range(26)} | {ord("A") + i: 0x410 + i for i in range(26)})


WAYS: dict[str, dict[str, Any]] = {  # the peer's settings: each is tried, the fastest is what ours is held against
    "np 1": {"np": 1}, "np 2": {"np": 2}, "np 1, fused": {"np": 1, "op_fusion": True, "fusion_strategy": "greedy"},
}


@dataclass(frozen=True)
class Used:
    """What one run took: CPU seconds and MB of the tree, seconds, and the rows that it kept."""

    cpu: float
    seconds: float
    memory: float
    kept: int


def _tree(root: int) -> Iterator[int]:
    yield root
    try:
        for thread in Path(f"/proc/{root}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _tree(int(child))
    except OSError:  # it has ended
        return


def _memory(root: int) -> float:
    total = 0
    for pid in _tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1e3


def measured(command: list[str], folder: Path, watch: bool) -> tuple[float, float, float]:
    """(CPU seconds, seconds, peak MB) of a command's process tree. Raises RuntimeError where it fails."""
    began, peak, ended = time.perf_counter(), 0.0, threading.Event()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})

        def look() -> None:
            nonlocal peak
            while not ended.wait(0.2):
                peak = max(peak, _memory(child.pid))

        watcher = threading.Thread(target=look)
        if watch:
            watcher.start()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        ended.set()
        if watch:
            watcher.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
    return used.ru_utime + used.ru_stime, seconds, peak


def once(way: str, texts: list[str], process: list[dict[str, Any]], peer: Path, watch: bool = False) -> Used:
    """One run of ours (`tamis`) or of the peer in one of its ways."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts), "utf-8")
        words = {"dataset_path": str(folder / "in.jsonl"), "export_path": str(folder / "out.jsonl"), "np": 1, "process": process}
        if way in WAYS:
            words |= {"project_name": "speed", "use_cache": False, "open_monitor": False, "op_fusion": False} | WAYS[way]
        (folder / "recipe.yaml").write_text(json.dumps(words))
        command = [str(peer / "dj-process"), "--config", "recipe.yaml"] if way in WAYS else [
            sys.executable, "-m", "tamis", "run", "recipe.yaml", "--json"]
        used = measured(command, folder, watch)
        return Used(*used, sum(1 for _ in (folder / "out.jsonl").open("rb")))


def compared(recipe: str, sizes: list[list[str]], ways: list[str], rounds: int, peer: Path) -> None:
    """Print a line for each tool and size, and how many times ours is ahead of the peer's best way."""
    process, tools = RECIPES[recipe], ["tamis", *ways]
    for tool in tools:
        once(tool, sizes[0][:1], process, peer)  # compiled, and read from disk
    start = {tool: statistics.median(once(tool, sizes[0][:1], process, peer).cpu for _ in range(rounds)) for tool in tools}
    best: dict[str, list[float]] = {tool: [] for tool in tools}
    for texts in sizes:
        runs: dict[str, list[Used]] = {tool: [] for tool in tools}
        for _ in range(rounds):
            for tool in tools:
                runs[tool].append(once(tool, texts, process, peer, watch=True))
        mb = sum(len(t.encode()) for t in texts) / 1e6
        for tool, used in runs.items():
            cpu = statistics.median(u.cpu for u in used)
            best[tool].append(cpu)
            print(f"  {recipe:24} {len(texts):7,} documents {mb:6.1f} MB  {tool:12} {cpu:7.2f} CPU s ({start[tool]:.2f} to start), "
                  f"{statistics.median(u.seconds for u in used):6.1f} s, {max(u.memory for u in used):5.0f} MB, "
                  f"{len(texts) / cpu:7,.0f} documents/CPU s, {used[0].kept:,} kept", flush=True)
        times = {tool: cpus[-1] / best["tamis"][-1] for tool, cpus in best.items() if tool in ways}
        print(f"  {recipe:24} times: " + ", ".join(f"{t:.1f} ({tool})" for tool, t in times.items()), flush=True)
    if len(sizes) > 1:
        more = len(sizes[-1]) - len(sizes[0])
        growth = {tool: (cpus[-1] - cpus[0]) / more for tool, cpus in best.items()}
        print(f"  {recipe:24} each document more, microseconds of CPU: "
              + ", ".join(f"{tool} {g * 1e6:.0f} ({g / growth['tamis']:.1f}x)" for tool, g in growth.items()), flush=True)


def main() -> None:
    """Run all and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--peer", type=Path, required=True)
    asked.add_argument("--mb", type=float, nargs="+", default=[13, 30])
    asked.add_argument("--rounds", type=int, default=1)
    asked.add_argument("--recipes", nargs="*", default=list(RECIPES))
    asked.add_argument("--corpora", nargs="*", default=["mixed", "cyrillic"])
    asked.add_argument("--ways", nargs="*", default=list(WAYS))
    told = asked.parse_args()
    sizes = [documents(told.data, int(mb * 1e6)) for mb in told.mb]
    for corpus in told.corpora:
        print(f"{corpus}:", flush=True)
        texts = sizes if corpus == "mixed" else [[moved(t) for t in size] for size in sizes]
        for recipe in told.recipes:
            compared(recipe, texts, told.ways, told.rounds, told.peer)


if __name__ == "__main__":
    main()
