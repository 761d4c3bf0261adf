"""The table of contents of the operators: every file that holds some, by hand, so that reading it is knowing them."""

import inspect
from types import ModuleType

from . import groups, scorers
from .base import Kind, Operator
from .dedup import exact, hamming, minhash, passages, urls
from .embed import model_vectors, sentence
from .filters import (
    characters,
    decontamination,
    fields,
    gopher,
    language,
    lines,
    models,
    perplexity,
    quality_model,
    repetition,
    tokens,
    web_pages,
    words,
)
from .lake import containment
from .mappers import (
    chinese,
    chunks,
    latex,
    markup,
    personal_data,
    punctuation,
    redaction,
    replacing,
    segmentation,
    sentence_split,
    sentences,
    source_code,
    tables,
    unicode_form,
    user_code,
    verified_pii,
    web_lines,
    web_text,
)
from .mappers import decontamination as decontamination_mapper
from .mappers import words as word_mappers

FILES: tuple[ModuleType, ...] = (
    unicode_form, personal_data, replacing, redaction, punctuation, word_mappers, sentences, tables, latex, markup, source_code,
    sentence_split, chinese, chunks, web_text, segmentation, web_lines, verified_pii, decontamination_mapper, user_code, fields,
    tokens, language, perplexity, models, characters, words, lines, repetition, gopher, web_pages, decontamination, quality_model,
    exact, hamming, minhash, urls, passages, sentence, model_vectors, scorers, groups, containment,
)


def _collect() -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for module in FILES:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            record: Operator | None = getattr(function, "__operator__", None)
            if record is None or function.__module__ != module.__name__:
                continue
            if record.name in found:
                raise ValueError(f"two operators are called {record.name!r}: {module.__name__} has the second")
            found[record.name] = record
    return found


_BY_NAME = _collect()


def by_name(name: str) -> Operator:
    """The operator or feature of that name. Raises KeyError."""
    return _BY_NAME[name]


def table(kind: Kind | None = None) -> list[Operator]:
    """All operators (features too), or those of one kind, in catalog order."""
    return [op for op in _BY_NAME.values() if kind in (None, op.kind)]
