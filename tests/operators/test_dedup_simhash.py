"""SimHash against its definition, against all pairs, and against Data-Juicer's recorded answers."""

import hashlib
import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.components import components
from tamis.operators.dedup.hamming import likeness, near, simhash_keys
from tamis.pipeline.run import apply

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/document_simhash_deduplicator.jsonl").open()]


def plain(row, tokenization="space", window_size=6, lowercase=True, ignore_pattern=None, **_):
    """The definition: (hash or None, whether the text is shorter than the window)."""
    row = row.lower() if lowercase else row
    row = regex.sub(ignore_pattern, "", row) if ignore_pattern else row
    tokens = {
        "space": lambda: [t for t in row.split(" ") if t], "punctuation": lambda: regex.split(r"\p{P}", row) if row else [],
        "character": lambda: list(row),
    }[tokenization]()
    if not tokens:
        return None, True
    width, joint = min(window_size, len(tokens)), "" if tokenization == "character" else " "
    shingles = [joint.join(tokens[i : i + width]) for i in range(len(tokens) - width + 1)]
    sums = [int.from_bytes(hashlib.md5(s.encode()).digest()[:8], "big") for s in shingles]
    value = sum(1 << bit for bit in range(64) if 2 * sum(s >> bit & 1 for s in sums) > len(sums))
    return value, len(tokens) < window_size


def survivors(rows, **how):
    keys = simhash_keys(pa.array(rows, pa.string()), **how)
    there = np.flatnonzero([bool(k) for k in keys.to_pylist()])
    edges = near(np.asarray(keys.values), there, **{k: how[k] for k in ("num_blocks", "hamming_distance") if k in how})
    labels = components(edges.a, edges.b, len(rows))
    return {i for i in range(len(rows)) if labels[i] == i}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_what_data_juicer_keeps_is_kept_but_for_texts_shorter_than_the_window(case):
    """There all such texts are one; here each is compared as a whole."""
    short = {i for i, row in enumerate(case["texts"]) if plain(row, **case["params"])[1]}
    ours, theirs = survivors(case["texts"], **case["params"]), set(case["kept"])
    assert ours - short == theirs - short
    assert len(theirs & short) <= 1 and {case["texts"][i] for i in short if case["texts"][i].strip()} >= {
        case["texts"][i] for i in ours & short if case["texts"][i].strip()}


TEXT = st.text(st.sampled_from("ab .,!é漢\U0001F600İΣ\n"), max_size=200)


@settings(max_examples=60)
@given(st.lists(st.none() | TEXT, max_size=6), st.sampled_from(["space", "punctuation", "character"]), st.integers(1, 7), st.booleans())
def test_hashes_are_those_of_the_definition(rows, tokenization, window, lowercase):
    how = {"tokenization": tokenization, "window_size": window, "lowercase": lowercase}
    expected = [None if row is None else plain(row, **how)[0] for row in rows]
    found = simhash_keys(pa.array(["pad", *rows], pa.string()).slice(1), **how).to_pylist()
    assert found == [None if row is None else [] if e is None else [e] for row, e in zip(rows, expected, strict=True)]


@pytest.mark.parametrize("size", [1, 54, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000])
def test_md5_of_every_padding(size):
    word = "x" * size
    assert simhash_keys(pa.array([word, f"{word} y", f"y {word}"]), window_size=1).to_pylist() == [
        [plain(t, window_size=1)[0]] for t in (word, f"{word} y", f"y {word}")]


@pytest.mark.parametrize(("blocks", "distance"), [(6, 4), (5, 4), (4, 3), (12, 10), (1, 0), (64, 1)])
def test_pairs_are_those_of_all_pairs_for_any_number_of_blocks(blocks, distance):
    draw = random.Random(blocks)
    hashes = [draw.getrandbits(64) for _ in range(60)]
    for _ in range(240):  # near ones: some bits of another turned round
        value = draw.choice(hashes)
        for bit in draw.sample(range(64), draw.randint(0, distance + 2)):
            value ^= 1 << bit
        hashes.append(value)
    values, rows = np.array(hashes, np.uint64), np.arange(10, 310)
    pairs = [(i, j) for i, j in combinations(range(300), 2) if (hashes[i] ^ hashes[j]).bit_count() <= distance]
    truth = components(np.array([i for i, _ in pairs], int), np.array([j for _, j in pairs], int), 300)
    edges = near(values, rows, blocks, distance)
    assert (components(edges.a - 10, edges.b - 10, 300) == truth).all()
    assert all(s == 1 - (hashes[i - 10] ^ hashes[j - 10]).bit_count() / 64 for i, j, s in
               zip(edges.a.tolist(), edges.b.tolist(), edges.similarity.tolist(), strict=True))
    assert (likeness(values[edges.a - 10], values[edges.b - 10]) >= 1 - distance / 64).all()


def test_a_million_equal_hashes_take_one_step_each():
    edges = near(np.full(1_000_000, 7, np.uint64), np.arange(1_000_000))
    assert len(edges) == 999_999 and (edges.a == 0).all()


def test_planted_near_duplicates_are_found_in_real_text(demo_corpus):
    rows = [json.loads(line)["text"] for line in demo_corpus.open()][:300]
    rows = [r for r in dict.fromkeys(rows) if len(r.split(" ")) > 400]
    planted = [r.replace("the", "teh", 1) for r in rows]
    done = apply([{"document_simhash_deduplicator": {"hamming_distance": 6, "num_blocks": 9}}], [{"text": t} for t in rows + planted])
    assert len(rows) > 20 and done.ledger.num_rows >= 0.9 * len(rows)
    assert set(done.ledger.column("stat").to_pylist()) == {"similarity"}
    assert min(done.ledger.column("value").to_pylist()) > 0.7
    assert "Hamming distance <= 6" in done.ledger.column("bound")[0].as_py()


@pytest.mark.parametrize(("how", "told"), [
    ({"num_blocks": 4}, "above hamming_distance"), ({"hamming_distance": 64}, "64 bits"), ({"num_blocks": 64}, "fewer num_blocks"),
    ({"window_size": 0}, "at least one token"), ({"tokenization": "words"}, "none of space"),
])
def test_settings_that_make_no_sense_are_refused(how, told):
    with pytest.raises(ValueError, match=told):
        simhash_keys(pa.array([], pa.string()), **how)
