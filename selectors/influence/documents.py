"""Documents as a causal model reads them: windows of tokens with a stated overlap, batches of one padded width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MULTIPLE = 16  # positions; a window's padded width is a matter of itself alone, so its batch cannot reach it


@dataclass(frozen=True)
class Document:
    """A text as tokens.

    Attributes:
        tokens: int64[n].
        counts: bool[n], the tokens whose loss counts; the first has nothing before it and never does.
        key: what chance for it is drawn by, besides the seed.
    """

    tokens: np.ndarray
    counts: np.ndarray
    key: int = 0

    @property
    def told(self) -> int:
        """How many tokens are predicted."""
        return int(self.counts[1:].sum())


@dataclass(frozen=True)
class Window:
    """What goes through the model at once: `number` says which of its document's windows; `weight` is of its summed loss."""

    row: int
    key: int
    number: int
    tokens: np.ndarray
    counts: np.ndarray
    weight: float


@dataclass(frozen=True)
class Batch:
    """Windows side by side.

    Attributes:
        inputs: what the model is given, row by row: int64[b, w] tokens.
        targets: int64[b, w], what follows each.
        counts: bool[b, w], where the loss counts.
        real: bool[b, w], what is no padding.
        rows, keys, weights: int64[b], int64[b, 2], float64[b]: whose they are, their chance, the weight of their summed loss.
        full: nothing is padding, as far as is known.
    """

    inputs: "torch.Tensor"
    targets: "torch.Tensor"
    counts: "torch.Tensor"
    real: "torch.Tensor"
    rows: np.ndarray
    keys: np.ndarray
    weights: np.ndarray
    full: bool = False


def windows(documents: Sequence[Document], context: int, overlap: int = 1) -> list[Window]:
    """Each document cut into windows of at most `context` tokens, each beginning with the last `overlap` of the one before.

    A token counts in the first window that predicts it, so in exactly one; windows in which none does are left out. The
    weight makes the mean over a document's counted tokens of what the windows sum.
    Raises ValueError unless 1 <= overlap < context.
    """
    if not 1 <= overlap < context:
        raise ValueError(f"overlap is {overlap}: at least 1, or the first token of a window could not be predicted, and less than "
                         f"context, which is {context}")
    found = []
    for row, document in enumerate(documents):
        length, end = len(document.tokens), 1
        for number, start in enumerate(range(0, max(length - overlap, 1), context - overlap)):
            tokens = document.tokens[start : start + context]
            counts = document.counts[start : start + context].copy()
            counts[: max(end - start, 1)] = False
            end = start + len(tokens)
            if counts.any():
                found.append(Window(row, document.key, number, tokens, counts, 1.0 / document.told))
    return found


def batches(found: Sequence[Window], batch_tokens: int, device: str = "cpu", most: int = 1 << 30) -> Iterator[Batch]:
    """The windows, longest first, at most `batch_tokens` positions or one window each.

    They are padded on the right, to a multiple of 16 or to `most`. A causal model sees no padding from before it, so that no
    mask is needed; what is computed there counts nowhere.
    """
    widths = np.array([min(-(-(len(w.tokens) - 1) // MULTIPLE) * MULTIPLE, most) for w in found], np.int64)
    for width in np.unique(widths)[::-1].tolist():
        here = np.flatnonzero(widths == width)
        step = max(1, batch_tokens // width)
        for start in range(0, len(here), step):
            yield _batch([found[i] for i in here[start : start + step]], width, device)


def _batch(group: Sequence[Window], width: int, device: str) -> Batch:
    import torch

    inputs, targets = np.zeros((2, len(group), width), np.int64)
    counts, real = np.zeros((2, len(group), width), bool)
    for i, window in enumerate(group):
        n = len(window.tokens) - 1
        inputs[i, :n], targets[i, :n] = window.tokens[:-1], window.tokens[1:]
        counts[i, :n], real[i, :n] = window.counts[1:], True

    def there(x: np.ndarray) -> "torch.Tensor":
        return torch.from_numpy(x).to(device)

    keys, rows = np.array([(w.key, w.number) for w in group], np.int64), np.array([w.row for w in group])
    weights = np.array([w.weight for w in group])
    return Batch(there(inputs), there(targets), there(counts), there(real), rows, keys, weights, bool(real.all()))
