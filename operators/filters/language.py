"""The filter on the language that a text is in."""

from typing import Protocol

import numpy as np
import pyarrow as pa

from ..base import Range, Unit, filter
from ..kernels.strings import nulls

SCORE = Unit("probability, 0 to 1", "score", 0.0, 1.001)  # fastText's single precision goes a little beyond 1


class LanguageModel(Protocol):
    """What knows languages: one text without line breaks in, its language (ISO code) and the probability of that out."""

    def predict(self, text: str) -> tuple[str, float]:
        """The likeliest language and its probability."""
        ...


@filter(
    "language_id_score_filter", unit=SCORE, keep=Range(min=0.8), stats=("lang", "lang_score"),
    member=("lang", "lang"), resources={"model": "language_model"}, version=2,
)
def language_id(text: pa.StringArray, *, model: LanguageModel, lang: str | list[str] = "") -> pa.StructArray:
    """Likeliest language of each text and its probability: struct<lang: string, lang_score: double>.

    The model sees the text lower-cased, newlines as spaces. `lang` names the languages that stay (empty: any); the
    decision is not made here. fastText computes in single precision: a probability may be 1.00004.
    Empty: what the model says of it. Null: null. Cost: about 0.1 ms a kilobyte with lid.176.
    Source: Joulin et al. 2016 (fastText).
    """
    labels: list[str | None] = []
    scores: list[float | None] = []
    for row in text.to_pylist():  # the model takes one Python string at a time, and is a hundred times the loop's cost
        label, score = model.predict(row.lower().replace("\n", " ")) if row is not None else (None, None)
        labels.append(label)
        scores.append(None if score is None else float(score))
    absent = nulls(text)
    columns = [pa.array(labels, pa.string()), pa.array(scores, pa.float64())]
    mask = pa.array(absent if absent is not None else np.zeros(len(text), np.bool_))
    return pa.StructArray.from_arrays(columns, names=["lang", "lang_score"], mask=mask)
