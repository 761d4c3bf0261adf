"""EK-FAC rewards against kronfluence: the same model, layers, windows and damping; each in a process of its own, in turns.

Run: python benchmarks/influence.py [--model FOLDER] [--layers PATTERN] [--rows 256] [--rounds 3]      (pip install kronfluence)
Without a model folder: a Llama of four layers, trained for a minute on the demo corpus (`--make FOLDER` trains one for five,
and no more). Both take the labels of the data (the empirical Fisher), so that nothing is drawn and the rewards can be held
against each other row by row. Seconds are of the processor, memory what a phase takes at most above what was there when it began.
`tamis, difference`: rewards by two passes forward (`product: difference`); its factors are the same.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tamis.selectors.influence.blocks import linear_layers
from tamis.selectors.influence.curvature import fit, solve
from tamis.selectors.influence.differences import SLOPE, difference_rewards, slope
from tamis.selectors.influence.documents import Document
from tamis.selectors.influence.gradients import Mean, Products
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings

CORPUS = Path(__file__).parents[1] / "recipes" / "data" / "corpus.jsonl"
KEYS = ("fit", "score", "fit_mb", "score_mb")
WHO = ("tamis", "tamis, difference", "kronfluence")


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--model", type=Path)
    read.add_argument("--make", type=Path)
    read.add_argument("--layers")
    read.add_argument("--rows", type=int, default=256)
    read.add_argument("--length", type=int, default=128)
    read.add_argument("--batch", type=int, default=16)
    read.add_argument("--threads", type=int, default=1)
    read.add_argument("--rounds", type=int, default=1)
    read.add_argument("--who", choices=WHO, help=argparse.SUPPRESS)
    read.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = read.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.make:
        small(asked.make, steps=600)
        return
    if asked.who:
        json.dump((theirs if asked.who == "kronfluence" else ours)(asked), asked.out.open("w"))
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = asked.model or small(Path(scratch) / "model")
        told: dict[str, Any] = {who: [] for who in WHO}
        for who in WHO * asked.rounds:
            out = Path(scratch) / f"{who}.json"
            told_on = {k: getattr(asked, k) for k in ("layers", "rows", "length", "batch", "threads")}
            words = [a for k, v in told_on.items() if v for a in (f"--{k}", str(v))]
            subprocess.run([sys.executable, __file__, "--model", str(model), "--who", who, "--out", str(out), *words], check=True)
            told[who].append(json.loads(out.read_text()))
    show(told, asked)


def show(told: dict[str, Any], asked: argparse.Namespace) -> None:
    """Examples a second, memory, and how alike the rewards are."""
    first = told["tamis"][0]
    print(f"{asked.rows} windows of {asked.length} tokens, 8 of them the reference; {first['layers']} layers, "
          f"{first['parameters']:,} weights in them; {asked.threads} thread(s), {asked.rounds} round(s), medians\n")
    print(f"{'':20}{'factors, rows/s':>18}{'rewards, rows/s':>18}{'MB, factors':>14}{'MB, rewards':>14}")
    middle = {who: {k: float(np.median([t[k] for t in rounds])) for k in KEYS} for who, rounds in told.items()}
    for who, t in middle.items():
        print(f"{who:20}{asked.rows / t['fit']:18.1f}{asked.rows / t['score']:18.1f}{t['fit_mb']:14,.0f}{t['score_mb']:14,.0f}")
    for who in WHO[:2]:
        pairs = zip(told[who], told["kronfluence"], strict=True)
        print(f"\n{who}: rewards {np.median([b['score'] / a['score'] for a, b in pairs]):.2f} times as fast as kronfluence, "
              f"cosine of the rewards {cosine(told[who][0]['rewards'], told['kronfluence'][0]['rewards']):.6f}")


def cosine(first: list[float], second: list[float]) -> float:
    """How alike two rows of numbers are."""
    a, b = np.array(first), np.array(second)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def given(asked: argparse.Namespace) -> tuple[Any, list[str], np.ndarray]:
    """The model, its layers, and int64[rows, length] of the corpus' longer texts."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32).eval()
    return model, linear_layers(model, asked.layers), tokens(AutoTokenizer.from_pretrained(asked.model), asked.rows, asked.length)


