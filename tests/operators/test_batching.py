"""Which texts go through the model together: each once, with its own padding, in batches that fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.embed.batching import batches, padded


@pytest.mark.parametrize(("length", "wide"), [(0, 0), (1, 16), (16, 16), (17, 32), (249, 250), (250, 250), (400, 250)])
def test_a_text_is_padded_to_the_next_sixteen_up_to_the_most_that_is_read(length, wide):
    assert padded(np.array([length]), 250).tolist() == [wide]


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 300))
def test_every_text_goes_once_with_its_own_width_and_no_batch_is_too_large(lengths, room):
    lengths = np.array(lengths, np.int64)
    made = list(batches(lengths, 100, room))
    assert sorted(i for rows, _ in made for i in rows.tolist()) == list(range(len(lengths)))
    for rows, width in made:
        assert (padded(lengths[rows], 100) == width).all()
        assert len(rows) * width <= room or len(rows) == 1
        assert len(set((lengths[rows] == width).tolist())) == 1, "rows that need no padding go alone"
    assert [w for _, w in made] == sorted((w for _, w in made), reverse=True), "longest first"


def test_batches_are_as_full_as_they_can_be():
    assert [rows.tolist() for rows, _ in batches(np.array([3, 4, 5, 6, 7]), 256, 32)] == [[0, 1], [2, 3], [4]]
    assert [(rows.tolist(), width) for rows, width in batches(np.array([16, 5, 16, 20]), 256, 4096)] == [([3], 32), ([0, 2], 16), ([1], 16)]
