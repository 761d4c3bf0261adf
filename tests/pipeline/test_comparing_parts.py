"""A comparison taken apart: the one pool and what is held out of it, names, the trigram trial by hand, what is shown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("tokenizers")

from tamis.pipeline.compare import compare
from tamis.pipeline.comparing.contenders import candidates, contenders
from tamis.pipeline.comparing.measure import overlaps, paired, summary
from tamis.pipeline.comparing.show import show
from tamis.pipeline.comparing.trial import Trial
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.execute import Silent
from tamis.selectors.influence.ngram import NgramProxy
from tamis.selectors.influence.proxy import ProxySettings
from tamis.selectors.parts.draw import HOLD, uniform

WORDS = ["river", "stone", "bridge", "market", "letter", "window", "garden", "winter", "copper", "basket", "signal", "harvest"]
TRIAL = Trial(ProxySettings(vocabulary=280, context=32), kind="ngram")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("comparing") / "rows.jsonl"
    rows = [{"text": " ".join(rng.choice(WORDS[6 * (i % 2) :][:6], 3 + i % 9)) + f" {i}", "worth": i % 7, "price": 1 + i % 9} for i in range(120)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def words(data: Path, selector: str = "quality_selector", name: str = "best", **settings: Any) -> dict[str, Any]:
    more = {"quality_key": "worth"} if selector == "quality_selector" else {}
    return {"project_name": name, "dataset_path": str(data), "export_path": "unused", "np": 1, "seed": 5, "process": [
        {"text_length_filter": {"min_len": 18}}, {selector: {"select_num": 1, "cost_key": "price", **more, **settings}}]}


def test_all_choose_from_one_pool_and_none_sees_what_is_held_out(data: Path, tmp_path: Path) -> None:
    found = contenders([words(data), words(data, order="smallest", name="worst"), words(data, "random_selector", name="chance")], (), True)
    pool = candidates(found, tmp_path, 0.2, Silent())
    rows = {r["text"]: r for r in map(json.loads, data.read_text().splitlines()) if len(r["text"]) >= 18}
    assert len(pool.heldout) == int(0.2 * len(rows)) > 5
    assert sorted([*pool.texts, *pool.heldout]) == sorted(rows), "every row is in the pool or held out, none in both"
    for name, view in {"pool": pool.pool, **pool.views}.items():
        assert view.ids.tolist() == pool.pool.ids.tolist() and view.cost.tolist() == [rows[t]["price"] for t in pool.texts]
        assert name in ("pool", "chance") or view.quality.tolist() == [rows[t]["worth"] for t in pool.texts]
    again = candidates(found, tmp_path / "anew", 0.2, Silent())
    assert again.heldout.tolist() == pool.heldout.tolist() and len(candidates(found, tmp_path / "all", 0.0, Silent()).heldout) == 0
    larger = candidates(found, tmp_path, 0.4, Silent())
    assert set(pool.heldout) < set(larger.heldout), "more held out are the same and others"
    assert uniform(5, larger.pool.ids, stream=HOLD).min() > uniform(5, np.setdiff1d(pool.pool.ids, larger.pool.ids), stream=HOLD).max()


def test_names_are_told_apart_and_random_joins_once(data: Path) -> None:
    def names(*recipes: dict[str, Any], baseline: bool = True) -> list[str]:
        return [c.name for c in contenders(recipes, (), baseline)]

    assert names(words(data), words(data, order="middle"), words(data)) == ["random", "best", "best (2)", "best (3)"]
    assert names(words(data, "random_selector", name="chance"), words(data)) == ["chance", "best"]
    assert names(words(data), baseline=False) == ["best"]
    with pytest.raises(RecipeError, match="nothing to compare"):
        names()


def test_recipes_in_files_are_called_after_them_and_set_from_outside(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps(words(data)))
    (found,) = contenders([tmp_path / "mine.yaml"], ["process.2.order=middle"], False)
    assert found.name == "mine" and found.step.settings["order"] == "middle"


@pytest.mark.parametrize(("change", "told"), [
    (lambda p: [p[1], p[0]], "ends with a selector"), (lambda p: [*p, p[1]], "and has no other"),
    (lambda p: [p[0], {"topk_specified_field_selector": {"field_key": "worth", "topk": 3}}], "a selector that takes a budget"),
])
def test_what_is_no_contender_is_refused_by_name(data: Path, change: Any, told: str) -> None:
    recipe = words(data)
    with pytest.raises(RecipeError, match=rf"^\S+: to be compared, a recipe .*{told}"):
        contenders([recipe | {"process": change(recipe["process"])}], (), True)


@pytest.mark.parametrize("change", [{"seed": 6}, {"process": [{"text_length_filter": {"min_len": 19}}]}])
def test_another_pool_is_refused(data: Path, change: dict[str, Any]) -> None:
    one, other = words(data), words(data, name="other")
    other |= {"process": [*change["process"], other["process"][1]]} if "process" in change else change
    with pytest.raises(RecipeError, match=r"makes another pool than .*dataset_path, text_keys, seed and all steps before"):
        contenders([one, other], (), True)


def test_the_trigram_trial_is_worked_out_by_hand_and_taken_up_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [words(data), words(data, order="smallest", name="worst")]
    told = compare(recipes, tmp_path, shares=(0.3,), seeds=2, heldout=0.2, proxy=TRIAL)
    found = contenders(recipes, (), True)
    pool = candidates(found, tmp_path / "pool", 0.2, Silent())
    proxy = NgramProxy(pool.texts.tolist(), TRIAL.settings)
    held = proxy.encode(pool.heldout.tolist())
    scores: dict[str, list[np.ndarray]] = {}
    for run in told["runs"]:
        contender = next(c for c in found if c.name == run["name"])
        chosen, _ = contender.choose(pool.views[run["name"]], 0.3 * pool.pool.cost.sum(), run["seed"])
        model, _ = proxy.fit(proxy.encode([pool.texts[i] for i in np.sort(chosen.index)]))
        loss, right, count = model.score(held, TRIAL.settings.context)
        assert (run["loss"], run["accuracy"]) == pytest.approx((loss.sum() / count.sum(), right.sum() / count.sum()))
        assert run["tokens"] == pool.pool.cost[chosen.index].sum() and run["rows"] == len(chosen.index) and "coverage" not in run
        scores.setdefault(run["name"], []).append(loss)
    for gap in (d for d in told["differences"] if d["what"] == "loss"):
        assert (gap["mean"], gap["low"], gap["high"]) == pytest.approx(paired(np.array(scores[gap["name"]]), np.array(scores["random"]), count))
    counts = np.bincount(np.concatenate(proxy.encode(pool.texts.tolist())), minlength=proxy.vocabulary) + 0.5
    single = -np.log(np.concatenate([counts[row[: TRIAL.settings.context]] / counts.sum() for row in held])).mean()
    assert told["proxy"] == {"kind": "ngram", "tested": len(held), "floor": {"single_tokens": pytest.approx(float(single))}}
    assert told["pool"]["clusters"] is None

    def never(self: NgramProxy, rows: Any) -> Any:
        raise AssertionError("what was trained is kept")

    monkeypatch.setattr(NgramProxy, "fit", never)
    again = compare(recipes, tmp_path, shares=(0.3,), seeds=2, heldout=0.2, proxy=TRIAL)
    assert [r | {"seconds": 0} for r in again["runs"]] == [r | {"seconds": 0} for r in told["runs"]] and again["differences"] == told["differences"]
    with pytest.raises(AssertionError, match="is kept"):
        compare(recipes, tmp_path, shares=(0.3,), seeds=3, heldout=0.2, proxy=TRIAL)
    console = Console(record=True, width=200)
    show(console, told)
    text = console.export_text()
    assert all(c["name"] in text for c in told["contenders"]) and text.count("against random") == 4 and "rows" in text


@pytest.mark.parametrize(("keys", "told"), [
    ({"heldout": 0.0, "proxy": TRIAL}, "a proxy is tested on rows held out"), ({"heldout": 1.0}, "heldout at least 0 and below 1"),
    ({"seeds": 0}, "seeds must be at least 1"), ({"shares": ()}, "shares are of the pool's tokens"), ({"shares": (0.0,)}, "shares are"),
    ({"heldout": 0.001, "proxy": TRIAL}, "rows held out that are longer than one token: raise heldout"),
])
def test_what_cannot_be_compared_so_is_refused(data: Path, tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        compare([words(data)], tmp_path, **keys)
    assert not (tmp_path / "compare.json").exists()


def test_an_interval_is_of_the_seed_and_narrows_with_more_documents() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 9, 400).astype(float)
    mine, theirs = rng.normal(size=(3, 400)), rng.normal(size=(3, 400))
    mean, low, high = paired(mine, theirs, weights)
    assert mean == pytest.approx((mine - theirs).mean(axis=0).sum() / weights.sum()) and low < mean < high
    assert paired(mine, theirs, weights) == (mean, low, high) != paired(mine, theirs, weights, seed=1)
    assert paired(theirs, mine, weights) == pytest.approx((-mean, -high, -low))
    few = paired(mine[:, :40], theirs[:, :40], weights[:40])
    assert few[2] - few[1] > 1.5 * (high - low)
    assert paired(mine, mine, weights) == (0, 0, 0)


def test_of_one_seed_there_is_no_spread_and_a_choice_is_like_itself() -> None:
    assert summary([{"share": 0.1, "name": "a", "seed": 0, "loss": 2.0}]) == [{"share": 0.1, "name": "a", "seeds": 1, "loss": 2.0, "loss_sd": 0.0}]
    runs = [{"share": s, "name": n, "seed": 0, "x": 1.0} for s in (0.3, 0.1) for n in "ba"]
    assert [(line["share"], line["name"]) for line in summary(runs)] == [(0.3, "b"), (0.3, "a"), (0.1, "b"), (0.1, "a")], "in the order given"
    assert overlaps({"a": [np.array([1, 2])]}) == {"a": {"a": 1.0}}
