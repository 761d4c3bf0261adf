"""The engine's verbs on a real session: what is told while a job runs, what fails and how it is said, graphs, skew."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark")

from tamis.operators.dedup import edges
from tamis.operators.dedup.components import components
from tamis.pipeline.engines.base import Counts, Tasks
from tamis.pipeline.engines.spark import SparkEngine
from tamis.pipeline.errors import LostWorkerError, OperatorError, ReadError
from tamis.pipeline.run import run

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(session: Any) -> SparkEngine:
    return SparkEngine(partitions=3, edges_in_memory=0)


class Square:
    """A task of numbers; by cloudpickle, since executors know no tests."""

    def __call__(self, part: int) -> Counts:
        return {"square": part * part}

    def place(self, part: int) -> str:
        return f"part {part} (web-{part}.jsonl)"


def by_value(*modules: Any) -> None:
    from pyspark import cloudpickle

    for module in modules:
        cloudpickle.register_pickle_by_value(module)


@pytest.fixture(scope="module", autouse=True)
def these_travel() -> None:
    import sys

    by_value(sys.modules[__name__])


def test_map_answers_in_order_and_tells_of_each_part_once(engine: SparkEngine) -> None:
    told: list[Counts] = []
    parts = [5, 3, 9, 0, 7]
    assert [c["square"] for c in engine.map(Square(), parts, told.append)] == [25, 9, 81, 0, 49]
    assert sorted(c["square"] for c in told) == [0, 9, 25, 49, 81]
    assert engine.map(Square(), [], told.append) == []


class Slow(Square):
    def __call__(self, part: int) -> Counts:
        time.sleep(0.6)
        return super().__call__(part)


def test_tasks_are_told_while_the_job_runs(engine: SparkEngine) -> None:
    seen: list[Tasks] = []
    engine.watch = seen.append
    try:
        engine.map(Slow(), range(9), lambda _: None)
    finally:
        engine.watch = None
    assert seen and {t.whole for t in seen} <= {0, 3} and max(t.running for t in seen) >= 1


class Broken(Square):
    def __call__(self, part: int) -> Counts:
        if part == 4:
            return {"square": {}["nothing"]}  # type: ignore[index]
        if part == 5:
            raise ReadError("web-5.jsonl, line 2: not JSON")
        if part == 6:
            raise ReadError("web-6.jsonl, line 1: not JSON")
        if part == 8:
            os._exit(3)
        return super().__call__(part)


def test_an_error_on_purpose_arrives_as_it_was_raised_and_stops_the_job(engine: SparkEngine) -> None:
    with pytest.raises(ReadError, match=r"^web-[56]\.jsonl, line [12]: not JSON$"):  # whichever had begun
        engine.map(Broken(), [1, 5, 6], lambda _: None)


def test_another_error_says_where_and_shows_no_stack_of_the_jvm(engine: SparkEngine) -> None:
    with pytest.raises(OperatorError) as told:
        engine.map(Broken(), [1, 2, 4], lambda _: None)
    text = str(told.value)
    assert text.startswith("part 4 (web-4.jsonl): KeyError: 'nothing'") and "test_spark_engine.py:" in text
    assert "java" not in text and "\n" not in text


def test_a_worker_that_dies_is_told_as_such(engine: SparkEngine) -> None:
    with pytest.raises(LostWorkerError, match=r"run again to go on from here") as told:
        engine.map(Broken(), [8], lambda _: None)
    assert "\n" not in str(told.value)


def test_a_failing_operator_is_located_by_step_file_and_row(tmp_path: Path, session: Any) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text('{"text": "good"}\n{"text": "bad"\n')
    with pytest.raises(ReadError, match=r"bad\.jsonl, line 2"):
        run({"dataset_path": str(data), "export_path": str(tmp_path / "out"), "process": [], "engine": "spark"})


class Spread:
    """Numbers to the target that they leave as a rest."""

    def __call__(self, source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        if source == 99:
            raise ReadError("source 99 is gone")
        numbers = np.arange(source * 10, source * 10 + 10)
        for target in range(5):
            yield target, pa.RecordBatch.from_pydict({"n": numbers[numbers % 7 == target]})


class Gather:
    def __call__(self, target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        return {"target": target, "n": [n for b in batches for n in b.column("n").to_pylist()]}


@pytest.mark.parametrize("partitions", [0, 1, 4])
def test_exchange_brings_to_each_target_what_is_its_own_in_order(session: Any, partitions: int) -> None:
    engine = SparkEngine(partitions=partitions)
    told = engine.exchange(Spread(), range(6), Gather(), 6)
    assert told == [{"target": t, "n": [n for n in range(60) if n % 7 == t] if t < 5 else []} for t in range(6)]
    with pytest.raises(ReadError, match="^source 99 is gone$"):
        engine.exchange(Spread(), [1, 99], Gather(), 6)


def rooted(engine: SparkEngine, a: np.ndarray, b: np.ndarray, folder: Path) -> dict[int, int]:
    cut = [pa.RecordBatch.from_pydict({"a": a[k::3], "b": b[k::3]}) for k in range(3)]
    tables = [pq.read_table(path) for path in engine.roots(lambda k: iter([cut[k]]), 3, len(a), folder)]
    rows = [(r, c) for t in tables for r, c in zip(t.column("row").to_pylist(), t.column("root").to_pylist(), strict=True)]
    assert len(dict(rows)) == len(rows)  # every row once
    return dict(rows)


def test_stars_find_the_components_that_union_find_finds(engine: SparkEngine, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    line = np.arange(100, 124)  # the worst that can be: a chain, in any order
    a = np.concatenate([rng.integers(0, 90, 70), line[:-1], [200, 7]])
    b = np.concatenate([rng.integers(0, 90, 70), line[1:], [1 << 40, 7]])
    order = rng.permutation(len(a))
    a, b = a[order], b[order]
    rows = np.unique(np.concatenate([a[a != b], b[a != b]]))
    labels = rows[components(np.searchsorted(rows, a[a != b]), np.searchsorted(rows, b[a != b]), len(rows))]
    assert rooted(engine, a, b, tmp_path) == dict(zip(rows.tolist(), labels.tolist(), strict=True))


MILLION = 1_000_000


class OneBucket:
    """A quarter of a million rows that all have one key."""

    def __call__(self, source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        rows = np.arange(source * MILLION // 4, (source + 1) * MILLION // 4)
        yield 0, pa.RecordBatch.from_pydict({"key": np.full(len(rows), 7, np.uint64), "row": rows})


class Linked:
    """The body of `wide.TakeLinks`, which answers how much there was to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        from tamis.pipeline.stages.tables import write_arrow
        from tamis.pipeline.stages.wide import gathered

        key, row = gathered(batches, "key", "row")
        found = edges.grouped(key, row)
        write_arrow(self.folder / "links.arrow", pa.table({"a": np.repeat(found.rows[:1], len(found.rows) - 1), "b": found.rows[1:]}))
        return {"edges": len(found.rows) - 1}


