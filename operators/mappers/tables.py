"""The mapper that takes tables out of plain text."""

from functools import cache

import numpy as np
import pyarrow as pa
import regex

from ..base import mapper
from ..kernels.codepoints import CODE_POINTS
from ..kernels.grids import without_tables
from ..kernels.strings import strings, view


@mapper("remove_table_text_mapper")
def without_table_text(text: pa.StringArray, *, min_col: int = 2, max_col: int = 20) -> pa.StringArray:
    """Text without runs of two or more lines that have the same number of columns, `min_col` to `max_col`.

    Columns are words set apart by one space, tab or bar, so that short lines of prose of equally many words go too. The
    first line stays, as does a last one without newline. The answer is that of Data-Juicer's expression, which takes a time
    exponential in the bars of a line. Empty: empty. Null: null. Cost: two passes. Raises ValueError for min_col < 2.
    Source: Data-Juicer.
    >>> without_table_text(pa.array(["see\\na|1\\nb|2\\nend of it all\\n"])).to_pylist()
    ['see\\nend of it all\\n']
    """
    if min_col < 2:
        raise ValueError(f"min_col must be at least 2, it is {min_col}")
    return strings(*without_tables(*view(text), min_col - 1, max_col - 1, _spaces()), like=text)


@cache
def _spaces() -> np.ndarray:
    r"""bool[0x110000]: code points that `regex` takes for \s."""
    table = np.zeros(CODE_POINTS, np.bool_)
    table[[ord(c) for c in regex.findall(r"\s", "".join(map(chr, range(CODE_POINTS))))]] = True
    return table
