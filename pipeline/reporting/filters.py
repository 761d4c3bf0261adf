"""The filters' section: each number over all rows that reached it, its bounds, rows that left and rows at the border."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ...operators.base import Operator
from ..plan import Plan
from ..steps import Step
from ..workspace import StageFolder
from . import numbers, svg
from .numbers import Departures, Reached, Spread
from .shelf import Example, Shelf, by_chance
from .words import drawn, number, stays

HELD = 128 << 20  # bytes of numbers that are looked at together
GONE, NEAR = 3, 2  # examples of rows that left, and of either side of each border


@dataclass(frozen=True)
class FilterView:
    """One filter as the page shows it."""

    told: Mapping[str, Any]
    summary: str
    unit: str
    stays: str
    stat: str
    spread: Spread
    picture: Markup
    members: Markup | None
    gone: list[Example]
    near_left: list[Example]
    near_stays: list[Example]
    note: str


def views(manifest: Mapping[str, Any], plan: Plan, folders: Mapping[int, StageFolder], shelf: Shelf) -> Iterator[FilterView]:
    """One view per filter step, in order. Cost: 17 bytes a row for each filter, for as many at a time as fit into HELD."""
    told = {s["step"]: s for s in manifest["steps"]}
    for stage in plan.stages:
        steps = [step for step in stage.steps if step.kind == "filter"]
        at_once = HELD // (17 * max(1, *(told[step.number]["rows_in"] for step in steps), 1)) or 1
        gone = Departures(folders[stage.index]) if steps else None
        for some in (steps[i : i + at_once] for i in range(0, len(steps), at_once)):
            assert gone is not None
            found = numbers.reached(folders[stage.index], [(step.stats[-1], step.number) for step in some], gone)
            for step, rows in zip(some, found, strict=True):
                yield _view(step, told[step.number], rows, folders[stage.index], gone, shelf)


def _view(step: Step, told: Mapping[str, Any], rows: Reached, folder: StageFolder, gone: Departures, shelf: Shelf) -> FilterView:
    op, stat = step.op, step.stats[-1]
    assert isinstance(op, Operator) and op.unit is not None and step.keep is not None
    spread = numbers.spread(rows.values)
    lines = drawn(step.keep, op.unit)
    bins = numbers.histogram(rows.values, rows.left, spread, [v for _, v in lines])
    alt = f"Histogram of {stat}: {len(rows.ids):,} rows, {int(rows.left.sum()):,} left"
    members = None
    if op.member:
        name = step.stats[op.stats.index(op.member[0])]
        members = svg.bars(numbers.labels(folder, name, step.number, gone), f"Rows per {name}")
    values = [v for _, v in lines]
    return FilterView(
        told, op.summary, op.unit.name, stays(step.keep, op.unit), stat, spread, svg.histogram(bins, lines, alt), members,
        gone=_gone(rows, shelf), near_left=_nearest(rows, values, rows.left, shelf),
        near_stays=_nearest(rows, values, ~rows.left, shelf), note=_note(bins, spread),
    )


def _gone(rows: Reached, shelf: Shelf) -> list[Example]:
    """Rows that left, drawn by their ids."""
    left = np.flatnonzero(rows.left)
    return [_take(rows, i, shelf) for i in left[by_chance(rows.ids[left], GONE)]]


def _nearest(rows: Reached, lines: list[float], among: np.ndarray, shelf: Shelf) -> list[Example]:
    """Of `among`, the rows whose number lies nearest to a bound; equal distances by chance of id."""
    able = np.flatnonzero(among & np.isfinite(rows.values))
    if not lines or not len(able) or not rows.left.any():
        return []
    apart = np.min([np.abs(rows.values[able] - v) for v in lines], axis=0)
    near = able[apart <= np.partition(apart, min(NEAR, len(able)) - 1)[min(NEAR, len(able)) - 1]]
    near = near[by_chance(rows.ids[near], len(near))]
    distance = np.min([np.abs(rows.values[near] - v) for v in lines], axis=0)
    return [_take(rows, i, shelf) for i in near[np.argsort(distance, kind="stable")][:NEAR]]


def _take(rows: Reached, i: int, shelf: Shelf) -> Example:
    value = float(rows.values[i])
    return shelf.take(int(rows.ids[i]), None if np.isnan(value) else value)


def _note(bins: numbers.Histogram, spread: Spread) -> str:
    told = ["the axis is logarithmic"] if bins.log else []
    if spread.nulls:
        told.append(f"{number(spread.nulls)} rows have no number and are not drawn")
    return "; ".join(told)
