"""What a run does with its indexes: it holds them while it works, and at its end adds what it shall remember."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ..engines.base import Engine
from ..plan import Plan, Stage
from ..stages.lineage import Lineage
from ..workspace import StageFolder
from .locking import reading, writing
from .remember import append, check
from .runs import runs_home


@contextmanager
def held(planned: Plan) -> Iterator[None]:
    """Nobody else writes to an index that the run will write to, and no segment that it reads is removed.

    Raises StaleError where another process writes to one, or has done so since the plan was made.
    """
    with ExitStack() as stack:
        for stage in planned.stages:
            if stage.known is not None and stage.known.remember:
                stack.enter_context(writing(stage.known.path))
                check(stage.known)
            if stage.known is not None and stage.known.against:
                stack.enter_context(reading(stage.known.path))
        yield


def remembered(
    done: Sequence[tuple[Stage, StageFolder, Lineage | None]], engine: Engine, parts: range
) -> list[dict[str, Any]]:
    """Add the rows of each finished stage that shall be remembered; for the manifest, what was added to which index."""
    answers = []
    for stage, folder, before in (d for d in done if d[0].known is not None):
        if stage.known is not None and stage.known.remember:
            assert before is not None
            batch = append(stage.known, stage.fingerprint, folder, before, stage.steps[0], stage.pins[0], engine, parts)
            answers.append({"step": stage.steps[0].number, "index": str(stage.known.path), "batch": batch.name,
                            "documents": batch.documents, "kept": batch.kept, "state": batch.state})
        shutil.rmtree(runs_home(folder).path, ignore_errors=True)
    return answers
