"""Mappers that take out what leads to people and places: links and e-mail addresses."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import regex

from ..base import mapper
from ..kernels.spans import email_stretches, link_stretches, rewrite_stretches
from ..kernels.strings import rewrite

# Gruber's pattern of 2010 as CleanText has it: the same matches, but written so that none of its loops can be entered in
# two ways (possessive `++`, no loop in a loop, a look ahead at the domain's ending): a row of 5,000 "!" took half a second.
_IN_BRACKETS = r"\(([^\s()<>]++|(\([^\s()<>]++\)))*+\)"
_LINK = regex.compile(
    r"(?i)\b((?:[a-z][\w-]++:(?:/{1,3}|[a-z0-9%])"
    r"|www\d{0,3}[.]"
    r"|(?=[a-z0-9.\-]++(?<=[.][a-z]{2,4})/)[a-z0-9.\-]+[.][a-z]{2,4}/)"
    rf"(?:[^\s()<>]|{_IN_BRACKETS})+"
    rf"(?:{_IN_BRACKETS}|[^\s`!()\[\]{{}};:'\".,<>?«»“”‘’]))",
    regex.DOTALL,
)
# `[A-Za-z0-9.\-+_]+@[a-z0-9.\-+_]+\.[a-z]+`, tried once a run of letters and not at every letter of it.
_EMAIL = regex.compile(
    r"(?:\G|(?<![A-Za-z0-9.\-+_]))[A-Za-z0-9.\-+_]++@[a-z0-9.\-+_]+\.[a-z]+", regex.DOTALL
)


@mapper("clean_links_mapper")
def clean_links(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """`text` with links (http, ftp, mailto, www., domain.com/) replaced by `repl`, or what `pattern` matches instead.

    `pattern` is of the module `regex`, with DOTALL, also when written as the string r'...'. Empty: empty. Null: null.
    Cost: Python's regular expressions, but only on the stretches between blanks that could match; with `pattern`, on all.
    Raises ValueError for a pattern that is none.  Source: Gruber 2010; CleanText.
    >>> clean_links(pa.array(["see https://a.org/b (c)"]), repl="<URL>").to_pylist()
    ['see <URL> (c)']
    """
    if pattern is None:
        return rewrite_stretches(text, link_stretches(text), _substitution(_LINK, repl))
    return rewrite(text, np.ones(len(text), np.bool_), _substitution(_compiled(pattern), repl))


@mapper("clean_email_mapper")
def clean_email(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """`text` with e-mail addresses replaced by `repl`, or what `pattern` matches instead.

    Domains with capitals are not seen, as in Data-Juicer. Settings, Empty, Null, Cost and Raises as in `clean_links`.
    >>> clean_email(pa.array(["to a.b@c.org, now"])).to_pylist()
    ['to , now']
    """
    if pattern is None:
        return rewrite_stretches(text, email_stretches(text), _substitution(_EMAIL, repl))
    return rewrite(text, np.ones(len(text), np.bool_), _substitution(_compiled(pattern), repl))


def _compiled(pattern: str) -> regex.Pattern:
    if len(pattern) > 2 and pattern[:2] in ("r'", 'r"') and pattern[-1] == pattern[1]:
        pattern = pattern[2:-1]
    try:
        return regex.compile(pattern, regex.DOTALL)
    except regex.error as problem:
        raise ValueError(f"pattern {pattern!r} is not a regular expression: {problem}") from problem


def _substitution(pattern: regex.Pattern, repl: str) -> Callable[[str], str]:
    def change(row: str) -> str:
        return pattern.sub(repl, row)  # type: ignore[no-any-return]

    return change
