"""The proof of a choice: a small language model trained on it, and what that model makes of rows it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xxhash

from ...selectors.influence.ngram import NgramProxy
from ...selectors.influence.proxy import Parameters, Proxy, ProxySettings
from ..errors import RecipeError
from ..workspace import read_json, write_json
from .contenders import Candidates
from .measure import paired
from .starting import found, single_tokens, start_of, texts_at


@dataclass(frozen=True)
class Trial:
    """How the small model is made, and how long it trains.

    Attributes:
        settings: its size, tokens in view, learning rate, device.
        epochs: passes over a choice; every choice of one budget trains the same number of steps, that of the baseline's.
        most: rows held out that it is tested on.
        kind: gpt, or ngram: a trigram model over the same tokens, which takes a second and looks at nothing beyond words and
            their neighbours; of the settings it reads vocabulary and context, and no epochs.
    """

    settings: ProxySettings = field(default_factory=ProxySettings)
    epochs: float = 2.0
    most: int = 400
    kind: Literal["gpt", "ngram"] = "gpt"
    start: str | None = None
    start_tokens: int = 2_000_000
    tests: str | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.kind != "gpt":
            raise RecipeError("a proxy of trigrams counts a choice and nothing else: a start is for kind gpt")

    def check(self) -> None:
        """Raises RecipeError where nothing lies at `start` or `tests`."""
        for what in ("start", "tests"):
            if (path := getattr(self, what)) is not None:
                found(path, what)

    @property
    def tuned(self) -> ProxySettings:
        """The settings with which a choice is trained on."""
        rate = self.rate or (self.settings.rate if self.start is None else self.settings.rate / 3)
        return replace(self.settings, rate=rate)


def trial(
    pool: Candidates, picked: Mapping[float, Mapping[str, Sequence[np.ndarray]]], runs: Sequence[dict[str, Any]], baseline: str,
    asked: Trial, folder: Path,
) -> dict[str, Any]:
    """Train on every choice; adds `loss` (nats per token), `accuracy` (share of tokens guessed right) and `train_seconds`
    to the lines of `runs`, and answers `proxy` and `differences` against the baseline. What each training gave is kept in
    `folder` and taken up by a later run."""
    texts = [t or "" for t in pool.texts]
    proxy = (Proxy if asked.kind == "gpt" else NgramProxy)(texts, asked.settings)
    held = pool.heldout if asked.tests is None else texts_at(asked.tests, "tests")
    encoded, tested = proxy.encode(texts), proxy.encode([t or "" for t in held[: asked.most]])
    tested = [t for t in tested if len(t) > 1]
    if not tested:
        raise RecipeError("a proxy needs rows held out that are longer than one token: raise heldout")
    floor = {"single_tokens": single_tokens(encoded, tested, proxy.settings.context, proxy.vocabulary)}
    start: tuple[Parameters | None, str] = (None, "")
    if asked.start is not None:
        start = start_of(proxy, asked.start, asked.start_tokens, folder)
        loss, _, count = proxy.score(start[0] or {}, tested)
        floor["start"] = float(loss.sum() / count.sum())
    proxy.settings = asked.tuned
    lines = {(r["share"], r["name"], r["seed"]): r for r in runs}
    differences: list[dict[str, Any]] = []
    for share, choices in picked.items():
        scores = {}
        tokens = np.mean([sum(len(encoded[i]) for i in index) for index in choices[baseline]])
        steps = max(1, round(asked.epochs * float(tokens) / proxy.step_tokens))
        for name, chosen in choices.items():
            losses, rights = [], []
            for seed, index in enumerate(chosen):
                rows = [encoded[i] for i in np.sort(index)]
                loss, right, count, seconds = _tried(proxy, rows, tested, steps, seed, folder, start)
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
    made = {**vars(asked.tuned), "epochs": asked.epochs, "parameters": proxy.parameters} if asked.kind == "gpt" else {}
    made |= {"start": asked.start, "start_tokens": asked.start_tokens} if asked.start is not None else {}
    return {"proxy": {"kind": asked.kind, **made, "tested": len(tested), "floor": floor}, "differences": differences}


def _tried(
    proxy: Proxy, rows: list[np.ndarray], tested: list[np.ndarray], steps: int, seed: int, folder: Path,
    start: tuple[Parameters | None, str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Losses, right tokens, tokens of the tested rows, and seconds of training; from `folder` where it is known."""
    told = xxhash.xxh3_128(repr((type(proxy).__name__, vars(proxy.settings), proxy.vocabulary, steps, seed)).encode())
    told.update(start[1].encode())
    for row in (*rows, np.full(1, -1, np.int32), *tested):
        told.update(row.tobytes() + b"|")
    file = folder / f"{told.hexdigest()}.json"
    known = read_json(file)
    if known is None:
        if isinstance(proxy, NgramProxy):
            trigrams, seconds = proxy.fit(rows)
            loss, right, count = trigrams.score(tested, proxy.settings.context)
        else:
            model, seconds = proxy.train(rows, steps=steps, seed=seed, start=start[0])
            loss, right, count = proxy.score(model, tested)
        known = {"loss": loss.tolist(), "right": right.tolist(), "count": count.tolist(), "seconds": seconds}
        write_json(file, known)
    return np.array(known["loss"]), np.array(known["right"]), np.array(known["count"]), float(known["seconds"])
