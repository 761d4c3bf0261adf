"""One job of Spark's, watched while it runs: parts as they are done, tasks from the status tracker, errors in our words."""

import json
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import errors
from ..errors import LostWorkerError, OperatorError, TamisError
from .base import Counts, Tasks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EVERY = 0.1  # seconds between two looks at the job
TRACKED = 1.0  # ... and at its tasks


class Heard:
    """Answers as they arrive: a Spark accumulator, which a task's answers reach when the task has ended."""

    def __init__(self, session: "SparkSession") -> None:
        from pyspark.accumulators import AccumulatorParam

        class Gather(AccumulatorParam[list[Any]]):
            def zero(self, value: list[Any]) -> list[Any]:
                return []

            def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:  # noqa: N802 (Spark's name)
                value1.extend(value2)
                return value1

        self.gathered = session.sparkContext.accumulator([], Gather())
        self.read = 0
        self.seen: set[int] = set()

    def __call__(self, part: int, told: str) -> None:
        """On an executor: say that a part is answered."""
        self.gathered.add([(part, told)])

    def __getstate__(self) -> dict[str, Any]:
        return {"gathered": self.gathered}

    def fresh(self) -> list[tuple[int, str]]:
        """On the driver: what has arrived since; of tasks done twice, the first."""
        value = self.gathered.value
        found = value[self.read : len(value)]
        self.read += len(found)
        new = [(p, t) for p, t in found if not (p in self.seen or self.seen.add(p))]  # type: ignore[func-returns-value]
        return new


def collect(
    session: "SparkSession", frame: "DataFrame", what: str, heard: Heard | None, done: Callable[[Counts], None],
    watch: Callable[[Tasks], None] | None,
) -> list[Any]:
    """The rows of `frame`, a job of answers, called `what` in Spark's own pages. Stops at the first error, which it raises."""
    from pyspark import InheritableThread

    context, group, outcome = session.sparkContext, f"tamis-{uuid.uuid4().hex[:12]}", _Outcome()

    def job() -> None:
        context.setJobGroup(group, what, interruptOnCancel=True)
        outcome.run(frame.collect)

    thread = InheritableThread(target=job, daemon=True)
    thread.start()
    looked = time.monotonic()
    try:
        while thread.is_alive():
            thread.join(EVERY)
            _advance(heard, done)
            if watch is not None and time.monotonic() - looked > TRACKED:
                looked = time.monotonic()
                watch(_tracked(context, group))
    except gone() as e:  # each of these asks the JVM something
        raise in_our_words(e) from None
    finally:
        if thread.is_alive():  # an error, or Ctrl-C: nothing of this job shall go on
            with suppress(*gone()):
                context.cancelJobGroup(group)
            thread.join(30)
    _advance(heard, done)
    return outcome.rows()


def gone() -> tuple[type[Exception], ...]:
    """What a call of the JVM may raise when there is no JVM any more, or dies over it."""
    from py4j.protocol import Py4JError

    return Py4JError, ConnectionError


def _is_gone(error: BaseException) -> bool:
    """Whether the JVM did not answer. Where it answers with an error, py4j says what: the Java exception, or its trace."""
    from py4j.protocol import Py4JError, Py4JNetworkError

    return isinstance(error, (Py4JNetworkError, ConnectionError)) or (type(error) is Py4JError and "Trace:" not in str(error))


class _Outcome:
    """What came of a call in another thread."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.error: BaseException | None = None

    def run(self, call: Callable[[], list[Any]]) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            self.found = call()
        except (PySparkException, Py4JError, ConnectionError) as e:
            self.error = e

    def rows(self) -> list[Any]:
        if self.error is not None:
            raise in_our_words(self.error) from None
        raise_first((r.part, r.error) for r in self.found if r.error is not None)
        return self.found


def _advance(heard: Heard | None, done: Callable[[Counts], None]) -> None:
    wrong = []
    for part, told in heard.fresh() if heard is not None else ():
        counts, error = json.loads(told)
        if error is None:
            done(json.loads(counts))
        else:
            wrong.append((part, error))
    raise_first(wrong)


def raise_first(wrong: Any) -> None:
    """Raise the error of the first part, as it was raised there. `wrong`: (part, error as JSON)."""
    told = min(wrong, default=None)
    if told is not None:
        kind, message = json.loads(told[1])
        raise getattr(errors, kind, TamisError)(message)


def _tracked(context: Any, group: str) -> Tasks:
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(j) for j in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(s) for job in jobs if job is not None for s in job.stageIds]
    there = [s for s in stages if s is not None]
    return Tasks(sum(s.numTasks for s in there), sum(s.numCompletedTasks for s in there),
                 sum(s.numActiveTasks for s in there), sum(s.numFailedTasks for s in there))


def in_our_words(error: BaseException) -> TamisError:
    """What a failed job's error comes down to: the Python error and where it was raised, never the JVM's stack."""
    if _is_gone(error):
        return LostWorkerError("Spark's own process on this machine has died, most likely for lack of memory. "
                               "What is finished is kept: run again to go on from here, with more of it (spark.driver.memory)")
    text = str(error)
    if "ExecutorLostFailure" in text or "worker exited unexpectedly" in text or "MEMORY_LIMIT" in text:
        why = re.search(r"Reason: ([^\n]+)", text) or re.search(r"SparkException: ([^\n]+)", text)
        what = why.group(1).strip() if why else "most likely for lack of memory"
        return LostWorkerError(f"Spark lost workers until it gave up ({what}). What is finished is kept: "
                               "run again to go on from here, with more memory an executor or fewer cores in it")
    trace = text.partition("Traceback (most recent call last):")[2]
    if not trace:
        lines = [line.strip().removeprefix(": ") for line in text.splitlines()]
        line = next((line for line in lines if re.search(r"Exception|Error", line)), text.strip()[:300])
        return TamisError(f"the Spark job failed: {line}")
    notes = [line.removeprefix("tamis: ") for line in trace.splitlines() if line.startswith("tamis: ")]
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', trace)
    raised = [line for line in trace.splitlines() if re.match(r"[\w.]+(?:Error|Exception|Interrupt|Exit|Warning)\b", line)]
    at = f" ({frames[-1][0]}:{frames[-1][1]}, in {frames[-1][2]})" if frames else ""
    where = f"{', '.join(notes)}: " if notes else ""
    return OperatorError(f"{where}{raised[-1] if raised else 'an error without a name'}{at}")


