"""LESS, low-rank adapters and checkpointing: against autograd, one row at a time, and against the same without them."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
from safetensors.torch import save_file
from tiny_causal import COOKING, SAILING, make, mean_loss

from tamis.selectors.influence.gradients import Rows
from tamis.selectors.influence.less import Checkpoint, less_rewards, read_averages
from tamis.selectors.influence.ready import answers
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings

SETTINGS = InfluenceSettings(device="cpu", context=32, overlap=4, batch_tokens=128, layers="mlp")
TEXTS = answers([*COOKING[:4], *SAILING[:4], " ".join(COOKING), ""], None)
TASKS = [answers(["salt the onion and boil the rice in butter", "bake the soup"], None), answers(["raise the mast at dawn"], None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("tiny"), "llama", steps=40)


def averages_of(model: InfluenceModel, seed: int) -> dict:
    drawn = torch.Generator().manual_seed(seed)
    shapes = {b.name: b.shape for b in model.network.blocks}
    return {n: (torch.randn(s, generator=drawn) * 1e-3, torch.rand(s, generator=drawn) * 1e-5) for n, s in shapes.items()}


def by_autograd(model: InfluenceModel, text, averages=None) -> np.ndarray:
    """A row's plain gradient, or Adam's step on it by the rule of the paper, layer by layer in the order of their names."""
    (document,) = model.documents([text])
    if not document.told:
        return np.zeros(1)
    cut = replace(document, tokens=document.tokens[:32], counts=document.counts[:32])
    parts = []
    for name in sorted(model.layers):
        weight = model._model.get_submodule(name).weight
        weight.requires_grad_(True)
        (g,) = torch.autograd.grad(mean_loss(model._model, cut), [weight])
        weight.requires_grad_(False)
        if averages:
            first, second = averages[name]
            g = (0.9 * first + 0.1 * g) / torch.sqrt(0.999 * second + 0.001 * g**2 + 1e-8)
        parts.append(g.double().numpy().ravel())
    return np.concatenate(parts)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) if a.any() and b.any() else 0.0


def test_rewards_are_those_of_the_paper_one_row_at_a_time(folder):
    """Two checkpoints with rates and averages of their own; the mean over a task's examples, the best of two tasks."""
    first = InfluenceModel(folder, SETTINGS)
    second = InfluenceModel(folder, SETTINGS)
    with torch.no_grad():
        for name in second.layers:
            second._model.get_submodule(name).weight.mul_(1.1)
    checkpoints = [Checkpoint(first, 0.3, averages_of(first, 1)), Checkpoint(second, 0.1, averages_of(second, 2))]
    told = less_rewards(checkpoints, TEXTS, TASKS, size=None)
    expected = np.zeros((2, len(TEXTS)))
    for here in checkpoints:
        wanted = [[by_autograd(here.model, e) for e in task] for task in TASKS]
        for i, text in enumerate(TEXTS):
            step = by_autograd(here.model, text, here.averages)
            for j, examples in enumerate(wanted):
                expected[j, i] += here.rate * np.mean([cosine(step, e) for e in examples]) if text[0] else 0.0
    assert np.abs(told - expected.max(axis=0)).max() < 1e-5 and told[-1] == 0
    plain = less_rewards([Checkpoint(first)], TEXTS, TASKS[:1], size=None)
    assert np.abs(plain - less_rewards(checkpoints[:1], TEXTS, TASKS[:1], size=None) / 0.3).max() > 1e-2, "Adam's averages matter"
    alone = [less_rewards(checkpoints, [t], TASKS, size=None)[0] for t in TEXTS[:3]]
    assert np.allclose(alone, told[:3], atol=1e-6), "whoever is beside it"


def test_projected_rewards_are_near_the_whole_ones(folder):
    model = InfluenceModel(folder, SETTINGS)
    here = [Checkpoint(model, 1.0, {k: (a * 0, b) for k, (a, b) in averages_of(model, 1).items()})]
    whole = less_rewards(here, TEXTS[:-1], TASKS[:1], size=None)
    drawn = np.array([less_rewards(here, TEXTS[:-1], TASKS[:1], size=12, seed=s) for s in range(12)])
    assert np.abs(drawn.mean(axis=0) - whole).max() < 0.1 and np.corrcoef(drawn.mean(axis=0), whole)[0, 1] > 0.9
    assert np.abs(drawn[0] - drawn[1]).max() > 0, "by the seed"


def test_what_less_cannot_be_asked_is_told(folder, tmp_path):
    model = InfluenceModel(folder, SETTINGS)
    averages = averages_of(model, 1)
    with pytest.raises(ValueError, match="at least one checkpoint"):
        less_rewards([], TEXTS, TASKS)
    with pytest.raises(ValueError, match="no averages of Adam for layer"):
        less_rewards([Checkpoint(model, 1.0, dict(list(averages.items())[:1]))], TEXTS, TASKS)
    turned = {k: (a.T.contiguous(), b) for k, (a, b) in averages.items()}
    with pytest.raises(ValueError, match="Adam's averages of layer"):
        less_rewards([Checkpoint(model, 1.0, turned)], TEXTS, TASKS)
    held = {f"{k}.{n}": v for k, pair in averages.items() for n, v in zip(("exp_avg", "exp_avg_sq"), pair, strict=True)}
    save_file(held, tmp_path / "adam.safetensors")
    again = read_averages(tmp_path / "adam.safetensors")
    assert again.keys() == averages.keys() and all(torch.equal(again[k][1], averages[k][1]) for k in again)
    held.pop(next(k for k in held if k.endswith("_sq")))
    save_file(held, tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match="exp_avg_sq is missing"):
        read_averages(tmp_path / "half.safetensors")


