"""What a lake run is asked: the settings of `table_containment_deduplicator`, typed, and which table each pattern means."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...operators.base import declared
from ...operators.lake.canonical import Missing
from ...operators.lake.containment import contained_tables
from ...operators.lake.costs import Prices
from ..errors import RecipeError

STEP = declared(contained_tables)
_OVERRIDES = ("accesses", "maintenance_runs", "max_latency")


@dataclass(frozen=True)
class Settings:
    """The step's settings; `seed` is the recipe's. docs/lake.md has them all, and of what costs the source, linked and dated.

    Attributes:
        storage_price: USD per GB and month. S3 Standard, us-east-1.
        maintenance_price: USD per GB and maintenance run. A convention: a run reads all once, at the read price.
        read_price: USD per GB read from a parent. Athena, 5 USD per TB.
        write_price: USD per GB of a rebuilt table. S3 PUT requests of 8 MB.
        read_speed, write_speed: bytes per second of a rebuild, over one connection to S3.
        start_seconds: before the first byte of a rebuild. A convention: five requests of 0.2 s.
        accesses: of each table per month. A convention: one; of two clusters' files 80 to 90 % see at most 1.7.
        maintenance_runs: of each table per month. A convention: one, the time that GDPR gives an erasure.
        max_latency: seconds that a rebuild may take. A convention: an hour.
    """

    missing_values: Missing
    bag: bool
    tolerance: float
    epsilon: float
    delta: float
    probe_columns: int
    folders: list[str] | None
    keep: list[str] | None
    copies: int
    storage_price: float
    maintenance_price: float
    read_price: float
    write_price: float
    read_speed: float
    write_speed: float
    start_seconds: float
    accesses: float
    maintenance_runs: float
    max_latency: float
    overrides: dict[str, dict[str, float]] | None
    solver_seconds: float
    trash: str
    seed: int = 0
    scanning: tuple[str, ...] = field(
        default=("missing_values", "bag", "tolerance", "epsilon", "delta", "probe_columns", "folders", "seed"), repr=False)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None = None, seed: int = 0) -> "Settings":
        """The settings that are given, the rest by default. Raises RecipeError for what cannot be."""
        made = cls(**{s.name: s.default for s in STEP.settings.values()} | dict(given or {}), seed=seed)
        wrong = list(made._wrong())
        if wrong:
            raise RecipeError("\n".join(f"{STEP.name}: {w}" for w in wrong))
        return made

    def _wrong(self) -> Iterable[str]:
        for name in ("epsilon", "delta"):
            if not 0 < getattr(self, name) < 1:
                yield f"{name} lies between 0 and 1, it is {getattr(self, name):g}"
        if not 0 <= self.tolerance < 1:
            yield f"tolerance is the share of a table's rows that may be missing, 0 or more and below 1, it is {self.tolerance:g}"
        if self.copies < 1 or self.probe_columns < 0:
            yield "copies is at least 1, probe_columns at least 0"
        for name in ("read_speed", "write_speed", "solver_seconds"):
            if getattr(self, name) <= 0:
                yield f"{name} must be more than 0"
        for name in ("storage_price", "maintenance_price", "read_price", "write_price", "start_seconds", *_OVERRIDES):
            if getattr(self, name) < 0:
                yield f"{name} must not be negative"
        for pattern, values in (self.overrides or {}).items():
            unknown = sorted(set(values) - set(_OVERRIDES))
            if unknown:
                yield f"overrides, {pattern!r}: unknown {unknown[0]!r}; it takes {', '.join(_OVERRIDES)}"
        if "/" in self.trash or self.trash in ("", ".", ".."):
            yield f"trash is the name of a folder in the lake's root, not a path: {self.trash!r}"
        elif not self.trash.startswith((".", "_")):
            yield f"trash begins with . or _, so that nobody takes it for data; it is {self.trash!r}"

    @property
    def prices(self) -> Prices:
        """The prices as the cost model takes them."""
        return Prices(self.storage_price, self.maintenance_price, self.read_price, self.write_price,
                      self.read_speed, self.write_speed, self.start_seconds)

    def scan_words(self) -> dict[str, Any]:
        """What decides the graph, for the fingerprint."""
        return {name: getattr(self, name) for name in self.scanning}

    def of_table(self, name: str) -> dict[str, float]:
        """accesses, maintenance_runs and max_latency of one table; later patterns win."""
        told = {key: float(getattr(self, key)) for key in _OVERRIDES}
        for pattern, values in (self.overrides or {}).items():
            if fits(name, [pattern]):
                told |= values
        return told


def fits(name: str, patterns: Iterable[str] | None) -> bool:
    """Whether a table's name (its path below the root) is one of the patterns, or they match it as file patterns do."""
    return any(name == p or fnmatch.fnmatchcase(name, p) for p in patterns or ())
