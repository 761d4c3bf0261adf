"""A BERT over texts laid end to end: no padding goes through its layers, and no mask is asked for."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .batching import MULTIPLE

if TYPE_CHECKING:
    import torch


def laid(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Index of the rows of each batch: longest first, ties as they stand, at most `batch_tokens` tokens or one row."""
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = total = 0
    for at, length in enumerate(lengths[order].tolist()):
        if total + length > batch_tokens and at > start:
            yield order[start:at]
            start, total = at, 0
        total += length
    if start < len(order):
        yield order[start:]


class Unpadded:
    """The layers of a `transformers` BertModel on a CPU, over texts laid end to end.

    Linear layers see one row a token; attention is asked for texts of one length together. So what a text meets depends on
    its own length, as with padding by length, and nothing is computed for tokens that are not there: sorted instruction texts
    have a twentieth of padding to the next 16, a third where 32 texts are padded to their longest.
    """

    def __init__(self, model: Any) -> None:
        import torch

        self._heads, self._inside = int(model.config.num_attention_heads), model.embeddings
        self._layers = []
        for layer in model.encoder.layer:
            parts = [getattr(layer.attention.self, name) for name in ("query", "key", "value")]
            mixing = product(torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
            dense = (layer.attention.output.dense, layer.intermediate.dense, layer.output.dense)
            out, up, down = (product(m.weight, m.bias) for m in dense)
            self._layers.append((mixing, out, layer.attention.output.LayerNorm, up, layer.intermediate.intermediate_act_fn, down,
                                 layer.output.LayerNorm))

    @staticmethod
    def able(model: Any) -> bool:
        """Whether this is a model whose layers these are."""
        config = getattr(model, "config", None)
        plain = getattr(config, "position_embedding_type", "absolute") == "absolute" and not getattr(config, "is_decoder", False)
        known = type(model).__name__ == "BertModel" and plain and str(getattr(model, "device", "")) == "cpu"
        return known and all(map(_as_made, model.encoder.layer))

    def __call__(self, tokens: Sequence[Sequence[int]]) -> "list[torch.Tensor]":
        """float[c, l, d] for each run of c texts of one length l, the texts as they come: their tokens' last states."""
        import torch

        groups = _runs([len(t) for t in tokens])
        used = sum(count * length for count, length in groups)
        filler = -used % MULTIPLE  # as many rows as fill a multiple of 16: what a row of a product meets is then the same
        ids = torch.tensor([i for t in tokens for i in t] + [0] * filler)
        nowhere = torch.zeros(filler, dtype=torch.long)
        places = torch.cat([*(torch.arange(length).repeat(count) for count, length in groups), nowhere])
        inside = self._inside
        words = inside.word_embeddings(ids) + inside.token_type_embeddings.weight[0]  # in the order in which transformers adds them
        x = inside.LayerNorm(words + inside.position_embeddings(places))
        for mixing, out, norm, up, act, down, last in self._layers:
            x = norm(out(self._attended(mixing(x), groups)).add_(x))
            x = last(down(act(up(x))).add_(x))
        ends = np.cumsum([0] + [count * length for count, length in groups]).tolist()
        return [x[start : start + c * length].view(c, length, -1) for start, (c, length) in zip(ends, groups, strict=False)]

    def _attended(self, mixed: "torch.Tensor", groups: list[tuple[int, int]]) -> "torch.Tensor":
        import torch

        seen, start = mixed.new_zeros(len(mixed), mixed.shape[1] // 3), 0
        for count, length in groups:
            end = start + count * length
            q, k, v = mixed[start:end].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            found = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            seen[start:end].view(count, length, -1).copy_(found.transpose(1, 2).reshape(count, length, -1))
            start = end
        return seen


def _as_made(layer: Any) -> bool:
    """Whether all that has weights in a layer is as transformers makes it: an adapter's or a quantised one does more."""
    import torch

    return all(type(part) in (torch.nn.Linear, torch.nn.LayerNorm) for part in layer.modules()
               if next(part.parameters(recurse=False), None) is not None or isinstance(part, torch.nn.Linear))


def product(weight: "torch.Tensor", bias: "torch.Tensor") -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """The linear layer of these: by oneDNN with the weight laid out for it once, where torch has that, else as torch does it.

    For float32 torch asks MKL, which is a third slower on CPUs of another maker (AMD Zen 4: 64 against 94 GFLOP/s at 4,096 x 384 x
    1,536). What torch offers for it is named as private, so its answer is compared once.
    """
    import torch

    def plain(x: "torch.Tensor") -> "torch.Tensor":
        return torch.nn.functional.linear(x, weight, bias)

    names = ("_reorder_linear_weight", "_linear_pointwise")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return plain

    def by_onednn(x: "torch.Tensor") -> "torch.Tensor":
        return op(x, laid_out, bias, "none", [], "")  # type: ignore[no-any-return]

    asked = torch.linspace(-1, 1, MULTIPLE * weight.shape[1]).view(MULTIPLE, -1).to(weight.dtype)
    wanted, near = plain(asked).float(), 1e-4 if weight.dtype == torch.float32 else 0.02
    try:
        laid_out, op = torch.ops.mkldnn._reorder_linear_weight(weight.detach()), torch.ops.mkldnn._linear_pointwise
        found = by_onednn(asked).float()
    except (RuntimeError, TypeError):  # it cannot on this CPU, or is called otherwise by now
        return plain
    same = found.shape == wanted.shape and bool((found - wanted).abs().max() <= near * (wanted.abs().max() + 1))
    return by_onednn if same else plain


def _runs(lengths: list[int]) -> list[tuple[int, int]]:
    """(how many, length) of each run of texts of one length."""
    found: list[tuple[int, int]] = []
    for length in lengths:
        if found and found[-1][1] == length:
            found[-1] = found[-1][0] + 1, length
        else:
            found.append((1, length))
    return found
