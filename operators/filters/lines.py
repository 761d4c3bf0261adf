"""Filters on the lines of a text, cut where Python's str.splitlines cuts: also at \\r, \\v, \\f, U+0085, U+2028 and U+2029."""

import numpy as np
import pyarrow as pa

from ..base import LENGTH, Range, filter
from ..kernels.breaks import count_lines, longest_lines
from ..kernels.codepoints import count_code_points
from ..kernels.strings import masked, view


@filter("average_line_length_filter", unit=LENGTH, keep=Range(min=10))
def avg_line_length(text: pa.StringArray) -> pa.DoubleArray:
    """Code points of `text`, line breaks included, by its lines.

    Empty: 0.0. Null: null. Cost: one pass.
    >>> avg_line_length(pa.array(["abc\\nd", "", None])).to_pylist()
    [2.5, 0.0, None]
    """
    bytes_of = view(text)
    return masked(count_code_points(*bytes_of) / np.maximum(count_lines(*bytes_of), 1), text)


@filter("maximum_line_length_filter", unit=LENGTH, keep=Range(min=10))
def max_line_length(text: pa.StringArray) -> pa.Int64Array:
    """Code points of the longest line of `text`, without its break.

    Empty: 0. Null: null. Cost: one pass.
    >>> max_line_length(pa.array(["abc\\nd", "", None])).to_pylist()
    [3, 0, None]
    """
    return masked(longest_lines(*view(text)), text)
