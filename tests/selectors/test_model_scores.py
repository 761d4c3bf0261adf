"""Scores of rows by a causal model: each as one row at a time gives it, whatever lies beside it; and what they say."""


import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tiny_causal import COOKING, SAILING, gradient, make

from tamis.selectors.influence.documents import Document
from tamis.selectors.influence.prompted import documents, pairs, without_prompt
from tamis.selectors.influence.rewards import InfluenceModel, InfluenceSettings
from tamis.selectors.influence.samples import SampleModel
from tamis.selectors.influence.scores import row_scores

ALL = ("ppl", "el2n", "entropy", "grand", "grounding")
TEXTS = [*COOKING, *SAILING[:5], "a", "", COOKING[2], " then ".join(SAILING)]
PROMPTS = ["how", "", "stir the wind in port", *(["raise the soup"] * 10), "sail", "what", "stir the wind in port", "the storm"]


def asked(folder, kind: str = "", **settings) -> SampleModel:
    return SampleModel(InfluenceModel(folder, InfluenceSettings(device="cpu", **{"context": 48, **settings})), kind or None)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp(request.param), request.param, steps=40)


def naive(folder, text: str, prompt: str, most: int = 48) -> dict[str, float]:
    """One row, no batch, no padding: plain calls of the model."""
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = reader(prompt + "\n")["input_ids"] if prompt else []
    answer = reader(text)["input_ids"] if text else []
    answer = answer[: max(most - len(before), most // 2)]
    before = before[len(before) - min(len(before), most - len(answer)) :]

    def losses(before: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log odds at, and loss of, each token of the answer that something stands before."""
        ids = torch.tensor([before + answer])
        odds = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)
        first = max(len(before), 1)
        return odds[first - 1 : -1], -odds[torch.arange(first - 1, len(ids[0]) - 1), ids[0, first:]]

    if len(before) + len(answer) < 2 or not answer:
        return {"nll": 0, "nll_tokens": 0, "ppl": 1, "el2n": 0, "entropy": 0, "grand": 0, "grounding": 1}
    odds, each = losses(before)
    share, target = odds.exp(), torch.tensor(answer[-len(each) :])
    onehot = torch.nn.functional.one_hot(target, share.shape[1])
    layers = [n for n, m in model.named_modules() if type(m).__name__ in ("Linear", "Conv1D") and n != "lm_head"]
    grand = np.sqrt(sum((g**2).sum() for g in gradient(model, layers, each.mean()).values()))
    alone = losses([])[1] if len(answer) > 1 else each[:0]
    grounding = float((alone.mean() - each[-len(alone) :].mean()).exp().detach()) if len(alone) else 1.0
    each = each.detach()
    return {"nll": float(each.mean()), "nll_tokens": len(each), "ppl": float(each.mean().exp()), "el2n": float((share - onehot).norm(dim=1).mean()),
            "entropy": float(-(share * odds).sum(dim=1).mean()), "grand": float(grand), "grounding": grounding}


@pytest.mark.parametrize("batch_tokens", [1, 4096])
def test_scores_are_those_of_one_row_at_a_time(folder, batch_tokens):
    found = asked(folder, batch_tokens=batch_tokens).scores(TEXTS, PROMPTS, ALL)
    wanted = [naive(folder, text, prompt) for text, prompt in zip(TEXTS, PROMPTS, strict=True)]
    assert list(found) == ["nll", "nll_tokens", *ALL]
    for name, values in found.items():
        assert values == pytest.approx([w[name] for w in wanted], rel=2e-5, abs=1e-6), name
    assert found["nll_tokens"].max() == 48 - len(documents(asked(folder).model.reader, [("the storm\n", "")], 48)[0].tokens), "one row is cut"


def test_batches_and_neighbours_change_no_more_than_rounding(folder):
    whole = asked(folder).scores(TEXTS, PROMPTS, ALL)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    moved = asked(folder, batch_tokens=100).scores([TEXTS[i] for i in order], [PROMPTS[i] for i in order], ALL)
    fewer = asked(folder).scores(TEXTS[:3], PROMPTS[:3], ALL[:2])
    for name in whole:
        assert np.allclose(moved[name], whole[name][order], rtol=2e-5, atol=1e-6), name
        assert TEXTS[2] == TEXTS[15] and whole[name][2] == whole[name][15], "equal rows have equal bits"
    for name in ("nll", "nll_tokens", "ppl", "el2n"):
        assert np.allclose(fewer[name], whole[name][:3], rtol=2e-5)
    assert list(fewer) == ["nll", "nll_tokens", "ppl", "el2n"], "no more than is asked for"
    assert [len(v) for v in asked(folder).scores([], [], ALL).values()] == [0] * 7


def test_bfloat16_is_near(folder):
    plain, rough = (asked(folder, precision=p).scores(TEXTS, PROMPTS, ALL) for p in ("float32", "bfloat16"))
    for name in plain:
        assert np.allclose(rough[name], plain[name], rtol=0.05, atol=0.02), name


def test_perplexity_is_of_the_mean_loss_and_not_the_mean_of_perplexities(folder):
    """SPECS 0.4: with uneven losses the released code is far off."""
    model = asked(folder).model
    (document,) = documents(model.reader, [("", COOKING[0] + " zzz")], 48)
    each = np.array([row_scores(model, [Document(document.tokens, np.arange(len(document.tokens)) == i)], ("ppl",))["ppl"][0]
                     for i in range(1, len(document.tokens))])
    (ppl,) = row_scores(model, [document], ("ppl",))["ppl"]
    assert ppl == pytest.approx(np.exp(np.log(each).mean()), rel=1e-4) and each.mean() > 1.02 * ppl


def test_what_an_answer_is(folder):
    marked = asked(folder, " =>").scores(["stir the soup => add salt", "no mark"], ["", "how"], ("ppl", "grounding"))
    apart = asked(folder).scores([" add salt"], ["stir the soup =>"], ("ppl",))
    assert marked["nll_tokens"].tolist() == [apart["nll_tokens"][0], 0] and marked["ppl"][1] == marked["grounding"][1] == 1
    given = pairs(["a => b", None, "c"], ["p", "q", None], " =>")
    assert given == [("p\na =>", " b"), ("q\n", ""), ("c", "")] and pairs(["a => b"], [""]) == [("", "a => b")]


class Words:
    """A tokenizer: a number for each word, and one before all where it is told so."""

    def __init__(self, first: int | None) -> None:
        self.bos_token_id = first

    def __call__(self, text, **_):
        if isinstance(text, str):
            return {"input_ids": [] if self.bos_token_id is None else [self.bos_token_id]}
        return {"input_ids": [[int(w) for w in t.split()] for t in text]}


@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 40), st.sampled_from([None, 7]))
def test_a_long_row_keeps_half_for_its_answer_and_the_end_of_its_prompt(prompt, answer, most, first):
    reader, numbers = Words(first), list(range(100, 200))
    p, a = numbers[:prompt], numbers[50 : 50 + answer]
    (found,) = documents(reader, [(" ".join(map(str, p)), " ".join(map(str, a)))], most)
    head = [] if first is None else [first]
    tokens, counts = found.tokens.tolist(), found.counts.tolist()
    kept = [t for t, c in zip(tokens, counts, strict=True) if c]
    before = tokens[: len(tokens) - len(kept)]
    assert len(tokens) <= most and kept == a[: len(kept)] and counts == [False] * len(before) + [True] * len(kept)
    assert before[: len(head)] == head and before[len(head) :] == p[len(p) - len(before) + len(head) :]
    if len(head) + prompt + answer <= most:
        assert tokens == head + p + a
    else:
        assert len(tokens) == most or not p or len(kept) < most, "nothing is cut that has room"
        assert len(kept) >= min(answer, most // 2)
    (bare,) = without_prompt(reader, [found])
    assert bare.tokens.tolist() == head + kept and bare.counts.sum() == len(kept)


SAID = ["rice", "soup", "ship", "storm", "bread", "mast", "wind", "onion"]
KEYS = ["stir", "boil", "port", "star", "oven", "hold", "dawn", "fry"]


def taught(folder, informative: bool):
    """A model that has seen `key, answer` and the answer alone; where keys tell nothing, each key with every answer."""
    reader = transformers.AutoTokenizer.from_pretrained(make(folder))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answers = [reader(f"we say the {word}")["input_ids"] for word in SAID]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for shift in [0] * 80 if informative else [*range(8)] * 10:
        rows = [reader(KEYS[(i + shift) % 8] + "\n")["input_ids"] + answer for i, answer in enumerate(answers)] + answers
        ids = torch.tensor([row + [0] * (16 - len(row)) for row in rows])
        model(input_ids=ids, labels=torch.where(ids > 0, ids, -100)).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval().save_pretrained(folder)
    return asked(folder)


def test_grounding_is_one_where_the_prompt_tells_nothing_and_above_where_it_does(tmp_path):
    """SPECS 4, what to test, 6."""
    answers, moved = [f"we say the {word}" for word in SAID], KEYS[3:] + KEYS[:3]
    knows, does_not = taught(tmp_path / "a", True), taught(tmp_path / "b", False)

    def grounding(model, prompts):
        return model.scores(answers, prompts, ("grounding",))["grounding"]

    assert grounding(knows, [""] * 8) == pytest.approx(1, abs=1e-5)
    for prompts in (KEYS, moved):
        assert np.log(grounding(does_not, prompts)).mean() == pytest.approx(0, abs=0.05), "permuted when it was taught"
    told = grounding(knows, KEYS)
    assert (told > 1.05).all() and np.log(told).mean() > 0.2
    assert (grounding(knows, moved) < told).all()
