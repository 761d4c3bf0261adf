"""Doing a plan: each stage taken up where it is complete, else done now; then export, report, manifest."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from . import guards, manifest, recipe, report, tracer
from .engines.base import Counts, Engine
from .engines.choose import engine_for
from .errors import StaleError
from .index import hold
from .lifelong import entering
from .plan import Plan, Stage
from .stages import asking, dedup, embed, export, group, pooled, rows, score, select, tally, trim
from .stages.lineage import Lineage
from .workspace import Place, StageFolder, Workspace, atomically, write_json

MODEL_STAGES = ("embed", "score")  # what a scheduler may place where the accelerator is


def asks_model(stage: Stage) -> bool:
    """Whether it is such a stage, or a selection that asks a model about rows."""
    return stage.kind in MODEL_STAGES or asking.asks(stage)


class Progress(Protocol):
    """Who watches a run."""

    def begin(self, stage: Stage, parts: int) -> None:
        """A stage begins; `advance` will be called about `parts` times (more, where it passes over them twice)."""

    def advance(self, counts: Counts) -> None:
        """One part is done."""

    def end(self, stage: Stage, record: Mapping[str, Any], seconds: float, reused: bool) -> None:
        """The stage is complete; `reused`: it was already, from an earlier run."""


class Silent:
    """Watches nothing."""

    def begin(self, stage: Stage, parts: int) -> None:
        """Nothing."""

    def advance(self, counts: Counts) -> None:
        """Nothing."""

    def end(self, stage: Stage, record: Mapping[str, Any], seconds: float, reused: bool) -> None:
        """Nothing."""


def execute(planned: Plan, progress: Progress, upto: int | None = None, patience: float = 0.0) -> dict[str, Any]:
    """Do a plan and answer its manifest; or, with `upto`, only its stages up to that one, and answer that stage's record.

    A scheduler that runs each stage on a machine of its own calls it once a stage: what is complete is taken up. While
    another run holds the workspace, it is waited for, for up to `patience` seconds.
    Raises GuardError, before anything is exported, where more rows left than the recipe allows.
    """
    place = Place.of(planned.recipe.export_path, planned.recipe.work_dir).seen_by(planned.recipe.engine)
    workspace = Workspace(place.work)
    with (workspace.lock(patience=patience), hold.held(planned), entering.held(planned),
          closing(engine_for(planned.recipe)) as engine):
        engine.watch = getattr(progress, "tasks", None)
        lineage: Lineage | None = None
        records: list[Mapping[str, Any]] = []
        timing: list[Mapping[str, Any]] = []
        done: list[tuple[Stage, StageFolder, Lineage | None]] = []
        folders = [workspace.stage(s.index, s.kind, s.fingerprint) for s in planned.stages]
        for stage, folder in zip(planned.stages, folders, strict=True):
            record, seconds, reused = _stage(stage, folders, lineage, engine, planned, place, progress)
            done.append((stage, folder, lineage))
            lineage = after(stage, folder, lineage)
            records.append(record)
            guards.check(planned.recipe.guards, manifest.steps_of(planned, records))
            timing.append({"stage": stage.index, "seconds": round(seconds, 3), "reused": reused, "workers": engine.workers})
            if stage.index == upto:
                hold.remembered(done[-1:], engine, range(len(planned.splits)))
                return dict(record)
        remembered = hold.remembered(done, engine, range(len(planned.splits)))
        told = manifest.build(planned, records, timing)
        if pool := entering.entered(planned, done):
            told["pool"] = pool
        if remembered:
            told["remembered"] = remembered
        tracer.write(planned, done if planned.recipe.tracer.number else (), place.run / "trace")
        atomically(place.run / "recipe.yaml", lambda tmp: tmp.write_text(recipe.dump(planned.recipe, public=True), "utf-8"))
        atomically(place.run / "report.html", lambda tmp: tmp.write_text(report.html(told, planned, folders), "utf-8"))
        write_json(place.run / "manifest.json", told)
        workspace.clean({f.path for f in folders})
    return told


def share(planned: Plan, progress: Progress, index: int, parts: Sequence[int], patience: float = 0.0) -> int:
    """Do some parts of a stage that asks a model, beside other processes that do other parts; answer how many rows they hold.

    Of a selection that asks a model, the whole choice, whatever the parts: it is for one process.

    The stages before it must be complete; `execute` afterwards takes the parts up and completes the stage.
    """
    stage = planned.stages[index - 1]
    if not asks_model(stage):
        raise ValueError(f"stage {index} ({stage.kind}) asks no model: it is not shared")
    place = Place.of(planned.recipe.export_path, planned.recipe.work_dir).seen_by(planned.recipe.engine)
    workspace = Workspace(place.work)
    with workspace.lock(shared=True, patience=patience), closing(engine_for(planned.recipe)) as engine:
        lineage: Lineage | None = None
        for earlier in planned.stages[: index - 1]:
            folder = workspace.stage(earlier.index, earlier.kind, earlier.fingerprint)
            if folder.record is None:
                raise StaleError(f"stage {earlier.index} ({earlier.kind}) is not complete in {place.work}: run it first")
            lineage = after(earlier, folder, lineage)
        assert lineage is not None  # the first stage reads
        progress.begin(stage, len(parts))
        folder = workspace.stage(stage.index, stage.kind, stage.fingerprint)
        if stage.kind == "select":
            whole = range(len(planned.splits))
            select.choose(stage, folder, lineage, engine, whole, planned.recipe.seed, planned.recipe.name)
            return sum(lineage.rows_of(part) for part in whole)
        done = _ask_model(stage, folder, lineage, engine, parts, planned, progress.advance)
    return sum(record["rows_out"] for record in done["records"])


def _ask_model(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: Sequence[int], planned: Plan,
    told: Callable[[Counts], None],
) -> dict[str, Any]:
    """A model stage, or those parts of it."""
    if stage.kind == "embed":
        return embed.run(stage, folder, before, engine, parts, told)
    return score.run(stage, folder, before, engine, parts, told, whole=len(planned.splits), seed=planned.recipe.seed)


def _stage(
    stage: Stage, folders: list[StageFolder], before: Lineage | None, engine: Engine, planned: Plan, place: Place,
    progress: Progress,
) -> tuple[dict[str, Any], float, bool]:
    """One stage's record: taken up where it is complete, else done now."""
    began, known = time.perf_counter(), folders[stage.index - 1].record
    parts = range(len(planned.splits))
    progress.begin(stage, len(parts))
    if known is None or not export.stands(stage, known, place.run):
        known, reused = _do(stage, folders, before, engine, planned, place, progress.advance), False
    else:
        folders[stage.index - 1].check()
        reused = True
    seconds = time.perf_counter() - began
    progress.end(stage, known, seconds, reused)
    return known, seconds, reused


