"""A classifier of quality: trained, judged, kept, loaded, used in a run."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score

from tamis.operators.filters.quality_model import quality_score
from tamis.operators.kernels.linear_text import text_features, word_table
from tamis.operators.kernels.strings import view
from tamis.pipeline import classifier
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.run import apply

RNG = random.Random(3)
COMMON = [f"word{i}" for i in range(300)]
GOOD = ["thesis", "evidence", "therefore", "chapter"]
BAD = ["casino", "click", "bonus", "viagra"]


def texts(kind: list[str], count: int) -> list[str]:
    return [" ".join(RNG.choice(kind if RNG.random() < 0.08 else COMMON) for _ in range(60)) for _ in range(count)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, kind in (("good", GOOD), ("bad", BAD)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(kind, 300)), "utf-8")
    return folder


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    classifier.train_classifier([str(data / "good.jsonl")], [str(data / "bad.jsonl")], data / "model", bits=12)
    return data / "model"


def test_it_tells_what_it_has_not_seen_apart(model: Path) -> None:
    facts = json.loads((model / "model.json").read_text("utf-8"))
    told = facts["metrics"]
    assert 80 <= told["rows"] <= 160 and told["accuracy"] > 0.9 and told["auc"] > 0.97
    fresh = texts(GOOD, 50) + texts(BAD, 50)
    scores = quality_score(pa.array(fresh), classifier=classifier.load(str(model))).to_numpy()
    assert ((scores > 0.5) == np.repeat([True, False], 50)).mean() > 0.9
    assert sum(s["digest"] != "" for s in facts["sources"]) == 2


def test_the_same_texts_make_the_same_bytes_in_any_order(data: Path, model: Path, tmp_path: Path) -> None:
    lines = (data / "good.jsonl").read_text("utf-8").splitlines(keepends=True)
    RNG.shuffle(lines)
    (tmp_path / "a.jsonl").write_text("".join(lines[:100]), "utf-8")
    (tmp_path / "b.jsonl").write_text("".join(lines[100:]), "utf-8")
    classifier.train_classifier([str(tmp_path / "?.jsonl")], [str(data / "bad.jsonl")], tmp_path / "again", bits=12)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    classifier.train_classifier([str(tmp_path / "?.jsonl")], [str(data / "bad.jsonl")], tmp_path / "other", bits=12, seed=1)
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (model / "model.safetensors").read_bytes()


def test_a_texts_score_is_what_its_definition_says(model: Path) -> None:
    known = classifier.load(str(model))
    text = "Therefore, a casino -- a casino 2024! word1"
    words = ["therefore", ",", "a", "casino", "-", "-", "a", "casino", "0", "0", "0", "0", "!", "word", "0"]
    one = [_bucket(w) for w in words]
    assert len(set(one)) == 8  # no two words of this text share a bucket
    bounds, places, counts = text_features(*view(pa.array(["x", text]).slice(1)), word_table(), 1 << 12)
    assert set(one) <= set(places.tolist()) and bounds.tolist() == [0, len(places)]
    assert sum(round(math.exp(c - 1)) for c in counts.tolist()) == 2 * len(words) - 1  # words, and pairs
    values = counts * known.idf[places]
    margin = float((values / np.sqrt((values.astype(float) ** 2).sum()) * known.weights[places]).sum()) + known.bias
    assert quality_score(pa.array([text]), classifier=known)[0].as_py() == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-6)


def _bucket(word: str) -> int:
    _, places, _ = text_features(*view(pa.array([word])), word_table(), 1 << 12)
    assert len(places) == 1
    return int(places[0])


def test_metrics_are_the_usual_ones() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    scores = np.round(np.clip(label * 0.3 + rng.random(400) * 0.7, 0.01, 0.99), 2)
    told = classifier.measure(scores, label)
    precision, recall, f1, _ = precision_recall_fscore_support(label, scores >= 0.5, average="binary")
    expected = [precision, recall, f1, roc_auc_score(label, scores), log_loss(label, scores)]
    assert [told.precision, told.recall, told.f1, told.auc, told.log_loss] == pytest.approx(expected)
    assert told.thresholds[2][1:] == pytest.approx(((scores[label == 1] >= 0.5).mean(), (scores[label == 0] >= 0.5).mean()))


def test_a_run_uses_it_and_another_model_is_another_answer(model: Path) -> None:
    rows = [{"text": t} for t in texts(GOOD, 5) + texts(BAD, 5)]
    done = apply([{"quality_classifier_filter": {"model": str(model)}}], rows)
    assert {line["stat"] for line in done.ledger.to_pylist()} == {"quality_score"}
    assert sum(s > 0.5 for s in done.stats.column("quality_score").to_pylist()) == done.table.num_rows


def test_what_is_no_model_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no classifier"):
        apply([{"quality_classifier_filter": {"model": str(tmp_path)}}], [{"text": "x"}])
    for name, change in (("model.json", '{"format": "x", "bias": 1}'), ("model.safetensors", "no"), ("model.json", "[]")):
        folder = tmp_path / name / str(len(change))
        folder.mkdir(parents=True)
        for file in model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / name).write_text(change, "utf-8")
        with pytest.raises(RecipeError):
            apply([{"quality_classifier_filter": {"model": str(folder)}}], [{"text": "x"}])


def test_the_command(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tamis", "train-classifier", "--good", str(data / "good.jsonl"), "--bad", str(data / "bad.jsonl"),
               "--out", str(tmp_path / "m")]
    done = subprocess.run([*command, "--bits", "12"], capture_output=True, text=True, check=True)
    assert ", AUC 1.000," in done.stdout and "quality_classifier_filter" in done.stdout
    wrong = subprocess.run([*command, "--bits", "99"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "bits from 10 to 24" in wrong.stderr
