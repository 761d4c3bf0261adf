"""Vectors from a table of token vectors: the mean over a text's tokens, some hundred times as fast as a transformer."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
_STATIC = "StaticEmbedding"  # the module of sentence-transformers that is such a table


def static_folder(path: Path) -> Path | None:
    """Where in a model's folder a table of token vectors lies (model2vec's, or sentence-transformers', format), or None."""
    listed = path / "modules.json"
    if listed.is_file():
        first = json.loads(listed.read_text("utf-8"))[0]
        return path / first["path"] if str(first.get("type")).endswith(_STATIC) else None
    return path if (path / WEIGHTS).is_file() and (path / TOKENIZER).is_file() else None


class StaticEncoder:
    """An `Encoder` from a folder with model.safetensors (`embeddings` or `embedding.weight` [tokens, d], perhaps `weights`
    and `mapping`) and tokenizer.json: model2vec's format.

    A text's vector is the mean of the vectors of its tokens, unknown ones left out; all of them, or the first `max_tokens`.
    A text without a known token gets the mean of the table. The same bits in any batch.

    Raises ValueError where the folder is no such model.
    """

    def __init__(self, path: str | Path, *, max_tokens: int | None = None) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = static_folder(Path(path))
        if folder is None or not (folder / WEIGHTS).is_file():
            raise ValueError(f"{path} is no static model: it has no {WEIGHTS} beside a {TOKENIZER}")
        tensors = load_file(folder / WEIGHTS)
        name = next((n for n in ("embeddings", "embedding.weight") if n in tensors), None)
        if name is None:
            raise ValueError(f"{folder / WEIGHTS} holds no 'embeddings', only {', '.join(tensors)}")
        table = tensors[name].astype(np.float32)
        mapping = tensors.get("mapping")
        table = table if mapping is None else table[mapping.astype(np.int64)]
        self._table = table * tensors["weights"].astype(np.float32)[:, None] if "weights" in tensors else table
        self._words = Tokenizer.from_file(str(folder / TOKENIZER))
        self._words.no_padding()
        self._words.no_truncation()
        self._unknown = _unknown(self._words.to_str(), self._words.get_vocab())
        self._most = max_tokens
        self._none = self._table.mean(axis=0)
        self.dimension = int(table.shape[1])

    def encode(self, texts: Sequence[str], *, batch_tokens: int = 4096) -> np.ndarray:
        """float32[n, d], means; not scaled to length 1."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        step = max(1, batch_tokens // 16)
        for start in range(0, len(texts), step):
            here = texts[start : start + step]
            for i, found in enumerate(self._words.encode_batch_fast(list(here), add_special_tokens=False), start):
                ids = np.array(found.ids, np.int64)
                ids = ids[ids != self._unknown][: self._most]
                mean = self._table[ids].mean(axis=0) if len(ids) else self._none
                vectors[i] = mean if mean.any() else self._none
        return vectors

    def count_tokens(self, texts: Sequence[str | None]) -> np.ndarray:
        """int64[n], tokens of each whole text, unknown ones too. Null: 0."""
        found = self._words.encode_batch_fast([t or "" for t in texts], add_special_tokens=False)
        return np.array([len(f.ids) for f in found], np.int64)


def _unknown(tokenizer: str, vocabulary: dict[str, int]) -> int:
    """The number of the unknown token; -1 where there is none."""
    model = json.loads(tokenizer)["model"]
    if model.get("unk_token") is not None:
        return vocabulary.get(model["unk_token"], -1)
    return int(model["unk_id"]) if model.get("unk_id") is not None else -1
