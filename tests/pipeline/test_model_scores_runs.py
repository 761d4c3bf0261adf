"""Scores and vectors of a causal model in a recipe: stages of their own, resumed after a kill, the same bytes on any number of workers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("faiss")
from tiny_causal import COOKING, SAILING, make

from tamis.pipeline import assets, execute, plan, recipe, resources
from tamis.pipeline.errors import OperatorError, RecipeError
from tamis.pipeline.ledger import ID
from tamis.pipeline.run import apply, run
from tamis.pipeline.stages import embed
from tamis.pipeline.stages.prompts import joined, prompts
from tamis.pipeline.why import story
from tamis.selectors.influence.samples import SampleModel

SCORES = ["ppl", "el2n", "grand", "grounding"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A model, and 34 rows in three files: question, perhaps a hint, answer; two of the answers are empty."""
    folder = tmp_path_factory.mktemp("scores")
    make(folder / "model", "llama", steps=60)
    (folder / "data").mkdir()
    rows = [{"q": q, "hint": hint, "text": t, "n": 1, "parts": ["a"]} for q, hint, texts in (("how do I cook", None, COOKING), ("what happened at sea", "the wind", SAILING))
            for t in texts for q in (q, q + " then")] + [{"q": "why", "hint": None, "text": "", "n": 2, "parts": []}] * 2
    for i in range(3):
        (folder / "data" / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[i::3]))
    return folder


def words(world: Path, out: Path, vectors: str = "gradient", np: int = 1, **settings) -> dict:
    model = {"model": str(world / "model"), "prompt_keys": ["q", "hint"], "max_tokens": 32, "batch_tokens": 128}
    return {"dataset_path": str(world / "data"), "export_path": str(out), "np": np, "keep_stats_in_res_ds": True, "export_type": "jsonl", "process": [
        {"difficulty_scorer": {**model, "scores": SCORES, **settings}},
        {"model_vector_mapper": {**model, "vectors": vectors, "layers": "mlp", "dimension": 64, "probes": 8}},
        {"adapt_selector": {"score_keys": SCORES, "select_num": 12, "k": 3}}]}


def written(out: Path) -> dict[str, bytes]:
    """What the two stages have written of rows, byte by byte."""
    files = [*out.glob("work/*-score-*/stats/*.parquet"), *out.glob("work/*-embed-*/vectors/*.parquet")]
    return {f"{f.parents[1].name} {f.name}": f.read_bytes() for f in files}


@pytest.fixture(scope="module")
def done(world) -> dict:
    return run(words(world, world / "out"))


def test_scores_and_vectors_are_what_adapt_selector_chooses_by(world, done):
    rows = [json.loads(line) for f in (world / "out" / "data").glob("*.jsonl") for line in f.open()]
    assert len(rows) == 12 and all({"nll", "nll_tokens", *SCORES} <= set(r["__dj__stats__"]) for r in rows)
    assert [s["stats"] for s in done["steps"] if s["op"] == "difficulty_scorer"] == [["nll", "nll_tokens", *SCORES]]
    assert {m["kind"] for m in done["models"]} == {"sample_model"}
    asked = resources.load(plan.make(recipe.load(words(world, world / "x"))).stages[1].pins[0])["reader"]
    for row in rows:  # each asked alone
        given = row["q"] + (f"\n{row['hint']}" if row["hint"] else "")
        found = asked.scores([row["text"]], [given], SCORES)
        assert {k: row["__dj__stats__"][k] for k in found} == pytest.approx({k: float(v[0]) for k, v in found.items()}, rel=1e-4)
    facts = next(s["facts"] for s in done["steps"] if s["op"] == "adapt_selector")
    assert facts["k"] == 3 and sum(facts["scorers"].values()) == 3
    (first, *_) = sorted((world / "out").glob("work/*-score-*/stats/*.parquet"))
    told = story(world / "out", f"{pq.read_table(first)[ID][0].as_py() % 2**64:016x}")
    event = next(e for e in told.events if e.op == "difficulty_scorer")
    assert event.verdict in ("scored", "left") and "ppl" in event.told and "grounding" in event.told


def test_vectors_are_of_prompt_and_answer_and_each_such_pair_is_asked_once(world, done):
    tables = [pq.read_table(f) for f in sorted((world / "out").glob("work/*-embed-*/vectors/*.parquet"))]
    vectors = np.concatenate([embed.matrix(t["vector"]) for t in tables])
    lengths = np.sqrt((vectors**2).sum(axis=1))
    assert vectors.shape == (34, 64) and np.allclose(lengths, 1, atol=2e-3)
    facts = next(s["facts"] for s in done["steps"] if s["op"] == "model_vector_mapper")
    assert facts["repeated"] == 1, "the two empty answers to one question, not equal answers to different ones"
    told = vectors[np.ptp(vectors, axis=1) > 0]
    assert len(told) == 32 and np.allclose(vectors[np.ptp(vectors, axis=1) == 0], 1 / 8, atol=1e-3)
    assert len(np.unique(told, axis=0)) > 24, "an answer of the same tokens has other vectors behind another prompt"
    tokens = np.concatenate([t["num_embedding_tokens"].to_numpy() for t in tables])
    assert tokens.min() > 0, "prompts count"


