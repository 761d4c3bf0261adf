"""One walk of a model over batches: inputs and output gradients of its linear layers, handed on as they come.

A layer's gradient for a row is `sum_t d_t a_t'`, with `a_t` its input and `d_t` the gradient of the row's summed loss by its
output at position t. Only these factors are handed on; whoever needs a matrix multiplies them. No parameter asks for a
gradient, so backward computes none, and below the first of the layers there is no backward at all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from .blocks import Block
from .checkpointing import run_again, stacked
from .documents import Batch

if TYPE_CHECKING:
    import torch

Labels = Literal["data", "sampled"]
Look = Callable[[Batch, "torch.Tensor"], None]  # is shown a batch, and the logits float[m, classes] where its loss counts
PIECE = 1 << 22  # probabilities that are summed up at a time


class Consumer(Protocol):
    """Who is handed the factors."""

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Inputs float[b, t, inputs] and output gradients float[b, t, outputs] of a block; zero where a row is padded."""

    def end(self, batch: Batch) -> None:
        """All blocks of the batch have been handed on."""


@dataclass(frozen=True)
class Network:
    """A model, how it is asked, and what is looked at.

    Attributes:
        model: any module; its parameters are set to ask for no gradient.
        forward: `Batch.inputs` -> logits float[b, t, classes].
        blocks: whose gradients.
        again: stacked layers are run again on the way back, and nothing of what is inside them is kept meanwhile.
    """

    model: "torch.nn.Module"
    forward: Callable[["torch.Tensor"], "torch.Tensor"]
    blocks: tuple[Block, ...]
    again: bool = False

    def walk(
        self, batches: Iterable[Batch], consumer: Consumer, *, labels: Labels = "data", seed: int = 0, look: Look | None = None,
    ) -> None:
        """Hand the factors of all batches to `consumer`. `sampled`: the loss is of labels drawn from what the model says.

        `look` is shown on the way what the model says of each batch.
        """
        import torch

        self.model.requires_grad_(False)
        layers = stacked(self.model, self.blocks) if self.again else {}
        for batch in batches:
            with run_again(layers), _Hooks(self.model, self.blocks, batch, consumer, tuple(layers)) as hooks, torch.enable_grad():
                logits = self.forward(batch.inputs)
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                if look is not None:
                    look(batch, logits.detach()[batch.counts])
                targets = batch.targets if labels == "data" else sampled(logits.detach(), batch.keys, seed)
                losses(logits, targets, batch.counts).sum().backward()
                hooks.check()
            consumer.end(batch)


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """On a CPU torch computes in one thread meanwhile: the last bits of a sum would depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def losses(logits: "torch.Tensor", targets: "torch.Tensor", counts: "torch.Tensor") -> "torch.Tensor":
    """float[b], nats: the summed loss of each row over the positions that count."""
    from torch.nn import functional

    each = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return (each * counts).sum(dim=1)


def sampled(logits: "torch.Tensor", keys: np.ndarray, seed: int) -> "torch.Tensor":
    """int64[b, t], a label for each position, drawn from the model's own distribution by (seed, key, number, position)."""
    import torch

    found = torch.empty(logits.shape[:2], dtype=torch.int64, device=logits.device)
    told = [[part & (2**63 - 1) for part in (seed, *key)] for key in keys.tolist()]
    chance = torch.from_numpy(np.array([np.random.default_rng(key).random(logits.shape[1]) for key in told])).to(logits)
    step = max(1, PIECE // logits[0].numel())
    for start in range(0, len(found), step):
        here = slice(start, start + step)
        odds = torch.softmax(logits[here], dim=-1).cumsum(dim=-1)
        at = chance[here, :, None] * odds[..., -1:]
        found[here] = torch.searchsorted(odds, at, right=True)[..., 0].clamp(max=odds.shape[-1] - 1)
    return found


class _Hooks:
    """Puts hooks on the layers for one batch, and puts together what they tell of each block."""

    def __init__(
        self, model: "torch.nn.Module", blocks: Sequence[Block], batch: Batch, consumer: Consumer, again: tuple[str, ...] = (),
    ) -> None:
        self._twice = tuple(f"{name}." for name in again)  # what is in these runs once more before its gradients are put together
        self._inputs: dict[str, Any] = {}
        self._early: dict[str, Any] = {}
        self._heard: set[str] = set()
        self._model, self._batch, self._consumer = model, batch, consumer
        self._home = {layer: block for block in blocks for layer in block.layers}
        self._waiting: dict[str, dict[str, Any]] = {}
        self._hooks: list[Any] = []
        self._missing = {block.name for block in blocks}

    def __enter__(self) -> "_Hooks":
        self._hooks = [self._model.get_submodule(n).register_forward_hook(self._after(n)) for n in self._home]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def check(self) -> None:
        """Raises ValueError where a block has not been heard of."""
        if self._missing:
            raise ValueError(f"layer {min(self._missing)} has no gradient: leave it out")

    def _after(self, name: str) -> Callable[..., Any]:
        def hook(module: Any, given: tuple[Any, ...], output: "torch.Tensor") -> "torch.Tensor":
            if not output.requires_grad:  # the first on its way: here the graph begins
                output = output.detach().requires_grad_()
            if name in self._heard:
                self._ran_again(name, module, given[0].detach())
                return output
            self._heard.add(name)
            a = None if name.startswith(self._twice) else given[0].detach()
            output.register_hook(lambda d: self._gradient(name, module, a, d))
            return output

        return hook

    def _gradient(self, name: str, module: Any, a: Any, d: "torch.Tensor") -> None:
        a = self._inputs.pop(name, None) if a is None else a
        if a is None:
            self._early[name] = d.detach()  # its input comes when the layer around it is run again
        else:
            self._arrived(name, module, a, d)

    def _ran_again(self, name: str, module: Any, a: "torch.Tensor") -> None:
        if name in self._early:
            self._arrived(name, module, a, self._early.pop(name))
        else:
            self._inputs[name] = a

    def _arrived(self, name: str, module: Any, a: "torch.Tensor", d: "torch.Tensor") -> None:
        import torch

        block = self._home[name]
        if len(a) != len(self._batch.rows):  # a mixture of experts deals tokens out, whosever they are
            raise ValueError(f"layer {name} is given tokens of all rows together: leave it out")
        parts = self._waiting.setdefault(block.name, {})
        parts[name] = d.detach()
        if len(parts) < len(block.layers):
            return
        d = torch.cat([parts[layer] for layer in block.layers], dim=-1) if len(parts) > 1 else parts[name]
        del self._waiting[block.name]
        if module.bias is not None:
            a = torch.cat([a, torch.ones_like(a[..., :1])], dim=-1)
        self._missing.discard(block.name)
        self._consumer.take(self._batch, block, _by_row(a), _by_row(d))


def _by_row(x: "torch.Tensor") -> "torch.Tensor":
    """float[b, t, n], in float32 at least."""
    import torch

    return x.reshape(len(x), -1, x.shape[-1]).to(torch.promote_types(x.dtype, torch.float32))
