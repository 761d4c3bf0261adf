"""One JSON line as a Python object: read, judged, and typed."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa

from .schemas import DEPTH, ConflictError, kind, merge

_LONG = re.compile(rb"[:\[,\s]-?\d{20,}[\s,\]}]")


def loaded(line: bytes) -> tuple[dict[str, Any], bytes]:
    """A line's object, and the line written anew without repeated keys. Raises ValueError with one good sentence."""
    again: Callable[[Any], bytes] = orjson.dumps
    try:
        value = orjson.loads(line)
        if _LONG.search(line):
            value, again = _exactly(line), _dumped_as_python_writes
    except orjson.JSONDecodeError as e:
        value, again = _loaded_as_python_writes(line, e), _dumped_as_python_writes
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is expected, this is {type(value).__name__}: {_excerpt(line)}")
    try:
        return value, again(value)
    except orjson.JSONEncodeError as e:
        raise ValueError(f"nested too deeply ({e})") from e


def _exactly(line: bytes) -> Any:
    """orjson rounds whole numbers of 20 digits and more to floats; Python reads them as they are, and they are refused."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise ValueError(f"a number of too many digits, or nested too deeply ({e})") from e


def _loaded_as_python_writes(line: bytes, why: ValueError) -> Any:
    """NaN and Infinity, which Python writes into JSON, are read; anything else that orjson refuses is refused."""
    try:
        line.decode()
    except UnicodeDecodeError as e:
        raise ValueError(f"not UTF-8: byte 0x{line[e.start]:02x} at {e.start} of the line") from e
    reason = f"not JSON: {str(why).rsplit(': line', 1)[0]} at character {getattr(why, 'pos', 0)} of the line: {_excerpt(line)}"
    if b"NaN" not in line and b"Infinity" not in line:
        raise ValueError(reason) from why
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise ValueError(reason) from e


def _dumped_as_python_writes(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as e:
        raise ValueError("not JSON: a lone surrogate in a string") from e


def _excerpt(line: bytes) -> str:
    text = line[:80].decode(errors="replace")
    return repr(text) + ("..." if len(line) > 80 else "")


def admitted(value: dict[str, Any], types: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    """The types that change when this row joins. Raises ConflictError (a ValueError) where it cannot."""
    changed = {}
    for name, item in value.items():
        old = types.get(name)
        if type(item) is str and old is not None and pa.types.is_string(old):
            continue
        new = type_of(item, name)
        try:
            merged = merge(pa.null() if old is None else old, new, name)
        except ConflictError as e:
            raise ValueError(f"column '{e.path}' is {kind(e.b)} here, {kind(e.a)} elsewhere") from e
        if merged != old:
            changed[name] = merged
    return changed


def type_of(value: Any, path: str, left: int = DEPTH) -> pa.DataType:
    """The Arrow type of a JSON value. Raises ValueError for what has none."""
    if left == 0:
        raise ValueError(f"column '{path.split('.')[0].split('[')[0]}' nests more than {DEPTH} levels")
    if isinstance(value, dict):
        return pa.struct([(k, type_of(v, f"{path}.{k}", left - 1)) for k, v in value.items()])
    if isinstance(value, list):
        item = pa.null()
        for v in value:
            item = merge(item, type_of(v, f"{path}[]", left - 1), f"{path}[]")
        return pa.list_(item)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise ValueError(f"column '{path}' holds {value}, too large for a 64-bit integer: write it as text")
    scalar: dict[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    return scalar.get(type(value), pa.null())


def head_schema(lines: Sequence[bytes]) -> pa.Schema:
    """The types in the first lines of a file; where rows disagree, the kind that most of them have, in the first's order."""
    rows = []
    for line in lines:
        try:
            rows.append(loaded(line)[0])
        except ValueError:
            continue  # `read` tells of it
    kinds: dict[str, Counter[str]] = {}
    seen: dict[str, list[pa.DataType]] = {}
    for row in rows:
        for name, value in row.items():
            try:
                found = type_of(value, name)
            except ValueError:
                continue
            seen.setdefault(name, []).append(found)
            kinds.setdefault(name, Counter())[kind(found)] += value is not None
    return pa.schema([(name, _common(found, kinds[name].most_common(1)[0][0])) for name, found in seen.items()])


def _common(found: list[pa.DataType], wanted: str) -> pa.DataType:
    merged = pa.null()
    for type in found:
        if kind(type) == wanted:
            try:
                merged = merge(merged, type, "")
            except ConflictError:
                continue  # a row deep inside disagrees: `read` tells of it
    return merged