def write_adapter(folder, model: InfluenceModel, rank: int = 2, **told) -> dict:
    """An adapter of every layer with `mlp` in its name, as peft names and shapes it; the matrices by layer."""
    drawn, held, pairs = torch.Generator().manual_seed(0), {}, {}
    for name in model.layers:
        outputs, inputs = model._model.get_submodule(name).weight.shape
        pairs[name] = torch.randn(rank, inputs, generator=drawn) * 0.1, torch.randn(outputs, rank, generator=drawn) * 0.1
        for side, weight in zip("AB", pairs[name], strict=True):
            held[f"base_model.model.{name}.lora_{side}.weight"] = weight.contiguous()
    folder.mkdir()
    save_file(held, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 8, **told}))
    return pairs


def test_an_adapters_model_is_the_one_with_its_products_added_and_its_gradients_are_autograds(folder, tmp_path):
    plain = InfluenceModel(folder, SETTINGS)
    pairs = write_adapter(tmp_path / "lora", plain)
    tuned = InfluenceModel(folder, replace(SETTINGS, layers=None, adapter=str(tmp_path / "lora")))
    assert tuned.layers == [f"{name}.lora_{side}" for name in plain.layers for side in "AB"]
    assert tuned.identity != plain.identity and tuned.identity.startswith(plain.identity)
    ids = torch.tensor([[5, 9, 30, 41, 7]])
    for name, (down, up) in pairs.items():
        plain._model.get_submodule(name).weight.data += 4 * up @ down  # alpha / r
    assert torch.allclose(plain._model(input_ids=ids).logits, tuned._model(input_ids=ids).logits, atol=1e-5)
    documents = tuned.documents(TEXTS[:3])
    rows = Rows(3)
    tuned.network.walk(tuned.batches(documents), rows)
    for layer in tuned.layers:
        weight = tuned._model.get_submodule(layer).weight.requires_grad_(True)
        for i, document in enumerate(documents):
            expected = torch.autograd.grad(mean_loss(tuned._model, document), [weight])[0]
            assert np.abs(rows.found[layer][i] - expected.numpy()).max() < 1e-5
        weight.requires_grad_(False)
    assert np.abs(less_rewards([Checkpoint(tuned)], TEXTS, TASKS, size=None)).max() > 0.01


@pytest.mark.parametrize(("told", "words"), [
    ({"use_dora": True}, "use_dora is True"), ({"bias": "all"}, "bias is 'all'"), ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
    ({"lora_alpha": None, "r": 0}, "names no r")])
def test_an_adapter_of_another_kind_is_refused(folder, tmp_path, told, words):
    write_adapter(tmp_path / "lora", InfluenceModel(folder, SETTINGS), **told)
    with pytest.raises(ValueError, match=words):
        InfluenceModel(folder, replace(SETTINGS, adapter=str(tmp_path / "lora")))


def test_an_adapter_of_another_model_is_refused(folder, tmp_path):
    write_adapter(tmp_path / "lora", InfluenceModel(folder, SETTINGS))
    other = make(tmp_path / "gpt2", "gpt2")
    with pytest.raises(ValueError, match="is of another model"):
        InfluenceModel(other, replace(SETTINGS, adapter=str(tmp_path / "lora")))
    with pytest.raises(ValueError, match="holds no adapter"):
        InfluenceModel(folder, replace(SETTINGS, adapter=str(other)))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("fused", [False, True])
def test_layers_that_run_again_give_the_very_same_gradients(tmp_path, kind, fused):
    """And each stacked layer has run once more for every batch; afterwards the model is what it was."""
    here = make(tmp_path, kind, steps=20)
    plain = InfluenceModel(here, replace(SETTINGS, layers=None, fused=fused))
    again = InfluenceModel(here, replace(SETTINGS, layers=None, fused=fused, checkpointing=True))
    counts = []
    layer = again._model.get_submodule("model.layers.0" if kind == "llama" else "transformer.h.0")
    (layer.mlp.down_proj if kind == "llama" else layer.mlp.c_proj).register_forward_pre_hook(lambda *_: counts.append(1))
    found, held = [], [0, 0]
    for i, model in enumerate((plain, again)):
        rows = Rows(len(TEXTS))

        def packed(x, i=i):
            held[i] += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(packed, lambda x: x):
            model.network.walk(model.batches(model.documents(TEXTS)), rows, labels="sampled")
        found.append(rows.flat())
    assert np.array_equal(found[0], found[1]) and np.abs(found[0]).max() > 0
    batches = len(list(again.batches(again.documents(TEXTS))))
    assert len(counts) == 2 * batches and held[1] < held[0]
    assert "forward" not in layer.__dict__
