"""What happens to one batch of rows: the steps of a fused stage, in order, features computed once and shared.

The same code runs for every engine, worker count and batch border. After each filter the rows that left are put into
the ledger and the rest goes on, so that no step works for a row that an earlier one has already sent away.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..operators import catalog
from ..operators.base import Operator
from . import columns, ledger, resources
from .decide import Call, Verdict, excerpt, failures, fields, first_failure, lines, verdicts
from .errors import OperatorError
from .formats.schemas import ERROR, kind
from .ledger import ID, KEY_COLUMNS, KEY_FIELDS, POSITION, SOURCE
from .resources import Pin
from .steps import Step

__all__ = ["Outcome", "Steps", "excerpt"]


@dataclass(frozen=True)
class Outcome:
    """One batch after the steps: rows that stay, numbers of all rows that entered, ledger lines of those that left.

    `changed`: step number -> how many texts a mapper changed; `born`: rows more than entered, by texts cut into several.
    """

    rows: pa.RecordBatch
    stats: pa.RecordBatch
    left: pa.RecordBatch
    changed: dict[int, int]
    born: int = 0


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
        loaded, types = self._load(), self.stats_schema()
        for batch in batches:
            yield _Batch(batch, self, loaded, types).run()

    def stats_schema(self) -> pa.Schema:
        """Columns of every outcome's `stats`: the key columns and the numbers that each step answers for no rows at all."""
        columns = list(KEY_FIELDS)
        for step, handed in zip(self.steps, self._load(), strict=True):
            if step.stats and not step.stale:
                numbers = fields(_on_nothing(step.op, **step.settings, **handed))[-len(step.stats) :]
                columns += [pa.field(name, f.type) for name, f in zip(step.stats, numbers, strict=True)]
        return pa.schema(columns)

    def _load(self) -> list[dict[str, Any]]:
        return [resources.load(p) for p in self.pins]


def _on_nothing(op: Any, **settings: Any) -> pa.Array:
    return op.function(*(_on_nothing(_FEATURES[n]) if n in _FEATURES else nothing(n) for n in op.reads), **settings)


def nothing(name: str) -> pa.Array:
    """What an operator's parameter of that name receives when there are no rows."""
    return pa.array([], pa.struct([]) if name == ROWS else pa.string())


_FEATURES = {op.name: op for op in catalog.table("feature")}
ROWS = "rows"  # the parameter that receives all columns
NUMBERS, META = "__dj__stats__", "__dj__meta__"  # Data-Juicer's columns of numbers and of tags


