"""EK-FAC rewards against kronfluence: the same model, layers, windows and damping; each in a process of its own.

Run: python benchmarks/influence.py [--model FOLDER] [--layers PATTERN] [--rows 256]      (pip install kronfluence)
Without a model folder: a Llama of four layers, trained for a minute on the demo corpus (`--make FOLDER` trains one for five,
and no more). Both take the labels of the data (the empirical Fisher), so that nothing is drawn and the rewards can be held
against each other row by row.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tamis.selectors.influence.blocks import blocks_of, linear_layers
from tamis.selectors.influence.curvature import fit, solve
from tamis.selectors.influence.documents import Document, batches, windows
from tamis.selectors.influence.gradients import Mean, Products
from tamis.selectors.influence.network import Network

CORPUS = Path(__file__).parents[1] / "recipes" / "data" / "corpus.jsonl"
WHO = ("tamis", "kronfluence")


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
    read.add_argument("--who", choices=WHO, help=argparse.SUPPRESS)
    read.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = read.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.make:
        small(asked.make, steps=600)
        return
    if asked.who:
        json.dump((ours if asked.who == "tamis" else theirs)(asked), asked.out.open("w"))
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = asked.model or small(Path(scratch) / "model")
        told = {}
        for who in WHO:
            out = Path(scratch) / f"{who}.json"
            told_on = {k: getattr(asked, k) for k in ("layers", "rows", "length", "batch", "threads")}
            words = [a for k, v in told_on.items() if v for a in (f"--{k}", str(v))]
            subprocess.run([sys.executable, __file__, "--model", str(model), "--who", who, "--out", str(out), *words], check=True)
            told[who] = json.loads(out.read_text())
    show(told, asked)


def show(told: dict[str, Any], asked: argparse.Namespace) -> None:
    """Examples a second, memory, and how alike the rewards are."""
    first = told["tamis"]
    print(f"{asked.rows} windows of {asked.length} tokens, 8 of them the reference; {first['layers']} layers, "
          f"{first['parameters']:,} weights in them; {asked.threads} thread(s)\n")
    print(f"{'':12}{'factors, rows/s':>18}{'rewards, rows/s':>18}{'MB above the model':>20}")
    for who, t in told.items():
        print(f"{who:12}{asked.rows / t['fit']:18.1f}{asked.rows / t['score']:18.1f}{t['memory']:20,.0f}")
    a, b = (np.array(told[w]["rewards"]) for w in WHO)
    print(f"\ncosine of the rewards {a @ b / np.linalg.norm(a) / np.linalg.norm(b):.6f}")


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


def memory() -> float:
    """MB that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(asked: argparse.Namespace) -> dict[str, Any]:
    """Times, memory and rewards of this package."""
    model, names, ids = given(asked)

    def forward(x: torch.Tensor) -> Any:
        return model(input_ids=x, use_cache=False).logits

    network = Network(model, forward, blocks_of(model, lambda: forward(torch.zeros((1, 2), dtype=torch.int64)), names))
    held = list(batches(windows([Document(row, np.ones(len(row), bool)) for row in ids], asked.length),
                        asked.batch * asked.length, most=asked.length))
    reference = list(batches(windows([Document(row, np.ones(len(row), bool)) for row in ids[:8]], asked.length), 8 * asked.length))
    before, began = memory(), time.perf_counter()
    factors = fit(network, held, labels="data")
    fitted, mean = time.perf_counter(), Mean()
    network.walk(reference, mean)
    products = Products(len(ids), solve(factors, mean.sums, 0.1))
    network.walk(held, products)
    return {"fit": fitted - began, "score": time.perf_counter() - fitted, "memory": memory() - before, "layers": len(names),
            "parameters": sum(b.shape[0] * b.shape[1] for b in network.blocks), "rewards": products.rewards.tolist()}


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
        before, began = memory(), time.perf_counter()
        how = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
        analyzer.fit_all_factors("f", held, per_device_batch_size=asked.batch, factor_args=how, overwrite_output_dir=True)
        fitted = time.perf_counter()
        analyzer.compute_pairwise_scores(
            "s", "f", held[:8], held, per_device_query_batch_size=8, per_device_train_batch_size=asked.batch,
            score_args=ScoreArguments(damping_factor=None, aggregate_query_gradients=True), overwrite_output_dir=True)
        ended = time.perf_counter()
        rewards = analyzer.load_pairwise_scores("s")["all_modules"].sum(dim=0)
    return {"fit": fitted - began, "score": ended - fitted, "memory": memory() - before, "rewards": rewards.tolist()}


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
