"""Where k-means starts: distinct rows far apart, small clusters far out included, and the same ones for the same seed."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.parts import seeding
from tamis.selectors.parts.seeding import spread_out


def noise(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_the_start_is_rows_that_differ_and_begins_with_the_first(k):
    points = noise(200)
    start = spread_out(points, k, seed=3)
    assert start.shape == (k, 8) and start.dtype == np.float32
    assert (start[0] == points[0]).all()
    assert len(np.unique(start, axis=0)) == k
    assert {r.tobytes() for r in start} <= {r.tobytes() for r in points}


def test_fewer_where_fewer_differ():
    points = np.repeat(noise(3), 50, axis=0)
    assert len(spread_out(points, 10, seed=0)) == 3
    assert len(spread_out(noise(4), 10, seed=0)) == 4
    assert len(spread_out(np.zeros((5, 2)), 3, seed=0)) == 1


def test_rows_that_differ_by_rounding_are_one():
    """The squared distance must be more than a millionth of the largest squared length."""
    points = np.array([[1.0, 0.0], [1.0, 0.0009], [1.0, 0.0011]])
    assert len(spread_out(points[:2], 2, seed=0)) == 1
    assert len(spread_out(points[[0, 2]], 2, seed=0)) == 2
    assert len(spread_out(1000 * points[:2], 2, seed=0)) == 1, "at any scale"


def test_one_row_far_out_is_always_found():
    points = np.concatenate([0.01 * noise(500), [[100.0] + [0.0] * 7]])
    for seed in range(20):
        assert 100.0 in spread_out(points, 2, seed=seed)[:, 0]


def test_of_several_tries_the_one_that_lowers_the_sum_most_is_kept():
    """From 0, the farthest row is alone; the middle of the crowd at 9 lowers the sum more."""
    line = np.array([[0.0]] + [[9.0 + 0.01 * i] for i in range(100)] + [[-12.0]])
    chosen = {float(spread_out(line, 2, seed=s)[1, 0]) for s in range(30)}
    assert all(8.9 < c < 10.1 for c in chosen)


def test_a_greedy_start_is_better_than_rows_by_chance():
    points = noise(1000, 4)

    def cost(start: np.ndarray) -> float:
        return float(((points[:, None] - start[None]) ** 2).sum(-1).min(1).sum())

    ours = np.mean([cost(spread_out(points, 30, seed=s)) for s in range(8)])
    chance = np.mean([cost(points[np.random.default_rng(s).choice(1000, 30, replace=False)]) for s in range(8)])
    plain = np.mean([cost(_plain(points, 30, s)) for s in range(8)])
    assert ours < 0.93 * plain < chance


def _plain(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means++ with one try for each centroid."""
    rng, chosen = np.random.default_rng(seed), [0]
    gap = ((points - points[0]) ** 2).sum(1)
    while len(chosen) < k:
        chosen.append(int(rng.choice(len(points), p=gap / gap.sum())))
        gap = np.minimum(gap, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def test_the_seed_decides():
    points = noise(400)
    first, again, other = (spread_out(points, 12, seed=s) for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_rows_beyond_the_candidates_are_not_looked_at():
    points = np.concatenate([noise(4096), [[1e6] * 8]]).astype(np.float32)
    assert spread_out(points, 3, seed=0).max() < 1e3
    assert [seeding.candidates(k) for k in (1, 1024, 1025, 5000)] == [4096, 4096, 4100, 20000]
