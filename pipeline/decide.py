"""Who leaves, and what the ledger says of them: from a filter's answer, or its failure, to masks; from masks to lines."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..operators.base import Operator, Range
from . import ledger
from .ledger import KEY_COLUMNS
from .steps import Step

Call = Callable[[int, int], pa.Array]  # an operator's answer for the rows start <= i < stop


@dataclass(frozen=True)
class Verdict:
    """Rows that leave, and why; every array is over all the rows that were there.

    Attributes:
        out: which of them leave.
        reason: one for all, or one for each row.
        stat, value, bound: the number that was looked at, what it was, what would have stayed.
        note: anything more, for people.
    """

    out: pa.BooleanArray
    reason: str | pa.StringArray
    stat: str | None = None
    value: pa.Array | None = None
    bound: str | None = None
    note: pa.StringArray | None = None

    def __len__(self) -> int:
        """How many rows leave."""
        return int(self.out.true_count)


def fields(answer: pa.Array) -> list[pa.Array]:
    """A filter's numbers, one array for each of its stats."""
    return answer.flatten() if pa.types.is_struct(answer.type) else [answer]


def verdicts(step: Step, answer: pa.Array) -> Iterator[Verdict]:
    """What a filter's answer means by the step's settings; each verdict is over the rows that those before it left."""
    op, numbers = step.op, fields(answer)
    assert isinstance(op, Operator) and step.keep is not None
    if op.member:
        stays = yield from _members(step, op, op.member, numbers)
        numbers = [n.filter(stays) for n in numbers]
    if op.rules and not step.keep.reverse:
        numbers = yield from _rules(step, op, numbers)
    values = numbers[-1]
    holds = step.keep.holds(values)
    if holds.null_count:
        missing = pc.is_null(holds)
        yield Verdict(missing, "no_number", step.stats[-1], bound=str(step.keep))
        values, holds = values.filter(pc.invert(missing)), holds.filter(pc.invert(missing))
    note = numbers[op.stats.index(op.note)] if op.note else None
    yield Verdict(pc.invert(holds), reasons(step.keep, values), step.stats[-1], values, str(step.keep), note)


def _rules(step: Step, op: Operator, numbers: Sequence[pa.Array]) -> Generator[Verdict, None, list[pa.Array]]:
    """Rows that break more rules than they may, each by the first that it breaks; returns the numbers of the others."""
    assert step.keep is not None
    out, left = pc.fill_null(pc.invert(step.keep.holds(numbers[-1])), False), list(numbers)
    for rule in op.rules:
        keep, place = rule.range(step.settings), op.stats.index(rule.stat)
        broken = pc.and_(out, pc.fill_null(pc.invert(keep.holds(left[place])), False))
        reason = pc.binary_join_element_wise(rule.stat, reasons(keep, left[place]), "_")
        yield Verdict(broken, reason, step.stats[place], left[place], str(keep))
        others = pc.invert(broken)
        out, left = out.filter(others), [n.filter(others) for n in left]
    return left


def _members(
    step: Step, op: Operator, member: tuple[str, str], numbers: Sequence[pa.Array]
) -> Generator[Verdict, None, pa.BooleanArray]:
    """Rows whose label is none of those that the setting names, where it names any; returns the mask of the others."""
    label, given = numbers[op.stats.index(member[0])], step.settings[member[1]]
    wanted = [w for w in ([given] if isinstance(given, str) else given) if w]
    if not wanted:
        return pa.array(np.ones(len(label), bool))
    stays = pc.is_in(label, pa.array(wanted, pa.string()))
    stat = step.stats[op.stats.index(member[0])]
    note = pc.binary_join_element_wise(member[0], label, " is ")
    yield Verdict(pc.invert(stays), "not_member", stat, bound=f"{member[0]} in {', '.join(wanted)}", note=note)
    return stays


def lines(rows: Mapping[str, pa.Array], text: pa.StringArray | None, step: int, op: str, verdict: Verdict) -> pa.RecordBatch:
    """The ledger lines of a verdict over `rows`; `text` is what the excerpts are of."""
    n, out = len(verdict), verdict.out
    told = {c: rows[c].filter(out) for c in KEY_COLUMNS}
    told |= {
        "step": pa.repeat(pa.scalar(step, pa.int32()), n), "op": pa.repeat(op, n),
        "reason": pa.repeat(verdict.reason, n) if isinstance(verdict.reason, str) else verdict.reason.filter(out),
        "stat": pa.repeat(pa.scalar(verdict.stat, pa.string()), n),
        "value": pa.nulls(n, pa.float64()) if verdict.value is None else pc.cast(verdict.value.filter(out), pa.float64()),
        "bound": pa.repeat(pa.scalar(verdict.bound, pa.string()), n), "kept_id": pa.nulls(n, pa.int64()),
        "note": pa.nulls(n, pa.string()) if verdict.note is None else verdict.note.filter(out),
        "excerpt": pa.nulls(n, pa.string()) if text is None else excerpt(text.filter(out)),
    }
    return pa.RecordBatch.from_pydict(told, schema=ledger.SCHEMA)


def reasons(keep: Range, values: pa.Array) -> pa.StringArray:
    """below_min or above_max for each value that does not hold (in_reversed_range where the range is reversed)."""
    if keep.reverse:
        return pa.repeat("in_reversed_range", len(values))
    if keep.min is None:
        return pa.repeat("above_max", len(values))
    below = (pc.less if keep.min_closed else pc.less_equal)(values, keep.min)
    return pc.if_else(below, "below_min", "above_max")


def excerpt(text: pa.Array) -> pa.StringArray:
    """The beginning of each text; of a group, a list of them, that of the first."""
    if pa.types.is_list(text.type):
        text = pc.binary_join(pc.list_slice(text, 0, 1), "")
    return pc.utf8_slice_codeunits(pc.cast(text, pa.string()), 0, ledger.EXCERPT)


def failures(call: Call, rows: int, error: ValueError) -> tuple[list[int], list[str]]:
    """Every row on which the operator fails, alone, and what it says."""
    bad, why, ranges = [], [], [(0, rows)]
    while ranges:
        start, stop = ranges.pop()
        try:
            call(start, stop)
        except ValueError as e:
            if stop - start == 1:
                bad.append(start)
                why.append(str(e))
            else:
                middle = (start + stop) // 2
                ranges += [(middle, stop), (start, middle)]
    return bad, why


def first_failure(call: Call, rows: int, error: ValueError) -> tuple[list[int], list[str]]:
    """The first row on which the operator fails, and what it says."""
    start, stop, why = 0, rows, str(error)
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            call(start, middle)
            start = middle
        except ValueError as e:
            stop, why = middle, str(e)
    return [start], [why]
