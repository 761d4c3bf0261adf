"""Static embeddings: the mean of token vectors, as model2vec has it, and the long texts of transformers by windows."""

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")
from static_model import make

from tamis.operators.embed.sentence import embedding
from tamis.operators.embed.static import StaticEncoder, static_folder

WORDS = ["river", "stone", "bridge", "market"]
TEXTS = ["River stone", "bridge over troubled market", "xyzzy 42", "stone, stone!"]


def test_a_vector_is_the_mean_of_its_tokens(tmp_path):
    encoder = StaticEncoder(make(tmp_path, WORDS))
    table = encoder._table
    assert np.allclose(encoder.encode(["river stone"])[0], table[1:3].mean(axis=0))
    assert np.allclose(encoder.encode(["river, stone"])[0], table[1:3].mean(axis=0))  # the comma is unknown
    assert (encoder.encode(["river", ""])[1] == table.mean(axis=0)).all()
    assert encoder.count_tokens(["river, stone", None, ""]).tolist() == [3, 0, 0]


def test_batches_change_no_bit(tmp_path):
    encoder = StaticEncoder(make(tmp_path, WORDS))
    whole = encoder.encode(TEXTS * 20)
    assert (encoder.encode(TEXTS * 20, batch_tokens=16) == whole).all() and (encoder.encode(TEXTS[::-1])[::-1] == whole[:4]).all()


@pytest.mark.parametrize("quantised", [False, True])
def test_vectors_are_those_of_model2vec(tmp_path, quantised):
    model2vec = pytest.importorskip("model2vec")
    size = len(StaticEncoder(make(tmp_path / "plain", WORDS))._table)
    rng = np.random.default_rng(0)
    extra = {"mapping": rng.integers(0, size, size), "weights": rng.random(size).astype(np.float32)} if quantised else {}
    folder = make(tmp_path / "model", WORDS, **extra)
    theirs = model2vec.StaticModel.from_pretrained(folder).encode(TEXTS)
    ours = np.array(embedding(pa.array(TEXTS), encoder=StaticEncoder(folder)).to_pylist())
    assert np.allclose(ours, theirs, atol=1e-5)


def test_a_limit_of_tokens(tmp_path):
    folder = make(tmp_path, WORDS)
    assert (StaticEncoder(folder, max_tokens=1).encode(["river stone"]) == StaticEncoder(folder).encode(["river"])).all()


def test_what_is_no_static_model_is_refused(tmp_path):
    from safetensors.numpy import save_file

    assert static_folder(tmp_path) is None
    with pytest.raises(ValueError, match="is no static model"):
        StaticEncoder(tmp_path)
    make(tmp_path, WORDS)
    save_file({"other": np.ones((2, 2))}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no 'embeddings', only other"):
        StaticEncoder(tmp_path)
