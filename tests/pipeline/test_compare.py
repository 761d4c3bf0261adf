"""`tamis compare`: one pool, equal tokens, the same answers each time, refusals in the user's words."""

import json
import re

import numpy as np
import pytest
from static_model import make

pytest.importorskip("faiss")
pytest.importorskip("tokenizers")
from tamis.pipeline.compare import compare
from tamis.pipeline.comparing.measure import overlaps, paired, summary
from tamis.pipeline.comparing.trial import Trial
from tamis.pipeline.errors import RecipeError, SelectionError
from tamis.pipeline.reporting.comparison import markdown, verdict
from tamis.selectors.influence.proxy import ProxySettings

WORDS = re.findall(r"\w+", "river stone bridge market letter window garden winter copper basket signal harvest engine violin canvas")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("compare") / "rows.jsonl"
    rows = [{"id": i, "text": " ".join(rng.choice(WORDS[3 * (i % 5) : 3 * (i % 5) + 3], int(rng.integers(4, 20)))), "worth": i % 7}
            for i in range(160)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    make(path.parent / "model", WORDS)
    return path


def words(data, selector, **steps):
    process = [{"text_length_filter": {"min_len": 25}}, *([{"text_embedding_mapper": {"model": str(data.parent / "model")}}] if steps.pop("embed", True) else [])]
    return {"project_name": selector.split("_")[0], "dataset_path": str(data), "export_path": "unused", "np": 1,
            "process": [*process, {selector: {"select_num": 1, **steps}}]}


@pytest.fixture(scope="module")
def told(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "compared"
    recipes = [words(data, "kmeans_diversity_selector", k=5), words(data, "k_center_selector"),
               words(data, "quality_selector", quality_key="worth", embed=False)]
    return compare(recipes, out, shares=(0.1, 0.3), seeds=2), out


def test_budgets_are_equal_in_tokens(told):
    found, _ = told
    assert [c["name"] for c in found["contenders"]] == ["random", "kmeans", "k", "quality"] and found["baseline"] == "random"
    assert found["pool"]["heldout"] == int(0.05 * (found["pool"]["rows"] + found["pool"]["heldout"]))
    assert len(found["runs"]) == 4 * 2 * 2
    for run in found["runs"]:
        budget = run["share"] * found["pool"]["tokens"]
        assert budget - 25 < run["tokens"] <= budget
        assert 0 < run["coverage"] <= 1 and 1 <= run["vendi"] <= run["rows"] and 0 <= run["distance"] < 1


def test_what_is_written_is_what_is_answered(told):
    found, out = told
    assert json.loads((out / "compare.json").read_text()) == json.loads(json.dumps(found))
    assert (out / "compare.md").read_text() == markdown(found)
    page = (out / "compare.html").read_text()
    assert page.count("<svg") == 5 and "kmeans_diversity_selector" in page


def test_again_is_the_same_and_takes_the_pool_up(told, data):
    found, out = told
    made = [p.stat().st_mtime_ns for p in sorted((out / "pool").rglob("done.json"))]
    recipes = [words(data, "kmeans_diversity_selector", k=5), words(data, "k_center_selector"),
               words(data, "quality_selector", quality_key="worth", embed=False)]
    again = compare(recipes, out, shares=(0.1, 0.3), seeds=2)
    def still(told):
        return [{k: v for k, v in r.items() if k != "seconds"} for r in told["runs"]]
    assert still(again) == still(found) and again["overlap"] == found["overlap"]
    assert [p.stat().st_mtime_ns for p in sorted((out / "pool").rglob("done.json"))] == made and len(made) == 2


def test_coverage_tells_selectors_apart(told):
    lines = {(r["share"], r["name"]): r for r in told[0]["table"]}
    assert lines[0.3, "k"]["apart"] > max(lines[0.3, name]["apart"] for name in ("random", "kmeans", "quality"))
    assert lines[0.1, "quality"]["coverage_sd"] == 0 and told[0]["overlap"]["0.1"]["quality"]["quality"] == 1


def test_a_recipe_that_cannot_be_compared_is_refused(data, tmp_path):
    good = words(data, "k_center_selector")
    other = good | {"process": [{"text_length_filter": {"min_len": 30}}, *good["process"][1:]]}
    with pytest.raises(RecipeError, match="makes another pool"):
        compare([good, other], tmp_path)
    with pytest.raises(RecipeError, match="ends with a selector"):
        compare([good | {"process": good["process"][:-1]}], tmp_path)
    with pytest.raises(RecipeError, match="give the selector a cost_key"):
        compare([words(data, "quality_selector", quality_key="worth", embed=False)], tmp_path)
    with pytest.raises(RecipeError, match="shares are"):
        compare([good], tmp_path, shares=(1.5,))
    with pytest.raises(SelectionError, match="stochastic greedy takes budgets in rows"):
        compare([words(data, "facility_location_selector", greedy="stochastic")], tmp_path, seeds=1)


def test_intervals_hold_what_was_planted():
    rng = np.random.default_rng(0)
    weights = rng.integers(5, 50, 300).astype(float)
    base = rng.normal(size=(5, 300)) * weights
    mean, low, high = paired(base - 0.2 * weights + rng.normal(size=(5, 300)), base, weights)
    assert low < -0.2 < high and high < 0 and mean == pytest.approx(-0.2, abs=0.02)
    mean, low, high = paired(base + rng.normal(size=(5, 300)), base, weights)
    assert low < 0 < high
    assert verdict({"what": "loss", "mean": -1, "low": -2, "high": -0.5}) == "better"
    assert verdict({"what": "accuracy", "mean": -1, "low": -2, "high": -0.5}) == "worse"
    assert verdict({"what": "loss", "mean": -1, "low": -2, "high": 0.5}) == ""


def test_summaries_are_means_over_seeds():
    runs = [{"share": 0.1, "name": "a", "seed": s, "rows": float(r)} for s, r in enumerate((2, 4))]
    assert summary(runs) == [{"share": 0.1, "name": "a", "seeds": 2, "rows": 3.0, "rows_sd": pytest.approx(2**0.5)}]
    choices = {"a": [np.array([1, 2]), np.array([2, 3])], "b": [np.array([1, 2]), np.array([4, 5])]}
    assert overlaps(choices) == {"a": {"a": pytest.approx(1 / 3), "b": 0.5}, "b": {"a": 0.5, "b": 0.0}}


def test_the_proxy_tells_losses_and_intervals(data, tmp_path):
    pytest.importorskip("torch")
    small = ProxySettings(width=16, layers=1, heads=2, context=16, vocabulary=280, batch=4, device="cpu")
    found = compare([words(data, "k_center_selector")], tmp_path, shares=(0.2,), seeds=2, proxy=Trial(small, epochs=1.0), heldout=0.1)
    assert all(0 < r["loss"] < 8 and 0 <= r["accuracy"] <= 1 and r["train_seconds"] > 0 for r in found["runs"])
    assert [(d["name"], d["what"]) for d in found["differences"]] == [("k", "loss"), ("k", "accuracy")]
    means = {r["name"]: r["loss"] for r in found["table"]}
    gap = found["differences"][0]
    assert gap["low"] <= gap["mean"] <= gap["high"] and gap["mean"] == pytest.approx(means["k"] - means["random"], abs=1e-6)
    assert "95 % interval" in (tmp_path / "compare.md").read_text()
    assert found["proxy"]["floor"].keys() == {"single_tokens"} and 0 < found["proxy"]["floor"]["single_tokens"] < np.log(280)


def test_a_proxy_that_has_read_before_knows_more(data, tmp_path):
    pytest.importorskip("torch")
    small = ProxySettings(width=16, layers=1, heads=2, context=16, vocabulary=280, batch=4, device="cpu")
    (tmp_path / "read.jsonl").write_text(data.read_text())
    (tmp_path / "tests.jsonl").write_text("".join(data.read_text().splitlines(keepends=True)[:30]))
    asked = Trial(small, epochs=1.0, start=str(tmp_path / "read.jsonl"), start_tokens=20_000, tests=str(tmp_path / "tests.jsonl"))
    how = {"shares": (0.2,), "seeds": 1, "heldout": 0.0}
    recipes = [words(data, "k_center_selector")]
    found = compare(recipes, tmp_path / "out", proxy=asked, **how)
    plain = compare(recipes, tmp_path / "out", proxy=Trial(small, epochs=1.0, tests=asked.tests), **how)
    floor = found["proxy"]["floor"]
    assert found["proxy"]["tested"] == 30 and found["pool"]["heldout"] == 0 and found["proxy"]["rate"] == pytest.approx(1e-3)
    assert floor["start"] < floor["single_tokens"] == plain["proxy"]["floor"]["single_tokens"]
    assert max(r["loss"] for r in found["runs"]) < min(r["loss"] for r in plain["runs"])
    made = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "out" / "trained").iterdir())
    again = compare(recipes, tmp_path / "out", proxy=asked, **how)
    assert again["table"] == found["table"] and len([n for n, _ in made if n.startswith("start-")]) == 2
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "out" / "trained").iterdir()) == made


@pytest.mark.parametrize(("asked", "told"), [
    ({"kind": "ngram", "start": "x"}, "a start is for kind gpt"), ({"start": "nowhere.jsonl"}, "the proxy's start: .*nothing lies there"),
    ({"tests": "nowhere.jsonl"}, "the proxy's tests: .*nothing lies there"),
])
def test_a_start_or_tests_that_cannot_be_are_refused(data, tmp_path, asked, told):
    with pytest.raises(RecipeError, match=told):
        compare([words(data, "k_center_selector")], tmp_path, seeds=1, proxy=Trial(**asked), heldout=0.1)