def tokens(words: Any, rows: int, length: int) -> np.ndarray:
    """The first tokens of as many texts as have enough."""
    found: list[list[int]] = []
    for line in CORPUS.open():
        ids = words(json.loads(line)["text"][: length * 12])["input_ids"]
        if len(ids) >= length:
            found.append(ids[:length])
        if len(found) == rows:
            break
    return np.array(found, np.int64)


class Phase:
    """Seconds of the processor and MB since it began; what is free is given back to the system first."""

    def __init__(self) -> None:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the most that was taken counts from here
        self.before, self.began = _status("VmRSS"), time.process_time()

    def told(self, name: str) -> dict[str, float]:
        """Both, by name."""
        return {name: time.process_time() - self.began, f"{name}_mb": _status("VmHWM") - self.before}


def _status(name: str) -> float:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(name)) / 1024


def ours(asked: argparse.Namespace) -> dict[str, Any]:
    """Times, memory and rewards of this package."""
    _, names, ids = given(asked)
    model = InfluenceModel(asked.model, InfluenceSettings(
        layers=asked.layers, context=asked.length, batch_tokens=asked.batch * asked.length, labels="data", device="cpu"))
    documents = [Document(row, np.ones(len(row), bool)) for row in ids]
    phase = Phase()
    factors = fit(model.network, model.batches(documents), labels="data")
    told = phase.told("fit")
    phase, mean = Phase(), Mean()
    model.network.walk(model.batches(documents[:8]), mean)
    gradient = {name: total / 8 for name, total in mean.sums.items()}
    query = solve(factors, gradient, 0.1)
    if asked.who == "tamis":
        products = Products(len(ids), query)
        model.network.walk(model.batches(documents), products)
        rewards = products.rewards
    else:
        rewards = difference_rewards(model, documents, query | {SLOPE: slope(gradient, query)})
    return {**told, **phase.told("score"), "layers": len(names), "rewards": rewards.tolist(),
            "parameters": sum(b.shape[0] * b.shape[1] for b in model.network.blocks)}


def theirs(asked: argparse.Namespace) -> dict[str, Any]:
    """Times, memory and rewards of kronfluence."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    model, names, ids = given(asked)

    class Language(Task):
        """Summed loss of the next token."""

        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> torch.Tensor:
            """Of the data's labels: nothing is drawn here."""
            logits = model(input_ids=batch["ids"][:, :-1], use_cache=False).logits.float()
            return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["ids"][:, 1:].flatten(), reduction="sum")

        def compute_measurement(self, batch: Any, model: Any) -> torch.Tensor:
            """The same loss."""
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            """The layers."""
            return names

    held = [{"ids": torch.from_numpy(row)} for row in ids]
    task = Language()
    with tempfile.TemporaryDirectory() as scratch:
        analyzer = Analyzer("bench", prepare_model(model, task), task, cpu=True, disable_tqdm=True, output_dir=scratch)
        phase = Phase()
        how = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
        analyzer.fit_all_factors("f", held, per_device_batch_size=asked.batch, factor_args=how, overwrite_output_dir=True)
        told, phase = phase.told("fit"), Phase()
        analyzer.compute_pairwise_scores(
            "s", "f", held[:8], held, per_device_query_batch_size=8, per_device_train_batch_size=asked.batch,
            score_args=ScoreArguments(damping_factor=None, aggregate_query_gradients=True), overwrite_output_dir=True)
        told |= phase.told("score")
        rewards = analyzer.load_pairwise_scores("s")["all_modules"].sum(dim=0)
    return {**told, "rewards": rewards.tolist()}


def small(folder: Path, steps: int = 120) -> Path:
    """A Llama of four layers of 128, with a tokenizer of 2,048, trained on the demo corpus."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    texts = [json.loads(line)["text"][:2000] for line in CORPUS.open()]
    reader = Tokenizer(models.BPE())
    reader.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    reader.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2048, initial_alphabet=alphabet, show_progress=False))
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=reader)
    words.save_pretrained(folder)
    torch.manual_seed(0)
    shape = transformers.LlamaConfig(vocab_size=2048, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                                     num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
    model: Any = transformers.LlamaForCausalLM(shape)
    ids, chance = torch.from_numpy(tokens(words, 800, 128)), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        batch = ids[chance.integers(0, len(ids), 8)]
        model(input_ids=batch, labels=batch).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