def _do(
    stage: Stage, folders: list[StageFolder], before: Lineage | None, engine: Engine, planned: Plan, place: Place,
    told: Callable[[Counts], None],
) -> dict[str, Any]:
    asked, parts, folder = planned.recipe, range(len(planned.splits)), folders[stage.index - 1]
    if stage.kind == "rows":
        done = rows.run(stage, folder, before, engine, planned.splits, told, asked)
    elif stage.kind == "export":
        assert before is not None
        if not engine.remote:
            engine.close()  # what follows streams in this process; idle workers would only hold memory
        spread_by = (engine, folder) if engine.remote else None
        done = export.run(stage, before, folders[: stage.index - 1], parts, asked, place, told, spread_by)
        shutil.rmtree(folder.path / "sizes", ignore_errors=True)
        return folder.finish(done)
    else:
        assert before is not None
        if stage.kind == "dedup":
            done = dedup.run(stage, folder, before, engine, parts, told)
        elif stage.kind == "trim":
            done = trim.run(stage, folder, before, engine, parts, told, asked)
        elif stage.kind == "group":
            done = group.run(stage, folder, before, parts, told)
        elif stage.kind == "pool":
            done = pooled.run(stage, folder, before, engine, planned, folders, told)
        elif stage.kind in MODEL_STAGES:
            done = _ask_model(stage, folder, before, engine, parts, planned, told)
        else:
            done = select.run(stage, folder, before, engine, parts, told, asked.seed, asked.name)
    return folder.finish(tally.record(stage, done))


def after(stage: Stage, folder: StageFolder, before: Lineage | None) -> Lineage:
    """What stands after a stage."""
    if stage.kind in ("rows", "trim"):
        return before.after_rows(folder, stage.stats) if before else Lineage(folder).after_rows(folder, stage.stats)
    assert before is not None
    if stage.kind == "embed":
        return before.after_embedding(folder)
    if stage.kind == "score":
        return before.after_scoring(folder, stage.stats)
    if stage.kind == "group":
        return before.after_grouping(folder)
    if stage.kind == "pool":
        return before.after_pool(folder, pooled.names_of(before))
    return before if stage.kind == "export" else before.after_narrow(folder)
