"""What every engine owes its stages: exchange, components, errors. The bodies of Spark's workers are run here without Spark."""

import gc
import json
import random
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JError, Py4JNetworkError

from tamis.pipeline import errors
from tamis.pipeline.engines import spark_bodies
from tamis.pipeline.engines.base import Counts
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.engines.spark_bodies import FAILED, NOTHING, EmitBody, MapBody, TakeBody, packed
from tamis.pipeline.engines.spark_job import in_our_words, raise_first
from tamis.pipeline.errors import LostWorkerError, OperatorError, ReadError, TamisError

PLACES = pa.schema([("id", pa.int64())])


class Numbers:
    """Emits each source's numbers to the target that they are given for."""

    def __init__(self, told: dict[int, list[tuple[int, list[int]]]]) -> None:
        self.told = told

    def __call__(self, source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        for target, numbers in self.told.get(source, []):
            if target < 0:
                raise ReadError(f"source {source} is gone")
            yield target, pa.RecordBatch.from_pydict({"n": pa.array(numbers, pa.int64())})

    def place(self, source: int) -> str:
        return f"source {source} (web-{source}.jsonl)"


def gather(target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
    return {"target": target, "n": [n for b in batches for n in b.column("n").to_pylist()]}


def by_hand(told: dict[int, list[tuple[int, list[int]]]], sources: list[int], targets: int) -> list[Counts]:
    """What each target is to have: of each source in turn, what it gave, in its order."""
    has: dict[int, list[int]] = defaultdict(list)
    for source in sources:
        for target, numbers in told.get(source, []):
            has[target] += numbers
    return [{"target": t, "n": has[t]} for t in range(targets)]


def as_spark(emit: Any, sources: list[int], take: Callable[..., Counts], targets: int, seed: int) -> list[pa.RecordBatch]:
    """Spark's shuffle by hand: tasks in any order, blocks sorted by target, source and number, targets in some tasks."""
    chance = random.Random(seed)
    places = list(range(len(sources)))
    chance.shuffle(places)
    cut = [places[k::3] for k in range(3)]
    body = EmitBody(emit, sources)
    blocks = [b for part in cut for b in body(iter([pa.RecordBatch.from_arrays([pa.array(part, pa.int64())], schema=PLACES)]))]
    rows = [tuple(c[0].as_py() for c in b.columns) for b in blocks] + [(t, NOTHING, 0, None) for t in range(targets)]
    chance.shuffle(rows)
    answers = []
    for task in range(2):
        mine = sorted((r for r in rows if r[0] % 2 == task), key=lambda r: r[:3])
        columns = [pa.array(column, f.type) for column, f in zip(zip(*mine, strict=True), spark_bodies._BLOCK, strict=True)] if mine else []
        whole = pa.RecordBatch.from_arrays(columns, schema=spark_bodies._BLOCK) if mine else None
        batches = [whole.slice(i, 2) for i in range(0, len(whole), 2)] if whole else []  # a target's blocks span batches
        answers += list(TakeBody(take)(iter(batches)))
    return answers


def counts_of(answers: list[pa.RecordBatch]) -> list[Counts]:
    rows = [row for b in answers for row in b.to_pylist()]
    raise_first((r["part"], r["error"]) for r in rows if r["error"] is not None)
    return [json.loads(r["counts"]) for r in sorted(rows, key=lambda r: r["part"])]


GIVEN = st.dictionaries(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(-9, 9), max_size=4)), max_size=5))


@settings(max_examples=60)
@given(GIVEN, st.permutations(range(6)), st.integers(0, 6), st.integers(4, 7), st.integers(0, 99))
def test_each_target_gets_what_is_its_own_in_the_order_of_the_sources(
    told: dict[int, list[tuple[int, list[int]]]], order: list[int], count: int, targets: int, seed: int,
) -> None:
    sources = list(order[:count])
    expected = by_hand(told, sources, targets)
    assert LocalEngine(1).exchange(Numbers(told), sources, gather, targets) == expected
    assert counts_of(as_spark(Numbers(told), sources, gather, targets, seed)) == expected


