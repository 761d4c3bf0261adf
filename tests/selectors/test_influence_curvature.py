"""The damped inverse of the Fisher matrix by blocks, against the dense one on models small enough to form it."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import spearmanr

from tamis.selectors.influence.blocks import blocks_of
from tamis.selectors.influence.curvature import Factors, fit, solve
from tamis.selectors.influence.documents import Batch
from tamis.selectors.influence.gradients import Mean, Products, Rows
from tamis.selectors.influence.network import Network
from tamis.selectors.influence.saving import load, packed, save, unpacked

torch.set_num_threads(1)


def rows(x: np.ndarray, labels: np.ndarray) -> Batch:
    """Rows of one position each, all of which count."""
    n = len(x)
    ones = torch.ones((n, 1), dtype=torch.bool)
    keys = np.stack([np.arange(n), np.zeros(n, int)], axis=1)
    return Batch(torch.from_numpy(x)[:, None], torch.from_numpy(labels)[:, None], ones, ones, np.arange(n), keys, np.ones(n))


def softmax_layer(outputs: int, inputs: int, weights: np.ndarray | None = None, bias: bool = False) -> Network:
    """Logits from one linear layer, in float64."""
    layer = torch.nn.Linear(inputs, outputs, bias=bias).double()
    model = torch.nn.Sequential(layer)
    with torch.no_grad():
        layer.weight.copy_(torch.zeros(outputs, inputs) if weights is None else torch.from_numpy(weights[:, :inputs]))
        if bias:
            layer.bias.copy_(torch.zeros(outputs) if weights is None else torch.from_numpy(weights[:, inputs]))
    return Network(model, model, blocks_of(model, lambda: model(torch.zeros((1, 1, inputs), dtype=torch.float64)), ["0"]))


def flat(matrices: dict) -> np.ndarray:
    return np.concatenate([matrices[k].numpy().ravel() for k in sorted(matrices)])


def gradients(network: Network, batch: Batch, **how) -> np.ndarray:
    found = Rows(len(batch.rows))
    network.walk([batch], found, **how)
    return np.concatenate([found.found[k].reshape(len(batch.rows), -1) for k in sorted(found.found)], axis=1)


def dense(each: np.ndarray, vector: np.ndarray, damping: float) -> np.ndarray:
    """(F + damping * mean eigenvalue)^-1 vector, with F formed whole."""
    fisher = each.T @ each / len(each)
    return np.linalg.solve(fisher + damping * np.trace(fisher) / len(fisher) * np.eye(len(fisher)), vector)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def query(network: Network, factors: dict, vector: np.ndarray, damping: float) -> np.ndarray:
    (block,) = network.blocks
    return flat(solve(factors, {block.name: torch.from_numpy(vector.reshape(block.shape))}, damping))


@pytest.mark.parametrize("kind", ["ekfac", "kfac"])
def test_exact_where_inputs_and_output_gradients_are_independent(kind):
    """Weights of zero: every class is as likely whatever the input; each input with each label once is the expectation itself."""
    rng, outputs, inputs = np.random.default_rng(0), 7, 9
    network = softmax_layer(outputs, inputs)
    x = np.repeat(rng.normal(size=(30, inputs)) @ rng.normal(size=(inputs, inputs)), outputs, axis=0)
    batch = rows(x, np.tile(np.arange(outputs), 30))
    factors, each = fit(network, [batch], kind, labels="data"), gradients(network, batch)
    vector = rng.normal(size=outputs * inputs)
    for damping in (1e-3, 0.1, 10.0):
        assert np.allclose(query(network, factors, vector, damping), dense(each, vector, damping), rtol=1e-8)
    assert cosine(vector, dense(each, vector, 0.1)) < 0.9, "the gradient itself would not do"


def test_the_true_fisher_comes_of_drawn_labels():
    """All labels of the data are 0; by drawn ones the curvature is that of the model, more so with more rows."""
    rng, outputs, inputs = np.random.default_rng(1), 5, 6
    weights = rng.normal(size=(outputs, inputs)) * 0.3
    network, off = softmax_layer(outputs, inputs, weights), []
    vector = rng.normal(size=outputs * inputs)
    for n in (100, 8_000):
        x = rng.normal(size=(n, inputs))
        odds = torch.softmax(torch.from_numpy(x @ weights.T), 1).numpy()
        inner = np.einsum("no,op->nop", odds, np.eye(outputs)) - odds[:, :, None] * odds[:, None, :]
        fisher = np.einsum("nop,ni,nj->oipj", inner, x, x).reshape(outputs * inputs, -1) / n
        wanted = np.linalg.solve(fisher + 0.1 * np.trace(fisher) / len(fisher) * np.eye(len(fisher)), vector)
        found = query(network, fit(network, [rows(x, np.zeros(n, np.int64))], "ekfac", seed=3), vector, 0.1)
        off.append(1 - cosine(found, wanted))
        empirical = query(network, fit(network, [rows(x, np.zeros(n, np.int64))], "ekfac", labels="data"), vector, 0.1)
    assert off[1] < 0.01 < 1 - cosine(empirical, wanted) and off[1] < off[0]


def test_ekfac_is_exact_where_its_basis_is_and_kfac_is_not():
    """One logit against nothing, inputs along the axes: the Fisher matrix is diagonal, and no product of two factors."""
    rng, inputs = np.random.default_rng(2), 12
    network = softmax_layer(2, inputs, np.stack([np.linspace(-3, 3, inputs), np.zeros(inputs)]))
    which = rng.integers(0, inputs, 4000)
    batch = rows(np.eye(inputs)[which] * (1 + which[:, None] / 5), rng.integers(0, 2, 4000))
    each, vector = gradients(network, batch, labels="sampled", seed=1), np.repeat([[1.0], [-1.0]], inputs, 1).ravel() * np.tile(rng.normal(size=inputs), 2)
    wanted = dense(each, vector, 1e-3)
    told = {kind: cosine(query(network, fit(network, [batch], kind, seed=1), vector, 1e-3), wanted) for kind in ("ekfac", "kfac", "identity")}
    assert told["ekfac"] > 1 - 1e-9 and told["kfac"] < 0.95 and told["identity"] < told["ekfac"]


def test_nearer_to_the_dense_one_than_anything_simpler():
    rng, outputs, inputs = np.random.default_rng(3), 6, 20
    weights = rng.normal(size=(outputs, inputs + 1)) * 0.5
    network = softmax_layer(outputs, inputs, weights, bias=True)
    batch = rows(rng.normal(size=(2000, inputs)) @ (rng.normal(size=(inputs, inputs)) * np.geomspace(0.1, 2, inputs)), rng.integers(0, outputs, 2000))
    curved = {kind: fit(network, [batch], kind, seed=5) for kind in ("ekfac", "kfac", "diagonal", "identity")}
    each = gradients(network, batch, labels="sampled", seed=5)
    told: dict[str, list[float]] = {}
    for _ in range(10):
        vector = each[rng.choice(len(each), 50)].mean(axis=0)
        for kind, factors in curved.items():
            told.setdefault(kind, []).append(cosine(query(network, factors, vector, 0.1), dense(each, vector, 0.1)))
    means = {k: float(np.mean(v)) for k, v in told.items()}
    assert means["ekfac"] > 0.85 and means["kfac"] - 0.01 < means["ekfac"], means
    assert means["kfac"] - 0.1 > means["diagonal"] > means["identity"] + 0.1, means


def test_diagonal_and_identity_are_exact():
    rng = np.random.default_rng(4)
    network = softmax_layer(4, 5, rng.normal(size=(4, 6)), bias=True)
    batch = rows(rng.normal(size=(50, 5)), rng.integers(0, 4, 50))
    each, vector = gradients(network, batch), rng.normal(size=24)
    square = (each**2).mean(axis=0)
    assert np.allclose(query(network, fit(network, [batch], "diagonal", labels="data"), vector, 0.3), vector / (square + 0.3 * square.mean()), rtol=1e-12)
    assert (query(network, fit(network, [batch], "identity"), vector, 0.3) == vector).all()


class Attention(torch.nn.Module):
    """Two layers of one input; a row's logits come of the first or of the second, so that they never meet in a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = torch.nn.ModuleDict({"q": torch.nn.Linear(4, 3, bias=False), "k": torch.nn.Linear(4, 2, bias=False)})

    def forward(self, x):
        q, k = self.attn["q"](x), self.attn["k"](x)
        first = x[..., :1] > 0
        some = torch.cat([q * first, k * ~first], dim=-1)
        return torch.cat([some, torch.zeros_like(x[..., :1])], dim=-1)


