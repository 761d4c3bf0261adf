"""MinHash keys and shingle sets against plain Python sets, and against Data-Juicer's recorded answers."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.dedup.bands import balanced_bands, candidate_probability, verified_bands
from tamis.operators.dedup.components import components
from tamis.operators.dedup.edges import jaccard, link
from tamis.operators.dedup.minhash import minhash_keys
from tamis.operators.dedup.shingles import shingle_sets

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/document_minhash_deduplicator.jsonl").open()]


def plain(row, tokenization="space", window_size=5, lowercase=True, ignore_pattern=None, **_):
    """The definition: (shingles, whether the text is shorter than the window)."""
    row = row.lower() if lowercase else row
    row = regex.sub(ignore_pattern, "", row) if ignore_pattern else row
    tokens = {
        "space": lambda: [token for token in row.split(" ") if token],
        "punctuation": lambda: regex.split(r"\p{P}", row) if row else [],
        "character": lambda: list(row),
    }[tokenization]()
    width = min(window_size, len(tokens))
    return ({tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1)} if tokens else set()), len(tokens) < window_size


def likeness(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


def survivors(rows, verify=True, **how):
    text = pa.array(rows, pa.string())
    keys = minhash_keys(text, verify=verify, **how)
    sets = shingle_sets(text, verify=verify, **how) if verify else None
    edges = link(keys, sets, how.get("jaccard_threshold", 0.7))
    labels = components(edges.a, edges.b, len(rows))
    return {i for i in range(len(rows)) if labels[i] == i}


def true_survivors(rows, **how):
    sets = [plain(row, **how)[0] for row in rows]
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if likeness(sets[i], sets[j]) >= how.get("jaccard_threshold", 0.7)]
    labels = components(np.array([i for i, _ in pairs], int), np.array([j for _, j in pairs], int), len(rows))
    return {i for i in range(len(rows)) if labels[i] == i}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_verified_answers_are_the_truth_and_data_juicers_where_it_is_right(case):
    """What Data-Juicer keeps is what we keep, but for three kinds of rows.

    Texts shorter than the window: it keeps one of all of them. Pairs near the threshold that it misses, and pairs
    that it takes though they are below: the golden row names them; exact Jaccard decides here.
    """
    rows, how = case["texts"], case["params"]
    ours, theirs = survivors(rows, **how), set(case["kept"])
    assert ours == true_survivors(rows, **how)
    short = {i for i, row in enumerate(rows) if plain(row, **how)[1]}
    assert len(short & theirs) <= 1
    assert (theirs - ours) - short == set(case.get("missed", []))
    assert (ours - theirs) - short == set(case.get("wrong", []))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_unverified_answers_differ_from_data_juicers_only_where_bands_are_uncertain(case):
    """Without verification both are estimates by different hash families: they may differ only on uncertain pairs."""
    rows, how = case["texts"], case["params"]
    shingles = [plain(row, **how) for row in rows]
    bands, width = how.get("num_bands"), how.get("num_rows_per_band")
    if bands is None:
        bands, width = balanced_bands(how.get("jaccard_threshold", 0.7), how.get("num_permutations", 256))
    for i in survivors(rows, verify=False, **how) ^ set(case["kept"]):
        chances = [candidate_probability(likeness(shingles[i][0], other), bands, width) for other, _ in shingles[:i]]
        assert shingles[i][1] or not rows[i] or any(0.01 < chance < 0.99 for chance in chances)


TEXTS = st.text(st.sampled_from("abAB  .,!ßΣİé中文\n\x00🎉"), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(TEXTS | st.none(), min_size=1, max_size=8), st.sampled_from(["space", "punctuation", "character"]),
    st.integers(1, 4), st.booleans(), st.sampled_from([None, r"\p{P}", "a+"]),
)
def test_sets_are_those_of_the_definition(rows, tokenization, window, lowercase, pattern):
    how = {"tokenization": tokenization, "window_size": window, "lowercase": lowercase, "ignore_pattern": pattern}
    text = pa.array(rows, pa.string())
    sets, keys = shingle_sets(text, **how), minhash_keys(text, **how)
    truth = [None if row is None else plain(row, **how)[0] for row in rows]
    for row, found, some in zip(truth, sets.to_pylist(), keys.to_pylist(), strict=True):
        assert (row is None) == (found is None) == (some is None)
        if row is not None:
            assert len(found) == len(row) and all(a < b for a, b in pairwise(found))
            assert len(some) == (34 if row else 0)
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if truth[i] is not None and truth[j] is not None]
    found = jaccard(sets, np.array([i for i, _ in pairs], int), np.array([j for _, j in pairs], int))
    assert found.tolist() == [likeness(truth[i], truth[j]) for i, j in pairs]


def _absorbed(h: int, word: int) -> int:
    h = (h + word * 0xC2B2AE3D27D4EB4F) % 2**64
    return (h << 31 | h >> 33) * 0x9E3779B185EBCA87 % 2**64


def _hashed(token: bytes) -> int:
    h, whole = 0x27D4EB2F165667C5, len(token) // 8 * 8
    for i in range(0, whole, 8):
        h = _absorbed(h, int.from_bytes(token[i : i + 8], "little"))
    return _absorbed((h + len(token)) % 2**64, int.from_bytes(token[whole:], "little"))


def _mixed(h: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor % 2**64
    return h ^ h >> 33


def _shingles_one_by_one(text: str, window: int) -> list[int]:
    tokens = [_hashed(token.encode()) for token in text.lower().split(" ") if token]
    width = min(window, len(tokens))
    found = set()
    for i in range(len(tokens) - width + 1 if tokens else 0):
        h = width * 0x27D4EB2F165667C5
        for j in range(width):
            h += tokens[i + j] * pow(0x9FB21C651E98DF27, width - 1 - j, 2**64)
        found.add(_mixed(h % 2**64))
    return sorted(found)


@pytest.mark.parametrize("window", [1, 5, 12, 13])
def test_hashes_are_the_same_wherever_words_stand_in_blocks_of_bytes(window):
    """Texts are read 64 bytes at a time and eight runs at a time; words of 0 to 140 bytes end at every place of a block."""
    chance = np.random.default_rng(5)
    rows = ["w" * k for k in range(140)] + ["A" * k + " " + "é" * (70 - k % 70) for k in range(140)]
    rows += [" " * k + "v" + " " * (k % 3) for k in range(140)]
    rows += [" ".join("x" * n for n in chance.geometric(0.2, size)) for size in chance.integers(1, 900, 40)]
    rows += ["".join(chance.choice(["a", "Bc", " ", "\n", "Ü", "K", "漢", "İ", "Σ", "x" * 31], size)) for size in range(200)]
    found = shingle_sets(pa.array(rows), window_size=window).to_pylist()
    assert found == [_shingles_one_by_one(row, window) for row in rows]
    last = pa.array([rows[-1]])  # its block ends where the buffer does
    assert shingle_sets(last, window_size=window).to_pylist() == found[-1:]


@given(st.lists(st.none() | st.lists(st.sampled_from(["a", "x" * 33, "İ", "Σ", "Ä", "ΐ", "漢", " "])).map("".join)), st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_lower_case_is_pythons_where_the_neighbours_decide(rows, skipped):
    """İ becomes two code points and Σ depends on its place; both bytes of one must be found across blocks, not across rows."""
    text = pa.array(rows, pa.string()).slice(skipped)
    lowered = pa.array([None if row is None else row.lower() for row in text.to_pylist()], pa.string())
    assert shingle_sets(text, window_size=1).equals(shingle_sets(lowered, window_size=1, lowercase=False))


def test_slices_and_large_strings_have_the_same_keys():
    rows = ["a b c d e f", None, "", "ΣΑΣ Σ b c d e", "one", "x " * 500, "a b c d e f"]
    for function in (minhash_keys, shingle_sets):
        whole = function(pa.array(rows)).to_pylist()
        assert function(pa.array(rows, pa.large_string())).to_pylist() == whole
        for at in range(len(rows) + 1):
            text = pa.array(rows)
            assert function(text.slice(0, at)).to_pylist() + function(text.slice(at)).to_pylist() == whole
    assert minhash_keys(pa.array([], pa.string())).type == pa.list_(pa.uint64())
    assert shingle_sets(pa.array([None], pa.null())).to_pylist() == [None]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"\xe2\x82", b"\xff", b"a\xc4", b"\xf0\x9f"]), max_size=6),
    st.sampled_from(["space", "punctuation", "character"]),
)
def test_bytes_that_are_no_utf8_are_hashed_and_leave_their_neighbours_alone(rows, tokenization):
    """Arrow trusts whoever made the column; a file may hold what it should not."""
    rows = [row for row in rows if b"\xce\xa3" not in row and b"\xc4\xb0" not in row]
    text = pa.array([b"one two three", *rows, b"four five"], pa.binary()).view(pa.string())
    keys = minhash_keys(text, tokenization=tokenization).to_pylist()
    for i in range(len(text)):
        assert minhash_keys(text.slice(i, 1), tokenization=tokenization).to_pylist() == [keys[i]]
    assert keys[0] == minhash_keys(pa.array(["one two three"]), tokenization=tokenization).to_pylist()[0]


def test_short_texts_are_not_lumped_together_and_equal_ones_are():
    rows = ["今天天气很好", "图书馆在哪里", "hello", "Hello ", "hello world", "", "", "   ", None]
    assert survivors(rows) == {0, 1, 2, 4, 5, 6, 7, 8}
    assert survivors(rows, verify=False) == {0, 1, 2, 4, 5, 6, 7, 8}


def test_a_key_is_of_one_band():
    keys = minhash_keys(pa.array(["a a a a a a"]), num_bands=50, num_rows_per_band=1).to_pylist()[0]
    assert len(set(keys)) == 50
    fewer = minhash_keys(pa.array(["a a a a a a"]), num_bands=20, num_rows_per_band=1).to_pylist()[0]
    assert fewer == keys[:20]


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.8])
def test_minima_agree_as_often_as_the_sets_are_alike(similarity):
    """Bands of one minimum each estimate Jaccard without bias: 400 pairs, 256 minima, standard error 0.002."""
    rng, size = np.random.default_rng(3), 60
    common = round(2 * size * similarity / (1 + similarity))
    rows = []
    for _ in range(400):
        words = [f"w{n}" for n in rng.choice(10**9, 2 * size - common, replace=False)]
        rows += [" ".join(words[:size]), " ".join(words[size - common :])]
    keys = minhash_keys(pa.array(rows), window_size=1, num_bands=256, num_rows_per_band=1)
    values = keys.flatten().to_numpy().reshape(-1, 2, 256)
    assert (values[:, 0] == values[:, 1]).mean() == pytest.approx(common / (2 * size - common), abs=0.006)


TABLE = {  # (threshold, permutations): (bands, rows), read off Data-Juicer 1.6.1
    (0.7, 256): (25, 10), (0.5, 256): (42, 6), (0.8, 256): (17, 15), (0.9, 256): (9, 28),
    (0.7, 128): (14, 9), (0.8, 128): (9, 13), (0.7, 64): (8, 8),
}


def test_unverified_bands_are_data_juicers():
    assert {setting: balanced_bands(*setting) for setting in TABLE} == TABLE
    assert len(minhash_keys(pa.array(["a b"]), verify=False).to_pylist()[0]) == 25


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("permutations", [64, 128, 256])
def test_verified_bands_find_the_pairs_at_the_threshold(threshold, permutations):
    bands, rows = verified_bands(threshold, permutations)
    assert bands * rows <= permutations
    assert candidate_probability(threshold, bands, rows) >= 0.985
    if bands > 1:
        assert candidate_probability(threshold, bands - 1, rows) < 0.985
        assert candidate_probability(threshold, permutations // (rows + 1), rows + 1) < 0.985


def test_too_few_permutations_are_all_used():
    assert verified_bands(0.1, 8) == (8, 1)


def test_thresholds_of_which_many_minima_are_next_to_nothing():
    """A share of 1e-322 asks for more bands than there are numbers."""
    assert verified_bands(0.01, 256) == (256, 1) and verified_bands(0.5, 2**16)[1] > 8
    assert verified_bands(1.0, 2**16) == (1, 2**16)


@pytest.mark.parametrize(("how", "message"), [
    ({"tokenization": "sentencepiece"}, "needs tokenizer_model"),
    ({"tokenization": "tokenizer"}, "needs tokenizer_model"),
    ({"tokenization": "words"}, "none of space"),
    ({"window_size": 0}, "at least one token"),
    ({"ignore_pattern": "("}, "no regular expression"),
    ({"jaccard_threshold": 0.0}, "above 0"),
    ({"jaccard_threshold": 1.2}, "at most 1"),
    ({"num_permutations": 0}, "at least one"),
    ({"num_permutations": 10**8}, "more than 65536"),
    ({"num_bands": 4}, "both or neither"),
    ({"num_bands": 30, "num_rows_per_band": 10}, "need 300 of 256"),
])
def test_refuses_settings_that_make_no_sense(how, message):
    with pytest.raises(ValueError, match=message):
        minhash_keys(pa.array(["a"]), **how)


def test_keys_and_evidence_share_their_settings():
    record = declared(minhash_keys)
    assert record.evidence is shingle_sets
    shared = {name: default for name, default in shingle_sets.__kwdefaults__.items() if name not in record.resources}
    assert list(record.settings) == list(shared) and list(record.resources) == ["tokenizer"]
    assert {name: setting.default for name, setting in record.settings.items()} == shared
