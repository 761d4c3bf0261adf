"""Filters on columns of the rows, or fields of struct columns (`meta.source`), whatever they hold."""

import ast
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..base import Range, Unit, filter

HOLDS = Unit("1 where it holds, else 0", "", 0.0, 1.0)
VALUE = Unit("value", "value")

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt, ast.Lt: operator.lt, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.GtE: operator.ge,
    ast.LtE: operator.le,
    ast.In: lambda value, among: value in among, ast.NotIn: lambda value, among: value not in among,
}
_SIGN: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_KNOWN = (ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Name, ast.Load, ast.Attribute, ast.Constant, ast.UnaryOp, ast.List,
          ast.Tuple, ast.Set, *_COMPARE, *_SIGN)


def field(rows: pa.StructArray, key: str) -> pa.Array:
    """What `key` (`a`, or `a.b` of a struct column) names; nulls where these rows have no such field."""
    for at in (key, key.partition(".")[0]):
        if any(f.name == at for f in rows.type):
            inner, rest = pc.struct_field(rows, [at]), key[len(at) + 1 :]
            inner = inner.dictionary_decode() if pa.types.is_dictionary(inner.type) else inner
            return inner if not rest else field(inner, rest) if pa.types.is_struct(inner.type) else pa.nulls(len(rows))
    return pa.nulls(len(rows))


@filter("specified_field_filter", unit=HOLDS, keep=Range(min=0.5))
def specified_field(rows: pa.StructArray, *, field_key: str = "", target_value: list[Any] | None = None) -> pa.Int8Array:
    """1 where the column or field `field_key`, or each value of a list in it, is among `target_value`, else 0.

    No key or no targets: 1. A field that is null, or not there, is among them only if null is. Numbers and truth values
    are compared as Python does (1 is 1.0). Cost: one Python comparison a row. Source: Data-Juicer, whose stat is a copy of
    the field.
    >>> specified_field(pa.array([{"lang": "de"}, {"lang": "en"}]), field_key="lang", target_value=["en"]).to_pylist()
    [0, 1]
    """
    if not field_key or not target_value:
        return pa.array(np.ones(len(rows), np.int8))
    column = field(rows, field_key)
    known: dict[Any, bool] = {}

    def stays(value: Any) -> bool:
        values = value if isinstance(value, list) else [value]
        return all(v in target_value for v in values)

    if pa.types.is_nested(column.type):
        return pa.array([int(stays(v)) for v in column.to_pylist()], pa.int8())
    coded = column.dictionary_encode(null_encoding="encode")
    known = {i: stays(v) for i, v in enumerate(coded.dictionary.to_pylist())}
    return pa.array(np.array([known[i] for i in range(len(known))], np.int8)[coded.indices.to_numpy()])


@filter("specified_numeric_field_filter", unit=VALUE, keep=Range(min=-float(sys.maxsize), max=float(sys.maxsize)), version=2)
def specified_numeric_field(
    rows: pa.StructArray, *, field_key: str = "", compat: Literal["data-juicer"] | None = None
) -> pa.DoubleArray:
    """Number in the column or field `field_key`; text that Python reads as a number counts, anything else is no number.

    No key: 0 for every row. `compat`: 0 is no number either, as in Data-Juicer. Null: null, and the row leaves.
    Cost: one pass; a Python call a row for text. Source: Data-Juicer.
    >>> specified_numeric_field(pa.array([{"n": "1.5"}, {"n": "x"}, {"n": "0"}]), field_key="n").to_pylist()
    [1.5, None, 0.0]
    """
    if not field_key:
        return pa.array(np.zeros(len(rows)))
    column = field(rows, field_key)
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)
    if pa.types.is_decimal(column.type) or numeric:
        values = pc.cast(pc.cast(column, pa.int8()) if pa.types.is_boolean(column.type) else column, pa.float64(), safe=False)
        return pc.if_else(pc.equal(values, 0), None, values) if compat else values
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pa.nulls(len(rows), pa.float64())
    return pa.array([_number(v) for v in column.to_pylist()], pa.float64())


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


