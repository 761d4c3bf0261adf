"""Gradients of rows without a backward pass: how the loss of each row changes when the weights move this way, then that way.

Source: Spall 1992 (SPSA); Malladi et al. 2023 (MeZO); SPECS 4.2, 4.6: the released code of Adapt-inf draws new directions for every
row, so that the vectors of two rows have nothing to do with each other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .documents import Batch, Document
from .moving import kept, move
from .rewards import InfluenceModel
from .scores import PerToken

if TYPE_CHECKING:
    import torch


def zeroth_order_vectors(model: InfluenceModel, documents: Sequence[Document], probes: int, step: float, seed: int) -> np.ndarray:
    """float64[n, probes]: `(L(w + step u_j) - L(w - step u_j)) / 2 step` of each row, over the root of `probes`.

    L is the mean loss per counted token. Each probe u_j moves all weights of the linear layers by +-1, drawn by seed, number of the
    probe and name of the layer: the same for all rows, so the numbers are a random projection of the gradient as they stand.
    Cost: two passes forward a probe, none back; below the first of the layers one pass for all probes.
    """
    found = np.zeros((len(documents), probes))
    with kept(model.network) as moved:
        for batch in model.batches(documents):
            with _cut_short(model, batch):
                for j in range(probes):
                    signs = [_signs(seed, j, name, weight) for name, weight, _ in moved]
                    for side in (step, -step):
                        move(moved, signs, side)
                        found[batch.rows, j] += _losses(model, documents, batch)[batch.rows] / (2 * side)
                move(moved, [], 0.0)
    return found / np.sqrt(probes)


def _losses(model: InfluenceModel, documents: Sequence[Document], batch: Batch) -> np.ndarray:
    told = PerToken(documents)
    told.read(model, [batch])
    return told.mean("nll")


def _signs(seed: int, probe: int, name: str, like: "torch.Tensor") -> "torch.Tensor":
    import torch

    chance = np.random.default_rng([seed & (2**63 - 1), probe, *name.encode()])
    return torch.from_numpy(chance.integers(0, 2, tuple(like.shape), np.int8) * 2 - 1).to(like)


@contextmanager
def _cut_short(model: InfluenceModel, batch: Batch) -> Iterator[None]:
    """In the block, passes over this batch begin behind the last of the model's stacked layers that no probe moves.

    Those below answer what the last of them has answered once. Where that changes the logits, the model is more than a stack of
    layers, and all of it is run.
    """
    below = _below(model)
    if not below:
        yield
        return
    answered: list[Any] = []
    hook = below[-1].register_forward_hook(lambda module, given, output: answered.append(output))
    whole = model.counted(batch)
    hook.remove()
    for layer in below:
        layer.forward = _answering(answered[0])
    try:
        same = bool((model.counted(batch) == whole).all())
        if not same:
            _whole_again(below)
        del whole
        yield
    finally:
        _whole_again(below)


def _below(model: InfluenceModel) -> list[Any]:
    """The stacked layers before the first that holds a layer that is looked at."""
    import torch

    layers = {layer for block in model.network.blocks for layer in block.layers}
    for name, stack in model.network.model.named_modules():
        if isinstance(stack, torch.nn.ModuleList):
            holding = [any(layer.startswith(f"{name}.{i}.") for layer in layers) for i in range(len(stack))]
            if any(holding) and all(layer.startswith(f"{name}.") for layer in layers):
                return list(stack)[: holding.index(True)]
    return []


def _answering(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _whole_again(layers: Sequence[Any]) -> None:
    for layer in layers:
        layer.__dict__.pop("forward", None)  # what stood before the class's own
