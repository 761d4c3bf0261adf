"""A small language model that is trained in seconds: what a choice of rows is worth, asked of rows held out.

Parameters are a plain mapping of tensors and the model a function of them, so that gradients per row are easy to ask for.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Parameters = Mapping[str, "torch.Tensor"]
END = "<|end|>"


@dataclass(frozen=True)
class ProxySettings:
    """Size and training of the proxy: by default 1.3 million parameters, of which 0.5 are words.

    Attributes:
        width, layers, heads, context, vocabulary: of a GPT (learned positions, tied words).
        batch: windows of `context` tokens a step.
        rate: highest learning rate; a tenth of the steps warm up to it, then a cosine leads to a tenth of it.
        device: cpu, cuda, or auto.
        threads: on a CPU: a model this small gains little by more than one, and loses much where the machine is busy.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 128
    vocabulary: int = 4096
    batch: int = 16
    rate: float = 3e-3
    device: str = "auto"
    threads: int = 1


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Proxy:
    """Tokenizer and shape of a proxy; the tokenizer (byte-level BPE) is trained on `texts`, the same for all choices."""

    def __init__(self, texts: Sequence[str], settings: ProxySettings | None = None) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        self.settings = settings or ProxySettings()
        self._words = Tokenizer(models.BPE())
        self._words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._words.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=self.settings.vocabulary, special_tokens=[END], initial_alphabet=alphabet,
                                      show_progress=False)
        self._words.train_from_iterator(texts, trainer)
        self.vocabulary = self._words.get_vocab_size()

    @property
    def step_tokens(self) -> int:
        """Tokens that one step of training looks at."""
        return self.settings.batch * self.settings.context

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(int(np.prod(shape)) for shape, _ in _shapes(self.settings, self.vocabulary).values())

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """int32[m] for each text."""
        return [np.array(e.ids, np.int32) for e in self._words.encode_batch_fast(list(texts))]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return str(self._words.decode([int(t) for t in tokens]))

    def train(
        self, rows: Sequence[np.ndarray], *, steps: int, seed: int, start: Parameters | None = None,
    ) -> tuple[dict[str, "torch.Tensor"], float]:
        """Parameters after `steps` steps of AdamW on the rows, and the seconds it took; the rows anew in each pass.

        `seed` decides the start (unless given) and the order: the same for every choice that is to be compared.
        """
        with _threads(self.settings.threads):
            began = time.perf_counter()
            return self._trained(rows, steps, seed, start), time.perf_counter() - began

    def _trained(
        self, rows: Sequence[np.ndarray], steps: int, seed: int, start: Parameters | None,
    ) -> dict[str, "torch.Tensor"]:
        import torch

        device, order = self.device(), np.random.default_rng(seed)
        weights = {k: v.clone() for k, v in (start or first_weights(self.settings, self.vocabulary, seed)).items()}
        weights = {k: v.to(device).requires_grad_() for k, v in weights.items()}
        optimiser = torch.optim.AdamW(weights.values(), lr=self.settings.rate, betas=(0.9, 0.95), weight_decay=0.01)
        pace = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: _pace(t, steps))
        stream, length = np.empty(0, np.int32), self.step_tokens
        for _ in range(steps):
            while len(stream) < length + 1:
                ends = [part for i in order.permutation(len(rows)) for part in (np.zeros(1, np.int32), rows[i])]
                stream = np.concatenate([stream, *ends, np.zeros(1, np.int32)])
            here = torch.from_numpy(stream[: length + 1].astype(np.int64)).to(device)
            stream = stream[length:]
            logits = forward(weights, here[:-1].view(self.settings.batch, -1), self.settings)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), here[1:])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
            optimiser.step()
            pace.step()
        return {k: v.detach() for k, v in weights.items()}

    def score(self, weights: Parameters, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float64[n] each: summed loss in nats, tokens guessed right, tokens; of each row its first `context` tokens."""
        with _threads(self.settings.threads):
            return self._scored(weights, rows)

    def _scored(self, weights: Parameters, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import torch

        most, device = self.settings.context, self.device()
        loss, right, count = (np.zeros(len(rows)) for _ in range(3))
        by_length = np.argsort([len(r) for r in rows], kind="stable")
        for start in range(0, len(rows), 32):
            at = by_length[start : start + 32]
            wide = min(max(len(rows[i]) for i in at), most)
            ids, seen = np.zeros((len(at), wide + 1), np.int64), np.zeros((len(at), wide), bool)
            for j, i in enumerate(at):
                row = rows[i][:wide]
                ids[j, 1 : len(row) + 1], seen[j, : len(row)] = row, True
            told, mask = torch.from_numpy(ids).to(device), torch.from_numpy(seen).to(device)
            with torch.inference_mode():
                logits = forward(weights, told[:, :-1], self.settings).float()
                losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), told[:, 1:], reduction="none") * mask
                hits = (logits.argmax(dim=2) == told[:, 1:]) & mask
            loss[at], right[at], count[at] = losses.double().sum(dim=1).cpu(), hits.sum(dim=1).cpu(), seen.sum(axis=1)
        return loss, right, count

    def device(self) -> str:
        """Where it runs: the settings' device; `auto` is CUDA where there is one."""
        import torch

        asked = self.settings.device
        return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def _pace(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    return min((step + 1) / warm, 0.1 + 0.45 * (1 + float(np.cos(np.pi * min(step / max(steps, 1), 1)))))


def _shapes(settings: ProxySettings, vocabulary: int) -> dict[str, tuple[tuple[int, ...], float]]:
    """Name -> (shape, deviation of its first values; 0: all ones)."""
    wide, last = settings.width, 0.02 / (2 * settings.layers) ** 0.5
    found: dict[str, tuple[tuple[int, ...], float]] = {}
    found |= {"words": ((vocabulary, wide), 0.02), "places": ((settings.context, wide), 0.02)}
    for i in range(settings.layers):
        found |= {f"{i}.norm1": ((wide,), 0.0), f"{i}.mix": ((3 * wide, wide), 0.02), f"{i}.out": ((wide, wide), last),
                  f"{i}.norm2": ((wide,), 0.0), f"{i}.up": ((4 * wide, wide), 0.02), f"{i}.down": ((wide, 4 * wide), last)}
    return found | {"norm": ((wide,), 0.0)}


def first_weights(settings: ProxySettings, vocabulary: int, seed: int) -> dict[str, "torch.Tensor"]:
    """Parameters before training, drawn by `seed`."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    return {name: torch.ones(shape) if not deviation else torch.randn(shape, generator=chance) * deviation
            for name, (shape, deviation) in _shapes(settings, vocabulary).items()}


def forward(weights: Parameters, ids: "torch.Tensor", settings: ProxySettings) -> "torch.Tensor":
    """float[batch, length, vocabulary], logits of the token after each: a GPT with norms before and tied words."""
    import torch
    from torch.nn import functional

    def norm(x: "torch.Tensor", name: str) -> Any:
        return functional.rms_norm(x, (settings.width,), weights[name])

    batch, length = ids.shape
    x = weights["words"][ids] + weights["places"][:length]
    for i in range(settings.layers):
        mixed = functional.linear(norm(x, f"{i}.norm1"), weights[f"{i}.mix"])
        q, k, v = mixed.view(batch, length, 3, settings.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + functional.linear(seen.transpose(1, 2).reshape(batch, length, -1), weights[f"{i}.out"])
        wider = functional.gelu(functional.linear(norm(x, f"{i}.norm2"), weights[f"{i}.up"]))
        x = x + functional.linear(wider, weights[f"{i}.down"])
    return torch.matmul(norm(x, "norm"), weights["words"].T)
