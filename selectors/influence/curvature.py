"""The curvature of the loss, block by block, and its damped inverse: EK-FAC, K-FAC, the diagonal, or nothing.

The Fisher matrix of a block is taken as `Q diag(values) Q'` with `Q` the product of an output and an input basis. Per token:
`H = sum_z vec(G_z) vec(G_z)' / tokens` over windows z, which for labels drawn from the model is the Gauss-Newton matrix
of the mean loss of a token.

Source: Martens & Grosse 2015 (K-FAC); George et al. 2018, Grosse et al. 2023 (EK-FAC): SPECS 2.2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .blocks import Block
from .documents import Batch
from .gradients import SLICE, Matrices
from .network import Labels, Network

if TYPE_CHECKING:
    import torch

Kind = Literal["ekfac", "kfac", "diagonal", "identity"]


@dataclass(frozen=True)
class Factors:
    """The curvature of one block.

    Attributes:
        values: float[outputs, inputs], eigenvalues in the bases.
        left, right: float[outputs, outputs] and float[inputs, inputs], a basis vector in each column; None: the plain one.
    """

    values: "torch.Tensor"
    left: "torch.Tensor | None" = None
    right: "torch.Tensor | None" = None

    def solve(self, matrix: "torch.Tensor", damping: float) -> "torch.Tensor":
        """`(H + lambda)^-1` times a gradient float[outputs, inputs]; lambda is `damping` times the mean eigenvalue.

        Raises ValueError where no eigenvalue is above 0.
        """
        mean = self.values.double().mean().item()
        if not mean > 0:
            raise ValueError("the gradients that the curvature was fitted on are all zero")
        given = self._turned(matrix.to(self.values), back=False)
        return self._turned(given / (self.values + damping * mean), back=True)

    def _turned(self, matrix: "torch.Tensor", *, back: bool) -> "torch.Tensor":
        if self.left is None or self.right is None:
            return matrix
        return self.left @ matrix @ self.right.T if back else self.left.T @ matrix @ self.right


def solve(factors: Mapping[str, Factors], gradient: Matrices, damping: float) -> dict[str, "torch.Tensor"]:
    """The inverse-curvature product of a whole gradient; blocks without factors (identity) stay as they are.

    Raises ValueError where a block's curvature is zero, or a block is missing beside others.
    """
    if not factors:
        return dict(gradient)
    if missing := sorted(set(gradient) - set(factors)):
        raise ValueError(f"the curvature knows no layer {missing[0]}")
    found = {}
    for name, matrix in gradient.items():
        try:
            found[name] = factors[name].solve(matrix, damping)
        except ValueError as e:
            raise ValueError(f"layer {name}: {e}; leave it out") from e
    return found


def fit(
    network: Network, batches: Iterable[Batch], kind: Kind = "ekfac", *, labels: Labels = "sampled", seed: int = 0,
) -> dict[str, Factors]:
    """Factors of each block from these batches, which are walked over once (K-FAC, diagonal), twice (EK-FAC) or not at all.

    `sampled`: the true Fisher, with labels drawn from the model by `seed`; `data`: the empirical one.
    Raises ValueError where no token counts, or a gradient is not finite.
    Cost: memory as the blocks' `outputs^2 + inputs^2 + outputs * inputs`; one eigendecomposition for each side.
    """
    if kind == "identity":
        return {}
    held = list(batches)
    tokens = sum(int(b.counts.sum()) for b in held)
    if not tokens:
        raise ValueError("the curvature has nothing to be fitted on: no token counts")
    if kind == "diagonal":
        values = _Squares({})
        network.walk(held, values, labels=labels, seed=seed)
        return {name: Factors(_finite(name, v) / tokens) for name, v in values.sums.items()}
    seen = _Covariances()
    network.walk(held, seen, labels=labels, seed=seed)
    bases = seen.bases(network.blocks, tokens)
    if kind == "kfac":
        return bases
    turned = _Squares(bases)
    network.walk(held, turned, labels=labels, seed=seed)
    return {name: Factors(turned.sums[name] / tokens, b.left, b.right) for name, b in bases.items()}


class _Covariances:
    """Sums over positions of `a a'` (once for all blocks with that input) and `d d'`."""

    def __init__(self) -> None:
        self.inputs: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}
        self.positions: dict[str, int] = {}

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch."""
        if block.inputs == block.name:
            real = a[batch.real] if a.shape[:2] == batch.real.shape and not batch.full else a.flatten(0, 1)
            _add(self.inputs, block.name, real.T @ real)
            self.positions[block.name] = self.positions.get(block.name, 0) + len(real)
        flat = d.flatten(0, 1)
        _add(self.outputs, block.name, flat.T @ flat)

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""

    def bases(self, blocks: Iterable[Block], tokens: int) -> dict[str, Factors]:
        """Eigenvectors of both sides, with K-FAC's eigenvalues: the products of theirs."""
        inputs = {name: _eigen(name, total / self.positions[name]) for name, total in self.inputs.items()}
        found = {}
        for block in blocks:
            wide, right = inputs[block.inputs]
            high, left = _eigen(block.name, self.outputs.pop(block.name) / tokens)
            found[block.name] = Factors(high[:, None] * wide[None, :], left, right)
        return found


class _Squares:
    """Sums over windows of each window's squared gradient, in the bases given."""

    def __init__(self, bases: Mapping[str, Factors]) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self._bases = bases

    def take(self, batch: Batch, block: Block, a: "torch.Tensor", d: "torch.Tensor") -> None:
        """Adds a batch."""
        left, right = (getattr(self._bases.get(block.name), side, None) for side in ("left", "right"))
        (outputs, inputs), length = block.shape, a.shape[1]
        first = length * (outputs**2 + inputs**2) < outputs * inputs * (outputs + inputs)  # what is smaller is turned
        if first and left is not None:
            a, d = a @ right, d @ left
        step = max(1, SLICE // (outputs * inputs))
        for start in range(0, len(a), step):
            here = slice(start, start + step)
            found = d[here].transpose(1, 2) @ a[here]
            found = left.T @ found @ right if not first and left is not None else found
            _add(self.sums, block.name, found.square().sum(dim=0))

    def end(self, batch: Batch) -> None:
        """Nothing is left to do."""


def _add(sums: dict[str, "torch.Tensor"], name: str, found: "torch.Tensor") -> None:
    if name in sums:
        sums[name] += found
    else:
        sums[name] = found


def _eigen(name: str, matrix: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Eigenvalues, none below 0, and eigenvectors in columns; computed in float64."""
    import torch

    wide = _finite(name, matrix).double()
    values, vectors = torch.linalg.eigh((wide + wide.T) / 2)
    return values.clamp(min=0).to(matrix), vectors.to(matrix).contiguous()  # laid out as a file gives it back: the same bits


def _finite(name: str, matrix: "torch.Tensor") -> "torch.Tensor":
    if not bool(matrix.isfinite().all()):
        raise ValueError(f"layer {name}: gradients or inputs are not finite; try precision float32")
    return matrix
