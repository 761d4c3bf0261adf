"""What is made of the factors of gradients: means, rows of their own, products with a query, norms, small projections."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Block
from .documents import Batch

if TYPE_CHECKING:
    import torch

Matrices = Mapping[str, "torch.Tensor"]  # block -> float[outputs, inputs]
SLICE = 1 << 26  # numbers of gradients that are held at once, where they must be


class Mean:
    """The sum of the rows' gradients, each times its weight: `sums` float[outputs, inputs] of each block."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch."""
        weighted = d * _weights(batch, d)[:, None, None]
        found = weighted.flatten(0, 1).T @ a.flatten(0, 1)
        self.sums[block.name] = self.sums[block.name] + found if block.name in self.sums else found

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""


class Rows:
    """The gradient of each row itself, as float64[rows, outputs, inputs] of each block: for small models and for tests."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.found: dict[str, np.ndarray] = {}

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch; windows of one document add up."""
        held = self.found.setdefault(block.name, np.zeros((self.rows, *block.shape)))
        each = _matrices(a, d).double().cpu().numpy() * batch.weights[:, None, None]
        np.add.at(held, batch.rows, each)

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""

    def flat(self) -> np.ndarray:
        """float64[rows, parameters], the blocks side by side."""
        return np.concatenate([f.reshape(self.rows, -1) for f in self.found.values()], axis=1)


class Products:
    """Each row's `sum over blocks of <query, gradient>`, in `rewards` float64[rows]; no gradient is formed.

    `cosine`: of each window, divided by the length of its gradient; a document's is the mean by its counted tokens.
    """

    def __init__(self, rows: int, query: Matrices, *, cosine: bool = False) -> None:
        self.rewards, self._query, self._cosine = np.zeros(rows), query, cosine
        self._dots: list[torch.Tensor] = []
        self._squares: list[torch.Tensor] = []

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a block to the batch's products."""
        query = self._query[block.name].to(device=a.device, dtype=a.dtype)
        moved, other = (a @ query.T, d) if query.shape[0] <= query.shape[1] else (d @ query, a)
        self._dots.append((moved * other).sum(dim=(1, 2)))
        if self._cosine:
            self._squares.append(squares(a, d))

    def end(self, batch: Batch) -> None:
        """Adds the batch to its rows."""
        found, weights = _total(self._dots), batch.weights
        if self._cosine:
            lengths = np.sqrt(np.maximum(_total(self._squares), 0.0))
            found = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
            weights = weights * batch.counts.sum(dim=1).cpu().numpy()
        np.add.at(self.rewards, batch.rows, found * weights)
        self._dots, self._squares = [], []


class Norms:
    """The length of each row's gradient over all blocks, in `found` float64[rows]; of documents that are one window each."""

    def __init__(self, rows: int) -> None:
        self.found = np.zeros(rows)
        self._squares: list[torch.Tensor] = []

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a block to the batch's lengths."""
        self._squares.append(squares(a, d))

    def end(self, batch: Batch) -> None:
        """Puts the batch's lengths where its rows are."""
        self.found[batch.rows] = np.sqrt(np.maximum(_total(self._squares), 0.0)) * batch.weights
        self._squares = []


def squares(a: "torch.Tensor", d: "torch.Tensor") -> "torch.Tensor":
    """float[b], squared length of each row's gradient: by products of positions, or by the matrices where those are smaller."""
    outputs, inputs, length = d.shape[2], a.shape[2], a.shape[1]
    if length * (outputs + inputs) < outputs * inputs:
        return ((d @ d.transpose(1, 2)) * (a @ a.transpose(1, 2))).sum(dim=(1, 2))
    return _matrices(a, d).square().sum(dim=(1, 2))


class Features:
    """Small projections of gradients: `P_o (sum_t d_t a_t') P_i'` of each block, side by side in `found` float64[rows, m].

    P_o and P_i hold +-1 over the root of their height, drawn by the seed and the block's name, so that the same block
    meets the same numbers in every walk and the products of features have the products of gradients as their mean.
    `together`: the blocks' projections are added up, not put side by side: as many numbers whatever the number of layers.
    Cost: as the forward pass, at most; no gradient is formed.  Source: LESS; TRAK; SPECS 0.3.
    """

    def __init__(self, rows: int, size: int = 8, seed: int = 0, *, together: bool = False) -> None:
        self.rows, self.size, self.seed, self.together = rows, size, seed, together
        self._parts: dict[str, np.ndarray] = {}
        self._drawn: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch; windows of one document add up."""
        if block.name not in self._drawn:
            self._drawn[block.name] = self._signs(block, a)
        left, right = self._drawn[block.name]
        each = _matrices(a @ right.T, d @ left.T).double().cpu().numpy() * batch.weights[:, None, None]
        name = "" if self.together else block.name
        np.add.at(self._parts.setdefault(name, np.zeros((self.rows, *each.shape[1:]))), batch.rows, each)

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""

    def _signs(self, block: Block, like: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        chance = np.random.default_rng([self.seed & (2**63 - 1), *block.name.encode()])
        drawn = [chance.choice([-1.0, 1.0], (self.size, n)) / np.sqrt(self.size) for n in block.shape]
        return torch.from_numpy(drawn[0]).to(like), torch.from_numpy(drawn[1]).to(like)

    @property
    def found(self) -> np.ndarray:
        """float64[rows, blocks * size * size], the blocks by name; `together`: float64[rows, size * size]."""
        return np.concatenate([self._parts[name].reshape(self.rows, -1) for name in sorted(self._parts)], axis=1)


def _matrices(a: "torch.Tensor", d: "torch.Tensor") -> "torch.Tensor":
    """float[b, outputs, inputs], the gradients of the rows."""
    return d.transpose(1, 2) @ a


def _weights(batch: Batch, like: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.from_numpy(batch.weights).to(like)


def _total(parts: "list[torch.Tensor]") -> np.ndarray:
    return np.sum([p.double().cpu().numpy() for p in parts], axis=0)
