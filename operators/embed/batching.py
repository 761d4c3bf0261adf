"""Which texts go through the model together.

A text's padded length is a function of the text alone, and a batch holds one padded length only. So whatever else is
in the batch, each row meets the same shapes and the same padding; neighbours cannot reach it through these.
"""

from collections.abc import Iterator

import numpy as np

MULTIPLE = 16  # tokens; padding to it costs about 4 % of the work at 200 tokens and saves most of the small batches


def padded(lengths: np.ndarray, most: int) -> np.ndarray:
    """int64[n], tokens that each text takes with its padding: the next multiple of 16, at most `most`."""
    return np.minimum(-(-np.asarray(lengths, np.int64) // MULTIPLE) * MULTIPLE, most)


def batches(lengths: np.ndarray, most: int, batch_tokens: int) -> Iterator[tuple[np.ndarray, int]]:
    """Index of the rows of each batch, and its padded length: longest first, at most `batch_tokens` or one row.

    Rows that need no padding have batches of their own: without a mask to apply, models take another path.
    """
    lengths = np.asarray(lengths, np.int64)
    wide = padded(lengths, most)
    kind = wide * 2 + (wide == lengths)
    for group in np.unique(kind)[::-1]:
        rows, width = np.flatnonzero(kind == group), int(group // 2)
        step = max(1, batch_tokens // max(width, 1))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], width
