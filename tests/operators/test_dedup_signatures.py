"""Our signatures against datasketch's own, value for value."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
import regex
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.signatures import datasketch_signatures
from tamis.operators.kernels.sha1 import sha1_word

ROWS = ["a b c d e f g", "", None, "one", "  The  quick brown-fox.  ", "ΣΑΣ İ é 中文 🎉 b c d e f", "x " * 500, "a, b; c."]


def theirs(row, count, seed, scheme, tokenization="space", window=5):
    sketch = MinHash(num_perm=count, seed=seed, scheme=scheme)
    row = (row or "").lower()
    tokens = {"space": [t for t in row.split(" ") if t], "punctuation": regex.split(r"\p{P}", row) if row else [],
              "character": list(row)}[tokenization]
    width = min(window, len(tokens))
    joint = "" if tokenization == "character" else " "
    sketch.update_batch([joint.join(tokens[i : i + width]).encode() for i in range(len(tokens) - width + 1)] if tokens else [])
    return sketch


@pytest.mark.parametrize("tokenization", ["space", "punctuation", "character"])
@pytest.mark.parametrize("scheme", ["affine32", "legacy"])
@pytest.mark.parametrize(("count", "seed"), [(128, 1), (64, 7)])
def test_values_are_datasketchs(tokenization, scheme, count, seed):
    found = datasketch_signatures(pa.array(ROWS), num_permutations=count, seed=seed, scheme=scheme, tokenization=tokenization)
    for row, values in zip(ROWS, found, strict=True):
        assert np.array_equal(values, theirs(row, count, seed, scheme, tokenization).hashvalues)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab é中.🎉 "), max_size=40), min_size=1, max_size=4), st.integers(1, 6))
def test_values_are_datasketchs_for_any_text(rows, window):
    found = datasketch_signatures(pa.array(rows), num_permutations=16, window_size=window)
    assert np.array_equal(found, [theirs(row, 16, 1, "affine32", window=window).hashvalues for row in rows])


@pytest.mark.parametrize("size", [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 1000])
def test_sha1_at_the_borders_of_its_blocks(size):
    data = np.frombuffer(np.random.default_rng(size).bytes(size + 6), np.uint8)
    found = sha1_word(data, 3, 3 + size, np.empty(5, np.uint32), np.empty(80, np.uint32))
    assert int(found) == int.from_bytes(hashlib.sha1(data[3 : 3 + size].tobytes()).digest()[:4], "little")


def test_an_index_of_datasketch_finds_our_signatures():
    rows = [f"{i} the quick brown fox jumps over the lazy dog number {i // 2} again and again" for i in range(20)]
    index = MinHashLSH(threshold=0.5, num_perm=128)
    for i, row in enumerate(rows):
        index.insert(i, theirs(row, 128, 1, "affine32"))
    for i, values in enumerate(datasketch_signatures(pa.array(rows))):
        assert i in index.query(MinHash(hashvalues=values, scheme="affine32", seed=1))


@pytest.mark.parametrize(("how", "message"), [
    ({"scheme": "affine64"}, "none of affine32, legacy"), ({"num_permutations": 0}, "at least one"), ({"window_size": 0}, "one token"),
])
def test_refuses(how, message):
    with pytest.raises(ValueError, match=message):
        datasketch_signatures(pa.array(["a"]), **how)
