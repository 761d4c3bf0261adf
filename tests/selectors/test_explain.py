"""Characteristic words: planted ones come first, the score is its formula."""

import numpy as np
import pytest

from tamis.selectors.parts.explain import characteristic, words_of


def test_planted_words_come_first():
    rng = np.random.default_rng(0)
    common = ["the", "and", "with", "from", "time", "people"]
    own = [["salt", "butter", "oven"], ["court", "judge", "appeal"], ["goal", "match", "referee"]]
    groups = [[" ".join([*rng.choice(common, 8), *rng.choice(words, 2)]) for _ in range(40)] for words in own]
    for words, found in zip(own, characteristic(groups, most=3), strict=True):
        assert {w for w, _ in found} == set(words)
        assert [z for _, z in found] == sorted((z for _, z in found), reverse=True) and found[-1][1] > 2


def test_the_score_is_its_formula():
    groups = [["aa bb", "aa cc", "aa bb"], ["bb cc", "cc dd"]]
    (word, z), *_ = characteristic(groups, most=1)[0]
    a, b = 3 + 0.3, 0 + 0.3  # aa: in three texts of three in the group, in none of the others; prior a tenth of the whole
    own, rest = 6 + 1.0, 4 + 1.0
    assert word == "aa" and z == pytest.approx((np.log(a / (own - a)) - np.log(b / (rest - b))) / np.sqrt(1 / a + 1 / b))


def test_what_says_nothing_is_left_out():
    first, second, third = characteristic([[], [None, ""], ["same same", "same once"]])
    assert first == second == [] and [w for w, _ in third] == ["same"]  # once is no pattern
    assert words_of("It's 42 o'clock, a naïve co-op!") == {"it's", "o'clock", "naïve", "co-op"}
    assert words_of(None) == set()
