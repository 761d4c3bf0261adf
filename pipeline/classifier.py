"""Training a classifier of quality from good and bad texts, judging it by texts that it has not seen, keeping and loading it.

A model is a folder: `model.safetensors` (weights, idf) and `model.json` (the rest, and how good it is). The same texts and
settings make the same bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from ..operators.filters.quality_model import LinearModel
from ..operators.kernels.linear_text import text_features, train, unit_rows, word_table
from ..operators.kernels.strings import view
from . import corpus
from .errors import RecipeError

FORMAT = "tamis linear text model 1"
NUMBERS, FACTS = "model.safetensors", "model.json"
RATE, DECAY, EPOCHS = 0.5, 1e-6, 8
SCORES = (0.1, 0.3, 0.5, 0.7, 0.9)  # whose effect is told
LEAST = 10  # texts of each kind


@dataclass(frozen=True)
class Metrics:
    """How a model does on texts that it was not trained on; `bad` texts are told from `good` ones at a score of 0.5.

    Attributes:
        rows, good: texts held out, and how many of them are good.
        accuracy, precision, recall, f1: of the good kind.
        auc: probability that a good text scores higher than a bad one.
        log_loss: in nats.
        thresholds: (score, share of good texts that reach it, share of bad ones).
    """

    rows: int
    good: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    log_loss: float
    thresholds: tuple[tuple[float, float, float], ...]


def train_classifier(
    good: Sequence[str], bad: Sequence[str], out: Path, *, text_key: str = "text", held_out: float = 0.2, bits: int = 18,
    seed: int = 0,
) -> Metrics:
    """Train on the texts of two datasets, keep the model in the folder `out`, and tell how it does on a share held out.

    Which texts those are is a matter of hash(seed, text): equal texts are on one side. Raises RecipeError where there are too
    few, where `held_out` is not between 0 and 1, or `bits` not from 10 to 24.
    """
    if not 0 < held_out < 1 or not 10 <= bits <= 24:
        raise _wrong(f"held_out must be between 0 and 1 and bits from 10 to 24, they are {held_out:g} and {bits}")
    try:
        _numbers()
    except ValueError as e:
        raise _wrong(str(e)) from e
    texts: list[str] = []
    labels: list[int] = []
    sources: list[dict[str, str]] = []
    for kind, paths in ((1, good), (0, bad)):
        found, read = _texts(paths, text_key)
        texts, labels, sources = [*texts, *found], [*labels, *[kind] * len(found)], [*sources, *read]
    keys = np.array([xxhash.xxh3_64_intdigest(t.encode("utf-8", "surrogatepass"), seed & (2**64 - 1)) for t in texts], np.uint64)
    label = np.array(labels, np.int64)
    test = keys.astype(np.float64) / 2.0**64 < held_out
    for kind in (1, 0):
        there, apart = int((~test & (label == kind)).sum()), int((test & (label == kind)).sum())
        if there < LEAST or not apart:
            told = f"{('bad', 'good')[kind]}: {there} texts to train on, {apart} held out"
            raise _wrong(f"{told}; at least {LEAST} and 1 are needed")
    column = pa.array(texts, pa.large_string())
    model = _fit(column.filter(pa.array(~test)), label[~test], keys[~test], 1 << bits)
    metrics = measure(model.probabilities(column.filter(pa.array(test))), label[test])
    facts = {"format": FORMAT, "bias": model.bias, "bits": bits, "seed": seed, "held_out": held_out, "text_key": text_key,
             "epochs": EPOCHS, "rows": {"good": int(label.sum()), "bad": int((1 - label).sum())}, "sources": sources,
             "metrics": asdict(metrics)}
    _write(model, facts, out)
    return metrics


def _wrong(told: str) -> RecipeError:
    e = RecipeError(told)
    e.title = "The classifier cannot be trained"
    return e


def _texts(paths: Sequence[str], text_key: str) -> tuple[list[str], list[dict[str, str]]]:
    sources = corpus.discover(list(paths), base=Path.cwd())
    corpus.peek_schema(sources, (text_key,))
    found: list[str] = []
    for split in corpus.cut(sources):
        for batch in corpus.read(split, text_keys=(text_key,), batch_rows=8192, batch_bytes=1 << 24, tolerate=False):
            found += [text for text in batch.column(text_key).to_pylist() if text]
    return found, [{"source": s.source, "digest": s.digest} for s in sources]


def _fit(text: pa.LargeStringArray, label: np.ndarray, keys: np.ndarray, buckets: int) -> LinearModel:
    """The model of these texts; the order of training is that of `keys`, so the order of the files does not matter."""
    bounds, places, values = text_features(*view(text), word_table(), buckets)
    seen = np.bincount(places, minlength=buckets)
    idf = np.where(seen > 1, np.log((1 + len(text)) / (1 + seen)) + 1, 0).astype(np.float32)  # once: it says nothing of others
    unit_rows(bounds, places, values, idf)
    weights, squares = np.zeros(buckets + 1), np.zeros(buckets + 1)
    share = len(label) / (2.0 * np.maximum(np.bincount(label, minlength=2), 1))
    order = np.lexsort((label, keys))
    for epoch in range(EPOCHS):
        mixed = np.argsort((keys[order] ^ np.uint64(epoch)) * np.uint64(0x9E3779B97F4A7C15), kind="stable")
        train(bounds, places, values, label, order[mixed], share, weights, squares, RATE, DECAY)
    return LinearModel(weights[:-1].astype(np.float32), idf, float(weights[-1]))


def measure(scores: np.ndarray, label: np.ndarray) -> Metrics:
    """How probabilities `scores` agree with labels 0 and 1, of which there are both."""
    said, good = scores >= 0.5, label == 1
    right, claimed, all_good = int((said & good).sum()), int(said.sum()), int(good.sum())
    precision, recall = right / max(claimed, 1), right / all_good
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    values, of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(of, weights=ranks, minlength=len(values)) / counts)[of]  # equal scores share a rank
    auc = (ranks[good].sum() - all_good * (all_good + 1) / 2) / (all_good * (len(label) - all_good))
    clipped = np.clip(np.where(good, scores, 1 - scores), 1e-15, 1)
    thresholds = tuple((t, float((scores[good] >= t).mean()), float((scores[~good] >= t).mean())) for t in SCORES)
    return Metrics(len(label), all_good, float((said == good).mean()), precision, recall,
                   2 * precision * recall / max(precision + recall, 1e-15), float(auc), float(-np.log(clipped).mean()), thresholds)


def text(told: Metrics, folder: Path) -> str:
    """What `tamis train-classifier` prints."""
    lines = [
        f"{folder}: judged by {told.rows:,} texts held out, {told.good:,} of them good",
        f"accuracy {told.accuracy:.3f}, precision {told.precision:.3f}, recall {told.recall:.3f}, F1 {told.f1:.3f}, "
        f"AUC {told.auc:.3f}, log loss {told.log_loss:.3f}",
        "min_score   good texts that stay   bad texts that stay",
        *(f"{score:9.1f}   {stay:21.1%}   {pass_:19.1%}" for score, stay, pass_ in told.thresholds),
        f"Use it: quality_classifier_filter: {{model: {folder}, min_score: 0.5}}",
    ]
    return "\n".join(lines)


def _numbers() -> Any:
    """The library that keeps arrays. Raises ValueError where it is not installed."""
    try:
        import safetensors.numpy
    except ImportError as e:
        raise ValueError("classifiers are kept by the extra 'classifier': pip install 'tamis[classifier]'") from e
    return safetensors


def _write(model: LinearModel, facts: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / NUMBERS).write_bytes(_numbers().numpy.save({"idf": model.idf, "weights": model.weights}))
    (out / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def find(folder: str) -> list[Path]:
    """The files of the model in a folder. Raises ValueError where they are not there, or nothing can read them."""
    if not folder:
        raise ValueError("model must be given: a folder that `tamis train-classifier` has made")
    _numbers()
    files = [Path(folder).expanduser() / name for name in (FACTS, NUMBERS)]
    for file in files:
        if not file.is_file():
            raise ValueError(f"model {folder!r} is no classifier: it has no {file.name}; `tamis train-classifier` makes one")
    return files


def load(folder: str) -> LinearModel:
    """The model in a folder. Raises ValueError where it is none."""
    facts, numbers = find(folder)
    try:
        told, arrays = json.loads(facts.read_text("utf-8")), _numbers().numpy.load_file(numbers)
        weights, idf, bias = arrays["weights"], arrays["idf"], float(told["bias"])
    except (ValueError, KeyError, TypeError, _numbers().SafetensorError) as e:
        raise ValueError(f"it cannot be read: {e}") from e
    good = told.get("format") == FORMAT and weights.shape == idf.shape == (1 << told.get("bits", 0),)
    if not good or not all(a.dtype == np.float32 and np.isfinite(a).all() for a in (weights, idf)):
        raise ValueError(f"it is no {FORMAT!r}")
    return LinearModel(weights, idf, bias)
