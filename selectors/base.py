"""The shape of a selector: a function (pool, budget, settings) -> selection. It reads no file and knows no document.

`@selector` writes a `Selector` record beside the function, from its signature, and returns it unchanged.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


class Elsewhere(Protocol):
    """The vectors of a pool, row by row as its ids, of which this process holds none: they are asked about where they lie."""

    def __len__(self) -> int:
        """How many rows."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """float32[m, d], the vectors of those rows."""

    def nearest(self, centroids: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
        """int32[n] and float32[n]: the nearest centroid of each row and the distance to it, as `lloyd.assign` has them."""

    def unusable(self) -> tuple[int, int]:
        """How many rows hold NaN or infinity, and how many are zero."""


@dataclass(frozen=True)
class Pool:
    """What there is to choose from; row i of each array is candidate i.

    Attributes:
        ids: int64[n], distinct; the only source of chance besides the seed.
        embedding: float32[n, d], unit rows; None where the selector reads no vectors.
        quality: float64[n], larger is better; None where no column was named.
        field: object[n], what the column or field that a setting `field_key` names holds; None where there is no such setting.
        text: object[n], the texts (None: null); None where the selector reads no words.
        cost: float64[n], 0 or more, in the budget's unit (1 per row, or tokens).
        scores: name -> float64[n], the columns or numbers that a setting `score_keys` names.
        elsewhere: the vectors in place of `embedding`, for a selector that says that it can do so (`Selector.elsewhere`).
    """

    ids: np.ndarray
    embedding: np.ndarray | None = None
    quality: np.ndarray | None = None
    cost: np.ndarray | None = None
    field: np.ndarray | None = None
    text: np.ndarray | None = None
    scores: Mapping[str, np.ndarray] | None = None
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in ("embedding", "quality", "cost", "field", "text", "elsewhere")}
        for name, column in {**columns, **(self.scores or {})}.items():
            if column is not None and len(column) != len(self.ids):
                raise ValueError(f"{name} has {len(column)} rows, ids has {len(self.ids)}")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Instead:
    """Of the rows that are not picked, the pick that stands in the place of each.

    Attributes:
        row: int64[n], index of that pick; -1: there is none, or the row is picked itself.
        similarity: float64[n], how alike the two are; NaN where there is none.
        duplicate: bool[n], rows that leave as duplicates of it; the others are not selected.
        least: duplicates are more alike than this, directly or link by link.
    """

    row: np.ndarray
    similarity: np.ndarray
    duplicate: np.ndarray
    least: float


@dataclass(frozen=True)
class Selection:
    """Rows in pick order, with the worth of each pick.

    Attributes:
        index: int64[m] into the pool, distinct.
        gain: float64[m], what the selector thought each pick worth (its own unit; see the selector).
        notes: name -> array[n] over the whole pool: what `tamis why` tells of each row (`cluster`, `rank` ...).
        facts: name -> number or text about the whole choice (inertia, k, budget left over ...), for the manifest.
        instead: who stands for the rows that are not picked, where the selector knows; the ledger names it.
        remember: name -> array, what a selector that is handed `known` wants to know the next time.
    """

    index: np.ndarray
    gain: np.ndarray
    notes: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    instead: Instead | None = None
    remember: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter: its annotation and its default (`inspect.Parameter.empty`: it must be given)."""

    name: str
    annotation: Any
    default: Any


@dataclass(frozen=True)
class Selector:
    """One line of the catalog: the recipe's name, the function, its settings, which columns of the pool it needs, and
    what the spine finds, pins and hands in by keyword (keyword -> kind, as for operators). `decides_by`: the setting that
    makes a budget unnecessary where it is given. `elsewhere`: by k-means it asks of vectors no more than `Elsewhere` answers."""

    name: str
    function: Callable[..., Selection]
    settings: Mapping[str, Setting]
    needs: tuple[str, ...] = ()
    version: int = 1
    resources: Mapping[str, str] = field(default_factory=dict)
    decides_by: str | None = None
    elsewhere: bool = False

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


def selector(
    name: str, *, needs: tuple[str, ...] = (), version: int = 1, resources: Mapping[str, str] | None = None,
    decides_by: str | None = None, elsewhere: bool = False,
) -> Callable[[Function], Function]:
    """Mark a function `(pool: Pool, budget: float, *, seed: int, ...) -> Selection`.

    `budget` is in the unit of `pool.cost`. `seed` is given by the engine and is no setting of its own; nor is `state`,
    where a selector that works in rounds keeps them, nor `influence`, whom one that asks about few rows asks, nor `known`,
    the clusters that a lifelong pool has from before.
    """

    def write(function: Function) -> Function:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        handed = ("seed", "state", "influence", "known", *(resources or {}))
        settings = {p.name: Setting(p.name, p.annotation, p.default)
                    for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in handed}
        record = Selector(name, function, settings, needs, version, dict(resources or {}), decides_by, elsewhere)
        function.__selector__ = record  # type: ignore[attr-defined]
        return function

    return write