@filter("suffix_filter", unit=HOLDS, keep=Range(min=0.5))
def suffix_stays(__source__: pa.StringArray, *, suffixes: str | list[str] | None = None) -> pa.Int8Array:
    """1 where the name of the file that the row comes from ends in one of `suffixes` (`.py`), else 0.

    The suffix is what follows the last dot, with it; of a compressed file the one before, too (`.jsonl.gz`). No suffixes: 1.
    Null: null. Cost: one look-up per file. Source: RedPajama v1 (GitHub), through Data-Juicer.
    >>> suffix_stays(pa.array(["a/b.py", "c.md"]), suffixes=[".py"]).to_pylist()
    [1, 0]
    """
    wanted = [suffixes] if isinstance(suffixes, str) else suffixes or []
    coded = __source__.dictionary_encode()
    stays = pa.array([not wanted or _suffix(name) in wanted for name in coded.dictionary.to_pylist()], pa.bool_())
    return pc.cast(stays.take(coded.indices), pa.int8())


def _suffix(name: str) -> str:
    parts = name.rsplit("/", 1)[-1].lower().split(".")
    count = 2 if len(parts) > 2 and parts[-1] in ("gz", "zst") else 1
    return "".join("." + part for part in parts[1:][-count:])


@filter("general_field_filter", unit=HOLDS, keep=Range(min=0.5))
def general_field_filter_condition(rows: pa.StructArray, *, filter_condition: str = "") -> pa.Int8Array:
    """1 where `filter_condition` holds for the row's columns, else 0: `10 < num <= 30 and meta.lang in ['en', 'de']`.

    It may hold and, or, not, comparisons, in, not in, names, `a.b`, constants and lists of them; no calls, no arithmetic.
    A comparison with something that is null or not there does not hold, but `not in` does. No condition: 1. Numbers of
    filters before it in the same pass are in `__dj__stats__`. Cost: one walk of the condition a row.
    Raises ValueError for anything else in it, and where two values cannot be compared. Source: Data-Juicer.
    >>> general_field_filter_condition(pa.array([{"n": 3}, {"n": None}]), filter_condition="n > 2").to_pylist()
    [1, 0]
    """
    condition = filter_condition.strip()
    if not condition:
        return pa.array(np.ones(len(rows), np.int8))
    tree = _parsed(condition)
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    columns = [field(rows, name).to_pylist() if any(f.name == name for f in rows.type) else [None] * len(rows) for name in names]
    values = zip(*columns, strict=True) if names else ((),) * len(rows)
    try:
        return pa.array([int(bool(_value(tree, dict(zip(names, row, strict=True))))) for row in values], pa.int8())
    except TypeError as e:
        raise ValueError(f"filter_condition {condition!r}: {e}") from e


def _parsed(condition: str) -> ast.expr:
    try:
        tree = ast.parse(condition, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        raise ValueError(f"filter_condition {condition!r} is not a condition: {e}") from e
    for node in ast.walk(tree):
        if not isinstance(node, _KNOWN):
            raise ValueError(f"filter_condition {condition!r} holds {type(node).__name__}: it knows and, or, not, comparisons, in, "
                             "names, constants and lists only")
    return tree


def _value(node: ast.AST, row: Mapping[str, Any]) -> Any:
    """What a part of a condition is worth for a row."""
    match node:
        case ast.BoolOp():
            values = (_value(child, row) for child in node.values)
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.Compare():
            return _compared(node, row)
        case ast.Name():
            return row[node.id]
        case ast.Attribute():
            inner = _value(node.value, row)
            return inner.get(node.attr) if isinstance(inner, dict) else None
        case ast.Constant():
            return node.value
        case ast.UnaryOp():
            value = _value(node.operand, row)
            return None if value is None and not isinstance(node.op, ast.Not) else _SIGN[type(node.op)](value)
        case ast.Set():
            return {_value(element, row) for element in node.elts}
        case ast.List() | ast.Tuple():
            return [_value(element, row) for element in node.elts]
    raise ValueError(f"{type(node).__name__} in a condition")


def _compared(node: ast.Compare, row: Mapping[str, Any]) -> bool:
    left = _value(node.left, row)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, row)
        if left is None or right is None:
            return isinstance(op, ast.NotIn)
        if not _COMPARE[type(op)](left, right):
            return False
        left = right
    return True
