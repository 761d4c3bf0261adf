"""Each text is embedded once: within a run by hash, across runs by the cache; vectors that rows bring are taken as they are."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from static_model import make

pytest.importorskip("tokenizers")
from tamis.operators.embed.static import StaticEncoder
from tamis.pipeline.errors import OperatorError, RecipeError
from tamis.pipeline.run import apply, run
from tamis.pipeline.stages import embed
from tamis.pipeline.stages.same_texts import VectorCache, hashes_of

WORDS = ["river", "stone", "bridge", "market", "letter", "window", "garden"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make(tmp_path_factory.mktemp("model"), WORDS))


@pytest.fixture
def encoded(monkeypatch):
    """Every text that the model has been asked for."""
    asked, encode = [], StaticEncoder.encode

    def listening(self, texts, *, batch_tokens=4096):
        asked.extend(texts)
        return encode(self, texts, batch_tokens=batch_tokens)

    monkeypatch.setattr(StaticEncoder, "encode", listening)
    monkeypatch.setattr(embed, "PIECE", 16)
    return asked


def rows(n: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [{"text": " ".join(rng.choice(WORDS, 2))} for _ in range(n)]


def written(folder, given: list[dict], files: int = 3):
    for i in range(files):
        (folder / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in given[i::files]))
    return folder


def words(data, out, model, **settings):
    return {"dataset_path": str(data), "export_path": str(out), "np": 1,
            "process": [{"text_embedding_mapper": {"model": model, **settings}}, {"random_selector": {"select_num": 5}}]}


def facts(manifest) -> dict:
    return next(s["facts"] for s in manifest["steps"] if s["op"] == "text_embedding_mapper")


def vectors(out) -> np.ndarray:
    return np.concatenate([embed.matrix(pq.read_table(f).column("vector"))
                           for f in sorted(out.glob("work/*-embed-*/vectors/*.parquet"))])


def test_equal_texts_are_embedded_once(tmp_path, model, encoded):
    given = rows(150)
    (tmp_path / "data").mkdir()
    told = run(words(written(tmp_path / "data", given), tmp_path / "out", model))
    different = {r["text"] for r in given}
    assert sorted(encoded) == sorted(different) and len(different) < 60
    assert facts(told)["repeated"] == 150 - len(different)
    plain = StaticEncoder(model).encode([r["text"] for i in range(3) for r in given[i::3]])
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert (vectors(tmp_path / "out") == plain.astype(np.float16)).all()


def test_an_interrupted_embedding_goes_on(tmp_path, model, encoded, monkeypatch):
    (tmp_path / "data").mkdir()
    recipe = words(written(tmp_path / "data", rows(150)), tmp_path / "out", model)
    done, do = [], embed.EmbedTask._do

    def breaks(self, part, piece):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append((part, piece))
        return do(self, part, piece)

    monkeypatch.setattr(embed.EmbedTask, "_do", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(recipe)
    monkeypatch.setattr(embed.EmbedTask, "_do", do)
    run(recipe)
    assert len(encoded) == len(set(encoded))
    whole = run(recipe | {"export_path": str(tmp_path / "fresh")})
    assert (vectors(tmp_path / "out") == vectors(tmp_path / "fresh")).all() and whole["rows_out"] == 5


def test_what_an_earlier_run_has_embedded_is_in_the_cache(tmp_path, model, encoded):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = words(written(tmp_path / "a", rows(60)), tmp_path / "one", model, cache=str(tmp_path / "cache"))
    told, known = facts(run(first)), set(encoded)
    assert told["computed"] == len(known)
    encoded.clear()
    more = rows(60) + [{"text": f"{w} 7"} for w in WORDS] * 2
    second = words(written(tmp_path / "b", more), tmp_path / "two", model, cache=str(tmp_path / "cache"))
    told = facts(run(second))
    assert sorted(encoded) == sorted(f"{w} 7" for w in WORDS) and told["computed"] == len(WORDS)
    run(second | {"export_path": str(tmp_path / "plain"), "process": words("", "", model)["process"]})
    assert (vectors(tmp_path / "two") == vectors(tmp_path / "plain")).all()


def test_what_changes_and_is_turned_back_is_embedded_once(tmp_path, model, encoded):
    (tmp_path / "data").mkdir()
    given = rows(60)
    data, out = written(tmp_path / "data", given), tmp_path / "out"

    def told(**more):
        recipe = words(data, out, model, **more)
        recipe["process"].insert(0, {"text_length_filter": {"min_len": shortest}})
        return facts(run(recipe))

    shortest = 1
    first = told()
    assert first["computed"] == len(encoded) == len({r["text"] for r in given}) and first["repeated"] == 60 - first["computed"]
    encoded.clear()
    shortest = 12
    assert told()["computed"] == 0 and encoded == [], "fewer rows, the same texts"
    assert told(max_tokens=1)["computed"] == len(encoded) > 0, "another setting, other vectors"
    encoded.clear()
    shortest = 1
    again = told()
    assert again["computed"] == 0 and encoded == [] and again["repeated"] == first["repeated"]
    assert told(cache="none") == again, "a fingerprint that is there is taken up"
    shortest = 2
    assert told(cache="none")["computed"] == len(encoded) == len({r["text"] for r in given})


def test_the_cache_decides_no_fingerprint(tmp_path, model, encoded):
    (tmp_path / "data").mkdir()
    data = written(tmp_path / "data", rows(20))
    run(words(data, tmp_path / "out", model))
    encoded.clear()
    run(words(data, tmp_path / "out", model, cache=str(tmp_path / "cache")))
    assert encoded == []


def test_another_model_has_a_cache_of_its_own(tmp_path, model, encoded):
    other = str(make(tmp_path / "other", WORDS, seed=9))
    (tmp_path / "data").mkdir()
    data = written(tmp_path / "data", rows(20))
    run(words(data, tmp_path / "out", model, cache=str(tmp_path / "cache")))
    before = len(encoded)
    run(words(data, tmp_path / "other-out", other, cache=str(tmp_path / "cache")))
    assert len(encoded) == 2 * before and len(list((tmp_path / "cache").iterdir())) == 2


def test_the_cache_finds_what_it_was_given(tmp_path):
    texts, vectors = [f"text {i}" for i in range(50)], np.random.default_rng(0).random((50, 4)).astype(np.float16)
    assert VectorCache(tmp_path).find(hashes_of(texts))[1] is None
    assert VectorCache(tmp_path).add(hashes_of(texts[:30] * 2), np.tile(vectors[:30], (2, 1))) == 30
    assert VectorCache(tmp_path).add(hashes_of(texts), vectors) == 20
    known, found = VectorCache(tmp_path).find(hashes_of(["new", *texts]))
    assert known.tolist() == [False] + [True] * 50 and (found[1:] == vectors).all()
    assert VectorCache(tmp_path).add(hashes_of(texts), vectors) == 0 and len(list(tmp_path.iterdir())) == 4


def test_vectors_of_the_rows_are_taken(tmp_path):
    given = np.random.default_rng(0).normal(size=(40, 6))
    table = [{"text": str(i), "v": v.tolist(), "price": 1.0} for i, v in enumerate(given)]
    step = {"kmeans_diversity_selector": {"k": 4, "select_tokens": 8, "cost_key": "price"}}
    done = apply([{"text_embedding_mapper": {"vector_key": "v"}}, step], table)
    assert len(done.table) == 8 and facts(done.manifest) == {"model": "column v"}
    same = apply([{"text_embedding_mapper": {"vector_key": "v"}}, step], [r | {"v": [3 * x for x in r["v"]]} for r in table])
    assert same.table.column("text").to_pylist() == done.table.column("text").to_pylist()


@pytest.mark.parametrize(("column", "told"), [
    ([[1.0, 2], [3.0]], "a vector of one length"), ([[1.0, 2], None], "a vector of one length"),
    ([[1.0, 2], [0.0, 0]], "1 are zero, NaN or infinite"),
])
def test_vectors_that_are_no_use_are_told(column, told):
    table = [{"text": "a", "v": v} for v in column]
    with pytest.raises(OperatorError, match=told):
        apply([{"text_embedding_mapper": {"vector_key": "v"}}, {"k_center_selector": {"select_num": 1}}], table)


def test_a_column_that_holds_no_vectors_is_seen_in_the_plan():
    for name, told in (("w", "no column 'w'"), ("text", "is string, not a list of numbers")):
        with pytest.raises(RecipeError, match=told):
            apply([{"text_embedding_mapper": {"vector_key": name}}], [{"text": "a"}])
