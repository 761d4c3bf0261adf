"""An influence model with its query on disk: what a job fits once, and every piece of rows then only multiplies with."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .network import one_thread
from .rewards import Example, InfluenceModel
from .saving import Put, load, plainly, save

if TYPE_CHECKING:
    import torch


def answers(texts: Sequence[str | None], after: str | None) -> list[Example]:
    """Each text, with what counts: all of it, or what follows the first `after`; where that is missing, nothing."""
    found = []
    for text in texts:
        words = text or ""
        at = words.find(after) if after else 0
        found.append((words, len(words) if at < 0 else at + len(after or "")))
    return found


class FittedInfluence:
    """Rewards of texts by a model and a query.

    Attributes:
        after: where a text's answer begins, which alone counts; None: all of it counts.
        examples: digest of the reference set that the query is of.
    """

    def __init__(self, model: InfluenceModel, query: dict[str, "torch.Tensor"], examples: str, after: str | None = None) -> None:
        self.model, self.query, self.examples, self.after = model, query, examples, after

    def rewards(self, texts: Sequence[str | None], examples: Sequence[Example]) -> np.ndarray:
        """float64[n]; equal texts are asked about once, and their order changes nothing beyond rounding. Null: 0.

        Raises ValueError where `examples` are others than those that the query was made of.
        """
        if digest(examples) != self.examples:
            raise ValueError("the query was made of another reference set")
        place = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        with one_thread(self.model.device):
            found = self.model.rewards(answers(list(place), self.after), self.query)
        return found[[place[t] for t in texts]]

    def asked(self, texts: Sequence[str | None], examples: Sequence[Example]) -> Callable[[np.ndarray], np.ndarray]:
        """The rewards of a pool's rows as a selector asks for them: index int64[m] -> float64[m]; nothing is computed before."""
        return lambda index: self.rewards([texts[i] for i in np.asarray(index).tolist()], examples)


@dataclass(frozen=True)
class InfluenceJob:
    """What a job is given: how to load the model, to fit it once into a folder, and to take that up.

    Attributes:
        model: loaded.
        after: see `FittedInfluence`.
        put: how files are made; a pipeline gives one that leaves a file whole or not at all.
    """

    model: InfluenceModel
    after: str | None = None
    put: Put = plainly

    def rewards(self, texts: Sequence[str | None], examples: Sequence[Example]) -> np.ndarray:
        """float64[n], with the curvature fitted on these same texts: for a notebook, where nothing is kept."""
        with one_thread(self.model.device):
            query = self.model.query(self.model.factors(answers(texts, self.after), range(len(texts))), examples)
        return FittedInfluence(self.model, query, digest(examples), self.after).rewards(texts, examples)

    def fit(
        self, folder: Path, texts: Sequence[str | None], keys: Sequence[int], examples: Sequence[Example], kept: Path | None = None,
    ) -> dict[str, Any]:
        """Write the query to `folder`, and the factors to `kept` (default: there too), where they are not there yet.

        Answers what was done. Raises ValueError where either folder holds those of other arguments.
        """
        given = answers(texts, self.after)
        arguments = self._arguments(examples)
        if load(folder, "query", arguments) is None:
            with one_thread(self.model.device):
                query = self.model.query(self.model.fitted(kept or folder, given, keys, self.put), examples)
            save(folder, "query", query, arguments, self.put)
        tokens = sum(d.told for d in self.model.documents(given)) if self.model.settings.curvature != "identity" else 0
        return {"layers": len(self.model.layers), "examples": len(examples), "fitted_rows": len(texts), "fitted_tokens": tokens}

    def ready(self, folder: Path, examples: Sequence[Example]) -> FittedInfluence:
        """What `fit` has made for these examples. Raises ValueError where it has made none, or for others."""
        query = load(folder, "query", self._arguments(examples))
        if query is None:
            raise ValueError(f"{folder} holds no query: it has not been fitted")
        query = {k: v.to(self.model.device) for k, v in query.items()}
        return FittedInfluence(self.model, query, digest(examples), self.after)

    def _arguments(self, examples: Sequence[Example]) -> dict[str, Any]:
        told = self.model.settings
        return {"examples": digest(examples), "model": self.model.identity, "score": told.score, "damping": told.damping,
                "curvature": told.curvature, "layers": self.model.layers, "context": self.model.context, "overlap": told.overlap,
                "max_tokens": told.max_tokens, "precision": told.precision,
                **({"product": told.product} if told.product == "difference" else {})}  # its query knows its slope


def digest(examples: Sequence[Example]) -> str:
    """sha256 of a reference set."""
    return hashlib.sha256(json.dumps([list(e) for e in examples], ensure_ascii=True).encode()).hexdigest()
