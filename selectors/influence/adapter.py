"""Low-rank adapters (LoRA) from a folder as peft writes it, attached to a model: their own weights are layers to look at."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LAYERS = r"\.lora_[AB]$"  # what is looked at where an adapter is given and no layers are named
_PLAIN = {"use_dora": False, "bias": "none", "rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": None, "peft_type": "LORA"}


def attach(model: "torch.nn.Module", folder: Path) -> int:
    """Put the adapter of `folder` on the layers that it is of; answers how many. The model then says what the tuned one says.

    Raises ValueError where the folder holds no such adapter, one of another model, or one that is more than two matrices a layer.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    class Adapted(torch.nn.Module):
        """A layer, and the product of two small ones beside it."""

        def __init__(self, base: Any, down: "torch.Tensor", up: "torch.Tensor", scale: float) -> None:
            super().__init__()
            like: dict[str, Any] = {"dtype": base.weight.dtype, "device": base.weight.device, "bias": False}
            self.base, self.scale = base, scale
            self.lora_A, self.lora_B = (torch.nn.Linear(w.shape[1], w.shape[0], **like) for w in (down, up))
            for layer, weight in ((self.lora_A, down), (self.lora_B, up)):
                layer.weight.data.copy_(weight)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            """The tuned layer's output."""
            return self.base(x) + self.lora_B(self.lora_A(x)) * self.scale  # type: ignore[no-any-return]

    try:
        told = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        weights = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as e:
        raise ValueError(f"adapter: {folder} holds no adapter (adapter_config.json, adapter_model.safetensors): {e}") from e
    _check(told, folder)
    scale = told["lora_alpha"] / (told["r"] ** 0.5 if told.get("use_rslora") else told["r"])
    downs = {k.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): k for k in weights if k.endswith(".lora_A.weight")}
    for name, key in downs.items():
        try:
            base = model.get_submodule(name)
            adapted = Adapted(base, weights[key], weights[key.replace("lora_A", "lora_B")], scale)
        except (AttributeError, KeyError) as e:
            raise ValueError(f"adapter: {folder} is of another model: there is no {name} with both matrices") from e
        outer, _, last = name.rpartition(".")
        setattr(model.get_submodule(outer), last, adapted)
    if not downs:
        raise ValueError(f"adapter: {folder} has no matrices lora_A and lora_B")
    return len(downs)


def _check(told: dict[str, Any], folder: Path) -> None:
    for name, plain in _PLAIN.items():
        if (told.get(name, plain) or plain) != plain:
            raise ValueError(f"adapter: {folder}: {name} is {told[name]!r}: only plain LoRA is read here")
    if not told.get("r") or "lora_alpha" not in told:
        raise ValueError(f"adapter: {folder}: adapter_config.json names no r or lora_alpha")
