"""Fine-tuning a causal language model of the user's by low-rank adapters (peft), and asking it about held-out answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .gap import Scoring, cases, generated_loss, gold_loss


@dataclass
class LoraTrainer:
    """A `Trainer` over a transformers folder with safetensors and a tokenizer: adapters anew each time, the model itself kept.

    Attributes:
        rank, rate, epochs, batch, context: of the adapters, of AdamW, passes over the texts, texts a step, tokens of each.
        device: cpu, cuda, or auto; on CUDA the model is bfloat16.
    """

    path: str
    scoring: Scoring = "gold_minus_generated"
    answer_after: str | None = None
    rank: int = 16
    rate: float = 1e-4
    epochs: int = 1
    batch: int = 8
    context: int = 512
    device: str = "auto"

    def scores(self, train: Sequence[str | None], score: Sequence[str | None], seed: int) -> np.ndarray:
        """float64[len(score)], nats per token: gold less generated; or how much the tuning has lowered the answers' loss."""
        import torch

        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        model, words = self._loaded(device, seed)

        def encode(texts: Sequence[str]) -> list[np.ndarray]:
            return [np.array(words(t, add_special_tokens=False)["input_ids"], np.int64) for t in texts]

        asked = cases(encode, score, self.answer_after)

        def say(ids: Any) -> Any:
            return model(input_ids=ids).logits

        def losses() -> np.ndarray:
            model.eval()
            return np.array([gold_loss(say, case, self.context, device) for case in asked])

        before = losses() if self.scoring == "progress" else np.zeros(len(asked))
        self._train(model, encode([t or "" for t in train]), device, seed)
        if self.scoring == "progress":
            return before - losses()
        return losses() - np.array([generated_loss(say, case, self.context, device) for case in asked])

    def _loaded(self, device: str, seed: int) -> tuple[Any, Any]:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not any(Path(self.path).glob("*.safetensors")):
            raise ValueError(f"{self.path} holds no weights (*.safetensors)")
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        kind = torch.bfloat16 if device == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(self.path, dtype=kind, use_safetensors=True, **local).to(device)
        torch.manual_seed(seed)  # of the adapters' first values
        shape = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, target_modules="all-linear", task_type="CAUSAL_LM")
        return get_peft_model(model, shape), AutoTokenizer.from_pretrained(self.path, **local)

    def _train(self, model: Any, rows: list[np.ndarray], device: str, seed: int) -> None:
        import torch

        model.train()
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=self.rate)
        order = np.random.default_rng(seed)
        for _ in range(self.epochs):
            walk = order.permutation(len(rows))
            for start in range(0, len(walk), self.batch):
                here = [rows[i][: self.context] for i in walk[start : start + self.batch] if len(rows[i]) > 1]
                if not here:
                    continue
                ids = np.zeros((len(here), max(map(len, here))), np.int64)
                labels = np.full(ids.shape, -100)
                for i, row in enumerate(here):
                    ids[i, : len(row)] = labels[i, : len(row)] = row
                mask = torch.from_numpy(labels >= 0).long().to(device)
                given = {"input_ids": torch.from_numpy(ids).to(device), "labels": torch.from_numpy(labels).to(device)}
                model(attention_mask=mask, **given).loss.backward()
                optimiser.step()
                optimiser.zero_grad()
