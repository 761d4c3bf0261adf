"""Mappers that take out what points at people: addresses and links."""

import pyarrow as pa
import regex

from ..base import mapper
from ..kernels.spans import email_stretches, link_stretches, rewrite_stretches
from .rewriting import matches, replace

# J. Gruber's liberal pattern for URLs, as CleanText and after it Data-Juicer have it: something that looks like a
# scheme, www., or a host and a slash; then anything but blanks and brackets, balanced brackets two deep, and at the
# end no punctuation. The same matches and groups, but no loop can be entered in two ways: possessive (`++`), no loop in
# a loop, a look ahead at how the host ends. As published, "http://" and 20,000 "!" take 8 seconds.
_NESTED = r"\(([^\s()<>]++|(\([^\s()<>]++\)))*+\)"
LINK = (
    r"(?i)\b((?:[a-z][\w-]++:(?:/{1,3}|[a-z0-9%])|www\d{0,3}[.]"
    r"|(?=[a-z0-9.\-]++(?<=[.][a-z]{2,4})/)[a-z0-9.\-]+[.][a-z]{2,4}/)"
    rf"(?:[^\s()<>]|{_NESTED})+"
    rf"(?:{_NESTED}|[^\s`!()\[\]{{}};:\'\".,<>?«»“”‘’]))"
)
# Tried once a run of letters instead of at each letter: `[A-Za-z0-9.\-+_]+@...` on a long line without blanks takes its square.
EMAIL = r"(?:\G|(?<![A-Za-z0-9.\-+_]))[A-Za-z0-9.\-+_]++@[a-z0-9.\-+_]+\.[a-z]+"


@mapper("clean_email_mapper")
def without_emails(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """Text with e-mail addresses replaced by `repl`, or matches of `pattern` (`regex` syntax) where one is given.

    Domains with capitals are not seen. Empty: empty. Null: null. Cost: one pass; Python's `regex` only on the stretches
    between blanks that hold an @, and with `pattern` on everything. Raises ValueError for a pattern that is not valid.
    Source: Data-Juicer.
    >>> without_emails(pa.array(["write to me@example.com now"]), repl="<EMAIL>").to_pylist()
    ['write to <EMAIL> now']
    """
    if pattern:
        return replace(text, pattern, repl, matches(text, None))
    return rewrite_stretches(text, email_stretches(text), regex.compile(EMAIL, regex.DOTALL), repl)


@mapper("clean_links_mapper")
def without_links(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """Text with links (http, ftp, www, host and path) replaced by `repl`, or matches of `pattern` where one is given.

    Empty: empty. Null: null. Cost: one pass; Python's `regex` only on the stretches between blanks where a link could be,
    and with `pattern` on everything. Raises ValueError for a pattern that is not valid. Source: CleanText, Data-Juicer.
    >>> without_links(pa.array(["see https://example.com/a(b) there"])).to_pylist()
    ['see  there']
    """
    if pattern:
        return replace(text, pattern, repl, matches(text, None))
    return rewrite_stretches(text, link_stretches(text), regex.compile(LINK, regex.DOTALL), repl)
