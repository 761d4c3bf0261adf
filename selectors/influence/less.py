"""LESS: which rows would move the model, by a step of Adam from where its training was, the way that examples want it moved.

Source: Xia et al. 2024 (LESS), whose code (SPECS 10) this follows: Adam's averages with the row's gradient as the next one, epsilon
inside the root, no correction of bias; plain gradients of the examples; cosines, weighted by each checkpoint's learning rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Block
from .documents import Batch, Document
from .gradients import SLICE
from .network import Consumer, one_thread
from .rewards import Example, InfluenceModel

if TYPE_CHECKING:
    import torch

Averages = Mapping[str, tuple["torch.Tensor", "torch.Tensor"]]  # layer -> Adam's averages of its gradient, and of the square


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was at some point of its training.

    Attributes:
        model: loaded; a row is one window, cut at the model's context.
        rate: the learning rate there: what its cosines weigh.
        averages: Adam's, of the layers that are looked at, shaped as their weights; None: rows count by their plain gradients.
    """

    model: InfluenceModel
    rate: float = 1.0
    averages: Averages | None = None


def read_averages(path: Path) -> dict[str, tuple["torch.Tensor", "torch.Tensor"]]:
    """Adam's averages from a safetensors file with `LAYER.exp_avg` and `LAYER.exp_avg_sq`, LAYER as the model names it.

    Raises ValueError where one of the two is missing, or there are none.
    """
    from safetensors.torch import load_file

    held = load_file(path)
    names = [key.removesuffix(".exp_avg") for key in held if key.endswith(".exp_avg")]
    missing = [name for name in names if f"{name}.exp_avg_sq" not in held]
    if missing or not names:
        why = f"{missing[0]}.exp_avg_sq is missing" if missing else "no LAYER.exp_avg"
        raise ValueError(f"{path} holds no averages of Adam: {why}")
    return {name: (held[f"{name}.exp_avg"], held[f"{name}.exp_avg_sq"]) for name in names}


def less_rewards(
    checkpoints: Sequence[Checkpoint], texts: Sequence[Example], tasks: Sequence[Sequence[Example]], *, size: int | None = 16,
    seed: int = 0, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8,
) -> np.ndarray:
    """float64[n]: the largest over tasks of `sum over checkpoints of rate * mean over the task's examples of cos(example, row)`.

    An example counts by its gradient, a row by the step that Adam would take on it. `size`: each layer's matrix is projected from
    both sides to `size` by `size`; None: none is, which is for small models. 0 where no token counts.
    Cost: a pass forward and one back for each checkpoint, and a gradient matrix of each row and layer, a few rows at a time.
    Raises ValueError where there is no checkpoint or example, or a layer has no averages while others have.
    """
    if not checkpoints or not tasks or not all(tasks):
        raise ValueError("LESS needs at least one checkpoint, and tasks of at least one example each")
    total = np.zeros((len(tasks), len(texts)))
    for here in checkpoints:
        with one_thread(here.model.device):
            rows = _unit(_features(here, texts, Directions(len(texts), here.averages, size, seed, betas, epsilon)))
            for i, task in enumerate(tasks):
                wanted = _unit(_features(here, task, Directions(len(task), None, size, seed)))
                total[i] += here.rate * (rows @ wanted.mean(axis=0))
    return total.max(axis=0)  # type: ignore[no-any-return]


class Directions:
    """A consumer of gradients: the step that Adam would take on each row, projected, in `found` float64[rows, m].

    A row is one window: a step is no sum of the steps on its parts.
    """

    def __init__(
        self, rows: int, averages: Averages | None, size: int | None, seed: int, betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.rows, self._averages, self._size, self._seed, self._betas, self._epsilon = rows, averages, size, seed, betas, epsilon
        self._parts: dict[str, np.ndarray] = {}

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch."""
        import torch

        weights = torch.from_numpy(batch.weights).to(d)
        sides = None if self._size is None else _signs(self._seed, block, self._size, a)
        step = max(1, SLICE // (block.shape[0] * block.shape[1]))
        for start in range(0, len(a), step):
            here = slice(start, start + step)
            each = (d[here] * weights[here, None, None]).transpose(1, 2) @ a[here]
            each = self._stepped(block, each)
            each = each if sides is None else sides[0] @ each @ sides[1].T
            flat = each.flatten(1).double().cpu().numpy()
            self._parts.setdefault(block.name, np.zeros((self.rows, flat.shape[1])))[batch.rows[here]] = flat

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""

    def _stepped(self, block: Block, gradients: "torch.Tensor") -> "torch.Tensor":
        if self._averages is None:
            return gradients
        if block.name not in self._averages:
            some = ", ".join(list(self._averages)[:4])
            raise ValueError(f"there are no averages of Adam for layer {block.name}; there are: {some} ...")
        first, second = (x.to(gradients) for x in self._averages[block.name])
        if tuple(first.shape) != block.shape:
            raise ValueError(f"Adam's averages of layer {block.name} are {tuple(first.shape)}, its gradient {block.shape}")
        one, two = self._betas
        return (one * first + (1 - one) * gradients) / (two * second + (1 - two) * gradients.square() + self._epsilon).sqrt()

    @property
    def found(self) -> np.ndarray:
        """float64[rows, m], the blocks by name."""
        return np.concatenate([self._parts[name] for name in sorted(self._parts)], axis=1)


def _features(here: Checkpoint, texts: Sequence[Example], into: Directions) -> np.ndarray:
    most = here.model.context
    cut = [Document(d.tokens[:most], d.counts[:most]) for d in here.model.documents(texts)]
    consumer: Consumer = into
    here.model.network.walk(here.model.batches(cut), consumer)
    told = np.array([d.told > 0 for d in cut])
    return into.found * told[:, None] if told.any() else np.zeros((len(texts), 1))


def _signs(seed: int, block: Block, size: int, like: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    chance = np.random.default_rng([seed & (2**63 - 1), *block.name.encode()])
    drawn = [chance.choice([-1.0, 1.0], (size, n)) / np.sqrt(size) for n in block.shape]
    return torch.from_numpy(drawn[0]).to(like), torch.from_numpy(drawn[1]).to(like)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
