"""Rewards without a backward pass: what a small step along the query, and one against it, does to the loss of each row.

The reward of a row is the product of its gradient with the query: the slope of its loss in that direction. Two passes forward
tell it, for all rows at once, where a gradient takes one forward, one back, and the products; and nothing of a pass is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .documents import Batch, Document
from .moving import kept, move, ways_of
from .network import PIECE, Network

if TYPE_CHECKING:
    import torch

SLOPE = "slope"  # beside the blocks of a query: its product with the reference gradient
STEP = 5e-4  # nats by which a step lowers the reference loss: longer, and the loss is no straight line; shorter, and float32 shows


class Asked(Protocol):
    """What is asked of a model: see `rewards.InfluenceModel`."""

    @property
    def network(self) -> Network:
        """Its layers."""

    def batches(self, documents: Sequence[Document]) -> Iterator[Batch]:
        """The documents in windows, side by side."""

    def counted(self, batch: Batch) -> "torch.Tensor":
        """float[m, classes], the logits where the loss counts."""


def difference_rewards(model: Asked, documents: Sequence[Document], query: "Mapping[str, torch.Tensor]") -> np.ndarray:
    """float64[n], `(L(w + s q) - L(w - s q)) / 2 s` of each row, L its mean loss per counted token; s `STEP` by the slope.

    0 where no token counts. Cost: two passes forward; memory a batch's logits, and the weights of the layers once more.
    Raises ValueError where the query does not say its slope.
    """
    if SLOPE not in query:
        raise ValueError("this query was made for product: gradient; make it anew with product: difference")
    found, slope = np.zeros(len(documents)), abs(float(query[SLOPE]))
    if not slope > 0:
        return found
    held, step = list(model.batches(documents)), STEP / slope
    with kept(model.network) as moved:
        ways = ways_of(model.network, query, moved)
        for side in (step, -step):
            move(moved, ways, side)
            for batch in held:
                np.add.at(found, batch.rows, losses_of(model, batch) * batch.weights / (2 * side))
    return found


def slope(gradient: "Mapping[str, torch.Tensor]", query: "Mapping[str, torch.Tensor]") -> "torch.Tensor":
    """float64[]: by how much a step of 1 along the query lowers the loss whose gradient this is, were it straight."""
    import torch

    return torch.stack([(matrix.double() * query[name].double()).sum() for name, matrix in gradient.items()]).sum()


def losses_of(model: Asked, batch: Batch) -> np.ndarray:
    """float64[b], nats: the summed loss of each window of the batch; summed in float64, for two of them are to be subtracted."""
    import torch
    from torch.nn import functional

    logits, targets = model.counted(batch), batch.targets[batch.counts]
    step = max(1, PIECE // logits.shape[-1])
    parts = [slice(start, start + step) for start in range(0, len(logits), step)]
    each = torch.cat([functional.cross_entropy(logits[part], targets[part], reduction="none").double() for part in parts])
    row = torch.arange(len(batch.rows), device=each.device)[:, None].expand(batch.counts.shape)[batch.counts]
    summed = torch.zeros(len(batch.rows), dtype=torch.float64, device=each.device).index_add_(0, row, each)
    return summed.cpu().numpy()  # type: ignore[no-any-return]
