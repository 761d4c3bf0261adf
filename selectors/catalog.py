"""The table of contents of the selectors, by hand."""

import inspect
from types import ModuleType

from . import adapt, baselines, coreset, covering, diversity, fields, iterative, mixture, quad, ranking, redundancy
from .base import Selector

FILES: tuple[ModuleType, ...] = (
    baselines, fields, diversity, iterative, covering, ranking, coreset, redundancy, adapt, mixture, quad,
)


def _collect() -> dict[str, Selector]:
    found: dict[str, Selector] = {}
    for module in FILES:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            record: Selector | None = getattr(function, "__selector__", None)
            if record is not None and function.__module__ == module.__name__:
                found[record.name] = record
    return found


_BY_NAME = _collect()


def by_name(name: str) -> Selector:
    """The selector of that name. Raises KeyError."""
    return _BY_NAME[name]


def table() -> list[Selector]:
    """All selectors, in catalog order."""
    return list(_BY_NAME.values())
