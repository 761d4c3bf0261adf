"""Projected gradients of rows, the features that LESS and TRAK choose by: this package, dattri (LoGra), traker.

Run: python benchmarks/influence_features.py --model FOLDER [--rows 64] [--rounds 3]      (pip install dattri traker)

The same model, layers, windows and batches, a process for each, in turns; seconds of the processor, memory above what was there.
tamis and dattri project each layer's gradient from both sides to 8 by 8 and form no gradient; traker forms the whole gradient of
each row and projects it to 64 numbers in all, which is the least it may be asked for, with its matrix kept in memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from influence import Phase, given

from tamis.selectors.influence.documents import Document
from tamis.selectors.influence.gradients import Features
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings

WHO, SIDE = ("tamis", "dattri", "traker"), 8


def main() -> None:
    """Print the table."""
    read = argparse.ArgumentParser()
    read.add_argument("--model", type=Path, required=True)
    read.add_argument("--layers")
    read.add_argument("--rows", type=int, default=64)
    read.add_argument("--length", type=int, default=128)
    read.add_argument("--batch", type=int, default=16)
    read.add_argument("--rounds", type=int, default=1)
    read.add_argument("--who", choices=WHO, help=argparse.SUPPRESS)
    read.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = read.parse_args()
    torch.set_num_threads(1)
    if asked.who:
        json.dump({"tamis": ours, "dattri": dattri, "traker": traker}[asked.who](asked), asked.out.open("w"))
        return
    told: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
    with tempfile.TemporaryDirectory() as scratch:
        for who in WHO * asked.rounds:
            out = Path(scratch) / "told.json"
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--who", who, "--out", str(out)], check=True)
            told[who].append(json.loads(out.read_text()))
    print(f"{asked.rows} windows of {asked.length} tokens, batches of {asked.batch}; {asked.rounds} round(s), medians\n")
    print(f"{'':10}{'rows/s':>10}{'MB':>10}{'numbers a row':>16}")
    for who, rounds in told.items():
        seconds, mb, numbers = (np.median([t[k] for t in rounds]) for k in ("features", "features_mb", "numbers"))
        print(f"{who:10}{asked.rows / seconds:>10.1f}{mb:>10,.0f}{numbers:>16,.0f}")
    for who in WHO[1:]:
        faster = np.median([b["features"] / a["features"] for a, b in zip(told["tamis"], told[who], strict=True)])
        print(f"tamis: {faster:.2f} times as fast as {who}")


def ours(asked: argparse.Namespace) -> dict[str, Any]:
    """Of this package."""
    _, _, ids = given(asked)
    model = InfluenceModel(asked.model, InfluenceSettings(
        layers=asked.layers, context=asked.length, batch_tokens=asked.batch * asked.length, device="cpu"))
    phase, features = Phase(), Features(len(ids), SIDE)
    model.network.walk(model.batches([Document(row, np.ones(len(row), bool)) for row in ids]), features)
    return {"numbers": features.found.shape[1], **phase.told("features")}


def dattri(asked: argparse.Namespace) -> dict[str, Any]:
    """Of dattri's LoGra, without a curvature; the parameters that it is not asked about want no gradient."""
    from dattri.algorithm.logra import LoGraAttributor
    from dattri.task import AttributionTask

    model, names, ids = given(asked)
    model.requires_grad_(False)
    model.get_input_embeddings().requires_grad_(True)  # or no graph would begin

    def loss(model: Any, batch: Any, device: str) -> torch.Tensor:
        words = batch["input_ids"]
        logits = model(input_ids=words[:, :-1], use_cache=False).logits.float()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten(), reduction="sum")

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    held: Any = [{"input_ids": torch.from_numpy(row)} for row in ids]
    rows: Any = torch.utils.data.DataLoader(held, batch_size=asked.batch)
    asking = LoGraAttributor(task, layer_names=names, hessian="Identity", proj_dim=SIDE * SIDE, offload="none")
    asking._setup_compressors(rows)  # projections are drawn before the clock runs
    model.requires_grad_(False)
    model.get_input_embeddings().requires_grad_(True)
    phase = Phase()
    asking.cache(rows)
    return {"numbers": asking.total_proj_dim, **phase.told("features")}


def traker(asked: argparse.Namespace) -> dict[str, Any]:
    """Of traker, in float32, with one block of its projection, which is then not drawn anew for each batch."""
    from trak import TRAKer
    from trak.modelout_functions import AbstractModelOutput
    from trak.projectors import BasicProjector, ProjectionType

    model, names, ids = given(asked)
    model.set_attn_implementation("eager")
    wanted = {f"{n}.weight" for n in names}
    size = sum(p.numel() for n, p in model.named_parameters() if n in wanted)

    class Told(AbstractModelOutput):
        """The summed loss."""

        def __init__(self) -> None:
            super().__init__()

        @staticmethod
        def get_output(model: Any, weights: Any, buffers: Any, row: torch.Tensor) -> torch.Tensor:
            given = {"input_ids": row[None, :-1], "use_cache": False}
            logits = torch.func.functional_call(model, (weights, buffers), (), given).logits[0]
            return torch.nn.functional.cross_entropy(logits.float(), row[1:], reduction="sum")

        def get_out_to_loss_grad(self, model: Any, weights: Any, buffers: Any, batch: Any) -> torch.Tensor:
            return torch.ones(len(batch[0]), 1)

    projector = BasicProjector(size, SIDE * SIDE, 0, ProjectionType.rademacher, torch.device("cpu"), block_size=SIDE * SIDE)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in wanted)
    with tempfile.TemporaryDirectory() as scratch:
        asking = TRAKer(model, Told(), len(ids), scratch, device="cpu", projector=projector, proj_dim=SIDE * SIDE,
                        use_half_precision=False, grad_wrt=wanted)
        asking.load_checkpoint(model.state_dict(), model_id=0)
        phase = Phase()
        for start in range(0, len(ids), asked.batch):
            part = torch.from_numpy(ids[start : start + asked.batch])
            asking.featurize(batch=(part,), num_samples=len(part))
        return {"numbers": SIDE * SIDE, **phase.told("features")}


if __name__ == "__main__":
    main()
