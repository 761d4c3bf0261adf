"""`compat: data-juicer`: its signatures by their published definition, in Python's own whole numbers."""

import hashlib
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.bands import candidate_probability
from tamis.operators.dedup.hamming import simhash_keys
from tamis.operators.dedup.minhash import minhash_keys, minhash_probe
from tamis.operators.dedup.shingles import shingle_sets
from tamis.pipeline.run import apply

PRIME, ROWS = (1 << 61) - 1, ["a b c d e f", "a b c d e g", "A, b. c d e f", "", "one two", "three", None, "a b c d e f", "x  y z x y z x y", "漢字 かな"]


class Letters:
    """A tokenizer whose pieces are pairs of characters."""

    def pieces(self, text: str) -> list[str]:
        return [text[i : i + 2] for i in range(0, len(text), 2)]

    def bits(self, text: str) -> list[list[str]]:
        return [self.pieces(text)]


def cut(text: str, tokenization: str, lowercase: bool, ignore: str | None) -> tuple[list[str], str]:
    text = text.lower() if lowercase else text
    text = regex.sub(ignore, "", text) if ignore else text
    return {
        "space": lambda: ([t for t in text.split(" ") if t], " "), "punctuation": lambda: (regex.split(r"\p{P}", text), " "),
        "character": lambda: (list(text), ""), "sentencepiece": lambda: (Letters().pieces(text), ""),
    }[tokenization]()


def signature(text: str, count: int, window: int, *how: Any) -> tuple[int, ...]:
    """Data-Juicer's: the least of ((h a + b) mod 2^64 mod p) mod 2^32 over the shingles, for each (a, b) drawn in turn."""
    tokens, joint = cut(text, *how)
    hashes = {int.from_bytes(hashlib.sha1(joint.join(tokens[i : i + window]).encode()).digest()[:4], "little") for i in range(len(tokens) - window + 1)}
    chance = np.random.RandomState(42)
    drawn = [(int(chance.randint(1, PRIME, dtype=np.uint64)), int(chance.randint(0, PRIME, dtype=np.uint64))) for _ in range(count)]
    return tuple(min([((h * a + b) % 2**64 % PRIME) & 0xFFFFFFFF for h in hashes], default=0xFFFFFFFF) for a, b in drawn)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from(["a", "B", "c", " ", " ", ".", "é", "漢"]), max_size=14).map("".join), min_size=1, max_size=5),
    st.sampled_from(["space", "punctuation", "character", "sentencepiece"]), st.integers(1, 4), st.booleans(), st.sampled_from([None, r"\p{P}"]),
)
def test_a_band_is_shared_where_its_minima_are(texts: list[str], tokenization: Any, window: int, lowercase: bool, ignore: str | None) -> None:
    how = {"tokenization": tokenization, "window_size": window, "lowercase": lowercase, "ignore_pattern": ignore, "tokenizer": Letters()}
    keys, least = minhash_probe(pa.array(texts), num_permutations=12, num_bands=4, num_rows_per_band=3, compat="data-juicer", **how)
    told = [signature(t, 12, window, tokenization, lowercase, ignore) for t in texts]
    rows = keys.to_pylist()
    for i, j in combinations(range(len(texts)), 2):
        assert [x == y for x, y in zip(rows[i], rows[j], strict=True)] == [told[i][3 * b : 3 * b + 3] == told[j][3 * b : 3 * b + 3] for b in range(4)]
    for text, one in zip(texts, least.tolist(), strict=True):
        tokens, joint = cut(text, tokenization, lowercase, ignore)
        shingles = [joint.join(tokens[i : i + window]).encode() for i in range(len(tokens) - window + 1)]
        assert one == min((int.from_bytes(hashlib.sha1(s).digest()[:4], "little") for s in shingles), default=2**64 - 1)


