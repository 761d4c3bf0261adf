"""Filters on what a text says again and again."""

import pyarrow as pa

from ..base import RATIO, Range, filter
from ..kernels.ngrams import character_repetition, list_repetition
from ..kernels.strings import list_view, masked, view
from .words import Pieces, chosen_words


@filter("character_repetition_filter", unit=RATIO, keep=Range(min=0.0, max=0.5))
def char_rep_ratio(text: pa.StringArray, *, rep_len: int = 10) -> pa.DoubleArray:
    """Share of the `rep_len`-grams of code points of `text` that its most frequent repeated ones make up.

    sum of the k largest counts / sum of all counts, with k = min(floor(sqrt(distinct)), distinct - occurring once).
    Empty: 0.0, as for a text shorter than `rep_len`. Null: null. Cost: linear; see `kernels.ngrams.repeats`.
    Raises ValueError for rep_len < 1.  Source: BigScience ROOTS.
    >>> char_rep_ratio(pa.array(["ababab", "", None]), rep_len=2).to_pylist()
    [0.6, 0.0, None]
    """
    return masked(character_repetition(*view(text), _positive(rep_len)), text)


@filter("word_repetition_filter", unit=RATIO, keep=Range(min=0.0, max=0.5), resources={"cutter": "word_pieces"})
def word_rep_ratio(
    words: pa.ListArray, text: pa.StringArray | None = None, *, lang: str = "en", tokenization: bool = False, rep_len: int = 10,
    cutter: Pieces | None = None,
) -> pa.DoubleArray:
    """Share of the `rep_len`-grams of words that occur more than once in the text.

    With `tokenization`, words are the pieces of the SentencePiece model of `lang`. Empty: 0.0, as for fewer words than
    `rep_len`. Null: null. Cost: linear. Raises ValueError for rep_len < 1.  Source: BigScience ROOTS.
    """
    words = chosen_words(words, text, cutter, tokenization)
    return masked(list_repetition(*list_view(words), _positive(rep_len)), words)


def _positive(rep_len: int) -> int:
    if rep_len < 1:
        raise ValueError(f"rep_len must be at least 1, it is {rep_len}")
    return rep_len
