"""Signatures that datasketch reads, so that an index made with it can be asked and added to."""

from functools import lru_cache
from typing import Literal

import numpy as np
import pyarrow as pa

from ..kernels import sketches
from .shingles import Split, reading


@lru_cache(maxsize=8)
def _permutations(count: int, seed: int, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) uint64, drawn as datasketch draws them."""
    chance = np.random.RandomState(seed)
    if scheme == "legacy":
        drawn = [(chance.randint(1, sketches.MERSENNE, dtype=np.uint64), chance.randint(0, sketches.MERSENNE, dtype=np.uint64))
                 for _ in range(count)]
        return tuple(np.array(drawn, np.uint64).T.copy())  # type: ignore[return-value]
    a = chance.randint(0, 1 << 31, count, dtype=np.uint32).astype(np.uint64) * np.uint64(2) + np.uint64(1)
    return a, chance.randint(0, 1 << 32, count, dtype=np.uint32).astype(np.uint64)


def datasketch_signatures(
    text: pa.StringArray, *, tokenization: Split = "space", window_size: int = 5, lowercase: bool = True,
    ignore_pattern: str | None = None, num_permutations: int = 128, seed: int = 1,
    scheme: Literal["affine32", "legacy"] = "affine32",
) -> np.ndarray:
    """The `hashvalues` of datasketch's `MinHash` of each text's shingles, value for value: uint64[n, num_permutations].

    `scheme` affine32 is the default of datasketch 2; legacy is that of datasketch 1 and of Data-Juicer, whose signature it is
    too. A shingle's bytes are its tokens joined by a blank (`character`: by nothing), in UTF-8. Make a MinHash of a row with
    `datasketch.MinHash(hashvalues=row, scheme=scheme, seed=seed)`. Slower than `minhash_keys`, for SHA-1's sake.
    Empty, null: all values 2^32 - 1, as of an empty MinHash. Raises ValueError for settings that make no sense.
    """
    if scheme not in ("affine32", "legacy"):
        raise ValueError(f"scheme {scheme!r} is none of affine32, legacy")
    if num_permutations < 1:
        raise ValueError(f"num_permutations is {num_permutations}: at least one is needed")
    read = reading(
        text, tokenization=tokenization, window_size=window_size, lowercase=lowercase, ignore_pattern=ignore_pattern,
    )
    return sketches.signatures(*read, *_permutations(num_permutations, seed, scheme), scheme == "legacy")
