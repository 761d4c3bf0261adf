"""The trigram proxy: probabilities that sum to one, its formula by hand, and more of the same words is better."""

import numpy as np
import pytest

from tamis.selectors.influence.ngram import Trigrams

ROWS = [np.array(r, np.int32) for r in ([1, 2, 3], [1, 2, 4], [1, 2, 3, 1], [5])]


def test_probabilities_sum_to_one():
    model = Trigrams(ROWS, 8)
    for context in ([], [1], [1, 2], [7, 6], [2, 3]):
        total = 0.0
        for word in range(8):
            both, _, _ = model.score([np.array([*context, word], np.int32), np.array(context, np.int32)], 99)
            total += np.exp(both[1] - both[0])
        assert total == pytest.approx(1, abs=1e-9)


def test_a_probability_is_its_formula():
    loss, right, count = Trigrams(ROWS, 8).score([np.array([1, 2, 3], np.int32), np.array([1, 2], np.int32)], 99)
    one = (2 + 0.5) / (11 + 0.5 * 8)  # token 3 among eleven
    two = (2 - 0.75 + 0.75 * 2 * one) / 3  # behind 2: 3 twice, 4 once
    three = (2 - 0.75 + 0.75 * 2 * two) / 3  # behind 1 2: the same
    assert loss[0] - loss[1] == pytest.approx(-np.log(three)) and count.tolist() == [3, 2]
    assert right[0] == 3  # 1 begins most rows, 2 follows it, 3 follows that more often than 4


def test_nothing_seen_is_no_trouble():
    loss, right, _ = Trigrams([], 10).score([np.array([1, 2], np.int32), np.array([], np.int32)], 99)
    assert loss.tolist() == pytest.approx([2 * np.log(10), 0]) and right.tolist() == [0, 0]


def test_the_same_words_are_worth_more_than_others():
    rng = np.random.default_rng(0)
    held = [rng.integers(0, 20, 30) for _ in range(20)]
    same, other = ([rng.integers(low, low + 20, 30) for _ in range(50)] for low in (0, 20))
    a, b = (Trigrams(rows, 40).score(held, 30)[0].sum() for rows in (same, other))
    assert a < b - 100
