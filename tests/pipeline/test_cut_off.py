"""A run that is cut off in the middle: by Ctrl-C, by a worker that dies, by a row that cannot be worked on. What is done stays done."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.engines.local import cores
from tamis.pipeline.errors import LostWorkerError, OperatorError, StaleError
from tamis.pipeline.run import run
from tamis.pipeline.verify import check

WAITS = '''
import os, time
from pathlib import Path
import pyarrow as pa
from tamis.operators.base import mapper

@mapper("waiting_mapper")
def wait(text: pa.StringArray) -> pa.StringArray:
    """The text as it is; where it says so, only once a file `go` is there."""
    folder = Path(__file__).parent
    if "wait here" in text.to_pylist() and not (folder / "go").exists():
        (folder / "begun").write_text(str(os.getpid()))
        while not (folder / "go").exists():
            time.sleep(0.02)
    if "fail here" in text.to_pylist() and not (folder / "go").exists():
        raise ValueError("this text is not to my liking")
    return text
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six files of which the third waits; an operator that does so; a recipe."""
    (tmp_path / "in").mkdir()
    for name in "abcdef":
        rows = [f"row {name}{i}" for i in range(5)] + (["wait here"] if name == "c" else [])
        (tmp_path / "in" / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in rows))
    (tmp_path / "waits.py").write_text(WAITS)
    (tmp_path / "r.yaml").write_text(json.dumps(asked(tmp_path)))
    return tmp_path


def asked(home: Path) -> dict[str, Any]:
    return {"dataset_path": str(home / "in"), "export_path": str(home / "out"), "np": 2, "allow_code": True,
            "custom_operator_paths": [str(home / "waits.py")], "process": ["waiting_mapper", {"text_length_filter": {"min_len": 3}}]}


def until_begun(home: Path, lives: Callable[[], bool]) -> None:
    """Wait until a worker has come to the row where it waits."""
    deadline = time.monotonic() + 100
    while not (home / "begun").exists() or not (home / "begun").read_text():
        assert lives() and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def begun(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`tamis run` with two workers, one of which has come to the row where it waits."""
    if cores() < 2:
        pytest.skip("one core has no workers")
    command = [sys.executable, "-m", "tamis", "run", "r.yaml"]
    process = subprocess.Popen(
        command, cwd=home, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else deaf where these tests run behind a shell's `&`
    )
    until_begun(home, lambda: process.poll() is None)
    yield process
    process.kill()
    process.communicate()


def marks(home: Path) -> dict[str, int]:
    """The parts that are done, and when they were."""
    return {p.name: p.stat().st_mtime_ns for p in (home / "out" / "work").glob("01-rows-*/done/*.json")}


def finished_after(home: Path, before: dict[str, int]) -> None:
    """The next run takes up what was done, does the rest, and holds every row."""
    (home / "go").touch()
    told = run(asked(home) | {"np": 1})
    assert (told["rows_in"], told["rows_out"], told["timing"][0]["reused"]) == (31, 31, False)
    assert {name: when for name, when in marks(home).items() if name in before} == before and len(marks(home)) == 6
    texts = [t for s in told["shards"] for t in pq.read_table(home / "out" / s["path"]).column("text").to_pylist()]
    assert sorted(texts) == sorted([*(f"row {n}{i}" for n in "abcdef" for i in range(5)), "wait here"])
    assert {f.level for f in check(home / "out")} == {"ok"}


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_second_run_is_refused_and_ctrl_c_ends_the_first_with_its_workers(home: Path, begun: subprocess.Popen[str]) -> None:
    worker = int((home / "begun").read_text())
    with pytest.raises(StaleError, match="another run is writing to"):
        run(asked(home))
    assert plan.make(recipe.load(home / "r.yaml")).stages, "a plan writes nothing, and waits for nobody"
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = begun.communicate(timeout=60)
    assert begun.returncode == 130 and out == ""
    assert err.splitlines()[-1] == "Interrupted. What is done is kept: run the same command again to go on." and "Traceback" not in err
    assert worker != begun.pid and gone(worker)
    assert not (home / "out" / "manifest.json").exists() and not (home / "out" / "data").exists()
    before = marks(home)
    assert before and "part-00002.json" not in before
    finished_after(home, before)


def test_a_worker_that_is_killed_is_told_in_words_and_the_next_run_goes_on(home: Path) -> None:
    if cores() < 2:
        pytest.skip("one core has no workers")

    def kill() -> None:
        until_begun(home, lambda: True)
        os.kill(int((home / "begun").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(LostWorkerError, match=r"a worker process died, most likely for lack of memory\. Run again to go on from here"):
        run(asked(home))
    killer.join()
    finished_after(home, marks(home))


def test_a_row_that_fails_in_part_k_is_located_and_parts_before_it_are_kept(home: Path) -> None:
    for name in "de":
        (home / "in" / f"{name}.jsonl").write_text('{"text": "good"}\n{"text": "fail here"}\n')
    (home / "in" / "c.jsonl").write_text('{"text": "no more"}\n')
    with pytest.raises(OperatorError) as e:
        run(asked(home) | {"np": 1})
    assert str(e.value) == "recipe, step 1 (waiting_mapper), d.jsonl at 17: this text is not to my liking"
    assert {"part-00000.json", "part-00001.json", "part-00002.json"} <= set(marks(home)) and "part-00003.json" not in marks(home)
    told = run(asked(home) | {"np": 1, "on_error": {"set_aside": 2}, "export_path": str(home / "aside")})
    assert (told["rows_in"], told["steps"][1]["left"], told["rows_out"]) == (20, {"error": 2}, 18)
    notes = pq.read_table(home / "aside" / "ledger").select(["__source__", "__position__", "note"]).to_pylist()
    assert [tuple(line.values()) for line in notes] == [(f"{n}.jsonl", 17, "this text is not to my liking") for n in "de"]
