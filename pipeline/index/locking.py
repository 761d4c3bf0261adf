"""Who may write and who is reading: two locks of the operating system, which let go when their holder dies, however it dies."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..alone import only_writer
from . import layout


@contextmanager
def writing(index: Path) -> Iterator[None]:
    """Be the only one who writes; removes what a writer that died, or a compaction, left behind.

    Raises StaleError naming the process that writes now, RecipeError where the folder cannot be written to.
    """
    with only_writer(index, "index"):
        sweep(index)
        yield


@contextmanager
def reading(index: Path) -> Iterator[None]:
    """While it is held, no segment that is committed now, or was since, is removed. Any number may read."""
    try:
        file = (index / ".readers").open("a")
    except OSError:  # of someone else: read without a lock; a compaction just then makes the run stop, not lie
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def sweep(index: Path) -> None:
    """Remove half-written files, and segments that the manifest does not name unless someone may be reading them."""
    for path in index.glob(".manifest.json.*.tmp"):
        path.unlink()
    for path in (index / "segments").glob(".*.tmp"):
        shutil.rmtree(path)
    manifest = layout.read(index)
    named = {s.name for s in manifest.segments} if manifest else set()
    with (index / ".readers").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for path in (index / "segments").glob("*"):
            if path.name not in named and not path.name.startswith("."):
                shutil.rmtree(path)
