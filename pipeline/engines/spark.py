"""The Spark engine: each part is a Spark task that runs the very task of the local engine, beside the data.

Executors and driver must see the workspace and the inputs under the same paths (a shared file system). Parts go out as
numbers and come back as counts, so text passes through neither the JVM nor the driver; narrow tables that parts must bring
together (keys, hashes, row numbers) go through Spark's shuffle as blocks of Arrow bytes.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import TamisError
from . import java
from .base import Counts, Emit, Take, Tasks
from .local import ONE_THREAD, cores
from .roots import EDGES_IN_MEMORY, in_memory
from .spark_bodies import ANSWER, BLOCK, NOTHING, EmitBody, MapBody, TakeBody
from .spark_job import Heard, collect, gone, in_our_words
from .spark_stars import stars

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What the engine sets on a session that it starts, and infra/spark-defaults.conf for others, which says why.
DEFAULTS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.python.worker.reuse": "true",
    "spark.ui.showConsoleProgress": "false",
}
# ... and where it is alone on this machine: a JVM that only hands out tasks is not worth the second compiler's time.
ALONE = {
    "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
TASKS = 4  # to a core: a task costs some tens of ms, and a part that is done stays done whatever becomes of its task


class SparkEngine:
    """A Spark session, started at the first stage that needs one, or the one that is there already.

    `master` None: Spark's own configuration decides. `partitions`: at most so many tasks to a job; 0: TASKS to a core.
    `edges_in_memory`: of a graph with more edges the components are found by Spark.
    """

    name, remote = "spark", True
    watch: Callable[[Tasks], None] | None = None

    def __init__(
        self, master: str | None = None, workers: int = 0, partitions: int = 0, edges_in_memory: int = EDGES_IN_MEMORY
    ) -> None:
        self.workers = workers or cores()
        self.master, self.asked, self.partitions, self.edges_in_memory = master, workers, partitions, edges_in_memory
        self._session: SparkSession | None = None
        self._own = False

    def map(self, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None]) -> list[Counts]:
        """See `Engine.map`."""
        if not parts:
            return []
        session = self.session()
        heard = Heard(session)
        frame = self._places(len(parts)).mapInArrow(MapBody(task, list(parts), heard), ANSWER, profile=self._profile(task))
        return _counts(collect(session, frame, _name(task), heard, done, self.watch), len(parts))

    def exchange(self, emit: Emit, sources: Sequence[int], take: Take, targets: int) -> list[Counts]:
        """See `Engine.exchange`: one shuffle, sorted by target and source, so that what arrives does not depend on the tasks."""
        if not targets:
            return []
        session = self.session()
        there = session.range(0, targets, 1, 1).selectExpr(
            "cast(id as int) target", f"cast({NOTHING} as int) source", "0 number", "cast(null as binary) block")
        blocks = self._places(len(sources)).mapInArrow(EmitBody(emit, list(sources)), BLOCK) if sources else there.limit(0)
        tasks = self._tasks(targets)
        whole = blocks.union(there).selectExpr("*", f"target % {tasks} share")
        # a share of its own for each: hashed, some tasks would have several and others none
        spread = whole.repartitionById(tasks, "share") if hasattr(whole, "repartitionById") else whole.repartition(tasks, "share")
        ordered = spread.drop("share").sortWithinPartitions("target", "source", "number")
        what = f"{_name(emit)} > {type(take).__name__}"
        found = collect(session, ordered.mapInArrow(TakeBody(take), ANSWER), what, None, lambda _: None, self.watch)
        return _counts(found, targets)

    def roots(self, edges: Callable[[int], Iterable[pa.RecordBatch]], files: int, count: int, folder: Path) -> list[Path]:
        """See `Engine.roots`."""
        if count <= self.edges_in_memory:
            return in_memory(edges, files, folder)
        session = self.session()
        pairs = self._places(files).mapInArrow(_Each(edges), "a long, b long")
        try:
            return stars(session, pairs, folder / "stars")
        except spark_errors() as e:
            raise in_our_words(e) from None

    def _places(self, count: int) -> "DataFrame":
        """The numbers 0 to `count` - 1, shared out in order."""
        return self.session().range(0, count, 1, self._tasks(count))

    def _tasks(self, count: int) -> int:
        return min(count, self.partitions or TASKS * self.session().sparkContext.defaultParallelism)

    def _profile(self, task: object) -> Any:
        """For a task that asks a model: what `spark.tamis.gpus` says of GPUs, by stage-level scheduling; None: nothing is asked."""
        if not getattr(task, "asks_a_model", False):
            return None
        wanted = float(self.session().sparkContext.getConf().get("spark.tamis.gpus", "0") or 0)
        if not wanted:
            return None
        from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

        builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource("gpu", wanted))
        if self.session().sparkContext.getConf().get("spark.dynamicAllocation.enabled", "false") == "true":
            builder = builder.require(ExecutorResourceRequests().resource("gpu", 1))
        return builder.build

    def session(self) -> "SparkSession":
        """The session, started where there is none."""
        if self._session is None:
            from pyspark.sql import SparkSession

            running = SparkSession.getActiveSession()
            self._own = running is None
            self._session = running if running is not None else self._fresh()
            if not self.asked:
                self.workers = self._session.sparkContext.defaultParallelism
        return self._session

    def _fresh(self) -> "SparkSession":
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession

        submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # by spark-submit, which has started the JVM and knows the master
        master = self.master or (None if submitted or not self.asked else f"local[{self.asked}]")
        builder = SparkSession.builder.appName("tamis")
        settings = dict(DEFAULTS) | {f"spark.executorEnv.{key}": value for key, value in ONE_THREAD.items()}
        if master is not None:
            builder = builder.master(master)
        if (master or "local").startswith("local") and not submitted:
            settings |= ALONE
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else the first python3 on the path, without tamis
        for key, value in settings.items():
            builder = builder.config(key, value)
        if not submitted:
            java.prepare()
        try:
            session = builder.getOrCreate()
            session.sparkContext.setLogLevel("WARN")  # spark-submit would say every step; bars and errors are enough
            return session
        except PySparkRuntimeError as e:
            raise TamisError(f"Spark did not start: {e}") from e
        except spark_errors() as e:
            raise TamisError(f"Spark did not start with master {master}: {in_our_words(e)!s}") from None

    def close(self) -> None:
        """Stop the session, if it is the engine's own."""
        if self._session is not None and self._own:
            with suppress(*gone()):
                self._session.stop()
        self._session = None


class _Each:
    """Batches of numbers to the batches that `read` answers for each."""

    def __init__(self, read: Callable[[int], Iterable[pa.RecordBatch]]) -> None:
        self.read = read

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from self.read(number)


def _name(task: object) -> str:
    return f"tamis {type(task).__name__}"


def _counts(rows: list[Any], count: int) -> list[Counts]:
    """The counts in their order. Of a task done twice, Spark gives the answers of one."""
    told = {row.part: row.counts for row in rows}
    return [json.loads(told[i]) for i in range(count)]


def spark_errors() -> tuple[type[BaseException], ...]:
    """What Spark and its gateway raise."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError
