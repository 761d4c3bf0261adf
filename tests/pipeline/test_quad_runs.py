"""quad_selector in a recipe: rewards asked for lazily or read from a column, resumed after a kill, told by report and `why`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny_causal import COOKING, SAILING, make

from tamis.pipeline import compare, execute, plan, recipe
from tamis.pipeline.errors import RecipeError, SelectionError
from tamis.pipeline.reporting import pulls
from tamis.pipeline.reporting.words import number
from tamis.pipeline.run import run
from tamis.pipeline.stages import asking
from tamis.pipeline.stages.asking import PoolTexts, TraceFile
from tamis.pipeline.verify import check
from tamis.pipeline.why import story
from tamis.pipeline.why import text as told_in_words
from tamis.selectors.influence.rewards import InfluenceModel

WORDS = [(t, "food") for t in COOKING] + [(t, "sea") for t in SAILING]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, 160 rows in three files with the name of their subject and a reward that is given, and a reference set about food."""
    folder = tmp_path_factory.mktemp("quad")
    make(folder / "model", "llama", steps=60)
    (folder / "data").mkdir()
    rng = np.random.default_rng(0)
    rows = [{"text": f"{text}, {n}", "about": about, "tokens": 5 + n, "reward": float(about == "food") + rng.normal()}
            for n in range(10) for text, about in WORDS]
    for i in range(3):
        (folder / "data" / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[i::3]))
    (folder / "examples.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in COOKING[:4]))
    return folder


def words(world: Path, out: Path, **settings: Any) -> dict[str, Any]:
    asked = {"model": str(world / "model"), "reference": {"path": str(world / "examples.jsonl")}, "layers": "mlp", "fit_rows": 20,
             "context": 32, "overlap": 2, "batch_tokens": 256, "cluster_key": "about", "probes": 4, "batch": 10, "pilot": 12, "parallel": 2,
             "select_num": 50, **settings}
    asked = {k: v for k, v in asked.items() if v is not None}
    return {"dataset_path": str(world / "data"), "export_path": str(out), "np": 1, "export_type": "jsonl", "seed": 3,
            "process": [{"quad_selector": asked}]}


def column(world: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """The same with rewards that are there."""
    gone = dict.fromkeys(("model", "reference", "layers", "fit_rows", "context", "overlap", "batch_tokens"))
    return words(world, out, **gone, quality_key="reward", **settings)


def stage_of(out: Path) -> Path:
    (found,) = out.glob("work/*-select-*")
    return found


def exported(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for f in (out / "data").glob("*.jsonl") for line in f.open()]


@pytest.fixture(scope="module")
def done(world: Path) -> dict[str, Any]:
    return run(words(world, world / "out"))


def test_only_what_it_asks_about_is_asked(world: Path, done: dict[str, Any]) -> None:
    facts = done["steps"][-1]["facts"]
    rows = exported(world / "out")
    assert len(rows) == done["rows_out"] == 50 and sum(r["about"] == "food" for r in rows) >= 45
    lines = [orjson.loads(line) for line in (stage_of(world / "out") / "trace.jsonl").open()]
    asked = [i for line in lines for i in line["rows"]]
    assert len(asked) == len(set(asked)) == facts["scored"] < 110 and facts["names"] == ["food", "sea"]
    assert [line["pull"] for line in lines] == list(range(facts["pulls"] + 1)) and lines[0]["decision"] == "pilot"
    for line in lines[1:]:
        assert line["decision"] in ("try", "take", "hold", "close") and line["low"] <= line["mean"] <= line["high"]
        assert line["mean"] is not None and line["bonus"] is not None and len(line["rewards"]) == len(line["rows"])
    assert sum(line.get("taken", 0) for line in lines) == 50
    assert {m["kind"] for m in done["models"]} == {"influence", "reference"}
    assert {f.level for f in check(world / "out")} == {"ok"}


def test_rewards_are_those_of_the_scorer(world: Path, done: dict[str, Any], tmp_path: Path) -> None:
    """The same rows, scored all before: the same numbers to rounding, and the same choice."""
    told = words(world, tmp_path / "all")
    settings = told["process"][0]["quad_selector"]
    own = ("model", "reference", "layers", "fit_rows", "context", "overlap", "batch_tokens")
    rest = {k: v for k, v in settings.items() if k not in own}
    told["process"] = [{"influence_scorer": {k: settings[k] for k in own}}, {"quad_selector": {**rest, "quality_key": "influence_reward"}}]
    run(told)
    first, other = (pq.read_table(stage_of(out) / "selection.parquet").to_pydict() for out in (world / "out", tmp_path / "all"))
    assert first["picked"] == other["picked"] and first["pull"] == other["pull"]
    lazily, before = np.array(first["reward"]), np.array(other["reward"])
    assert np.array_equal(np.isnan(lazily), np.isnan(before)) and np.allclose(lazily, before, rtol=1e-3, atol=1e-4, equal_nan=True)
    (scores,) = (pq.read_table(f) for f in sorted((tmp_path / "all").glob("work/*-score-*/stats"))[:1])
    assert (~np.isnan(lazily)).sum() < len(scores) == 160


KILLED = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
from tamis.pipeline.run import run
from tamis.pipeline.stages import asking
add, met = asking.TraceFile.add, []
def dies(self, lines):
    if len(met) == 3:
        with self.path.open("ab") as file:
            file.write(asking.orjson.dumps(lines[0])[: int(sys.argv[2])])
        os.kill(os.getpid(), signal.SIGKILL)
    met.append(1)
    add(self, lines)
asking.TraceFile.add = dies
run(json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("torn", [0, 40, 10_000])
def test_killed_after_a_pull_it_goes_on_to_the_same_bytes(
    world: Path, done: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: int,
) -> None:
    asked = words(world, tmp_path / "out")
    died = subprocess.run([sys.executable, "-c", KILLED, json.dumps(asked), str(torn)], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    fitted, met, rewards = [], [], InfluenceModel.rewards
    monkeypatch.setattr(InfluenceModel, "factors", lambda *a: fitted.append(1))
    monkeypatch.setattr(InfluenceModel, "rewards", lambda self, texts, query: met.extend(texts) or rewards(self, texts, query))
    again = run(asked)
    assert again["content_hash"] == done["content_hash"] and not fitted
    for name in ("trace.jsonl", "selection.parquet", "facts.json"):
        assert (stage_of(tmp_path / "out") / name).read_bytes() == (stage_of(world / "out") / name).read_bytes(), name
    lines = [orjson.loads(line) for line in (stage_of(world / "out") / "trace.jsonl").open()]
    assert len(met) == sum(len(line["rows"]) for line in lines if line["round"] >= 3)


def test_a_trace_is_read_up_to_its_last_whole_round(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "a" / "trace.jsonl")
    rounds = [[{"round": 0, "of": 1, "rows": [-(2**62)], "rewards": [0.1]}], [{"round": 1, "of": 2, "k": i, "rewards": [1 / 3]} for i in range(2)]]
    assert trace.rounds() == []
    for lines in rounds:
        trace.add(lines)
    whole = trace.path.read_bytes()
    assert trace.rounds() == rounds and trace.path.read_bytes() == whole
    first = len(whole.splitlines(keepends=True)[0])
    for cut in range(len(whole)):
        trace.path.write_bytes(whole[:cut])
        assert trace.rounds() == rounds[: cut >= first] and trace.path.read_bytes() == whole[: first * (cut >= first)]


def test_texts_are_read_when_they_are_asked_for(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan.make(recipe.load(column(world, world / "out")))
    first = planned.stages[0]
    done = run(column(world, world / "texts"))
    folder = execute.Workspace(world / "texts" / "work").stage(first.index, first.kind, first.fingerprint)
    lineage, parts = execute.after(first, folder, None), range(len(planned.splits))
    everything = [t for part in parts for b in lineage.read(part, ["text"]) for t in b.column("text").to_pylist()]
    index = np.random.default_rng(0).permutation(160)
    assert done["rows_in"] == 160 and PoolTexts.of(lineage, "text", parts).read(index) == [everything[i] for i in index]
    monkeypatch.setattr(asking, "HELD", 1)
    read = PoolTexts.of(lineage, "text", parts)
    assert read.read(index) == [everything[i] for i in index] and len(read.held) == 1
    assert read.read(np.array([159, 0])) == [everything[159], everything[0]]


def test_a_budget_in_tokens(world: Path, tmp_path: Path) -> None:
    told = run(column(world, tmp_path / "out", select_num=None, select_tokens=400.0, cost_key="tokens"))
    rows = exported(tmp_path / "out")
    facts = told["steps"][-1]["facts"]
    assert 400 - sum(r["tokens"] for r in rows) == facts["left"] < 5 and sum(r["about"] == "food" for r in rows) > 0.8 * len(rows)


def test_why_and_the_report_tell_of_pulls(world: Path, done: dict[str, Any]) -> None:
    table = pq.read_table(stage_of(world / "out") / "selection.parquet").to_pylist()
    picked, out = (next(r for r in table if r["picked"] is p) for p in (True, False))
    told = told_in_words(story(world / "out", f"{picked['__id__'] % 2**64:016x}"))
    assert f"taken at pull {picked['pull']} of {done['steps'][-1]['facts']['pulls']}" in told and "cluster 'food'" in told and "reward nan" not in told
    lines = [orjson.loads(line) for line in (stage_of(world / "out") / "trace.jsonl").open()]
    mine = [line for line in lines if line["arm"] == out["cluster"]]
    told = told_in_words(story(world / "out", f"{out['__id__'] % 2**64:016x}"))
    asked = sum(len(line["rows"]) for line in mine)
    assert f"cluster '{['food', 'sea'][out['cluster']]}': {len(mine)} pull" in told and f"{asked} rows asked about, mean {number(mine[-1]['mean'])}" in told
    page = (world / "out" / "report.html").read_text()
    assert "Reward by cluster" in page and "Highest bound" in page and page.count("pulls, mean") == 2
    facts = done["steps"][-1]["facts"]
    drawn = pulls.view(stage_of(world / "out"), facts)
    assert drawn is not None and f"{facts['pulls']} pulls asked about" in drawn.words and drawn.hidden == 0
    assert drawn.frontier is not None and drawn.frontier.count("<title>pull ") == sum(bool(line["rows"]) for line in lines[1:])
    endless = {**facts, "lows": [None, None], "highs": [None, None], "picked": [0, 0]}
    assert "NaN" not in pulls._clusters([0, 1], endless) and pulls.view(world, facts) is None


def test_a_flow_places_it_as_one_job(world: Path, done: dict[str, Any], tmp_path: Path) -> None:
    planned = plan.make(recipe.load(words(world, tmp_path / "out")))
    assert [execute.asks_model(s) for s in planned.stages] == [False, True, False]
    assert not any(map(execute.asks_model, plan.make(recipe.load(column(world, tmp_path / "out"))).stages))
    execute.execute(planned, execute.Silent(), upto=1)
    assert execute.share(planned, execute.Silent(), 2, [0]) == 160
    trace = (stage_of(tmp_path / "out") / "trace.jsonl").read_bytes()
    assert execute.execute(planned, execute.Silent())["content_hash"] == done["content_hash"]
    assert (stage_of(tmp_path / "out") / "trace.jsonl").read_bytes() == trace


def test_what_decides_the_answer_names_the_stage(world: Path, tmp_path: Path) -> None:
    def fingerprint(**settings: Any) -> str:
        return plan.make(recipe.load(words(world, tmp_path / "out", **settings))).stages[1].fingerprint

    (tmp_path / "same.jsonl").write_bytes((world / "examples.jsonl").read_bytes())
    plain = fingerprint()
    assert fingerprint(reference={"path": str(tmp_path / "same.jsonl")}) == plain == fingerprint(factors=None)
    others = [{"policy": "ucb"}, {"damping": 0.2}, {"probes": 5}, {"tau": 0.0}, {"fit_rows": 21}, {"quality_key": "reward"}, {"start": "prior"}]
    assert len({plain, *(fingerprint(**o) for o in others)}) == len(others) + 1


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"model": None, "reference": None}, "it needs rewards: give model and reference, or quality_key"),
    ({"model": None}, "model and reference belong together"),
    ({"reference": None}, "model and reference belong together"),
    ({"cluster_key": None}, "put a text_embedding_mapper step before it, or name a column with clusters in cluster_key"),
    ({"cluster_key": "abuot"}, r"cluster_key: no column or field 'abuot' in the data. Did you mean 'about'"),
    ({"policy": "greedy"}, "policy must be one of thompson, ucb, successive_elimination, discounted"),
    ({"damping": 0.0}, "damping must be above 0"),
    ({"probs": 3}, r"unknown setting 'probs'. Did you mean 'probes'"),
    ({"select_num": None}, "how much shall be selected"),
]


@pytest.mark.parametrize(("settings", "said"), MISTAKES, ids=lambda x: str(x)[:30])
def test_mistakes_are_told_before_data_is_read(world: Path, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        plan.make(recipe.load(words(world, tmp_path / "out", **settings)))
    assert not (tmp_path / "out").exists()


def test_what_the_leaf_refuses_is_told_with_its_place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SelectionError, match=r"step 1 \(quad_selector\): probes must be 1 or more, it is 0"):
        run(column(world, tmp_path / "a", probes=0))
    monkeypatch.setattr(InfluenceModel, "rewards", lambda self, texts, query: np.full(len(texts), np.nan))
    with pytest.raises(SelectionError, match="12 rewards, 12 of them NaN or infinite"):
        run(words(world, tmp_path / "b"))


def test_a_pool_of_nothing_asks_nobody(world: Path, tmp_path: Path) -> None:
    told = words(world, tmp_path / "out")
    told["process"].insert(0, {"text_length_filter": {"min_len": 10_000}})
    done = run(told)
    assert done["rows_out"] == 0 and not (stage_of(tmp_path / "out") / "fit").exists()


def test_vectors_of_a_column_make_clusters(world: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 200)
    points = (np.eye(4)[group] + 0.05 * rng.normal(size=(200, 4))).tolist()
    rewards = np.where(group == 2, 1.0, -1.0) + rng.normal(size=200)
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(200)], "v": points, "r": rewards, "group": group}), tmp_path / "rows.parquet")
    step = {"k": 4, "quality_key": "r", "probes": 4, "batch": 10, "pilot": 40, "select_num": 30}
    told = run({"dataset_path": str(tmp_path / "rows.parquet"), "export_path": str(tmp_path / "out"), "np": 1, "export_type": "jsonl", "process": [
        {"text_embedding_mapper": {"vector_key": "v"}}, {"quad_selector": step}]})
    assert sum(r["group"] == 2 for r in exported(tmp_path / "out")) >= 27 and told["rows_out"] == 30
    assert "names" not in told["steps"][-1]["facts"] and (stage_of(tmp_path / "out") / "clusters.parquet").exists()


def test_a_comparison_takes_rewards_from_a_column_only(world: Path, tmp_path: Path) -> None:
    told = column(world, tmp_path / "x", cost_key="tokens")
    found = compare.compare([told], tmp_path / "compare", shares=(0.3,), seeds=2)
    assert {line["name"] for line in found["runs"]} == {"random", told.get("project_name", found["runs"][-1]["name"])}
    with pytest.raises(RecipeError, match="put an influence_scorer before it and give quality_key"):
        compare.compare([words(world, tmp_path / "y", cost_key="tokens")], tmp_path / "compare2", shares=(0.3,), seeds=1)
