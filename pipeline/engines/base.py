"""What an engine is: a way to do one picklable task for each of many parts, wherever its workers are.

A task reads a part and writes that part's files into the stage folder, atomically, and answers its counts; so an
engine moves paths and counts, never rows, and every engine runs the same body with the same answers.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Counts = dict[str, Any]


class Engine(Protocol):
    """Where the parts of a stage are worked on."""

    name: str
    workers: int

    def map(self, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None]) -> list[Counts]:
        """The task's answer for every part, in their order; `done` is called as each arrives.

        Raises what the task raised, for the first part (in order) that failed among those that had begun.
        """

    def close(self) -> None:
        """Give the workers back."""
