"""Near-duplicate removal of generated corpora from file to files: seconds, peak memory of the process tree, planted pairs found.

    python benchmarks/dedup_scale.py [--docs 100000 300000 1000000] [--workers 2] [--data FOLDER] [--exact]

Documents of 40 to 60 words (about 330 bytes) are drawn by hash. Of ten, seven stand alone, two are a copy of one of those
with one word exchanged (Jaccard of 5-word shingles 0.76 to 0.96), one is an exact copy. `tamis run` reads the JSONL, removes
near-duplicates (256 permutations, Jaccard >= 0.7, verified) and writes Parquet. Recall: planted pairs that ended in one
cluster; wrong: rows that share a cluster with a row of another family. Resident memory of the process and its descendants is
summed every 50 ms, shared pages once per process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from memory import resident

from tamis.pipeline.corpus import row_ids

LETTERS, VOCABULARY, LONGEST = 6, 50_000, 60
HEAD, TAIL = b'{"id": "%010d", "text": "', b'"}'
LINE = len(HEAD % 0) + LONGEST * (LETTERS + 1) - 1 + len(TAIL) + 1


def mixed(x: np.ndarray) -> np.ndarray:
    """splitmix64."""
    with np.errstate(over="ignore"):
        z = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def families(rows: np.ndarray) -> np.ndarray:
    """The document that each one is a copy of; itself where it stands alone."""
    alone = rows % 10 < 7
    base = mixed(rows + (1 << 40)) % np.maximum(rows, 1).astype(np.uint64)
    base = base.astype(np.int64)
    base -= np.where(base % 10 >= 7, 3, 0)
    return np.where(alone, rows, base)


def block(rows: np.ndarray, vocabulary: np.ndarray) -> np.ndarray:
    """uint8[n, LINE]: lines of JSON, padded with blanks behind the closing brace."""
    base = families(rows)
    places = np.arange(LONGEST)
    words = mixed(base[:, None] * LONGEST + places) % VOCABULARY
    edited = rows % 10 >= 8
    count = 40 + (mixed(base + (1 << 41)) % 21).astype(np.int64)
    place = (mixed(rows + (1 << 42)) % count.astype(np.uint64)).astype(np.int64)
    words[edited, place[edited]] = (words[edited, place[edited]] + 1 + mixed(rows[edited]) % (VOCABULARY - 1)) % VOCABULARY
    lines = np.full((len(rows), LINE), ord(" "), np.uint8)
    head = len(HEAD % 0)
    digits = rows[:, None] // 10 ** np.arange(9, -1, -1) % 10 + ord("0")
    lines[:, :head] = np.frombuffer(HEAD % 0, np.uint8)
    lines[:, 8:18] = digits
    text = np.full((len(rows), LONGEST, LETTERS + 1), ord(" "), np.uint8)
    text[:, :, :LETTERS] = vocabulary[words]
    text[places >= count[:, None]] = ord(" ")
    lines[:, head : LINE - len(TAIL) - 1] = text.reshape(len(rows), -1)[:, :-1]
    end = head + count * (LETTERS + 1) - 1
    for k, byte in enumerate(TAIL):
        lines[np.arange(len(rows)), end + k] = byte
    lines[:, -1] = ord("\n")
    return lines


def generate(path: Path, docs: int) -> None:
    """Write the corpus."""
    numbers = mixed(np.arange(VOCABULARY, dtype=np.uint64))
    vocabulary = np.stack([(numbers >> np.uint64(5 * k)) % np.uint64(26) + np.uint64(ord("a")) for k in range(LETTERS)], 1)
    with path.open("wb") as out:
        for low in range(0, docs, 20_000):
            block(np.arange(low, min(low + 20_000, docs)), vocabulary.astype(np.uint8)).tofile(out)


def watched(command: list[str], manifest: Path) -> tuple[float, int]:
    """Seconds, and peak resident bytes of the tree."""
    began, peak = time.perf_counter(), 0
    with manifest.open("w") as out:
        run = subprocess.Popen(command, stdout=out)
        while run.poll() is None:
            peak = max(peak, resident(run.pid))
            time.sleep(0.05)
    if run.returncode:
        sys.exit(run.returncode)
    return time.perf_counter() - began, peak


def found(stage: Path, source: str, docs: int) -> tuple[float, int]:
    """(share of planted pairs in one cluster, rows that share a cluster with another family)."""
    rows = np.arange(docs)
    base = families(rows)
    ids = row_ids(source, rows * LINE)
    order = np.argsort(ids)
    table = pq.read_table(stage / "clusters.parquet", columns=["__id__", "cluster"])
    member, name = (order[np.searchsorted(ids, table.column(c).to_numpy(), sorter=order)] for c in ("__id__", "cluster"))
    cluster = rows.copy()
    cluster[member] = name
    planted = base != rows
    return float((cluster[planted] == cluster[base[planted]]).mean()), int((base != base[cluster]).sum())


def main() -> None:
    """Generate, run, print, for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="where to write, and to keep the corpora")
    parser.add_argument("--exact", action="store_true", help="exact duplicates instead")
    asked = parser.parse_args()
    step = {"document_deduplicator": {}} if asked.exact else {"document_minhash_deduplicator": {}}
    print("| documents | MB | seconds | of it deduplication | docs/s | peak RSS, MB | planted found | wrong | measured recall |")
    print("|---|---|---|---|---|---|---|---|---|")
    for docs in asked.docs:
        with tempfile.TemporaryDirectory(dir=asked.data) as scratch:
            corpus, out = (asked.data or Path(scratch)) / f"scale-{docs}.jsonl", Path(scratch, "out")
            if not corpus.exists():
                generate(corpus, docs)
            recipe = Path(scratch, "recipe.yaml")
            recipe.write_text(json.dumps({
                "dataset_path": str(corpus), "export_path": str(out), "np": asked.workers, "process": [step]}))
            seconds, peak = watched([sys.executable, "-m", "tamis", "run", str(recipe), "--json"], Path(scratch, "manifest"))
            told = json.loads(Path(scratch, "manifest").read_text())
            (stage,) = (out / "work").glob("02-dedup-*")
            recall, wrong = found(stage, told["inputs"][0]["source"], docs)
            own = next(t["seconds"] for t in told["timing"] if t["stage"] == 2)
            measured = told["steps"][1]["facts"].get("measured_recall", "")
            print(f"| {docs:,} | {corpus.stat().st_size / 1e6:.0f} | {seconds:.1f} | {own:.1f} | {docs / seconds:,.0f} "
                  f"| {peak / 1e6:.0f} | {recall:.4f} | {wrong} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
