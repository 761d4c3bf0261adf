"""A lake with planted containment: bases, children of every kind, near children that are none, and every trap.

The truth is computed by brute force on Python values, by rules written down a second time here.
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

PREFIX = "the same forty characters at the beginning"  # longer than any limit at which bounds are cut


@dataclass
class Lake:
    """Tables by name; what was derived from what (contained: must be an edge; not: must not)."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    contained: set[tuple[str, str]] = field(default_factory=set)
    not_contained: set[tuple[str, str]] = field(default_factory=set)

    def add(self, name: str, table: pa.Table, parent: str | None = None, inside: bool = True) -> str:
        self.tables[name] = table
        if parent:
            (self.contained if inside else self.not_contained).add((parent, name))
        return name


def base(rng: random.Random, rows: int, tag: str) -> pa.Table:
    """Many types; floats with NaN and both zeros, nulls, long texts that differ at the end only, structs, lists."""
    start = dt.datetime(2020, 1, 1)
    texts = [f"{tag}{rng.randrange(9)}" for _ in range(rows)]
    return pa.table({
        "id": pa.array([i * 7 + rng.randrange(7) for i in range(rows)], pa.int32()),
        "name": pa.array([rng.choice([None, "", t]) if rng.random() < 0.3 else t for t in texts]),
        "price": pa.array([rng.choice([float("nan"), -0.0, 0.0, None, 1.5, rng.randrange(50), rng.random()]) for _ in range(rows)],
                          pa.float64()),
        "flag": pa.array([rng.random() < 0.5 for _ in range(rows)]),
        "at": pa.array([start + dt.timedelta(microseconds=rng.randrange(10**9)) for _ in range(rows)], pa.timestamp("us")),
        "day": pa.array([start.date() + dt.timedelta(days=rng.randrange(40)) for _ in range(rows)]),
        "amount": pa.array([Decimal(rng.randrange(-5000, 5000)) / 100 for _ in range(rows)], pa.decimal128(9, 2)),
        "note": pa.array([f"{PREFIX} {tag} {rng.randrange(30):03d}" for _ in range(rows)]),
        "place": pa.array([None if rng.random() < 0.1 else {"x": rng.randrange(9), "y": rng.choice([None, "north", "south"])}
                           for _ in range(rows)], pa.struct([("x", pa.int64()), ("y", pa.string())])),
        "tags": pa.array([None if rng.random() < 0.1 else [rng.randrange(3) for _ in range(rng.randrange(3))]
                          for _ in range(rows)], pa.list_(pa.int64())),
        "weight": pa.array([rng.choice([None, float("nan"), 0.1, 3.0, rng.random()]) for _ in range(rows)], pa.float32()),
        "nothing": pa.nulls(rows, pa.string()),
    })


def _rows(rng: random.Random, table: pa.Table, share: float) -> pa.Table:
    return table.take(sorted(rng.sample(range(table.num_rows), max(1, int(share * table.num_rows)))))


def _columns(rng: random.Random, table: pa.Table) -> pa.Table:
    names = rng.sample(table.schema.names, rng.randrange(2, table.num_columns))
    return table.select(names)


def _shuffled(rng: random.Random, table: pa.Table) -> pa.Table:
    return table.take(rng.sample(range(table.num_rows), table.num_rows))


def _widened(table: pa.Table) -> pa.Table:
    wider = {"id": pa.int64(), "amount": pa.decimal128(15, 5), "at": pa.timestamp("ns"), "name": pa.large_string(),
             "weight": pa.float64()}
    return pa.table({n: pc.cast(c, wider[n]) if n in wider else c for n, c in zip(table.schema.names, table.columns, strict=True)})


def _set(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    at = table.schema.names.index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(column).type))


def _altered(rng: random.Random, table: pa.Table, count: int) -> pa.Table:
    """`count` rows get an id that lies in the base's range and does not occur there."""
    ids = table.column("id").to_pylist()
    taken = set(ids)
    free = [i for i in range(min(ids), max(ids)) if i not in taken]
    middle = [i for i in range(len(ids)) if ids[i] not in (min(ids), max(ids))]
    for row, new in zip(rng.sample(middle, count), rng.sample(free, count), strict=True):
        ids[row] = new
    return _set(table, "id", ids)


def _permuted(rng: random.Random, table: pa.Table) -> pa.Table:
    """One column's values in another order: each column's set, bounds and counts stay, rows do not."""
    ids = table.column("id").to_pylist()
    return _set(table, "id", ids[1:] + ids[:1])


def plant(seed: int, bases: int = 2, rows: int = 60) -> Lake:
    """A lake in memory."""
    rng, lake = random.Random(seed), Lake()
    for b in range(bases):
        name = lake.add(f"base{b}", base(rng, rows + 10 * b, "abc"[b % 3]))
        _plant_children(rng, lake, name)
    lake.add("lonely", pa.table({"something": [1, 2, 3], "else": ["a", "b", None]}))
    lake.add("numbers_as_text", pa.table({"id": [str(i) for i in lake.tables["base0"].column("id").to_pylist()[:5]]}), "base0")
    lake.add("padded_text", pa.table({"id": [f"0{i}" for i in lake.tables["base0"].column("id").to_pylist()[:5]]}), "base0", False)
    lake.add("nan_only", pa.table({"price": pa.array([float("nan")] * 3)}))
    lake.add("null_price", pa.table({"price": pa.array([None] * 3, pa.int64())}))
    return lake


