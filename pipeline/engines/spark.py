"""The Spark engine: each part is a Spark task that runs the very task of the local engine, beside the data.

Executors and driver must see the workspace and the inputs under the same paths (a shared file system). Parts go out as
numbers and come back as counts, so rows never pass through the JVM; corpus-wide steps gather narrow tables here.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .. import errors
from ..errors import TamisError
from .base import Counts
from .local import ONE_THREAD, cores

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkEngine:
    """A Spark session, started at the first stage that needs one. `master` None: Spark's own configuration decides."""

    name = "spark"

    def __init__(self, master: str | None = None, workers: int = 0) -> None:
        self.workers = workers or cores()
        self.master = master
        self._session: SparkSession | None = None

    def map(self, task: Callable[[int], Counts], parts: Sequence[int], done: Callable[[Counts], None]) -> list[Counts]:
        """See `Engine.map`."""
        if not parts:
            return []
        session = self._start()
        rows = session.createDataFrame(pa.table({"part": pa.array(parts, pa.int64())}))  # type: ignore[call-overload]
        spread = rows.repartitionByRange(len(parts), "part")
        answers: dict[int, Counts] = {}
        failed: list[tuple[int, str]] = []
        for row in spread.mapInArrow(_Body(task), "part long, counts string, error string").collect():
            if row.error is not None:
                failed.append((row.part, row.error))
            else:
                answers[row.part] = json.loads(row.counts)
                done(answers[row.part])
        if failed:
            kind, message = json.loads(min(failed)[1])
            raise getattr(errors, kind)(message)
        return [answers[i] for i in parts]

    def _start(self) -> "SparkSession":
        if self._session is None:
            from pyspark.errors import PySparkRuntimeError
            from pyspark.sql import SparkSession

            builder = SparkSession.builder.appName("tamis")
            if self.master or not SparkSession.getActiveSession():
                builder = builder.master(self.master or f"local[{self.workers}]")
            for key, value in ONE_THREAD.items():
                builder = builder.config(f"spark.executorEnv.{key}", value)
            for key, value in {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}.items():
                builder = builder.config(key, value)
            if (self.master or "local").startswith("local"):  # else Spark takes the first python3 on the path, without tamis
                os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            try:
                self._session = builder.getOrCreate()
            except PySparkRuntimeError as e:
                need = "It needs Java 17 or later: apt-get install openjdk-17-jre-headless"
                raise TamisError(f"Spark did not start: {e}. {need}") from e
        return self._session

    def close(self) -> None:
        """Stop the session."""
        if self._session is not None:
            self._session.stop()
            self._session = None


class _Body:
    """Batches of part numbers to batches of counts: what `mapInArrow` calls on an executor."""

    def __init__(self, task: Callable[[Any], Counts]) -> None:
        self.task = task

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for part in batch.column(0).to_pylist():
                try:
                    told, error = json.dumps(self.task(part)), None
                except TamisError as e:
                    told, error = None, json.dumps([type(e).__name__, str(e)])
                yield pa.RecordBatch.from_pydict({"part": [part], "counts": [told], "error": [error]}, schema=_ANSWER)


_ANSWER = pa.schema([("part", pa.int64()), ("counts", pa.string()), ("error", pa.string())])