def test_texts_shorter_than_the_window_are_all_one_there_and_each_itself_here() -> None:
    theirs, ours = (minhash_keys(pa.array(ROWS), compat=c).to_pylist() for c in ("data-juicer", None))
    assert theirs[3] == theirs[4] == theirs[5] == theirs[9] != theirs[0] and theirs[6] is None
    assert ours[3] == [] and len({tuple(ours[i]) for i in (3, 4, 5, 9)}) == 4
    hashes = simhash_keys(pa.array(ROWS), compat="data-juicer").to_pylist()
    assert [hashes[i] for i in (3, 4, 5, 6, 9)] == [[0], [0], [0], None, [0]] and hashes[0] == hashes[7] != [0]
    assert hashes[8] == simhash_keys(pa.array(ROWS)).to_pylist()[8], "longer texts have the hash that they have"


def test_of_short_texts_one_stays_where_an_old_run_is_to_be_matched() -> None:
    rows = [{"text": t} for t in ("hello", "bye", "one two", "a b c d e f g")]
    for step, more in (("document_minhash_deduplicator", {"verify": False}), ("document_simhash_deduplicator", {})):
        kept = [apply([{step: how}], rows).table.column("text").to_pylist() for how in ({"compat": "data-juicer", **more}, more)]
        assert kept == [["hello", "a b c d e f g"], [r["text"] for r in rows]]


def test_what_data_juicer_does_not_have_is_refused_with_it() -> None:
    text = pa.array(["a b"])
    for how, told in (({"tokenization": "datatrove"}, "no tokenization 'datatrove'"), ({"tokenization": "sentencepiece"}, "needs tokenizer_model"), ({"window_size": 0}, "at least one token")):
        with pytest.raises(ValueError, match=told):
            minhash_keys(text, compat="data-juicer", **how)


@pytest.mark.parametrize("how", [
    {"tokenization": "character"}, {"tokenization": "punctuation"}, {"window_size": 2}, {"lowercase": False}, {"ignore_pattern": r"\p{P}"},
])
def test_each_setting_of_tokens_changes_keys_evidence_and_hashes(how: dict[str, Any]) -> None:
    text = pa.array(["A quick, brown fox. Jumps over the Lazy dog"])
    for function in (minhash_keys, shingle_sets, simhash_keys):
        assert function(text, **how).to_pylist() != function(text).to_pylist(), function.__name__


@pytest.mark.parametrize(("how", "bands"), [
    ({}, 34), ({"verify": False}, 25), ({"num_bands": 7, "num_rows_per_band": 2}, 7), ({"jaccard_threshold": 0.9, "verify": False}, 9), ({"num_permutations": 128, "verify": False}, 14),
])
def test_there_is_a_key_for_each_band(how: dict[str, Any], bands: int) -> None:
    assert [len(k) for k in minhash_keys(pa.array(["a b c d e f", "x"]), **how).to_pylist()] == [bands, bands]


@given(st.floats(0, 1), st.integers(1, 60), st.integers(1, 12))
def test_the_chance_of_a_candidate_is_that_of_sharing_one_band(similarity: float, bands: int, rows: int) -> None:
    missed = 1.0
    for _ in range(bands):
        missed *= 1 - similarity**rows
    assert candidate_probability(similarity, bands, rows) == pytest.approx(1 - missed, abs=1e-9)
    assert candidate_probability(0.0, bands, rows) == 0.0 and candidate_probability(1.0, bands, rows) == 1.0


def test_pairs_share_a_smallest_shingle_as_often_as_they_are_alike() -> None:
    """The probe samples pairs by a chance that no band decides: 600 pairs that share 40 of 60 shingles each."""
    rng, rows = np.random.default_rng(1), []
    for _ in range(600):
        names = [f"w{n}" for n in rng.choice(10**9, 60, replace=False)]
        rows += [" ".join(names[:50]), " ".join(names[10:])]
    for compat in (None, "data-juicer"):
        _, least = minhash_probe(pa.array(rows), window_size=1, num_permutations=4, num_bands=2, num_rows_per_band=2, compat=compat)
        assert abs((least[::2] == least[1::2]).mean() - 40 / 60) < 0.08
    assert minhash_probe(pa.array(["", None]))[1].tolist() == [2**64 - 1] * 2
