"""Selectors that look at one column, or field of a struct column, and at nothing else: the answers of Data-Juicer's.

They take no budget. Rows are picked in the order that is told; without a `field_key`, and in a pool of one row, all stay.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .base import Pool, Selection, selector


def number_of(value: Any, missing: float = -sys.maxsize) -> float:
    """A value as a number: text that Python reads as one, the mean of a list; anything else is `missing`."""
    try:
        if isinstance(value, str):
            return float(value)
        if value is None or (isinstance(value, list | np.ndarray) and not len(value)):
            return missing
        return float(np.asarray(value).mean())
    except (TypeError, ValueError):
        return missing


def _ranked(rows: Sequence[int], key: Callable[[int], Any], largest: bool, count: int) -> list[int]:
    """The first `count` rows by `key`, equal ones in the order that they have."""
    return sorted(rows, key=key, reverse=largest)[: max(count, 0)]


def _all(pool: Pool) -> Selection:
    return Selection(np.arange(len(pool)), np.ones(len(pool)))


def _first(pool: Pool, index: Sequence[int], gain: Sequence[float] | None = None) -> Selection:
    picked = np.asarray(index, np.int64)
    return Selection(picked, np.ones(len(picked)) if gain is None else np.asarray(gain, np.float64))


def _smaller(ratio: float | None, count: int | None, of: int) -> int | None:
    """How many of `of`: the smaller of a share and a number; None: neither is given."""
    if not ratio:
        return count or None
    share = ratio * of
    return int(min(share, count)) if count else int(share)


@selector("topk_specified_field_selector", needs=("field",))
def topk(
    pool: Pool, budget: float, *, seed: int, field_key: str = "", top_ratio: float | None = None, topk: int | None = None,
    reverse: bool = True,
) -> Selection:
    """Rows with the largest values in `field_key`, largest first; the smallest with `reverse: false`.

    `topk` rows or the share `top_ratio`, the smaller where both are given; all where neither is. Equal values: the row that
    comes first. In a field that holds anything but text, what is no number comes last; text is in the order of its code points,
    but in a field of a struct it is a number or comes last. Source: Data-Juicer. `gain` is the value.
    """
    assert pool.field is not None
    count = _smaller(top_ratio, topk, len(pool))
    if len(pool) <= 1 or not field_key or count is None:
        return _all(pool)
    values = pool.field.tolist()
    numbers = [number_of(v, -sys.maxsize if reverse else sys.maxsize) for v in values]
    words = "." not in field_key and all(isinstance(v, str) for v in values)
    index = _ranked(range(len(pool)), (values if words else numbers).__getitem__, reverse, count)
    rank = np.empty(len(pool), np.int32)
    order = [*index, *sorted(set(range(len(pool))) - set(index))]
    rank[order] = np.arange(1, len(pool) + 1)
    picked = _first(pool, index, None if words else [numbers[i] for i in index])
    return Selection(picked.index, picked.gain, {"rank": rank})


@selector("range_specified_field_selector", needs=("field",))
def between(
    pool: Pool, budget: float, *, seed: int, field_key: str = "", lower_percentile: float | None = None,
    upper_percentile: float | None = None, lower_rank: int | None = None, upper_rank: int | None = None,
) -> Selection:
    """Rows whose values in `field_key` lie between two places of the ascending order, given as shares or ranks; largest first.

    Of a share and a rank the narrower holds. All rows where one of the ends is not given. What is no number comes first in
    the order. Source: Data-Juicer. `gain` is the value.
    """
    assert pool.field is not None
    lower, upper = (lower_percentile, lower_rank), (upper_percentile, upper_rank)
    if len(pool) <= 1 or not field_key or lower == (None, None) or upper == (None, None):
        return _all(pool)
    low = max(int((lower_percentile or 0) * len(pool)), lower_rank or 0)
    high = len(pool) if upper_percentile is None else int(upper_percentile * len(pool))
    high = max(low, high if upper_rank is None else min(high, upper_rank))
    numbers = [number_of(v) for v in pool.field.tolist()]
    smallest = _ranked(range(len(pool)), numbers.__getitem__, False, high)
    index = _ranked(smallest, numbers.__getitem__, True, high - low)
    return _first(pool, index, [numbers[i] for i in index])


@selector("frequency_specified_field_selector", needs=("field",))
def frequent(
    pool: Pool, budget: float, *, seed: int, field_key: str = "", top_ratio: float | None = None, topk: int | None = None,
    reverse: bool = True,
) -> Selection:
    """Rows with the most frequent values in `field_key`, the most frequent value's rows first; the rarest with `reverse: false`.

    `topk` values or the share `top_ratio` of all different ones, the smaller where both are given; all rows where neither is.
    Equally frequent: the value that comes first. Raises ValueError for values that are neither text nor numbers.
    Source: Data-Juicer. `gain` is 1.
    """
    assert pool.field is not None
    groups: dict[Any, list[int]] = {}
    for i, value in enumerate(pool.field.tolist()):
        groups.setdefault(_plain(value), []).append(i)
    count = _smaller(top_ratio, topk, len(groups))
    if len(pool) <= 1 or not field_key or count is None:
        return _all(pool)
    chosen = sorted(groups.values(), key=len, reverse=reverse)[:count]
    return _first(pool, [i for group in chosen for i in group])


@selector("tags_specified_field_selector", needs=("field",))
def tagged(pool: Pool, budget: float, *, seed: int, field_key: str = "", target_tags: list[Any]) -> Selection:
    """Rows whose value in `field_key` is one of `target_tags`.

    Raises ValueError for values that are neither text nor numbers. Source: Data-Juicer. `gain` is 1.
    """
    assert pool.field is not None
    if len(pool) <= 1 or not field_key:
        return _all(pool)
    wanted = {_plain(tag, "target_tags") for tag in target_tags}
    return _first(pool, [i for i, value in enumerate(pool.field.tolist()) if _plain(value) in wanted])


def _plain(value: Any, setting: str = "field_key") -> Any:
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{setting} holds {type(value).__name__}: it must hold text or numbers")
    return value
