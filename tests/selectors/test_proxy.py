"""The small model: it learns, it looks at what came before only, the same seed gives the same numbers."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
import torch

from tamis.selectors.influence.gap import Case, cases, generated_loss, gold_loss
from tamis.selectors.influence.proxy import Proxy, ProxySettings, first_weights, forward

SMALL = ProxySettings(width=32, layers=1, heads=2, context=24, vocabulary=280, batch=4, device="cpu")
TEXTS = [f"the {a} sat on the {b}" for a in ("cat", "dog", "bird") for b in ("mat", "roof", "wall")] * 6


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def proxy():
    return Proxy(TEXTS, SMALL)


def test_tokens_go_there_and_back(proxy):
    odd = ["the cat", "né 😀\n\ttab", ""]
    assert [proxy.decode(t) for t in proxy.encode(odd)] == odd
    assert proxy.parameters == sum(w.numel() for w in first_weights(SMALL, proxy.vocabulary, 0).values())


def test_training_lowers_the_loss_of_what_it_shows(proxy):
    rows = proxy.encode(TEXTS)
    start, _ = proxy.train(rows, steps=0, seed=0)
    found, seconds = proxy.train(rows, steps=60, seed=0)
    before, after = (proxy.score(w, rows[:9]) for w in (start, found))
    assert after[0].sum() < 0.4 * before[0].sum() and after[1].sum() > before[1].sum() and seconds > 0
    assert (after[2] == [min(len(r), 24) for r in rows[:9]]).all()


def test_the_same_seed_gives_the_same_numbers(proxy):
    rows = proxy.encode(TEXTS[:9])
    one, again, other = (proxy.score(proxy.train(rows, steps=3, seed=s)[0], rows)[0] for s in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_a_token_sees_what_came_before_only(proxy):
    weights = first_weights(SMALL, proxy.vocabulary, 0)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, proxy.vocabulary, (1, 20)))
    changed = ids.clone()
    changed[0, 12:] = 7
    a, b = forward(weights, ids, SMALL), forward(weights, changed, SMALL)
    assert torch.allclose(a[0, :12], b[0, :12], atol=1e-6) and not torch.allclose(a[0, 12:], b[0, 12:], atol=1e-3)


def test_the_loss_is_that_of_the_words(proxy):
    weights, row = first_weights(SMALL, proxy.vocabulary, 0), proxy.encode(["the cat sat"])[0]
    ids = torch.tensor([[0, *row.tolist()]])
    odds = torch.log_softmax(forward(weights, ids[:, :-1], SMALL)[0], dim=1)
    loss, right, count = proxy.score(weights, [row, row[:1]])
    assert loss[0] == pytest.approx(-sum(float(odds[i, t]) for i, t in enumerate(row)), rel=1e-5) and count.tolist() == [len(row), 1]
    assert right[0] == sum(int(odds[i].argmax()) == t for i, t in enumerate(row))


def test_answers_begin_where_they_are_said_to(proxy):
    found = cases(proxy.encode, ["ask: cat answer: mat", "the cat sat on", None], "answer:")
    assert proxy.decode(found[0].tokens[found[0].prompt :]) == " mat"
    assert found[1].prompt == len(found[1].tokens) // 2 and (len(found[2].tokens), found[2].prompt) == (0, 1)


def test_gold_and_generated_are_what_they_say(proxy):
    def certain(ids):  # the next token is always the last one plus one
        return 50.0 * torch.nn.functional.one_hot((ids + 1) % 100, 100).float()

    rising, falling = Case(np.arange(10), 4), Case(np.arange(10)[::-1].copy(), 4)
    assert gold_loss(certain, rising, 24, "cpu") < 1e-6 < 10 < gold_loss(certain, falling, 24, "cpu")
    assert generated_loss(certain, falling, 24, "cpu") < 1e-6
    assert gold_loss(certain, Case(np.arange(2), 2), 24, "cpu") == 0.0  # nothing is answered
