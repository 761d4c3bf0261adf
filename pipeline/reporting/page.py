"""One self-contained HTML page from a template of this folder. What comes from data is escaped, always."""

import importlib.resources
import re
from typing import Any

import jinja2

from . import words


def render(template: str, **values: Any) -> str:
    """The page. Raises jinja2.UndefinedError where a template names what it was not given."""
    return _environment().get_template(template).render(**values)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    made.filters |= {"number": words.number, "seconds": words.seconds, "bytes": words.size, "reasons": words.reasons,
                     "row_id": words.row_id, "oneline": oneline, "plain": plain}
    made.globals |= {"share": words.share}
    return made


def _source(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text("utf-8")


def oneline(text: str) -> str:
    """A text on one line: line breaks and the white space around them as ⏎, other control characters as a box."""
    told = re.sub(r"[ \t\r]*\n\s*", " ⏎ ", text.strip()).replace("\t", " ")
    return "".join(c if c.isprintable() or c == " " else "□" for c in told)


def plain(docstring: str) -> str:
    """The first line of a docstring without its backticks."""
    return docstring.replace("`", "")
