"""The influence scorer in a recipe: a stage of its own, by pieces, resumed after a kill, its mistakes told before data is read."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny_causal import COOKING, SAILING, make

from tamis.pipeline import assets, execute, plan, recipe, resources
from tamis.pipeline.errors import OperatorError, RecipeError, StaleError
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import apply, run
from tamis.pipeline.stages import score
from tamis.pipeline.why import story
from tamis.pipeline.workspace import StageFolder, write_json
from tamis.selectors.influence.rewards import InfluenceModel

TEXTS = [f"{text}, {n}" for n in range(3) for pair in zip(COOKING, SAILING, strict=True) for text in pair]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A model, 48 rows in three files, two of them without text, and a reference set about food."""
    folder = tmp_path_factory.mktemp("influence")
    make(folder / "model", "llama", steps=60)
    (folder / "data").mkdir()
    for i in range(3):
        lines = [{"text": t, "about": "food" if t.split(",")[0] in COOKING else "sea"} for t in TEXTS[i::3]]
        lines += [{"text": "", "about": "nothing"}] if i else []
        (folder / "data" / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    examples = [{"question": "how do I cook rice", "answer": "boil the rice in hot salted water"}, {"question": "", "answer": "bake the soup"}]
    (folder / "examples.jsonl").write_text("".join(json.dumps(e) + "\n" for e in examples))
    return folder


def words(world: Path, out: Path, *steps, **settings) -> dict:
    step = {"model": str(world / "model"), "reference": {"path": str(world / "examples.jsonl"), "text_key": "answer", "prompt_key": "question"},
            "layers": "mlp", "fit_rows": 20, "context": 32, "overlap": 2, "batch_tokens": 256, **settings}
    return {"dataset_path": str(world / "data"), "export_path": str(out), "np": 1, "keep_stats_in_res_ds": True, "export_type": "jsonl",
            "process": [{"influence_scorer": step}, *steps]}


def numbers(out: Path) -> bytes:
    """All that the stage has written of rows, byte by byte."""
    return b"".join(f.read_bytes() for f in sorted(out.glob("work/*-score-*/stats/*.parquet")))


def rewards(out: Path) -> dict[int, float]:
    tables = [pq.read_table(f) for f in sorted(out.glob("work/*-score-*/stats/*.parquet"))]
    return {i: r for t in tables for i, r in zip(t[ID].to_pylist(), t["influence_reward"].to_pylist(), strict=True)}


def exported(out: Path) -> list[dict]:
    return [json.loads(line) for f in (out / "data").glob("*.jsonl") for line in f.open()]


@pytest.fixture(scope="module")
def done(world):
    """A whole run that selects half of the rows by their reward."""
    score.PIECE, before = 7, score.PIECE
    told = run(words(world, world / "out", {"quality_selector": {"select_num": 24, "quality_key": "influence_reward"}}))
    score.PIECE = before
    return told


def test_rewards_are_a_column_that_a_selector_chooses_by(world, done):
    rows = exported(world / "out")
    assert len(rows) == 24 and sum(r["about"] == "food" for r in rows) >= 17, "of 24 and 24; the reference is about food"
    found = np.array(sorted(rewards(world / "out").values()))
    kept = sorted(r["__dj__stats__"]["influence_reward"] for r in rows)
    assert np.allclose(kept, found[-24:]) and kept[-1] > 0 > found[0] and (found == 0).sum() == 2
    facts = next(s["facts"] for s in done["steps"] if s["op"] == "influence_scorer")
    assert (facts["layers"], facts["examples"], facts["fitted_rows"]) == (6, 2, 20) and facts["fitted_tokens"] > 50
    assert {m["kind"] for m in done["models"]} == {"influence", "reference"}
    event = next(e for e in story(world / "out", f"{min(rewards(world / 'out')) % 2**64:016x}").events if e.op == "influence_scorer")
    assert event.verdict in ("scored", "left") and "influence_reward" in event.told


def test_rewards_are_those_of_the_leaf(world, done):
    """Fitted on the rows that the step says, asked one by one."""
    planned = plan.make(recipe.load(words(world, world / "other")))
    loaded = resources.load(planned.stages[1].pins[0])
    assert loaded["examples"] == [("how do I cook rice\nboil the rice in hot salted water", 19), ("bake the soup", 0)]
    ready = loaded["scorer"].ready(next((world / "out").glob("work/*-score-*")) / "fit", loaded["examples"])
    told = {t: ready.rewards([t], loaded["examples"])[0] for t in TEXTS[:6]}
    rows = {r["text"]: r["__dj__stats__"]["influence_reward"] for r in exported(world / "out")}
    met = [t for t in told if t in rows]
    assert met and all(told[t] == pytest.approx(rows[t], rel=1e-4) for t in met)


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from tamis.pipeline.run import run
from tamis.pipeline.stages import score
score.PIECE, do, met = 7, score.ScoreTask._do, []
def dies(self, part, piece):
    if len(met) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    met.append(piece)
    return do(self, part, piece)
score.ScoreTask._do = dies
import json
run(json.loads(sys.argv[1]))
"""


def test_a_run_killed_between_pieces_goes_on_to_the_same_bytes(world, done, tmp_path, monkeypatch):
    asked = words(world, tmp_path / "out")
    died = subprocess.run([sys.executable, "-c", KILLED, json.dumps(asked)], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    assert len(list((tmp_path / "out").glob("work/*-score-*/pieces/*.parquet"))) == 3
    fitted, asked_about, do = [], [], InfluenceModel.rewards
    monkeypatch.setattr(score, "PIECE", 7)
    monkeypatch.setattr(InfluenceModel, "factors", lambda *a: fitted.append(1))
    monkeypatch.setattr(InfluenceModel, "rewards", lambda self, texts, query: asked_about.extend(texts) or do(self, texts, query))
    run(asked)
    assert numbers(tmp_path / "out") == numbers(world / "out") and numbers(tmp_path / "out")
    assert not fitted and len(asked_about) == 50 - 16, "the first part is done"
    assert not list((tmp_path / "out").glob("work/*-score-*/pieces/*.parquet"))


def test_jobs_that_share_the_stage_fit_once_and_come_to_the_same(world, done, tmp_path, monkeypatch):
    assert "score" in execute.MODEL_STAGES
    planned, fitted, factors = plan.make(recipe.load(words(world, tmp_path / "out"))), [], InfluenceModel.factors
    monkeypatch.setattr(score, "PIECE", 7)
    monkeypatch.setattr(InfluenceModel, "factors", lambda *a: fitted.append(1) or factors(*a))
    execute.execute(planned, execute.Silent(), upto=1)
    parts = len(planned.splits)
    counts = [execute.share(planned, execute.Silent(), 2, [part]) for part in range(parts)]
    assert sum(counts) == 50 and len(fitted) == 1
    execute.execute(planned, execute.Silent())
    assert numbers(tmp_path / "out") == numbers(world / "out")


def test_a_run_that_dies_while_it_fits_goes_on_with_what_it_has(world, done, tmp_path, monkeypatch):
    """The factors are there, the query is not."""
    query, factors, fitted = InfluenceModel.query, InfluenceModel.factors, []

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(score, "PIECE", 7)
    monkeypatch.setattr(InfluenceModel, "factors", lambda *a: fitted.append(1) or factors(*a))
    monkeypatch.setattr(InfluenceModel, "query", dies)
    with pytest.raises(KeyboardInterrupt):
        run(words(world, tmp_path / "out"))
    (stage,) = (tmp_path / "out").glob("work/*-score-*")
    assert sorted(p.name for p in (stage / "fit").iterdir()) == ["factors.json", "factors.safetensors"] and not (stage / "fitted.json").exists()
    monkeypatch.setattr(InfluenceModel, "query", query)
    run(words(world, tmp_path / "out"))
    assert len(fitted) == 1 and numbers(tmp_path / "out") == numbers(world / "out")


def test_what_was_fitted_and_is_damaged_since_is_told(world, tmp_path, monkeypatch):
    do = score.ScoreTask._do
    monkeypatch.setattr(score.ScoreTask, "_do", lambda self, *_: (score.fit_folder(self.folder) / "query.safetensors").write_bytes(b"no"))
    with pytest.raises(StaleError, match="is gone or damaged"):
        run(words(world, tmp_path / "out"))
    monkeypatch.setattr(score.ScoreTask, "_do", do)
    with pytest.raises(StaleError, match=r"query\.safetensors cannot be read: .*remove .*-score-.* and run again"):
        run(words(world, tmp_path / "out"))


def test_rows_to_fit_on_are_those_of_the_least_chance(world, done):
    planned = plan.make(recipe.load(words(world, world / "out")))
    stage = planned.stages[1]
    workspace = execute.Workspace(world / "out" / "work")
    first = planned.stages[0]
    lineage = execute.after(first, workspace.stage(first.index, first.kind, first.fingerprint), None)
    rows = {i: t for part in range(len(planned.splits)) for b in lineage.read(part, ["text"])
            for i, t in zip(b.column(ID).to_pylist(), b.column("text").to_pylist(), strict=True)}
    ids = np.array(sorted(rows))
    for seed in (0, 5):
        task = score.FitTask(workspace.stage(2, "score", "x" * 16), lineage, stage.steps[0], stage.pins[0], len(planned.splits), seed)
        keys, texts = task._rows("here")
        order = np.argsort(score.uniform(seed, ids, stream=score.SAMPLE))[:20]
        assert texts == [rows[i] for i in ids[order].tolist()] and keys == sorted(keys) and len(set(keys)) == 20


def test_kept_factors_serve_another_reference_set_and_no_other_rows(world, tmp_path, monkeypatch):
    fitted, factors = [], InfluenceModel.factors
    monkeypatch.setattr(InfluenceModel, "factors", lambda *a: fitted.append(1) or factors(*a))
    given = words(world, tmp_path / "a", factors=str(tmp_path / "kept"))
    run(given)
    (tmp_path / "sea.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in SAILING[:3]))
    run(words(world, tmp_path / "b", factors=str(tmp_path / "kept"), reference={"path": str(tmp_path / "sea.jsonl")}))
    assert len(fitted) == 1
    food, sea = (rewards(tmp_path / k) for k in "ab")
    assert set(food) == set(sea) and np.corrcoef([food[i] for i in food], [sea[i] for i in food])[0, 1] < 0
    with pytest.raises(StaleError, match=r"made with other arguments: .*name another folder in factors"):
        run(words(world, tmp_path / "c", factors=str(tmp_path / "kept"), fit_rows=10))
    plain = plan.make(recipe.load(words(world, tmp_path / "a")))
    assert plain.stages[1].fingerprint == plan.make(recipe.load(given)).stages[1].fingerprint, "where factors lie decides nothing"


def test_nothing_to_score_and_nothing_that_counts(world):
    step = words(world, Path("x"), fit_rows=5)["process"]
    assert apply([{"text_length_filter": {"min_len": 1000}}, *step], [{"text": "a"}]).table.num_rows == 0
    with pytest.raises(OperatorError, match=r"step 1 \(influence_scorer\).*nothing to be fitted on: no token counts"):
        apply(step, [{"text": ""}])


def test_what_decides_the_answer_names_the_stage(world, tmp_path):
    def stage(**settings):
        return plan.make(recipe.load(words(world, tmp_path / "out", **settings))).stages[1]

    plain = stage()
    assert (plain.kind, plain.stats) == ("score", ("influence_reward",))
    (tmp_path / "same.jsonl").write_bytes((world / "examples.jsonl").read_bytes())
    keys = {"text_key": "answer", "prompt_key": "question"}
    assert stage(reference={"path": str(tmp_path / "same.jsonl"), **keys}).fingerprint == plain.fingerprint, "its content counts, not its place"
    others = [stage(damping=0.2), stage(layers=None), stage(fit_rows=21), stage(labels="data"), stage(score="cosine_mean"), stage(fused=True),
              stage(answer_after=":"), stage(reference={"path": str(tmp_path / "same.jsonl"), "text_key": "answer"}), stage(curvature="kfac")]
    assert len({s.fingerprint for s in (plain, *others)}) == 10


def test_what_it_needs_is_listed(world, tmp_path):
    asked = words(world, tmp_path / "out")
    model, reference = assets.needed(recipe.load(asked))
    assert (model.kind, model.path, reference.path) == ("influence", str(world / "model"), str(world / "examples.jsonl"))
    asked["process"][0]["influence_scorer"]["reference"] = {"path": "nowhere.jsonl"}
    _, missing = assets.needed(recipe.load(asked))
    assert missing.missing and missing.looked == ("nowhere.jsonl",) and "nothing lies there" in missing.note


def test_instruction_data_count_by_their_answers(world):
    given = [{"text": "say => boil the rice"}, {"text": "boil the rice"}, {"text": "boil the rice in butter => the storm broke"}]
    step = words(world, Path("x"), curvature="identity", answer_after=" =>")["process"]
    told = apply(step, given, keep_stats=True).table.column("influence_reward").to_pylist()
    step[0]["influence_scorer"]["answer_after"] = None
    whole = apply(step, given, keep_stats=True).table.column("influence_reward").to_pylist()
    assert told[1] == 0 and told[0] != 0 != told[2] and all(abs(a - b) > 1e-6 for a, b in zip(told, whole, strict=True))


def test_numbers_that_are_none_stop_the_run(world, tmp_path, monkeypatch):
    monkeypatch.setattr(InfluenceModel, "rewards", lambda self, texts, query: np.full(len(texts), np.nan))
    with pytest.raises(OperatorError, match=r"part 0: 1\d of 1\d numbers are not finite; try precision: float32"):
        run(words(world, tmp_path / "out", curvature="identity"))


def test_only_one_of_several_fits(tmp_path):
    """Threads here; processes and machines hold each other off by the same lock."""
    folder, done, step = StageFolder(tmp_path / "stage"), [], SimpleNamespace()

    class Slow(score.FitTask):
        def _do(self):
            done.append(time.perf_counter())
            time.sleep(0.2)
            write_json(self.folder.path / "fitted.json", {"layers": 3})
            return {"layers": 3}

    task = Slow(folder, SimpleNamespace(), step, (), 1, 0)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(task, range(4)))
    assert told == [{"layers": 3}] * 4 and len(done) == 1


MISTAKES = [
    ({"model": "nowhere/at/all"}, "model 'nowhere/at/all' is not on this machine"),
    ({"layers": "conv9"}, "layers 'conv9' is found in the name of no layer"),
    ({"layers": "("}, r"layers '\(' is no pattern"),
    ({"damping": 0.0}, "damping must be above 0, it is 0"),
    ({"fit_rows": 0}, "fit_rows must be 1 or more, it is 0"),
    ({"overlap": 32}, r"overlap must be at least 1 and less than context \(32\), it is 32"),
    ({"reference": {}}, "reference: path must be given"),
    ({"reference": {"path": "nothing.jsonl"}}, "reference: 'nothing.jsonl': nothing lies there"),
    ({"reference": {"path": "EXAMPLES"}}, "reference: examples.jsonl has columns question, answer; text_key asks for 'text'"),
    ({"reference": {"path": "EXAMPLES", "text_kee": "answer"}}, r"unknown key 'text_kee'. Did you mean 'text_key'"),
    ({"reference": {"path": "EXAMPLES", "text_key": 3}}, "text_key must be text, not 3"),
    ({"curvature": "hessian"}, "curvature must be one of ekfac, kfac, diagonal, identity"),
]


@pytest.mark.parametrize(("settings", "said"), MISTAKES, ids=lambda x: str(x)[:30])
def test_mistakes_are_told_before_data_is_read(world, tmp_path, settings, said):
    settings = json.loads(json.dumps(settings).replace("EXAMPLES", str(world / "examples.jsonl")))
    with pytest.raises(RecipeError, match=said):
        plan.make(recipe.load(words(world, tmp_path / "out", **settings)))
    assert not (tmp_path / "out").exists()


def test_a_reference_without_text_is_told(world, tmp_path):
    (tmp_path / "none.jsonl").write_text('{"text": ""}\n{"text": null}\n')
    with pytest.raises(RecipeError, match=r"no example has a text in 'text'"):
        run(words(world, tmp_path / "out", reference={"path": str(tmp_path / "none.jsonl")}))


def test_of_a_pool_s_rows_a_sample_alone_is_scored_again_by_what_was_fitted_for_the_run(world, tmp_path):
    def asked(name: str, texts: list[str]) -> dict:
        rows = [{"text": t, "vector": [1.0, n % 3, n % 5]} for n, t in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        steps = ({"text_embedding_mapper": {"vector_key": "vector"}},
                 {"cluster_pruning_selector": {"select_num": 12, "k": 2, "quality_key": "influence_reward"}})
        told = words(world, tmp_path / name, *steps) | {"dataset_path": str(tmp_path / f"{name}.jsonl")}
        return told | {"pool": {"path": str(tmp_path / "pool"), "drift": 0.5}}

    assert run(asked("one", TEXTS[:16]))["pool"]["drift"] == {}
    told = run(asked("two", TEXTS[16:32]))
    assert told["pool"]["rows scored again"] == 6 == told["pool"]["drift"]["influence_reward"]["rows"]
    (again,) = (tmp_path / "two" / "work").glob("*-pool-*/again-*")
    (scored,) = (tmp_path / "two" / "work").glob("*-score-*")
    assert pq.read_table(again / "stats" / "part-00000.parquet").num_rows == 6
    assert pq.read_table(scored / "stats" / "part-00000.parquet").num_rows == 16, "only new rows are scored"
    assert (again / "fitted.json").read_bytes() == (scored / "fitted.json").read_bytes()
    fresh = {r[ID]: r["influence_reward"] for r in pq.read_table(again / "stats" / "part-00000.parquet").to_pylist()}
    (known,) = (tmp_path / "two" / "work").glob("*-pool-*/known.parquet")
    now = {r[ID]: r["influence_reward"] for r in pq.read_table(known).to_pylist()}
    assert len(now) == 12 and all(now[i] == r for i, r in fresh.items())


def test_an_adapter_is_looked_at_and_its_content_decides(world, tmp_path):
    """In a recipe, by differences; another adapter in the same place is another stage, and one that is not there is told first."""
    import torch
    from safetensors.torch import load_file, save_file

    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    weights = {k: v for k, v in load_file(world / "model" / "model.safetensors").items() if k.endswith("mlp.down_proj.weight")}
    for seed in range(2):
        torch.manual_seed(seed)
        shapes = {k.removesuffix(".weight"): v.shape for k, v in weights.items()}
        held = {f"base_model.model.{k}.lora_A.weight": torch.randn(2, n) * 0.1 for k, (_, n) in shapes.items()}
        held |= {f"base_model.model.{k}.lora_B.weight": torch.randn(m, 2) * 0.1 for k, (m, _) in shapes.items()}
        save_file(held, lora / "adapter_model.safetensors")
        asked = words(world, tmp_path / f"out{seed}", layers=None, adapter=str(lora), product="difference", checkpointing=True)
        run(asked)
        fit = json.loads(next((tmp_path / f"out{seed}").glob("work/*-score-*/fit/factors.json")).read_text())
        assert sorted(fit["blocks"]) == sorted(f"{k}.lora_{side}" for k in shapes for side in "AB")
    first, second = (rewards(tmp_path / f"out{seed}") for seed in range(2))
    assert len(first) == 50 and first != second
    names = {next((tmp_path / f"out{seed}").glob("work/*-score-*")).name for seed in range(2)}
    assert len(names) == 2, "the stage is known by what the adapter holds"
    with pytest.raises(RecipeError, match="adapter_config.json"):
        plan.make(recipe.load(words(world, tmp_path / "none", adapter=str(tmp_path / "nowhere"))))
    with pytest.raises(RecipeError, match="use score: dot"):
        plan.make(recipe.load(words(world, tmp_path / "none", product="difference", score="cosine_mean")))