def _plant_children(rng: random.Random, lake: Lake, name: str) -> None:
    table = lake.tables[name]
    rows = table.num_rows
    repeated = table.take([rng.randrange(rows) for _ in range(2 * rows)])
    order = rng.sample(table.schema.names, table.num_columns)
    kinds: dict[str, pa.Table] = {
        "columns": _columns(rng, table), "rows": _rows(rng, table, 0.4), "both": _columns(rng, _rows(rng, table, 0.5)),
        "copy": table, "shuffle": _shuffled(rng, table), "reorder": table.select(order), "repeat": repeated,
        "widened": _widened(_rows(rng, table, 0.6)), "empty": table.slice(0, 0), "nested": table.select(["place", "id"]),
        "filter": table.filter(pc.greater(table.column("id"), 50)),
    }
    for kind, child in kinds.items():
        lake.add(f"{name}_{kind}", child, name)
    outside = _set(_rows(rng, table, 0.3), "id", [10**6, *_rows(rng, table, 0.3).column("id").to_pylist()[1:]])
    with_null = _rows(rng, table, 0.3)
    with_null = _set(with_null, "id", [None, *with_null.column("id").to_pylist()[1:]])
    late = _rows(rng, table, 0.5)
    late = _set(late, "note", [f"{PREFIX} {PREFIX} zzz", *late.column("note").to_pylist()[1:]])
    near = {"half": rows // 2, "tenth": rows // 10, "one": 1, **({"hundredth": rows // 100} if rows >= 200 else {})}
    for kind, count in near.items():
        lake.add(f"{name}_altered_{kind}", _altered(rng, table, count), name, False)
    lake.add(f"{name}_permuted", _permuted(rng, table), name, False)
    lake.add(f"{name}_outside", outside, name, False)
    lake.add(f"{name}_null", with_null, name, False)
    lake.add(f"{name}_late", late, name, False)


def told(value: Any) -> Any:
    """A value by the rules of equality: what is written alike is alike, whatever its type."""
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("text", "true" if value else "false")
    if isinstance(value, float):
        if value != value:
            return ("nan",)
        return ("text", str(int(value)) if value.is_integer() else repr(value))
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        return ("text", (plain.rstrip("0").rstrip(".") if "." in plain else plain) if value else "0")
    if isinstance(value, int | str):
        return ("text", str(value))
    if isinstance(value, dt.datetime):
        return ("moment", value.isoformat())
    if isinstance(value, dt.date):
        return ("text", value.isoformat())
    return ("json", json.dumps(value))


def flat(row: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Leaves by dotted name; a null struct is another null than that of its leaf."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name == "place":
            for inner in ("x", "y"):
                found[f"place.{inner}"] = ("null struct",) if value is None else told(value[inner])
        else:
            found[name] = told(value)
    return found


def names(table: pa.Table) -> frozenset[str]:
    return frozenset(n for f in table.schema for n in (["place.x", "place.y"] if f.name == "place" else [f.name]))


def truth(lake: Lake, bag: bool = False, tolerance: float = 0.0) -> set[tuple[str, str]]:
    """Every (parent, child), by comparing all rows of all pairs."""
    rows = {n: [flat(r) for r in t.to_pylist()] for n, t in lake.tables.items()}
    columns = {n: names(t) for n, t in lake.tables.items()}
    found = set()
    for child, c in columns.items():
        order = sorted(c)
        own = Counter(tuple(r[n] for n in order) for r in rows[child])
        for parent, p in columns.items():
            if parent == child or not c <= p:
                continue
            have = Counter(tuple(r[n] for n in order) for r in rows[parent])
            gone = sum(max(0, k - have[r]) if bag else k * (r not in have) for r, k in own.items())
            if gone <= tolerance * sum(own.values()):
                found.add((parent, child))
    return found


def write(lake: Lake, root: Path, seed: int = 0, write_one: Callable[[pa.Table, Path, random.Random], Path] | None = None) -> None:
    """Every table as a file of its own, written in different ways."""
    rng = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    for name, table in lake.tables.items():
        (write_one or write_parquet)(table, root / name, rng)


def write_parquet(table: pa.Table, path: Path, rng: random.Random) -> Path:
    path = path.with_name(path.name + ".parquet")
    pq.write_table(table, path, row_group_size=rng.choice([7, 20, 1000]), use_dictionary=rng.random() < 0.5,
                   write_statistics=rng.random() < 0.8, compression=rng.choice(["zstd", "snappy", "none"]),
                   store_schema=rng.random() < 0.7, use_deprecated_int96_timestamps=rng.random() < 0.2)
    return path


def write_csv(table: pa.Table, path: Path, rng: random.Random) -> Path:
    path = path.with_name(path.name + ".csv")
    pyarrow.csv.write_csv(table, path)
    return path


def named(scanned: Any) -> set[tuple[str, str]]:
    """A scan's edges by names without suffix."""
    short = [t.name.rsplit(".", 1)[0] for t in scanned.tables]
    return {(short[p], short[c]) for p, c in zip(scanned.parent.tolist(), scanned.child.tolist(), strict=True)}
