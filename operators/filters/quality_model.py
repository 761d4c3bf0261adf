"""The filter by a classifier of quality that the user has trained: a linear model over hashed words and pairs of words."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..base import CONFIDENCE, Range, filter
from ..kernels.linear_text import margins, text_features, unit_rows, word_table
from ..kernels.strings import masked, view


@dataclass(frozen=True)
class LinearModel:
    """What `tamis train-classifier` makes: float32[buckets] twice, and a number. `buckets` is a power of two."""

    weights: np.ndarray
    idf: np.ndarray
    bias: float

    def probabilities(self, text: pa.StringArray) -> np.ndarray:
        """float64[n]: how probably each text is of the good kind."""
        bounds, places, values = text_features(*view(text), word_table(), len(self.weights))
        unit_rows(bounds, places, values, self.idf)
        return 1.0 / (1.0 + np.exp(-margins(bounds, places, values, self.weights, self.bias)))


@filter("quality_classifier_filter", unit=CONFIDENCE, keep=Range(min=0.5), resources={"classifier": "classifier"})
def quality_score(text: pa.StringArray, *, classifier: LinearModel, model: str = "") -> pa.DoubleArray:
    """Probability that a text is of the good kind, as the classifier in the folder `model` has learnt it from examples.

    Words and pairs of words, hashed, TF-IDF, logistic regression; both kinds count as equally frequent. The model is made by
    `tamis train-classifier` and read as numbers only. Empty: what the model says of it. Null: null. Cost: linear, one sort
    of a text's words. Source: Brown et al. 2020 (GPT-3), appendix A; Wettig et al. 2024 for what good can mean.
    """
    return masked(classifier.probabilities(text), text)