@pytest.mark.parametrize("kind", ["ekfac", "kfac"])
def test_fused_and_separate_agree_where_layers_do_not_meet(kind):
    rng = np.random.default_rng(6)
    torch.manual_seed(0)
    model = Attention().double()
    batch = rows(rng.normal(size=(400, 4)), rng.integers(0, 6, 400))

    def ask(fused: bool) -> tuple[Network, np.ndarray]:
        network = Network(model, model, blocks_of(model, lambda: model(batch.inputs[:1]), ["attn.q", "attn.k"], fused=fused))
        mean = Mean()
        network.walk([batch], mean)
        solved = solve(fit(network, [batch], kind, seed=2), mean.sums, 1e-12)
        return network, torch.cat([solved[b.name] for b in network.blocks]).numpy()

    (apart, two), (whole, one) = ask(False), ask(True)
    assert [b.name for b in whole.blocks] == ["attn.q+attn.k"] and [b.inputs for b in apart.blocks] == ["attn.q", "attn.q"]
    assert np.allclose(one, two, rtol=1e-6)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-3, 10), st.integers(0, 2**31))
@settings(max_examples=30)
def test_solving_undoes_the_damped_curvature(outputs, inputs, damping, seed):
    rng = np.random.default_rng(seed)
    left, right = (torch.from_numpy(np.linalg.qr(rng.normal(size=(n, n)))[0]) for n in (outputs, inputs))
    values = torch.from_numpy(rng.random((outputs, inputs)) + 1e-6)
    factors = Factors(values, left, right)
    matrix = torch.from_numpy(rng.normal(size=(outputs, inputs)))
    solved = factors.solve(matrix, damping)
    inside = (left.T @ solved @ right) * (values + damping * values.mean())
    assert torch.allclose(left @ inside @ right.T, matrix, rtol=1e-8, atol=1e-10)


