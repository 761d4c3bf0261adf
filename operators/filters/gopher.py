"""The rules of Gopher (Rae et al. 2021, section A1.1) and of FineWeb (Penedo et al. 2024, section 3.6), as datatrove has them.

Words are datatrove's, which cuts punctuation off them by spaCy's rules for English (`kernels/english_words.py`); on request
those of Python's str.split, as with Dolma and NeMo Curator.
"""

from functools import cache, lru_cache
from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import Range, Rule, feature, filter
from ..kernels import runs as kernel
from ..kernels.codepoints import ALPHA, SPACE, classes, count_code_points, spread
from ..kernels.english_lists import tables
from ..kernels.english_words import english_runs
from ..kernels.layout import count_symbols, line_facts, repeated_pieces
from ..kernels.strings import list_view, lists, view
from ..kernels.terminal_marks import PUNCTUATION, TERMINAL
from .rules import BROKEN, judged, names

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
TOPS, DUPLICATES = (2, 3, 4), (5, 6, 7, 8, 9, 10)

QUALITY = (
    Rule("gopher_words", "min_doc_words", "max_doc_words"),
    Rule("gopher_word_length", "min_avg_word_length", "max_avg_word_length"),
    Rule("gopher_hash_ratio", None, "max_symbol_word_ratio"),
    Rule("gopher_ellipsis_ratio", None, "max_symbol_word_ratio"),
    Rule("gopher_bullet_lines", None, "max_bullet_lines_ratio"),
    Rule("gopher_ellipsis_lines", None, "max_ellipsis_lines_ratio"),
    Rule("gopher_alpha_words", "min_alpha_words_ratio"),
    Rule("gopher_stop_words", "min_stop_words"),
)
REPETITION = (
    Rule("gopher_characters", "min_doc_characters"),
    Rule("gopher_dup_paras", None, "max_dup_para_frac"),
    Rule("gopher_dup_para_chars", None, "max_dup_para_char_frac"),
    Rule("gopher_dup_lines", None, "max_dup_line_frac"),
    Rule("gopher_dup_line_chars", None, "max_dup_line_char_frac"),
    *(Rule(f"gopher_top_{n}_gram", None, f"max_top_{n}_gram") for n in TOPS),
    *(Rule(f"gopher_dup_{n}_grams", None, f"max_dup_{n}_grams") for n in DUPLICATES),
)
FINEWEB = (
    Rule("fineweb_line_punct", "min_line_punct_ratio"),
    Rule("fineweb_short_lines", None, "max_short_line_ratio"),
    Rule("fineweb_dup_line_chars", None, "max_char_duplicates_ratio"),
    Rule("fineweb_newlines", None, "max_new_line_ratio"),
)


@cache
def _classes() -> np.ndarray:
    table = (classes() & SPACE > 0) * np.uint8(kernel.BLANK)
    table |= (classes() & ALPHA > 0) * np.uint8(kernel.LETTER)
    table |= ~spread(PUNCTUATION) * np.uint8(kernel.PLAIN)
    table.flags.writeable = False
    return table


@cache
def _marks() -> np.ndarray:
    return spread(TERMINAL)


@feature
def runs(text: pa.StringArray) -> pa.ListArray:
    """Words of `text`, punctuation apart, as written, two numbers each (`kernels/runs.py`): list<uint64>.

    Empty: empty list. Null: null. Cost: one pass; 16 bytes a word.
    >>> [len(row) // 2 for row in runs(pa.array(["Don't, ab --", ""])).to_pylist()]
    [6, 0]
    """
    offsets, values = english_runs(*view(text), _classes(), *tables())
    return lists(offsets, values, like=text)


Cut = Literal["punctuation", "blanks"]


def _words(text: pa.StringArray, runs: pa.ListArray, words: Cut) -> tuple[np.ndarray, np.ndarray]:
    return list_view(runs) if words == "punctuation" else kernel.word_runs(*view(text), _classes())


