"""Who trains for the iterative selector: the small proxy, a model folder with adapters, or a program of the user's."""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ..selectors.influence.gap import ProxyTrainer
from ..selectors.influence.lora import LoraTrainer
from ..selectors.influence.proxy import ProxySettings
from .workspace import read_json, write_json

PROXY = "proxy"


@dataclass(frozen=True)
class ProgramTrainer:
    """A `Trainer` that runs `python FILE FOLDER`: FOLDER holds train.jsonl and score.jsonl (`text`), and settings.json
    (seed, scoring, answer_after); the program writes scores.json there, a number for each line of score.jsonl."""

    file: str
    settings: Mapping[str, Any]

    def scores(self, train: Sequence[str | None], score: Sequence[str | None], seed: int) -> np.ndarray:
        """float64[len(score)]. Raises ValueError, with the end of what the program said, where it fails."""
        with tempfile.TemporaryDirectory(prefix="tamis-train-") as name:
            folder = Path(name)
            for file, texts in (("train", train), ("score", score)):
                (folder / f"{file}.jsonl").write_bytes(b"".join(orjson.dumps({"text": t}) + b"\n" for t in texts))
            write_json(folder / "settings.json", {"seed": seed, **self.settings})
            done = subprocess.run([sys.executable, self.file, name], capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError(f"{self.file} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
            try:
                return np.array(orjson.loads((folder / "scores.json").read_bytes()), np.float64)
            except (OSError, ValueError, TypeError) as e:
                raise ValueError(f"{self.file} wrote no scores.json with a list of numbers ({e})") from e


def place(model: str) -> str:
    """Where a setting `model` leads; empty for the proxy. Raises ValueError where it leads nowhere, or a library is missing."""
    path = Path(model).expanduser()
    if model != PROXY and not path.exists():
        raise ValueError(f"model {model!r} is neither 'proxy', nor a folder with a model, nor a .py file")
    if importlib.util.find_spec("torch") is None and not model.endswith(".py"):
        raise ValueError("training needs the extra 'influence': pip install 'tamis[influence]'")
    if model != PROXY and path.is_dir() and importlib.util.find_spec("peft") is None:
        raise ValueError("adapters for a model need the package peft: pip install peft")
    return "" if model == PROXY else str(path)


def trainer(path: str, scoring: Any, answer_after: str | None, device: str) -> ProxyTrainer | LoraTrainer | ProgramTrainer:
    """The trainer that a setting `model` means; `path` as found: empty for the proxy."""
    if not path:
        return ProxyTrainer(scoring, answer_after, ProxySettings(context=64, vocabulary=1024, device=device))
    if path.endswith(".py"):
        return ProgramTrainer(path, {"scoring": scoring, "answer_after": answer_after, "device": device})
    return LoraTrainer(path, scoring, answer_after, device=device)


@dataclass(frozen=True)
class SavedRounds:
    """The `State` of a selection in rounds, as a file of its stage."""

    path: Path

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or None."""
        return read_json(self.path)

    def save(self, told: dict[str, Any]) -> None:
        """Keep it, by writing beside it and renaming."""
        write_json(self.path, told)