def test_a_bucket_of_a_million_costs_a_million_edges(engine: SparkEngine, tmp_path: Path) -> None:
    from tamis.pipeline.stages.tables import read_arrow

    (counts,) = engine.exchange(OneBucket(), range(4), Linked(tmp_path), 1)
    assert counts == {"edges": MILLION - 1}
    began = time.perf_counter()
    files = engine.roots(lambda k: read_arrow(tmp_path / "links.arrow").to_batches(), 1, MILLION - 1, tmp_path)
    table = pa.concat_tables([pq.read_table(f) for f in files])
    assert len(table) == MILLION and not np.asarray(table.column("root")).any()
    assert time.perf_counter() - began < 120  # its square would take a day
    # and comparing them costs REACH comparisons a row, not a million
    members = np.arange(MILLION)
    buckets = edges.Buckets(np.array([7], np.uint64), members, np.array([0, MILLION]))
    values = np.repeat(np.arange(MILLION, dtype=np.uint64) // 2, 2) * 2 + np.tile(np.array([0, 1], np.uint64), MILLION)
    ends = np.arange(2, 2 * MILLION + 1, 2)
    linked = edges.joined(buckets, (values, ends - 2, ends), 0.9)
    assert len(linked) == MILLION // 2  # pairs of two and two have the same set