@lru_cache(maxsize=32)
def _listed(words: tuple[str, ...]) -> np.ndarray:
    found = kernel.word_runs(*view(pa.array(sorted(set(words)), pa.string())), _classes())[1][::2]
    return np.unique(found)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.maximum(whole, 1)


@filter(
    "gopher_quality_filter", unit=BROKEN, keep=Range(max=0), rules=QUALITY, stats=names(QUALITY, "gopher_quality_broken"),
    version=2,
)
def gopher_quality(
    text: pa.StringArray, runs: pa.ListArray, *, min_doc_words: int | None = 50, max_doc_words: int | None = 100_000,
    min_avg_word_length: float | None = 3.0, max_avg_word_length: float | None = 10.0,
    max_symbol_word_ratio: float | None = 0.1, max_bullet_lines_ratio: float | None = 0.9,
    max_ellipsis_lines_ratio: float | None = 0.3, min_alpha_words_ratio: float | None = 0.8, min_stop_words: int | None = 2,
    stop_words: tuple[str, ...] = STOP_WORDS, words: Cut = "punctuation",
) -> pa.StructArray:
    """How many of Gopher's quality rules a text breaks, and each rule's number.

    Words and their mean length, of words that are more than punctuation; `#`, and ellipses, for each word; lines behind a
    bullet (• or -), and before an ellipsis, of all lines; words with a letter, of all; different ones of `stop_words`. A
    bound of null asks nothing. `words`: whether punctuation is a word of its own, as in datatrove, or sticks to its word.
    Empty: all 0. Null: null. Cost: two passes. Source: Rae et al. 2021 (Gopher), as datatrove has it.
    >>> gopher_quality(t := pa.array(["the cat, # so"]), runs(t), min_doc_words=3)[0].as_py()["gopher_hash_ratio"]
    0.2
    """
    total, plain, points, letters, met = kernel.count_runs(*_words(text, runs, words), _listed(tuple(stop_words)))
    hashes, ellipses, lines, bullets, trailing = count_symbols(*view(text))
    found = (plain, _share(points, plain), _share(hashes, total), _share(ellipses, total), _share(bullets, lines),
             _share(trailing, lines), _share(letters, total), met)
    bounds = {
        "min_doc_words": min_doc_words, "max_doc_words": max_doc_words, "min_avg_word_length": min_avg_word_length,
        "max_avg_word_length": max_avg_word_length, "max_symbol_word_ratio": max_symbol_word_ratio,
        "max_bullet_lines_ratio": max_bullet_lines_ratio, "max_ellipsis_lines_ratio": max_ellipsis_lines_ratio,
        "min_alpha_words_ratio": min_alpha_words_ratio, "min_stop_words": min_stop_words,
    }
    numbers = {rule.stat: values for rule, values in zip(QUALITY, found, strict=True)}
    return judged(QUALITY, "gopher_quality_broken", numbers, bounds, text)


