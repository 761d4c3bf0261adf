"""What runs on an executor: iterators over Arrow batches, for `mapInArrow`. No Spark in here.

What went wrong on purpose (TamisError) comes back as an answer: it is the data's or the recipe's fault, and doing the task
again would change nothing. Anything else is raised, with the place where it happened, and Spark tries again.
"""

import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from types import TracebackType
from typing import Any

import pyarrow as pa

from ..errors import TamisError
from .base import Counts, Emit, Take

ANSWER = "part long, counts string, error string"
BLOCK = "target int, source int, number int, block binary"
_ANSWER = pa.schema([("part", pa.int64()), ("counts", pa.string()), ("error", pa.string())])
_BLOCK = pa.schema([("target", pa.int32()), ("source", pa.int32()), ("number", pa.int32()), ("block", pa.binary())])
MOST = 1 << 18  # rows in a block: some megabytes
NOTHING, FAILED = -1, -2  # instead of a source: a target that is there in any case; a source that could not be read
Told = Callable[[int, str], None]  # part, its counts as JSON


class _Located(AbstractContextManager["_Located"]):
    """Keeps a TamisError; says of any other error what it was that was being done."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.error: str | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, TamisError):
            self.error = json.dumps([type(error).__name__, str(error)])
            return True
        if error is not None:
            error.add_note(f"tamis: {self.what}")
        return False


def _named(task: Any, number: int) -> str:
    place = getattr(task, "place", None)
    return str(place(number)) if place else f"{type(task).__name__} {number}"


class _Settling:
    """Keeps modules that have been loaded out of the collection of garbage that Spark does after each task.

    Looking through those of torch and numba takes most of a second, which is more than most tasks take.
    """

    def __init__(self) -> None:
        self.modules = 0

    def __call__(self) -> None:
        if len(sys.modules) != self.modules:
            gc.collect()
            gc.freeze()
            self.modules = len(sys.modules)


_settle = _Settling()


def _answered(number: int, counts: Counts | None, error: str | None) -> pa.RecordBatch:
    told = None if counts is None else json.dumps(counts)
    return pa.RecordBatch.from_pydict({"part": [number], "counts": [told], "error": [error]}, schema=_ANSWER)


class MapBody:
    """Batches of places in `parts` to batches of counts."""

    def __init__(self, task: Callable[[int], Counts], parts: list[int], told: Told) -> None:
        self.task, self.parts, self.told = task, parts, told

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """An answer for each part, as soon as it is done."""
        for batch in batches:
            for place in batch.column(0).to_pylist():
                part, counts = self.parts[place], None
                with _Located(_named(self.task, part)) as kept:
                    counts = self.task(part)
                answer = _answered(place, counts, kept.error)
                self.told(place, json.dumps([answer.column(1)[0].as_py(), kept.error]))
                yield answer
        _settle()


class EmitBody:
    """Batches of places in `sources` to blocks: Arrow tables as bytes, each for one target."""

    def __init__(self, emit: Emit, sources: list[int]) -> None:
        self.emit, self.sources = emit, sources

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The blocks of each source, numbered; where it fails, one that says so."""
        for batch in batches:
            for source in batch.column(0).to_pylist():
                number = 0
                with _Located(_named(self.emit, self.sources[source])) as kept:
                    for target, table in self.emit(self.sources[source]):
                        for start in range(0, len(table), MOST):
                            yield _block(target, source, number, packed(table.slice(start, MOST)))
                            number += 1
                if kept.error is not None:
                    yield _block(0, FAILED, source, kept.error.encode())
        _settle()


def _block(target: int, source: int, number: int, block: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([v], f.type) for v, f in zip((target, source, number, block), _BLOCK, strict=True)], schema=_BLOCK)


def packed(table: pa.RecordBatch) -> bytes:
    """A batch as bytes of the Arrow IPC stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


class TakeBody:
    """Blocks sorted by (target, source, number) to an answer for each target."""

    def __init__(self, take: Take) -> None:
        self.take = take

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One answer a target; a source that failed is the answer of the target that hears of it."""
        rows = (row for batch in batches for row in zip(*(c for c in batch.columns), strict=True))
        for target, blocks in groupby(rows, key=lambda row: row[0].as_py()):
            counts, error, first = None, None, next(blocks)
            if first[1].as_py() == FAILED:
                error = first[3].as_py().decode()
            else:
                with _Located(_named(self.take, target)) as kept:
                    counts = self.take(target, _tables(blocks))  # noqa: B031 (of this target, and once)
                error = kept.error
            yield _answered(target, counts, error)
        _settle()


def _tables(blocks: Iterator[Any]) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        yield from pa.ipc.open_stream(block[3].as_buffer())
