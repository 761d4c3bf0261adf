"""Near-duplicates by SimHash: fingerprints of 64 bits that differ in few of them when most shingles are the same."""

from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import deduplicator
from ..kernels import simhash as kernels
from .edges import Edges, ascending
from .folding import as_lists
from .juicer import shorter
from .shingles import Split, reading

BITS = kernels.BITS
MOST = 500  # sorts of all hashes


def checked(num_blocks: int, hamming_distance: int) -> None:
    """Raises ValueError for settings that make no sense."""
    if not 0 <= hamming_distance < BITS:
        raise ValueError(f"hamming_distance is {hamming_distance}: hashes of {BITS} bits differ in 0 to {BITS - 1} of them")
    if not hamming_distance < num_blocks <= BITS:
        raise ValueError(f"num_blocks is {num_blocks}: it must be above hamming_distance ({hamming_distance}) and at most {BITS}")
    if (sorts := comb(num_blocks, hamming_distance)) > MOST:
        raise ValueError(f"{num_blocks} blocks, of which {hamming_distance} may differ, need {sorts:,} sorts: "
                         "give fewer num_blocks, which change no answer")


def near(
    hashes: np.ndarray, rows: np.ndarray, num_blocks: int = 6, hamming_distance: int = 4, **_: object,
) -> Edges:
    """Edges that span the components of all pairs of rows whose hashes differ in at most `hamming_distance` bits.

    `hashes` uint64[m] are those of `rows` int64[m], ascending. `similarity` is 1 less the share of bits that differ.
    Which rows come together depends on neither order nor `num_blocks`.
    Cost: equal hashes are one; then C(num_blocks, hamming_distance) sorts, and a comparison for each pair that agrees on
    num_blocks - hamming_distance blocks: by chance about n^2 / 2^22 for each sort with the default blocks.
    """
    checked(num_blocks, hamming_distance)
    different, first, member = np.unique(hashes, return_index=True, return_inverse=True)
    room, parent, found = np.empty((len(different), 2), np.int64), np.arange(len(different)), []
    for mask in _masks(num_blocks, hamming_distance):
        order = np.argsort(different & mask, kind="stable")
        many = kernels.near_in_order(different, order, mask, hamming_distance, parent, room)
        found.append(room[:many].copy())
    pairs = rows[first[np.concatenate(found)]] if found else np.empty((0, 2), np.int64)
    copies = np.flatnonzero(first[member] != np.arange(len(rows)))
    a = np.concatenate([pairs.min(axis=1), rows[first[member[copies]]]])
    b = np.concatenate([pairs.max(axis=1), rows[copies]])
    return ascending(a, b, likeness(_at(hashes, rows, a), _at(hashes, rows, b)))


def _at(hashes: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return hashes[np.searchsorted(rows, wanted)]


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[m]: share of the 64 bits in which the hashes a[k] and b[k] agree."""
    return 1.0 - np.bitwise_count(a ^ b) / BITS


def _masks(num_blocks: int, hamming_distance: int) -> list[np.uint64]:
    """The bits on which each table of Manku et al. wants candidates to agree: all blocks but `hamming_distance`."""
    cuts = [BITS * i // num_blocks for i in range(num_blocks + 1)]
    blocks = [(1 << cuts[i + 1]) - (1 << cuts[i]) for i in range(num_blocks)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, num_blocks - hamming_distance)]


@deduplicator("document_simhash_deduplicator", near=near)
def simhash_keys(
    text: pa.StringArray, *, tokenization: Split = "space", window_size: int = 6, lowercase: bool = True,
    ignore_pattern: str | None = None, num_blocks: int = 6, hamming_distance: int = 4,
    compat: Literal["data-juicer"] | None = None,
) -> pa.ListArray:
    """The SimHash of each text: 64 bits, each the majority of that bit among the hashes of the text's shingles.

    Texts whose hashes differ in at most `hamming_distance` bits are duplicates. The hashes are Data-Juicer's, bit for bit
    (half an MD5 sum of each shingle, repeated ones counted each time). `num_blocks` decides how candidates are found, not
    which: hashes that differ in d bits agree on all but d of the blocks. Other than there, a text of fewer tokens than the
    window is one shingle of all of them (there all such texts are duplicates: `compat` gives them the hash 0, as there), and
    one without tokens has no hash.
    Shape: list<uint64>[n], one each. Empty: an empty list. Null: null. Raises ValueError for settings that make no sense.
    Source: Charikar 2002; Manku, Jain, Das Sarma 2007, Detecting Near-Duplicates for Web Crawling.
    """
    checked(num_blocks, hamming_distance)
    read = reading(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
    )
    hashes, there = kernels.simhashes(*read)
    if compat:
        short = shorter(text, (tokenization, window_size, lowercase, ignore_pattern, None))
        hashes, there = np.where(short, np.uint64(0), hashes), there | short
    return as_lists(hashes[there], np.append(0, np.cumsum(there)), text)
