"""Whole runs side by side with Data-Juicer: the same recipe, the same file, one process each, from JSON lines to JSON lines.

    python benchmarks/juicer_speed.py --data DIR --peer DIR/bin [--mb 20]

`--peer` is the folder with `dj-process` of an environment with py-data-juicer 1.6.1. Documents are drawn evenly from all files of
`--data`, as they are (`mixed`), and once more with all letters moved to Cyrillic (`cyrillic`: two bytes a letter). CPU seconds are
those of the process and its children; those of the same recipe on one document are told too, as they are paid once. Peak memory
is that of the largest process.
"""

import argparse
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
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


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """(CPU seconds, seconds, MB of the largest process) of a command. Raises RuntimeError where it fails."""
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1000


def once(tool: str, texts: list[str], process: list[dict[str, Any]], peer: Path) -> tuple[float, float, float, int]:
    """CPU seconds, seconds, MB and rows kept of one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts), "utf-8")
        words = {"dataset_path": str(folder / "in.jsonl"), "export_path": str(folder / "out.jsonl"), "np": 1, "process": process}
        if tool == "dj":
            words |= {"project_name": "speed", "use_cache": False, "open_monitor": False, "op_fusion": False}
        (folder / "recipe.yaml").write_text(json.dumps(words))
        command = [str(peer / "dj-process"), "--config", "recipe.yaml"] if tool == "dj" else [
            str(Path(sys.executable).parent / "tamis"), "run", "recipe.yaml", "--json"]
        used = measured(command, folder)
        return *used, sum(1 for _ in (folder / "out.jsonl").open("rb"))


def main() -> None:
    """Run all and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--peer", type=Path, required=True)
    asked.add_argument("--mb", type=float, default=20)
    asked.add_argument("--recipes", nargs="*", default=list(RECIPES))
    asked.add_argument("--corpora", nargs="*", default=["mixed", "cyrillic"])
    told = asked.parse_args()
    mixed = documents(told.data, int(told.mb * 1e6))
    for corpus in told.corpora:
        texts = mixed if corpus == "mixed" else [moved(t) for t in mixed]
        size = sum(len(t.encode()) for t in texts) / 1e6
        print(f"{corpus}: {len(texts):,} documents, {size:.1f} MB", flush=True)
        for recipe in told.recipes:
            rates = []
            for tool in ("tamis", "dj"):
                once(tool, texts[:1], RECIPES[recipe], told.peer)  # compiled, and read from disk
                start = once(tool, texts[:1], RECIPES[recipe], told.peer)[0]
                cpu, seconds, memory, kept = once(tool, texts, RECIPES[recipe], told.peer)
                rates.append((len(texts) / cpu, len(texts) / max(cpu - start, 1e-3)))
                print(f"  {recipe:24} {tool:6} {cpu:7.1f} CPU s ({start:.1f} to start), {seconds:6.1f} s, {memory:5.0f} MB, "
                      f"{rates[-1][0]:7.0f} documents/CPU s ({rates[-1][1]:.0f} without start), {kept:,} kept", flush=True)
            times, bare = (ours / theirs for ours, theirs in zip(*rates, strict=True))
            print(f"  {recipe:24} times  {times:.1f} ({bare:.1f} without start)", flush=True)


if __name__ == "__main__":
    main()
