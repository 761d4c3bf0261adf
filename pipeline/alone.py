"""The right to be the only one who writes to a folder: a lock of the operating system, which its holder's death lets go."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RecipeError, StaleError


@contextmanager
def only_writer(folder: Path, called: str) -> Iterator[None]:
    """Hold the folder's `.lock`, in which the holder's name stands; a missing folder is made. `called`: what people call it.

    Raises StaleError naming the process that writes now, RecipeError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
    except OSError as e:
        raise RecipeError(f"{called} {folder} cannot be written to ({e.strerror})") from e
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StaleError(f"{called} {folder} is being written to by {holder}; wait until it is done, then run again") from e
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
