"""What a model makes of a text's answer: the loss of the answer itself against that of what the model would have said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from .proxy import Proxy, ProxySettings, forward

if TYPE_CHECKING:
    import torch

Logits = Callable[["torch.Tensor"], "torch.Tensor"]  # ids int64[1, n] -> float[1, n, vocabulary]
Scoring = Literal["gold_minus_generated", "progress"]
SPOKEN = 32  # tokens of an answer that are compared, of the model's own at most as many


@dataclass(frozen=True)
class Case:
    """A text as tokens: the first `prompt` of `tokens` are given, the others are its answer."""

    tokens: np.ndarray
    prompt: int


def cases(encode: Callable[[Sequence[str]], list[np.ndarray]], texts: Sequence[str | None], answer_after: str | None) -> list[Case]:
    """Each text cut before its answer: behind the first `answer_after`, else in the middle; the prompt has a token at least."""
    found = []
    for text in texts:
        before, mark, _ = (text or "").partition(answer_after) if answer_after else ("", "", "")
        tokens = encode([text or ""])[0]
        prompt = len(encode([before + mark])[0]) if mark else len(tokens) // 2
        found.append(Case(tokens, max(prompt, 1)))
    return found


def gold_loss(logits: Logits, case: Case, context: int, device: str) -> float:
    """Nats per token of the first tokens of the answer, given the prompt; 0 where there is no answer."""
    import torch

    ids = _window(case, context)
    if ids is None:
        return 0.0
    tokens, at = torch.from_numpy(ids[0]).long().to(device)[None], ids[1]
    with torch.inference_mode():
        told = logits(tokens[:, :-1])[0, at - 1 :].float()
        return float(torch.nn.functional.cross_entropy(told, tokens[0, at:]))


def generated_loss(logits: Logits, case: Case, context: int, device: str) -> float:
    """Nats per token of what the model itself says after the prompt, always the likeliest token, as long as the answer."""
    import torch

    ids = _window(case, context)
    if ids is None:
        return 0.0
    tokens, at = torch.from_numpy(ids[0][: ids[1]]).long().to(device)[None], ids[1]
    total, length = 0.0, len(ids[0]) - at
    with torch.inference_mode():
        for _ in range(length):
            odds = torch.log_softmax(logits(tokens)[0, -1].float(), 0)
            best = odds.argmax()
            total -= float(odds[best])
            tokens = torch.cat([tokens, best.view(1, 1)], dim=1)
    return total / length


def _window(case: Case, context: int) -> tuple[np.ndarray, int] | None:
    """The tokens that are looked at, and where the answer begins among them."""
    end = min(len(case.tokens), case.prompt + SPOKEN)
    start = max(0, end - context)
    if end <= case.prompt or case.prompt - start < 1:
        return None
    return case.tokens[start:end], case.prompt - start


@dataclass(frozen=True)
class ProxyTrainer:
    """A `Trainer` that trains the small proxy from nothing, with a tokenizer of the texts it trains on."""

    scoring: Scoring = "gold_minus_generated"
    answer_after: str | None = None
    settings: ProxySettings = field(default_factory=lambda: ProxySettings(context=64, vocabulary=1024))
    epochs: float = 4.0

    def scores(self, train: Sequence[str | None], score: Sequence[str | None], seed: int) -> np.ndarray:
        """float64[len(score)], nats per token: gold less generated; or what the later three quarters of training took off."""
        proxy = Proxy([t or "" for t in train], self.settings)
        rows = proxy.encode([t or "" for t in train])
        steps = max(4, round(self.epochs * sum(map(len, rows)) / proxy.step_tokens))
        asked = cases(proxy.encode, score, self.answer_after)
        fixed = (self.settings.context, proxy.device())

        def speaker(turns: int) -> Logits:
            weights, _ = proxy.train(rows, steps=turns, seed=seed)
            return lambda ids: forward(weights, ids, self.settings)

        if self.scoring == "progress":
            early, late = speaker(max(1, steps // 4)), speaker(steps)
            return np.array([gold_loss(early, case, *fixed) - gold_loss(late, case, *fixed) for case in asked])
        late = speaker(steps)
        return np.array([gold_loss(late, case, *fixed) - generated_loss(late, case, *fixed) for case in asked])
