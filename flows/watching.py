"""A run as the Prefect UI shows it: log lines, a progress bar for each stage, a table of steps, events."""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.events import emit_event

from ..pipeline.display import told
from ..pipeline.engines.base import Counts
from ..pipeline.plan import Stage

EVERY = 2.0  # seconds between two updates of a progress bar: each is a request to the server


class Watched:
    """`Progress` of one task: a progress artifact and log lines."""

    def __init__(self) -> None:
        self.parts = self.rows = 0
        self.again = 1
        self.done = 0.0
        self.bar: UUID | None = None
        self.last = 0.0

    def begin(self, stage: Stage, parts: int) -> None:
        """A stage begins: its bar is made with its first part, so that one that was complete has none."""
        self.parts, self.done, self.rows, self.again, self.bar, self.last = parts, 0.0, 0, 1, None, time.monotonic()
        self.key = f"stage-{stage.index}-{stage.kind}"

    def advance(self, counts: Counts) -> None:
        """One part is done; the server hears of it every other second."""
        self.done += counts.get("share", 1.0)
        again = math.ceil((self.done - 1e-6) / max(self.parts, 1))
        if again > self.again:  # some stages pass over their parts twice
            self.again, self.rows = again, 0
        self.rows += int(counts.get("rows_in") or counts.get("rows") or 0)
        if self.bar is None or time.monotonic() - self.last > EVERY:
            self._show()

    def _show(self, whole: str | None = None) -> None:
        share = 100.0 if whole else min(100.0, 100.0 * self.done / max(self.parts * self.again, 1))
        done, more = self.done - self.parts * (self.again - 1), f", pass {self.again}" if self.again > 1 else ""
        text = whole or f"{done:,.1f} of {self.parts:,} parts, {self.rows:,} rows{more}"
        if self.bar is None:
            self.bar = create_progress_artifact(share, key=self.key, description=text)  # type: ignore[assignment]
        else:
            update_progress_artifact(self.bar, share, description=text)
        self.last = time.monotonic()

    def end(self, stage: Stage, record: Mapping[str, Any], seconds: float, reused: bool) -> None:
        """The stage is complete."""
        if self.bar is not None:
            self._show(whole=told(record, reused=False))
        if not reused:
            get_run_logger().info("stage %d %s: %s, %.1f s", stage.index, stage.kind, told(record, reused=False), seconds)


def publish(manifest: Mapping[str, Any], folder: Path) -> None:
    """The finished run's artifacts: table of steps with the ledger's totals, link to the report."""
    rows = [{
        "step": s["step"], "operator": s["op"], "rows in": s["rows_in"], "rows out": s["rows_out"],
        "left": ", ".join(f"{n:,} {reason}" for reason, n in s["left"].items()),
    } for s in manifest["steps"]]
    total = f"{manifest['rows_in']:,} rows in, {manifest['rows_out']:,} out, {manifest['rows_left']:,} in the ledger"
    create_table_artifact(rows, key="steps", description=f"{manifest['project_name']}: {total}; content {manifest['content_hash']}")
    link_report(folder / "report.html", total)


def link_report(page: Path, text: str) -> None:
    """The artifact `report`: where TAMIS_FILES_URL serves TAMIS_HOME, a page that a browser opens, else the file's own address."""
    path, home, served = page.resolve(), os.environ.get("TAMIS_HOME"), os.environ.get("TAMIS_FILES_URL")
    if home and served and path.is_relative_to(Path(home).resolve()):
        link = f"{served.rstrip('/')}/{quote(path.relative_to(Path(home).resolve()).as_posix())}"
    else:
        link = path.as_uri()
    create_link_artifact(link, link_text=page.name, key="report", description=text)


def warn(recipe_path: str, message: str) -> None:
    """The event `tamis.guard`, on which an automation can act."""
    emit_event("tamis.guard", resource={"prefect.resource.id": f"tamis.recipe.{recipe_path}"}, payload={"message": message})
