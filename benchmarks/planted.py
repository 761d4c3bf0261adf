"""What became of the planted rows of the demo corpus, and how duplicates compare with exact Jaccard of all pairs.

    tamis run recipes/demo.yaml && python benchmarks/planted.py [RUN] [TRUTH]

First table: for each kind of planted row, how many left by a filter, as a duplicate, by selection, or stayed. Second: among the
rows that reached document_minhash_deduplicator, every pair is compared in plain Python (sets of 5-word shingles, no hashing)
and held against the pairs and clusters that the run found. Third, without the run: of each planted copy and the row that it is
a copy of, by the way in which it was changed: how alike they are by plain Python, and in how many cases the two end in one
cluster of the whole corpus by each kind of deduplication.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import link
from tamis.operators.dedup.exact import exact_evidence, exact_keys
from tamis.operators.dedup.hamming import near, simhash_keys
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets

THRESHOLD, WINDOW = 0.7, 5
KINDS = ("exact", "minhash", "character", "datatrove", "simhash")
FOLDED = {"lowercase": True, "ignore_non_character": True}


def shingles(text: str) -> frozenset[str]:
    """The set of 5-word windows; of a shorter text the whole."""
    words = [w for w in text.lower().split(" ") if w]
    return frozenset(" ".join(words[i : i + WINDOW]) for i in range(max(1, len(words) - WINDOW + 1))) if words else frozenset()


def pairs_of(sets: dict[int, frozenset[str]]) -> dict[tuple[int, int], float]:
    """All pairs with Jaccard >= 0.7, by an inverted index over shingles."""
    index: dict[str, list[int]] = defaultdict(list)
    for row, found in sets.items():
        for shingle in found:
            index[shingle].append(row)
    common: Counter[tuple[int, int]] = Counter()
    for rows in index.values():
        common.update((a, b) for i, a in enumerate(rows) for b in rows[i + 1 :])
    ordered = {(min(p), max(p)): n for p, n in common.items()}
    scored = {p: n / (len(sets[p[0]]) + len(sets[p[1]]) - n) for p, n in ordered.items()}
    return {p: j for p, j in scored.items() if j >= THRESHOLD}


def fates(run: Path, truth: Path) -> None:
    """Print the first table."""
    rows = {r["__position__"]: r for r in pq.read_table(run / "ledger").to_pylist()}
    source = Path(json.loads((run / "manifest.json").read_text())["inputs"][0]["path"])
    kinds = {r["id"]: r for r in map(json.loads, truth.read_text("utf-8").splitlines())}
    table: dict[str, Counter[str]] = defaultdict(Counter)
    at = 0
    for line in source.read_bytes().splitlines(keepends=True):
        told = kinds[json.loads(line)["id"]]
        kind = " ".join(filter(None, (told["kind"], told.get("transform"), told.get("defect"))))
        left = rows.get(at)
        at += len(line)
        reason = left["reason"] if left else "stayed"
        table[kind][reason if reason in ("duplicate", "not_selected", "stayed") else "filtered"] += 1
    print("| planted | rows | filtered | duplicate | not selected | stayed |\n|---|---|---|---|---|---|")
    for kind, n in sorted(table.items()):
        print(f"| {kind} | {n.total()} | {n['filtered']} | {n['duplicate']} | {n['not_selected']} | {n['stayed']} |")


def duplicates(run: Path) -> None:
    """Print the second table."""
    work = run / "work"
    stage = next(work.glob("03-dedup-*"))
    gone = set(pq.read_table(next(work.glob("02-dedup-*")) / "ledger").column("__id__").to_pylist())
    files = sorted(next(work.glob("01-rows-*")).glob("rows/*"))
    texts = pa.concat_tables([pq.read_table(p, columns=["__id__", "text"]) for p in files])
    sets = {r["__id__"]: shingles(r["text"]) for r in texts.to_pylist() if r["__id__"] not in gone}
    true = pairs_of(sets)
    found = [(min(r["a"], r["b"]), max(r["a"], r["b"])) for r in pq.read_table(stage / "pairs.parquet").to_pylist()]
    cluster = {r["__id__"]: r["cluster"] for r in pq.read_table(stage / "clusters.parquet").to_pylist()}
    together = sum(cluster.get(a, a) == cluster.get(b, b) for a, b in true)
    right = sum(p in true for p in found)
    linked = {r for p in true for r in p}
    print("\n| rows | pairs with J >= 0.7 | in one cluster | recall | edges found | of them true | precision | rows missed |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| {len(sets):,} | {len(true)} | {together} | {together / max(len(true), 1):.4f} | {len(found)} | {right} "
          f"| {right / max(len(found), 1):.4f} | {len(linked - set(cluster))} |")


def components_of(text: pa.Array, kind: str) -> np.ndarray:
    """int64[n]: the cluster of each text by one kind of deduplication."""
    if kind == "exact":
        found = link(exact_keys(text, **FOLDED), exact_evidence(text, **FOLDED))
    elif kind == "simhash":
        hashes = simhash_keys(text)
        found = near(hashes.flatten().to_numpy(), np.flatnonzero(np.diff(hashes.offsets.to_numpy())))
    else:
        how = {} if kind == "minhash" else {"tokenization": kind, "window_size": 12 if kind == "character" else WINDOW}
        found = link(minhash_keys(text, **how), shingle_sets(text, **how), THRESHOLD)
    return components(found.a, found.b, len(text))


def transforms(source: Path, truth: Path) -> None:
    """Print the third table."""
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    place = {row["id"]: i for i, row in enumerate(rows)}
    text = pa.array([row["text"] for row in rows])
    labels = {kind: components_of(text, kind) for kind in KINDS}
    pairs: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for told in map(json.loads, truth.read_text("utf-8").splitlines()):
        if told.get("of") in place:
            pairs[" ".join(filter(None, (told["kind"], told.get("transform"))))].append((place[told["id"]], place[told["of"]]))
    print(f"\n| planted copy | pairs | median Jaccard | >= {THRESHOLD} | {' | '.join(KINDS)} |")
    print("|---|---|---|---|" + "---|" * len(KINDS))
    for kind, some in sorted(pairs.items()):
        sets = [(shingles(rows[a]["text"]), shingles(rows[b]["text"])) for a, b in some]
        alike = np.array([len(x & y) / max(len(x | y), 1) for x, y in sets])
        a, b = np.array(some).T
        found = " | ".join(str((of[a] == of[b]).sum()) for of in labels.values())
        print(f"| {kind} | {len(some)} | {np.median(alike):.2f} | {(alike >= THRESHOLD).sum()} | {found} |")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/demo")
    truth = Path(sys.argv[2] if len(sys.argv) > 2 else "recipes/data/corpus_truth.jsonl")
    fates(folder, truth)
    duplicates(folder)
    transforms(truth.with_name("corpus.jsonl"), truth)
