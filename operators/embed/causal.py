"""A causal language model from a Transformers folder on this machine: nothing is fetched, nothing is unpickled."""

from pathlib import Path


class CausalModel:
    """A model and its tokenizer, in float32 on the CPU or where `device` says.

    Raises ValueError where the folder holds no causal model in safetensors.
    """

    def __init__(self, path: str | Path, *, device: str = "cpu", max_length: int | None = None) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()

        folder = str(path)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
            ).eval().to(device)
        except (OSError, KeyError, RuntimeError) as e:
            raise ValueError(f"{folder} holds no causal model that can be read: {str(e).splitlines()[0]}") from e
        self._tokenizer.truncation_side = "left"
        able = getattr(self._model.config, "max_position_embeddings", None) or 2048
        self._most = min(max_length or able, able)

    def loss(self, whole: str, end: str) -> float | None:
        """Mean negative log probability of the last tokens of `whole`, as many as `end` has; None: none can be predicted.

        A text longer than the model can read loses its beginning.
        """
        import torch

        ids = self._ids(whole)
        count = len(self._ids(end)) - int(self._tokenizer.bos_token_id is not None)
        count = min(max(count, 0), len(ids) - 1)  # the first token has nothing before it
        if count < 1:
            return None
        with torch.inference_mode():
            tokens = torch.tensor([ids], device=self._model.device)
            logits = self._model(input_ids=tokens).logits[0, -count - 1 : -1].float()
            return float(torch.nn.functional.cross_entropy(logits, tokens[0, -count:]))

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, truncation=True, max_length=self._most)["input_ids"]) if text else []
