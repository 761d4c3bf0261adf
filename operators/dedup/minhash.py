"""Near-duplicates: texts that share most of their shingles (MinHash with banding, verified exactly)."""

from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import deduplicator
from ..kernels import minhash as kernels
from .bands import bands_and_rows
from .folding import as_lists
from .juicer import signature_keys
from .shingles import Tokenization, Tokenizer, reading, shingle_sets


def minhash_probe(
    text: pa.StringArray, *, tokenization: Tokenization = "space", window_size: int = 5, lowercase: bool = True,
    ignore_pattern: str | None = None, num_permutations: int = 256, jaccard_threshold: float = 0.7,
    num_bands: int | None = None, num_rows_per_band: int | None = None, tokenizer_model: str | None = None,
    verify: bool = True, compat: Literal["data-juicer"] | None = None, tokenizer: Tokenizer | None = None,
) -> tuple[pa.ListArray, np.ndarray]:
    """(keys as of `minhash_keys`, uint64[n]: the smallest shingle of each text, from the same pass).

    Two texts have the same smallest shingle with a probability of their Jaccard similarity, whatever the bands say: pairs
    found by it are a sample by which the recall of the bands is measured. Without a shingle: the largest number there is.
    """
    bands, rows = bands_and_rows(jaccard_threshold, num_permutations, num_bands, num_rows_per_band, verify)
    if compat:
        how = (tokenization, window_size, lowercase, ignore_pattern, tokenizer)
        return signature_keys(text, how, num_permutations, bands, rows)
    read = reading(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
        tokenizer=tokenizer,
    )
    values, ends, smallest = kernels.band_keys(*read, bands, rows)
    return as_lists(values, ends, text), smallest


@deduplicator(
    "document_minhash_deduplicator", evidence=shingle_sets, probe=minhash_probe, resources={"tokenizer": "cutter"}, version=2)
def minhash_keys(
    text: pa.StringArray, *, tokenization: Tokenization = "space", window_size: int = 5, lowercase: bool = True,
    ignore_pattern: str | None = None, num_permutations: int = 256, jaccard_threshold: float = 0.7,
    num_bands: int | None = None, num_rows_per_band: int | None = None, tokenizer_model: str | None = None,
    verify: bool = True, compat: Literal["data-juicer"] | None = None, tokenizer: Tokenizer | None = None,
) -> pa.ListArray:
    """One key for each band of minima of each text's shingles: texts that share a key are probably alike.

    With `verify` the evidence (`shingle_sets`) decides, and bands are chosen for recall: of pairs at the threshold
    98.5 % become candidates. Without it the keys decide, with Data-Juicer's bands: faster, and wrong on both sides of
    the threshold. `num_permutations` is the most that are used. Other than in Data-Juicer, short texts are not lumped
    together, and the hash family is another (32-bit multiply-and-flip instead of SHA-1 modulo 2^61 - 1). `compat`: its
    hashes bit for bit, short texts lumped together as there (`juicer.py`); a recipe's `compat` also switches `verify` off.
    `tokenizer_model` names what `tokenization` sentencepiece (a model file) or tokenizer (a tokenizer.json, or a folder or
    installed package with one) cuts text by; it is handed in as `tokenizer`.
    Shape: list<uint64>[n], bands each. Empty: an empty list, as nothing is known of its likeness. Null: null.
    Raises ValueError for settings that make no sense. Source: Broder 1997; Leskovec et al., section 3.4.
    """
    return minhash_probe(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
        num_permutations=num_permutations, jaccard_threshold=jaccard_threshold, num_bands=num_bands,
        num_rows_per_band=num_rows_per_band, tokenizer_model=tokenizer_model, verify=verify, compat=compat, tokenizer=tokenizer,
    )[0]
