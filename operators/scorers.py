"""Numbers that a model gives a row once it has been fitted: what a selector then chooses by."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from .base import scorer as mark

Score = Literal["ppl", "el2n", "entropy", "grand", "grounding"]


class Influence(Protocol):
    """A causal model that knows what helps it on reference examples."""

    def rewards(self, texts: Sequence[str | None], examples: Sequence[tuple[str, int]]) -> np.ndarray:
        """float64[n], a reward for each text; `examples` are texts, each with the first character that counts."""
        ...


class Difficulty(Protocol):
    """A causal model that tells how hard a row is for it."""

    def scores(self, texts: Sequence[str | None], prompts: Sequence[str | None], wanted: Sequence[Any]) -> dict[str, np.ndarray]:
        """float64[n] of each wanted score, and of nll and nll_tokens."""
        ...


@mark("influence_scorer", resources={"scorer": "influence", "examples": "reference"})
def influence_reward(
    text: pa.StringArray, *, scorer: Influence, examples: Sequence[tuple[str, int]], model: str, reference: dict[str, Any],
    answer_after: str | None = None, adapter: str | None = None, layers: str | None = None,
    labels: Literal["sampled", "data"] = "sampled",
    curvature: Literal["ekfac", "kfac", "diagonal", "identity"] = "ekfac", damping: float = 0.1, fit_rows: int = 1000,
    fused: bool = False, score: Literal["dot", "cosine_mean"] = "dot", product: Literal["gradient", "difference"] = "gradient",
    context: int = 1024, overlap: int = 1, max_tokens: int | None = 20480, batch_tokens: int | None = None,
    checkpointing: bool = False, precision: Literal["float32", "bfloat16"] = "float32", device: str = "cpu",
) -> pa.DoubleArray:
    """How much a row, given more weight in training, lowers the model's loss on the reference set; negative: raises it.

    `reward = g_ref' (H + lambda)^-1 g_row`, with g_row the gradient of the row's mean loss per token, g_ref the mean of the
    examples' gradients, H the curvature of the loss on `fit_rows` rows of this corpus, lambda `damping` times its mean
    eigenvalue, all of the linear layers in whose names the pattern `layers` is found (None: all but the last).
    `model` is a folder with a Transformers causal model in safetensors. `reference`: `path` (a file or folder), `text_key`
    (default text), `prompt_key` (read before the text, not predicted), `answer_after` (only what follows it counts).
    `answer_after`: the same, for the corpus' own rows. `labels: sampled` is the true Fisher, `data` the empirical one.
    `fused`: queries, keys and values as one block. `score: cosine_mean` is the mean cosine to each reference window.
    `adapter`: a folder with a LoRA adapter of the model, whose matrices are then the layers that are looked at.
    `checkpointing`: the model's layers are run again on the way back: a third more to compute, far less to hold.
    `product: difference`: not by a gradient, but by the row's loss a small step along the query and one against it.
    A text is cut at `max_tokens` and read in windows of `context` tokens that share `overlap`; each token counts once.

    Empty: 0.0, as where nothing counts. Null: null. Cost: a pass forward and one back through the model a row (difference: two
    forward); fitting three more over `fit_rows` rows.
    Source: Koh & Liang 2017; Quad (arXiv 2409.16986); EK-FAC: Grosse et al. 2023.
    """
    missing = np.asarray(text.is_null())
    return pa.array(scorer.rewards(text.to_pylist(), examples), pa.float64(), mask=missing)


@mark(
    "difficulty_scorer", resources={"reader": "sample_model"}, chosen="scores",
    stats=("nll", "nll_tokens", "ppl", "el2n", "entropy", "grand", "grounding"),
)
def difficulty(
    text: pa.StringArray, prompt: pa.StringArray, *, reader: Difficulty, model: str,
    scores: tuple[Score, ...] = ("ppl", "el2n", "entropy"), prompt_keys: tuple[str, ...] = (), answer_after: str | None = None,
    layers: str | None = None, max_tokens: int = 1024, batch_tokens: int | None = None,
    precision: Literal["float32", "bfloat16"] = "float32", device: str = "cpu",
) -> pa.StructArray:
    """How hard a row is for a causal language model: numbers of its answer, which `adapt_selector` can choose by.

    Always `nll`, the mean loss per token in nats, and `nll_tokens`, how many tokens count; and of `scores`:
    `ppl` = exp(nll). `el2n`: mean over the tokens of ||softmax - onehot||. `entropy`: mean entropy of the model's own odds, nats.
    `grand`: ||gradient of nll|| by the linear layers in whose names the pattern `layers` is found (None: all but the last).
    `grounding`: perplexity of the answer without its prompt / with it (1 / IFD): above 1 the prompt helps. Both are over the same
    tokens: the answer's first, which nothing stands before without a prompt, counts in neither.

    `model` is a folder with a Transformers causal model in safetensors. The prompt is what the columns `prompt_keys` hold, one to a
    line; it is read and not predicted. `answer_after`: of the text itself only what follows this string counts. Prompt and answer
    are cut into tokens apart. A row of more than `max_tokens` is cut: the answer's end, down to half of them, then the
    prompt's beginning.

    Empty: 0.0, 1.0 for ppl and grounding, as where nothing counts. Null: null. Cost: a pass forward a row; grounding one more,
    of the answer; grand one back.  Source: Paul et al. 2021; Li et al. 2024; Adapt-inf (arXiv 2410.10636); SPECS 4.4.
    """
    found = reader.scores(text.to_pylist(), prompt.to_pylist(), scores)
    missing = np.asarray(text.is_null())
    columns = {name: pa.array(values, pa.float64(), mask=missing) for name, values in found.items()}
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
