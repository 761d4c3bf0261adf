"""The local engine: worker processes over the parts of a stage, or this process alone when there is one worker."""

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import light
from ..errors import LostWorkerError
from .base import Counts, Emit, Take, Tasks
from .roots import in_memory

# Parallelism is by processes: a thread pool inside each would only fight over the same cores, and would make the last
# bits of a sum depend on their number.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
ONE_THREAD["TOKENIZERS_PARALLELISM"] = "false"


class LocalEngine:
    """Processes on this machine. `workers` 0 means one per core that this process may use."""

    name, remote = "local", False
    watch: Callable[[Tasks], None] | None = None

    def __init__(self, workers: int = 0) -> None:
        self.workers = min(workers, cores()) if workers else cores()
        self._pool: ProcessPoolExecutor | None = None

    def map(self, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None]) -> list[Counts]:
        """See `Engine.map`."""
        if self.workers == 1 or len(parts) < 2:
            return [_told(task(part), done) for part in parts]
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), initializer=_live_with_parent)
        return _gather(self._pool, task, parts, done, ahead=self.workers + 1)

    def exchange(self, emit: Emit, sources: Sequence[int], take: Take, targets: int) -> list[Counts]:
        """See `Engine.exchange`; in this process, and all of it in memory: stages of this engine spill to files instead."""
        held: list[list[pa.RecordBatch]] = [[] for _ in range(targets)]
        for source in sources:
            for target, batch in emit(source):
                held[target].append(batch)
        return [take(target, iter(held[target])) for target in range(targets)]

    def roots(self, edges: Callable[[int], Iterable[pa.RecordBatch]], files: int, count: int, folder: Path) -> list[Path]:
        """See `Engine.roots`."""
        return in_memory(edges, files, folder)

    def close(self) -> None:
        """Stop the workers, busy or not."""
        if self._pool is not None:
            workers = list((self._pool._processes or {}).values())
            manager: Any = self._pool._executor_manager_thread
            self._pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.terminate()
            if manager is not None:
                manager.join(10)  # else it and the interpreter's end race to close the same pipe
            self._pool = None


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(counts: Counts, done: Callable[[Counts], None]) -> Counts:
    done(counts)
    return counts


def _gather(
    pool: ProcessPoolExecutor, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None], ahead: int
) -> list[Counts]:
    answers: dict[int, Counts] = {}
    failures: dict[int, BaseException] = {}
    waiting: dict[Future[Counts], int] = {}
    upcoming = iter(enumerate(parts))
    try:
        while True:
            # only a few parts are handed out at a time: after a failure nothing more is begun
            while len(waiting) < ahead and not failures and (nxt := next(upcoming, None)) is not None:
                with _environment(ONE_THREAD), _no_interrupts(), _alone():  # submit is where the pool starts its processes
                    waiting[pool.submit(task, nxt[1])] = nxt[0]
            if not waiting:
                break
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                index = waiting.pop(future)
                error = future.exception()
                if error is not None:
                    failures[index] = error
                else:
                    answers[index] = _told(future.result(), done)
    except BrokenProcessPool as e:
        failures.setdefault(len(parts), e)
    if failures:
        error = failures[min(failures)]
        if isinstance(error, BrokenProcessPool):
            why = "a worker process died, most likely for lack of memory"
            raise LostWorkerError(f"{why}. Run again to go on from here, with a smaller np.") from error
        raise error
    return [answers[i] for i in range(len(parts))]


def _live_with_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and die when it dies, however it dies; load light."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    light.load()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the block is left; processes started in it never see it, not even while they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _alone() -> Iterator[None]:
    """Processes started in the block do not run the user's script again, as `spawn` has them do: all of a task is in tamis.

    So a script needs no `if __name__ == "__main__":`, and what it does besides is done once.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {k: os.environ.get(k) for k in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
