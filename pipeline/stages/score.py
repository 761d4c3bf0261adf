"""Numbers from a model, which may be fitted first: a stage of its own, done by pieces, so that it can run where the accelerator is.

What is fitted lies in the stage's folder, with the arguments it was made with; several jobs that share the stage fit it once.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...operators.base import Operator
from ...selectors.influence.saving import OtherArgumentsError
from ...selectors.parts.draw import SAMPLE, uniform
from .. import resources
from ..engines.base import Counts, Engine
from ..errors import OperatorError, StaleError
from ..ledger import ID
from ..plan import Stage
from ..resources import Pin
from ..steps import Step
from ..workspace import StageFolder, read_json, write_json, write_table
from . import prompts
from .embed import PIECE, piece_file
from .lineage import Lineage, Told, texts
from .lineage import read as read_table
from .rows import write_narrow


@dataclass(frozen=True)
class FitTask:
    """Fits the model on some rows of the whole corpus, drawn by hash of their ids; answers what was done."""

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]
    parts: int
    seed: int

    asks_a_model = True

    def __call__(self, _: int) -> Counts:
        """Fit, unless it is done."""
        known = read_json(self.folder.path / "fitted.json")
        if known is not None:
            return known
        with _alone(self.folder.path):
            return read_json(self.folder.path / "fitted.json") or self._do()

    def _do(self) -> Counts:
        where, kept = f"step {self.step.number} ({self.step.name})", self.step.extra.get("factors")
        keys, found = self._rows(where)
        loaded = resources.load(self.pins)
        try:
            place = Path(str(kept)).expanduser() if kept else None
            told = loaded["scorer"].fit(fit_folder(self.folder), found, keys, loaded["examples"], place)
        except OtherArgumentsError as e:
            raise StaleError(f"{where}: {e}. Remove that file, or name another folder in factors") from e
        except ValueError as e:
            raise OperatorError(f"{where}: {e}") from e
        write_json(self.folder.path / "fitted.json", told)
        return dict(told)

    def _rows(self, where: str) -> tuple[list[int], list[str | None]]:
        """The rows to fit on, in the order of their chance: their keys and their texts."""
        count, best = int(self.step.settings["fit_rows"]), np.empty(0)
        for part in range(self.parts):
            ids = [b.column(ID).to_numpy() for b in self.before.read(part, [])]
            best = np.sort(np.concatenate([best, *(uniform(self.seed, i, stream=SAMPLE) for i in ids)]))[:count]
        if not len(best):
            return [], []
        chosen: list[tuple[float, str | None]] = []
        for part in range(self.parts):
            for batch in self.before.read(part, [self.step.text_key]):
                chance = uniform(self.seed, batch.column(ID).to_numpy(), stream=SAMPLE)
                at = np.flatnonzero(chance <= best[-1])
                words = texts(batch, self.step.text_key, where).take(pa.array(at)).to_pylist()
                chosen += zip(chance[at].tolist(), words, strict=True)
        chosen = sorted(chosen, key=lambda pair: pair[0])[:count]
        return [int(chance * 2**52) for chance, _ in chosen], [text for _, text in chosen]


@dataclass(frozen=True)
class ScoreTask:
    """Writes id and number of each row of one piece of a part. `pieces` as of `embed.EmbedTask`."""

    folder: StageFolder
    before: Lineage
    step: Step
    pins: tuple[Pin, ...]
    pieces: tuple[tuple[int, int, float], ...]

    asks_a_model = True

    def __call__(self, number: int) -> Counts:
        """Do the piece, unless it is done."""
        part, piece, share = self.pieces[number]
        path = piece_file(self.folder, part, piece)
        return {"rows": pq.read_metadata(path).num_rows if path.exists() else self._do(part, piece), "share": share}

    def _do(self, part: int, piece: int) -> int:
        where = f"step {self.step.number} ({self.step.name}), part {part}"
        columns = prompts.of_part(self.before, part, self.step.text_key, prompts.keys_of(self.step), where)
        ids, text, prompt = (c.slice(piece * PIECE, PIECE).combine_chunks() for c in columns)
        # a row without this column stays, as one that says nothing
        text = pc.fill_null(text, "")
        op, loaded = self.step.op, self._loaded(where)
        assert isinstance(op, Operator)
        try:
            told = op.function(*prompts.columns(self.step, text, prompt), **self.step.settings, **loaded)
        except ValueError as e:
            raise OperatorError(f"{where}: {e}") from e
        numbers = {s: told.field(s) if pa.types.is_struct(told.type) else told for s in self.step.stats}
        wrong = int((~np.isfinite(np.array([n.to_numpy(zero_copy_only=False) for n in numbers.values()]))).any(axis=0).sum())
        if wrong:
            raise OperatorError(f"{where}: {wrong} of {len(told)} numbers are not finite; try precision: float32")
        write_table(piece_file(self.folder, part, piece), pa.table({ID: ids, **numbers}))
        return len(told)

    def _loaded(self, where: str) -> dict[str, Any]:
        """What the operator is handed; where a model was fitted, that one."""
        loaded = resources.load(self.pins)
        if not fitted_first(self.step):
            return loaded
        try:
            return loaded | {"scorer": loaded["scorer"].ready(fit_folder(self.folder), loaded["examples"])}
        except ValueError as e:
            raise StaleError(f"{where}: {e}: remove {self.folder.path} and run again") from e


@dataclass(frozen=True)
class JoinTask:
    """Makes one file of the pieces of a part; answers the part's record. `counts`: part -> its pieces."""

    folder: StageFolder
    counts: dict[int, int]

    def __call__(self, part: int) -> Counts:
        """Do the part, unless it is done."""
        known = self.folder.part_record(part)
        if known is not None:
            return known
        table = pa.concat_tables([read_table(piece_file(self.folder, part, piece)) for piece in range(self.counts[part])])
        write_narrow(self.folder, "stats", part, table)
        return self.folder.finish_part(part, {"rows_in": len(table), "rows_out": len(table), "left": 0, "by": {}})


