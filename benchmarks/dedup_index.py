"""An index of documents built, extended five times, compacted: seconds, and bytes read against its size.

    python benchmarks/dedup_index.py [--build 200000] [--extend 10000] [--times 5] [--folder FOLDER]

The corpus is generated: texts of 60 to 300 words of a vocabulary of 50,000; of each batch, 3 in 10 are copies of an earlier
text (of any batch) with 0 to 3 % of their words changed. Settings are the recipe's defaults (space, 5 words, 256 permutations,
Jaccard >= 0.7, verified). `plain` is the same batch deduplicated within itself, without an index; `from scratch` the time that
deduplicating everything known so far would take, measured once, at the end. `read` is what lookups read of the index.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.run import run

OP = "document_minhash_deduplicator"


def generate(count: int, kept: list[np.ndarray], chance: np.random.Generator) -> list[np.ndarray]:
    """`count` texts as word numbers; `kept` are a few earlier ones that are copied from."""
    texts = []
    for copy, length in zip(chance.random(count) < 0.3, chance.integers(60, 300, count), strict=True):
        if copy and kept:
            text = kept[chance.integers(len(kept))].copy()
            change = chance.random(len(text)) < chance.choice([0.0, 0.01, 0.03])
            text[change] = chance.integers(0, 50_000, change.sum())
        else:
            text = chance.integers(0, 50_000, length)
        texts.append(text)
        if len(kept) < 20_000:
            kept.append(text)
        elif chance.random() < 0.1:
            kept[chance.integers(len(kept))] = text
    return texts


def write(path: Path, texts: Sequence[np.ndarray]) -> Path:
    """One JSONL file."""
    words = [f"w{i:x}" for i in range(50_000)]
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": " ".join([words[w] for w in text])}) + "\n")
    return path


def timed(data: str | list[str], out: Path, **how: Any) -> tuple[float, dict[str, Any], dict[str, int]]:
    """Seconds of the deduplication and of remembering, without reading and export; the manifest; what was read of the index."""
    began = time.perf_counter()
    manifest = run({"dataset_path": data, "export_path": str(out), "np": 1, "process": [{OP: how}]})
    whole = time.perf_counter() - began
    others = sum(t["seconds"] for t in manifest["timing"] if t["stage"] != 2)
    told = next(iter((out / "work").glob("*-dedup-*/lookup.json")), None)
    lookup = json.loads(told.read_text()) if told else {"bytes_read": 0, "hits": 0}
    shutil.rmtree(out)
    return whole - others, manifest, lookup


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--build", type=int, default=200_000)
    asked.add_argument("--extend", type=int, default=10_000)
    asked.add_argument("--times", type=int, default=5)
    asked.add_argument("--folder", type=Path)
    told = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tamis-index-", dir=told.folder))
    chance, kept = np.random.default_rng(0), list[np.ndarray]()
    timed(str(write(folder / "warm.jsonl", generate(100, kept, chance))), folder / "warm", remember=str(folder / "warming"))
    files = [write(folder / "day0.jsonl", generate(told.build, kept, chance))]
    files += [write(folder / f"day{i}.jsonl", generate(told.extend, kept, chance)) for i in range(1, told.times + 1)]
    index = folder / "index"
    names = ("documents", "left", "indexed", "seconds", "plain s", "index MB", "read MB", "share")
    print("".join([" " * 14, *(f"{name:>10}" for name in names)]))
    Path("/proc/self/clear_refs").write_text("5")  # peak memory from here on, without the generator's
    for day, file in enumerate(files):
        plain, _, _ = timed(str(file), folder / "plain")
        size = layout.read(index).bytes if day else 0  # type: ignore[union-attr]
        how: dict[str, Any] = {"against": str(index), "remember": True} if day else {"remember": str(index)}
        row(f"extend {day}" if day else "build", *timed(str(file), folder / "out", **how), plain, size)
    began = time.perf_counter()
    upkeep.compact(index)
    print(f"{'compact':<14}{upkeep.load(index).documents:>10,}{'':>20}{time.perf_counter() - began:>10.2f}")
    more = write(folder / "more.jsonl", generate(told.extend, kept, chance))
    size = upkeep.load(index).bytes
    row("after compact", *timed(str(more), folder / "out", against=str(index)), float("nan"), size)
    few = write(folder / "few.jsonl", generate(200, kept, chance))
    row("200 documents", *timed(str(few), folder / "out", against=str(index)), float("nan"), size)
    seconds, manifest, _ = timed([str(f) for f in files], folder / "all")
    print(f"{'from scratch':<14}{manifest['rows_in']:>10,}{manifest['rows_left']:>10,}{'':>10}{seconds:>10.2f}")
    print({k: f"{v / 1e6:.1f} MB" for k, v in upkeep.described(index)["files"].items()})
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"peak memory {int(peak.split()[1]) / 1000:,.0f} MB, one process")
    shutil.rmtree(folder)


def row(name: str, seconds: float, manifest: dict[str, Any], lookup: dict[str, int], plain: float, size: int) -> None:
    """One line of the table."""
    left = manifest["steps"][1]["left"]
    share = f"{lookup['bytes_read'] / size:.1%}" if size else ""
    print(f"{name:<14}{manifest['rows_in']:>10,}{manifest['rows_left']:>10,}{left.get('indexed', 0):>10,}{seconds:>10.2f}"
          f"{plain:>10.2f}{size / 1e6:>10.1f}{lookup['bytes_read'] / 1e6:>10.1f}{share:>10}", flush=True)


if __name__ == "__main__":
    main()
