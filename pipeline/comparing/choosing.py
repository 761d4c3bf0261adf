"""One contender's choice with one budget and seed, kept beside the pool: who asks again takes it up, in this process or another."""

import json
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from .. import resources
from ..errors import SelectionError
from ..execute import Progress
from ..workspace import atomically
from .contenders import Candidates, Contender, candidates

CHOICES = "choices"  # the folder below `out` that holds them
_held: dict[str, Candidates] = {}  # the pool that this process has open: several threads choose from one copy
_opening = threading.Lock()


def opened(found: Sequence[Contender], folder: Path, heldout: float, progress: Progress, patience: float = 0.0) -> Candidates:
    """The pool of `candidates`, opened once for all who ask with the same contenders, until `close`."""
    told = [(c.name, c.recipe.name, [s.describe() for s in c.recipe.process], c.step.describe()) for c in found]
    key = json.dumps([str(folder.resolve()), heldout, told], default=str)
    with _opening:
        pool = _held.get(key)
        if pool is None:
            _held.clear()
            pool = _held[key] = candidates(found, folder, heldout, progress, patience)
        return pool


def close() -> None:
    """Let go of the pool that this process holds."""
    with _opening:
        _held.clear()


def kept(out: Path, pool: Candidates, contender: Contender, share: float, seed: int) -> Path:
    """The file of a choice: named by all that decides it, the pool's content, the selector with its models, budget, seed."""
    op = contender.step.op
    try:
        step = resources.decides(contender.step.describe(), resources.pin(op, contender.step.settings))
    except ValueError as e:
        raise SelectionError(f"{contender.recipe.name}, step {contender.step.number} ({contender.step.name}): {e}") from e
    told = json.dumps([pool.fingerprint, step, float(share), seed], sort_keys=True, default=list)
    return out / CHOICES / f"{xxhash.xxh3_128_hexdigest(told.encode())}.npz"


def choice(out: Path, pool: Candidates, contender: Contender, share: float, seed: int) -> tuple[np.ndarray, float]:
    """int64[n], the rows of the pool that a contender picks, in its order, and the seconds that it took when it did.

    Taken up from `out`/choices where it is there, else made and kept. Raises SelectionError where it cannot choose.
    """
    file = kept(out, pool, contender, share, seed)
    known = read(file)
    if known is None:
        chosen, seconds = contender.choose(pool.views[contender.name], share * pool.tokens, seed)
        known = np.asarray(chosen.index, np.int64), seconds
        atomically(file, lambda tmp: _write(tmp, *known))
    return known


def _write(file: Path, index: np.ndarray, seconds: float) -> None:
    with file.open("wb") as out:
        np.savez(out, index=index, seconds=np.float64(seconds))


def read(file: Path) -> tuple[np.ndarray, float] | None:
    """A choice that was kept; None where there is none that can be read."""
    try:
        with np.load(file) as told:
            return told["index"], float(told["seconds"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
