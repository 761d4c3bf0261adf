"""Shingles: the runs of `window_size` tokens that a text is made of, as 64-bit hashes.

Tokens are Data-Juicer's: `space` splits at U+0020 only and drops empty tokens, `punctuation` splits at `\\p{P}` and
keeps them, `character` takes code points. Lower case comes first, then `ignore_pattern` is cut out.
A text of fewer tokens than the window is one shingle of all of them: short texts are alike only if they are equal.
(Data-Juicer gives every short text the same empty signature, and so deletes all of them but one.)
A text without a token has no shingle: nothing can be said of its likeness; exact deduplication removes such texts.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import regex

from ..kernels import minhash as kernels
from ..kernels.folding import Texts
from ..kernels.shingling import CHARACTER, PUNCTUATION, SPACE
from .folding import NO_TABLE, as_lists, fold_table, separators, texts

Tokenization = Literal["space", "punctuation", "character", "sentencepiece"]
Reading = tuple[Texts, tuple[int, int, bool], tuple[np.ndarray, np.ndarray]]

_MODES = {"space": SPACE, "punctuation": PUNCTUATION, "character": CHARACTER}
_NO_SEPARATORS = np.empty(0, bool)


def reading(
    text: pa.StringArray, *, tokenization: str, window_size: int, lowercase: bool, ignore_pattern: str | None,
    tokenizer_model: str | None,
) -> Reading:
    """The kernels' arguments that say what the shingles of `text` are: (texts, how, tables). Raises ValueError."""
    if tokenization == "sentencepiece" or tokenizer_model is not None:
        raise ValueError("tokenization 'sentencepiece' (tokenizer_model) is not supported: 'character' suits text without spaces")
    if tokenization not in _MODES:
        raise ValueError(f"tokenization {tokenization!r} is none of space, punctuation, character")
    if window_size < 1:
        raise ValueError(f"window_size is {window_size}: a shingle has at least one token")
    if ignore_pattern:
        text, lowercase = _without(text, ignore_pattern, lowercase), False
    tables = (
        fold_table(True, False) if lowercase else NO_TABLE,
        separators() if tokenization == "punctuation" else _NO_SEPARATORS,
    )
    return texts(text, lowercase), (_MODES[tokenization], window_size, lowercase), tables


def _without(text: pa.StringArray, pattern: str, lowercase: bool) -> pa.StringArray:
    try:
        unwanted = regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"ignore_pattern {pattern!r} is no regular expression: {error}") from error
    rows = text.to_pylist()  # Python strings: patterns are those of `regex` (\p{P}), which Arrow does not read
    if lowercase:
        rows = [None if row is None else row.lower() for row in rows]
    return pa.array([None if row is None else unwanted.sub("", row) for row in rows], pa.large_string())


def shingle_sets(
    text: pa.StringArray, *, tokenization: Tokenization = "space", window_size: int = 5, lowercase: bool = True,
    ignore_pattern: str | None = None, num_permutations: int = 256, jaccard_threshold: float = 0.7,
    num_bands: int | None = None, num_rows_per_band: int | None = None, tokenizer_model: str | None = None,
    verify: bool = True,
) -> pa.ListArray:
    """The distinct shingles of each text, as sorted 64-bit hashes: what `minhash_keys` estimates the likeness of.

    The settings are those of `minhash_keys`; only those of tokens matter here.
    Shape: list<uint64>[n]. Empty: an empty list. Null: null. Cost: 8 bytes a shingle, so ask for suspects only.
    Raises ValueError for settings that make no sense.
    """
    read = reading(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
        tokenizer_model=tokenizer_model,
    )
    values, ends = kernels.shingle_sets(*read)
    return as_lists(values, ends, text)
