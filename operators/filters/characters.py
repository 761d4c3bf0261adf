"""Filters on the characters of a text: which it is made of, and how many there are."""

import numpy as np
import pyarrow as pa

from ..base import LENGTH, RATIO, Range, filter
from ..kernels.codepoints import ALNUM, ALPHA, SPECIAL_CHARACTER, classes, count_class, count_code_points
from ..kernels.strings import masked, view
from .tokens import Counter, counted


def _share(text: pa.StringArray, wanted: int) -> pa.DoubleArray:
    hits, lengths = count_class(*view(text), classes(), np.uint8(wanted))
    return masked(hits / np.maximum(lengths, 1), text)


@filter("alphanumeric_filter", unit=RATIO, keep=Range(min=0.25), resources={"counter": "pythia_tokens"})
def alnum_ratio(text: pa.StringArray, *, tokenization: bool = False, counter: Counter | None = None) -> pa.DoubleArray:
    """Share of code points in `text` that are letters or digits, as Python's str.isalnum has it.

    With `tokenization`, letters (str.isalpha) by tokens of Pythia's tokenizer, which may be above 1, as Data-Juicer's
    `alpha_token_ratio`. Empty: 0.0. Null: null. Cost: one pass; tokens: the tokenizer.  Source: RedPajama v1.
    >>> alnum_ratio(pa.array(["ab--", "", None])).to_pylist()
    [0.5, 0.0, None]
    """
    if not tokenization:
        return _share(text, ALNUM)
    if counter is None:
        raise ValueError("tokenization: true needs a tokenizer model")
    hits, _ = count_class(*view(text), classes(), np.uint8(ALPHA))
    return masked(hits / np.maximum(counted(text, counter).fill_null(0).to_numpy(), 1), text)


@filter("special_characters_filter", unit=RATIO, keep=Range(min=0.0, max=0.25))
def special_char_ratio(text: pa.StringArray) -> pa.DoubleArray:
    """Share of code points in `text` that are special: white space, digits, punctuation, symbols, emoji (1,618 in all).

    Emoji of several code points count by each that is special by itself. Empty: 0.0. Null: null. Cost: one pass.
    Source: BigScience ROOTS, through Data-Juicer; see kernels/special_characters.py.
    >>> special_char_ratio(pa.array(["ab 1", "", None])).to_pylist()
    [0.5, 0.0, None]
    """
    return _share(text, SPECIAL_CHARACTER)


@filter("text_length_filter", unit=LENGTH, keep=Range(min=10))
def text_len(text: pa.StringArray) -> pa.Int64Array:
    """Length of `text` in code points.

    Empty: 0. Null: null. Cost: one pass.
    >>> text_len(pa.array(["naïve", "", None])).to_pylist()
    [5, 0, None]
    """
    return masked(count_code_points(*view(text)), text)
