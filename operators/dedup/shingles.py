"""Shingles: the runs of `window_size` tokens that a text is made of, as 64-bit hashes.

Tokens are Data-Juicer's: `space` splits at U+0020 only and drops empty tokens, `punctuation` splits at `\\p{P}` and
keeps them, `character` takes code points, `sentencepiece` takes the pieces of a model. Lower case comes first, then
`ignore_pattern` is cut out. `tokenizer` takes the tokens of a tokenizer.json; what it has no token for stands for itself.
`datatrove` takes the words of its `simplify_text`, cut as its word tokenizer for English (spaCy) cuts them: *dont* is *do nt*.
A text of fewer tokens than the window is one shingle of all of them: short texts are alike only if they are equal.
(Data-Juicer gives every short text the same empty signature, and so deletes all of them but one.)
A text without a token has no shingle: nothing can be said of its likeness; exact deduplication removes such texts.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import regex

from ..filters.words import Pieces
from ..kernels import minhash as kernels
from ..kernels.folding import Texts
from ..kernels.shingling import CHARACTER, HASHED, PUNCTUATION, SPACE
from ..kernels.strings import view
from ..kernels.token_windows import string_hashes
from .folding import NO_TABLE, as_lists, fold_table, separators, texts
from .simplified import english_words

Split = Literal["space", "punctuation", "character", "datatrove"]
Tokenization = Literal["space", "punctuation", "character", "datatrove", "sentencepiece", "tokenizer"]
Reading = tuple[Texts, tuple[int, int, bool], tuple[np.ndarray, np.ndarray]]

_MODES = {
    "space": SPACE, "punctuation": PUNCTUATION, "character": CHARACTER, "datatrove": SPACE, "sentencepiece": HASHED,
    "tokenizer": HASHED,
}
_NO_SEPARATORS = np.empty(0, bool)


class Tokenizer(Pieces, Protocol):
    """What cuts text into tokens as a model does."""

    def bits(self, text: str) -> Iterable[list[str]]:
        """The pieces of a text in order, in as many lists as memory asks for."""
        ...


def reading(
    text: pa.StringArray, *, tokenization: str, window_size: int, lowercase: bool, ignore_pattern: str | None,
    tokenizer: Tokenizer | None = None,
) -> Reading:
    """The kernels' arguments that say what the shingles of `text` are: (texts, how, tables). Raises ValueError."""
    if tokenization not in _MODES:
        raise ValueError(f"tokenization {tokenization!r} is none of {', '.join(_MODES)}")
    if window_size < 1:
        raise ValueError(f"window_size is {window_size}: a shingle has at least one token")
    if ignore_pattern:
        text, lowercase = _without(text, ignore_pattern, lowercase), False
    if _MODES[tokenization] == HASHED:
        if tokenizer is None:
            raise ValueError(f"tokenization {tokenization!r} needs tokenizer_model: the file that says what a token is")
        return _hashed(text, tokenizer.bits, lowercase), (HASHED, window_size, False), (NO_TABLE, _NO_SEPARATORS)
    if tokenization == "datatrove":
        text, lowercase = english_words(text, lowercase), False
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


def _hashed(text: pa.StringArray, bits: Callable[[str], Iterable[list[str]]], lowercase: bool) -> Texts:
    """The hashes of each text's tokens, eight bytes each, where else the text is."""
    found, ends = [np.empty(0, np.uint64)], np.zeros(len(text) + 1, np.int64)
    for i, row in enumerate(text.to_pylist()):  # a Python loop: the model takes a hundred times longer
        ends[i + 1] = ends[i]
        for tokens in () if row is None else bits(row.lower() if lowercase else row):
            found.append(string_hashes(*view(pa.array(tokens, pa.large_string()))))
            ends[i + 1] += 8 * len(tokens)
    data = np.concatenate(found).view(np.uint8)
    data.flags.writeable = False
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    return Texts(ends[:-1], ends[1:], data, np.frombuffer(b"", np.uint8), np.zeros(len(text), bool), valid)


def shingle_sets(
    text: pa.StringArray, *, tokenization: Tokenization = "space", window_size: int = 5, lowercase: bool = True,
    ignore_pattern: str | None = None, num_permutations: int = 256, jaccard_threshold: float = 0.7,
    num_bands: int | None = None, num_rows_per_band: int | None = None, tokenizer_model: str | None = None,
    verify: bool = True, compat: str | None = None, tokenizer: Tokenizer | None = None,
) -> pa.ListArray:
    """The distinct shingles of each text, as sorted 64-bit hashes: what `minhash_keys` estimates the likeness of.

    The settings are those of `minhash_keys`; only those of tokens matter here.
    Shape: list<uint64>[n]. Empty: an empty list. Null: null. Cost: 8 bytes a shingle, so ask for suspects only.
    Raises ValueError for settings that make no sense.
    """
    read = reading(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
        tokenizer=tokenizer,
    )
    values, ends = kernels.shingle_sets(*read)
    return as_lists(values, ends, text)
