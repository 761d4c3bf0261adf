"""SPECS 4, test 5: five tasks one after the other, the same number of rows and steps for each, a pool that holds few rows."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.parts.identity import Known
from tamis.selectors.redundancy import cluster_pruning

TASKS, SKILLS, WIDE, CAP, STEPS = 5, 6, 40, 120, 60
SHARE = np.array([0.6, 0.2, 0.1, 0.05, 0.03, 0.02])  # of a task's rows, those of each skill: some are rare


def task(rng: np.random.Generator, number: int, rows: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32[rows, d], points of a task's skills, and 0 or 1 for each: which way off the skill's centre it lies."""
    centres = np.random.default_rng(100 + number).normal(size=(SKILLS, WIDE))
    middle = np.random.default_rng(99).normal(size=WIDE)
    centres = middle / np.linalg.norm(middle) + centres / np.linalg.norm(centres, axis=1, keepdims=True)
    turn = np.random.default_rng(200 + number).normal(size=(SKILLS, WIDE)) / WIDE**0.5
    skill, side = rng.choice(SKILLS, rows, p=share), rng.integers(0, 2, rows)
    points = centres[skill] + 0.35 * (2 * side - 1)[:, None] * turn[skill] + 0.03 * rng.normal(size=(rows, WIDE))
    return points.astype(np.float32), side.astype(np.float64)


def features(points: np.ndarray) -> np.ndarray:
    """Random cosines: a small fixed network in front of a logistic regression."""
    rng = np.random.default_rng(7)
    return np.cos(points @ (3.0 * rng.normal(size=(WIDE, 300))) + rng.uniform(0, 2 * np.pi, 300)) / 300**0.5


def trained(weights: np.ndarray, points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The weights after so many steps of gradient descent over all rows."""
    wide = features(points)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(wide @ weights, -30, 30)))
        weights = weights - 30.0 * (wide.T @ (chance - side) / len(side))
    return weights


def lived(arm: str, seed: int, tests: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Average accuracy over the tasks at the end, and forgetting: the mean drop since each task's best."""
    rng = np.random.default_rng(seed)
    kept, labels, ids = np.empty((0, WIDE), np.float32), np.empty(0), np.empty(0, np.int64)
    known, weights, accuracy = Known(), np.zeros(300), np.zeros((TASKS, TASKS))
    for t in range(TASKS):
        new, side = task(rng, t, 300, SHARE)
        points, sides = np.concatenate([kept, new]), np.concatenate([labels, side])
        ids = np.concatenate([ids, 1000 * t + np.arange(300)])
        if arm == "sequential":
            chosen = len(kept) + np.arange(CAP)
        elif arm == "random":
            chosen = np.sort(rng.permutation(len(points))[:CAP])
        else:
            found = cluster_pruning(Pool(ids, points), CAP, seed=seed, k=15, eps=1e-4, known=known)
            chosen, told = np.sort(found.index), found.remember
            known = Known(told["centroids"], told["names"], told["widths"], int(told["following"][0]))
        assert len(chosen) == CAP
        weights = trained(weights, points[chosen], sides[chosen])
        kept, labels, ids = points[chosen], sides[chosen], ids[chosen]
        accuracy[t] = [((wide @ weights > 0) == side).mean() for wide, side in tests]
    forgot = [accuracy[t:, t].max() - accuracy[-1, t] for t in range(TASKS - 1)]
    return float(accuracy[-1].mean()), float(np.mean(forgot))


def test_a_pool_forgets_less_than_sequential_training_and_keeps_up_with_random_replay() -> None:
    """Tested on all skills alike, however rare each is."""
    found = [task(np.random.default_rng(1000 + t), t, 600, np.full(SKILLS, 1 / SKILLS)) for t in range(TASKS)]
    tests = [(features(points), side) for points, side in found]
    told = {arm: np.array([lived(arm, seed, tests) for seed in range(3)]) for arm in ("sequential", "random", "pool")}
    average, forgot = ({arm: numbers[:, i].mean() for arm, numbers in told.items()} for i in (0, 1))
    assert (told["pool"][:, 1] < told["sequential"][:, 1]).all() and forgot["pool"] < forgot["random"], forgot
    assert average["pool"] >= average["random"], average
