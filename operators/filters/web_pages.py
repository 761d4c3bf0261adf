"""C4's rules for whole texts; those for lines are `c4_lines_mapper`."""

import unicodedata
from functools import cache

import numpy as np
import pyarrow as pa

from ..base import Range, Rule, filter
from ..kernels import runs, web_lines
from ..kernels.codepoints import CODE_POINTS, SPACE, classes, spread
from ..kernels.english_lists import tables
from ..kernels.english_words import english_runs
from ..kernels.strings import view
from ..kernels.terminal_marks import TERMINAL
from .rules import BROKEN, judged, names

C4 = (
    Rule("c4_lorem_ipsum", None, "max_lorem_ipsum"),
    Rule("c4_curly_brackets", None, "max_curly_brackets"),
    Rule("c4_sentences", "min_num_sentences"),
)


@cache
def _classes() -> tuple[np.ndarray, np.ndarray]:
    """(uint8[0x110000]: blank, no punctuation; bool[0x110000]: a mark that ends a sentence)."""
    everything = [chr(code) for code in range(CODE_POINTS)]
    table = (classes() & SPACE > 0) * np.uint8(runs.BLANK)
    table |= np.fromiter((unicodedata.category(c)[0] != "P" for c in everything), np.uint8, CODE_POINTS) * np.uint8(runs.PLAIN)
    table.flags.writeable = False
    return table, spread(TERMINAL)


def _sentences(text: pa.StringArray) -> np.ndarray:
    table, marks = _classes()
    offsets, data = view(text)
    starts, rows = web_lines.lines_at(offsets, data)
    return web_lines.count_sentences(*english_runs(starts, data, table, *tables()), rows, marks, len(text))  # type: ignore[no-any-return]


@filter("c4_quality_filter", unit=BROKEN, keep=Range(max=0), rules=C4, stats=names(C4, "c4_quality_broken"), version=2)
def c4_quality(
    text: pa.StringArray, *, min_num_sentences: int | None = 5, max_lorem_ipsum: int | None = 0, max_curly_brackets: int | None = 0,
) -> pa.StructArray:
    """How many of C4's rules for pages a text breaks, and each rule's number; `c4_lines_mapper` comes before it.

    How often it says `lorem ipsum`, in either case; opening curly brackets; sentences. A sentence ends in a line's end or a
    mark of any script that is a word by itself, as spaCy cuts words and sentences of English: not that of `Mr.` or `3.14`.
    A bound of null asks nothing. Empty: all 0. Null: null. Cost: three passes. Source: Raffel et al. 2020 (C4), section 2.2.
    >>> c4_quality(pa.array(["One. Two! Is it {three}?"]))[0].as_py()["c4_sentences"]
    3
    """
    found = (*web_lines.count_page(*view(text)), _sentences(text))
    bounds = {"min_num_sentences": min_num_sentences, "max_lorem_ipsum": max_lorem_ipsum, "max_curly_brackets": max_curly_brackets}
    numbers = {rule.stat: values for rule, values in zip(C4, found, strict=True)}
    return judged(C4, "c4_quality_broken", numbers, bounds, text)
