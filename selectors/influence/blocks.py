"""Which layers of a model are looked at, and which of them share their input."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """One factor of the curvature: a layer, or several with one input, taken as one.

    Attributes:
        name: of the layer; of several, joined by `+`.
        layers: their names in the model.
        inputs: the name of the first block that has the same input: its input factor serves for all of them.
        shape: outputs, inputs; a bias is one more input, which is always 1.
    """

    name: str
    layers: tuple[str, ...]
    inputs: str
    shape: tuple[int, int]


def linear_layers(model: "torch.nn.Module", pattern: str | None = None) -> list[str]:
    """Names of the Linear layers (Conv1D of GPT-2 too) but the last, which tells the words; of those, what `pattern` is found in.

    Raises ValueError where there is none, naming some that there are.
    """
    last = getattr(model, "get_output_embeddings", lambda: None)()
    found = [name for name, module in model.named_modules() if is_linear(module) and module is not last]
    chosen = [name for name in found if pattern is None or re.search(pattern, name)]
    if not chosen:
        raise ValueError(f"layers {pattern!r} is found in the name of no linear layer; there are: {', '.join(found[:8])} ...")
    return chosen


def is_linear(module: "torch.nn.Module") -> bool:
    """Whether a layer multiplies by a matrix and may add a bias."""
    import torch

    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"


def shape_of(module: "torch.nn.Module") -> tuple[int, int]:
    """Outputs and inputs of a linear layer, its bias being one more input."""
    weight: Any = module.weight
    rows, columns = (int(n) for n in weight.shape)
    outputs, inputs = (columns, rows) if type(module).__name__ == "Conv1D" else (rows, columns)
    return outputs, inputs + (module.bias is not None)


def blocks_of(
    model: "torch.nn.Module", forward: Callable[[], Any], layers: Sequence[str], *, fused: bool = False,
) -> tuple[Block, ...]:
    """The blocks of these layers. `forward` runs the model once on anything, which shows who is given the same tensor.

    `fused`: layers of an attention that share their input (queries, keys, values) are one block, whose output factor then
    holds what they have to do with each other; else each is a block, and only the input factor is shared.
    Raises ValueError where a layer is not run, or runs twice in a pass.
    """
    seen = _inputs(model, forward, layers)
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in layers:
        given = (id(seen[name]), model.get_submodule(name).bias is not None)
        groups.setdefault(given if fused and ATTENTION.search(name) else (*given, name), []).append(name)
    leaders: dict[tuple[Any, ...], str] = {}
    found = []
    for key, members in groups.items():
        name, shapes = "+".join(members), [shape_of(model.get_submodule(m)) for m in members]
        found.append(Block(name, tuple(members), leaders.setdefault(key[:2], name), (sum(o for o, _ in shapes), shapes[0][1])))
    return tuple(found)


def _inputs(model: "torch.nn.Module", forward: Callable[[], Any], layers: Sequence[str]) -> dict[str, Any]:
    import torch

    seen: dict[str, Any] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(_: Any, given: tuple[Any, ...]) -> None:
            if name in seen:
                raise ValueError(f"layer {name} runs twice in a pass: leave it out")
            seen[name] = given[0]  # kept, so that no other tensor takes its place in memory

        return hook

    hooks = [model.get_submodule(name).register_forward_pre_hook(look(name)) for name in layers]
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    if missing := [name for name in layers if name not in seen]:
        raise ValueError(f"layer {missing[0]} is not run: leave it out")
    return seen
