"""The proof of a choice: a small language model trained on it, and what that model makes of rows it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...selectors.influence.proxy import Proxy, ProxySettings
from ..errors import RecipeError
from .contenders import Candidates
from .measure import paired


@dataclass(frozen=True)
class Trial:
    """How the small model is made, and how long it trains.

    Attributes:
        settings: its size, tokens in view, learning rate, device.
        epochs: passes over a choice; every choice of one budget trains the same number of steps, that of the baseline's.
        most: rows held out that it is tested on.
    """

    settings: ProxySettings = field(default_factory=ProxySettings)
    epochs: float = 2.0
    most: int = 400


def trial(
    pool: Candidates, picked: Mapping[float, Mapping[str, Sequence[np.ndarray]]], runs: Sequence[dict[str, Any]], baseline: str,
    asked: Trial,
) -> dict[str, Any]:
    """Train on every choice; adds `loss` (nats per token), `accuracy` (share of tokens guessed right) and `train_seconds`
    to the lines of `runs`, and answers `proxy` and `differences` against the baseline."""
    texts = [t or "" for t in pool.texts]
    proxy = Proxy(texts, asked.settings)
    encoded, tested = proxy.encode(texts), proxy.encode([t or "" for t in pool.heldout[: asked.most]])
    tested = [t for t in tested if len(t) > 1]
    if not tested:
        raise RecipeError("a proxy needs rows held out that are longer than one token: raise heldout")
    lines = {(r["share"], r["name"], r["seed"]): r for r in runs}
    differences: list[dict[str, Any]] = []
    for share, choices in picked.items():
        scores = {}
        tokens = np.mean([sum(len(encoded[i]) for i in index) for index in choices[baseline]])
        steps = max(1, round(asked.epochs * float(tokens) / proxy.step_tokens))
        for name, chosen in choices.items():
            losses, rights = [], []
            for seed, index in enumerate(chosen):
                model, seconds = proxy.train([encoded[i] for i in np.sort(index)], steps=steps, seed=seed)
                loss, right, count = proxy.score(model, tested)
                lines[share, name, seed] |= {"loss": float(loss.sum() / count.sum()), "accuracy": float(right.sum() / count.sum()),
                                             "train_seconds": seconds}
                losses.append(loss)
                rights.append(right)
            scores[name] = (np.array(losses), np.array(rights))
        for name, (loss, right) in scores.items():
            if name != baseline:
                gaps = {"loss": paired(loss, scores[baseline][0], count), "accuracy": paired(right, scores[baseline][1], count)}
                differences += [{"share": share, "name": name, "what": what, "mean": mean, "low": low, "high": high}
                                for what, (mean, low, high) in gaps.items()]
    return {"proxy": {**vars(asked.settings), "epochs": asked.epochs, "parameters": proxy.parameters, "tested": len(tested)},
            "differences": differences}
