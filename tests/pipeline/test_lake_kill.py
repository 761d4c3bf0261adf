"""A kill of apply or restore at each step loses nothing, and the next call goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_formats import FORMATS, applied, plain_lake, planned, write_jsonl
from planted_lake import Lake, write, write_csv

from tamis.pipeline.errors import RecipeError
from tamis.pipeline.lake import apply_plan
from tamis.pipeline.lake import restore as restoring
from tamis.pipeline.lake.restore import restore, restore_all

KILLER = """
import os, signal, sys
from tamis.pipeline.lake import apply_plan, restore, trash
from tamis.pipeline.lake.run_lake import asked_of
from tamis.pipeline.lake import graph
what, run, step, table = sys.argv[1:5]
count = [0]
def deadly(module, name):
    inner = getattr(module, name)
    def outer(*args, **kwargs):
        count[0] += 1
        if count[0] == int(step):
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)
    setattr(module, name, outer)
for module, name in ((apply_plan, "note"), (apply_plan, "atomically"), (apply_plan, "write_json"), (apply_plan, "move"),
                     (restore, "write_table_again"), (restore, "move"), (restore, "mark_restored")):
    deadly(module, name)
told = asked_of(run)
if what == "apply":
    apply_plan.apply(told.run, graph.load(told.run), told.settings, lambda *_: None)
elif what == "all":
    restore.restore_all(graph.load(told.run).root, told.settings, lambda *_: None)
else:
    restore.restore(graph.load(told.run).root, table, told.settings)
print("finished")
"""


def test_a_kill_between_any_two_steps_loses_nothing(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    table = pa.table({"a": list(range(50)), "b": ["x", "y"] * 25})
    pq.write_table(table, lake / "all.parquet")
    pq.write_table(table.slice(5, 20), lake / "part.parquet")
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000")
    assert [d["table"] for d in plan["delete"]] == ["part.parquet"]
    content = (lake / "part.parquet").read_bytes()
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}

    def until_done(what: str) -> int:
        """Kill it at step 1, at step 2 of the next call ..., until a call comes through."""
        for step in range(1, 40):
            done = subprocess.run([sys.executable, "-c", KILLER, what, str(told.run), str(step), "part.parquet"],
                                  env=environment, capture_output=True, text=True, check=False)
            here = [p for p in (lake / "part.parquet", *(lake / ".tamis-trash").glob("*/table/part.parquet")) if p.exists()]
            assert here, f"lost at step {step}: {done.stderr}"
            assert any(p.read_bytes() == content for p in here)
            if done.returncode != -signal.SIGKILL:
                assert "finished" in done.stdout or "no such table is in the trash" in done.stderr, done.stderr
                return step
        raise AssertionError("never finished")

    assert until_done("apply") > 3
    assert not (lake / "part.parquet").exists()
    assert until_done("restore") > 2
    assert pq.read_table(lake / "part.parquet").equals(table.slice(5, 20))


@pytest.mark.parametrize(("writer", "step"), [(write_csv, 2), (write_jsonl, 5)], ids=["csv", "jsonl"])
def test_a_killed_restore_of_all_goes_on_and_brings_all_back(tmp_path: Path, writer: Any, step: int) -> None:
    lake, made = tmp_path / "lake", plain_lake()
    write(Lake({n: made.tables[n] for n in ("all", "copy", "part")}), lake, 3, writer)
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000")
    names = sorted(d["table"] for d in plan["delete"])
    before = {n: (lake / n).read_bytes() for n in names}
    applied(told)
    assert len(names) == 2 and not any((lake / n).exists() for n in names)
    done = subprocess.run([sys.executable, "-c", KILLER, "all", str(told.run), str(step), "-"],
                          env=os.environ | {"NUMBA_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert all(next(lake.glob(f".tamis-trash/*/table/{n}")).read_bytes() == data for n, data in before.items())
    restore_all(lake.resolve(), told.settings, lambda recipe, why: pytest.fail(f"{recipe['table']}: {why}") if why else None)
    assert all((lake / n).exists() for n in names) and restore_all(lake.resolve(), told.settings, lambda *_: None) == []
    assert len(planned(lake, tmp_path / "again", "storage_price=1000")[1]["delete"]) == 2  # each is contained in another again


class Killed(BaseException):
    pass


@FORMATS
def test_an_end_between_any_two_steps_loses_nothing_of_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Any
) -> None:
    """The steps of the test above, ended by an exception that nobody catches."""
    lake, made = tmp_path / "lake", plain_lake()
    write(Lake({n: made.tables[n] for n in ("all", "part")}), lake, 3, writer)
    told, plan = planned(lake, tmp_path / "run", "storage_price=1000")
    (name,) = [d["table"] for d in plan["delete"]]
    before = {p.relative_to(lake / name): p.read_bytes() for p in (lake / name, *(lake / name).rglob("*")) if p.is_file()}
    steps = [(apply_plan, n) for n in ("note", "atomically", "write_json", "move")]
    steps += [(restoring, n) for n in ("write_table_again", "move", "mark_restored")]

    def until_done(what: Any) -> int:
        for step in range(1, 40):
            count = [0]

            def deadly(inner: Any, count: list[int] = count, step: int = step) -> Any:
                def outer(*args: Any, **kwargs: Any) -> Any:
                    count[0] += 1
                    if count[0] == step:
                        raise Killed
                    return inner(*args, **kwargs)
                return outer

            with monkeypatch.context() as patch:
                for module, function in steps:
                    patch.setattr(module, function, deadly(getattr(module, function)))
                try:
                    what()
                    return step
                except Killed:
                    here = [p for p in (lake / name, *(lake / ".tamis-trash").glob(f"*/table/{name}")) if p.exists()]
                    assert any(all((p / f).is_file() and (p / f).read_bytes() == data for f, data in before.items()) for p in here), step
                except RecipeError as e:
                    assert "restored already" in str(e)  # the kill came after the last step
                    return step
        raise AssertionError("never finished")

    assert until_done(lambda: applied(told)) > 3 and not (lake / name).exists()
    assert until_done(lambda: restore(lake.resolve(), name, told.settings)) > 2 and (lake / name).exists()
    assert [d["table"] for d in planned(lake, tmp_path / "again", "storage_price=1000")[1]["delete"]] == [name]
