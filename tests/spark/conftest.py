"""One Spark session for all tests of a process: a session costs ten seconds."""

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def session() -> Iterator[Any]:
    """Spark local[2]; an engine takes the session that is there, and leaves it."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    from tamis.pipeline.engines.spark import ALONE, DEFAULTS

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").appName("tests")
    settings = DEFAULTS | ALONE | {
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "spark.sql.shuffle.partitions": "2",
        "spark.executorEnv.OMP_NUM_THREADS": "1", "spark.executorEnv.NUMBA_NUM_THREADS": "1",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    made = builder.getOrCreate()
    yield made
    made.stop()
