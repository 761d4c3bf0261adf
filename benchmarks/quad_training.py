"""What training gains from rows that were chosen: quad_selector, all rows scored, cheaper choices; equal tokens, equal compute.

Run: python benchmarks/quad_training.py /work/shared/data/pretrain [--out outputs/quad-training] [--seeds 3]
     (half an hour of one core for three seeds; each run is kept in the folder and not run again; `--show` prints what is there)

A pool of nine sources; a Llama of 1.3 million weights, trained on other rows of all nine; a reference of encyclopedia and news
pages, of which each seed gives one half to the choice and holds the other back as the judge. Each choice takes so many tokens of
the pool, the model is trained on with them, and the loss on the judge's half counts. `tokens`: all train on as many. `passes` and
`rows`: all may spend the compute that scoring every row and training on the chosen tokens takes together; what a choice did not
spend on choosing goes to more passes over its rows, or to more rows.
"""

import argparse
import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard

from tamis.selectors.base import Pool
from tamis.selectors.baselines import random_rows
from tamis.selectors.diversity import kmeans_diversity
from tamis.selectors.influence.network import losses
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
from tamis.selectors.quad import quad
from tamis.selectors.ranking import by_quality, dsir

CLEAN, EACH, REFERENCE, BASE = "wikitext2_c4_wiki", 220, 140, 500  # rows of a source in the pool; of the reference; for the base
TOKENS, TRAINED, FIT, WIDE, STEP, WORDS = 60_000, 600_000, 150, 128, 1024, 2048
CHOICES = ("random", "dsir", "perplexity, low", "perplexity, middle", "kmq", "quad", "top-k influence")
BANDIT: dict[str, Any] = {"k": 60, "batch": 40, "probes": 4, "pilot": 100, "parallel": 8}


def main() -> None:
    """Do what is not there yet, and print the tables."""
    read = argparse.ArgumentParser()
    read.add_argument("data", type=Path)
    read.add_argument("--out", type=Path, default=Path("outputs/quad-training"))
    read.add_argument("--seeds", type=int, default=3)
    read.add_argument("--ways", nargs="+", default=["tokens", "passes", "rows"])
    read.add_argument("--rate", type=float, default=1e-3)
    read.add_argument("--tune", action="store_true", help="only: what rate suits random rows")
    read.add_argument("--show", action="store_true")
    asked = read.parse_args()
    torch.set_num_threads(1)
    if not (asked.out / "model" / "model.safetensors").exists():
        make(asked.data, asked.out)
    world = World(asked.out)
    if asked.tune:
        world.tune()
        return
    if not asked.show:
        for way in asked.ways:
            for seed in range(asked.seeds):
                for name in CHOICES:
                    world.run(way, seed, name, asked.rate)
    show(asked.out)


def make(data: Path, out: Path) -> None:
    """The pool, the reference, the tokenizer and the model."""
    out.mkdir(parents=True, exist_ok=True)
    pool, base = [], []
    for file in sorted(data.glob("*.zst")):
        name = file.name.split(".")[0]
        with file.open("rb") as raw:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            texts = {t[:4000]: None for t in (json.loads(line).get("text") or "" for line in lines) if len(t) >= 200}
        rows = [{"text": t, "source": name} for t in sorted(texts, key=lambda t: hashlib.sha256(t.encode()).hexdigest())]
        if name == CLEAN:
            write(out / "reference.jsonl", rows[:REFERENCE])
            rows = rows[REFERENCE:]
            pool, base = [*pool, *rows[:-60]], [*base, *rows[-60:]]
        else:
            most = min(EACH, len(rows) - 60)
            pool, base = [*pool, *rows[:most]], [*base, *rows[most : most + BASE]]
    write(out / "pool.jsonl", pool)
    write(out / "base.jsonl", base)
    trained([r["text"] for r in base], out / "model")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as lines, shuffled by hash."""
    rows = sorted(rows, key=lambda r: hashlib.sha256(("order" + r["text"]).encode()).hexdigest())
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def texts_of(path: Path) -> list[str]:
    """The texts of a file."""
    return [json.loads(line)["text"] for line in path.open()]


def trained(texts: list[str], folder: Path) -> None:
    """A tokenizer of 2,048 and a Llama of four layers of 128, trained on these texts for 600,000 tokens."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    reader = Tokenizer(models.BPE())
    reader.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    ends = ["<|end|>"]
    how = trainers.BpeTrainer(vocab_size=WORDS, initial_alphabet=alphabet, special_tokens=ends, show_progress=False)
    reader.train_from_iterator(texts, how)
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=reader, eos_token=ends[0])
    words.save_pretrained(folder)
    torch.manual_seed(0)
    model: Any = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=None, eos_token_id=0))
    train(model, [np.array(words(t)["input_ids"], np.int64) for t in texts], TRAINED, 0, rate=3e-3, falling=True)
    model.save_pretrained(folder)


