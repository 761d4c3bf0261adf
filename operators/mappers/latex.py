"""Mappers for LaTeX sources: what stands before the first heading, the bibliography, comments, macros.

Where Data-Juicer's regular expression would take the square of a long text, the same place is found by searching for
its fixed parts.
"""

import functools

import pyarrow as pa
import pyarrow.compute as pc
import regex

from ..base import mapper
from ..kernels.strings import rewrite
from .rewriting import substitute

_HEADING = regex.compile(r"\\(?:chapter|part|section|subsection|subsubsection|paragraph|subparagraph)\b\*?")
_ENDING = r"\\(appendix|begin\{references\}|begin\{REFERENCES\}|begin\{thebibliography\}|bibliography\{)"
_ENDINGS = ("\\appendix", "\\begin{references}", "\\begin{REFERENCES}", "\\begin{thebibliography}")
_BIBLIOGRAPHY = "\\bibliography{"
_INLINE_COMMENT = r"[^\\]%.+$"
_COMMENT_LINE = r"^%.*\n?"
_NEW_COMMAND = regex.compile(r"\\\bnewcommand\b\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", regex.MULTILINE)
_DEFINITION = regex.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", regex.MULTILINE)


@mapper("remove_header_mapper")
def from_first_heading(text: pa.StringArray, *, drop_no_head: bool = True) -> pa.StringArray:
    r"""Text from its first LaTeX heading (`\chapter{}` to `\subparagraph{}`) on.

    A text without one becomes empty, unless `drop_no_head` is false. Empty: empty. Null: null. Cost: one search.
    Source: RedPajama v1 (arXiv).
    >>> from_first_heading(pa.array([r"\title{A} \section{One} text", "none"])).to_pylist()
    ['\\section{One} text', '']
    """
    candidates = pc.match_substring(text, "\\")
    if drop_no_head:
        text = pc.if_else(pc.fill_null(candidates, True), text, pa.scalar("", text.type))
    return rewrite(text, candidates, lambda row: row[at:] if (at := _first_heading(row)) >= 0 else "" if drop_no_head else row)


def _first_heading(row: str) -> int:
    """Where the first heading with an argument begins; -1: nowhere. `]{` and `}` may stand anywhere later in the text."""
    last_brace = row.rfind("}")
    last_option = row.rfind("]{", 0, max(last_brace, 0))
    for found in _HEADING.finditer(row):
        after = found.end()
        if (row.startswith("{", after) and last_brace > after) or (row.startswith("[", after) and last_option > after):
            return int(found.start())
    return -1


@mapper("remove_bibliography_mapper")
def without_bibliography(text: pa.StringArray) -> pa.StringArray:
    r"""Text up to its first `\appendix`, `\bibliography{}`, `\begin{references}` or `\begin{thebibliography}`.

    Empty: empty. Null: null. Cost: one search. Source: RedPajama v1 (arXiv).
    >>> without_bibliography(pa.array([r"text \bibliography{refs} more"])).to_pylist()
    ['text ']
    """

    def cut(row: str) -> str:
        places = [at for ending in _ENDINGS if (at := row.find(ending)) >= 0]
        listed = row.find(_BIBLIOGRAPHY)
        if listed >= 0 and row.rfind("}") >= listed + len(_BIBLIOGRAPHY):
            places.append(listed)
        return row[: min(places)] if places else row

    return rewrite(text, pc.match_substring_regex(text, _ENDING), cut)


@mapper("remove_comments_mapper")
def without_comments(
    text: pa.StringArray, *, doc_type: str | list[str] = "tex", inline: bool = True, multiline: bool = True
) -> pa.StringArray:
    r"""Text without LaTeX comments: `inline`, from a % that is not escaped to the line's end; `multiline`, lines that begin with %.

    As in Data-Juicer an inline comment takes the character before its % along, even a line break. `doc_type` does nothing:
    there is only tex. Empty: empty. Null: null. Cost: one search; the expressions on texts with a % only.
    Source: RedPajama v1 (arXiv).
    >>> without_comments(pa.array(["a  % why\n% no\nb 5\\% c"])).to_pylist()
    ['a \nb 5\\% c']
    """
    patterns = [p for p, wanted in ((_INLINE_COMMENT, inline), (_COMMENT_LINE, multiline)) if wanted]

    def strip(row: str) -> str:
        for pattern in patterns:
            row = substitute(regex.compile(pattern, regex.MULTILINE), "", row)
        return row

    return rewrite(text, pc.match_substring(text, "%"), strip)


@mapper("expand_macro_mapper")
def with_macros_expanded(text: pa.StringArray) -> pa.StringArray:
    r"""Text with LaTeX macros without arguments (`\newcommand{\x}{y}`, `\def\x{y}`, on one line) put in where they are used.

    A macro's name in its own definition is replaced too. Empty: empty. Null: null. Cost: texts that define macros, times
    their macros. Raises ValueError where a text takes more than 20 seconds. Source: RedPajama v1 (arXiv).
    >>> with_macros_expanded(pa.array(["\\def\\R{real}\na \\R number"])).to_pylist()
    ['\\def\\R{real}\na real number']
    """
    return rewrite(text, pc.match_substring_regex(text, r"\\(newcommand|def)"), _expand)


def _expand(row: str) -> str:
    found = {name: value for pattern in (_NEW_COMMAND, _DEFINITION) for name, value in _definitions(pattern, row)}
    for name, value in found.items():
        if name in row:
            row = substitute(regex.compile(regex.escape(name) + r"([^a-zA-Z0-9])"), functools.partial(_put, value), row)
    return row


def _put(value: str, match: "regex.Match[str]") -> str:
    return value + str(match[1])


def _definitions(pattern: "regex.Pattern[str]", row: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def note(match: "regex.Match[str]") -> str:
        found.append((match[1], match[2]))
        return match[0]

    substitute(pattern, note, row)
    return found
