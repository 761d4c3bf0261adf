"""A causal model that is asked about rows: how hard each is for it, and which way it points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .documents import Document
from .network import one_thread
from .prompted import count_tokens, documents, pairs
from .rewards import InfluenceModel
from .scores import Score, row_scores
from .vectors import gradient_vectors, hidden_vectors
from .zeroth_order import zeroth_order_vectors

Vectors = Literal["gradient", "zeroth_order", "hidden"]


@dataclass(frozen=True)
class SampleModel:
    """Answers are of the row alone, but for the last bits of what is computed side by side; equal rows are asked about once.

    On a CPU it computes in one thread: several would make the last bits depend on their number. Workers share the rows instead.

    Attributes:
        model: loaded; a row is cut at as many tokens as its windows have.
        after: where a text's answer begins, which alone counts; None: all of it counts.
    """

    model: InfluenceModel
    after: str | None = None

    def scores(self, texts: Sequence[str | None], prompts: Sequence[str | None], wanted: Sequence[Score]) -> dict[str, np.ndarray]:
        """float64[n] by name; see `scores.row_scores`."""
        found, back = self._asked(texts, prompts)
        with one_thread(self.model.device):
            return {name: values[back] for name, values in row_scores(self.model, found, wanted).items()}

    def vectors(
        self, texts: Sequence[str | None], prompts: Sequence[str | None], *, vectors: Vectors = "gradient", dimension: int = 1024,
        probes: int = 256, step: float = 1e-3, hidden_layer: int = -1, seed: int = 0,
    ) -> np.ndarray:
        """float64[n, d]; see `vectors`. Zeros where nothing counts."""
        found, back = self._asked(texts, prompts)
        with one_thread(self.model.device):
            if vectors == "gradient":
                return gradient_vectors(self.model, found, dimension, seed)[back]
            if vectors == "hidden":
                return hidden_vectors(self.model, found, hidden_layer)[back]
            return zeroth_order_vectors(self.model, found, probes, step, seed)[back]

    def count_tokens(self, texts: Sequence[str | None]) -> np.ndarray:
        """int64[n], tokens of each whole text. Null: 0."""
        return count_tokens(self.model.reader, texts)

    def _asked(self, texts: Sequence[str | None], prompts: Sequence[str | None]) -> tuple[list[Document], np.ndarray]:
        given = pairs(texts, prompts, self.after)
        place = {pair: i for i, pair in enumerate(dict.fromkeys(given))}
        return documents(self.model.reader, list(place), self.model.context), np.array([place[pair] for pair in given], np.int64)
