"""Rewards against retraining: what one row's getting more weight in training does to the reference loss, and what was foretold.

Run: python benchmarks/influence_retraining.py [--steps 12 60] [--seeds 3]

A transformer of two layers, trained on the texts of the tests' cooks and sailors until little changes; then trained on from there
by plain gradient steps, each over all rows, with one row counted twice: once for each row. Spearman between the fall of the
reference loss, beyond that of training on without such a row, and the rewards.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny_causal import COOKING, SAILING, make

from tamis.selectors.influence.network import losses
from tamis.selectors.influence.ready import answers
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings

REFERENCE = answers(["salt the onion and boil the rice in butter", "bake the soup and stir the hot bread"], None)
KINDS = ("ekfac", "kfac", "diagonal", "identity")


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--steps", type=int, nargs="+", default=[12, 60])
    read.add_argument("--rate", type=float, default=0.3)
    read.add_argument("--seeds", type=int, default=3)
    asked = read.parse_args()
    texts = answers([*COOKING, *SAILING], None)
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            plain = InfluenceSettings(device="cpu", context=32, batch_tokens=1024, layers="mlp", seed=seed)
            model = InfluenceModel(make(Path(scratch), "gpt2", steps=300, seed=seed), plain)
            model._model.double()
            told = {}
            for kind in KINDS:
                model.settings = replace(plain, curvature=kind)
                told[kind] = model.rewards(texts, model.query(model.factors(texts * 4, range(4 * len(texts))), REFERENCE))
            fallen = retrained(model, texts, asked.steps, asked.rate)
            for steps in asked.steps:
                for kind in KINDS:
                    found.setdefault((kind, steps), []).append(float(spearmanr(told[kind], fallen[steps]).statistic))
    print(f"{len(texts)} rows, {asked.seeds} seeds: Spearman, mean (least to most)\n")
    print(f"{'curvature':12}" + "".join(f"{f'{steps} steps':>26}" for steps in asked.steps))
    for kind in KINDS:
        cells = [found[kind, steps] for steps in asked.steps]
        print(f"{kind:12}" + "".join(f"{f'{np.mean(c):.2f} ({min(c):.2f} to {max(c):.2f})':>26}" for c in cells))


def retrained(model: InfluenceModel, texts: list[tuple[str, int]], steps: list[int], rate: float) -> dict[int, np.ndarray]:
    """After each of these numbers of steps float64[rows], how much lower the reference loss is for counting each row twice."""
    network = model._model
    start = {k: v.clone() for k, v in network.state_dict().items()}
    weights = [p for name, p in network.named_parameters() if any(name.startswith(layer) for layer in model.layers)]
    rows, reference = list(model.batches(model.documents(texts))), list(model.batches(model.documents(REFERENCE)))

    def loss(batches: list, twice: int | None) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            each = losses(model.network.forward(batch.inputs), batch.targets, batch.counts) * torch.from_numpy(batch.weights)
            total = total + (each * torch.from_numpy(1.0 + (batch.rows == twice))).sum()
        return total

    found: dict[int, list[float]] = {}
    for twice in (None, *range(len(texts))):
        network.load_state_dict(start)
        for p in weights:
            p.requires_grad_(True)
        optimiser = torch.optim.SGD(weights, lr=rate)
        for step in range(1, max(steps) + 1):
            optimiser.zero_grad()
            (loss(rows, twice) / len(texts)).backward()
            optimiser.step()
            if step in steps:
                with torch.no_grad():
                    found.setdefault(step, []).append(float(loss(reference, None)) / len(REFERENCE))
    network.load_state_dict(start)
    return {step: told[0] - np.array(told[1:]) for step, told in found.items()}


if __name__ == "__main__":
    main()
