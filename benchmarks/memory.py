"""Peak memory of the whole process tree while a corpus larger than memory's allowance passes through ten filters.

    python benchmarks/memory.py [--gb 4] [--workers 2] [--data FOLDER]

Generates the corpus (sentences of a word list drawn by hash, a tenth of them repeated), runs a recipe of ten filters
with `tamis run`, samples the sum of resident memory of the process and all its descendants every 50 ms (shared pages
are counted once per process, so the figure is an upper bound), and prints one table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FILTERS = [
    {"text_length_filter": {"min_len": 10}}, {"words_num_filter": {"min_num": 5}}, {"average_line_length_filter": {}},
    {"maximum_line_length_filter": {}}, {"alphanumeric_filter": {}}, {"special_characters_filter": {"max_ratio": 0.4}},
    {"character_repetition_filter": {}}, {"word_repetition_filter": {}}, {"stopwords_filter": {"min_ratio": 0.0}},
    {"flagged_words_filter": {}},
]


def generate(path: Path, size: int) -> int:
    """Write about `size` bytes of JSONL; answer the number of rows."""
    random = np.random.default_rng(0)
    heads, tails = ("ka", "the", "lo", "mi", "and", "ser", "to"), ("", "n", "ria", "of", "den", "x", "le", "t")
    vocabulary = np.array([a + b for a in heads for b in tails])
    rows = written = 0
    with path.open("w", encoding="utf-8") as f:
        while written < size:
            words = random.choice(vocabulary, (200, 300))
            lengths = random.integers(20, 300, 200)
            block = "".join(
                json.dumps({"id": rows + i, "text": " ".join(w[:n]) + ".\n" + " ".join(w[: n // 3]), "source": "generated"}) + "\n"
                for i, (w, n) in enumerate(zip(words, lengths, strict=True))
            )
            f.write(block)
            written += len(block)
            rows += 200
    return rows


def resident(pid: int) -> int:
    """Bytes of resident memory of a process and its descendants."""
    children: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        total += sizes.get(one, 0)
        todo += children.get(one, [])
    return total


def main() -> None:
    """Generate, run, sample, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="keep the corpus here and take it again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.data) as scratch:
        corpus = (asked.data or Path(scratch)) / f"memory-{asked.gb:g}gb.jsonl"
        if not corpus.exists():
            generate(corpus, int(asked.gb * 1e9))
        recipe = Path(scratch, "recipe.yaml")
        words = {"dataset_path": str(corpus), "export_path": str(Path(scratch, "out")), "np": asked.workers, "process": FILTERS}
        recipe.write_text(json.dumps(words))
        began, peak = time.perf_counter(), 0
        with Path(scratch, "manifest").open("w") as out:
            run = subprocess.Popen([sys.executable, "-m", "tamis", "run", str(recipe), "--json"], stdout=out)
            while run.poll() is None:
                peak = max(peak, resident(run.pid))
                time.sleep(0.05)
        seconds = time.perf_counter() - began
        if run.returncode:
            sys.exit(run.returncode)
        manifest = json.loads(Path(scratch, "manifest").read_text())
        size = corpus.stat().st_size
        print("| corpus GB | rows in | rows out | workers | seconds | MB/s | peak RSS of the tree, MB |")
        print("|---|---|---|---|---|---|---|")
        print(f"| {size / 1e9:.2f} | {manifest['rows_in']:,} | {manifest['rows_out']:,} | {asked.workers} | {seconds:.0f} "
              f"| {size / seconds / 1e6:.0f} | {peak / 1e6:.0f} |")


if __name__ == "__main__":
    main()
