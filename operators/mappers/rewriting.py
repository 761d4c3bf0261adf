"""Replacing what a pattern finds, in the few rows that need it: the others never become Python objects."""

import functools
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..kernels.strings import rewrite

# A pattern with nested repetition can take exponential time on a hostile row: better a row that is named than a night lost.
SECONDS = 20.0
SHORT = 20_000  # code points: the square of it is a fraction of a second


def replace(text: pa.StringArray, pattern: str, repl: str, candidates: pa.BooleanArray) -> pa.StringArray:
    r"""`text` with every match of a `regex` pattern (dot matches newline) replaced by `repl`, which may use groups (\1).

    Raises ValueError where the pattern is not valid, or takes more than 20 seconds on a row.
    """
    found = compiled(pattern)
    return rewrite(text, candidates, lambda row: substitute(found, repl, row))


def substitute(pattern: "regex.Pattern[str]", repl: "str | Callable[[regex.Match[str]], str]", row: str) -> str:
    """`row` with every match replaced. Raises ValueError where `repl` does not fit, or it takes more than 20 seconds."""
    try:
        if len(row) <= SHORT and simple(pattern.pattern):
            return pattern.sub(repl, row)  # watching the clock costs more than the search
        return pattern.sub(repl, row, timeout=SECONDS)
    except TimeoutError as e:
        where = f"on a text of {len(row):,} characters"
        raise ValueError(f"the pattern {pattern.pattern[:40]!r} takes more than {SECONDS:g} seconds {where}") from e
    except (regex.error, IndexError) as e:
        raise ValueError(f"repl {repl!r} does not fit the pattern: {e}") from e


@functools.lru_cache(maxsize=256)
def simple(pattern: str) -> bool:
    """Whether a pattern has no group and one repetition at most, so that it takes no more than the square of a text."""
    return "(" not in pattern and sum(map(pattern.count, "*+?{")) <= 1


@functools.lru_cache(maxsize=64)
def compiled(pattern: str) -> "regex.Pattern[str]":
    """The pattern, dot matching newline; `r'...'` as a text means what it means in Python, as in Data-Juicer.

    Raises ValueError where it is not valid.
    """
    if len(pattern) > 2 and pattern[:2] in ("r'", 'r"') and pattern[-1] == pattern[1]:
        pattern = pattern[2:-1]
    try:
        return regex.compile(pattern, regex.DOTALL)
    except regex.error as e:
        raise ValueError(f"pattern {pattern!r} is not a valid regular expression: {e}") from e


def matches(text: pa.StringArray, pattern: str | None) -> pa.BooleanArray:
    """Rows in which an RE2 pattern is found: one pass over the bytes. None: every row."""
    return pc.is_valid(text) if pattern is None else pc.match_substring_regex(text, pattern)
