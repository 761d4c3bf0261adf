"""Rewards of texts by a small causal model: the sign, the same in any order and batch, fitted once and taken up."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
from scipy.stats import spearmanr
from tiny_causal import COOKING, SAILING, gradient, make, mean_loss

from tamis.operators.scorers import influence_reward
from tamis.selectors.influence.ready import InfluenceJob, answers, digest
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
from tamis.selectors.influence.saving import OtherArgumentsError

SETTINGS = InfluenceSettings(device="cpu", context=32, overlap=4, batch_tokens=128, layers="mlp")
REFERENCE = [("salt the onion and boil the rice in butter", 0), ("bake the soup and stir the hot bread", 0)]
TEXTS = [*COOKING[:5], *SAILING[:5], " ".join(COOKING), " ".join(SAILING)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("tiny"), "llama", steps=60)


@pytest.fixture(scope="module")
def model(folder):
    return InfluenceModel(folder, SETTINGS)


@pytest.fixture(scope="module")
def factors(model):
    return model.factors(answers(TEXTS, None), range(len(TEXTS)))


def as_model(model: InfluenceModel, **settings) -> InfluenceModel:
    """The same loaded model with other settings."""
    made = object.__new__(InfluenceModel)
    made.__dict__ = {**model.__dict__, "settings": replace(model.settings, **settings)}
    return made


@pytest.fixture(scope="module")
def precise(tmp_path_factory):
    """A GPT-2 in float64, so that a step may be as small as it takes."""
    made = InfluenceModel(make(tmp_path_factory.mktemp("gpt2"), "gpt2", steps=60), SETTINGS)
    made._model.double()
    return made


@pytest.mark.parametrize("kind", ["ekfac", "identity"])
def test_a_step_on_a_row_does_to_the_reference_what_its_reward_says(precise, kind):
    """A step against the row's gradient, as the curvature sees it: what is rewarded lowers the loss, what is not raises it."""
    network = precise._model
    curved = {} if kind == "identity" else precise.factors(answers(TEXTS, None), range(len(TEXTS)))
    rewards = precise.rewards(answers(TEXTS, None), precise.query(curved, REFERENCE))
    documents, reference = precise.documents(answers(TEXTS, None)), precise.documents(REFERENCE)
    assert rewards.min() < 0 < rewards.max() and max(rewards[:5]) > max(rewards[5:10])

    def loss() -> float:
        with torch.no_grad():
            return float(np.mean([mean_loss(network, d).item() for d in reference]))

    def move(by: dict, rate: float) -> None:
        with torch.no_grad():
            for name, change in by.items():
                network.get_submodule(name).weight += rate * change[:, :-1].T
                network.get_submodule(name).bias += rate * change[:, -1]

    before, order = loss(), np.argsort(rewards[:10])
    for row in (order[0], order[1], order[-2], order[-1]):
        network.requires_grad_(True)
        step = {k: torch.from_numpy(v) for k, v in gradient(network, precise.layers, mean_loss(network, documents[row])).items()}
        step = step if kind == "identity" else {k: curved[k].solve(v, 0.1) for k, v in step.items()}
        rate = 1e-6 / max(v.norm().item() for v in step.values())
        move(step, -rate)
        assert (loss() - before) / rate == pytest.approx(-rewards[row], rel=0.01)
        move(step, rate)


def test_rewards_tell_what_more_of_a_row_does_in_training(precise):
    """A transformer of two layers, trained on from where it is, on all rows and on one of them once more: the reference loss then.

    Only the layers that are looked at are trained, by plain gradient steps, so that what is foretold is what is done.
    """
    network, documents, reference = precise._model, precise.documents(answers(TEXTS, None)), precise.documents(REFERENCE)
    factors = precise.factors(answers(TEXTS * 4, None), range(4 * len(TEXTS)))
    start = {k: v.clone() for k, v in network.state_dict().items()}

    def reference_loss() -> float:
        with torch.no_grad():
            return float(np.mean([mean_loss(network, d).item() for d in reference]))

    weights = [p for name, p in network.named_parameters() if any(name.startswith(layer) for layer in precise.layers)]
    found = []
    for more in range(10):
        network.load_state_dict(start)
        for p in weights:
            p.requires_grad_(True)
        optimiser = torch.optim.SGD(weights, lr=0.3)
        for step in range(12):
            loss = mean_loss(network, documents[step % 10]) / 2 + mean_loss(network, documents[more]) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found.append(-reference_loss())
    network.load_state_dict(start)
    rewards = {}
    for kind, curved in (("identity", {}), ("ekfac", factors)):
        told = precise.rewards(answers(TEXTS[:10], None), precise.query(curved, REFERENCE))
        rewards[kind] = spearmanr(told, found).statistic
    assert rewards["identity"] > 0.6, "a few plain steps go where plain gradients say"
    assert rewards["ekfac"] > 0.3, "which is not quite where training would end"


