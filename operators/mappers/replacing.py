"""Mappers that replace what a pattern finds."""

import pyarrow as pa
import pyarrow.compute as pc

from ..base import mapper
from ..kernels.strings import rewrite
from .rewriting import compiled, replace, substitute

# Data-Juicer's: octets from 0 to 255 without word borders, or all eight groups of an IPv6 address.
IP = (
    r"(?:(?:1[0-9][0-9]\.)|(?:2[0-4][0-9]\.)|(?:25[0-5]\.)|(?:[1-9][0-9]\.)|(?:[0-9]\.)){3}"
    r"(?:(?:1[0-9][0-9])|(?:2[0-4][0-9])|(?:25[0-5])|(?:[1-9][0-9])|(?:[0-9]))|([\da-fA-F]{1,4}:){7}[\da-fA-F]{1,4}"
)
_LIKE_IP = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|(?:[\p{Nd}a-fA-F]{1,4}:){7}"


@mapper("replace_content_mapper")
def with_replacements(
    text: pa.StringArray, *, pattern: str | list[str] | None = None, repl: str | list[str] = ""
) -> pa.StringArray:
    r"""Text with every match of `pattern` (`regex` syntax, dot matches newline) replaced by `repl`; of several, one by one.

    `repl` may use groups (`\1`). No pattern: the text as it is. Empty: empty, unless the pattern matches nothing. Null: null.
    Cost: Python's `regex` on every row. Raises ValueError for a pattern that is not valid, fewer `repl` than patterns, and
    where a text takes more than 20 seconds. Source: Data-Juicer.
    >>> with_replacements(pa.array(["May 2024"]), pattern=r"\d+", repl="#").to_pylist()
    ['May #']
    """
    patterns = [] if pattern is None else [pattern] if isinstance(pattern, str) else pattern
    if isinstance(repl, list) and len(repl) < len(patterns):
        raise ValueError(f"repl has {len(repl)} entries for {len(patterns)} patterns: give one for each, or one text for all")
    pairs = [(compiled(p), repl[i] if isinstance(repl, list) else repl) for i, p in enumerate(patterns)]

    def change(row: str) -> str:
        for found, put in pairs:
            row = substitute(found, put, row)
        return row

    return rewrite(text, pc.is_valid(text), change) if pairs else text


@mapper("clean_ip_mapper")
def without_ips(text: pa.StringArray, *, pattern: str | None = None, repl: str = "") -> pa.StringArray:
    """Text with IP addresses (v4; v6 with all its groups) replaced by `repl`, or matches of `pattern` where one is given.

    Version numbers of four parts go too. Empty: empty. Null: null. Cost: one search; the expression only on texts with
    something like an address, and with `pattern` on everything. Raises ValueError for a pattern that is not valid.
    Source: Data-Juicer.
    >>> without_ips(pa.array(["from 10.0.0.1:80"]), repl="<IP>").to_pylist()
    ['from <IP>:80']
    """
    if pattern is not None:
        return replace(text, pattern, repl, pc.is_valid(text))
    return replace(text, IP, repl, pc.match_substring_regex(text, _LIKE_IP))
