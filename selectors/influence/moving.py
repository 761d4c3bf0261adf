"""The weights of the layers that are looked at, moved this way and that, and put back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .network import Network

if TYPE_CHECKING:
    import torch

Moved = tuple[str, "torch.Tensor", "torch.Tensor"]  # name, weights, and a copy of them


@contextmanager
def kept(network: Network) -> Iterator[list[Moved]]:
    """The weights of the layers that are looked at; they are as they were when the block is left."""
    import torch

    layers = {layer: network.model.get_submodule(layer) for block in network.blocks for layer in block.layers}
    own = [(f"{layer}.{name}", p.data) for layer, module in layers.items() for name, p in module.named_parameters(recurse=False)]
    moved = [(name, weight, weight.clone()) for name, weight in own]
    with torch.no_grad():
        try:
            yield moved
        finally:
            move(moved, [], 0.0)


def move(moved: Sequence[Moved], ways: "Sequence[torch.Tensor]", side: float) -> None:
    """The weights, `side` times each way from where they were; without ways, where they were."""
    for i, (_, weight, held) in enumerate(moved):
        weight.copy_(held)
        if ways:
            weight.add_(ways[i], alpha=side)


def ways_of(network: Network, matrices: "Mapping[str, torch.Tensor]", moved: Sequence[Moved]) -> "list[torch.Tensor]":
    """Matrices float[outputs, inputs] of the blocks, laid out as the weights are: by layer, what belongs to a bias apart."""
    found: dict[str, torch.Tensor] = {}
    for block in network.blocks:
        at = 0
        for layer in block.layers:
            module = network.model.get_submodule(layer)
            turned = type(module).__name__ == "Conv1D"
            outputs = module.weight.shape[1 if turned else 0]
            part = matrices[block.name][at : at + outputs]
            at += outputs
            if module.bias is not None:
                found[f"{layer}.bias"], part = part[:, -1], part[:, :-1]
            found[f"{layer}.weight"] = part.T if turned else part
    return [found[name].to(weight) for name, weight, _ in moved]
