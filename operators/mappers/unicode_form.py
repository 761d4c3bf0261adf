"""Mappers that give text one Unicode form: mojibake repaired, blanks that are blanks."""

import re
from typing import Literal

import numpy as np
import pyarrow as pa

from ..base import mapper
from ..kernels.blanks import normalise
from ..kernels.codepoints import classes, rows_with
from ..kernels.strings import rewrite, strings, view

FORMS = ("NFC", "NFKC", "NFD", "NFKD")

# What ftfy can change: all but printable ASCII, tabs, form feeds and line feeds; and an ampersand (HTML entities).
_RISKY = re.compile(r"[^\t\n\f\x20-\x7e]|&")
_RISKY_BYTES = np.array([_RISKY.match(chr(byte)) is not None for byte in range(256)])


@mapper("fix_unicode_mapper")
def fixed_unicode(text: pa.StringArray, *, normalization: Literal["NFC", "NFKC", "NFD", "NFKD"] | None = None) -> pa.StringArray:
    """Text with mojibake, HTML entities, ligatures, curly quotes and control characters repaired, in one normal form.

    `normalization` None: NFC. Empty: empty. Null: null. Cost: about 0.4 s a megabyte of lines that are not plain ASCII.
    Raises ValueError for another form. Source: ftfy (Speer 2019).
    >>> fixed_unicode(pa.array(["schÃ¶n"])).to_pylist()
    ['schön']
    """
    form = (normalization or "NFC").upper()
    if form not in FORMS:
        raise ValueError(f"normalization must be one of {', '.join(FORMS)}, it is {normalization!r}")

    def mend(row: str) -> str:
        return _mend_lines(row, form)

    return rewrite(text, rows_with(*view(text), _RISKY_BYTES), mend)


def _mend_lines(row: str, form: str) -> str:
    """What ftfy.fix_text makes of `row`: it mends line by line, and is called for the lines that it can change."""
    import ftfy

    pieces: list[str] = []
    done, first_tag = 0, row.find("<")
    while (risky := _RISKY.search(row, done)) is not None:
        start = max(done, row.rfind("\n", done, risky.start()) + 1)
        end = row.find("\n", risky.start()) + 1 or len(row)
        # from the line with the first "<" on, ftfy takes the text for HTML and leaves entities alone
        entities = False if 0 <= first_tag < start else "auto"
        pieces += [row[done:start], ftfy.fix_text(row[start:end], unescape_html=entities, normalization=form)]
        done = end
    return "".join([*pieces, row[done:]])


@mapper("whitespace_normalization_mapper")
def one_kind_of_blank(text: pa.StringArray) -> pa.StringArray:
    """Text without blanks at its ends, and with every blank of another kind inside replaced by a space, one for one.

    Tabs and zero-width characters count as blanks, line feeds do not. Empty: empty. Null: null. Cost: one pass.
    Source: BigScience.
    >>> one_kind_of_blank(pa.array(["  a\\u00a0b\\tc\\n"])).to_pylist()
    ['a b c']
    """
    offsets, data = normalise(*view(text), classes())
    return strings(offsets, data, like=text)