def train(model: Any, rows: Sequence[np.ndarray], tokens: int, seed: int, *, rate: float, falling: bool = False) -> None:
    """AdamW over so many tokens of the rows, in an order of the seed, pass after pass; 8 windows of 128 tokens a step.

    Products of matrices in bfloat16, all else in float32.
    """
    optimiser, steps = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1), tokens // STEP
    chance, held = np.random.default_rng(seed), np.empty(0, np.int64)
    model.train()
    for step in range(steps):
        while len(held) < STEP:
            held = np.concatenate([held, *(np.append(rows[i], 0) for i in chance.permutation(len(rows)))])
        batch, held = torch.from_numpy(held[:STEP].reshape(-1, WIDE)), held[STEP:]
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 10) * ((1 - 0.95 * step / steps) if falling else 1.0)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    model.eval()


@dataclass(frozen=True)
class Scored:
    """Rewards float64[n] by the half of the reference that the choice is given; the other half is the judge."""

    rewards: np.ndarray
    chosen: list[str]
    judge: list[str]


class World:
    """The pool and the model; runs choices and keeps what they came to."""

    def __init__(self, out: Path) -> None:
        self.out, self.model = out, out / "model"
        self.rows = [json.loads(line) for line in (out / "pool.jsonl").open()]
        self.texts, self.sources = [r["text"] for r in self.rows], np.array([r["source"] for r in self.rows])
        self.words = InfluenceModel(self.model).reader
        self.tokens = [np.array(self.words(t)["input_ids"], np.int64) for t in self.texts]
        self.cost = np.array([len(t) + 1 for t in self.tokens], np.float64)
        self.read = np.minimum(self.cost - 1, WIDE)  # tokens of a row that a model is asked about
        self.reference = texts_of(out / "reference.jsonl")
        self.flops = flops(self.model)

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32[n, 64]: words weighted by rarity, their first directions: next to no compute."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        found = TfidfVectorizer(sublinear_tf=True, min_df=3, max_features=20_000).fit_transform(self.texts)
        small = TruncatedSVD(64, random_state=0).fit_transform(found)
        return (small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-9)).astype(np.float32)

    @cached_property
    def loss(self) -> np.ndarray:
        """float64[n], nats per token of the base model; kept."""
        kept = self.out / "loss.npy"
        if not kept.exists():
            np.save(kept, asked_loss(InfluenceModel(self.model, settings(0)), self.texts))
        return np.load(kept)  # type: ignore[no-any-return]

    def scored(self, seed: int) -> Scored:
        """Rewards of all rows, from the half of the reference that is this seed's; kept."""
        order = np.random.default_rng(seed).permutation(len(self.reference))
        halves = [[self.reference[i] for i in half] for half in np.array_split(order, 2)]
        kept = self.out / f"scored-{seed}.npz"
        if not kept.exists():
            model, began = InfluenceModel(self.model, settings(seed)), time.process_time()
            fit = np.random.default_rng([seed, 1]).permutation(len(self.texts))[:FIT].tolist()
            factors = model.factors([(self.texts[i], 0) for i in fit], fit)
            query, fitted = model.query(factors, [(t, 0) for t in halves[0]]), time.process_time()
            rewards, ended = model.rewards([(t, 0) for t in self.texts], query), time.process_time()
            np.savez(kept, rewards=rewards, seconds=[fitted - began, ended - fitted])
        return Scored(np.load(kept)["rewards"], *halves)

    def choose(self, name: str, seed: int, budget: float) -> tuple[np.ndarray, int, float]:
        """The rows, how many were asked about, and the compute of it, in tokens of training."""
        told, ids, f = self.scored(seed), np.arange(len(self.texts)), self.flops
        plain = Pool(ids, cost=self.cost)
        if name == "random":
            return random_rows(plain, budget, seed=seed).index, 0, 0.0
        if name == "dsir":
            pool = Pool(ids, cost=self.cost, text=np.array(self.texts, object))
            return dsir(pool, budget, seed=seed, target=told.chosen, target_path="").index, 0, 0.0
        looked = float(self.read.sum()) * f["loss"] / f["train"]
        if name.startswith("perplexity"):
            order: Any = "smallest" if name.endswith("low") else "middle"
            return by_quality(Pool(ids, cost=self.cost, quality=self.loss), budget, seed=seed, order=order).index, len(ids), looked
        if name == "kmq":
            pool = Pool(ids, self.vectors, quality=np.exp(-self.loss), cost=self.cost)
            return kmeans_diversity(pool, budget, seed=seed, k=BANDIT["k"]).index, len(ids), looked
        fit = self.read[np.random.default_rng([seed, 1]).permutation(len(ids))[:FIT]].sum() * f["fit"]
        fit += sum(min(len(self.words(t)["input_ids"]), WIDE) for t in told.chosen) * f["backward"]
        if name == "quad":
            asked: set[int] = set()

            def influence(index: np.ndarray) -> np.ndarray:
                asked.update(index.tolist())
                return told.rewards[index]

            index = quad(Pool(ids, self.vectors, cost=self.cost), budget, seed=seed, influence=influence, **BANDIT).index
            return index, len(asked), float(fit + self.read[list(asked)].sum() * f["reward"]) / f["train"]
        best = by_quality(Pool(ids, cost=self.cost, quality=told.rewards), budget, seed=seed).index
        return best, len(ids), float(fit + self.read.sum() * f["reward"]) / f["train"]

    def run(self, way: str, seed: int, name: str, rate: float) -> None:
        """Choose, train, judge; keep what it came to."""
        kept = self.out / "runs" / f"{way}-{seed}-{name}.json"
        if kept.exists() or (way != "tokens" and name == CHOICES[-1]):
            return
        tokens, all_rows = TOKENS, self.choose(CHOICES[-1], seed, TOKENS)[2]
        index, asked, spent = self.choose(name, seed, TOKENS)
        if way != "tokens":
            for _ in range(3 if way == "rows" else 0):  # more rows may be more to ask about
                index, asked, spent = self.choose(name, seed, TOKENS + all_rows - spent)
            tokens = int(TOKENS + all_rows - spent)
        model = load(self.model)
        train(model, [self.tokens[i] for i in index], tokens, seed, rate=rate)
        found, weights = judged(model, self.words, self.scored(seed).judge)
        cost, source = self.cost[index], self.sources[index]
        share = {s: float(cost[source == s].sum() / cost.sum()) for s in np.unique(self.sources)}
        told = {"way": way, "seed": seed, "name": name, "rows": len(index), "chosen": float(cost.sum()), "asked": asked,
                "spent": spent, "tokens": tokens, "losses": found.tolist(), "weights": weights.tolist(),
                "share": share, "rate": rate}
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(told))
        print(f"{time.strftime('%H:%M:%S')} {way} {seed} {name}: {found.sum() / weights.sum():.4f}", flush=True)

    def tune(self) -> None:
        """The judge's loss for some rates, on random rows of a seed that no table has."""
        judge = self.scored(0).chosen
        before, weights = judged(load(self.model), self.words, judge)
        print(f"before {before.sum() / weights.sum():.4f}")
        index = random_rows(Pool(np.arange(len(self.texts)), cost=self.cost), TOKENS, seed=99).index
        for rate in (3e-4, 1e-3, 2e-3):
            model = load(self.model)
            train(model, [self.tokens[i] for i in index], TOKENS, 99, rate=rate)
            print(rate, f"{judged(model, self.words, judge)[0].sum() / weights.sum():.4f}", flush=True)


