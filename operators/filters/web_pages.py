"""C4's rules for whole texts; those for lines are `c4_lines_mapper`."""

from functools import cache

import numpy as np
import pyarrow as pa

from ..base import Range, Rule, filter
from ..kernels import web_lines as kernel
from ..kernels.codepoints import CODE_POINTS, spread
from ..kernels.strings import view
from ..kernels.terminal_marks import TERMINAL
from .rules import BROKEN, judged, names

C4 = (
    Rule("c4_lorem_ipsum", None, "max_lorem_ipsum"),
    Rule("c4_curly_brackets", None, "max_curly_brackets"),
    Rule("c4_sentences", "min_num_sentences"),
)


@cache
def _classes() -> np.ndarray:
    everything = [chr(code) for code in range(CODE_POINTS)]
    table = np.fromiter(map(str.isspace, everything), np.uint8, CODE_POINTS) * np.uint8(kernel.BLANK)
    table |= np.fromiter(map(str.isalpha, everything), np.uint8, CODE_POINTS) * np.uint8(kernel.LETTER)
    table |= spread(TERMINAL) * np.uint8(kernel.ENDS)
    table[[*map(ord, "\"')]}»”’」』）")]] |= np.uint8(kernel.CLOSES)
    table.flags.writeable = False
    return table


@filter("c4_quality_filter", unit=BROKEN, keep=Range(max=0), rules=C4, stats=names(C4, "c4_quality_broken"))
def c4_quality(
    text: pa.StringArray, *, min_num_sentences: int | None = 5, max_lorem_ipsum: int | None = 0, max_curly_brackets: int | None = 0,
) -> pa.StructArray:
    """How many of C4's rules for pages a text breaks, and each rule's number; `c4_lines_mapper` comes before it.

    How often it says `lorem ipsum`, in either case; opening curly brackets; sentences. A sentence ends in a mark of any
    script, quotes and brackets behind it too, before a blank or the line's end; not in a full stop behind a single letter.
    A bound of null asks nothing. Empty: all 0. Null: null. Cost: two passes. Source: Raffel et al. 2020 (C4), section 2.2.
    >>> c4_quality(pa.array(["One. Two! Is it {three}?"]))[0].as_py()["c4_sentences"]
    3
    """
    found = kernel.count_page(*view(text), _classes())
    bounds = {"min_num_sentences": min_num_sentences, "max_lorem_ipsum": max_lorem_ipsum, "max_curly_brackets": max_curly_brackets}
    numbers = {rule.stat: values for rule, values in zip(C4, found, strict=True)}
    return judged(C4, "c4_quality_broken", numbers, bounds, text)
