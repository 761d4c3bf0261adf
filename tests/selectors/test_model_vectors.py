"""Vectors of rows by a causal model: gradients as autograd has them, the same without a backward pass, hidden states as the model has them."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("faiss")
import torch
import transformers
from tiny_causal import COOKING, SAILING, gradient, make, mean_loss

from tamis.selectors.influence import zeroth_order
from tamis.selectors.influence.gradients import Features
from tamis.selectors.influence.prompted import documents
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
from tamis.selectors.influence.samples import SampleModel
from tamis.selectors.influence.vectors import gradient_vectors, hidden_vectors
from tamis.selectors.influence.zeroth_order import zeroth_order_vectors
from tamis.selectors.parts.agreement import rand_index
from tamis.selectors.parts.cluster import kmeans

PAIRS = [("", t) for t in COOKING[:5]] + [("raise the sail\n", t) for t in SAILING[:5]] + [("", "a")]


def loaded(folder, layers: str | None = None, **settings) -> InfluenceModel:
    return InfluenceModel(folder, InfluenceSettings(device="cpu", context=48, layers=layers, **settings))


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp(request.param), request.param, steps=60)


def exact_of(model: InfluenceModel, found) -> np.ndarray:
    """float64[n, parameters], by autograd, one row at a time."""
    layers = [layer for block in model.network.blocks for layer in block.layers]
    model._model.requires_grad_(True)
    rows = [gradient(model._model, layers, mean_loss(model._model, d)) if d.told else None for d in found]
    model._model.requires_grad_(False)
    wide = sum(outputs * inputs for outputs, inputs in (b.shape for b in model.network.blocks))
    return np.array([np.zeros(wide) if row is None else np.concatenate([row[layer].ravel() for layer in layers]) for row in rows])


def test_gradient_vectors_are_projections_of_the_gradient(folder):
    model = loaded(folder)
    model._model.double()
    found = documents(model.reader, PAIRS, 48)
    sides = {size: gradient_vectors(model, found, size * size, 3) for size in (4, 32)}
    apart = Features(len(found), 4, 3)
    model.network.walk(model.batches(found), apart)
    summed = apart.found.reshape(len(found), -1, 16).sum(axis=1)
    assert np.allclose(sides[4], summed, atol=1e-12), "layers added up"
    exact = exact_of(model, found)
    gram = exact @ exact.T
    errors = [np.sqrt(((v @ v.T - gram) ** 2).mean() / (gram**2).mean()) for v in sides.values()]
    assert errors[1] < min(0.4, errors[0] / 2), "the larger, the nearer"
    assert not sides[32][-1].any() and not exact[-1].any(), "of one token nothing is predicted"
    with pytest.raises(ValueError, match="the square of a whole number"):
        gradient_vectors(model, found, 1000, 0)


def directions(model: InfluenceModel, probes: int, seed: int) -> np.ndarray:
    """float64[probes, parameters], as autograd's rows lie: of each layer the weights, outputs first, the bias behind each output's."""
    rows = []
    for j in range(probes):
        parts = []
        for layer in (layer for block in model.network.blocks for layer in block.layers):
            module = model._model.get_submodule(layer)
            weight = zeroth_order._signs(seed, j, f"{layer}.weight", module.weight.data)
            weight = weight.T if type(module).__name__ == "Conv1D" else weight
            if module.bias is not None:
                weight = torch.cat([weight, zeroth_order._signs(seed, j, f"{layer}.bias", module.bias.data)[:, None]], dim=1)
            parts.append(weight.double().numpy().ravel())
        rows.append(np.concatenate(parts))
    return np.array(rows)


@pytest.mark.parametrize("layers", [None, r"\.1\."])
@pytest.mark.parametrize("batch_tokens", [1, 4096])
def test_a_zeroth_order_vector_is_the_gradient_along_the_probes(folder, layers, batch_tokens):
    """Against autograd, one row at a time."""
    model = loaded(folder, layers, batch_tokens=batch_tokens)
    model._model.double()
    found, before = documents(model.reader, PAIRS, 48), {k: v.clone() for k, v in model._model.state_dict().items()}
    told = zeroth_order_vectors(model, found, 6, 1e-4, 5)
    assert all(torch.equal(v, before[k]) for k, v in model._model.state_dict().items()), "the weights are as they were, to the bit"
    wanted = exact_of(model, found) @ directions(model, 6, 5).T / np.sqrt(6)
    assert np.abs(told - wanted).max() < 3e-4 * np.abs(wanted).max(), "float32 norms of a Llama, over a step of 1e-4"
    assert {k.shape for k in (told, wanted)} == {(11, 6)} and not told[-1].any()
    assert not np.allclose(told, zeroth_order_vectors(model, found, 6, 1e-4, 6)), "another seed, other probes"
    assert np.allclose(told[:3], zeroth_order_vectors(model, found[:3], 6, 1e-4, 5), atol=1e-4 * np.abs(wanted).max()), "the same for all rows"


def test_below_the_probed_layers_the_model_is_run_once(folder, monkeypatch):
    model = loaded(folder, r"\.1\.", batch_tokens=64)
    found, runs = documents(model.reader, PAIRS, 48), []
    (below,) = zeroth_order._below(model)
    handle = below.register_forward_hook(lambda *_: runs.append(1))
    inner = next(m for m in below.modules() if type(m).__name__ in ("Linear", "Conv1D"))
    inner.register_forward_hook(lambda *_: runs.append("inner"))
    told = zeroth_order_vectors(model, found, 8, 1e-3, 0)
    batches = sum(1 for _ in model.batches(found))
    assert runs.count("inner") == batches > 2
    handle.remove()
    monkeypatch.setattr(zeroth_order, "_answering", lambda answer: lambda *_, **__: type(answer)(a * 0 for a in answer)
                        if isinstance(answer, tuple) else answer * 0)
    assert np.array_equal(zeroth_order_vectors(model, found, 8, 1e-3, 0), told), "what answers otherwise is run whole"
    monkeypatch.setattr(zeroth_order, "_below", lambda model: [])
    assert np.array_equal(zeroth_order_vectors(model, found, 8, 1e-3, 0), told)
    assert zeroth_order_vectors(model, [], 8, 1e-3, 0).shape == (0, 8) and "forward" not in below.__dict__


def test_weights_come_back_when_something_fails(folder, monkeypatch):
    model = loaded(folder, r"\.1\.")
    found, before = documents(model.reader, PAIRS, 48), {k: v.clone() for k, v in model._model.state_dict().items()}

    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zeroth_order, "_losses", fails)
    with pytest.raises(KeyboardInterrupt):
        zeroth_order_vectors(model, found, 3, 0.5, 0)
    assert all(torch.equal(v, before[k]) for k, v in model._model.state_dict().items())
    assert not any("forward" in m.__dict__ for m in model._model.modules())


@pytest.fixture(scope="module")
def told_apart(tmp_path_factory):
    """Three tasks, each a way to go on whatever comes before: 128 probes and the exact gradients of eight rows of each."""
    model = loaded(make(tmp_path_factory.mktemp("tasks"), "llama", steps=60), "mlp")
    model._model.double()
    found = documents(model.reader, [(text, answer) for answer in (" rice", " storm", " <<>>") for text in (*COOKING[:4], *SAILING[:4])], 48)
    return zeroth_order_vectors(model, found, 128, 1e-3, 0) * np.sqrt(128), exact_of(model, found)


def test_the_error_of_the_products_falls_with_the_root_of_the_probes(told_apart):
    """SPECS 4, what to test, 4."""
    numbers, exact = told_apart
    gram = exact @ exact.T
    errors = []
    for probes in (2, 8, 32):
        parts = [numbers[:, i : i + probes] for i in range(0, 128, probes)]
        errors.append(np.sqrt(np.mean([((p @ p.T / probes - gram) ** 2).mean() for p in parts])) / np.sqrt((gram**2).mean()))
    assert errors[0] > errors[1] > errors[2] and np.log(errors[0] / errors[2]) / np.log(16) == pytest.approx(0.5, abs=0.15)
    whole = numbers @ numbers.T / 128
    assert np.sqrt(((whole - gram) ** 2).mean()) < 0.35 * np.sqrt((gram**2).mean())


def test_shared_probes_tell_tasks_apart_and_new_ones_for_each_row_do_not(told_apart):
    """SPECS 4, what to test, 4: as the paper means it, and as the released code does it (SPECS 4.6)."""
    numbers, exact = told_apart
    task = np.repeat(np.arange(3), 8)
    chance = np.random.default_rng(0).choice([-1.0, 1.0], exact.shape)
    own = (exact * chance).sum(axis=1, keepdims=True) * chance  # what a row's estimate is where each row has a probe of its own
    exactly, shared, apart = (rand_index(kmeans(v.astype(np.float32), 3, seed=1).labels, task) for v in (exact, numbers, own))
    assert exactly >= 0.8 and shared >= 0.8 and abs(apart) < 0.2


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_hidden_vectors_are_means_over_the_row(folder, layer):
    model = loaded(folder, batch_tokens=64)
    found = documents(model.reader, PAIRS, 48)
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    told = hidden_vectors(model, found, layer)
    for row, document in enumerate(found[:-1]):
        ids = torch.from_numpy(document.tokens[:-1])[None]
        wanted = whole(input_ids=ids, output_hidden_states=True).hidden_states[layer][0].double().mean(dim=0).detach().numpy()
        assert told[row] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert not told[-1].any()
    with pytest.raises(ValueError, match="this model has 0"):
        hidden_vectors(model, found, 9)


def test_equal_rows_have_equal_vectors_and_threads_are_one(folder):
    asked = SampleModel(loaded(folder, batch_tokens=64))
    texts, prompts, before = [COOKING[0], COOKING[1], COOKING[0]], ["", "", ""], torch.get_num_threads()
    for kind in ("gradient", "zeroth_order", "hidden"):
        found = asked.vectors(texts, prompts, vectors=kind, dimension=64, probes=4)
        assert np.array_equal(found[0], found[2]) and not np.allclose(found[0], found[1])
        torch.set_num_threads(2)
        assert np.array_equal(asked.vectors(texts, prompts, vectors=kind, dimension=64, probes=4), found)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(before)
    assert asked.count_tokens([COOKING[0], None, ""]).tolist()[1:] == [0, 0] and asked.vectors([], [], dimension=16).shape == (0, 16)
