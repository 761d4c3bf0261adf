"""Tensors on disk with the arguments that they were made with: taken up only for the very same arguments."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .curvature import Factors

if TYPE_CHECKING:
    import torch


Put = Callable[[Path, Callable[[Path], Any]], Any]  # makes a file by calling what writes it with a path


class OtherArgumentsError(ValueError):
    """What lies there was made with other arguments."""


def plainly(path: Path, write: Callable[[Path], Any]) -> None:
    """A `Put` that writes to the path itself: whoever is killed meanwhile leaves half a file there."""
    write(path)


def save(
    folder: Path, name: str, tensors: Mapping[str, "torch.Tensor"], arguments: Mapping[str, Any], put: Put = plainly,
) -> None:
    """Write `name.safetensors` and, after it, `name.json`, without which the other does not count."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    held = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    put(folder / f"{name}.safetensors", lambda tmp: save_file(held, tmp))
    told = json.dumps(dict(arguments), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    put(folder / f"{name}.json", lambda tmp: tmp.write_text(told, "utf-8"))


def load(folder: Path, name: str, arguments: Mapping[str, Any]) -> dict[str, "torch.Tensor"] | None:
    """The tensors, or None where there are none yet.

    Raises OtherArgumentsError, naming those, and ValueError where they cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        told = json.loads((folder / f"{name}.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise ValueError(f"{folder / name}.json cannot be read: {e}") from e
    asked = json.loads(json.dumps(dict(arguments)))
    differ = sorted(k for k in {*told, *asked} if told.get(k) != asked.get(k))
    if differ:
        what = "; ".join(f"{k} is {told.get(k)!r} there, {asked.get(k)!r} here" for k in differ[:3])
        raise OtherArgumentsError(f"{folder / name}.safetensors was made with other arguments: {what}")
    try:
        return dict(load_file(folder / f"{name}.safetensors"))
    except (OSError, SafetensorError) as e:
        raise ValueError(f"{folder / name}.safetensors cannot be read: {e}") from e


def packed(factors: Mapping[str, Factors], inputs: Mapping[str, str]) -> dict[str, "torch.Tensor"]:
    """The factors as named tensors; `inputs`: block -> the block whose input basis it shares, which is kept once."""
    found = {}
    for name, f in factors.items():
        found[f"values/{name}"] = f.values
        if f.left is not None and f.right is not None:
            found[f"left/{name}"] = f.left
            found[f"right/{inputs[name]}"] = f.right
    return found


def unpacked(tensors: Mapping[str, "torch.Tensor"], inputs: Mapping[str, str]) -> dict[str, Factors]:
    """What `packed` has packed."""
    names = [key.removeprefix("values/") for key in tensors if key.startswith("values/")]
    return {n: Factors(tensors[f"values/{n}"], tensors.get(f"left/{n}"), tensors.get(f"right/{inputs[n]}")) for n in names}
