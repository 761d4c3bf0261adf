"""Numbers that a model gives a row once it has been fitted: what a selector then chooses by."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from .base import scorer as mark


class Influence(Protocol):
    """A causal model that knows what helps it on reference examples."""

    def rewards(self, texts: Sequence[str | None], examples: Sequence[tuple[str, int]]) -> np.ndarray:
        """float64[n], a reward for each text; `examples` are texts, each with the first character that counts."""
        ...


@mark("influence_scorer", resources={"scorer": "influence", "examples": "reference"})
def influence_reward(
    text: pa.StringArray, *, scorer: Influence, examples: Sequence[tuple[str, int]], model: str, reference: dict[str, Any],
    answer_after: str | None = None, layers: str | None = None, labels: Literal["sampled", "data"] = "sampled",
    curvature: Literal["ekfac", "kfac", "diagonal", "identity"] = "ekfac", damping: float = 0.1, fit_rows: int = 1000,
    fused: bool = False, score: Literal["dot", "cosine_mean"] = "dot", context: int = 1024, overlap: int = 1,
    max_tokens: int | None = 20480, batch_tokens: int = 4096, precision: Literal["float32", "bfloat16"] = "float32",
    device: str = "cpu",
) -> pa.DoubleArray:
    """How much a row, given more weight in training, lowers the model's loss on the reference set; negative: raises it.

    `reward = g_ref' (H + lambda)^-1 g_row`, with g_row the gradient of the row's mean loss per token, g_ref the mean of the
    examples' gradients, H the curvature of the loss on `fit_rows` rows of this corpus, lambda `damping` times its mean
    eigenvalue, all of the linear layers in whose names the pattern `layers` is found (None: all but the last).
    `model` is a folder with a Transformers causal model in safetensors. `reference`: `path` (a file or folder), `text_key`
    (default text), `prompt_key` (read before the text, not predicted), `answer_after` (only what follows it counts).
    `answer_after`: the same, for the corpus' own rows. `labels: sampled` is the true Fisher, `data` the empirical one.
    `fused`: queries, keys and values as one block. `score: cosine_mean` is the mean cosine to each reference window.
    A text is cut at `max_tokens` and read in windows of `context` tokens that share `overlap`; each token counts once.

    Empty: 0.0, as where nothing counts. Null: null. Cost: a pass forward and one back through the model a row; fitting
    three more over `fit_rows` rows.  Source: Koh & Liang 2017; Quad (arXiv 2409.16986); EK-FAC: Grosse et al. 2023.
    """
    missing = np.asarray(text.is_null())
    return pa.array(scorer.rewards(text.to_pylist(), examples), pa.float64(), mask=missing)
