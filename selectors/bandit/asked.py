"""Asking for rewards: each round once, and never again what a trace already tells."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Influence = Callable[[np.ndarray], np.ndarray]  # rows int64[m] of the pool -> their rewards float64[m]


class Trace(Protocol):
    """Where every pull is written down, and what it was read back from after a run was broken off."""

    def rounds(self) -> list[list[dict[str, Any]]]:
        """The lines that are there, round by round, whole rounds only."""

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Keep the lines of one round."""


@dataclass
class Asked:
    """The rewards of rows: from the trace where the round is in it, else from `influence`; a new round is added to the trace."""

    influence: Influence
    ids: np.ndarray
    trace: Trace | None = None
    turn: int = 0
    done: list[list[dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.done = self.trace.rounds() if self.trace is not None else []

    def rewards(self, wanted: list[np.ndarray]) -> list[np.ndarray]:
        """Of each pull of the round. Raises ValueError where they are no numbers, or the trace is of another choice."""
        if self.turn < len(self.done):
            lines = self.done[self.turn]
            if [line["rows"] for line in lines] != [self.ids[rows].tolist() for rows in wanted]:
                raise ValueError(f"round {self.turn} of the trace that is there asked about other rows: it is of another choice")
            return [np.array(line["rewards"], np.float64) for line in lines]
        rows = np.concatenate(wanted)
        found = np.asarray(self.influence(rows), np.float64) if len(rows) else np.empty(0)
        wrong = int((~np.isfinite(found)).sum())
        if found.shape != rows.shape or wrong:
            raise ValueError(f"for {len(rows)} rows there are {found.size} rewards, {wrong} of them NaN or infinite")
        return np.split(found, np.cumsum([len(rows) for rows in wanted])[:-1])

    def ends(self, lines: list[dict[str, Any]]) -> None:
        """The round is over; its lines are kept unless they were there."""
        if self.turn >= len(self.done) and self.trace is not None:
            self.trace.add([{"round": self.turn, "of": len(lines), **line} for line in lines])
        self.turn += 1
