"""One self-contained HTML page from a template of this folder. What comes from data is escaped and boxed, always."""

import importlib.resources
from typing import Any

import jinja2

from . import words


def render(template: str, **values: Any) -> str:
    """The page. Raises jinja2.UndefinedError where a template names what it was not given."""
    return _environment().get_template(template).render(**values)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_seen,
    )
    made.filters |= {"number": words.number, "seconds": words.seconds, "bytes": words.size, "reasons": words.reasons,
                     "row_id": words.row_id, "oneline": words.oneline, "plain": plain}
    made.globals |= {"share": words.share}
    return made


def _source(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text("utf-8")


def _seen(value: Any) -> Any:
    """What an expression of a template answers; of a text that is no markup yet, what can be seen."""
    return words.boxed(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def plain(docstring: str) -> str:
    """The first line of a docstring without its backticks."""
    return docstring.replace("`", "")
