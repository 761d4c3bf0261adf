"""Texts that repeat evaluation examples: the filter that sends them away, and the index of examples that it asks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..base import Range, Unit, filter
from ..kernels.evaluation import Grams, Words, folds, gram_hashes, overlaps, read_words, table_of
from ..kernels.strings import nulls, view

COVERED = Unit("share of an evaluation example that stands in the text, 0 to 1", "ratio", 0.0, 1.0)


@dataclass(frozen=True)
class Examples:
    """Evaluation examples, ready to be found.

    Attributes:
        names: what each is called.
        words: of all of them.
        long: n-grams of examples of at least n words.
        short: shorter examples, each whole, by their first words.
        skipped: examples with too few words to be looked for.
        common: different n-grams that stand in too many examples to mean one of them.
    """

    names: tuple[str, ...]
    words: Words
    long: Grams
    short: Grams
    skipped: tuple[str, ...]
    common: int

    @property
    def longest(self) -> int:
        """Words of the longest example."""
        return int(np.diff(self.words.bounds).max(initial=0))


def words_of(text: pa.StringArray) -> Words:
    """The words of texts that count in a comparison."""
    return read_words(*view(text), *folds())


def index(names: Sequence[str], texts: Sequence[str], *, ngram: int, min_words: int, max_examples: int) -> Examples:
    """Examples as the filter wants them. An n-gram in more than `max_examples` of them is left out: it is a template's.

    Raises ValueError where `min_words` is not from 1 to `ngram`.
    """
    if not 1 <= min_words <= ngram:
        raise ValueError(f"min_words must be from 1 to ngram, it is {min_words}, ngram is {ngram}")
    words = words_of(pa.array(list(texts), pa.large_string()))
    sizes = np.diff(words.bounds)
    counts = np.maximum(sizes - ngram + 1, 0)
    rows = np.repeat(np.arange(len(sizes)), counts)
    starts = np.arange(len(rows)) + np.repeat(words.bounds[:-1] - (np.cumsum(counts) - counts), counts)
    hashes = gram_hashes(words.hashes, ngram)[starts] if len(starts) else np.empty(0, np.uint64)
    order = np.lexsort((starts, hashes))
    rows, starts, hashes = rows[order], starts[order], hashes[order]
    new = np.ones(len(rows), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (rows[1:] != rows[:-1])
    which, of = np.unique(hashes, return_inverse=True)
    seen = np.bincount(of, weights=new, minlength=len(which))  # in how many examples
    stays = seen[of] <= max_examples
    long = _grams(hashes[stays], starts[stays], np.full(int(stays.sum()), ngram), rows[stays], ngram)
    few = np.flatnonzero((sizes < ngram) & (sizes >= min_words))
    begins = words.bounds[few]
    firsts = gram_hashes(words.hashes, min_words)[begins] if len(few) else np.empty(0, np.uint64)
    order = np.argsort(firsts, kind="stable")
    short = _grams(firsts[order], begins[order], sizes[few][order], few[order], min_words)
    skipped = tuple(names[i] for i in np.flatnonzero(sizes < min_words).tolist())
    return Examples(tuple(names), words, long, short, skipped, int((seen > max_examples).sum()))


def _grams(hashes: np.ndarray, words: np.ndarray, sizes: np.ndarray, examples: np.ndarray, width: int) -> Grams:
    at, size, example = (np.ascontiguousarray(a, np.int64) for a in (words, sizes, examples))
    return Grams(table_of(hashes), np.ascontiguousarray(hashes), at, size, example, width)


@filter(
    "ngram_decontamination_filter", unit=COVERED, keep=Range(max=0.0), note="contaminated_by",
    stats=("contaminating_ngrams", "contaminated_by", "contamination"), resources={"examples": "evaluation"},
)
def contamination(
    text: pa.StringArray, *, examples: Examples, evaluation: str | list[str] = "", fields: list[str] | None = None,
    ngram: int = 13, min_words: int = 8, max_examples: int = 10,
) -> pa.StructArray:
    """Largest share of an evaluation example's words that stand in the text as n-grams, how many n-grams do, and which example.

    `evaluation`: files with examples (in any format of a corpus), `fields`: their texts, by default all but `id`, each an
    example by itself. Of one with at least `ngram` words any `ngram` in a row count, of a shorter one all, down to `min_words`;
    n-grams in more than `max_examples` examples do not. Words are compared by NFKD, case folded, without marks and
    punctuation; the hash only finds, letters decide. By default any n-gram sends a text away (GPT-3); `max_ratio: 0.5` only
    half an example. Empty: 0. Null: null. Cost: linear in the text. Source: Brown et al. 2020 (GPT-3), appendix C.
    """
    hits, best, share = overlaps(words_of(text), examples.long, examples.short, examples.words, examples.longest)
    absent = nulls(text)
    mask = np.zeros(len(text), bool) if absent is None else absent
    which = pa.array([None if i < 0 else examples.names[i] for i in best.tolist()], pa.string())
    names = ["contaminating_ngrams", "contaminated_by", "contamination"]
    return pa.StructArray.from_arrays([pa.array(hits), which, pa.array(share)], names=names, mask=pa.array(mask))