@pytest.mark.parametrize("score", ["dot", "cosine_mean"])
def test_batches_and_order_change_nothing_beyond_rounding(model, factors, score):
    query = as_model(model, score=score).query(factors, REFERENCE)
    told = as_model(model, score=score).rewards(answers(TEXTS, None), query)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    for batch_tokens in (1, 200, 10_000):
        again = as_model(model, score=score, batch_tokens=batch_tokens).rewards(answers([TEXTS[i] for i in order], None), query)
        assert np.abs(again - told[order]).max() < 1e-5 * np.abs(told).max()
    refitted = as_model(model, batch_tokens=10_000).factors(answers([TEXTS[i] for i in order], None), order.tolist())
    moved = as_model(model, score=score).rewards(answers(TEXTS, None), as_model(model, score=score).query(refitted, REFERENCE[::-1]))
    assert np.abs(moved - told).max() < 1e-3 * np.abs(told).max(), "through eigenvectors and damping, in float32"
    if score == "cosine_mean":
        assert np.abs(told).max() <= 1


def test_cosines_are_the_mean_over_the_reference_of_cosines(model, factors):
    """Word for word: each example's query of length 1, times each row's gradient of length 1."""
    cosine = as_model(model, score="cosine_mean")
    told = cosine.rewards(answers(TEXTS[:10], None), cosine.query(factors, REFERENCE))
    one_by_one = []
    for example in REFERENCE:
        query = model.query(factors, [example])
        flat = np.concatenate([query[k].numpy().ravel() for k in model.layers])
        model._model.requires_grad_(True)
        rows = [gradient(model._model, model.layers, mean_loss(model._model, d)) for d in model.documents(answers(TEXTS[:10], None))]
        each = np.array([np.concatenate([r[k].ravel() for k in model.layers]) for r in rows])
        one_by_one.append(each @ flat / np.linalg.norm(each, axis=1) / np.linalg.norm(flat))
    assert np.allclose(told, np.mean(one_by_one, axis=0), atol=1e-5)


def test_only_the_answer_counts(model):
    text = "stir the soup => the captain left the ship"
    (whole, start), (none, end), (same, zero) = answers([text, "no mark here", None], " =>")
    assert (whole[start:], end, same, zero) == (" the captain left the ship", len(none), "", 0)
    masked, bare, empty = model.documents([(whole, start), (text, 0), (none, end)])
    assert 0 < masked.told < bare.told and empty.told == 0
    told = "".join(model.reader.convert_ids_to_tokens(masked.tokens[masked.counts]))
    assert told.replace("Ġ", " ").strip() == "the captain left the ship"
    query = model.query({}, REFERENCE)
    assert model.rewards([(none, end), ("", 0)], query).tolist() == [0, 0]
    with pytest.raises(ValueError, match="no example with a token to predict"):
        model.query({}, [(none, end)])
    assert len(as_model(model, max_tokens=7).documents([(text, 0)])[0].tokens) == 7


