"""Two attempts at one part, as when Spark begins a slow or lost task again: no doubles, nothing missing. Without Spark."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tamis.pipeline import plan, recipe
from tamis.pipeline.batch import Steps
from tamis.pipeline.stages import rows
from tamis.pipeline.stages.rows import RowsTask
from tamis.pipeline.workspace import StageFolder


@pytest.fixture
def task(tmp_path: Path, demo_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> RowsTask:
    monkeypatch.setattr(rows, "BATCH_BYTES", 40_000)  # several pieces
    asked = recipe.load({"dataset_path": str(demo_corpus), "process": [{"text_length_filter": {"min_len": 500}}], "batch_rows": 20})
    planned = plan.make(asked)
    stage = planned.stages[0]
    steps = Steps(stage.steps, stage.pins, asked.text_keys, asked.name)
    return RowsTask(StageFolder(tmp_path / "stage"), steps, 20, None, planned.splits)


def files(task: RowsTask) -> dict[str, bytes]:
    return {p.relative_to(task.folder.path).as_posix(): p.read_bytes() for p in task.folder.path.rglob("*") if p.is_file()}


class KilledError(Exception):
    """Stands for the end of an attempt, wherever it was."""


def killed_after(task: RowsTask, batches: int) -> None:
    def some(part: int) -> Any:
        for number, batch in enumerate(original(part)):
            if number == batches:
                raise KilledError
            yield batch

    original = task._batches
    object.__setattr__(task, "_batches", some)
    with pytest.raises(KilledError):
        task._do(0)
    object.__setattr__(task, "_batches", original)


@pytest.mark.parametrize("batches", [0, 7, 15])
def test_an_attempt_that_dies_takes_nothing_from_one_that_was_done(task: RowsTask, batches: int) -> None:
    record = task(0)
    assert record["pieces"] > 2
    before = files(task)
    killed_after(task, batches)
    assert files(task) == before and task(0) == record


def test_a_second_attempt_writes_the_same_bytes(task: RowsTask) -> None:
    killed_after(task, 15)
    record = task(0)
    before = files(task)
    assert task._do(0) == record and files(task) == before


def test_what_a_dead_attempt_with_smaller_batches_has_left_over_goes(task: RowsTask) -> None:
    pieces = task(0)["pieces"]
    left_over = task.folder.path / "rows" / f"part-00000-{pieces + 3:03d}.parquet"
    pq.write_table(pq.read_table(task.folder.pieces(0)[0]), left_over)
    task.folder.file("done", 0, "json").unlink()
    task(0)
    assert not left_over.exists() and len(task.folder.pieces(0)) == pieces
