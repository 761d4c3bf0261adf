"""Guards: limits on what may leave, checked after every stage, so that a filter gone wrong stops a nightly run before export.

    guards: {max_drop: 0.6, max_drop_per_step: 0.4, min_rows: 1000}

What a selector leaves behind was asked for, and rows that a grouper makes one of are still there: both count for `min_rows` only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import GuardError, did_you_mean

LIMITS = {"max_drop": "share of the rows read", "max_drop_per_step": "share of the rows it was given", "min_rows": "rows"}


def problems(guards: Any) -> list[str]:
    """What is wrong with the recipe's `guards`, in sentences."""
    if not isinstance(guards, Mapping):
        return [f"guards is a mapping such as {{max_drop: 0.6}}, not {guards!r}"]
    wrong = []
    for name, limit in guards.items():
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if name not in LIMITS:
            wrong.append(f"guards: unknown limit {name!r}.{did_you_mean(str(name), LIMITS)} There are: {', '.join(LIMITS)}.")
        elif not number or not 0 <= limit < float("inf") or (name != "min_rows" and limit > 1):
            wrong.append(f"guards: {name} is {'a number of' if name == 'min_rows' else 'a'} {LIMITS[name]}, not {limit!r}")
    return wrong


def check(limits: Mapping[str, float], steps: Sequence[Mapping[str, Any]]) -> None:
    """Raises GuardError where the steps done so far (as the manifest tells them) have sent more rows away than the limits allow."""
    if not limits:
        return
    dropping = [(step["rows_in"] - step["rows_out"], step) for step in steps if step["kind"] not in ("selector", "grouper")]
    most = limits.get("max_drop_per_step", 1.0)
    for dropped, step in dropping:
        if dropped > most * step["rows_in"]:
            told = f"{_where(step)} sent {dropped:,} of {step['rows_in']:,} rows away ({dropped / step['rows_in']:.1%})"
            raise GuardError(f"{told}; guards.max_drop_per_step is {most:g}. Nothing was exported")
    read, dropped = steps[0]["rows_in"], sum(n for n, _ in dropping)
    n, worst = max(dropping, key=lambda pair: pair[0])
    if dropped > limits.get("max_drop", 1.0) * read:
        told = f"{dropped:,} of {read:,} rows left ({dropped / read:.1%}), {n:,} of them in {_where(worst)}"
        raise GuardError(f"{told}; guards.max_drop is {limits['max_drop']:g}. Nothing was exported")
    if steps[-1]["rows_out"] < limits.get("min_rows", 0):
        told = f"{steps[-1]['rows_out']:,} rows are left after {_where(steps[-1])}; most left in {_where(worst)} ({n:,})"
        raise GuardError(f"{told}; guards.min_rows is {limits['min_rows']:g}. Nothing was exported")


def _where(step: Mapping[str, Any]) -> str:
    return f"step {step['step']} ({step['op']})" if step["step"] else "reading"
