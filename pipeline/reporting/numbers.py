"""One number of a run: every row that reached the step, its summary, its histogram with what left apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..ledger import ID
from ..workspace import StageFolder
from .shelf import parts

QUANTILES = (("p1", 0.01), ("p5", 0.05), ("median", 0.5), ("p95", 0.95), ("p99", 0.99))
BINS = 56


@dataclass(frozen=True)
class Reached:
    """The rows that reached a step: ids int64[n], values float64[n] (NaN: no number), left bool[n]."""

    ids: np.ndarray
    values: np.ndarray
    left: np.ndarray


@dataclass(frozen=True)
class Spread:
    """Summary of one number: rows, rows without the number, and its quantiles (None where no row has one)."""

    count: int
    nulls: int
    min: float | None = None
    p1: float | None = None
    p5: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    mean: float | None = None


@dataclass(frozen=True)
class Histogram:
    """Rows per bin: float64[b + 1] borders, int64[b] staying and leaving; `log`: equal bins of log10(1 + v)."""

    edges: np.ndarray
    stays: np.ndarray
    left: np.ndarray
    log: bool


class Departures:
    """Which rows left a stage at which step: each ledger file is read once, however many filters ask. Cost: 12 bytes a line."""

    def __init__(self, folder: StageFolder) -> None:
        self._parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for path in parts(folder, "ledger"):
            with pq.ParquetFile(path) as file:
                table = file.read([ID, "step"], use_threads=False)
            self._parts[path.name] = table.column(ID).to_numpy(), table.column("step").to_numpy()

    def at(self, part: str, step: int) -> np.ndarray:
        """int64[n]: ids of the rows of a part (by its file's name) that left at a step."""
        ids, steps = self._parts[part]
        return ids[steps == step]


def reached(folder: StageFolder, asked: Sequence[tuple[str, int]], gone: Departures) -> list[Reached]:
    """For each (stat, step) every row that reached that filter, and whether it left there.

    Cost: 17 bytes a row for each, and one part's columns at a time; each file is opened once.
    """
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in asked]
    for path in parts(folder, "stats"):
        ids, columns = read_numbers(path, [stat for stat, _ in asked])
        for told, values, (_, step) in zip(found, columns, asked, strict=True):
            left = np.isin(ids, gone.at(path.name, step))
            here = left | ~np.isnan(values)
            told.append((ids[here], values[here], left[here]))
    nobody = Reached(np.empty(0, np.int64), np.empty(0), np.empty(0, bool))
    return [Reached(*(np.concatenate(c) for c in zip(*told, strict=True))) if told else nobody for told in found]


def read_numbers(path: Path, stats: Sequence[str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """ids int64[n] and float64[n] for each of some numbers of a stats file; a column that is not there is NaN."""
    with pq.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        table = file.read([ID, *dict.fromkeys(s for s in stats if s in there)], use_threads=False)
    ids = table.column(ID).to_numpy()
    return ids, [floats(table.column(s)) if s in there else np.full(len(ids), np.nan) for s in stats]


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """float64[n], NaN for null."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False) if hasattr(column, "chunks") else np.asarray(column, float)


def labels(folder: StageFolder, stat: str, step: int, gone: Departures, most: int = 14) -> list[tuple[str, int, int]]:
    """(label, rows that stay, rows that leave) of a text number such as `lang`, most frequent first; the rest together."""
    tally: dict[tuple[str, bool], int] = {}
    for path in parts(folder, "stats"):
        table = pq.read_table(path, columns=[ID, stat])
        left = pa.array(np.isin(table.column(ID).to_numpy(), gone.at(path.name, step)))
        table = table.append_column("left", left).filter(pc.is_valid(table.column(stat)))
        for r in table.group_by([stat, "left"]).aggregate([([], "count_all")]).to_pylist():
            tally[r[stat], r["left"]] = tally.get((r[stat], r["left"]), 0) + r["count_all"]
    names = sorted({name for name, _ in tally}, key=lambda n: (-tally.get((n, False), 0) - tally.get((n, True), 0), n))
    told = [(name, tally.get((name, False), 0), tally.get((name, True), 0)) for name in names]
    rest = told[most:]
    return told[:most] + ([(f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest))] if rest else [])


def spread(values: np.ndarray) -> Spread:
    """Exact summary of float64[n]; NaN counts as missing. Quantiles are values that occur (the lower of two)."""
    there = values[~np.isnan(values)]
    if not len(there):
        return Spread(len(values), len(values))
    there.sort()
    at = {name: float(there[int(q * (len(there) - 1))]) for name, q in QUANTILES}
    return Spread(len(values), len(values) - len(there), float(there[0]), max=float(there[-1]), mean=float(there.mean()), **at)


def _snapped(edges: np.ndarray, bounds: Iterable[float], whole: bool) -> np.ndarray:
    """Borders moved so that each bound lies on one: no bin mixes rows of both sides. Of whole numbers: between two of them."""
    for bound in bounds:
        at = int(np.abs(edges - bound).argmin())
        if 0 < at < len(edges) - 1 and not (whole and edges[0] % 1 == 0.5):
            edges[at] = bound
    return np.sort(edges)


def histogram(values: np.ndarray, left: np.ndarray, told: Spread, bounds: Iterable[float] = ()) -> Histogram:
    """Rows per bin. Bins of whole numbers where there are few; of log10(1 + v) where the spread is large.

    A bound near the data widens the picture to hold it.
    """
    finite = np.isfinite(values)
    values, left = values[finite], left[finite]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    log = low >= 0 and high > 100 and high + 1 > 20 * ((told.median or 0.0) + 1)
    span = high - low or 1.0
    near = [b for b in bounds if low - 0.3 * span <= b <= high + 0.3 * span or (log and 0 <= b <= 10 * high)]
    low, high = min([low, *near]), max([high, *near])
    whole = bool(len(values)) and bool((values == np.floor(values)).all())
    if log:
        edges = 10 ** np.linspace(np.log10(1 + low), np.log10(1 + high), BINS + 1) - 1
        edges[0], edges[-1] = low, max(high, low + 1e-9)
    elif whole and high - low < BINS:
        edges = np.arange(np.floor(low), np.floor(high) + 2) - 0.5
    else:
        edges = np.linspace(low, high if high > low else low + max(abs(low) * 1e-3, 1e-3), BINS + 1)
    edges = _snapped(edges, near, whole)
    return Histogram(edges, np.histogram(values[~left], edges)[0], np.histogram(values[left], edges)[0], log)
