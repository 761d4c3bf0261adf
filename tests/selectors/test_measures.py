"""Measures of a choice on cases whose answer is known."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts.measures import among_picks, coverage, nearest_pick, overlap, vendi


def test_vendi_counts_what_is_different():
    assert vendi(np.eye(9)) == pytest.approx(9)
    assert vendi(np.repeat(np.eye(4), 50, axis=0)) == pytest.approx(4)
    assert vendi(np.ones((30, 5))) == pytest.approx(1)
    assert vendi(np.empty((0, 5))) == 0


def test_vendi_is_the_same_by_rows_and_by_columns():
    points = np.random.default_rng(0).normal(size=(20, 19))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(points @ points.T / 20)
    values = values[values > 1e-12]
    assert vendi(points) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-6)
    assert vendi(points[:, :6]) > vendi(np.repeat(points[:1, :6], 20, axis=0))


def test_distances_are_brute_force():
    points = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    index = np.arange(0, 300, 13)
    cosines = points.astype(np.float64) @ points[index].T
    assert np.allclose(nearest_pick(points, index), 1 - cosines.max(axis=1), atol=1e-5)
    between = points[index].astype(np.float64) @ points[index].T - 9 * np.eye(len(index))
    assert among_picks(points, index) == pytest.approx((1 - between.max(axis=1)).mean(), abs=1e-5)
    assert nearest_pick(points, np.arange(0)).tolist() == [1] * 300 and among_picks(points, index[:1]) == 0


def test_shares():
    assert coverage(np.array([0, 0, 1, 2]), np.array([0, 1, 3])) == pytest.approx(2 / 3)
    assert overlap(np.array([1, 2]), np.array([2, 3])) == pytest.approx(1 / 3)
    assert overlap(np.arange(0), np.arange(0)) == 1
