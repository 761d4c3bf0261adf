"""Mappers that call a Python function of the user's. The function is handed in; nothing here makes code of text."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from ..base import mapper

Function = Callable[[dict[str, Any]], dict[str, Any]]
# What a function that does not fit the rows raises; that it was interrupted, or memory is short, is not among it.
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


@mapper("python_lambda_mapper", resources={"function": "python_lambda"})
def by_lambda(rows: pa.StructArray, *, function: Function | None, lambda_str: str = "", batched: bool = False) -> pa.StructArray:
    """Rows as the lambda of the recipe makes them: it takes a row as a dict and answers one; columns it leaves out stay.

    `batched`: it takes and answers a dict of columns, lists of equal lengths. No lambda: the rows as they are.
    Cost: Python. Raises ValueError where the lambda fails or answers no such dict. Source: Data-Juicer.
    >>> by_lambda(pa.array([{"a": 1}]), function=lambda row: {"a": row["a"] + 1}).to_pylist()
    [{'a': 2}]
    """
    return _applied(rows, function, batched)


@mapper("python_file_mapper", resources={"function": "python_file"})
def by_file(
    rows: pa.StructArray, *, function: Function | None, file_path: str = "", function_name: str = "process_single",
    batched: bool = False,
) -> pa.StructArray:
    """Rows as the function `function_name` of the Python file `file_path` makes them; see `by_lambda`.

    No file: the rows as they are. Cost: Python. Raises ValueError where it fails or answers no such dict. Source: Data-Juicer.
    """
    return _applied(rows, function, batched)


def _applied(rows: pa.StructArray, function: Function | None, batched: bool) -> pa.StructArray:
    if function is None or not len(rows):
        return rows
    names = [f.name for f in rows.type]
    given = rows.to_pylist()
    try:
        if batched:
            made = _columns(function({name: [row[name] for row in given] for name in names}))
        else:
            answers = [_dict(function(dict(row))) for row in given]
            new = dict.fromkeys([*names, *(name for answer in answers for name in answer)])
            made = {name: [answer.get(name, row.get(name)) for answer, row in zip(answers, given, strict=True)] for name in new}
    except FAILURES as e:
        raise ValueError(f"the function fails: {type(e).__name__}: {e}") from e
    if any(len(values) != len(rows) for values in made.values()):
        raise ValueError("a batched function must answer as many rows as it was given")
    types = {f.name: f.type for f in rows.type}
    columns = [_column(name, values, types.get(name)) for name, values in made.items()]
    return pa.StructArray.from_arrays(columns, names=list(made))


def _dict(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or not all(isinstance(key, str) for key in answer):
        raise ValueError(f"it must answer a dict with text as keys, not {type(answer).__name__}")
    return answer


def _columns(answer: Any) -> Mapping[str, list[Any]]:
    return {name: list(values) for name, values in _dict(answer).items()}


def _column(name: str, values: list[Any], before: pa.DataType | None) -> pa.Array:
    """As the type that the column had, where the values fit that; otherwise as Arrow finds them to be."""
    for wanted in (before, None):
        try:
            return pa.array(values, wanted)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as e:
            problem = e
    raise ValueError(f"its values for {name!r} are of no one type: {problem}")