def test_a_job_is_fitted_once_and_taken_up(model, tmp_path, monkeypatch):
    job, walks = InfluenceJob(model), []
    walk = type(model.network).walk
    monkeypatch.setattr(type(model.network), "walk", lambda self, *a, **k: walks.append(1) or walk(self, *a, **k))
    told = job.fit(tmp_path / "fit", TEXTS, range(len(TEXTS)), REFERENCE, tmp_path / "kept")
    assert told["fitted_rows"] == len(TEXTS) and told["layers"] == 6 and len(walks) == 3
    assert job.fit(tmp_path / "fit", TEXTS, range(len(TEXTS)), REFERENCE, tmp_path / "kept") == told and len(walks) == 3
    first = job.ready(tmp_path / "fit", REFERENCE).rewards([*TEXTS, TEXTS[0], None, ""], REFERENCE)
    assert first[0] == first[-3] and first[-2:].tolist() == [0, 0]
    assert np.allclose(first[:-3], job.rewards(TEXTS, REFERENCE), rtol=1e-5), "as in a notebook, where nothing is kept"
    probe = job.ready(tmp_path / "fit", REFERENCE).asked(TEXTS, REFERENCE)
    assert np.allclose(probe(np.array([7, 2])), first[[7, 2]], rtol=1e-4) and probe(np.array([], np.int64)).shape == (0,)
    walks.clear()
    other = [REFERENCE[0]]
    job.fit(tmp_path / "other", TEXTS, range(len(TEXTS)), other, tmp_path / "kept")
    assert len(walks) == 1, "another reference set, the same curvature"
    with pytest.raises(OtherArgumentsError, match="texts is '"):
        job.fit(tmp_path / "third", TEXTS[1:], range(len(TEXTS) - 1), REFERENCE, tmp_path / "kept")
    with pytest.raises(OtherArgumentsError, match=r"seed is 0 there, 1 here"):
        InfluenceJob(as_model(model, seed=1)).fit(tmp_path / "third", TEXTS, range(len(TEXTS)), REFERENCE, tmp_path / "kept")
    with pytest.raises(ValueError, match="examples is '"):
        job.ready(tmp_path / "fit", other)
    with pytest.raises(ValueError, match="another reference set"):
        job.ready(tmp_path / "fit", REFERENCE).rewards(TEXTS, other)
    with pytest.raises(ValueError, match="it has not been fitted"):
        job.ready(tmp_path / "nowhere", REFERENCE)
    assert digest(REFERENCE) != digest(REFERENCE[::-1])
    plain = InfluenceJob(as_model(model, curvature="identity"))
    assert plain.fit(tmp_path / "plain", TEXTS, range(len(TEXTS)), REFERENCE)["fitted_tokens"] == 0
    assert np.allclose(plain.ready(tmp_path / "plain", REFERENCE).rewards(TEXTS, REFERENCE), plain.rewards(TEXTS, REFERENCE), rtol=1e-5)


def test_the_operator_is_a_plain_function(model):
    import pyarrow as pa

    given = {"model": "", "reference": {}}
    told = influence_reward(pa.array([COOKING[0], None, SAILING[0]]), scorer=InfluenceJob(model), examples=REFERENCE, **given)
    assert told.type == pa.float64() and told.is_null().to_pylist() == [False, True, False]
    assert told[0].as_py() > told[2].as_py()


def test_a_folder_without_a_model_is_told(tmp_path, folder):
    with pytest.raises(ValueError, match="holds no causal model that can be loaded"):
        InfluenceModel(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="'nothing' is found in the name of no linear layer"):
        InfluenceModel(folder, replace(SETTINGS, layers="nothing"))


def test_weights_that_are_broken_or_not_there_are_told_and_never_drawn_at_random(tmp_path, folder):
    import shutil

    from safetensors.torch import load_file, save_file

    other = shutil.copytree(folder, tmp_path / "other")
    whole, file = (other / "model.safetensors").read_bytes(), other / "model.safetensors"
    for broken in (whole[:-100], b"\xff" * 50, b""):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="holds no causal model that can be loaded"):
            InfluenceModel(other, SETTINGS)
    file.write_bytes(whole)
    weights = load_file(file)
    for name in ("lm_head.weight", "model.layers.1.mlp.down_proj.weight"):
        save_file({k: v for k, v in weights.items() if k != name}, file, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=rf"1 of its weights are not there \({name}\)"):
            InfluenceModel(other, SETTINGS)


