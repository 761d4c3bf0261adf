"""Quality, DEITA, D4 and DSIR on pools whose answer is planted."""

import numpy as np
import pytest

pytest.importorskip("faiss")
from tamis.selectors.base import Pool
from tamis.selectors.parts.hashed import ngram_counts
from tamis.selectors.ranking import by_quality, d4, deita, dsir


def unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_quality_takes_an_end_or_the_middle():
    pool = Pool(np.arange(9), quality=np.array([5.0, 1, 9, 2, 8, 3, 7, 4, 6]))
    picked = {order: pool.quality[by_quality(pool, 3, seed=0, order=order).index].tolist() for order in ("largest", "smallest", "middle")}
    assert picked == {"largest": [9, 8, 7], "smallest": [1, 2, 3], "middle": [5, 4, 6]}


def test_equal_numbers_go_to_the_lower_id():
    ids = np.array([7, -2, 5, 0])
    chosen = by_quality(Pool(ids, quality=np.ones(4)), 2, seed=0)
    assert ids[chosen.index].tolist() == [-2, 0] and chosen.notes["rank"].tolist() == [4, 1, 3, 2]


def test_a_number_must_be_named_and_be_one():
    with pytest.raises(ValueError, match="give quality_key"):
        by_quality(Pool(np.arange(3)), 1, seed=0)
    with pytest.raises(ValueError, match="1 of 3 qualities"):
        by_quality(Pool(np.arange(3), quality=np.array([1, np.nan, 2])), 1, seed=0)


def naive_deita(points: np.ndarray, quality: np.ndarray, m: int, threshold: float) -> list[int]:
    picks: list[int] = []
    for row in np.argsort(-quality, kind="stable"):
        if len(picks) < m and (not picks or (points[row] @ points[picks].T).max() <= threshold):
            picks.append(int(row))
    return picks


@pytest.mark.parametrize("threshold", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("m", [0, 10, 2000])
def test_deita_is_its_definition(m, threshold):
    rng = np.random.default_rng(0)
    points, quality = unit(rng.normal(size=(1300, 6))), rng.random(1300)
    chosen = deita(Pool(np.arange(1300), points, quality), m, seed=0, threshold=threshold)
    assert chosen.index.tolist() == naive_deita(points, quality, m, threshold)


def test_deita_takes_no_two_that_are_alike():
    rng = np.random.default_rng(1)
    points, cost = unit(rng.normal(size=(600, 5))), rng.integers(1, 9, 600).astype(float)
    chosen = deita(Pool(np.arange(600), points, rng.random(600), cost), 300, seed=0, threshold=0.8)
    cosines = points[chosen.index] @ points[chosen.index].T - 2 * np.eye(len(chosen.index))
    assert cosines.max() <= 0.8 + 1e-6 and cost[chosen.index].sum() <= 300


def test_d4_leaves_duplicates_and_prototypes():
    rng = np.random.default_rng(0)
    base = unit(np.repeat(np.eye(12)[:6], 50, axis=0) + 0.15 * rng.normal(size=(300, 12)))
    points = np.concatenate([base, base[:100]])  # a hundred rows twice
    chosen = d4(Pool(np.arange(400), points), 150, seed=0, k=6)
    picked = np.zeros(400, bool)
    picked[chosen.index] = True
    assert not (picked[:100] & picked[300:]).any() and chosen.facts["deduplicated"] == 100
    far = chosen.notes["distance"]
    assert np.nanmin(far[picked]) >= np.nanmax(far[~picked & (chosen.notes["cluster"] >= 0)])


@pytest.mark.parametrize("budget", [0, 5, 90, 100, 1000])
def test_d4_meets_budgets_that_want_more_than_it_would_leave(budget):
    points = unit(np.random.default_rng(0).normal(size=(100, 6)))
    chosen = d4(Pool(np.arange(100), points), budget, seed=0)
    assert len(set(chosen.index.tolist())) == min(budget, 100)
    assert len(d4(Pool(np.arange(0), np.empty((0, 6), np.float32)), budget, seed=0).index) == 0


COOKING = ["stir the soup and add salt", "bake the bread until brown", "chop onions and fry in butter", "simmer the sauce with herbs"]
LAW = ["the court held the contract void", "the statute requires notice", "the appeal was dismissed", "damages were awarded to the plaintiff"]


def mixed(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cook = rng.random(n) < 0.3
    return np.array([" ".join(rng.choice(COOKING if c else LAW, 4)) for c in cook], object), cook


def test_dsir_takes_what_reads_like_the_target():
    texts, cook = mixed(400)
    chosen = dsir(Pool(np.arange(400), text=texts), 80, seed=0, target=COOKING, target_path="x")
    assert cook[chosen.index].mean() > 0.95 and cook.mean() < 0.35
    assert chosen.notes["log_weight"][cook].min() > chosen.notes["log_weight"][~cook].max()


def test_dsir_weights_are_its_formula():
    texts, target = ["a b a", "b c"], ["a a b"]
    chosen = dsir(Pool(np.arange(2), text=np.array(texts, object)), 2, seed=0, target=target, target_path="x", buckets=10**6)
    pool = {"a": 2, "b": 2, "c": 1, "a b": 1, "b a": 1, "b c": 1}
    like = {"a": 2, "b": 1, "a a": 1, "a b": 1}

    def log(counts: dict[str, int], gram: str) -> float:
        return float(np.log(counts.get(gram, 0) / sum(counts.values()) + 1e-8))

    grams = [["a", "b", "a", "a b", "b a"], ["b", "c", "b c"]]
    wanted = [sum(log(like, g) - log(pool, g) for g in row) for row in grams]
    assert np.allclose(chosen.notes["log_weight"], wanted)


def test_short_rows_come_last_where_asked():
    texts, _ = mixed(50)
    texts[:10] = "soup"
    chosen = dsir(Pool(np.arange(50), text=texts), 50, seed=0, target=COOKING, target_path="x", min_words=3)
    assert set(chosen.index[-10:].tolist()) == set(range(10))


def test_texts_that_are_none_have_no_words():
    counts, words = ngram_counts([None, "", "Ab ab!"], 10**6)
    assert words.tolist() == [0, 0, 3] and [c.sum() for _, c in counts] == [0, 0, 5]


def test_the_plan_asks_for_the_number():
    from tamis.pipeline.errors import RecipeError
    from tamis.pipeline.run import apply

    with pytest.raises(RecipeError, match="give quality_key"):
        apply([{"quality_selector": {"select_num": 1}}], [{"text": "a"}])
    done = apply([{"text_length_filter": {"min_len": 1}}, {"quality_selector": {"select_num": 1, "quality_key": "text_len"}}],
                 [{"text": "a"}, {"text": "abc"}, {"text": "ab"}])
    assert done.table.column("text").to_pylist() == ["abc"]


def test_a_recipe_selects_like_a_target(tmp_path):
    from tamis.pipeline.errors import RecipeError
    from tamis.pipeline.run import apply

    texts, cook = mixed(80)
    (tmp_path / "target.jsonl").write_text("".join(f'{{"words": "{t}"}}\n' for t in COOKING))
    step = {"dsir_selector": {"target_path": str(tmp_path / "target.jsonl"), "target_key": "words", "select_num": 15}}
    done = apply([step], [{"text": t} for t in texts])
    assert set(done.table.column("text").to_pylist()) <= set(texts[cook].tolist()) and len(done.table) == 15
    with pytest.raises(RecipeError, match="nothing lies there"):
        apply([{"dsir_selector": {"target_path": "nowhere.jsonl", "select_num": 1}}], [{"text": "a"}])
