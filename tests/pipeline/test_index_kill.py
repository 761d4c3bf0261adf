"""kill -9 at every point at which an index is written to; locks; readers while it is compacted.

A helper process forks a child for each point, which kills itself there: before a file is made durable, before and after a
rename, before something is removed. After each death another child looks at what is left and does the work again.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from index_corpora import MINHASH, SIMILAR, corpus, dedup, write

from tamis.pipeline.errors import StaleError
from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.index.locking import reading, sweep, writing
from tamis.pipeline.index.lookup import opened

HELPER = '''
import json, os, shutil, signal, sys, traceback
from pathlib import Path
import numpy as np
import pyarrow as pa
from tamis.operators.dedup import edges, exact, minhash, shingles
from tamis.pipeline.index import layout, upkeep
from tamis.pipeline.run import run

index, pristine, state, task, words, other = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:]

def work():
    if task == "run":
        run(json.loads(words))
    elif task == "merge":
        upkeep.merge(index, [Path(other)])
    else:
        upkeep.compact(index)

def reset():
    for kept, place in ((pristine / "index", index), (pristine / "out", Path(json.loads(words)["export_path"]))):
        shutil.rmtree(place, ignore_errors=True)
        if kept.exists():
            shutil.copytree(kept, place)

def dying(n):
    """Do the work, and die at the n-th event inside the index."""
    seen = 0
    def event(path):
        nonlocal seen
        if Path(path).is_relative_to(index):
            seen += 1
            if seen == n:
                os.kill(os.getpid(), signal.SIGKILL)
    def around(owner, name, path_of):
        real = getattr(owner, name)
        def wrapped(*args, **kwargs):
            event(path_of(*args))
            answer = real(*args, **kwargs)
            if name != "fsync":
                event(path_of(*args))
            return answer
        setattr(owner, name, wrapped)
    around(os, "fsync", lambda fd: os.readlink(f"/proc/self/fd/{fd}"))
    around(Path, "rename", lambda a, b: a)
    around(Path, "replace", lambda a, b: b)
    around(shutil, "rmtree", lambda p, *a: p)
    around(Path, "mkdir", lambda p, *a: p)
    work()

def forked(do, *args):
    child = os.fork()
    if child == 0:
        try:
            do(*args)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(9)
    return os.waitpid(child, 0)[1]

def look(n):
    """What is left is the index before or after, whole; the work done again makes what it would have made."""
    before, after = json.loads(state.read_text())
    manifest = layout.read(index)
    told = manifest.state() if manifest else None
    assert told in (before, after), (n, told)
    assert manifest is None or upkeep.damage(index) == [], n
    if task != "merge" or told == before:
        work()
    assert layout.read(index).state() == after and upkeep.damage(index) == [], n
    with __import__("tamis.pipeline.index.locking", fromlist=["writing"]).writing(index):
        pass
    named = {s.name for s in layout.read(index).segments}
    assert {p.name for p in (index / "segments").iterdir()} == named, n
    assert not [p for p in index.rglob("*") if p.name.endswith(".tmp")], n

some = pa.array(["one two three four five six"] * 2)  # kernels are loaded once, here
sets = shingles.shingle_sets(some)
edges.link(minhash.minhash_keys(some), sets, 0.7), edges.jaccard(sets, np.array([0]), np.array([1])), exact.text_digests(some)
points, n = 0, 0
while True:
    n += 1
    reset()
    status = forked(dying, n)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    points += 1
    assert forked(look, n) == 0, n
print(points)
'''


def words(folder: Path, data: str, out: str, **how: Any) -> dict[str, Any]:
    return {"dataset_path": str(folder / data), "export_path": str(folder / out), "np": 1, "export_type": "parquet",
            "process": [{MINHASH: {**SIMILAR, **how}}]}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """`index` of two days, `other` of a third, data of a fourth."""
    texts = corpus(11, 60)
    index = str(tmp_path / "index")
    for day in range(4):
        write(tmp_path / f"day{day}.jsonl", texts[15 * day : 15 * day + 15], 15 * day)
    dedup(tmp_path / "day0.jsonl", tmp_path / "out0", remember=index, **SIMILAR)
    dedup(tmp_path / "day1.jsonl", tmp_path / "out1", against=index, remember=True, **SIMILAR)
    dedup(tmp_path / "day2.jsonl", tmp_path / "out2", remember=str(tmp_path / "other"), **SIMILAR)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("task", ["build", "extend", "merge", "compact"])
def test_killed_at_every_point_nothing_is_lost_and_nothing_half_done(made: Path, task: str) -> None:
    index, pristine = made / "index", made / "pristine"
    if task == "build":
        shutil.rmtree(index)
    asked = words(made, "day3.jsonl", "out3", **({"remember": str(index)} if task == "build" else {"against": str(index), "remember": True}))
    pristine.mkdir()
    if index.exists():
        shutil.copytree(index, pristine / "index")
    before = layout.read(index).state() if index.exists() else None
    if task in ("build", "extend"):  # the run has been, but for what it remembers: only that is done again at each point
        dedup(made / "day3.jsonl", made / "out3", **asked["process"][0][MINHASH])
        shutil.copytree(made / "out3", pristine / "out")
    elif task == "merge":
        upkeep.merge(index, [made / "other"])
    else:
        upkeep.compact(index)
    (made / "state.json").write_text(json.dumps([before, layout.read(index).state()]))
    told = subprocess.run(
        [sys.executable, "-c", HELPER, index, pristine, made / "state.json", "run" if task in ("build", "extend") else task,
         json.dumps(asked), made / "other"], capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr[-3000:]
    assert int(told.stdout) > 20, "there are that many points"


@pytest.mark.slow
def test_a_run_killed_anywhere_is_finished_by_the_next(made: Path) -> None:
    """The real command, killed after more and more time, until it gets through."""
    asked = made / "recipe.yaml"
    asked.write_text(json.dumps(words(made, "day3.jsonl", "out3", against=str(made / "index"), remember=True)))
    shutil.copytree(made / "index", made / "copy")
    undisturbed, _ = dedup(made / "day3.jsonl", made / "plain", against=str(made / "copy"), remember=True, **SIMILAR)
    process, patience = None, 0.8
    while process is None or process.returncode != 0:
        process = subprocess.Popen([sys.executable, "-m", "tamis", "run", asked], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        patience *= 1.15  # by a share: a slow machine needs as many tries as a fast one
        assert patience < 200 and upkeep.damage(made / "index") == []
    assert layout.read(made / "index").state() == layout.read(made / "copy").state()
    assert dedup(made / "day3.jsonl", made / "out3", against=str(made / "index"), remember=True, **SIMILAR)[0] == undisturbed


def test_two_writers_exclude_each_other_and_the_second_learns_who_the_first_is(made: Path) -> None:
    index = made / "index"
    hold = f"import sys, time; from pathlib import Path; from tamis.pipeline.index.locking import writing\n" \
           f"with writing(Path({str(index)!r})):\n    print('held', flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        with pytest.raises(StaleError, match=f"being written to by process {first.pid} on "):
            dedup(made / "day3.jsonl", made / "out3", against=str(index), remember=True, **SIMILAR)
        with pytest.raises(StaleError, match=f"process {first.pid} "):
            upkeep.compact(index)
        kept, _ = dedup(made / "day3.jsonl", made / "reader", against=str(index), **SIMILAR)
        assert kept, "who only reads need not wait"
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert dedup(made / "day3.jsonl", made / "out3", against=str(index), remember=True, **SIMILAR)[0] == kept


def test_a_batch_added_between_plan_and_run_is_not_overlooked(made: Path) -> None:
    from tamis.pipeline import plan, recipe
    from tamis.pipeline.execute import Silent, execute

    planned = plan.make(recipe.load(words(made, "day3.jsonl", "out3", against=str(made / "index"), remember=True)))
    dedup(made / "day2.jsonl", made / "between", against=str(made / "index"), remember=True, **SIMILAR)
    with pytest.raises(StaleError, match="written to since the run was planned: run again"):
        execute(planned, Silent())


def test_who_reads_keeps_what_a_compaction_replaces(made: Path) -> None:
    index = made / "index"
    manifest = layout.read(index)
    assert manifest is not None
    with reading(index), opened(index, manifest.documents, manifest.state()):
        upkeep.compact(index)
        assert len(list((index / "segments").iterdir())) == 3, "two old ones, still there, and the new one"
        assert upkeep.damage(index) == []
    with writing(index):
        pass
    assert [p.name for p in (index / "segments").iterdir()] == [layout.read(index).segments[0].name]


def test_leftovers_are_swept_and_nothing_else(made: Path) -> None:
    index = made / "index"
    (index / "segments" / ".0123.tmp").mkdir()
    (index / "segments" / ".0123.tmp" / "keys.u64").touch()
    (index / "segments" / "000000000030-000000000031-00000000").mkdir()
    (index / ".manifest.json.01234567.tmp").touch()
    (index / "README").write_text("mine")
    sweep(index)
    assert sorted(p.name for p in index.iterdir()) == [".lock", ".readers", "README", "manifest.json", "segments"]
    assert len(list((index / "segments").iterdir())) == 2 and upkeep.damage(index) == []


def test_a_lock_dies_with_its_holder(made: Path) -> None:
    child = os.fork()
    if child == 0:
        with writing(made / "index"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    began = time.monotonic()
    with writing(made / "index"):
        assert time.monotonic() - began < 1