def settings(seed: int) -> InfluenceSettings:
    """Of the influence: EK-FAC over all layers, of the first tokens of a row; rewards by two passes forward."""
    return InfluenceSettings(context=WIDE, max_tokens=WIDE, seed=seed, product="difference", device="cpu")


def load(folder: Path) -> Any:
    """The base model."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def asked_loss(model: InfluenceModel, texts: Sequence[str]) -> np.ndarray:
    """float64[n], nats per token, of the first tokens of each."""
    found = np.zeros(len(texts))
    for batch in model.batches(model.documents([(t, 0) for t in texts])):
        with torch.no_grad():
            each = losses(model.network.forward(batch.inputs), batch.targets, batch.counts).double().numpy()
        np.add.at(found, batch.rows, each * batch.weights)
    return found


def judged(model: Any, words: Any, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """float64[n] summed losses of the texts' first 512 tokens, in windows of 128, and how many tokens that is."""
    found, weights = np.zeros(len(texts)), np.zeros(len(texts))
    for i, text in enumerate(texts):
        ids = words(text)["input_ids"][:512]
        for start in range(0, len(ids) - 1, WIDE - 1):
            window = torch.tensor([ids[start : start + WIDE]])
            with torch.no_grad():
                logits = model(input_ids=window).logits[0, :-1]
            found[i] += float(torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum"))
            weights[i] += window.shape[1] - 1
    return found, weights


def flops(folder: Path) -> dict[str, float]:
    """Arithmetic of a token, as torch counts products of matrices: training, a loss, a reward, fitting the curvature."""
    from torch.utils.flop_counter import FlopCounterMode

    from tamis.selectors.influence.differences import SLOPE
    from tamis.selectors.influence.gradients import Mean

    model, text = InfluenceModel(folder, settings(0)), "what is counted here depends on the shape alone, not on the words. " * 20
    examples: list[Any] = [(text, 0)] * 8
    count = sum(len(d.tokens) for d in model.documents(examples))
    mean = Mean()
    model.network.walk(model.batches(model.documents(examples)), mean)

    query = mean.sums | {SLOPE: torch.ones(())}

    def told(what: Any) -> float:
        with FlopCounterMode(display=False) as counter:
            what()
        return counter.get_total_flops() / count

    plain = load(folder)
    ids = torch.zeros((8, WIDE), dtype=torch.int64)
    return {"train": told(lambda: plain(input_ids=ids, labels=ids).loss.backward()),
            "loss": told(lambda: asked_loss(model, [text] * 8)),
            "reward": told(lambda: model.rewards(examples, query)),
            "backward": told(lambda: model.network.walk(model.batches(model.documents(examples)), Mean())),
            "fit": told(lambda: model.factors(examples, range(8)))}


def show(out: Path) -> None:
    """The tables."""
    runs = [json.loads(f.read_text()) for f in sorted((out / "runs").glob("*.json"))]
    by = {(r["way"], r["seed"], r["name"]): r for r in runs}
    world, seeds = World(out), sorted({r["seed"] for r in runs})
    base = [judged(load(world.model), world.words, world.scored(s).judge) for s in seeds]
    print("FLOP a token: " + ", ".join(f"{k} {v / 1e6:.2f} M" for k, v in world.flops.items()))
    before = np.mean([f.sum() / w.sum() for f, w in base])
    print(f"{len(world.texts)} rows, {world.cost.sum():,.0f} tokens; before: loss {before:.4f}\n")
    for way in ("tokens", "passes", "rows"):
        whole = [s for s in seeds if all((way if n != CHOICES[-1] else "tokens", s, n) in by for n in CHOICES)]
        if not whole:
            continue
        print(f"{way}, {len(whole)} seeds")
        print(f"{'':20}{'chosen':>9}{'asked':>8}{'choosing':>10}{'trained':>9}{'loss':>8}  less than random's by")
        mine = {n: [by[way if n != CHOICES[-1] else "tokens", s, n] for s in whole] for n in CHOICES}
        for name, told in mine.items():
            gap, low, high = difference(mine["random"], told)
            loss = np.mean([np.sum(r["losses"]) / np.sum(r["weights"]) for r in told])
            numbers = [np.mean([r[k] for r in told]) for k in ("chosen", "asked", "spent", "tokens")]
            print(f"{name:20}{numbers[0]:>9,.0f}{numbers[1] / len(world.texts):>8.1%}{numbers[2]:>10,.0f}{numbers[3]:>9,.0f}"
                  f"{loss:>8.4f}  {gap:.4f} ({low:.4f} to {high:.4f})")
        gap, low, high = difference(mine["quad"], mine[CHOICES[-1]])
        print(f"top-k less than quad by {gap:.4f} ({low:.4f} to {high:.4f})")
        for other in CHOICES[1:5]:
            gap, low, high = difference(mine[other], mine["quad"])
            print(f"quad less than {other} by {gap:.4f} ({low:.4f} to {high:.4f})")
        print()
        shares(mine)


def difference(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Nats per token by which the second's loss is lower, with its 95 % interval over seeds and held-out rows.

    Each seed holds other rows back: they are drawn inside their seed.
    """
    gaps = [(np.array(a["losses"]) - np.array(b["losses"]), np.array(a["weights"])) for a, b in zip(first, second, strict=True)]
    rng, means = np.random.default_rng(0), np.empty(2000)
    for i in range(len(means)):
        total = weight = 0.0
        for s in rng.integers(0, len(gaps), len(gaps)):
            drawn = rng.integers(0, len(gaps[s][0]), len(gaps[s][0]))
            total, weight = total + gaps[s][0][drawn].sum(), weight + gaps[s][1][drawn].sum()
        means[i] = total / weight
    low, high = np.quantile(means, [0.025, 0.975])
    return float(sum(g.sum() for g, _ in gaps) / sum(w.sum() for _, w in gaps)), float(low), float(high)


def shares(mine: dict[str, list[dict[str, Any]]]) -> None:
    """Of the chosen tokens, each source's part."""
    sources = sorted(mine["random"][0]["share"])
    print(f"{'share of tokens':28}" + "".join(f"{n.split(' ')[-1][:10]:>11}" for n in mine))
    for source in sources:
        print(f"{source:28}" + "".join(f"{np.mean([r['share'][source] for r in told]):>11.1%}" for told in mine.values()))
    print()


if __name__ == "__main__":
    main()
