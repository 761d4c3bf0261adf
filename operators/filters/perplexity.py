"""The filter on how surprising a text is to a language model of n-grams."""

from typing import Protocol

import pyarrow as pa

from ..base import Range, Unit, filter
from .words import Pieces

PERPLEXITY = Unit("perplexity", "ppl", 0.0)


class Model(Protocol):
    """What knows how probable a line is."""

    def score(self, line: str) -> float:
        """log10 of the line's probability, begin and end of the line included."""
        ...


@filter(
    "perplexity_filter", unit=PERPLEXITY, keep=Range(min=0.0, max=1500.0),
    resources={"cutter": "sentencepiece", "model": "kenlm"},
)
def perplexity(
    text: pa.StringArray, *, cutter: Pieces, model: Model, lang: str = "en", model_dir: str | None = None
) -> pa.DoubleArray:
    """Perplexity of the text's word pieces to an n-gram model: 10 ^ (-log10 probability / (pieces + lines)), one decimal.

    The models are `{lang}.sp.model` and `{lang}.arpa.bin` (or `.arpa`) in `model_dir`, or in Data-Juicer's folder of models.
    Empty: 0.0. Null: null. Cost: about 2 MB a second. Source: CCNet (Wenzek et al. 2020), BigScience ROOTS.
    """
    return pa.array([None if row is None else _perplexity(cutter.pieces(row), model) for row in text.to_pylist()], pa.float64())


def _perplexity(pieces: list[str], model: Model) -> float:
    logarithm, length = 0.0, 0
    for line in " ".join(pieces).splitlines():
        logarithm += model.score(line)
        length += len(line.split()) + 1
    return round(10.0 ** (-logarithm / length), 1) if length else 0.0
