"""The inverse of a Fisher matrix from its rows, against the dense one and against M-FAC's recursion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.selectors.influence.woodbury import Woodbury


def mfac(rows: np.ndarray, damping: float, x: np.ndarray) -> np.ndarray:
    """The static recursion as it is published: one gradient after the other."""
    m, seen = len(rows), []
    for g in rows:
        v = g / damping
        for before, gradient in seen:
            v = v - before * (before @ g) / (m + gradient @ before)
        seen.append((v, g))
    return x / damping - sum(v * (v @ x) / (m + g @ v) for v, g in seen)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-3, 10), st.integers(0, 2**31))
def test_it_is_the_dense_inverse_and_the_recursion(m, d, damping, seed):
    rng = np.random.default_rng(seed)
    rows, x = rng.normal(size=(m, d)) * rng.lognormal(size=(m, 1)), rng.normal(size=(3, d))
    fisher = rows.T @ rows / m
    made = Woodbury(rows, damping)
    assert made.damping == pytest.approx(damping * np.trace(fisher) / d)
    wanted = np.linalg.solve(fisher + made.damping * np.eye(d), x.T).T
    assert np.allclose(made.solve(x), wanted, rtol=1e-8, atol=1e-9 * np.abs(wanted).max())
    assert np.allclose(made.solve(x[0]), mfac(rows, made.damping, x[0]), rtol=1e-7, atol=1e-8 * np.abs(wanted).max())


def test_order_and_repetition_of_rows_change_nothing():
    rng = np.random.default_rng(0)
    rows, x = rng.normal(size=(20, 50)), rng.normal(size=50)
    told = Woodbury(rows).solve(x)
    assert np.allclose(Woodbury(rows[rng.permutation(20)]).solve(x), told) and np.allclose(Woodbury(np.repeat(rows, 3, 0)).solve(x), told)


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.zeros((0, 4))])
def test_rows_of_nothing_are_refused(rows):
    with pytest.raises(ValueError, match="all zero"):
        Woodbury(rows)
