"""The mixture of sets: shares by weight to the row, no row twice, what a set lacks is not made up by another."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.selectors.base import Pool
from tamis.selectors.mixture import mixture


def pool_of(sizes: list[int]) -> Pool:
    rng = np.random.default_rng(sum(sizes))
    field = np.empty(sum(sizes), object)
    field[:] = [f"set{j}.jsonl" for j, n in enumerate(sizes) for _ in range(n)]
    order = rng.permutation(len(field))
    return Pool(rng.permutation(len(field)) * 3, field=field[order])


def mixed(pool: Pool, weights: list[float], count: int, groups: list[list[str]] | None = None, seed: int = 0, **how: Any) -> list[list[int]]:
    """The rows of each set, in their order."""
    names = [[f"set{j}.jsonl"] for j in range(len(weights))] if groups is None else groups
    chosen = mixture(pool, 0, seed=seed, paths=["x"] * len(weights), weights=weights, max_sample_num=count, groups=names, **how)
    cuts = np.cumsum(chosen.facts["taken"])
    assert cuts[-1] == len(chosen.index) == len(chosen.gain) and set(chosen.gain.tolist()) <= {1.0}
    return [part.tolist() for part in np.split(chosen.index, cuts[:-1])]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=5), st.integers(0, 40))
def test_shares_are_rounded_up_until_the_total_is_reached(sets: list[tuple[int, int]], count: int) -> None:
    sizes, weights = [list(column) for column in zip(*sets, strict=True)]
    if not any(weights):
        weights[0] = 1
    pool, left = pool_of(sizes), count
    parts = mixed(pool, weights, count)
    for j, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        wanted = min(math.ceil(count * weight / sum(weights)), left)
        left -= wanted
        assert len(parts[j]) == min(wanted, size) and {pool.field[i] for i in parts[j]} <= {f"set{j}.jsonl"}
    every = [i for part in parts for i in part]
    assert len(set(every)) == len(every) <= count


def test_a_set_may_be_several_files() -> None:
    pool = pool_of([10, 10, 10])
    first, second = mixed(pool, [1.0, 1.0], 20, [["set0.jsonl", "set2.jsonl"], ["set1.jsonl"]])
    assert len(first) == len(second) == 10 and {pool.field[i] for i in first} == {"set0.jsonl", "set2.jsonl"}


def test_the_draw_is_of_the_ids_and_the_seed() -> None:
    pool, order = pool_of([30, 30]), np.random.default_rng(1).permutation(60)
    moved = Pool(pool.ids[order], field=pool.field[order])
    one, other, third = mixed(pool, [1, 2], 30), mixed(moved, [1, 2], 30), mixed(pool, [1, 2], 30, seed=1)
    assert [pool.ids[p].tolist() for p in one] == [moved.ids[p].tolist() for p in other] != [pool.ids[p].tolist() for p in third]
    larger = mixed(pool, [1, 2], 45)
    assert [p[: len(q)] for p, q in zip(larger, one, strict=True)] == one, "larger mixtures hold the smaller ones"


def test_data_juicers_draw_is_numpys_with_its_seed() -> None:
    pool = pool_of([8, 5])
    for j, part in enumerate(mixed(pool, [1, 1], 6, compat="data-juicer", seed=9)):
        rows = np.flatnonzero(pool.field == f"set{j}.jsonl")
        assert part == rows[np.random.default_rng(42).permutation(len(rows))][:3].tolist()


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.1], [0.0, 0.0], [float("nan"), float("nan")]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="must be 2 numbers, none negative and not all 0"):
        mixture(pool_of([3, 3]), 0, seed=0, paths=["a", "b"], weights=weights, max_sample_num=2)
