"""Exact duplicates: texts that are equal after folding."""

import numpy as np
import pyarrow as pa

from ..base import deduplicator
from ..kernels.exact import digests
from .folding import NO_TABLE, as_lists, fold_table, texts


def _one_each(text: pa.StringArray, half: int, lowercase: bool, ignore_non_character: bool) -> pa.ListArray:
    column = texts(text, lowercase)
    hashes = digests(column, fold_table(lowercase, ignore_non_character), True)[half]
    return as_lists(hashes[column.valid], np.append(0, np.cumsum(column.valid)), text)


def exact_evidence(text: pa.StringArray, *, lowercase: bool = False, ignore_non_character: bool = False) -> pa.ListArray:
    """The other 64 bits of each text's digest, as a set of one: with the key they decide equality.

    Shape: list<uint64>[n]. Null: null.
    """
    return _one_each(text, 1, lowercase, ignore_non_character)


@deduplicator("document_deduplicator", evidence=exact_evidence)
def exact_keys(text: pa.StringArray, *, lowercase: bool = False, ignore_non_character: bool = False) -> pa.ListArray:
    """One key for each text: 64 bits of the 128-bit digest of its folded, stripped content.

    `lowercase` folds case; `ignore_non_character` leaves out white space, digits and ASCII punctuation. Texts are equal
    as in Data-Juicer, which compares MD5 sums: key and evidence together take the place of those 128 bits.
    Shape: list<uint64>[n], one each. Empty: a key like any other, so empty and blank texts are duplicates. Null: null.
    """
    return _one_each(text, 0, lowercase, ignore_non_character)


def text_digests(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent 64-bit hashes uint64[n] of each text as it stands: equal texts, and only they, agree in both.

    Null: 0.
    """
    return digests(texts(text, False), NO_TABLE, False)