@filter(
    "gopher_repetition_filter", unit=BROKEN, keep=Range(max=0), rules=REPETITION,
    stats=names(REPETITION, "gopher_repetition_broken"), version=2,
)
def gopher_repetition(
    text: pa.StringArray, runs: pa.ListArray, *, min_doc_characters: int | None = 1, max_dup_line_frac: float | None = 0.3,
    max_dup_para_frac: float | None = 0.3, max_dup_line_char_frac: float | None = 0.2,
    max_dup_para_char_frac: float | None = 0.2, max_top_2_gram: float | None = 0.2, max_top_3_gram: float | None = 0.18,
    max_top_4_gram: float | None = 0.16, max_dup_5_grams: float | None = 0.15, max_dup_6_grams: float | None = 0.14,
    max_dup_7_grams: float | None = 0.13, max_dup_8_grams: float | None = 0.12, max_dup_9_grams: float | None = 0.11,
    max_dup_10_grams: float | None = 0.10, words: Cut = "punctuation",
) -> pa.StructArray:
    """How many of Gopher's repetition rules a text breaks, and each rule's number.

    Lines (between newlines) and paragraphs (between empty lines) that were there before, of all, and their code points, of
    the text's; code points of the most frequent n-gram of words times its count, and of n-grams that were there before, of
    the text's. A bound of null asks nothing; `words` as in gopher_quality_filter. Empty: all 0, and one rule broken.
    Null: null. Cost: one pass, and one over the words for each n.
    Source: Rae et al. 2021 (Gopher), table A1, as datatrove has it.
    >>> gopher_repetition(t := pa.array(["a b\\na b"]), runs(t))[0].as_py()["gopher_dup_lines"]
    0.5
    """
    offsets, data = view(text)
    points = count_code_points(offsets, data)
    paras, dup_paras, para_points = repeated_pieces(offsets, data, 2, True)
    lines, dup_lines, line_points = repeated_pieces(offsets, data, 1, False)
    grams = kernel.repeated_points(*_words(text, runs, words), np.array(TOPS), np.array(DUPLICATES))
    found = (points, _share(dup_paras, paras), _share(para_points, points), _share(dup_lines, lines), _share(line_points, points),
             *(_share(row, points) for row in grams))
    bounds = {
        "min_doc_characters": min_doc_characters, "max_dup_line_frac": max_dup_line_frac, "max_dup_para_frac": max_dup_para_frac,
        "max_dup_line_char_frac": max_dup_line_char_frac, "max_dup_para_char_frac": max_dup_para_char_frac,
        "max_top_2_gram": max_top_2_gram, "max_top_3_gram": max_top_3_gram, "max_top_4_gram": max_top_4_gram,
        "max_dup_5_grams": max_dup_5_grams, "max_dup_6_grams": max_dup_6_grams, "max_dup_7_grams": max_dup_7_grams,
        "max_dup_8_grams": max_dup_8_grams, "max_dup_9_grams": max_dup_9_grams, "max_dup_10_grams": max_dup_10_grams,
    }
    numbers = {rule.stat: values for rule, values in zip(REPETITION, found, strict=True)}
    return judged(REPETITION, "gopher_repetition_broken", numbers, bounds, text)


@filter(
    "fineweb_quality_filter", unit=BROKEN, keep=Range(max=0), rules=FINEWEB, stats=names(FINEWEB, "fineweb_quality_broken"),
    version=2,
)
def fineweb_quality(
    text: pa.StringArray, runs: pa.ListArray, *, min_line_punct_ratio: float | None = 0.12,
    max_short_line_ratio: float | None = 0.67, short_line_length: int = 30, max_char_duplicates_ratio: float | None = 0.01,
    max_new_line_ratio: float | None = 0.3, words: Cut = "punctuation",
) -> pa.StructArray:
    """How many of FineWeb's rules a text breaks, and each rule's number.

    Of lines that are not blank: those that end in a sentence's mark (of any script), those of `short_line_length` code
    points or fewer, and the code points of those there before, of the text's without newlines; newlines for each word. A
    bound of null asks nothing; `words` as in gopher_quality_filter. Empty: all 0. Null: null. Cost: two passes.
    Source: Penedo et al. 2024 (FineWeb), datatrove.
    >>> fineweb_quality(t := pa.array(["One.\\nTwo"]), runs(t))[0].as_py()["fineweb_line_punct"]
    0.5
    """
    lines, ended, short, repeated, points, newlines = line_facts(*view(text), _marks(), short_line_length)
    bounds, _ = _words(text, runs, words)
    found = (_share(ended, lines), _share(short, lines), _share(repeated, points), _share(newlines, np.diff(bounds) // 2))
    asked = {
        "min_line_punct_ratio": min_line_punct_ratio, "max_short_line_ratio": max_short_line_ratio,
        "max_char_duplicates_ratio": max_char_duplicates_ratio, "max_new_line_ratio": max_new_line_ratio,
    }
    numbers = {rule.stat: values for rule, values in zip(FINEWEB, found, strict=True)}
    return judged(FINEWEB, "fineweb_quality_broken", numbers, asked, text)