def test_a_tokenizer_of_another_model_is_told(tmp_path, folder):
    import json
    import shutil

    other = shutil.copytree(folder, tmp_path / "other")
    words = json.loads((other / "tokenizer.json").read_text())
    words["model"]["vocab"] = {k: v + 290 if v > 9 else v for k, v in words["model"]["vocab"].items()}
    (other / "tokenizer.json").write_text(json.dumps(words))
    strange = InfluenceModel(other, SETTINGS)
    with pytest.raises(ValueError, match="the tokenizer gives token .*, the model knows 300: the two are not of one model"):
        list(strange.batches(strange.documents([(COOKING[0], 0)])))
    assert list(strange.batches(strange.documents([("", 0)]))) == []


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("fused", [False, True])
def test_rewards_by_difference_are_those_of_the_gradients(tmp_path, kind, fused):
    """Weights and biases, one layer or fused ones, of either layout; and the weights are afterwards what they were."""
    made = InfluenceModel(make(tmp_path, kind, steps=60), replace(SETTINGS, layers=None, fused=fused))
    before = {k: v.clone() for k, v in made._model.state_dict().items()}
    by = as_model(made, product="difference")
    query = by.query(made.factors(answers(TEXTS, None), range(len(TEXTS))), REFERENCE)
    told, again = (m.rewards(answers([*TEXTS, ""], None), query) for m in (made, by))
    assert np.abs(again - told).max() < 2e-3 * np.abs(told).max() and again[-1] == 0
    assert by.rewards(REFERENCE, query).mean() == pytest.approx(float(query["slope"]), rel=2e-3)
    assert all(torch.equal(v, before[k]) for k, v in made._model.state_dict().items())
    for block in made.layers:
        other = by.rewards(answers(TEXTS[:2], None), query | {block: query[block] * 0})
        assert np.abs(other - told[:2]).max() > 1e-3 * np.abs(told).max(), "each block's part of the query counts"
    assert by.rewards(answers(TEXTS, None), query | {"slope": torch.zeros(())}).tolist() == [0.0] * len(TEXTS)
    with pytest.raises(ValueError, match="made for product: gradient"):
        by.rewards(answers(TEXTS, None), made.query({}, REFERENCE))


def test_a_difference_counts_answers_and_windows_as_gradients_do(model, factors):
    """Only what follows the mark; the text of all in several windows, whose weights make the mean per token."""
    query = as_model(model, product="difference").query(factors, REFERENCE)
    asked = answers([*(f"{t} : {TEXTS[i]}" for i, t in enumerate(TEXTS[1:])), "no mark"], " : ")
    told, again = (as_model(model, product=p).rewards(asked, query) for p in ("gradient", "difference"))
    assert np.abs(again - told).max() < 2e-3 * np.abs(told).max() and again[-1] == told[-1] == 0
    alone = [as_model(model, product="difference", batch_tokens=1).rewards([one], query)[0] for one in asked[:3]]
    assert np.abs(np.array(alone) - again[:3]).max() < 2e-3 * np.abs(told).max(), "whoever is beside it"


def test_a_difference_that_cannot_be_told_is_refused(folder):
    with pytest.raises(ValueError, match="no cosine: use score: dot"):
        InfluenceModel(folder, replace(SETTINGS, product="difference", score="cosine_mean"))
    with pytest.raises(ValueError, match="needs precision: float32"):
        InfluenceModel(folder, replace(SETTINGS, product="difference", precision="bfloat16"))


@pytest.mark.parametrize("product", ["gradient", "difference"])
def test_on_a_processor_one_thread_computes(model, tmp_path, monkeypatch, product):
    """The last bits of sums depend on how many threads there are, so fitting and asking take one, and leave torch as it was."""
    counts, forward = set(), type(model)._forward
    monkeypatch.setattr(type(model), "_forward", lambda self, ids: counts.add(torch.get_num_threads()) or forward(self, ids))
    asked = InfluenceJob(as_model(model, product=product))
    asked.model.network = replace(asked.model.network, forward=asked.model._forward)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        asked.fit(tmp_path, TEXTS, range(len(TEXTS)), REFERENCE)
        asked.ready(tmp_path, REFERENCE).rewards(TEXTS, REFERENCE)
        asked.rewards(TEXTS[:2], REFERENCE)
        assert counts == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
