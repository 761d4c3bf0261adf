"""The recipe's key `pool`, typed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...selectors.parts.identity import Rules
from ..errors import did_you_mean
from ..steps import typed


@dataclass(frozen=True)
class PoolAsked:
    """Which pool, and how it is kept.

    Attributes:
        path: its folder.
        begin: whether a pool is begun where there is none.
        drift: share of the pool's rows whose scores are taken anew by each run; 0: none.
        versions: how many versions are kept, the newest.
        split_size, split_width, merge: when clusters are cut in two or become one (`selectors/parts/identity.py`).
    """

    path: str
    begin: bool = True
    drift: float = 0.02
    versions: int = 5
    split_size: float = Rules.split_size
    split_width: float = Rules.split_width
    merge: float = Rules.merge

    @property
    def folder(self) -> Path:
        """The folder, absolute."""
        return Path(self.path).expanduser().absolute()

    @property
    def rules(self) -> Rules:
        """When clusters are cut in two or become one."""
        return Rules(self.split_size, self.split_width, self.merge)

    def words(self) -> str | dict[str, Any]:
        """As a recipe says it: the path alone where nothing else was asked."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name == "path" or getattr(self, f.name) != f.default}
        return self.path if len(told) == 1 else told

    def decides(self) -> dict[str, Any]:
        """What of it decides a run's answer."""
        return {k: v for k, v in asdict(self).items() if k not in ("path", "begin", "versions")}


def parse(value: Any) -> tuple[PoolAsked | None, list[str]]:
    """What the key asks for (None: no pool, or none that could be), and what is wrong with it."""
    if value is None:
        return None, []
    given = {"path": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or "path" not in given:
        return None, [f"pool is the folder of a pool, or a mapping with path and more, not {value!r}"]
    kinds: dict[str, Any] = {f.name: f.type for f in fields(PoolAsked)}
    wrong = [f"pool: unknown setting {k!r}.{did_you_mean(str(k), kinds) or ' It takes: ' + ', '.join(kinds) + '.'}"
             for k in given if k not in kinds]
    values: dict[str, Any] = {}
    for key in [k for k in given if k in kinds]:
        try:
            values[key] = typed(f"pool: {key}", kinds[key], given[key])
        except ValueError as e:
            wrong.append(str(e))
    if wrong:
        return None, wrong
    asked = PoolAsked(**values)
    return asked, _impossible(asked)


def _impossible(asked: PoolAsked) -> list[str]:
    wrong = []
    if not asked.path.strip() or "\0" in asked.path:
        wrong.append("pool: path must not be empty, nor hold a NUL character")
    if not 0 <= asked.drift <= 1:
        wrong.append(f"pool: drift is a share, 0 to 1, it is {asked.drift:g}")
    if asked.versions < 1:
        wrong.append(f"pool: versions must be 1 or more, it is {asked.versions}")
    for key, least in (("split_size", 1), ("split_width", 1)):
        if getattr(asked, key) <= least:
            wrong.append(f"pool: {key} must be above {least}, it is {getattr(asked, key):g}")
    if not 0 <= asked.merge < 1:
        wrong.append(f"pool: merge must be 0 or more and below 1, it is {asked.merge:g}")
    return wrong
