"""Where memory is short: the stacked layers of a model, run forward twice, so that only what goes into each is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .blocks import Block

if TYPE_CHECKING:
    import torch


def stacked(model: "torch.nn.Module", blocks: Iterable[Block]) -> "dict[str, torch.nn.Module]":
    """The layers of the model's stacks (module lists that are in no other) that hold a layer which is looked at, by name."""
    import torch

    wanted = [layer for block in blocks for layer in block.layers]
    lists = [name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)]
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    layers = {f"{name}.{i}": layer for name in outer for i, layer in enumerate(model.get_submodule(name))}  # type: ignore[arg-type]
    return {name: layer for name, layer in layers.items() if any(w.startswith(f"{name}.") for w in wanted)}


@contextmanager
def run_again(layers: "Mapping[str, torch.nn.Module]") -> Iterator[None]:
    """In the block, these layers keep of a pass forward only what they are given, and run again when the way back needs it."""
    if not layers:
        yield
        return
    from torch.utils.checkpoint import set_checkpoint_early_stop

    for layer in layers.values():
        layer.forward = _twice(layer.forward)
    try:
        with set_checkpoint_early_stop(False):  # or the last of the layers inside would not be heard of again
            yield
    finally:
        for layer in layers.values():
            layer.__dict__.pop("forward", None)


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    from torch.utils.checkpoint import checkpoint

    return lambda *given, **named: checkpoint(forward, *given, use_reentrant=False, preserve_rng_state=False, **named)
