"""Filters that ask a model, on models small enough to be made here; and sentences by rules."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators.embed.causal import CausalModel
from tamis.operators.filters.models import ifd_score, llm_perplexity, text_embd_similarity, text_pair_similarity
from tamis.operators.mappers.sentence_split import sentence_split
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers, untrained, with a byte-level tokenizer of 300 tokens."""
    transformers, tokenizers, torch = (pytest.importorskip(n) for n in ("transformers", "tokenizers", "torch"))
    folder = tmp_path_factory.mktemp("tiny")
    reader = tokenizers.Tokenizer(tokenizers.models.BPE())
    reader.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=["<e>"], initial_alphabet=alphabet, show_progress=False)
    reader.train_from_iterator(["the cat sat on the mat and the dog ran"] * 5, trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=reader, eos_token="<e>").save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_the_loss_is_the_models_own_with_labels(tiny: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, reader = AutoModelForCausalLM.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    ours = CausalModel(tiny)
    for query, end in [("what did the cat do", "it sat on the mat"), ("", "the dog ran"), ("x", "漢字 and more")]:
        whole = f"{query} {end}".strip()
        ids = reader(whole, return_tensors="pt")["input_ids"]
        labels = ids.clone()
        labels[0, : -len(reader(end)["input_ids"])] = -100
        with torch.no_grad():
            wanted = model(input_ids=ids, labels=labels).loss.item()
        assert ours.loss(whole, end) == pytest.approx(wanted, abs=1e-5)
    assert ours.loss("", "") is None and ours.loss("a", "a") is None
    assert ours.loss("the cat " * 100, "the cat " * 100) is not None, "longer than the model can read"


def test_perplexity_and_difficulty_through_a_run(tiny: Path) -> None:
    rows = [{"text": "the cat sat", "q": "what did it do"}, {"text": "", "q": "a"}, {"text": "on the mat", "q": None}]
    steps = [
        {"llm_perplexity_filter": {"hf_model": str(tiny), "max_score": 1e9}},
        {"instruction_following_difficulty_filter": {"hf_model": str(tiny), "query_template": "{q}", "min_score": 0.0}},
    ]
    made, model = apply(steps, rows, keep_stats=True), CausalModel(tiny)
    (kept,) = made.table.to_pylist()
    alone, given = model.loss("the cat sat", "the cat sat"), model.loss("what did it do the cat sat", "the cat sat")
    assert alone is not None and given is not None
    assert kept["llm_perplexity"] == pytest.approx(math.exp(alone)) and kept["ifd_score"] == pytest.approx(given / alone)
    assert made.ledger.column("reason").to_pylist() == ["no_number", "no_number"]
    with pytest.raises(RecipeError, match="never downloads"):
        apply([{"llm_perplexity_filter": {"hf_model": "nobody/has-this"}}], rows)


class Letters:
    """An encoder of two numbers: how many a and how many b."""

    def encode(self, texts: list[str], *, batch_tokens: int) -> np.ndarray:
        return np.array([[t.count("a"), t.count("b")] for t in texts], np.float32)


def test_cosines_of_pairs_and_to_examples() -> None:
    rows = pa.array([{"text": "aa", "b": "ab"}, {"text": "a", "b": "bb"}, {"text": "a", "b": ""}, {"text": None, "b": "a"}])
    text = rows.field("text")
    got = text_pair_similarity(rows, text, encoder=Letters(), text_key_second="b").to_pylist()
    assert got == [pytest.approx(0.5**0.5), 0.0, 1.0, None]
    examples = [{"text": "a"}, {"text": "b"}]
    assert text_embd_similarity(text, encoder=Letters(), valid_dataset=examples).to_pylist() == [0.5, 0.5, 0.5, None]
    with pytest.raises(ValueError, match="asks an API"):
        text_embd_similarity(text, encoder=Letters(), valid_dataset=examples, is_hf_model=False)
    with pytest.raises(ValueError, match="no row with"):
        text_embd_similarity(text, encoder=Letters(), valid_dataset=[])


def test_templates_name_columns() -> None:
    class Long:
        def loss(self, whole: str, end: str) -> float | None:
            return float(len(whole)) if end else None

    rows = pa.array([{"text": "abc", "q": "12"}, {"text": "abc", "q": None}])
    assert ifd_score(rows, model=Long(), query_template="{q}").to_pylist() == [2.0, None]
    assert llm_perplexity(rows, model=Long(), response_template="{text}!").to_pylist() == [pytest.approx(math.exp(4))] * 2
    talk = pa.array([{"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "23"}]}])
    assert ifd_score(talk, model=Long()).to_pylist() == [2.0]
    with pytest.raises(ValueError, match="must be the name of a column"):
        llm_perplexity(rows, model=Long(), response_template="{text.__class__}")


@pytest.mark.parametrize(("given", "wanted"), [
    ("Dr. Ito left. She ran! (Fast.) Then?", ["Dr. Ito left.", "She ran!", "(Fast.)", "Then?"]),
    ("你好。世界！再见", ["你好。", "世界！", "再见"]), ("It cost 3.5 dollars. U.S. troops went.", ["It cost 3.5 dollars.", "U.S. troops went."]),
    ("J. R. Smith came.\nIt rained. ok", ["J. R. Smith came.", "It rained. ok"]), ('He said "Go." Then left… And?', ['He said "Go."', "Then left…", "And?"]),
    ("", [""]), ("no end", ["no end"]), ("Was it I. He did not say.", ["Was it I.", "He did not say."]),
])
def test_sentences(given: str, wanted: list[str]) -> None:
    (got,) = sentence_split(pa.array([given])).to_pylist()
    assert got.split("\n") == wanted
    assert sentence_split(pa.array([got])).to_pylist() == [got]
    assert "".join(got.split()) == "".join(given.split()), "nothing but white space changes"