def test_two_workers_write_the_same_bytes(world, done, tmp_path):
    run(words(world, tmp_path / "out", np=2))
    assert written(tmp_path / "out") == written(world / "out") and len(written(world / "out")) == 6


KILLED = """
import json, os, signal, sys
import torch
from tamis.pipeline.run import run
from tamis.pipeline.stages import score
met, do = [], score.ScoreTask._do
def dies(self, part, piece):
    met.append(piece)
    if len(met) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return do(self, part, piece)
score.ScoreTask._do = dies
run(json.loads(sys.argv[1]))
"""


def test_a_run_killed_between_pieces_goes_on_to_the_same_bytes(world, done, tmp_path, monkeypatch):
    """By the system in the scores, then once more in the vectors."""
    asked, calls, do = words(world, tmp_path / "out"), [], embed.EmbedTask._do
    died = subprocess.run([sys.executable, "-c", KILLED, json.dumps(asked)], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    assert len(list((tmp_path / "out").glob("work/*/pieces/*.parquet"))) == 1
    for name in ("scores", "vectors"):
        plain = getattr(SampleModel, name)
        monkeypatch.setattr(SampleModel, name, lambda self, *a, _do=plain, _name=name, **k: calls.append(_name) or _do(self, *a, **k))

    def dies(self, part, piece):
        if calls.count("vectors") == 2:
            raise KeyboardInterrupt
        return do(self, part, piece)

    monkeypatch.setattr(embed.EmbedTask, "_do", dies)
    with pytest.raises(KeyboardInterrupt):
        run(asked)
    monkeypatch.setattr(embed.EmbedTask, "_do", do)
    run(asked)
    assert (calls.count("scores"), calls.count("vectors")) == (2, 3), "of three pieces each, none twice"
    assert written(tmp_path / "out") == written(world / "out")


def test_jobs_share_both_stages(world, done, tmp_path):
    planned = plan.make(recipe.load(words(world, tmp_path / "out")))
    assert [s.kind for s in planned.stages] == ["rows", "score", "embed", "select", "export"]
    assert all(execute.asks_model(s) for s in planned.stages[1:3])
    execute.execute(planned, execute.Silent(), upto=1)
    for index in (2, 3):
        assert sum(execute.share(planned, execute.Silent(), index, [part]) for part in (2, 0, 1)) == 34
        execute.execute(planned, execute.Silent(), upto=index)
    scores = {k: v for k, v in written(world / "out").items() if "-score-" in k}
    assert {k: v for k, v in written(tmp_path / "out").items() if "-score-" in k} == scores, "which rows share a text is a matter of each job"


def test_a_cache_holds_each_kind_apart(world, tmp_path):
    rows = [{"text": t} for t in COOKING[:4]]
    step = {"model": str(world / "model"), "layers": "mlp", "dimension": 16, "probes": 16, "cache": str(tmp_path / "cache")}
    for kind in ("gradient", "zeroth_order", "gradient"):
        apply([{"model_vector_mapper": {**step, "vectors": kind}}, {"random_selector": {"select_num": 2}}], rows)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("kind", ["gradient", "zeroth_order", "hidden"])
def test_copies_leave_by_any_kind_of_vector(world, kind):
    rows = [{"text": t, "n": i} for i, t in enumerate([*COOKING, *SAILING, *COOKING[:3], "", ""])]
    step = {"model": str(world / "model"), "vectors": kind, "layers": r"\.1\.mlp", "dimension": 256, "probes": 16}
    kept = apply([{"model_vector_mapper": step}, {"semantic_deduplicator": {"eps": 1e-3}}], rows).table
    texts = kept.column("text").to_pylist()
    assert len(texts) == len(set(texts)) and {""} < set(texts) and len(texts) >= 14


def test_nothing_to_score(world):
    steps = [{"text_length_filter": {"min_len": 1000}}, *words(world, Path("x"))["process"]]
    assert apply(steps, [{"text": "a", "q": "b", "hint": "c"}]).table.num_rows == 0


def test_prompts_are_lines_of_what_is_there():
    batch = pa.record_batch({"a": ["x", None, "", "y"], "b": ["1", "2", None, ""]})
    assert prompts(batch, ["a", "b"], "here").to_pylist() == ["x\n1", "2", "", "y"] and prompts(batch, [], "").to_pylist() == [""] * 4
    assert joined(["p", "", "p"], ["t", None, None]) == ["p\nt", None, "p\n"]
    with pytest.raises(OperatorError, match="column 'n' is .*, not text"):
        prompts(pa.record_batch({"n": [1, 2]}), ["n"], "step 1")


def test_what_decides_the_answer_names_the_stage(world, tmp_path):
    def stages(vectors="gradient", **settings):
        return plan.make(recipe.load(words(world, tmp_path / "out", vectors, **settings))).stages

    plain = stages()
    assert plain[1].stats == ("nll", "nll_tokens", *SCORES) and assets.needed(recipe.load(words(world, tmp_path / "out")))[0].kind == "sample_model"
    others = [stages(answer_after=":"), stages(layers="mlp"), stages(max_tokens=31), stages(precision="bfloat16"), stages(prompt_keys=["q"])]
    assert len({s[1].fingerprint for s in (plain, *others)}) == 6
    assert stages("hidden")[1].fingerprint == plain[1].fingerprint and stages("hidden")[2].fingerprint != plain[2].fingerprint


MISTAKES = [
    ("difficulty_scorer", {"scores": ["pll"]}, r"scores must be a list, each one of ppl, el2n"),
    ("difficulty_scorer", {"scores": ["ppl"]}, r"score_keys 'el2n' is neither a numeric column nor an earlier step's number"),
    ("difficulty_scorer", {"prompt_keys": ["quest"]}, r"prompt_keys: no column 'quest' in the data"),
    ("difficulty_scorer", {"prompt_keys": ["q", "hint", "q"]}, r"prompt_keys: 'q' is named twice"),
    ("difficulty_scorer", {"prompt_keys": ["q", "n"]}, r"prompt_keys: column 'n' is a number, not text"),
    ("model_vector_mapper", {"prompt_keys": ["parts"]}, r"prompt_keys: column 'parts' is a list, not text"),
    ("difficulty_scorer", {"model": "nowhere/at/all"}, "model 'nowhere/at/all' is not on this machine"),
    ("difficulty_scorer", {"factors": "somewhere"}, "unknown setting 'factors'"),
    ("model_vector_mapper", {"dimension": 1000}, "dimension must be the square of a whole number"),
    ("model_vector_mapper", {"vectors": "zeroth_order", "precision": "bfloat16"}, "zeroth_order needs precision: float32"),
    ("model_vector_mapper", {"probes": 0}, "probes must be 1 or more, it is 0"),
    ("model_vector_mapper", {"step": 0.0}, "step must be above 0, it is 0"),
    ("model_vector_mapper", {"layers": "conv9"}, "layers 'conv9' is found in the name of no layer"),
    ("model_vector_mapper", {"vector_key": "q"}, "unknown setting 'vector_key'"),
]


@pytest.mark.parametrize(("op", "settings", "said"), MISTAKES, ids=lambda x: str(x)[:30])
def test_mistakes_are_told_before_data_is_read(world, tmp_path, op, settings, said):
    asked = words(world, tmp_path / "out")
    for step in asked["process"]:
        if op in step:
            step[op] |= settings
    with pytest.raises(RecipeError, match=said):
        plan.make(recipe.load(asked))


def test_answers_that_are_no_numbers_stop_the_run(world, monkeypatch):
    steps = words(world, Path("x"))["process"]
    rows = [{"text": t, "q": "q", "hint": ""} for t in COOKING]
    vectors = SampleModel.vectors
    monkeypatch.setattr(SampleModel, "vectors", lambda self, *a, **k: vectors(self, *a, **k) * np.where(np.arange(8) == 3, np.nan, 1)[:, None])
    with pytest.raises(OperatorError, match="NaN or infinite vectors for 1 of 8 rows"):
        apply(steps, rows)
    scores = SampleModel.scores
    monkeypatch.setattr(SampleModel, "scores", lambda self, *a: scores(self, *a) | {"el2n": np.full(8, np.inf)})
    with pytest.raises(OperatorError, match="8 of 8 numbers are not finite"):
        apply(steps, rows)


def test_a_pool_takes_sets_in_by_the_model_s_scores_and_vectors_and_asks_about_new_rows_only(world, tmp_path):
    def taken(day: int, where: str, workers: int) -> dict:
        asked = words(world, tmp_path / f"{where}-{day}", np=workers) | {"pool": {"path": str(tmp_path / where), "drift": 0.3}}
        return run(asked | {"dataset_path": str(world / "data" / f"{day}.jsonl")})

    told = [taken(day, "pool", 1) for day in range(3)]
    assert [t["rows_out"] for t in told] == [12, 12, 12] and [t["rows_in"] for t in told] == [12, 11, 11]
    assert [t["pool"].get("rows scored again") for t in told[1:]] == [4, 4]
    (scored,) = (tmp_path / "pool-2" / "work").glob("*-score-*/stats/*.parquet")
    assert pq.read_table(scored).num_rows == 11, "new rows only"
    for name in SCORES:  # the model is the same, and so are its scores
        drift = told[2]["pool"]["drift"][name]
        known = pq.read_table(tmp_path / "pool" / "versions" / "0003" / "numbers.parquet")
        assert drift["rows"] == 4 and drift["before"] < 1e-3 and np.isfinite(known.column(name).to_numpy()).all()
    before, after = (pq.read_table(tmp_path / "pool" / "versions" / v / "vectors.parquet").to_pylist() for v in ("0002", "0003"))
    old = {r[ID]: r["vector"] for r in before}
    stayed = [r for r in after if r[ID] in old]
    assert stayed and all(r["vector"] == old[r[ID]] for r in stayed), "vectors of rows that were there are not made again"
    again = [taken(day, "other", 2) for day in range(2)]
    assert [a["content_hash"] for a in again] == [t["content_hash"] for t in told[:2]]
