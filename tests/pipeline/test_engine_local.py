"""The local engine: order of answers, failures, dead workers, what a worker's surroundings are."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tamis.pipeline.engines import local
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.errors import OperatorError, TamisError


@dataclass(frozen=True)
class Task:
    """What the parts of these tests do: wait, tell of themselves in `folder`, fail or die where they are told to."""

    folder: Path
    slow: frozenset[int] = frozenset()
    failing: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()

    def __call__(self, part):
        (self.folder / f"begun-{part}").touch()
        if part in self.slow:  # until the other worker has done something
            deadline = time.monotonic() + 30
            while len(list(self.folder.glob("begun-*"))) < 3 and time.monotonic() < deadline and not self.failing:
                time.sleep(0.01)
            time.sleep(0.3)
        if part in self.deadly:
            os._exit(9)
        if part in self.failing:
            raise OperatorError(f"part {part} failed")
        return {"part": part, "pid": os.getpid()}


def surroundings(part):
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return {"part": part, "deaf": blocked or ignored, "threads": {k: os.environ.get(k) for k in local.ONE_THREAD}}


def sleepy(part):
    time.sleep(60)
    return {}


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 2)
    engine = LocalEngine(2)
    yield engine
    engine.close()


def begun(folder):
    return sorted(int(p.name.split("-")[1]) for p in folder.glob("begun-*"))


def test_answers_are_in_item_order_however_they_arrive(engine, tmp_path):
    arrived = []
    answers = engine.map(Task(tmp_path, slow=frozenset({0})), range(6), lambda c: arrived.append(c["part"]))
    assert [a["part"] for a in answers] == list(range(6))
    assert sorted(arrived) == list(range(6)) and arrived[0] != 0, "told as they arrive"
    assert os.getpid() not in {a["pid"] for a in answers}


def test_the_first_failure_in_item_order_is_raised_and_nothing_more_is_begun(engine, tmp_path):
    with pytest.raises(OperatorError, match="part 0 failed"):
        engine.map(Task(tmp_path, slow=frozenset({0}), failing=frozenset({0, 1})), range(40), lambda c: None)
    assert begun(tmp_path)[:2] == [0, 1] and len(begun(tmp_path)) <= 5
    again = engine.map(Task(tmp_path), range(3), lambda c: None)
    assert [a["part"] for a in again] == [0, 1, 2], "a failed task is no dead worker"


def test_a_worker_that_dies_is_told_in_words_and_the_next_run_has_new_ones(engine, tmp_path):
    with pytest.raises(TamisError, match="a worker process died.*Run again to go on"):
        engine.map(Task(tmp_path, deadly=frozenset({1})), range(4), lambda c: None)
    engine.close()
    assert [a["part"] for a in engine.map(Task(tmp_path), range(2), lambda c: None)] == [0, 1]


def test_what_the_watcher_raises_comes_through(engine, tmp_path):
    def full(counts):
        raise TamisError("enough")

    with pytest.raises(TamisError, match="enough"):
        engine.map(Task(tmp_path), range(9), full)


def test_workers_have_one_thread_each_and_never_hear_ctrl_c(engine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    told = engine.map(surroundings, range(2), lambda c: None)
    assert all(t["threads"] == local.ONE_THREAD and t["deaf"] for t in told)
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ, "the parent's are as they were"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before and signal.SIGINT not in before


def test_one_worker_or_one_part_is_this_process(monkeypatch, tmp_path):
    assert LocalEngine(1).map(Task(tmp_path), range(3), lambda c: None)[2]["pid"] == os.getpid()
    monkeypatch.setattr(local, "cores", lambda: 8)
    engine = LocalEngine(4)
    assert engine.map(Task(tmp_path), range(1), lambda c: None)[0]["pid"] == os.getpid()
    assert engine.map(Task(tmp_path), range(0), lambda c: None) == []
    assert engine._pool is None


def test_as_many_workers_as_asked_but_no_more_than_cores(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 3)
    assert [LocalEngine(n).workers for n in (0, 1, 2, 3, 64)] == [3, 1, 2, 3, 3]


def test_closing_stops_busy_workers(engine):
    pool = local.ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=local._live_with_parent)
    engine._pool = pool
    futures = [pool.submit(sleepy, i) for i in range(2)]
    while not all(f.running() for f in futures):
        time.sleep(0.01)
    workers = list(pool._processes.values())
    engine.close()
    # asked again and again: the pool's own thread may be the one that hears of a worker's end first
    deadline = time.monotonic() + 10
    while any(w.is_alive() for w in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(w.is_alive() for w in workers)
    engine.close()
