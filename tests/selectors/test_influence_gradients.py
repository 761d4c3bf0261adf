"""Gradients by row as factors: equal to autograd's, one row at a time, whatever is beside them, padded, masked or cut."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_causal import COOKING, SAILING, gradient, make, mean_loss

from tamis.selectors.influence.blocks import Block, blocks_of, linear_layers
from tamis.selectors.influence.documents import Document, batches, windows
from tamis.selectors.influence.gradients import Features, Mean, Products, Rows, squares
from tamis.selectors.influence.network import Network, sampled
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request, tmp_path_factory):
    folder = make(tmp_path_factory.mktemp(request.param), request.param, steps=40)
    made = InfluenceModel(folder, InfluenceSettings(device="cpu", context=24, overlap=3))
    made._model.double()  # so that what is compared is the algebra; but a Llama's norms are float32 all the same
    made.near = 3e-6 if request.param == "llama" else 1e-12
    return made


@pytest.fixture(scope="module")
def documents(model):
    """Short and long ones, some with a part that is only read."""
    told = [*COOKING[:4], *SAILING[:3], " and ".join(SAILING[:4]), COOKING[0] + " then " + " ".join(COOKING[1:6]), "a"]
    found = model.documents([(t, 12 if i % 3 == 1 else 0) for i, t in enumerate(told)])
    assert max(len(d.tokens) for d in found) > 48 and any(not d.counts[1:].all() for d in found)
    return found


def spans(length: int, context: int = 24, overlap: int = 3) -> list[tuple[int, int, int]]:
    """Windows as the words of the documentation have them: (start, end, first token that counts)."""
    found, end = [], 1
    while end < length:
        start = max(0, end - overlap) if found else 0
        stop = min(start + context, length)
        found.append((start, stop, end))
        end = stop
    return found


def by_autograd(model, documents) -> np.ndarray:
    """float64[rows, parameters]: one document after the other, no padding, no batch."""
    layers = [layer for block in model.network.blocks for layer in block.layers]
    model._model.requires_grad_(True)
    rows = []
    for document in documents:
        if not document.told:
            rows.append(np.zeros(sum(o * i for o, i in (b.shape for b in model.network.blocks))))
            continue
        found = gradient(model._model, layers, mean_loss(model._model, document, spans(len(document.tokens))))
        rows.append(np.concatenate([found[layer].ravel() for layer in layers]))
    return np.array(rows)


@pytest.fixture(scope="module")
def exact(model, documents):
    return by_autograd(model, documents)


def walked(model, found, consumer, batch_tokens: int):
    model.network.walk(batches(found, batch_tokens, most=24), consumer)
    return consumer


def in_order(model, held: dict) -> np.ndarray:
    return np.concatenate([np.asarray(held[b.name]).reshape(len(held[b.name]), -1) for b in model.network.blocks], axis=1)


@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_rows_are_those_of_autograd(model, documents, exact, batch_tokens):
    rows = walked(model, windows(documents, 24, 3), Rows(len(documents)), batch_tokens)
    got = in_order(model, rows.found)
    assert np.abs(exact).max() > 1e-3 and np.abs(got - exact).max() < model.near * np.abs(exact).max()
    assert not exact[-1].any(), "a document of one token predicts nothing"


def test_mean_products_and_lengths_need_no_matrix_of_a_row(model, documents, exact):
    found, n = windows(documents, 24, 3), len(documents)
    mean = walked(model, found, Mean(), 64).sums
    off = in_order(model, {k: v[None] for k, v in mean.items()})[0] - exact.sum(axis=0)
    assert np.abs(off).max() < 10 * model.near * np.abs(exact).max()
    chance = torch.Generator().manual_seed(1)
    query = {b.name: torch.randn(b.shape, generator=chance, dtype=torch.float64) for b in model.network.blocks}
    flat = np.concatenate([query[b.name].numpy().ravel() for b in model.network.blocks])
    assert np.allclose(walked(model, found, Products(n, query), 64).rewards, exact @ flat, rtol=0, atol=100 * model.near)
    short = [i for i, d in enumerate(documents) if d.told and len(d.tokens) <= 24]
    cosines = walked(model, found, Products(n, query, cosine=True), 64).rewards
    assert np.allclose(cosines[short], (exact @ flat)[short] / np.linalg.norm(exact[short], axis=1), rtol=0, atol=300 * model.near)
    assert cosines[-1] == 0


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_lengths_by_positions_are_those_of_the_matrices(length, outputs, inputs, seed):
    chance = torch.Generator().manual_seed(seed)
    a, d = (torch.randn((3, length, n), generator=chance, dtype=torch.float64) for n in (inputs, outputs))
    assert torch.allclose(squares(a, d), (d.transpose(1, 2) @ a).square().sum(dim=(1, 2)))


def test_a_model_in_float32_is_as_near_as_float32_is(model, documents, exact):
    model._model.float()
    try:
        rows = walked(model, windows(documents, 24, 3), Rows(len(documents)), 64)
        scale = np.abs(exact).max()
        assert np.abs(in_order(model, rows.found) - exact).max() < 2e-5 * scale
        model._model.bfloat16()
        told = in_order(model, walked(model, windows(documents, 24, 3), Rows(len(documents)), 64).found)
        cosines = (told[:-1] * exact[:-1]).sum(1) / np.linalg.norm(told[:-1], axis=1) / np.linalg.norm(exact[:-1], axis=1)
        assert cosines.min() > 0.99, "sums are float32, whatever the model runs in"
    finally:
        make_double(model)


def make_double(model) -> None:
    """The weights as they were saved, in float64: bfloat16 has rounded them."""
    from transformers import AutoModelForCausalLM

    fresh = AutoModelForCausalLM.from_pretrained(model._model.config._name_or_path).double()
    model._model.double().load_state_dict(fresh.state_dict())


@given(st.lists(st.integers(0, 70), min_size=1, max_size=6), st.integers(2, 30), st.data())
def test_every_token_counts_once_and_sees_what_the_overlap_says(lengths, context, data):
    overlap = data.draw(st.integers(1, context - 1))
    rng = np.random.default_rng(len(lengths))
    given_to = [Document(np.arange(n), rng.random(n) < 0.8, i) for i, n in enumerate(lengths)]
    counted: dict[int, list[int]] = {i: [] for i in range(len(lengths))}
    for window in windows(given_to, context, overlap):
        assert 2 <= len(window.tokens) <= context and not window.counts[0]
        mine = window.tokens[window.counts]
        counted[window.row] += mine.tolist()
        assert window.number == 0 or (mine - window.tokens[0]).min() >= overlap
        assert window.weight == 1 / given_to[window.row].told
    for i, document in enumerate(given_to):
        assert counted[i] == [t for t in document.tokens[1:].tolist() if document.counts[t]]


def test_batches_hold_one_width_and_no_more_than_they_may():
    found = windows([Document(np.arange(n), np.ones(n, bool), n) for n in (2, 5, 17, 18, 40, 41, 100, 3)], 50)
    seen = []
    for batch in batches(found, 64, most=49):
        assert len({*map(int, batch.real.sum(1) + 15 >= batch.inputs.shape[1])}) == 1
        assert batch.inputs.numel() <= 64 or len(batch.inputs) == 1
        assert batch.inputs.shape[1] % 16 == 0 or batch.inputs.shape[1] == 49
        assert not batch.counts[~batch.real].any()
        seen += [tuple(k) for k in batch.keys.tolist()]
    assert sorted(seen) == sorted((w.key, w.number) for w in found)
    with pytest.raises(ValueError, match="overlap is 0: at least 1"):
        windows([], 10, 0)


def test_drawn_labels_follow_the_model_and_their_row_alone():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])).expand(40, 500, 5)
    keys = np.array([(i, 0) for i in range(40)])
    drawn = sampled(logits, keys, seed=5)
    share = np.bincount(drawn.flatten().numpy(), minlength=5) / drawn.numel()
    assert np.abs(share - [0.5, 0.3, 0.15, 0.05, 0]).max() < 0.01 and share[4] == 0
    assert (sampled(logits[:3, :100], keys[[7, 3, 30]], seed=5) == drawn[[7, 3, 30], :100]).all()
    assert (sampled(logits, keys, seed=6) != drawn).any() and (sampled(logits, keys + np.array([0, 1]), seed=5) != drawn).any()


def factors(n: int, blocks: int, seed: int):
    """Made-up inputs and output gradients of some blocks, for rows of three positions; and the gradients that they mean."""
    rng = np.random.default_rng(seed)
    shapes = [(12, 20)] * blocks
    told = [(Block(str(i), (str(i),), str(i), s), *(torch.from_numpy(rng.normal(size=(n, 3, m))) for m in (s[1], s[0]))) for i, s in enumerate(shapes)]
    return told, np.concatenate([(d.transpose(1, 2) @ a).reshape(n, -1).numpy() for _, a, d in told], axis=1)


def features(told, size: int, seed: int) -> np.ndarray:
    n = len(told[0][1])
    batch = SimpleNamespace(rows=np.arange(n), weights=np.ones(n))
    made = Features(n, size, seed)
    for block, a, d in told:
        made.take(batch, block, a, d)
    return made.found


def test_projections_keep_products_and_break_when_blocks_are_in_another_order():
    told, exact = factors(6, 8, seed=0)
    lengths, errors = np.linalg.norm(exact, axis=1), {}
    for size in (2, 4, 8):
        off = [(f @ f.T - exact @ exact.T) / np.outer(lengths, lengths) for f in (features(told, size, seed) for seed in range(30))]
        errors[size] = float(np.sqrt(np.mean(np.square(off))))
        assert abs(np.mean(off)) < 0.1 * errors[size], "no leaning to either side"
    assert errors[8] < 0.6 * errors[4] and errors[4] < 0.6 * errors[2], "the numbers kept are four times as many: half the error"
    right = features(told, 8, 1)
    assert (features(told[::-1], 8, 1) == right).all(), "blocks are told by name, not by who comes first"
    others = [told[(i + 1) % 8] for i in range(8)]
    moved = features([(told[i][0], a, d) for i, (_, a, d) in enumerate(others)], 8, 1)
    assert ((right * right).sum(1) / lengths**2).min() > 0.7
    assert np.abs((right * moved).sum(1) / lengths**2).max() < 0.3, "one side in another order is noise"


def test_layers_are_named_and_their_inputs_shared(model):
    names = linear_layers(model._model)
    assert not any("lm_head" in n for n in names) and linear_layers(model._model, r"mlp") == [n for n in names if "mlp" in n]
    with pytest.raises(ValueError, match=r"'conv9' is found in the name of no linear layer; there are: "):
        linear_layers(model._model, "conv9")
    by_name = {b.name: b for b in model.network.blocks}
    assert [b.name for b in model.network.blocks] == names
    if "model.layers.0.self_attn.q_proj" in by_name:
        shared = {b.inputs for n, b in by_name.items() if "layers.0" in n and n.endswith(("q_proj", "k_proj", "v_proj"))}
        assert shared == {"model.layers.0.self_attn.q_proj"}
        assert by_name["model.layers.1.mlp.up_proj"].inputs == "model.layers.1.mlp.gate_proj"
        fused = blocks_of(model._model, model._probe, names, fused=True)
        joined = next(b for b in fused if b.layers[0].endswith("0.self_attn.q_proj"))
        assert len(joined.layers) == 3 and joined.shape == (16 + 8 + 8, 16) and len(fused) == len(names) - 4


class Twice(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.same, self.idle, self.end = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)
        self.dead = torch.nn.Linear(3, 3)

    def forward(self, x):
        self.dead(x)
        return self.end(self.same(self.same(x)))


def test_layers_that_cannot_be_told_apart_are_refused():
    model = Twice()
    x = torch.zeros((1, 1, 3))
    for layers, said in ((["same"], "same runs twice in a pass"), (["idle", "end"], "idle is not run")):
        with pytest.raises(ValueError, match=said):
            blocks_of(model, lambda: model(x), layers)
    network = Network(model, model, blocks_of(model, lambda: model(x), ["dead", "end"]))
    batch = next(iter(batches(windows([Document(np.zeros(2, np.int64), np.ones(2, bool))], 4), 1)))
    batch = type(batch)(x, batch.targets[:, :1], batch.counts[:, :1], batch.real[:, :1], batch.rows, batch.keys, batch.weights)
    with pytest.raises(ValueError, match="layer dead has no gradient"):
        network.walk([batch], Mean())
    experts = torch.nn.Sequential(torch.nn.Flatten(0, 1), torch.nn.Linear(3, 2), torch.nn.Unflatten(0, (2, 5)))
    wide = batches(windows([Document(np.zeros(6, np.int64), np.ones(6, bool))] * 2, 6), 100, most=5)
    (batch,) = (type(b)(torch.zeros((2, 5, 3)), b.targets, b.counts, b.real, b.rows, b.keys, b.weights) for b in wide)
    network = Network(experts, experts, blocks_of(experts, lambda: experts(batch.inputs), ["1"]))
    with pytest.raises(ValueError, match="layer 1 is given tokens of all rows together"):
        network.walk([batch], Mean())
