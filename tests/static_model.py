"""A static model of a few words, in model2vec's format: what tests embed with where meaning does not matter."""

import json
from pathlib import Path

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make(folder: Path, words: list[str], dimension: int = 16, seed: int = 0, **extra: np.ndarray) -> Path:
    """A folder with a vector for each word, letter and digit; unknown words are cut into letters."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = ["[UNK]", *dict.fromkeys([*words, *LETTERS, *(f"##{c}" for c in LETTERS), *"0123456789", *(f"##{c}" for c in "0123456789")])]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(seed).normal(size=(len(pieces), dimension)).astype(np.float32)
    save_file({"embeddings": table, **extra}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    return folder