def test_rows_in_any_batches_and_any_order_are_the_same_curvature():
    rng = np.random.default_rng(7)
    network, x, labels = softmax_layer(3, 4, rng.normal(size=(3, 4))), rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    whole = rows(x, labels)

    def part(at: np.ndarray) -> Batch:
        return Batch(*(getattr(whole, n)[at] for n in ("inputs", "targets", "counts", "real", "rows", "keys", "weights")))

    order = rng.permutation(40)
    one, other = (fit(network, b, "ekfac", seed=9) for b in ([whole], [part(order[:7]), part(order[7:9]), part(order[9:])]))
    vector = rng.normal(size=12)
    assert np.allclose(query(network, one, vector, 0.1), query(network, other, vector, 0.1), rtol=1e-9)


def test_what_cannot_be_solved_is_told():
    network = softmax_layer(3, 4)
    with pytest.raises(ValueError, match="no token counts"):
        fit(network, [])
    with pytest.raises(ValueError, match="layer 0: gradients or inputs are not finite"):
        fit(network, [rows(np.full((2, 4), np.inf), np.zeros(2, np.int64))], "kfac")
    nothing = fit(network, [rows(np.zeros((2, 4)), np.zeros(2, np.int64))], "diagonal")
    with pytest.raises(ValueError, match="layer 0: the gradients that the curvature was fitted on are all zero; leave it out"):
        solve(nothing, {"0": torch.ones((3, 4), dtype=torch.float64)}, 0.1)
    with pytest.raises(ValueError, match="knows no layer 1"):
        solve(nothing, {"1": torch.ones(1)}, 0.1)


