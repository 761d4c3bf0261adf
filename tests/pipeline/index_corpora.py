"""Corpora with chains of near-duplicates, runs over them, and what must come of them by brute force, for the tests of the index."""

import json
import random
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tamis.operators.dedup.exact import exact_evidence, exact_keys
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets
from tamis.pipeline.run import run

MINHASH, EXACT = "document_minhash_deduplicator", "document_deduplicator"
WORDS = [f"word{i}" for i in range(4000)]
SIMILAR = {"jaccard_threshold": 0.7}


def corpus(seed: int, count: int) -> list[str]:
    """Texts of which half are changed copies of an earlier one, so that there are chains, stars and equal texts."""
    chance, texts = random.Random(seed), ["", "  ", "short one"]
    while len(texts) < count:
        if chance.random() < 0.5:
            words = chance.choice(texts).split()
            rate = chance.choice([0.0, 0.0, 0.01, 0.03, 0.06])
            texts.append(" ".join(chance.choice(WORDS) if chance.random() < rate else w for w in words))
        else:
            texts.append(" ".join(chance.choices(WORDS, k=chance.randint(15, 60))))
    chance.shuffle(texts)
    return texts


def splits(seed: int, count: int) -> list[int]:
    """Where two to four batches begin, and the end."""
    chance = random.Random(seed)
    return [0, *sorted(chance.sample(range(1, count), chance.randint(1, 3))), count]


def write(path: Path, texts: Sequence[str | None], first: int = 0) -> Path:
    """A JSONL file whose `n` tells the row's number in the whole corpus."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": first + i, "text": t}) + "\n" for i, t in enumerate(texts)), "utf-8")
    return path


def dedup(data: Path, out: Path, op: str = MINHASH, *, np: int = 1, **settings: Any) -> tuple[set[int], dict[str, Any]]:
    """The numbers of the rows that stay, and the manifest."""
    manifest = run({"dataset_path": str(data), "export_path": str(out), "np": np, "export_type": "parquet", "process": [{op: settings}]})
    rows = [n for s in manifest["shards"] for n in pq.read_table(out / s["path"], columns=["n"]).column(0).to_pylist()]
    return set(rows), manifest


def clusters(texts: Sequence[str | None], op: str, upto: int, **settings: Any) -> list[list[int]]:
    """Clusters of the first `upto` texts by brute force: all pairs that share a key, compared as Python sets."""
    column = pa.array(texts[:upto], pa.string())
    threshold = settings.get("jaccard_threshold", 0.7) if op == MINHASH else 1.0
    functions = (minhash_keys, shingle_sets) if op == MINHASH else (exact_keys, exact_evidence)
    keys, sets = ([set(row or ()) for row in f(column, **settings).to_pylist()] for f in functions)
    parent = list(range(upto))

    def root(x: int) -> int:
        while parent[x] != x:
            x = parent[x]
        return x

    for a, b in combinations(range(upto), 2):
        if keys[a] & keys[b] and sets[a] and len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
    found: dict[int, list[int]] = {}
    for x in range(upto):
        found.setdefault(root(x), []).append(x)
    return list(found.values())


def expected(texts: Sequence[str | None], op: str, begin: int, end: int, rule: str = "first", **settings: Any) -> set[int]:
    """Who of the rows `begin` to `end` stays: one of each cluster, over all rows up to `end`, that no earlier row is in."""
    stays = set()
    for cluster in clusters(texts, op, end, **settings):
        if min(cluster) >= begin:
            stays.add(min(cluster) if rule == "first" else max(cluster, key=lambda x: (len(texts[x] or ""), -x)))
    return stays


def grow(folder: Path, texts: Sequence[str | None], cuts: Sequence[int], op: str = MINHASH, **settings: Any) -> list[set[int]]:
    """Who stays of each batch, each compared with the index of those before it, which lies in `folder`/index."""
    kept = []
    for i, (low, high) in enumerate(pairwise(cuts)):
        data, index = write(folder / f"day{i}" / "crawl.jsonl", texts[low:high], low), str(folder / "index")
        how = {"remember": index} if i == 0 else {"against": index, "remember": True}
        kept.append(dedup(data, folder / f"out{i}", op, **settings, **how)[0])
    return kept
