"""What an engine is: a way to do one picklable task for each of many parts, wherever its workers are.

A task reads a part and writes that part's files into the stage folder, atomically, and answers its counts; so an
engine moves paths and counts, never rows, and every engine runs the same body with the same answers. What several parts
must bring together goes through `exchange`: narrow tables, cut by who needs them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

Counts = dict[str, Any]
Emit = Callable[[int], Iterable[tuple[int, pa.RecordBatch]]]  # a source's narrow tables, each with the target that needs it
Take = Callable[[int, Iterator[pa.RecordBatch]], Counts]  # a target's tables, in the order of their sources


@dataclass(frozen=True)
class Tasks:
    """How far a remote engine is with the job it does now, in its own tasks."""

    whole: int
    done: int
    running: int
    failed: int


class Engine(Protocol):
    """Where the parts of a stage are worked on.

    Attributes:
        name: as the recipe has it.
        workers: how many parts at a time.
        remote: whether workers are elsewhere, so that nothing of the corpus' size may pass through this process.
        watch: is told how a remote job goes, now and then.
    """

    name: str
    workers: int
    remote: bool
    watch: Callable[[Tasks], None] | None

    def map(self, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None]) -> list[Counts]:
        """The task's answer for every part, in their order; `done` is called as each arrives.

        Raises what the task raised, for the first part (in order) that failed among those that had begun.
        """

    def exchange(self, emit: Emit, sources: Sequence[int], take: Take, targets: int) -> list[Counts]:
        """What `take` answers for each target 0, 1, ..., given all that `emit` of all sources has for it."""

    def roots(self, edges: Callable[[int], Iterable[pa.RecordBatch]], files: int, count: int, folder: Any) -> list[Any]:
        """Parquet files of (row, root): the smallest row of each row's component; every row with an edge is there once.

        `edges(k)`, k < `files`, answers batches of int64 columns a, b, `count` in all; `folder` is for what is left on the way.
        """

    def close(self) -> None:
        """Give the workers back."""
