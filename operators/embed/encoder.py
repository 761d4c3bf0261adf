"""What the embedding operator asks of a model: four things, so that a test can answer with ten lines."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Encoder(Protocol):
    """A loaded model that turns text into vectors, each a function of its text alone."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str], *, batch_tokens: int) -> np.ndarray:
        """float32[n, dimension], a vector for each text; `batch_tokens` bounds memory and changes no vector."""

    def count_tokens(self, texts: Sequence[str | None]) -> np.ndarray:
        """int64[n], tokens of each whole text, neither truncated nor framed by special tokens. Null: 0."""
