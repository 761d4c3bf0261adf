"""Python code of the user's, which runs only where the recipe says `allow_code: true`: a lambda, or a function in a file."""

import ast
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

KINDS = ("python_lambda", "python_file")
WHY = "it runs Python code that comes with the recipe, with all the rights that you have; if you trust it, say allow_code: true"

Function = Callable[[dict[str, Any]], dict[str, Any]]


def asked(resources: Mapping[str, str], settings: Mapping[str, Any]) -> bool:
    """Whether a step with these resources and settings runs code of the user's."""
    program = "trainer" in resources.values() and str(settings["model"]).endswith(".py")
    return program or bool(set(resources.values()) & set(KINDS))


def check_lambda(text: str) -> ast.Expression:
    """The parsed lambda. Raises ValueError where it is none with exactly one argument."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:  # the last two: too deep
        raise ValueError(f"lambda_str {text!r} is not Python: {e}") from e
    if not isinstance(tree.body, ast.Lambda) or len(tree.body.args.args) != 1:
        raise ValueError(f"lambda_str {text!r} must be a lambda with one argument, the row")
    return tree


def load_lambda(text: str) -> Function | None:
    """The function that the lambda is; None for no text."""
    if not text:
        return None
    made: Function = eval(compile(check_lambda(text), "<recipe>", "eval"), {})
    return made


def load_file(path: str, name: str) -> Function | None:
    """The function of that name in a Python file; None for no path. Raises ValueError where it has none with one argument."""
    if not path:
        return None
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found) or len(inspect.signature(found).parameters) != 1:
        raise ValueError(f"{path} has no function {name!r} with one argument")
    return found  # type: ignore[no-any-return]
