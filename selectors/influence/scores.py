"""How hard a row is for a causal model: perplexity, EL2N, entropy, the length of its gradient, and what its prompt helps.

Every number is of the tokens that count (the answer's). A sum over tokens is in float64 and in their order, so that a row's number
depends on what it is computed beside only through the last bits of the model's own answers.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from .documents import Batch, Document
from .gradients import Norms
from .network import PIECE
from .prompted import without_prompt
from .rewards import InfluenceModel

if TYPE_CHECKING:
    import torch

Score = Literal["ppl", "el2n", "entropy", "grand", "grounding"]


def row_scores(model: InfluenceModel, documents: Sequence[Document], wanted: Sequence[Score]) -> dict[str, np.ndarray]:
    """float64[n] by name: `nll` (mean loss per counted token, nats), `nll_tokens` (how many), and of these what is wanted:

    ppl: exp(nll). el2n: mean length of softmax - onehot. entropy: mean entropy of the model's odds, nats. grand: length of the
    gradient of nll by the model's linear layers. grounding: perplexity of the answer without its prompt over that with it, both
    of the tokens that can be predicted without; 1 where there is no prompt.
    Where nothing counts: 0, and 1 for ppl and grounding.  Source: SPECS 0.4, 4.4; Paul et al. 2021; Li et al. 2024 (1 / IFD).
    """
    told, norms = PerToken(documents, ("nll", *(name for name in ("el2n", "entropy") if name in wanted))), Norms(len(documents))
    batches = model.batches(documents)
    if "grand" in wanted:
        model.network.walk(batches, norms, look=told.look)
    else:
        told.read(model, batches)
    found = {name: told.mean(name) for name in told.names}
    found |= {"nll_tokens": told.tokens.astype(np.float64), "ppl": np.exp(found["nll"]), "grand": norms.found}
    if "grounding" in wanted:
        found["grounding"] = _grounding(model, documents, told)
    return {name: found[name] for name in ("nll", "nll_tokens", *wanted)}


def _grounding(model: InfluenceModel, documents: Sequence[Document], told: "PerToken") -> np.ndarray:
    bare = without_prompt(model.reader, documents)
    alone = PerToken(bare)
    alone.read(model, model.batches(bare))
    gain = np.zeros(len(documents))
    for row, document in enumerate(bare):
        if document.told:  # of these the first is one that something stands before
            gain[row] = (alone.of(row, "nll")[-document.told :] - told.of(row, "nll")[-document.told :]).mean()
    return np.exp(gain)


class PerToken:
    """What the model says at each token of each row, 0 where a token does not count.

    Attributes:
        names: which of nll, el2n and entropy.
        tokens: int64[rows], how many count.
    """

    def __init__(self, documents: Sequence[Document], names: Sequence[str] = ("nll",)) -> None:
        self.names = names
        self.tokens = np.array([d.told for d in documents], np.int64)
        self._starts = np.cumsum([0, *(len(d.tokens) for d in documents)])
        self._found = {name: np.zeros(self._starts[-1]) for name in names}

    def read(self, model: InfluenceModel, batches: Iterable[Batch]) -> None:
        """Asks the model about all batches."""
        for batch in batches:
            self.look(batch, model.counted(batch))

    def look(self, batch: Batch, logits: "torch.Tensor") -> None:
        """Takes in what the model says of a batch, whose rows are whole."""
        import torch

        row, position = batch.counts.nonzero(as_tuple=True)
        step = max(1, PIECE // logits.shape[-1])
        for start in range(0, len(row), step):
            b, t = row[start : start + step], position[start : start + step]
            at = self._starts[batch.rows[b.cpu().numpy()]] + t.cpu().numpy() + 1  # what position t says is of the next token
            odds = torch.log_softmax(logits[start : start + step], dim=-1)
            for name in self.names:
                self._found[name][at] = _OF_TOKEN[name](odds, batch.targets[b, t][:, None]).double().cpu().numpy()

    def of(self, row: int, name: str) -> np.ndarray:
        """float64[tokens of the row]."""
        return self._found[name][self._starts[row] : self._starts[row + 1]]

    def mean(self, name: str) -> np.ndarray:
        """float64[rows], over the tokens that count; 0 where none does."""
        sums = np.array([self.of(row, name).sum() for row in range(len(self.tokens))], np.float64)
        return np.divide(sums, self.tokens, out=np.zeros_like(sums), where=self.tokens > 0)


def _nll(odds: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
    return -odds.gather(1, target)[:, 0]


def _el2n(odds: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
    import torch

    share = odds.exp()
    return share.scatter_add_(1, target, torch.full_like(share[:, :1], -1.0)).norm(dim=1)  # type: ignore[no-any-return]


def _entropy(odds: "torch.Tensor", _: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.special.entr(odds.exp()).sum(dim=1)


# log odds float[m, classes], the token met int64[m, 1] -> float[m]
_OF_TOKEN = {"nll": _nll, "el2n": _el2n, "entropy": _entropy}
