"""Words, and the filters that count them.

A word runs between spaces, newlines and tabs, and only those, as in Data-Juicer. It is lower-cased (but for the plain
count), then special characters are stripped from both its ends; words of which nothing is left do not count.
"""

from functools import cache, lru_cache
from itertools import combinations
from typing import Protocol

import numpy as np
import pyarrow as pa

from ..base import COUNT, RATIO, Range, feature, filter
from ..kernels.codepoints import SPECIAL_CHARACTER, classes
from ..kernels.hashing import count_words, hash_strings, word_hashes
from ..kernels.membership import build_set, combine, count_members
from ..kernels.strings import list_view, lists, masked, view


class Pieces(Protocol):
    """What cuts text into word pieces."""

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text."""
        ...


def piecewise(text: pa.StringArray | None, cutter: Pieces | None, tokenization: bool) -> pa.StringArray | None:
    """Each text as its pieces with a space between any two; None without `tokenization`. Raises ValueError without a model."""
    if not tokenization:
        return None
    if cutter is None or text is None:
        raise ValueError("tokenization: true needs a tokenizer model (SentencePiece)")
    return pa.array([None if row is None else " ".join(cutter.pieces(row)) for row in text.to_pylist()], pa.string())


@feature
def words(text: pa.StringArray) -> pa.ListArray:
    """Hashes of the words of `text` in their order, lower-cased and stripped: list<uint64>.

    Equal words have equal hashes; two different ones of a corpus of 10^8 share one with probability 3e-4.
    Empty: empty list. Null: null. Cost: one pass; eight bytes a word.
    >>> [len(row) for row in words(pa.array(["Ab, ab --", ""])).to_pylist()]
    [2, 0]
    """
    return lists(*word_hashes(text), like=text)


@filter("words_num_filter", unit=COUNT, keep=Range(min=10), resources={"cutter": "word_pieces"})
def num_words(
    text: pa.StringArray, *, lang: str = "en", tokenization: bool = False, cutter: Pieces | None = None
) -> pa.Int64Array:
    """Words of `text` that hold more than special characters, case as it is written.

    With `tokenization`, the pieces of the SentencePiece model of `lang`. Empty: 0. Null: null. Cost: one pass; pieces: the model.
    >>> num_words(pa.array(["a b -- c1", "", None])).to_pylist()
    [3, 0, None]
    """
    pieces = piecewise(text, cutter, tokenization)
    return masked(count_words(*view(text if pieces is None else pieces), _word_parts()), text)


@filter("stopwords_filter", unit=RATIO, keep=Range(min=0.3, max=1.0),
        resources={"stopwords": "stopwords", "cutter": "word_pieces"})
def stopwords_ratio(
    words: pa.ListArray, text: pa.StringArray | None = None, *, stopwords: frozenset[str], lang: str = "en",
    tokenization: bool = False, stopwords_dir: str | None = None, use_words_aug: bool = False,
    words_aug_group_sizes: tuple[int, ...] = (2,),
    words_aug_join_char: str = "", cutter: Pieces | None = None,
) -> pa.DoubleArray:
    """Share of the words that are in `stopwords`: running text has many, lists and spam few.

    `lang` and `stopwords_dir` say which list is loaded; here they do nothing. `use_words_aug` counts every group of
    neighbouring words, joined by `words_aug_join_char`, as one word more. Empty: 0.0. Null: null. Cost: one look-up a word.
    With `tokenization`, words are the pieces of a SentencePiece model. Raises ValueError for group sizes below 1.
    Source: BigScience ROOTS.
    >>> stopwords_ratio(words(pa.array(["The cat", ""])), stopwords=frozenset({"the"})).to_pylist()
    [0.5, 0.0]
    """
    words = chosen_words(words, text, cutter, tokenization)
    return _share_in(words, stopwords, tuple(words_aug_group_sizes) if use_words_aug else (), words_aug_join_char)


@filter("flagged_words_filter", unit=RATIO, keep=Range(min=0.0, max=0.045),
        resources={"flagged_words": "flagged_words", "cutter": "word_pieces"})
def flagged_words_ratio(
    words: pa.ListArray, text: pa.StringArray | None = None, *, flagged_words: frozenset[str], lang: str = "en",
    tokenization: bool = False, flagged_words_dir: str | None = None, use_words_aug: bool = False,
    words_aug_group_sizes: tuple[int, ...] = (2,),
    words_aug_join_char: str = "", cutter: Pieces | None = None,
) -> pa.DoubleArray:
    """Share of the words that are in `flagged_words`.

    Settings, Empty, Null, Cost and Raises as in `stopwords_ratio`.  Source: BigScience ROOTS.
    >>> flagged_words_ratio(words(pa.array(["damn it", ""])), flagged_words=frozenset({"damn"})).to_pylist()
    [0.5, 0.0]
    """
    words = chosen_words(words, text, cutter, tokenization)
    return _share_in(words, flagged_words, tuple(words_aug_group_sizes) if use_words_aug else (), words_aug_join_char)


def chosen_words(words: pa.ListArray, text: pa.StringArray | None, cutter: Pieces | None, tokenization: bool) -> pa.ListArray:
    """`words`; with `tokenization`, the model's pieces of `text`, lower-cased and stripped like words."""
    pieces = piecewise(text, cutter, tokenization)
    return words if pieces is None else lists(*word_hashes(pieces), like=pieces)


def _share_in(words: pa.ListArray, listed: frozenset[str], groups: tuple[int, ...], joint: str) -> pa.DoubleArray:
    """float64[n]: share of each row's words, and groups of neighbouring words, that are in `listed`. Empty: 0.0."""
    if any(size < 1 for size in groups):
        raise ValueError(f"words_aug_group_sizes must all be at least 1, they are {list(groups)}")
    offsets, hashes = list_view(words)
    lengths = np.diff(offsets)
    hits, counted = count_members(offsets, hashes, 1, _listed(listed, 1, joint)), lengths
    for size in groups:
        hits = hits + count_members(offsets, hashes, size, _listed(listed, size, joint))
        counted = counted + np.maximum(lengths - size + 1, 0)
    return masked(hits / np.maximum(counted, 1), words)


@lru_cache(maxsize=32)
def _listed(listed: frozenset[str], size: int, joint: str) -> np.ndarray:
    """Hash set of the groups of `size` words that make a listed word when joined.

    Turns the question round: instead of joining the text's words, the few listed words are split in every possible way.
    """
    parts = [part for word in listed for split in splits(word, size, joint) for part in split]
    return build_set(combine(hash_strings(parts).reshape(-1, size)))


def splits(word: str, size: int, joint: str) -> list[tuple[str, ...]]:
    """Every way to write `word` as `size` non-empty parts joined by `joint`. Cost: (letters choose size - 1)."""
    found = []
    places = [i for i in range(1, len(word)) if word.startswith(joint, i)]
    for chosen in combinations(places, size - 1):
        starts, ends = (0, *(i + len(joint) for i in chosen)), (*chosen, len(word))
        if all(start < end for start, end in zip(starts, ends, strict=True)):
            found.append(tuple(word[start:end] for start, end in zip(starts, ends, strict=True)))
    return found


@cache
def _word_parts() -> np.ndarray:
    """uint8[0x110000] for `count_words`: bit 0: not special, bit 1: not a separator."""
    table = np.where(classes() & SPECIAL_CHARACTER, np.uint8(2), np.uint8(3))
    table[[ord(" "), ord("\n"), ord("\t")]] = 0
    return table