def fitted_first(step: Step) -> bool:
    """Whether the step's model is fitted on rows of the corpus before it is asked about any."""
    return "fit_rows" in step.settings


def fit_folder(folder: StageFolder) -> Path:
    """Where what was fitted lies."""
    return folder.path / "fit"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the system lets go of it however that process ends."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".fit.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(
    stage: Stage, folder: StageFolder, before: Lineage, engine: Engine, parts: Sequence[int], told: Told, *, whole: int, seed: int,
) -> dict[str, Any]:
    """The whole stage, or those parts of it; answers its record. `whole`: how many parts the corpus has."""
    step, pins = stage.steps[0], stage.pins[0]
    rows = {part: before.rows_of(part) for part in parts}
    counts = {part: max(1, -(-rows[part] // PIECE)) for part in parts}  # a part without rows has one piece, of no rows
    pieces = tuple(
        (part, k, min(PIECE, rows[part] - k * PIECE) / rows[part] if rows[part] else 1.0)
        for part in parts if folder.part_record(part) is None for k in range(counts[part])
    )
    facts: Counts = {}
    if any(before.rows_of(part) for part in range(whole)):  # else there is nothing to fit, and nothing to score
        if fitted_first(step):
            (facts,) = engine.map(FitTask(folder, before, step, pins, whole, seed), [0], lambda _: None)
        engine.map(ScoreTask(folder, before, step, pins, pieces), range(len(pieces)), told)
    else:
        for part in parts:
            empty = pa.table({ID: pa.array([], pa.int64()), **{s: pa.array([], pa.float64()) for s in step.stats}})
            write_table(piece_file(folder, part, 0), empty)
    records = engine.map(JoinTask(folder, counts), parts, lambda _: None)
    for part, pieces_of in counts.items():
        for piece in range(pieces_of):  # only now: a second attempt at joining them may still have been reading
            piece_file(folder, part, piece).unlink(missing_ok=True)
    return {"records": records, "facts": {step.number: {**facts, "model": pins[0].describe()}}}