def test_a_large_table_is_cut_into_blocks_and_put_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_bodies, "MOST", 7)
    told = {0: [(1, list(range(50))), (0, [5])], 1: [(1, list(range(50, 60)))]}
    assert counts_of(as_spark(Numbers(told), [0, 1], gather, 3, 1)) == by_hand(told, [0, 1], 3)
    blocks = list(EmitBody(Numbers(told), [0])(iter([pa.RecordBatch.from_pydict({"id": [0]})])))
    assert [b.column("number")[0].as_py() for b in blocks] == list(range(9)) and len(blocks) == 8 + 1


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_of_sources_that_fail_the_first_is_told_as_it_was_raised(order: list[int]) -> None:
    told = {0: [(1, [1])], 1: [(1, [2]), (-1, [])], 2: [(-1, [])]}
    first = next(s for s in order if s)
    with pytest.raises(ReadError, match=f"^source {first} is gone$"):
        counts_of(as_spark(Numbers(told), order, gather, 3, 4))
    with pytest.raises(ReadError, match=f"^source {first} is gone$"):
        LocalEngine(1).exchange(Numbers(told), order, gather, 3)


def test_a_target_that_fails_on_purpose_is_an_answer_and_any_other_failure_is_located() -> None:
    def fussy(target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        if target == 2:
            raise errors.SelectionError("too few")
        return gather(target, batches)

    answers = [row for b in as_spark(Numbers({0: [(2, [1]), (3, [4])]}), [0], fussy, 4, 0) for row in b.to_pylist()]
    assert [(r["part"], r["error"]) for r in answers if r["error"]] == [(2, json.dumps(["SelectionError", "too few"]))]
    assert len(answers) == 4, "the others go on"

    def broken(target: int, batches: Iterator[pa.RecordBatch]) -> Counts:
        raise KeyError("x")

    with pytest.raises(KeyError) as e:
        as_spark(Numbers({}), [], broken, 1, 0)
    assert e.value.__notes__ == ["tamis: function 0"]


def test_parts_are_answered_one_by_one_and_heard_of_as_they_are_done() -> None:
    heard: list[tuple[int, str]] = []

    def task(part: int) -> Counts:
        if part == 9:
            raise OperatorError("part 9 failed")
        return {"square": part * part}

    body = MapBody(task, [5, 9, 7], lambda place, told: heard.append((place, told)))
    answers = body(iter([pa.RecordBatch.from_pydict({"id": [0, 1]}), pa.RecordBatch.from_pydict({"id": [2]})]))
    first = next(answers).to_pylist()
    assert first == [{"part": 0, "counts": '{"square": 25}', "error": None}] and len(heard) == 1, "nothing is done ahead"
    rows = [r for b in answers for r in b.to_pylist()]
    assert [(r["part"], r["counts"], r["error"]) for r in rows] == [
        (1, None, '["OperatorError", "part 9 failed"]'), (2, '{"square": 49}', None)]
    assert [json.loads(told) for _, told in heard] == [
        ['{"square": 25}', None], [None, '["OperatorError", "part 9 failed"]'], ['{"square": 49}', None]]


class Ring:
    """Something that only the collector of garbage can take away."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_task_loads_is_looked_through_once_and_its_garbage_goes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[weakref.ref[Ring]] = []
    kept: list[list[int]] = []

    def task(part: int) -> Counts:
        monkeypatch.setitem(sys.modules, f"loaded_by_part_{part % 3}", ModuleType("loaded"))
        kept.extend([part] for _ in range(1000))  # a list holds on to whatever, so the collector has to look at it
        rings.append(weakref.ref(Ring()))
        return {}

    try:
        frozen = []
        for part in (1, 2, 4, 5):  # the last two load nothing new
            list(MapBody(task, [part], lambda place, told: None)(iter([pa.RecordBatch.from_pydict({"id": [0]})])))
            frozen.append(gc.get_freeze_count())
        assert frozen[0] > 1000 and frozen[1] > frozen[0] + 900  # garbage that was frozen may go by its count of references
        assert frozen[3] <= frozen[2] <= frozen[1]
        gc.collect()
        assert [ring() for ring in rings] == [None] * 4
    finally:
        gc.unfreeze()


def test_a_source_that_fails_by_accident_says_which_it_was() -> None:
    def emit(source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        raise ZeroDivisionError("division by zero")
        yield

    class Placed(Numbers):
        def __call__(self, source: int) -> Iterator[tuple[int, pa.RecordBatch]]:
            return emit(source)

    for made, note in ((Placed({}), "tamis: source 4 (web-4.jsonl)"), (emit, "tamis: function 4")):
        with pytest.raises(ZeroDivisionError) as e:
            list(EmitBody(made, [4])(iter([pa.RecordBatch.from_pydict({"id": [0]})])))
        assert e.value.__notes__ == [note]


@settings(max_examples=20)
@given(st.lists(st.none() | st.text(max_size=3)), st.integers(0, 3))
def test_blocks_are_what_was_packed(values: list[str | None], start: int) -> None:
    batch = pa.RecordBatch.from_pydict({"s": pa.array(values, pa.string()), "n": pa.array(range(len(values)), pa.uint64())}).slice(start)
    again = list(pa.ipc.open_stream(packed(batch)))
    assert len(again) == 1 and again[0].equals(batch)
    assert FAILED < NOTHING < 0, "a failure comes before all else that a target hears"


# ---- components

def naive(edges: list[tuple[int, int]]) -> dict[int, int]:
    """Row -> smallest row of its component, by walking."""
    near: dict[int, set[int]] = defaultdict(set)
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    root: dict[int, int] = {}
    for row in sorted(near):
        ahead = [] if row in root else [row]
        while ahead:
            here = ahead.pop()
            if here not in root:
                root[here] = row
                ahead += near[here]
    return root


ROWS = st.integers(0, 12) | st.sampled_from([2**40, 2**62])


@settings(max_examples=80)
@given(st.lists(st.tuples(ROWS, ROWS), max_size=30), st.integers(1, 4))
def test_roots_are_the_smallest_rows_that_can_be_walked_to(tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int]], files: int) -> None:
    cut = [edges[k::files] for k in range(files)]

    def read(k: int) -> Iterator[pa.RecordBatch]:
        for part in (cut[k][::2], cut[k][1::2]):  # a file is some batches, or none
            if part:
                a, b = zip(*part, strict=True)
                yield pa.RecordBatch.from_pydict({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())})

    folder = tmp_path_factory.mktemp("roots")
    tables = [pq.read_table(f) for f in LocalEngine(1).roots(read, files, len(edges), folder)]
    found = pa.concat_tables(tables)
    assert dict(zip(found.column("row").to_pylist(), found.column("root").to_pylist(), strict=True)) == naive(edges)
    assert len(found) == len(naive(edges)) and np.all(np.diff(found.column("row").to_numpy()) > 0), "every row once"


# ---- errors in our words

TRACE = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/opt/spark/worker.py", line 1, in main
  File "/srv/tamis/stages/rows.py", line 77, in __call__
    x = {}["a"]
KeyError: 'a'
tamis: part 4 (web-4.jsonl)

\tat org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:1)
"""


LOST = """An error occurred while calling o93.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 7.0 failed 4 times, most recent failure: Lost task 3.3 in
stage 7.0 (TID 31) (10.0.0.7 executor 5): ExecutorLostFailure (executor 5 exited) Reason: Container killed by YARN for exceeding memory limits.
Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2935)"""
NO_DISK = """An error occurred while calling o1.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)"""


@pytest.mark.parametrize(("text", "kind", "told"), [
    (LOST, LostWorkerError, "Spark lost workers until it gave up (Container killed by YARN for exceeding memory limits.)"),
    (NO_DISK, TamisError, "the Spark job failed: org.apache.spark.SparkException: Job aborted due to stage failure: java.io.IOException: No space"),
    (TRACE, OperatorError, "part 4 (web-4.jsonl): KeyError: 'a' (/srv/tamis/stages/rows.py:77, in __call__)"),
    (TRACE.replace("tamis: part 4 (web-4.jsonl)\n", ""), OperatorError, "KeyError: 'a' (/srv/tamis/stages/rows.py:77, in __call__)"),
    ("Traceback (most recent call last):\nsomething", OperatorError, "an error without a name"),
    ("Job aborted: ExecutorLostFailure (executor 1 exited) Reason: Container killed by YARN\n\tat x", LostWorkerError, "(Container killed by YARN)"),
    ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n\tat y", LostWorkerError, "worker exited unexpectedly"),
    ("MEMORY_LIMIT reached", LostWorkerError, "(most likely for lack of memory)"),
    ("\n  java.io.IOException: no route to host\n\tat z", TamisError, "the Spark job failed: java.io.IOException: no route to host"),
    ("nothing to be seen", TamisError, "the Spark job failed: nothing to be seen"),
])
def test_a_failed_job_in_one_line_without_the_jvm(text: str, kind: type[TamisError], told: str) -> None:
    error = in_our_words(RuntimeError(text))
    assert type(error) is kind and told in str(error) and "\n" not in str(error) and "\tat" not in str(error)


@pytest.mark.parametrize("error", [
    Py4JNetworkError("Answer from Java side is empty"), ConnectionRefusedError(111, "Connection refused"),
    Py4JError("An error occurred while calling o41.statusTracker"),
])
def test_a_jvm_that_is_gone_is_a_lost_worker_whatever_the_call_said(error: Exception) -> None:
    told = in_our_words(error)
    assert isinstance(told, LostWorkerError) and "spark.driver.memory" in str(told) and "Connection" not in str(told)


def test_a_jvm_that_answers_with_an_error_is_not_gone() -> None:
    told = in_our_words(Py4JError("An error occurred while calling o41.stop. Trace:\npy4j.Py4JException: Method stop does not exist\n\tat x"))
    assert not isinstance(told, LostWorkerError) and "Method stop does not exist" in str(told)


def test_the_error_of_the_first_part_is_raised_as_what_it_was() -> None:
    names = [e.__name__ for e in vars(errors).values() if isinstance(e, type) and issubclass(e, TamisError)]
    for name in names:
        with pytest.raises(getattr(errors, name), match="^b$"):
            raise_first([(7, json.dumps(["TamisError", "a"])), (2, json.dumps([name, "b"]))])
    with pytest.raises(TamisError, match="^c$"):
        raise_first(iter([(1, json.dumps(["ErrorOfTomorrow", "c"]))]))
    raise_first([])


def test_an_engine_that_is_named_is_the_one_that_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.pipeline import recipe
    from tamis.pipeline.engines import choose

    words: dict[str, Any] = {"dataset_path": "x", "np": 1}
    assert (choose.engine_for(recipe.load(words)).name, choose.engine_for(recipe.load(words)).remote) == ("local", False)
    made = choose.engine_for(recipe.load(words | {"engine": "spark", "spark_master": "local[3]", "spark_partitions": 5}))
    assert (made.name, made.remote, made.master, made.partitions) == ("spark", True, "local[3]", 5)  # type: ignore[attr-defined]
    made.close()
    monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.RecipeError, match=r"recipe: engine: spark needs the extra 'spark': pip install 'tamis\[spark\]'"):
        choose.engine_for(recipe.load(words | {"engine": "spark"}))
