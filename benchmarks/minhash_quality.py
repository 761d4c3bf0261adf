"""What near-duplicate removal finds of the truth, ours and the peers at the same settings.

    python benchmarks/minhash_quality.py PATH.jsonl[.zst] ... [--docs 20000] [--threshold 0.7] [--permutations 256]
                                         [--peers SITE-PACKAGES ...] [--only NAME ...]

The truth is the exact Jaccard similarity of 5-word shingles of all pairs. Pairs: share of the true pairs that end in one
cluster (ours; peers answer rows only). Removed: recall and precision of the rows taken out, against those that the clusters of
true pairs would take out. Where the file tells the exact Jaccard of a row with the one before it in its cluster
(`jaccard5_prev`, four digits), ours over the file's own tokens is compared with it.
"""

import argparse
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard


def share(part: int, whole: int) -> str:
    """`0.9983`; a dash of nothing."""
    return f"{part / whole:.4f}" if whole else "-"


def told_likeness(path: Path, most: int) -> float | None:
    """Largest difference between `jaccard5_prev` in the file and our exact Jaccard of those two rows; None where not told."""
    from tamis.operators.dedup.edges import jaccard
    from tamis.operators.dedup.shingles import shingle_sets

    with path.open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        rows = [json.loads(line) for line, _ in zip(lines, range(most), strict=False)]
    before: dict[str, int] = {}
    pairs = []
    for i, row in enumerate(rows):
        if row.get("jaccard5_prev") is not None and row["cluster"] in before:
            pairs.append((before[row["cluster"]], i))
        before[row.get("cluster", "")] = i
    if not pairs:
        return None
    words = pa.array([" ".join(re.findall(r"\w+", row["text"].lower())) for row in rows])  # the file's own tokens
    a, b = np.array(pairs).T
    found = jaccard(shingle_sets(words), a, b)
    return float(np.abs(found - np.array([rows[i]["jaccard5_prev"] for i in b])).max())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--permutations", type=int, default=256)
    parser.add_argument("--peers", nargs="*", default=[])
    parser.add_argument("--only", nargs="*")
    how = parser.parse_args()
    sys.path += how.peers
    import minhash_peers as peers
    from minhash_truth import read, true_pairs, truly_removed

    from tamis.operators.dedup.components import components
    from tamis.operators.dedup.edges import link, suspects
    from tamis.operators.dedup.minhash import minhash_keys
    from tamis.operators.dedup.shingles import shingle_sets

    print("| corpus | documents | true pairs | system | pairs | removed: recall | precision |\n|---|---|---|---|---|---|---|")
    for path in how.paths:
        text = pa.array(read(path, how.docs), pa.string())
        sets = shingle_sets(text)
        a, b = true_pairs(sets, how.threshold)
        gone = truly_removed(a, b, len(text))
        keys = minhash_keys(text, jaccard_threshold=how.threshold, num_permutations=how.permutations)
        some = shingle_sets(pc.if_else(pa.array(suspects(keys)), text, pa.scalar(None, text.type)))
        edges = link(keys, some, how.threshold)
        labels = components(edges.a, edges.b, len(text))
        pairs = f"{np.mean(labels[a] == labels[b]):.4f}" if len(a) else "-"
        name = path.name.removesuffix(".jsonl.zst")
        for system, find in peers.SYSTEMS.items():
            if how.only and system not in how.only:
                continue
            try:
                removed = find(text, how.threshold, how.permutations, 1)
            except ImportError:
                continue
            right = (removed & gone).sum()
            print(f"| {name} | {len(text):,} | {len(a):,} | {system} | {pairs if system == 'tamis, verified' else ''} "
                  f"| {share(right, gone.sum())} | {share(right, removed.sum())} |", flush=True)
        told = told_likeness(path, how.docs)
        if told is not None:
            print(f"{name}: our Jaccard and the file's differ by {told:.6f} at most")


if __name__ == "__main__":
    main()
