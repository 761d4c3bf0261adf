"""Language: what the model is shown, and what becomes of its answers."""

from pathlib import Path

import pyarrow as pa
import pytest

from tamis.operators.base import declared
from tamis.operators.filters.language import language_id
from tamis.pipeline import resources


class Recorder:
    """Answers by the first letter, and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def predict(self, text: str) -> tuple[str, float]:
        self.seen.append(text)
        return ("en", 1.00002) if text.startswith("a") else ("de", 0.25)


def test_the_model_sees_lower_case_on_one_line() -> None:
    model = Recorder()
    language_id(pa.array(["A\nB\r\nΣ", None, ""]), model=model)
    assert model.seen == ["a b\r σ", ""]


def test_answers_and_nulls() -> None:
    text = pa.array(["x", "A", None, "b"]).slice(1)
    answer = language_id(text, model=Recorder())
    assert answer.type == pa.struct({"lang": pa.string(), "lang_score": pa.float64()})
    assert answer.to_pylist() == [{"lang": "en", "lang_score": 1.00002}, None, {"lang": "de", "lang_score": 0.25}]
    assert answer.is_null().to_pylist() == [False, True, False]
    assert language_id(pa.array([], pa.string()), model=Recorder()).type == answer.type


def test_the_decision_is_declared_not_made() -> None:
    record = declared(language_id)
    assert record.stats == ("lang", "lang_score") and record.member == ("lang", "lang") and record.number == "lang_score"
    assert record.resources == {"model": "language_model"} and set(record.settings) == {"lang"}
    both = [language_id(pa.array(["a"]), model=Recorder(), lang=lang).to_pylist() for lang in ("", ["zh"])]
    assert both[0] == both[1]


def test_the_model_that_ships_knows_languages(tmp_path: Path) -> None:
    pytest.importorskip("fasttext")
    record = declared(language_id)
    model = resources.load(resources.pin(record, {"lang": ""}))["model"]
    rows = ["This is a short sentence about the weather.", "Dies ist ein kurzer Satz über das Wetter.", "今天天气很好，我们去公园散步。"]
    answer = language_id(pa.array(rows), model=model).to_pylist()
    assert [a["lang"] for a in answer] == ["en", "de", "zh"] and all(0.7 < a["lang_score"] <= 1.0 for a in answer)
