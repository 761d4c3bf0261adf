"""Mappers that take out what points at people: addresses and links."""

import pyarrow as pa

from ..base import mapper
from .rewriting import compiled, matches, replace

EMAIL = r"[A-Za-z0-9.\-+_]+@[a-z0-9.\-+_]+\.[a-z]+"
# J. Gruber's liberal pattern for URLs, as CleanText and after it Data-Juicer have it: something that looks like a
# scheme, www., or a host and a slash; then anything but blanks and brackets, balanced brackets two deep, and at the
# end no punctuation.
_NESTED = r"\((?:[^\s()<>]+|(?:\([^\s()<>]+\)))*\)"
LINK = (
    r"(?i)\b((?:[a-z][\w-]+:(?:\/{1,3}|[a-z0-9%])|www\d{0,3}[.]|[a-z0-9.\-]+[.][a-z]{2,4}\/)"
    rf"(?:[^\s()<>]+|{_NESTED})+"
    rf"(?:{_NESTED}|[^\s`!()\[\]{{}};:\'\".,<>?«»“”‘’]))"
)
# Without one of these no match can begin (U+017F and U+212A are s and k where case is ignored).
_MAYBE_EMAIL = "@"
_MAYBE_LINK = "(?i:www)|:[/A-Za-z0-9%\u017f\u212a]|\\.[^/\\s]{2,4}/"


@mapper("clean_email_mapper")
def without_emails(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """Text with e-mail addresses replaced by `repl`, or matches of `pattern` (`regex` syntax) where one is given.

    Null: null. Raises ValueError for a pattern that is not valid. Source: Data-Juicer.
    >>> without_emails(pa.array(["write to me@example.com now"]), repl="<EMAIL>").to_pylist()
    ['write to <EMAIL> now']
    """
    compiled(pattern or EMAIL)
    return replace(text, pattern or EMAIL, repl, matches(text, None if pattern else _MAYBE_EMAIL))


@mapper("clean_links_mapper")
def without_links(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """Text with links (http, ftp, www, host and path) replaced by `repl`, or matches of `pattern` where one is given.

    Null: null. Raises ValueError for a pattern that is not valid. Source: CleanText, Data-Juicer.
    >>> without_links(pa.array(["see https://example.com/a(b) there"])).to_pylist()
    ['see  there']
    """
    compiled(pattern or LINK)
    return replace(text, pattern or LINK, repl, matches(text, None if pattern else _MAYBE_LINK))
