"""What happens to one batch of rows: the steps of a fused stage, in order, features computed once and shared.

The same code runs for every engine, worker count and batch border. After each filter the rows that left are put into
the ledger and the rest goes on, so that no step works for a row that an earlier one has already sent away.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..operators import catalog
from ..operators.base import Operator, Range
from . import ledger, resources
from .errors import OperatorError
from .ledger import ID, KEY_COLUMNS, POSITION, SOURCE
from .resources import Pin
from .steps import Step

ERROR = "__error__"


@dataclass(frozen=True)
class Outcome:
    """One batch after the steps: rows that stay, numbers of all rows that entered, ledger lines of those that left."""

    rows: pa.RecordBatch
    stats: pa.RecordBatch
    left: pa.RecordBatch


@dataclass(frozen=True)
class Steps:
    """The fused steps of one stage: mappers and filters. Picklable; calling it maps batches to outcomes."""

    steps: tuple[Step, ...]
    pins: tuple[tuple[Pin, ...], ...]
    text_keys: tuple[str, ...]
    recipe: str
    decide: bool = True
    tolerate: bool = False

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Outcome]:
        """One outcome per batch."""
        loaded = [resources.load(p) for p in self.pins]
        types = {name: kind for step, handed in zip(self.steps, loaded, strict=True) for name, kind in _stat_types(step, handed)}
        for batch in batches:
            yield _Batch(batch, self, loaded, types).run()


class _Batch:
    """The state of one batch on its way through the steps; `alive` are the row numbers that have not left."""

    def __init__(self, batch: pa.RecordBatch, stage: Steps, loaded: Sequence[dict[str, Any]], types: dict[str, pa.DataType]) -> None:
        self.entered, self.stage, self.loaded, self.types = batch, stage, loaded, types
        self.alive = np.arange(len(batch))
        self.columns: dict[str, pa.Array] = dict(zip(batch.schema.names, batch.columns, strict=True))
        self.features: dict[tuple[str, str], pa.Array] = {}
        self.stats: dict[str, tuple[np.ndarray, pa.Array]] = {}
        self.left: list[pa.RecordBatch] = []

    def run(self) -> Outcome:
        if ERROR in self.columns:
            errors = self.columns.pop(ERROR)
            self._leave(pc.is_valid(errors), 0, "read", "error", note=errors)
        for key in self.stage.text_keys:
            if key in self.columns and self.columns[key].null_count:
                self._leave(pc.is_null(self.columns[key]), 0, "read", "null_text", stat=key)
        for step, handed in zip(self.stage.steps, self.loaded, strict=True):
            if len(self.alive):
                self._apply(step, handed)
        return Outcome(pa.RecordBatch.from_pydict(self.columns), self._all_stats(), self._all_left())

    def _apply(self, step: Step, handed: dict[str, Any]) -> None:
        if step.text_key not in self.columns:
            raise OperatorError(f"{self.stage.recipe}, step {step.number} ({step.name}): no column {step.text_key!r} in {self._where()}")
        if self.columns[step.text_key].null_count:
            self._leave(pc.is_null(self.columns[step.text_key]), step.number, step.name, "null_text", stat=step.text_key)
        answer = self._answer(step, handed)
        if step.kind == "mapper":
            self.columns[step.text_key] = answer
            self.features = {k: v for k, v in self.features.items() if k[1] != step.text_key}
        else:
            self._keep_numbers(step, answer)
            if self.stage.decide:
                self._decide(step, answer)

    def _answer(self, step: Step, handed: dict[str, Any]) -> pa.Array:
        """What the operator says of all rows; where it fails, the rows at fault are found by halving and set aside."""
        call = self._caller(step, handed)
        try:
            return call(0, len(self.alive))
        except ValueError as e:
            if not self.stage.tolerate:
                bad, why = self._first_failure(call, e)
                where = self._where(bad)
                raise OperatorError(f"{self.stage.recipe}, step {step.number} ({step.name}), {where}: {why}") from e
        bad_rows, reasons = self._failures(call)
        mask = np.zeros(len(self.alive), bool)
        mask[bad_rows] = True
        notes = np.full(len(mask), None, object)
        notes[bad_rows] = reasons
        self._leave(pa.array(mask), step.number, step.name, "error", note=pa.array(notes, pa.string()))
        return self._caller(step, handed)(0, len(self.alive))

    def _caller(self, step: Step, handed: dict[str, Any]) -> Callable[[int, int], pa.Array]:
        op = step.op
        assert isinstance(op, Operator)
        inputs = [self._input(name, step.text_key) for name in op.reads]

        def call(start: int, stop: int) -> pa.Array:
            answer = op.function(*(c.slice(start, stop - start) for c in inputs), **step.settings, **handed)
            return answer.combine_chunks() if isinstance(answer, pa.ChunkedArray) else answer

        return call

    def _input(self, name: str, text_key: str) -> pa.Array:
        if name == "text":
            return self.columns[text_key]
        if name in self.columns:
            return self.columns[name]
        if (name, text_key) not in self.features:
            op = catalog.by_name(name)
            self.features[name, text_key] = op.function(*(self._input(n, text_key) for n in op.reads))
        return self.features[name, text_key]

    def _failures(self, call: Callable[[int, int], pa.Array]) -> tuple[list[int], list[str]]:
        """Every row on which the operator fails, alone, and what it says."""
        bad, reasons, ranges = [], [], [(0, len(self.alive))]
        while ranges:
            start, stop = ranges.pop()
            try:
                call(start, stop)
            except ValueError as e:
                if stop - start == 1:
                    bad.append(start)
                    reasons.append(str(e))
                else:
                    middle = (start + stop) // 2
                    ranges += [(start, middle), (middle, stop)]
        return bad, reasons

    def _first_failure(self, call: Callable[[int, int], pa.Array], error: ValueError) -> tuple[int, str]:
        start, stop, why = 0, len(self.alive), str(error)
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                call(start, middle)
                start = middle
            except ValueError as e:
                stop, why = middle, str(e)
        return start, why

    def _where(self, row: int = 0) -> str:
        return f"{self.columns[SOURCE][row]} at {self.columns[POSITION][row]}" if len(self.alive) else "an empty batch"

    def _keep_numbers(self, step: Step, answer: pa.Array) -> None:
        fields = answer.flatten() if pa.types.is_struct(answer.type) else [answer]
        for name, values in zip(step.stats, fields, strict=True):
            self.stats[name] = (self.alive, values)

    def _decide(self, step: Step, answer: pa.Array) -> None:
        op, fields = step.op, answer.flatten() if pa.types.is_struct(answer.type) else [answer]
        assert isinstance(op, Operator) and step.keep is not None
        if op.member:
            wanted = step.settings[op.member[1]]
            wanted = [wanted] if isinstance(wanted, str) else wanted
            label = fields[op.stats.index(op.member[0])]
            if any(wanted):
                out = pc.invert(pc.is_in(label, pa.array(wanted, pa.string())))
                note = pc.binary_join_element_wise(op.member[0], label, " is ")
                gone = self._leave(out, step.number, step.name, "not_member", stat=step.stats[0], bound=f"{op.member[0]} in {', '.join(wanted)}", note=note)
                fields = [f.filter(pc.invert(gone)) for f in fields]
        values = fields[-1]
        holds = step.keep.holds(values)
        if holds.null_count:
            gone = self._leave(pc.is_null(holds), step.number, step.name, "no_number", stat=step.stats[-1], bound=str(step.keep))
            values, holds = values.filter(pc.invert(gone)), holds.filter(pc.invert(gone))
        self._leave(pc.invert(holds), step.number, step.name, reasons(step.keep, values), stat=step.stats[-1], value=values, bound=str(step.keep))

    def _leave(
        self, out: pa.BooleanArray, step: int, op: str, reason: str | pa.Array, *, stat: str | None = None,
        value: pa.Array | None = None, bound: str | None = None, note: pa.Array | None = None,
    ) -> pa.BooleanArray:
        """Write a ledger line for each row in `out` and go on with the others. Answers `out`."""
        n = int(pc.sum(pc.cast(out, pa.int64())).as_py() or 0)
        if not n:
            return out
        text = self.columns.get(self.stage.text_keys[0])
        told: dict[str, Any] = {c: self.columns[c].filter(out) for c in KEY_COLUMNS}
        told |= {"step": pa.repeat(pa.scalar(step, pa.int32()), n), "op": pa.repeat(op, n), "stat": pa.repeat(pa.scalar(stat, pa.string()), n)}
        told["reason"] = pa.repeat(reason, n) if isinstance(reason, str) else reason.filter(out)
        told["value"] = pa.nulls(n, pa.float64()) if value is None else pc.cast(value.filter(out), pa.float64())
        told["bound"] = pa.repeat(pa.scalar(bound, pa.string()), n)
        told["kept_id"] = pa.nulls(n, pa.int64())
        told["note"] = pa.nulls(n, pa.string()) if note is None else note.filter(out)
        told["excerpt"] = pa.nulls(n, pa.string()) if text is None else excerpt(text.filter(out))
        self.left.append(pa.RecordBatch.from_pydict(told, schema=ledger.SCHEMA))
        stay = pc.invert(out)
        self.alive = self.alive[stay.to_numpy(zero_copy_only=False)]
        self.columns = {k: v.filter(stay) for k, v in self.columns.items()}
        self.features = {k: v.filter(stay) for k, v in self.features.items()}
        return out

    def _all_stats(self) -> pa.RecordBatch:
        """Numbers of every row that entered, in order; null where a row had left before the number was asked for."""
        columns = {c: self.entered.column(c) for c in KEY_COLUMNS}
        for name, kind in self.types.items():
            if name not in self.stats:
                columns[name] = pa.nulls(len(self.entered), kind)
                continue
            rows, values = self.stats[name]
            places = np.full(len(self.entered), -1)
            places[rows] = np.arange(len(rows))
            columns[name] = values.take(pa.array(places, mask=places < 0))
        return pa.RecordBatch.from_pydict(columns)

    def _all_left(self) -> pa.RecordBatch:
        lines = pa.Table.from_batches(self.left, ledger.SCHEMA).combine_chunks()
        return pa.RecordBatch.from_arrays([c.combine_chunks() if c.num_chunks != 1 else c.chunk(0) for c in lines.columns], schema=ledger.SCHEMA)


def _stat_types(step: Step, handed: dict[str, Any]) -> list[tuple[str, pa.DataType]]:
    """Names and Arrow types of a filter's stat columns: what it answers for no rows at all."""
    if step.kind != "filter":
        return []
    answer = _of_nothing(step.op, **step.settings, **handed)
    fields = list(answer.type) if pa.types.is_struct(answer.type) else [answer]
    return [(name, f.type) for name, f in zip(step.stats, fields, strict=True)]


def _of_nothing(op: Any, **settings: Any) -> pa.Array:
    empty = pa.array([], pa.string())
    names = {o.name for o in catalog.table("feature")}
    return op.function(*(_of_nothing(catalog.by_name(n)) if n in names else empty for n in op.reads), **settings)


def reasons(keep: Range, values: pa.Array) -> pa.Array:
    """below_min or above_max for each value that does not hold (in_reversed_range where the range is reversed)."""
    if keep.reverse:
        return pa.repeat("in_reversed_range", len(values))
    if keep.min is None:
        return pa.repeat("above_max", len(values))
    below = (pc.less if keep.min_closed else pc.less_equal)(values, keep.min)
    return pc.if_else(below, "below_min", "above_max")


def excerpt(text: pa.Array) -> pa.Array:
    """The beginning of each text."""
    return pc.utf8_slice_codeunits(text, 0, ledger.EXCERPT)


def ids(batch: pa.RecordBatch) -> np.ndarray:
    """int64[n]: the row ids of a batch."""
    return batch.column(ID).to_numpy()
