"""Data-Juicer's MinHash signatures bit for bit, for `compat: data-juicer`: where an old run has to be matched, row by row.

Its shingles are strings, hashed by the first 32 bits of SHA-1; value i is the least of ((h * a_i + b_i) mod 2^64 mod
(2^61 - 1)) mod 2^32, which is not the hash family that it was meant to be. A text of fewer tokens than the window has no
shingle, and all such texts one signature: of them, only one stays. Cost: a Python loop over shingles, 40 times the default's.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import regex
from numba import njit

from .folding import as_lists
from .shingles import Tokenizer

How = tuple[str, int, bool, str | None, Tokenizer | None]  # tokenization, window_size, lowercase, ignore_pattern, tokenizer

_PRIME = (1 << 61) - 1
_MASK = np.uint64(0xFFFFFFFF)
_P = np.uint64(_PRIME)
_PUNCTUATION = regex.compile(r"\p{P}")


def _cutter(how: How) -> Callable[[str], tuple[list[str] | str, str]]:
    """text -> (its tokens, what joins them to a shingle)."""
    tokenization, _, _, _, tokenizer = how
    if tokenization == "character":
        return lambda text: (text, "")
    if tokenization == "punctuation":
        return lambda text: (_PUNCTUATION.split(text), " ")
    if tokenization == "sentencepiece":
        if tokenizer is None:
            raise ValueError("tokenization 'sentencepiece' needs tokenizer_model: the file of the model")
        return lambda text: (tokenizer.pieces(text), "")
    if tokenization != "space":
        raise ValueError(f"compat: data-juicer has no tokenization {tokenization!r}")
    return lambda text: ([token for token in text.split(" ") if token], " ")


def _tokens(text: pa.StringArray, how: How) -> list[tuple[list[str] | str, str] | None]:
    cut, unwanted = _cutter(how), regex.compile(how[3]) if how[3] else None
    answer: list[tuple[list[str] | str, str] | None] = []
    for row in text.to_pylist():
        if row is not None:
            row = row.lower() if how[2] else row
            row = unwanted.sub("", row) if unwanted else row
        answer.append(None if row is None else cut(row))
    return answer


def shorter(text: pa.StringArray, how: How) -> np.ndarray:
    """bool[n]: whether the text has fewer tokens than the window. Null: False."""
    return np.array([t is not None and len(t[0]) < how[1] for t in _tokens(text, how)], bool)


def signature_keys(text: pa.StringArray, how: How, permutations: int, bands: int, rows: int) -> tuple[pa.ListArray, np.ndarray]:
    """(one key for each band of the signature of each text, uint64[n] its smallest shingle's hash). Null: null."""
    if how[1] < 1:
        raise ValueError(f"window_size is {how[1]}: a shingle has at least one token")
    hashes, ends, there = [], [0], []
    for told in _tokens(text, how):
        tokens, joint = told or ("", "")
        sets = {joint.join(tokens[i : i + how[1]]).encode() for i in range(len(tokens) - how[1] + 1)}
        hashes += [int.from_bytes(hashlib.sha1(s, usedforsecurity=False).digest()[:4], "little") for s in sets]
        ends.append(len(hashes))
        there.append(told is not None)
    values = np.array(hashes, np.uint64)
    keys = _keys(np.array(ends, np.int64), values, *_permutations(permutations), bands, rows)
    own = np.array(there, bool)
    least = np.full(len(own), ~np.uint64(0))
    sized = np.diff(ends) > 0
    if sized.any():
        least[sized] = np.minimum.reduceat(values, np.array(ends[:-1])[sized])
    return as_lists(keys[own].reshape(-1), np.append(0, np.cumsum(own * bands)), text), least


@lru_cache(maxsize=8)
def _permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) uint64[count], drawn in turn as Data-Juicer draws them."""
    gen = np.random.RandomState(42)
    drawn = [(gen.randint(1, _PRIME, dtype=np.uint64), gen.randint(0, _PRIME, dtype=np.uint64)) for _ in range(count)]
    both = np.array(drawn, np.uint64)
    return both[:, 0].copy(), both[:, 1].copy()


@njit(cache=True, nogil=True)
def _keys(ends: np.ndarray, values: np.ndarray, a: np.ndarray, b: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """uint64[n, bands]: a hash of the minima of each band, and of which band it is."""
    keys = np.empty((len(ends) - 1, bands), np.uint64)
    for row in range(len(ends) - 1):
        for band in range(bands):
            key = np.uint64(band) * np.uint64(0xD6E8FEB86659FD93)
            for i in range(band * rows, (band + 1) * rows):
                least = _MASK
                for at in range(ends[row], ends[row + 1]):
                    least = min(least, ((values[at] * a[i] + b[i]) % _P) & _MASK)
                key = (key ^ least) * np.uint64(0x9E3779B97F4A7C15)
                key ^= key >> np.uint64(29)
            keys[row, band] = key
    return keys
