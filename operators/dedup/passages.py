"""Passages that the corpus repeats: lines or paragraphs in many documents, and runs of tokens that occur again."""

from typing import Literal

import pyarrow as pa

from ..base import trimmer
from ..kernels.token_windows import window_units
from ..kernels.units import Rules, line_units
from .folding import fold_table, texts
from .repeats import as_column


def _documents(rows: int, *, frequency_threshold: int, frequency_ratio: float | None, **_: object) -> int:
    """In how many documents a line may stand and stay."""
    return frequency_threshold if frequency_ratio is None else int(frequency_ratio * rows + 1e-9)


@trimmer("document_line_deduplicator", limit=_documents, once_a_row=True, stats=("removed_lines", "removed_line_chars"))
def repeated_lines(
    text: pa.StringArray, *, frequency_threshold: int = 6, frequency_ratio: float | None = None,
    unit: Literal["line", "paragraph"] = "line", lowercase: bool = False, ignore_special_character: bool = False,
    min_line_length: int = 2, skip_brackets: bool = True, skip_markdown_headers: bool = True, skip_latex_env: bool = True,
    skip_html_tags: bool = True, keep_first: bool = False,
) -> pa.ListArray:
    """Text without the lines (or paragraphs) that stand in more than `frequency_threshold` documents.

    `frequency_ratio`, where given, is that threshold as a share of the documents. A line ends at U+000A; a paragraph is a
    run of lines that are not blank. Lines are compared stripped and, as asked, in lower case and without white space, digits
    and ASCII punctuation. Never removed: lines shorter than `min_line_length` code points, lines of brackets and semicolons
    only, lines that begin with `#`, LaTeX `\\begin{`, `\\end{`, and single HTML tags (a paragraph: where it is one such line).
    All copies go, as in Data-Juicer, or with `keep_first` all but the first in the corpus. Lines of nothing but what
    `ignore_special_character` leaves out are equal, as there. Other than there, a document left without text leaves.
    Shape: list<struct>[n], one for each line that could go. Empty: an empty list. Null: null. Cost: one pass; 20 bytes a
    different line and part on disk. Raises ValueError for thresholds that make no sense.
    Source: Data-Juicer 1.6.1; Touvron et al. 2023 (LLaMA, 2.1: boilerplate lines, after CCNet).
    """
    if frequency_threshold < 1:
        raise ValueError(f"frequency_threshold is {frequency_threshold}: a line that stands in one document is not repeated")
    if frequency_ratio is not None and not 0.0 <= frequency_ratio < 1.0:
        raise ValueError(f"frequency_ratio is a share of the documents, at least 0 and below 1, it is {frequency_ratio:g}")
    rules = Rules(unit == "paragraph", min_line_length, skip_brackets, skip_markdown_headers, skip_latex_env, skip_html_tags)
    plain = texts(text, lowercase=False)
    folded = texts(text, lowercase=True) if lowercase else plain
    table = fold_table(lowercase, ignore_special_character)
    return as_column(line_units(plain, folded, lowercase and not ignore_special_character, table, rules), text)


def _occurrences(rows: int, *, frequency_threshold: int, **_: object) -> int:
    """How often a run of tokens may occur and stay."""
    return frequency_threshold


@trimmer("exact_substring_deduplicator", limit=_occurrences, once_a_row=False, stats=("removed_spans", "removed_span_chars"))
def repeated_spans(
    text: pa.StringArray, *, min_tokens: int = 50, tokenization: Literal["space", "character"] = "space",
    frequency_threshold: int = 1, keep_first: bool = True,
) -> pa.ListArray:
    """Text without the runs of `min_tokens` tokens or more that occur elsewhere in the corpus, all but the first occurrence.

    Tokens are runs of characters between white space of any kind, or code points (`character`: for text without spaces; give
    `min_tokens` for it). The white space between tokens does not count; letters count as they are written. Every position is
    looked at, so every repeated run is found, of any length, across documents and inside one. What goes stands in an earlier
    run of `min_tokens` too, and so remains in its first place; with `keep_first: false` all places go.
    `frequency_threshold`: runs that occur no more often than this stay.
    Shape: list<struct>[n], one for each window. Empty: an empty list. Null: null. Cost: one pass, 16 bytes a token to sort, 24 a
    token on disk (about four times the text) until the stage is done. Raises ValueError for settings that make no sense.
    Source: Lee et al. 2022, Deduplicating Training Data Makes Language Models Better, 4.1 (ExactSubstr; by suffix array there).
    """
    if min_tokens < 2:
        raise ValueError(f"min_tokens is {min_tokens}: a run has at least two tokens (50 is what the paper takes)")
    if frequency_threshold < 1:
        raise ValueError(f"frequency_threshold is {frequency_threshold}: what occurs once is not repeated")
    return as_column(window_units(texts(text, lowercase=False), min_tokens, tokenization == "character"), text)
