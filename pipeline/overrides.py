"""Overrides from the command line: a key of the recipe, a setting of one step by its number, or of all steps of a name."""

from typing import Any

from . import steps
from .errors import RecipeError, did_you_mean


def put(words: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Give `value` to what `key` names in the recipe's words: `seed`, `process.3.min_len`, `text_length_filter.min_len`.

    Raises RecipeError, which begins with `where`, for a step that is not there.
    """
    parts = key.split(".")
    if len(parts) == 2 and _by_name(words, parts[0], parts[1], value):
        return
    if len(parts) == 1:
        words[key] = value
        return
    if parts[0] != "process":
        raise RecipeError(f"{where}: no step is called {parts[0]!r}.{_meant(words, parts[0])}")
    process = words.get("process") or []
    process = words["process"] = list(process) if isinstance(process, list | tuple) else []
    if len(parts) != 3 or not parts[1].isdecimal() or not 1 <= int(parts[1]) <= len(process):
        raise RecipeError(f"{where}: a step's setting is process.N.SETTING with N from 1 to {len(process)}")
    op, given = _step(process[int(parts[1]) - 1])
    if not isinstance(op, str) or not isinstance(given, dict | None):
        raise RecipeError(f"{where}: step {parts[1]} is no operator with settings")
    process[int(parts[1]) - 1] = {op: {**(given or {}), parts[2]: value}}


def _step(step: Any) -> tuple[Any, Any]:
    """Its operator and its settings."""
    return next(iter(step.items())) if isinstance(step, dict) and len(step) == 1 else (step, None)


def _meant(words: dict[str, Any], name: str) -> str:
    """What may have been meant: a step that the recipe has, or an operator that it could have."""
    process = words.get("process")
    there = [op for op, _ in map(_step, process if isinstance(process, list) else ()) if isinstance(op, str)]
    near = did_you_mean(name, there or [n for n in steps.known_names() if n != name])
    return near or (f" The recipe's steps: {', '.join(dict.fromkeys(there))}." if there else "")


def _by_name(words: dict[str, Any], op: str, setting: str, value: Any) -> bool:
    """Give the setting to every step of that operator, as Data-Juicer does; whether there is one."""
    process = words.get("process")
    found = False
    for i, step in enumerate(process if isinstance(process, list) else ()):
        name, given = _step(step)
        if name == op and isinstance(given, dict | None) and isinstance(process, list):
            process[i], found = {op: {**(given or {}), setting: value}}, True
    return found
