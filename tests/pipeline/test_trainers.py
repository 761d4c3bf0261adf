"""The iterative selector from a recipe: the proxy, a program of the user's, adapters on a model folder."""

import json

import numpy as np
import pytest
from static_model import make

pytest.importorskip("torch")
pytest.importorskip("faiss")
from tamis.pipeline import recipe, trainers
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
told = json.loads((folder / "settings.json").read_text())
texts = [json.loads(line)["text"] for line in (folder / "score.jsonl").open()]
(folder / "scores.json").write_text(json.dumps([float("good" in t) for t in texts]))
if len(sys.argv) > 2 or told["scoring"] == "progress": sys.exit("no such scoring here")
"""


def test_a_program_scores(tmp_path):
    (tmp_path / "train.py").write_text(PROGRAM)
    made = trainers.trainer(str(tmp_path / "train.py"), "gold_minus_generated", None, "cpu")
    assert made.scores(["a"], ["good one", "bad one"], 3).tolist() == [1, 0]
    with pytest.raises(ValueError, match="failed with 1: no such scoring here"):
        trainers.trainer(str(tmp_path / "train.py"), "progress", None, "cpu").scores(["a"], ["b"], 0)


def test_a_program_runs_only_where_that_is_allowed(tmp_path):
    (tmp_path / "train.py").write_text(PROGRAM)
    words = {"dataset_path": "x.jsonl", "export_path": "out",
             "process": [{"iterative_diversity_selector": {"model": str(tmp_path / "train.py"), "select_num": 3}}]}
    with pytest.raises(RecipeError, match="allow_code: true"):
        recipe.load(words)
    assert recipe.load(words | {"allow_code": True}).process[0].settings["model"].endswith("train.py")


def test_a_model_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="neither 'proxy', nor a folder with a model"):
        trainers.place("nowhere/at/all")
    assert trainers.place("proxy") == ""


def test_a_recipe_selects_in_rounds(tmp_path):
    model = make(tmp_path / "model", ["good", "day", "plant", "apple", "trees", "stock", "prices", "fell", "sharply", "again"])
    (tmp_path / "train.py").write_text(PROGRAM)
    rows = [{"text": f"{'a good day to plant apple trees' if i % 2 else 'stock prices fell sharply again'} {i}"} for i in range(60)]
    step = {"model": str(tmp_path / "train.py"), "k": 2, "rounds": 3, "select_num": 30, "eta": 3.0, "floor": 0.0}
    done = apply([{"text_embedding_mapper": {"model": str(model)}}, {"iterative_diversity_selector": step}], rows, allow_code=True)
    kept = [r["text"] for r in done.table.to_pylist()]
    assert len(kept) == 30 and sum("good" in t for t in kept) > 20
    facts = done.manifest["steps"][-1]["facts"]
    assert [sum(p) for p in facts["picked"]] == [10, 10, 10] and facts["left"] == 0


def test_rounds_are_kept_on_disk(tmp_path):
    state = trainers.SavedRounds(tmp_path / "rounds.json")
    assert state.load() is None
    state.save({"rounds": [{"ids": [1, -(2**62)]}]})
    assert state.load() == {"rounds": [{"ids": [1, -(2**62)]}]}


def test_adapters_learn_what_they_are_shown(tmp_path):
    pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    import torch

    from tamis.selectors.influence.lora import LoraTrainer
    from tamis.selectors.influence.proxy import Proxy, ProxySettings

    rng = np.random.default_rng(0)
    texts = [f"question {w} answer {w * 2} and nothing else is said" for w in rng.integers(0, 9, 40)]
    words = Proxy(texts, ProxySettings(vocabulary=300))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words._words).save_pretrained(tmp_path)
    torch.manual_seed(0)
    shape = transformers.LlamaConfig(vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                     num_attention_heads=2, max_position_embeddings=128)
    transformers.LlamaForCausalLM(shape).save_pretrained(tmp_path)
    made = LoraTrainer(str(tmp_path), "progress", rate=1e-2, epochs=4, context=64, device="cpu")
    odd = ["".join(rng.permutation(list(texts[0]))) for _ in range(6)]
    scores = made.scores(texts[:30], texts[30:36] + odd, 0)
    assert scores[:6].min() > scores[6:].max() and json.dumps(scores.tolist()) == json.dumps(made.scores(texts[:30], texts[30:36] + odd, 0).tolist())
