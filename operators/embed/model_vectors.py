"""Vectors of rows from a causal model: gradients, gradients without a backward pass, hidden states."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from ..base import embedder


class Reader(Protocol):
    """A causal model that answers a vector for each row."""

    def vectors(self, texts: Sequence[str | None], prompts: Sequence[str | None], **settings: Any) -> np.ndarray:
        """float64[n, d]; zeros where nothing counts."""
        ...

    def count_tokens(self, texts: Sequence[str | None]) -> np.ndarray:
        """int64[n], tokens of each whole text. Null: 0."""
        ...


@embedder("model_vector_mapper", resources={"reader": "sample_model"})
def model_vectors(
    text: pa.StringArray, prompt: pa.StringArray, *, reader: Reader, model: str,
    vectors: Literal["gradient", "zeroth_order", "hidden"] = "gradient", layers: str | None = None, dimension: int = 1024,
    probes: int = 256, step: float = 1e-3, hidden_layer: int = -1, seed: int = 0, prompt_keys: tuple[str, ...] = (),
    answer_after: str | None = None, max_tokens: int = 1024, batch_tokens: int | None = None,
    precision: Literal["float32", "bfloat16"] = "float32", device: str = "cpu",
) -> pa.FixedSizeListArray:
    """Unit vector of each row as a causal language model takes it: by gradients, rows that teach it the same lie together.

    `vectors` gradient: the gradient of the answer's mean loss by the linear layers in whose names the pattern `layers` is found
    (None: all but the last), projected by random signs to `dimension` numbers, a square; the layers' projections are added up.
    zeroth_order: `(loss(w + step u) - loss(w - step u)) / 2 step` for each of `probes` directions u, the weights of `layers` moved
    by random signs, the same for all rows: forward passes only; float32 only.
    hidden: the mean over the row's tokens, prompt and answer, of the model's state behind layer `hidden_layer` (0: what goes into
    the first; -1: what comes out of the last).
    Signs are drawn by `seed`. `model`, `prompt_keys`, `answer_after`, `max_tokens`: see `difficulty_scorer`.

    Shape: float32[n, d], d = dimension, probes, or the model's width.  Empty: the same vector for all rows in which nothing counts,
    its numbers all equal.  Null: null.  Cost: a pass forward and one back; 2 probes forward; one forward.
    Source: Adapt-inf (arXiv 2410.10636); LESS; TRAK; Spall 1992; SPECS 0.3, 4.2, 4.6.
    Raises ValueError where the model answers NaN, with the number of rows.
    """
    texts, missing = text.to_pylist(), np.asarray(text.is_null())
    asked = np.flatnonzero(~missing)
    told = prompt.take(pa.array(asked)).to_pylist()
    found = reader.vectors([texts[i] for i in asked], told, vectors=vectors, dimension=dimension, probes=probes, step=step,
                           hidden_layer=hidden_layer, seed=seed)
    whole = np.zeros((len(texts), found.shape[1]), np.float32)
    whole[asked] = _unit(found)
    kind = pa.list_(pa.float32(), found.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(whole.reshape(-1)), type=kind, mask=pa.array(missing))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    wrong = int((~np.isfinite(length)).sum())
    if wrong:
        raise ValueError(f"the model gave NaN or infinite vectors for {wrong} of {len(vectors)} rows; try precision: float32")
    nothing = np.full(vectors.shape[1], 1 / np.sqrt(vectors.shape[1]))
    return np.where(length[:, None] > 0, vectors / np.where(length > 0, length, 1.0)[:, None], nothing).astype(np.float32)
