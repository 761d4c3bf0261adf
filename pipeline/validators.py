"""Data-Juicer's `validators`: the first rows of the data, checked before anything is done with them."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import corpus, steps
from .corpus import Split
from .ledger import KEY_COLUMNS

SAMPLE = 100  # rows, unless `sample_size` says otherwise
_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str, "string": str, "int": int, "integer": int, "float": (float, int), "bool": bool, "boolean": bool, "list": list,
    "dict": dict, "bytes": bytes,
}
_NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("sample_size", "min_turns", "max_turns"), int | None), "allow_missing": float | None,
}
Row = Mapping[str, Any]


def problems(asked: Sequence[Any]) -> list[str]:
    """What is wrong with the recipe's words."""
    return [f"validators, entry {number}: {problem}" for number, told in enumerate(asked, 1) for problem in _wrong(told)]


def _wrong(told: Any) -> Iterator[str]:
    kind = told.get("type") if isinstance(told, dict) else None
    if not isinstance(kind, str) or kind not in _CHECKS:
        yield f"its type is one of {', '.join(_CHECKS)}, not {told!r:.60}"
        return
    if kind == "required_fields" and not isinstance(told.get("required_fields"), list):
        yield "required_fields must list the fields"
    types = told.get("field_types") or {}
    if not isinstance(types, dict):
        yield f"field_types is a mapping of fields to types, not {types!r:.60}"
    elif unknown := [str(t) for t in types.values() if str(t).lower() not in _TYPES]:
        yield f"field type {unknown[0]!r} is none of {', '.join(_TYPES)}"
    for key, annotation in _NUMBERS.items():
        try:
            given = steps.typed(key, annotation, told.get(key))
        except ValueError as e:
            yield str(e)
            continue
        if given is not None and given < 0:
            yield f"{key} must not be negative, it is {given:g}"


def check(asked: Sequence[Mapping[str, Any]], splits: Sequence[Split], text_keys: Sequence[str]) -> Iterator[str]:
    """What the first rows violate, one sentence for each validator that they do not pass."""
    for told in asked:
        rows = list(itertools.islice(_rows(splits, text_keys), int(told.get("sample_size") or SAMPLE)))
        found = next(iter(_CHECKS[told["type"]](rows, told)), None)
        if found:
            yield f"validators, {told['type']}: {found}"


def _rows(splits: Sequence[Split], text_keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for split in splits:
        for batch in corpus.read(split, text_keys=text_keys, batch_rows=SAMPLE, batch_bytes=1 << 20, tolerate=True):
            names = [n for n in batch.schema.names if n not in (*KEY_COLUMNS, corpus.ERROR)]
            yield from batch.select(names).to_pylist()


def _required(rows: Sequence[Row], told: Mapping[str, Any]) -> Iterator[str]:
    allowed = float(told.get("allow_missing") or 0.0)
    for field in told["required_fields"]:
        missing = sum(row.get(field) is None for row in rows)
        if rows and missing / len(rows) > allowed:
            yield f"field {field!r} is missing in {missing} of the first {len(rows)} rows; allow_missing is {allowed:g}"
    for field, name in (told.get("field_types") or {}).items():
        for row in rows:
            if row.get(field) is not None and not isinstance(row[field], _TYPES[str(name).lower()]):
                yield f"field {field!r} holds {row[field]!r:.40}, which is no {name}"


def _turns(count: int, told: Mapping[str, Any]) -> Iterator[str]:
    low, high = int(told.get("min_turns") or 1), int(told.get("max_turns") or 100)
    if not low <= count <= high:
        yield f"a conversation has {count} turns, not {low} to {high}"


def _messages(rows: Sequence[Row], told: Mapping[str, Any]) -> Iterator[str]:
    for row in rows:
        messages = row.get("messages")
        if not isinstance(messages, list):
            yield f"field 'messages' must be a list, not {messages!r:.40}"
            continue
        yield from _turns(len(messages), told)
        for message in messages:
            if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
                yield f"a message's role must be system, user or assistant: {message!r:.60}"
            elif message.get("content") is None:
                yield f"a message has no content: {message!r:.60}"


def _conversation(rows: Sequence[Row], told: Mapping[str, Any]) -> Iterator[str]:
    for row in rows:
        for field in ("instruction", "query", "response"):
            if not isinstance(row.get(field), str):
                yield f"field {field!r} must be text, not {row.get(field)!r:.40}"
        if not isinstance(row.get("system"), str | None):
            yield f"field 'system' must be text, not {row['system']!r:.40}"
        history = row.get("history")
        if history is None:
            continue
        if not isinstance(history, list):
            yield f"field 'history' must be a list, not {history!r:.40}"
            continue
        yield from _turns(len(history) + 1, told)
        for turn in history:
            if not (isinstance(turn, list) and len(turn) == 2 and all(isinstance(t, str) for t in turn)):
                yield f"a turn of the history must be [query, response], not {turn!r:.60}"


def _code(rows: Sequence[Row], told: Mapping[str, Any]) -> Iterator[str]:
    return iter(())  # Data-Juicer's checks nothing either


_CHECKS: dict[str, Callable[[Sequence[Row], Mapping[str, Any]], Iterator[str]]] = {
    "required_fields": _required, "swift_messages": _messages, "dj_conversation": _conversation, "code": _code,
}
