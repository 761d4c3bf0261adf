"""Chance by hash: uniform, independent of order, exactly successive sampling. Seeds fix all counts."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.selectors.parts.draw import gumbel_top, quality_logits, uniform


def chi_squared(seen: np.ndarray, expected: np.ndarray) -> float:
    return float(((seen - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("ids", [np.arange(100_000), np.arange(100_000) << 40, -np.arange(100_000) - 1])
@pytest.mark.parametrize("seed", [0, 1, 2**63, -5])
def test_uniform_is_uniform(ids, seed):
    u = uniform(seed, ids)
    assert u.min() > 0 and u.max() < 1 and len(np.unique(u)) == len(u)
    assert chi_squared(np.histogram(u, 100, (0, 1))[0], np.full(100, 1000.0)) < 170  # df 99, p < 1e-5 above


def test_seeds_and_streams_and_neighbours_are_unrelated():
    ids = np.arange(100_000)
    rows = [uniform(0, ids), uniform(1, ids), uniform(0, ids, stream=1), uniform(2**32, ids), uniform(0, ids + 1)]
    related = np.corrcoef(rows) - np.eye(5)
    assert np.abs(related).max() < 0.015  # sigma is 0.003


def test_uniform_is_a_function_of_the_id():
    ids = np.array([5, -7, 2**62, 0])
    assert uniform(3, ids[::-1]).tolist() == uniform(3, ids).tolist()[::-1]
    assert uniform(3, ids[2:3])[0] == uniform(3, ids)[2]
    # written down: an answer that changes changes every selection that was ever made
    assert uniform(42, np.array([0, 1, -1])).tolist() == WRITTEN


WRITTEN = [0.01961145222398908, 0.5972994050460291, 0.26710265734852234]


def test_gumbel_top_is_successive_sampling():
    weights, draws = np.array([1.0, 2.0, 3.0, 4.0]), 20_000
    seen = dict.fromkeys(permutations(range(4), 2), 0)
    for seed in range(draws):
        seen[tuple(gumbel_top(np.arange(4), np.log(weights), 2, seed).tolist())] += 1
    total = weights.sum()
    chance = [weights[a] / total * weights[b] / (total - weights[a]) for a, b in seen]
    assert chi_squared(np.array(list(seen.values())), draws * np.array(chance)) < 37.4  # df 11, p = 1e-4


def test_equal_weights_are_a_uniform_draw():
    seen = np.zeros(20)
    for seed in range(10_000):
        seen[gumbel_top(np.arange(20), np.zeros(20), 5, seed)] += 1
    # inclusions of one draw exclude each other: their variance is (1 - 5/20) of the independent one
    assert chi_squared(seen, np.full(20, 2500.0)) / 0.75 < 52.4  # df 19, p = 5e-5


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60, unique=True), st.integers(0, 20), st.data())
def test_partitions_merge(ids, m, data):
    ids = np.array(ids, np.int64)
    logits = np.array(data.draw(st.lists(st.floats(-5, 5), min_size=len(ids), max_size=len(ids))))
    parts = np.array_split(np.arange(len(ids)), 3)
    heads = np.concatenate([p[gumbel_top(ids[p], logits[p], m, 9)] for p in parts])
    merged = heads[gumbel_top(ids[heads], logits[heads], m, 9)]
    assert ids[merged].tolist() == ids[gumbel_top(ids, logits, m, 9)].tolist()


def test_no_weight_comes_last_in_hash_order():
    ids = np.arange(50)
    logits = quality_logits(np.where(ids % 2, 1.0, 0.0), 50)
    order = gumbel_top(ids, logits, 50, 4)
    assert (ids[order[:25]] % 2 == 1).all()
    nothing = order[25:]
    assert (np.diff(uniform(4, ids)[nothing]) < 0).all()


def test_gamma_is_the_power():
    quality = np.array([0.5, 2.0, 0.0])
    assert np.allclose(np.exp(quality_logits(quality, 3, 3.0)), quality**3)
    assert quality_logits(quality, 3, 0.0).tolist() == [0, 0, 0]
    assert quality_logits(None, 2).tolist() == [0, 0]


def test_nonsense_is_refused_with_counts():
    bad = np.array([1.0, -2.0, np.nan, np.inf, -np.inf])
    with pytest.raises(ValueError, match="of 5 qualities 2 are negative and 2 NaN or infinite"):
        quality_logits(bad, 5)
    with pytest.raises(ValueError, match="gamma is -1"):
        quality_logits(None, 5, -1)
    with pytest.raises(ValueError, match="2 of 5 logits"):
        gumbel_top(np.arange(5), bad, 2, 0)
