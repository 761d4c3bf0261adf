"""C4's rules for lines."""

import re
from functools import cache

import numpy as np
import pyarrow as pa

from ..base import mapper
from ..kernels import web_lines as kernel
from ..kernels.codepoints import CODE_POINTS, SPACE, classes, text_of
from ..kernels.strings import masked, strings, view


@cache
def _classes() -> np.ndarray:
    table = (classes() & SPACE > 0) * np.uint8(kernel.BLANK)
    for run in re.finditer(r"\d+", text_of(np.arange(CODE_POINTS))):  # what str.isdecimal says
        table[run.start() : run.end()] |= np.uint8(kernel.DIGIT)
    table.flags.writeable = False
    return table


@mapper("c4_lines_mapper", stats=("c4_lines_removed",))
def c4_lines(
    text: pa.StringArray, *, min_words_per_line: int = 3, max_word_length: int = 1000, remove_citations: bool = True,
    filter_no_terminal_punct: bool = True, filter_javascript: bool = True, filter_policy: bool = True,
) -> pa.StructArray:
    """Text of the lines that C4 keeps, blanks at their ends off: struct<text, c4_lines_removed: how many lines went>.

    A line goes that does not end in `. ? ! " '` or ends in `...`; of fewer than `min_words_per_line` words; with a word of
    more than `max_word_length` code points; that says javascript; that speaks of cookies, privacy or terms of use. `[1]`,
    `[edit]` and `[citation needed]` are cut out. Of these last lines, those with `lorem ipsum` or `{` stay, for
    `c4_quality_filter` to see. Lines are str.splitlines's. Empty: empty. Null: null. Cost: some passes.
    Source: Raffel et al. 2020 (C4), section 2.2, and its code; names as datatrove's.
    >>> c4_lines(pa.array(["Menu\\nThis line says it.[3]\\nMore ..."]))[0].as_py()["text"]
    'This line says it.'
    """
    offsets, data, gone = kernel.good_lines(
        *view(text), _classes(), min_words_per_line, max_word_length if max_word_length >= 0 else 1 << 62, remove_citations,
        filter_no_terminal_punct, filter_javascript, filter_policy,
    )
    return pa.StructArray.from_arrays([strings(offsets, data, like=text), masked(gone, text)], names=["text", "c4_lines_removed"])
