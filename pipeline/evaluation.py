"""Evaluation examples: files of them, read and fingerprinted like a dataset, for the operators that look for them in texts."""

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..operators.filters.decontamination import Examples, index
from . import corpus
from .errors import did_you_mean
from .ledger import KEY_COLUMNS

ID = "id"
SHOWN = 3  # examples that a note names


def path_of(settings: Mapping[str, Any]) -> str:
    """The paths of a step's settings as one text. Raises ValueError where there is none."""
    given = settings["evaluation"]
    paths = [given] if isinstance(given, str) else list(given)
    if not any(paths):
        raise ValueError("evaluation must be given: the files that hold the evaluation examples")
    return os.pathsep.join(paths)


def digest(path: str) -> str:
    """sha256 of the names and contents of all files. Raises RecipeError where one is not there."""
    told = [(s.source, s.digest) for s in _sources(path)]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _sources(path: str) -> list[corpus.Source]:
    return corpus.discover(path.split(os.pathsep), base=Path.cwd())


@functools.lru_cache(maxsize=8)
def examples(path: str, sha256: str, options: tuple[tuple[str, Any], ...]) -> Examples:
    """The examples in these files, indexed; `sha256` of the files is what the answer goes by. Raises ValueError."""
    told = dict(options)
    names, texts = [], []
    for name, text in _texts(path, told["fields"]):
        names.append(name)
        texts.append(text)
    found = index(names, texts, ngram=told["ngram"], min_words=told["min_words"], max_examples=told["max_examples"])
    if len(found.skipped) == len(names):
        raise ValueError(f"evaluation {path}: no example has {told['min_words']} words or more")
    return found


def note(found: Examples) -> str:
    """What a person should know of examples that are not looked for; empty: all are."""
    told = []
    if found.skipped:
        more = f" and {len(found.skipped) - SHOWN:,} more" if len(found.skipped) > SHOWN else ""
        told.append(f"{len(found.skipped):,} of {len(found.names):,} evaluation texts have too few words to be looked for: "
                    f"{', '.join(found.skipped[:SHOWN])}{more}")
    if found.common:
        told.append(f"{found.common:,} n-grams stand in too many evaluation texts to mean one of them")
    return "; ".join(told)


def _texts(path: str, fields: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """(name, text) of every field of every example: `mmlu.jsonl:12 (mmlu:7, question)`."""
    sources = _sources(path)
    for source in sources:
        row = 0
        for split in corpus.cut([source]):
            for batch in corpus.read(split, text_keys=(), batch_rows=4096, batch_bytes=1 << 24, tolerate=False):
                wanted = _fields(batch.schema, fields, source.source)
                for told in batch.to_pylist():
                    row += 1
                    for field in wanted:
                        marks = [str(told[ID])] if told.get(ID) is not None else []
                        marks += [field] if len(wanted) > 1 else []
                        name = f"{source.source}:{row}" + (f" ({', '.join(marks)})" if marks else "")
                        yield from ((name, text) for text in _leaves(told[field]))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)


def _fields(schema: pa.Schema, asked: Sequence[str] | None, source: str) -> list[str]:
    def textual(kind: pa.DataType) -> bool:
        return pa.types.is_string(kind) or (pa.types.is_list(kind) and textual(kind.value_type))

    there = [f.name for f in schema if f.name not in (*KEY_COLUMNS, "__error__", ID) and textual(f.type)]
    for name in asked or ():
        if name not in there:
            raise ValueError(f"evaluation {source} has no texts {name!r}.{did_you_mean(name, there)} It has: {', '.join(there)}.")
    return list(asked) if asked else there
