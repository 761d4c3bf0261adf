"""Operators of the user's own, from Python files or from installed packages; only where the recipe says `allow_code: true`.

A file holds functions with our marks (`from tamis.operators.base import filter, mapper`). What they answer depends on the
file's content, which is part of every fingerprint. A package names its functions or modules as entry points of the group
`tamis.operators`.
"""

import functools
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from ..operators.base import Operator

GROUP = "tamis.operators"
_KNOWN: dict[str, Operator] = {}
# what a file that is no operator's raises when it is loaded
FAILURES = (ImportError, SyntaxError, OSError, ValueError, TypeError, NameError, AttributeError, LookupError, RuntimeError,
            ArithmeticError, AssertionError)


@dataclass(frozen=True)
class FromFile:
    """A function of a file that no one else can import: it travels to workers as path and name, and is loaded there."""

    path: str
    sha256: str
    name: str
    doc: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.doc)
        object.__setattr__(self, "__name__", self.name)

    def __call__(self, *columns: Any, **settings: Any) -> Any:
        """What the function answers."""
        return getattr(_module(self.path, self.sha256), self.name)(*columns, **settings)


def find(name: str) -> Operator | None:
    """The operator of that name among those that `register` has found."""
    return _KNOWN.get(name)


def register(paths: Sequence[str], folder: Path, taken: Sequence[str]) -> list[str]:
    """Find the operators of these files, and of all installed packages; answer what is wrong."""
    wrong: list[str] = []
    _KNOWN.clear()
    for text in paths:
        path = next((p for p in (Path(text).expanduser(), folder / text) if p.exists()), None)
        if path is None:
            wrong.append(f"custom_operator_paths: there is no {text}")
            continue
        try:
            found = list(_of_file(path))
        except FAILURES as e:
            wrong.append(f"custom_operator_paths: {text} cannot be loaded: {type(e).__name__}: {e}")
            continue
        wrong += [] if found else [f"custom_operator_paths: {text} has no function marked as an operator"]
        wrong += _add(found, taken, text)
    for entry in entry_points(group=GROUP):
        wrong += _add(_marked(entry.load()), taken, entry.value)
    return wrong


def _add(found: Sequence[Operator], taken: Sequence[str], where: str) -> list[str]:
    wrong = [f"custom_operator_paths: {where} has an operator {op.name!r}, which is ours; give it another name"
             for op in found if op.name in taken]
    _KNOWN.update({op.name: op for op in found if op.name not in taken})
    return wrong


def _of_file(path: Path) -> Iterator[Operator]:
    file = path / "__init__.py" if path.is_dir() else path
    sources = sorted(path.rglob("*.py")) if path.is_dir() else [file]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    for record in _marked(_module(str(file.resolve()), digest)):
        made = FromFile(str(file.resolve()), digest, record.function.__name__, inspect.getdoc(record.function) or "")
        yield replace(record, function=made, version=int(digest[:12], 16))


def _marked(found: Any) -> list[Operator]:
    things = vars(found).values() if isinstance(found, ModuleType) else [found]
    own = [t for t in things if inspect.isfunction(t) and isinstance(getattr(t, "__operator__", None), Operator)]
    return [t.__operator__ for t in own if not t.__module__.startswith("tamis.")]  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=32)
def _module(path: str, sha256: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"custom_operators_{sha256[:12]}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
