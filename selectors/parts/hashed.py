"""Texts as hashed counts of words and pairs of words: what DSIR compares."""

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np

_PIECES = re.compile(r"\w+|[^\w\s]+")  # wordpunct


def ngram_counts(texts: Sequence[str | None] | np.ndarray, buckets: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """For each text its (buckets int64[m], counts int64[m]) of words and pairs of words in lower case; int64[n], its words.

    CRC-32 modulo `buckets`: the authors' code takes SHA-256, which spreads as evenly and costs ten times as much.
    Null: no words.
    """
    found, words = [], np.zeros(len(texts), np.int64)
    for i, text in enumerate(texts):  # one text at a time: words are what Python's own regex and CRC make of them
        pieces = [p.encode("utf-8", "surrogatepass") for p in _PIECES.findall((text or "").lower())]
        pairs = [zlib.crc32(b, zlib.crc32(a + b" ")) for a, b in itertools.pairwise(pieces)]
        hashes = np.array([zlib.crc32(p) for p in pieces] + pairs, np.int64) % buckets
        where, count = np.unique(hashes, return_counts=True)
        found.append((where, count))
        words[i] = len(pieces)
    return found, words


def log_ratio(rows: list[tuple[np.ndarray, np.ndarray]], target: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """float64[n], for each row the sum over its n-grams of log p_target - log p_rows, both smoothed by 1e-8."""
    buckets = 1 + max((int(b[-1]) for b, _ in (*rows, *target) if len(b)), default=0)
    both = []
    for side in (target, rows):
        total = np.zeros(buckets)
        for where, count in side:
            total[where] += count
        both.append(np.log(total / max(total.sum(), 1) + 1e-8))
    ratio = both[0] - both[1]
    return np.array([float((ratio[where] * count).sum()) for where, count in rows])
