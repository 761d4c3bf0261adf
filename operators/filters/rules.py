"""What filters with several rules have in common: the unit of how many are broken, and counting them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..base import Rule, Unit
from ..kernels.strings import nulls

BROKEN = Unit("rules broken", "broken", 0.0)


def names(rules: Sequence[Rule], last: str) -> tuple[str, ...]:
    """The stats of a filter with these rules; `last` says how many are broken."""
    return (*(rule.stat for rule in rules), last)


def judged(
    rules: Sequence[Rule], last: str, numbers: Mapping[str, np.ndarray], settings: Mapping[str, Any], like: pa.Array
) -> pa.StructArray:
    """struct of `numbers`, each rule's, and of how many of the rules are broken by `settings`; null where `like` is null."""
    columns = [pa.array(numbers[rule.stat]) for rule in rules]
    broken = np.zeros(len(like), np.int64)
    for rule, column in zip(rules, columns, strict=True):
        broken += ~np.asarray(pc.fill_null(rule.range(settings).holds(column), False), dtype=bool)
    mask = nulls(like)
    return pa.StructArray.from_arrays(
        [*columns, pa.array(broken)], names=[*names(rules, last)], mask=None if mask is None else pa.array(mask)
    )
