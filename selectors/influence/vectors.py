"""Vectors of rows from a causal model by one pass: what a row would change in it (its gradient), or what the model makes of it."""

from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from .documents import Batch, Document
from .gradients import Features
from .rewards import InfluenceModel

if TYPE_CHECKING:
    import torch


def gradient_vectors(model: InfluenceModel, documents: Sequence[Document], dimension: int, seed: int) -> np.ndarray:
    """float64[n, dimension], a random projection of each row's gradient by the linear layers. Cost: a pass forward, one back.

    Raises ValueError unless `dimension` is the square of a whole number: each layer's matrix is projected from both sides.
    """
    side = isqrt(dimension)
    if side * side != dimension:
        raise ValueError(f"dimension is {dimension}; it must be the square of a whole number, such as 256, 1024 or 4096")
    features = Features(len(documents), side, seed, together=True)
    model.network.walk(model.batches(documents), features)
    return features.found if any(d.told for d in documents) else np.zeros((len(documents), dimension))


def hidden_vectors(model: InfluenceModel, documents: Sequence[Document], layer: int) -> np.ndarray:
    """float64[n, hidden size]: the mean over a row's tokens, but for the last, of the model's state behind layer number `layer`.

    0 is what goes into the first layer, -1 what comes out of the last. Prompts count here. Cost: a pass forward.
    Raises ValueError where there is no such layer.
    """
    import torch

    whole = [Document(d.tokens, np.ones(len(d.tokens), bool)) for d in documents]
    body: Any = model.network.model.base_model
    found = np.zeros((len(documents), int(body.config.hidden_size)))
    for batch in model.batches(whole):
        with torch.no_grad():
            states = body(input_ids=batch.inputs, output_hidden_states=True, use_cache=False).hidden_states
        if not -len(states) <= layer < len(states):
            raise ValueError(f"hidden_layer is {layer}; this model has 0 (what goes in) to {len(states) - 1}, or -1 for the last")
        found[batch.rows] = _means(batch, states[layer])
    return found


def _means(batch: Batch, states: "torch.Tensor") -> np.ndarray:
    import torch

    real = batch.real[..., None].to(torch.float64)
    return ((states.double() * real).sum(dim=1) / real.sum(dim=1)).cpu().numpy()  # type: ignore[no-any-return]