def logistic(x: np.ndarray, y: np.ndarray, ridge: float = 1e-2, start: np.ndarray | None = None) -> np.ndarray:
    """Weights, bias last, of the least mean logistic loss with a little ridge."""
    wide, sign = np.c_[x, np.ones(len(x))], 2.0 * y - 1

    def loss(w):
        margin = wide @ w * sign
        return np.logaddexp(0, -margin).mean() + ridge / 2 * w @ w, -(wide * (sign / (1 + np.exp(margin)))[:, None]).mean(0) + ridge * w

    return minimize(loss, np.zeros(wide.shape[1]) if start is None else start, jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-15}).x


@pytest.fixture(scope="module")
def left_out():
    """Rows, labels, reference and its labels, weights; what the reference loss is worse by when each row is left out."""
    rng, n, d = np.random.default_rng(8), 90, 6
    truth = rng.normal(size=d)
    x, reference = (rng.normal(size=(m, d)) * np.geomspace(0.3, 2, d) for m in (n, 60))
    y, told = ((rng.random(len(a)) < 1 / (1 + np.exp(-a @ truth))).astype(np.int64) for a in (x, reference))
    w = logistic(x, y)

    def loss(weights):
        margin = np.c_[reference, np.ones(60)] @ weights * (2.0 * told - 1)
        return np.logaddexp(0, -margin).mean()

    worse = [loss(logistic(np.delete(x, i, 0), np.delete(y, i), start=w)) - loss(w) for i in range(n)]
    return x, y, reference, told, w, worse


@pytest.mark.parametrize("kind", ["ekfac", "kfac"])
def test_rewards_tell_what_leaving_a_row_out_does(left_out, kind):
    """Logistic regression, retrained without each row in turn."""
    x, y, reference, told, w, worse = left_out
    network, mean = softmax_layer(2, 6, np.stack([np.zeros(7), w]), bias=True), Mean()
    network.walk([rows(reference, told)], mean)
    factors = fit(network, [rows(np.repeat(x, 10, 0), np.repeat(y, 10))], kind, seed=1)
    rewards, plain = Products(90, solve(factors, mean.sums, 0.05)), Products(90, mean.sums)
    network.walk([rows(x, y)], rewards)
    network.walk([rows(x, y)], plain)
    assert spearmanr(rewards.rewards, worse).statistic > 0.85
    assert spearmanr(plain.rewards, worse).statistic < spearmanr(rewards.rewards, worse).statistic


def test_factors_come_back_as_they_were_and_only_for_the_same_arguments(tmp_path):
    rng = np.random.default_rng(9)
    network = softmax_layer(3, 4, rng.normal(size=(3, 4)))
    factors = fit(network, [rows(rng.normal(size=(20, 4)), rng.integers(0, 3, 20))])
    told = {"labels": "sampled", "seed": 0, "blocks": {"0": [3, 4]}}
    assert load(tmp_path, "factors", told) is None
    save(tmp_path, "factors", packed(factors, {"0": "0"}), told)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["factors.json", "factors.safetensors"]
    again = unpacked(load(tmp_path, "factors", told) or {}, {"0": "0"})
    vector = rng.normal(size=12)
    assert (query(network, factors, vector, 0.1) == query(network, again, vector, 0.1)).all()
    with pytest.raises(ValueError, match=r"other arguments: labels is 'sampled' there, 'data' here"):
        load(tmp_path, "factors", told | {"labels": "data"})
    (tmp_path / "factors.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"factors\.safetensors cannot be read"):
        load(tmp_path, "factors", told)
    (tmp_path / "factors.json").write_text("{")
    with pytest.raises(ValueError, match=r"factors\.json cannot be read"):
        load(tmp_path, "factors", told)
