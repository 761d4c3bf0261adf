"""Mappers on how text is written down: broken and unusual Unicode, kinds of blanks."""

import re
from typing import Literal

import ftfy
import numpy as np
import pyarrow as pa

from ..base import mapper
from ..kernels.blanks import normalise
from ..kernels.codepoints import classes, rows_with
from ..kernels.strings import rewrite, strings, view

Form = Literal["NFC", "NFKC", "NFD", "NFKD"]

# What ftfy can change: all but printable ASCII, tab, newline and form feed; and `&`, which may begin an HTML entity.
_RISKY = re.compile(r"[^\t\n\f\x20-\x7e]|&")
_RISKY_BYTES = np.array([_RISKY.match(chr(byte)) is not None for byte in range(256)])


@mapper("fix_unicode_mapper")
def fix_unicode(text: pa.StringArray, *, normalization: str | None = None) -> pa.StringArray:
    """`text` with mojibake, HTML entities, ligatures, curly quotes and control characters mended by ftfy, then normalised.

    `normalization` is NFC (also for None and ""), NFKC, NFD or NFKD. Empty: empty. Null: null.
    Cost: ftfy's (about 3 MB/s), but only on lines that are not plain ASCII. Raises ValueError for another form.
    >>> fix_unicode(pa.array(["schÃ¶n &amp; gut"])).to_pylist()
    ['schön & gut']
    """
    form = (normalization or "NFC").upper()
    if form not in Form.__args__:  # type: ignore[attr-defined]
        raise ValueError(f"normalization must be one of NFC, NFKC, NFD, NFKD, it is {normalization!r}")

    def mend(row: str) -> str:
        return _mend_lines(row, form)

    return rewrite(text, rows_with(*view(text), _RISKY_BYTES), mend)


def _mend_lines(row: str, form: str) -> str:
    """ftfy.fix_text(row), which mends line by line, called for the lines that it can change."""
    pieces, done = [], 0
    first_tag = row.find("<")
    while (risky := _RISKY.search(row, done)) is not None:
        start, end = row.rfind("\n", done, risky.start()) + 1 or done, row.find("\n", risky.end() - 1) + 1 or len(row)
        # from the line with the first "<" on, ftfy takes the text for HTML and leaves entities alone
        html = 0 <= first_tag < start
        pieces += [row[done:start], ftfy.fix_text(row[start:end], unescape_html=False if html else "auto", normalization=form)]
        done = end
    return "".join([*pieces, row[done:]])


@mapper("whitespace_normalization_mapper")
def whitespace_normalization(text: pa.StringArray) -> pa.StringArray:
    """`text` stripped, and its tabs and unusual blanks (also of no width: U+200B to U+200D) made plain spaces.

    Newlines stay, as in Data-Juicer, whose documentation says otherwise. Empty: empty. Null: null. Cost: one pass.
    >>> whitespace_normalization(pa.array([" a\\tb\\u3000c\\n"])).to_pylist()
    ['a b c']
    """
    return strings(*normalise(*view(text), classes()), like=text)
