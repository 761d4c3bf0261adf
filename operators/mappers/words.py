"""Mappers that take out words. A word runs between spaces, tabs and newlines; what stays is set apart by one of them."""

import sys

import numpy as np
import pyarrow as pa

from ..base import mapper
from ..kernels.codepoints import SPECIAL_CHARACTER, classes
from ..kernels.pieces import holding, joined, lengths_of, stripped, words_at
from ..kernels.strings import strings, view

SUBSTRINGS = ("http", "www", ".com", "href", "//")


@mapper("remove_long_words_mapper")
def without_long_words(text: pa.StringArray, *, min_len: int = 1, max_len: int = sys.maxsize) -> pa.StringArray:
    """Text of the words of `min_len` to `max_len` code points; a longer one counts without special characters at its ends.

    Words are set apart by one newline, tab or space, so that blank lines and repeated spaces go. Empty: empty. Null: null.
    Cost: three passes. Source: BigScience ROOTS.
    >>> without_long_words(pa.array(["a  https://example.com/x\\n\\nbee"]), max_len=5).to_pylist()
    ['a\\nbee']
    """
    offsets, data = view(text)
    counts, places = words_at(offsets, data)
    lengths = lengths_of(data, places)
    stays = (lengths >= min_len) & (lengths <= max_len)
    long = np.flatnonzero(lengths > max_len)
    if long.size:
        inner = lengths_of(data, stripped(data, places[long], classes(), SPECIAL_CHARACTER))
        stays[long] = (inner >= min_len) & (inner <= max_len)
    return strings(*joined(offsets, data, counts, places, stays), like=text)


@mapper("remove_words_with_incorrect_substrings_mapper")
def without_words_holding(
    text: pa.StringArray, *, lang: str = "en", tokenization: bool = False, substrings: list[str] | None = None
) -> pa.StringArray:
    """Text of the words that hold none of `substrings` once special characters are stripped from their ends.

    None: `http`, `www`, `.com`, `href`, `//`. Words are set apart by one newline, tab or space. `lang` would choose the
    tokenizer. Empty: empty. Null: null. Cost: three passes. Raises ValueError for `tokenization`.
    Source: BigScience ROOTS.
    >>> without_words_holding(pa.array(["see  www.example.org now"])).to_pylist()
    ['see now']
    """
    if tokenization:
        raise ValueError("tokenization: true needs a tokenizer model, which is not part of tamis; leave it out")
    sought = [part.encode("utf-8", "surrogatepass") for part in (SUBSTRINGS if substrings is None else substrings)]
    offsets, data = view(text)
    counts, places = words_at(offsets, data)
    inner = stripped(data, places, classes(), SPECIAL_CHARACTER)
    bounds = np.cumsum([0, *map(len, sought)])
    stays = ~holding(data, inner, bounds, np.frombuffer(b"".join(sought) or b"\0", np.uint8))
    return strings(*joined(offsets, data, counts, places, stays), like=text)
