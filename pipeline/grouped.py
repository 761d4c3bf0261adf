"""Columns of grouped rows, for the plan: a grouper makes a list of each, and who reads text cannot read lists."""

from collections.abc import Iterator

import pyarrow as pa

from .columns import type_at
from .ledger import KEY_COLUMNS
from .steps import Step


def after(schema: pa.Schema, step: Step) -> pa.Schema:
    """The columns that rows have after a grouper."""
    return pa.schema([f if f.name in KEY_COLUMNS else f.with_type(_made(f.type, _takes_apart(step))) for f in schema])


def problem(schema: pa.Schema, step: Step, grouper: Step | None) -> str | None:
    """Why the step cannot do with these columns, after `grouper`, the latest one; None: nothing is known against it."""
    if step.kind == "grouper" and _takes_apart(step):
        plain = next((f for f in schema if f.name not in KEY_COLUMNS and not _is_list(f.type)), None)
        return None if plain is None else f"column {plain.name!r} is {plain.type}, not a list: only grouped rows can be taken apart"
    if grouper is None or step.kind == "grouper":
        return None
    # a vector is a list anyway: of grouped rows it is a list of lists, taken apart it is itself again
    vectors = () if _takes_apart(grouper) else (("vector_key", step.extra.get("vector_key")),)
    lists = next(((what, name) for what, name in (*_read(step), *vectors) if name and _is_list(type_at(schema, name))), None)
    return lists and (f"{lists[0]} {lists[1]!r} holds lists after step {grouper.number} ({grouper.name}): "
                      "put this step before the rows are grouped, or naive_reverse_grouper between them")


def _read(step: Step) -> Iterator[tuple[str, str | None]]:
    """(what it is to the step, its name, if it has one) of columns in which one value a row is looked for."""
    if step.kind != "selector" and not step.extra.get("vector_key"):
        yield "column", step.text_key
    yield from ((key, step.extra.get(key)) for key in ("score_key", "quality_key", "cost_key"))
    yield from (("score_keys", name) for name in step.settings.get("score_keys", ()))


def _takes_apart(step: Step) -> bool:
    return bool(getattr(step.op, "many", False))


def _made(kind: pa.DataType, apart: bool) -> pa.DataType:
    if not apart:
        return pa.list_(kind)
    return kind.value_type if _is_list(kind) else kind


def _is_list(kind: pa.DataType | None) -> bool:
    return kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind))
