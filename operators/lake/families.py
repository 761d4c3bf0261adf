"""Families of types: whose values can be ordered against each other, and whose can never be equal.

Both follow from the canonical form (canonical.py). Decimals are never ordered against floats: 1.1 and decimal 1.1 are one
value there, but not one number.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

UNKNOWN, INTEGER, FLOAT, DECIMAL, TEXT, BOOLEAN, DATE, LOCAL, UTC, TIME, DURATION, BINARY, NESTED = range(13)
NAMES = ("unknown", "integer", "float", "decimal", "text", "boolean", "date", "timestamp", "timestamp with zone", "time",
         "duration", "binary", "nested")
_NUMBERS = (INTEGER, FLOAT, DECIMAL)
_WRITTEN = (INTEGER, FLOAT, DECIMAL, BOOLEAN, DATE)  # equal to the text that they are written as


def family(type: pa.DataType) -> int:
    """The family of an Arrow type. A column of type null is UNKNOWN: it holds no value."""
    checks = (
        (pa.types.is_null, UNKNOWN), (pa.types.is_integer, INTEGER), (pa.types.is_floating, FLOAT), (pa.types.is_decimal, DECIMAL),
        (pa.types.is_boolean, BOOLEAN), (pa.types.is_date, DATE), (pa.types.is_time, TIME), (pa.types.is_duration, DURATION),
        (_is_text, TEXT), (_is_binary, BINARY),
    )
    for check, told in checks:
        if check(type):
            return told
    if pa.types.is_timestamp(type):
        return UTC if type.tz else LOCAL
    if pa.types.is_dictionary(type) or pa.types.is_run_end_encoded(type):
        return family(type.value_type)
    return NESTED


def _is_text(type: pa.DataType) -> bool:
    return pa.types.is_string(type) or pa.types.is_large_string(type) or str(type) == "string_view"


def _is_binary(type: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_kind(type) for is_kind in kinds) or str(type) == "binary_view"


def _table(holds: Callable[[int, int], bool]) -> np.ndarray:
    size = len(NAMES)
    return np.array([[holds(a, b) for b in range(size)] for a in range(size)])


def _ordered(a: int, b: int) -> bool:
    if a in _NUMBERS and b in _NUMBERS:
        return {a, b} != {FLOAT, DECIMAL}
    return a == b and a not in (UNKNOWN, NESTED)


def _apart(a: int, b: int) -> bool:
    if UNKNOWN in (a, b) or a == b or (a in _NUMBERS and b in _NUMBERS):
        return False
    return not (TEXT in (a, b) and (a in _WRITTEN or b in _WRITTEN))


ORDERED = _table(_ordered)  # bool[13, 13]: low and high of the two can be compared
APART = _table(_apart)  # bool[13, 13]: no value of one is ever a value of the other
