"""A selector that asks a model about few rows: the model fitted as for `influence_scorer`, texts read when asked for, pulls kept.

The stage runs where the model is; `trace.jsonl` in its folder has a line for each pull, and a run that was broken off, after
whichever pull, goes on behind the last whole round.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from .. import resources
from ..errors import StaleError
from ..plan import Stage
from ..workspace import StageFolder
from .lineage import Lineage, texts
from .score import FitTask, fit_folder

TRACE = "trace.jsonl"
HELD = 1 << 28  # bytes of texts that stay in memory


@dataclass(frozen=True)
class TraceFile:
    """The pulls of a bandit, a line each: appended round by round, and read back up to the last round that is whole."""

    path: Path

    def rounds(self) -> list[list[dict[str, Any]]]:
        """The rounds that are there; what a kill has left behind them is cut off."""
        written = self.path.read_bytes() if self.path.exists() else b""
        found: list[list[dict[str, Any]]] = []
        here: list[dict[str, Any]] = []
        end = at = 0
        for line in written.splitlines(keepends=True):
            try:
                here.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                break
            at += len(line)
            if len(here) == here[0]["of"] and line.endswith(b"\n"):
                found.append(here)
                here, end = [], at
        if end < len(written):
            with self.path.open("rb+") as file:
                file.truncate(end)
        return found

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Append the lines of one round."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))


@dataclass
class PoolTexts:
    """The texts of a pool's rows, by their place in it, read part by part when they are asked for.

    Attributes:
        parts, starts: the parts of the corpus, and at which row of the pool each begins.
        held: the texts of parts that were read lately.
    """

    before: Lineage
    key: str
    parts: range
    starts: np.ndarray
    held: dict[int, pa.ChunkedArray] = field(default_factory=dict)

    @classmethod
    def of(cls, before: Lineage, key: str, parts: range) -> "PoolTexts":
        """Of all rows that stand."""
        return cls(before, key, parts, np.cumsum([0, *(before.rows_of(part) for part in parts)])[:-1])

    def read(self, index: np.ndarray) -> list[str | None]:
        """The texts of these rows."""
        found = np.empty(len(index), object)
        places = np.searchsorted(self.starts, index, side="right") - 1
        for place in np.unique(places).tolist():
            at = np.flatnonzero(places == place)
            found[at] = self._column(place).take(pa.array(index[at] - self.starts[place])).to_numpy()
        return found.tolist()  # type: ignore[no-any-return]

    def _column(self, place: int) -> pa.ChunkedArray:
        if place not in self.held:
            batches = self.before.read(self.parts[place], [self.key])
            self.held[place] = pa.chunked_array([texts(b, self.key, "selection") for b in batches], pa.string())
            while sum(column.nbytes for column in self.held.values()) > HELD and len(self.held) > 1:
                self.held.pop(next(iter(self.held)))
        return self.held[place]


@dataclass(frozen=True)
class LazyRewards:
    """The rewards of rows that a selector asks about."""

    ready: Any  # selectors.influence.ready.FittedInfluence, which needs torch
    examples: Any
    words: PoolTexts

    def __call__(self, index: np.ndarray) -> np.ndarray:
        """float64[m]; a row without text has the reward 0."""
        return self.ready.rewards(self.words.read(index), self.examples)  # type: ignore[no-any-return]


def asks(stage: Stage) -> bool:
    """Whether a selection asks a model about rows."""
    return stage.kind == "select" and any(pin.kind == "influence" for pin in stage.pins[0])


def handed(stage: Stage, folder: StageFolder, before: Lineage, parts: range, seed: int) -> dict[str, Any]:
    """What such a selector is handed: where its pulls are kept and, with a model, whom it asks."""
    step, pins = stage.steps[0], stage.pins[0]
    given: dict[str, Any] = {"state": TraceFile(folder.path / TRACE)}
    if asks(stage) and any(before.rows_of(part) for part in parts):
        FitTask(folder, before, step, pins, len(parts), seed)(0)
        loaded = resources.load(pins)
        try:
            ready = loaded["scorer"].ready(fit_folder(folder), loaded["examples"])
        except ValueError as e:
            raise StaleError(f"step {step.number} ({step.name}): {e}: remove {folder.path} and run again") from e
        given["influence"] = LazyRewards(ready, loaded["examples"], PoolTexts.of(before, step.text_key, parts))
    return given
