"""What every selector of the catalog refuses, in words that count: costs, vectors and numbers that are none, and what is missing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors import catalog
from tamis.selectors.base import Pool, Selector

N = 8
OTHERS = {
    "dsir_selector": {"target": ["river stone"], "target_path": "x"}, "iterative_diversity_selector": {"trainer": None},
    "mixture_selector": {"paths": ["x"], "weights": [1.0], "max_sample_num": 3, "groups": [["a"]]}, "tags_specified_field_selector": {"target_tags": ["a"]},
    "adapt_selector": {"score_keys": ["a"]},
}
EVERY = [s for s in catalog.table() if "field" not in s.needs]


def pool_of() -> Pool:
    rng = np.random.default_rng(0)
    text = np.empty(N, object)
    text[:] = ["river stone"] * N
    return Pool(np.arange(N), rng.normal(size=(N, 4)).astype(np.float32), rng.random(N), text=text, scores={"a": rng.random(N)})


def refused(op: Selector, pool: Pool, words: str, **settings: Any) -> None:
    with pytest.raises(ValueError, match=words):
        op.function(pool, 3, seed=0, **OTHERS.get(op.name, {}), **settings)


@pytest.mark.parametrize("op", EVERY, ids=lambda s: s.name)
def test_costs_that_are_none(op: Selector) -> None:
    refused(op, replace(pool_of(), cost=np.array([1, -1, np.nan, np.inf, 1, 1, 1, 1.0])), "cost must be finite and 0 or more: 3 of 8 rows")


@pytest.mark.parametrize("op", [s for s in EVERY if "embedding" in s.needs], ids=lambda s: s.name)
def test_vectors_without_a_direction(op: Selector) -> None:
    pool = pool_of()
    broken = pool.embedding.copy()
    broken[1], broken[3, 2], broken[5, 0] = 0, np.nan, np.inf
    refused(op, replace(pool, embedding=broken), r"of 8 vectors (3 are zero, NaN or infinite|2 hold NaN or infinity and 1 are zero)")
    refused(op, replace(pool, embedding=None), "pool has no embedding")


@pytest.mark.parametrize("op", [s for s in EVERY if s.name in (
    "quality_selector", "deita_selector", "qdit_selector", "kmeans_diversity_selector", "iterative_diversity_selector")], ids=lambda s: s.name)
def test_qualities_that_are_no_numbers(op: Selector) -> None:
    refused(op, replace(pool_of(), quality=np.array([1, np.nan, 1, np.inf, 1, 1, 1, 1.0])), r"2 of 8 qualities|of 8 qualities 0 are negative and 2 NaN|of 8 qualities")


@pytest.mark.parametrize("name", ["quality_selector", "deita_selector"])
def test_a_number_that_is_not_named(name: str) -> None:
    refused(catalog.by_name(name), replace(pool_of(), quality=None), "give quality_key, a numeric column or the number of an earlier step")


@pytest.mark.parametrize(("name", "words"), [("dsir_selector", "needs the texts of the pool"), ("iterative_diversity_selector", "trains on texts")])
def test_texts_that_are_not_there(name: str, words: str) -> None:
    refused(catalog.by_name(name), replace(pool_of(), text=None), words)


@pytest.mark.parametrize(("name", "settings", "words"), [
    ("kmeans_diversity_selector", {"beta": np.inf}, "beta is inf"), ("kmeans_diversity_selector", {"gamma": -0.5}, "gamma is -0.5"),
    ("kmeans_diversity_selector", {"k": -2}, "k is -2"), ("kmeans_diversity_selector", {"iterations": 0}, "iterations is 0"),
    ("kmeans_diversity_selector", {"clustering": "bounded", "most": 0, "k": 2}, "most is 0"), ("d4_selector", {"dedup_ratio": 0.0}, "dedup_ratio is 0.0"),
    ("d4_selector", {"dedup_ratio": 1.01}, "dedup_ratio is 1.01"), ("qdit_selector", {"alpha": -0.1}, "alpha is -0.1"),
    ("qdit_selector", {"alpha": np.nan}, "alpha is nan"), ("iterative_diversity_selector", {"rounds": 0}, "rounds is 0; it must be 1 or more"),
    ("iterative_diversity_selector", {"floor": 1.5}, "floor is 1.5; it must be 0 to 1"), ("iterative_diversity_selector", {"eta": np.nan}, "eta is nan; it must be 0 or more"),
    ("iterative_diversity_selector", {"shrink": -1.0}, "shrink is -1; it must be 0 or more"),
])
def test_settings_out_of_their_range(name: str, settings: dict[str, Any], words: str) -> None:
    refused(catalog.by_name(name), pool_of(), words, **settings)


@pytest.mark.parametrize(("values", "tags", "words"), [
    (["a", "b"], [["a"]], "target_tags holds list"), (["a", "b"], [{"a": 1}], "target_tags holds dict"), (["a", ["b"]], ["a"], "field_key holds list"),
])
def test_tags_and_values_that_are_neither_text_nor_numbers(values: list[Any], tags: list[Any], words: str) -> None:
    field = np.empty(2, object)
    field[:] = values
    with pytest.raises(ValueError, match=words):
        catalog.by_name("tags_specified_field_selector").function(Pool(np.arange(2), field=field), 0, seed=0, field_key="f", target_tags=tags)


@pytest.mark.parametrize("column", ["embedding", "quality", "cost", "field", "text"])
def test_a_pool_whose_columns_differ_in_length(column: str) -> None:
    with pytest.raises(ValueError, match=f"{column} has 2 rows, ids has 3"):
        Pool(np.arange(3), **{column: np.ones(2)})


@pytest.mark.parametrize("op", catalog.table(), ids=lambda s: s.name)
def test_a_selector_leaves_its_pool_as_it_was(op: Selector) -> None:
    class Flat:
        def scores(self, train: Any, score: Any, seed: int) -> np.ndarray:
            return np.zeros(len(score))

    field = np.empty(N, object)
    field[:] = ["a", "b"] * (N // 2)
    pool = replace(pool_of(), cost=np.arange(1.0, N + 1), field=field)
    before = {k: v.copy() for k, v in vars(pool).items() if v is not None}
    settings = {**OTHERS.get(op.name, {}), **({"trainer": Flat()} if "trainer" in op.resources else {}),
                **({"field_key": "f"} if "field_key" in op.settings else {})}
    op.function(pool, 9, seed=1, **settings)
    assert all(np.array_equal(v, getattr(pool, k)) for k, v in before.items() if k != "scores") and before["scores"]["a"].sum() == pool.scores["a"].sum()