class _Batch:
    """The state of one batch on its way through the steps; `alive` are the row numbers that have not left."""

    def __init__(self, batch: pa.RecordBatch, stage: Steps, loaded: Sequence[dict[str, Any]], types: pa.Schema) -> None:
        self.entered, self.stage, self.loaded, self.types = batch, stage, loaded, types
        self.alive = np.arange(len(batch))
        self.columns: dict[str, pa.Array] = dict(zip(batch.schema.names, batch.columns, strict=True))
        self.features: dict[tuple[str, str], pa.Array] = {}
        self.stats: dict[str, tuple[np.ndarray, pa.Array]] = {}
        self.left: list[pa.RecordBatch] = []
        self.changed: dict[int, int] = {}
        self.born = 0

    def run(self) -> Outcome:
        if ERROR in self.columns:
            errors = self.columns.pop(ERROR)
            self._leave(0, "read", Verdict(pc.is_valid(errors), "error", note=errors))
        for key in self.stage.text_keys:
            if key in self.columns:
                self._leave(0, "read", Verdict(pc.is_null(self.columns[key]), "null_text", key))
        for step, handed in zip(self.stage.steps, self.loaded, strict=True):
            self._leave(step.number, step.name, Verdict(pc.is_null(self._text(step)), "null_text", step.text_key))
            if len(self.alive):
                self._apply(step, handed)
        left = pa.Table.from_batches(self.left, ledger.SCHEMA).combine_chunks().to_batches()
        rows = pa.RecordBatch.from_pydict(self.columns)
        return Outcome(rows, self._numbers(), left[0] if left else _NOBODY, self.changed, self.born)

    def _text(self, step: Step) -> pa.Array:
        """The column that the step reads. A batch in which no row has it holds nulls."""
        column = columns.find(self.columns, step.text_key)
        if column is None or pa.types.is_null(column.type):
            return pa.nulls(len(self.alive), pa.string())
        if not pa.types.is_string(column.type):
            raise OperatorError(f"{self._where(step)}: column {step.text_key!r} is {kind(column.type)}, not text")
        return column

    def _apply(self, step: Step, handed: dict[str, Any]) -> None:
        answer = self._known(step) if step.stale else self._answer(step, handed)
        if step.kind == "mapper":
            self._map(step, answer)
            return
        for name, values in zip(step.stats, fields(answer), strict=True) if not step.stale else ():
            self.stats[name] = (self.alive, values)
        for verdict in verdicts(step, answer) if self.stage.decide else ():
            self._leave(step.number, step.name, verdict)

    def _known(self, step: Step) -> pa.Array:
        """The numbers that an earlier step has computed, whatever column it read and whatever has changed since."""
        found = [self.stats[name] for name in step.stats]
        numbers = [values.take(pa.array(np.searchsorted(rows, self.alive))) for rows, values in found]
        return numbers[0] if len(numbers) == 1 else pa.StructArray.from_arrays(numbers, names=list(step.stats))

    def _map(self, step: Step, answer: pa.Array) -> None:
        """Put a mapper's answer in place of what it read; or cut the rows; or set the columns that it names."""
        if isinstance(step.op, Operator) and step.op.many:
            answer = self._cut(step, answer)
        before = self._text(step)
        told = [(step.text_key, answer)]
        if step.stats:
            text, *numbers = answer.flatten()
            told = [(step.text_key, text)]
            self.stats |= {name: (self.alive, values) for name, values in zip(step.stats, numbers, strict=True)}
        elif pa.types.is_struct(answer.type):
            named = zip((f.name for f in answer.type), answer.flatten(), strict=True)
            told = [(name, values) for name, values in named if name not in (*KEY_COLUMNS, NUMBERS)]
        for name, values in told:
            columns.put(self.columns, name, columns.merged(self.columns.get(META), values) if name == META else values)
        self.changed[step.number] = pc.sum(pc.not_equal(before, self._text(step))).as_py() or 0
        self.features = {} if len(told) > 1 else {k: v for k, v in self.features.items() if k[1] != told[0][0]}

    def _cut(self, step: Step, answer: pa.ListArray) -> pa.Array:
        """Make as many rows of each as its list has elements; the first keeps the id. The step is the first of its stage."""
        counts = pc.list_value_length(answer)
        self._leave(step.number, step.name, Verdict(pc.equal(counts, 0), "no_text", step.text_key))
        sizes = counts.to_numpy()
        entries = np.ones(len(self.entered), np.int64)
        whole = np.zeros(len(self.entered), bool)
        whole[self.alive] = True
        entries[self.alive] = sizes[sizes > 0]
        index = np.repeat(np.arange(len(entries)), entries)
        number = np.arange(len(index)) - np.repeat(np.cumsum(entries) - entries, entries)
        keys = {c: self.entered.column(c).take(pa.array(index)) for c in KEY_COLUMNS}
        keys[ID] = pa.array(child_ids(keys[ID].to_numpy(), number))
        self.entered, self.born = pa.RecordBatch.from_pydict(keys), len(index) - len(entries)
        again = pa.array(np.repeat(np.arange(len(self.alive)), sizes[sizes > 0]))
        self.alive = np.flatnonzero(whole[index])
        self.columns = {k: v.take(again) for k, v in self.columns.items()}
        self.columns |= {c: keys[c].take(pa.array(self.alive)) for c in KEY_COLUMNS}
        return answer.flatten()

    def _answer(self, step: Step, handed: dict[str, Any]) -> pa.Array:
        """What the operator says of all rows; where it fails, the rows at fault are found by halving and set aside."""
        call = self._caller(step, handed)
        try:
            return call(0, len(self.alive))
        except ValueError as e:
            bad, why = (failures if self.stage.tolerate else first_failure)(call, len(self.alive), e)
            if not self.stage.tolerate or not bad:
                raise OperatorError(f"{self._where(step, bad[0] if bad else 0)}: {why[0] if bad else e}") from e
        mask, notes = np.zeros(len(self.alive), bool), np.full(len(self.alive), None, object)
        mask[bad], notes[bad] = True, why
        self._leave(step.number, step.name, Verdict(pa.array(mask), "error", note=pa.array(notes, pa.string())))
        return self._answer(step, handed)

    def _caller(self, step: Step, handed: dict[str, Any]) -> Call:
        op = step.op
        assert isinstance(op, Operator)

        def call(start: int, stop: int) -> pa.Array:
            part = None if stop - start == len(self.alive) else slice(start, stop)
            answer = op.function(*(self._input(name, step.text_key, part) for name in op.reads), **step.settings, **handed)
            return answer.combine_chunks() if isinstance(answer, pa.ChunkedArray) else answer

        return call

    def _input(self, name: str, text_key: str, part: slice | None) -> pa.Array:
        """A feature of the text, computed once for all rows (`part` None), or anew for some; or the column of that name."""
        op = _FEATURES.get(name)
        if op is None:
            column = self._rows() if name == ROWS else columns.find(self.columns, text_key if name == "text" else name)
            assert column is not None
            return column if part is None else column[part]
        if part is None and (name, text_key) in self.features:
            return self.features[name, text_key]
        answer = op.function(*(self._input(n, text_key, part) for n in op.reads))
        if part is None:
            self.features[name, text_key] = answer
        return answer

    def _rows(self) -> pa.StructArray:
        """All columns but the key columns, and the numbers of this pass so far, as one."""
        told = {k: v for k, v in self.columns.items() if k not in KEY_COLUMNS}
        numbers = {n: values.take(pa.array(np.searchsorted(rows, self.alive))) for n, (rows, values) in self.stats.items()}
        if numbers:
            told[NUMBERS] = pa.StructArray.from_arrays(list(numbers.values()), names=list(numbers))
        return pa.StructArray.from_arrays(list(told.values()), names=list(told))

    def _where(self, step: Step, row: int = 0) -> str:
        place = f"{self.columns[SOURCE][row]} at {self.columns[POSITION][row]}" if len(self.alive) else "an empty batch"
        return f"{self.stage.recipe}, step {step.number} ({step.name}), {place}"

    def _leave(self, step: int, op: str, verdict: Verdict) -> None:
        """Write a ledger line for each row that leaves and go on with the others."""
        if not len(verdict):
            return
        self.left.append(lines(self.columns, self.columns.get(self.stage.text_keys[0]), step, op, verdict))
        stay = pc.invert(verdict.out)
        self.alive = self.alive[stay.to_numpy(zero_copy_only=False)]
        self.columns = {k: v.filter(stay) for k, v in self.columns.items()}
        self.features = {k: v.filter(stay) for k, v in self.features.items()}

    def _numbers(self) -> pa.RecordBatch:
        """Numbers of every row that entered, in order; null where a row had left before the number was asked for."""
        columns = {c: self.entered.column(c) for c in KEY_COLUMNS}
        for field in list(self.types)[len(KEY_COLUMNS):]:
            rows, values = self.stats.get(field.name, (self.alive[:0], pa.nulls(0, field.type)))
            places = np.full(len(self.entered), -1)
            places[rows] = np.arange(len(rows))
            columns[field.name] = values.take(pa.array(places, mask=places < 0))
        return pa.RecordBatch.from_pydict(columns, schema=self.types)


def child_ids(ids: np.ndarray, number: np.ndarray) -> np.ndarray:
    """int64[n]: the id itself for the first part of a row (number 0), a hash of id and number for the others."""
    with np.errstate(over="ignore"):
        h = ids.view(np.uint64) + number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.where(number == 0, ids, (h ^ (h >> np.uint64(31))).view(np.int64))


_NOBODY = pa.RecordBatch.from_pylist([], schema=ledger.SCHEMA)
