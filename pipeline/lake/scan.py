"""The scan: from a folder of tables to the graph of verified containment, stage by stage, each taken up where it is done."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ...operators.lake.content import batches, bound_after, draws, looked_at, rows_needed
from ...operators.lake.min_max import RULES, ranked, refuted, with_missing_empty
from ...operators.lake.numerals import kinds
from ...operators.lake.schema_graph import distinct_schemas, edge_count, schema_pairs
from ..engines.base import Counts, Engine
from ..execute import Progress
from ..plan import Stage
from ..workspace import StageFolder, Workspace
from .finding import find
from .hashing import HashTask
from .held import held
from .inspect_table import inspect
from .jobs import Request, write_jobs
from .joins import NO_ROWS, SKETCHED, Hashes, Pair, exchanged, first_missed, gather, lacking
from .settings import Settings
from .tables import Table, Trouble

VERSION = 5  # raise when a hash or a decision changes
_BLOCK = 4_000_000  # edges that are looked at together
Side = tuple[int, tuple[str, ...], tuple[str, ...]]  # a table, sorted leaf names, those of them that are read as numbers
NAMES = ("schema", "minmax", "probe", "content", "exact")


@dataclass
class Line:
    """One stage in the report: edges after it, what it read, how long it took, and what it says of itself."""

    stage: str
    edges: int
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)


@dataclass
class Scanned:
    """What a scan found: tables, troubles, a line per stage, and the edges: int64 arrays parent, child, and rows that miss.

    `rows`, `distinct`: of each edge's child, over its own columns. `prints`: fingerprints of child and of parent's projection
    where one scan gave them whole. `fingerprint`: of tables and settings. `held`: why tables must stay, by name.
    """

    tables: list[Table]
    troubles: list[Trouble]
    lines: list[Line]
    parent: np.ndarray
    child: np.ndarray
    missing: np.ndarray
    rows: np.ndarray
    distinct: np.ndarray
    prints: list[tuple[str | None, str | None]]
    fingerprint: str
    held: dict[str, str] = field(default_factory=dict)


def scan(root: Path, settings: Settings, workspace: Workspace, engine: Engine, progress: Progress) -> Scanned:
    """Find, inspect and compare all tables below a root. Finished parts of an earlier scan of the same tables are taken up."""
    return _Scan(root, settings, workspace, engine, progress).run()


class _Scan:
    def __init__(self, root: Path, settings: Settings, workspace: Workspace, engine: Engine, progress: Progress) -> None:
        self.root, self.settings, self.workspace, self.engine, self.progress = root, settings, workspace, engine, progress
        self.tables: list[Table] = []
        self.troubles: list[Trouble] = []
        self.lines: list[Line] = []
        self.folders: set[Path] = set()
        self.schemas: list[frozenset[str]] = []
        self.of = np.empty(0, np.int64)
        self.fingerprint = ""
        self.held: dict[str, str] = {}
        self.kinds: list[tuple[frozenset[str], frozenset[str]]] = []  # of each table, columns of text and of numbers

    def run(self) -> Scanned:
        """All stages."""
        self._inspect()
        parent, child = self._bounded()
        keep = self._probed(parent, child)
        parent, child = parent[keep], child[keep]
        parent, child, hashes = self._content(parent, child)
        scanned = self._exact(parent, child, hashes)
        self.workspace.clean(self.folders)
        return scanned

    def _timed(self, index: int, parts: int) -> Callable[[Line], None]:
        began, stage = time.perf_counter(), Stage(index, NAMES[index - 1], (), (), self.fingerprint)
        self.progress.begin(stage, parts)

        def end(line: Line, reused: bool = False) -> None:
            line.seconds = round(time.perf_counter() - began, 3)
            self.lines.append(line)
            self.progress.end(stage, {"rows": line.rows}, line.seconds, reused)

        return end

    def _inspect(self) -> None:
        """Stage 1: tables, their columns, which schema holds which."""
        end = self._timed(1, 1)
        places, self.troubles = find(self.root, self.settings)
        for place in places:
            told = inspect(place, self.root)
            if isinstance(told, Trouble):
                self.troubles.append(told)
            else:
                self.tables.append(told)
        self.held = held(self.tables, {p.name: p for p in places})
        words = [VERSION, self.settings.scan_words(), [[t.name, t.token] for t in self.tables]]
        self.fingerprint = xxhash.xxh3_128_hexdigest(json.dumps(words, sort_keys=True).encode())
        self.schemas, self.of = distinct_schemas(t.leaves for t in self.tables)
        self.pairs = schema_pairs(self.schemas)
        nothing: frozenset[str] = frozenset()
        self.kinds = [(nothing, nothing) if t.schema is None else kinds(t.schema) for t in self.tables]
        line = Line("schema", edge_count(self.pairs, self.of), bytes=sum(t.footer_bytes for t in self.tables))
        line.told = {"tables": len(self.tables), "schemas": len(self.schemas)}
        end(line)

    def _bounded(self) -> tuple[np.ndarray, np.ndarray]:
        """Stage 2: edges that metadata does not refute, built one pair of schemas at a time."""
        end = self._timed(2, 1)
        s, empty = self.settings, self.settings.missing_values == "empty"
        stats = [{n: with_missing_empty(c) if empty else c for n, c in t.stats.items()} for t in self.tables]
        facts = ranked(stats, self.of)
        members = [np.flatnonzero(self.of == k) for k in range(len(self.schemas))]
        counts = dict.fromkeys(RULES, 0)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for a, b in [*self.pairs.tolist(), *((k, k) for k in range(len(self.schemas)))]:
            for p, c in _blocks(len(members[a]), len(members[b]), a == b):
                why = refuted(facts[a], facts[b], p, c, bag=s.bag, tolerance=s.tolerance, empty=empty)
                for rule, n in zip(*np.unique(why[why >= 0], return_counts=True), strict=True):
                    counts[RULES[rule]] += int(n)
                found.append((members[a][p[why < 0]], members[b][c[why < 0]]))
        parent, child = (np.concatenate([f[i] for f in found]) if found else np.empty(0, np.int64) for i in (0, 1))
        end(Line("minmax", len(parent), told={f"by {rule}": n for rule, n in counts.items() if n}))
        return parent, child

    def _hashed(
        self, index: int, requests: Mapping[int, Request], groups: Mapping[int, set[int]] | None = None
    ) -> tuple[StageFolder, dict[int, Hashes], list[Counts], Callable[[Line], None]]:
        """Scan what is asked; tables that turn out broken become troubles."""
        folder = self.workspace.stage(index, NAMES[index - 1], self.fingerprint)
        self.folders.add(folder.path)
        parts = write_jobs(folder, self.tables, requests, groups or {}, str(self.root))
        end = self._timed(index, parts)
        task = HashTask(folder.path, self.settings.missing_values, self.settings.seed)
        records = self.engine.map(task, range(parts), self.progress.advance)
        known = {t.where for t in self.troubles}
        for name, why in sorted({(n, w) for r in records for n, w in r["troubles"]}):
            if name not in known:
                self.troubles.append(Trouble(name, why))
                known.add(name)
        found = gather(folder, records)
        return folder, {key: found.get(key, NO_ROWS) for key in requests}, records, end

    def _sound(self, parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        """Edges whose tables both could be read so far."""
        broken = {t.where for t in self.troubles}
        bad = np.array([t.name in broken for t in self.tables], bool)
        return ~(bad[parent] | bad[child]) if len(parent) else np.empty(0, bool)

    def _lacking(self, folder: StageFolder, pairs: Sequence[Pair]) -> list[tuple[int, bool]]:
        return lacking(folder, self.engine, pairs, self.settings.bag, self.settings.tolerance)

    def _columns(self, child: int) -> tuple[str, ...]:
        return tuple(sorted(self.schemas[self.of[child]]))

    def _sides(self, parent: int, child: int, columns: tuple[str, ...]) -> tuple[Side, Side]:
        """(child's, parent's) side of an edge over some columns. Where one has text and the other numbers, both are numbers."""
        (texts, numbers), (other_texts, other_numbers) = self.kinds[child], self.kinds[parent]
        read, needed = (tuple(sorted(n.intersection(columns))) if n else () for n in (texts & other_numbers, other_texts & numbers))
        return (child, columns, read), (parent, columns, needed)

    def _probed(self, parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        """Stage 3: a few telling columns of both, whole; a child's combination that the parent lacks refutes."""
        chosen = self._telling(np.unique(child))
        sides = [self._sides(p, c, chosen[c]) for p, c in zip(parent.tolist(), child.tolist(), strict=True)]
        requests, key_of = _requests(side for pair in sides for side in pair)
        folder, hashes, records, end = self._hashed(3, requests)
        good = np.flatnonzero(self._sound(parent, child))
        pairs = [(hashes[key_of[c]], hashes[key_of[p]]) for c, p in (sides[e] for e in good)]
        keep = np.zeros(len(parent), bool)
        refuted = 0
        for e, (own, _), (count, sketched) in zip(good.tolist(), pairs, self._lacking(folder, pairs), strict=True):
            keep[e], refuted = count <= self.settings.tolerance * own.rows, refuted + sketched
        end(_line("probe", keep, records, columns=self.settings.probe_columns, refuted_by_sketch=refuted,
                  bytes_exchanged=exchanged(folder)))
        return keep

    def _telling(self, children: np.ndarray) -> dict[int, tuple[str, ...]]:
        """child -> the columns that are looked at first: the same for all children of one schema."""
        told: dict[int, tuple[str, ...]] = {}
        weight: dict[int, dict[str, float]] = {}
        for c in children.tolist():
            table = self.tables[c]
            own = weight.setdefault(int(self.of[c]), {})
            for name in table.leaves:
                own[name] = own.get(name, 0.0) + table.column_bytes.get(name, 0) / max(1, table.rows or 1)
        for schema, own in weight.items():
            count = self.settings.probe_columns
            told[schema] = tuple(sorted(sorted(own, key=lambda n: (-own[n], n))[:count]))
        return {int(c): told[int(self.of[c])] for c in children}

    def _content(self, parent: np.ndarray, child: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[Side, Hashes]]:
        """Stage 4: drawn rows of the child are looked for in the whole parent. A table that is read whole anyway is kept so."""
        s, most = self.settings, rows_needed(self.settings.epsilon, self.settings.delta)
        sides = [self._sides(p, c, self._columns(c)) for p, c in zip(parent.tolist(), child.tolist(), strict=True)]
        parents = {p for _, p in sides}
        read_whole = {p[0] for p in parents}
        sampled: dict[int, set[int]] = {}
        requests: dict[int, Request] = {}
        key_of: dict[Side, int] = {}
        for side in sorted(parents.union(c for c, _ in sides)):
            table, columns, numbers = side
            groups = None if table in read_whole else self._drawn_groups(table, most)
            if groups is not None:
                sampled[table] = groups
            key_of[side] = key = len(requests)
            requests[key] = Request(table, columns, whole=table not in sampled, draws=most, numbers=numbers)
        folder, hashes, records, end = self._hashed(4, requests, sampled)
        good = np.flatnonzero(self._sound(parent, child))
        own = {key: hashes[number] for key, number in key_of.items()}
        pairs = [(own[c], own[p]) for c, p in (sides[e] for e in good)]
        keep = np.zeros(len(parent), bool)
        looked = refuted = 0
        # with a tolerance no draw is a proof: the exact stage decides
        found = [None] * len(pairs) if s.tolerance else first_missed(folder, self.engine, pairs)
        for e, (drawn, _), missed in zip(good.tolist(), pairs, found, strict=True):
            keep[e], refuted = missed is None, refuted + (missed == SKETCHED)
            looked += looked_at(missed, most) if drawn.rows and missed != SKETCHED else 0
        anytime = round(bound_after(most, len(batches(most)), s.delta), 4)
        end(_line("content", keep, records, draws=most, looked=looked, epsilon=s.epsilon, delta=s.delta, epsilon_anytime=anytime,
                  refuted_by_sketch=refuted, bytes_exchanged=exchanged(folder)))
        return parent[keep], child[keep], {k: h for k, h in own.items() if requests[key_of[k]].whole}

    def _drawn_groups(self, table: int, most: int) -> set[int] | None:
        """The row groups that hold a table's draws, where they are less than half of them."""
        told = self.tables[table]
        sizes = [n for f in told.files for n in f.rows]
        if told.kind != "parquet" or not told.rows or len(sizes) < 2:
            return None
        at = draws(told.name, told.rows, most, self.settings.seed)
        groups = set(np.searchsorted(np.cumsum(sizes), at, side="right").tolist())
        return groups if 2 * len(groups) <= len(sizes) else None

    def _exact(self, parent: np.ndarray, child: np.ndarray, known: dict[Side, Hashes]) -> Scanned:
        """Stage 5: every row of every child; what stands now is proved."""
        sides = [self._sides(p, c, self._columns(c)) for p, c in zip(parent.tolist(), child.tolist(), strict=True)]
        requests, key_of = _requests(c for c, _ in sides if c not in known)
        folder, hashes, records, end = self._hashed(5, requests)
        own = known | {key: hashes[number] for key, number in key_of.items()}
        good = np.flatnonzero(self._sound(parent, child))
        pairs = [(own[c], own[p]) for c, p in (sides[e] for e in good)]
        keep = np.zeros(len(parent), bool)
        facts = np.zeros((3, len(parent)), np.int64)
        refuted = 0
        for e, (rows, _), (count, sketched) in zip(good.tolist(), pairs, self._lacking(folder, pairs), strict=True):
            keep[e] = count <= self.settings.tolerance * rows.rows
            facts[:, e] = count, rows.rows, rows.size
            refuted += sketched
        read = {"read_as_numbers": n} if (n := sum(bool(sides[e][0][2] or sides[e][1][2]) for e in np.flatnonzero(keep))) else {}
        end(_line("exact", keep, records, refuted_by_sketch=refuted, bytes_exchanged=exchanged(folder), **read))
        prints = [(c.fingerprint, p.fingerprint) for e, (c, p) in zip(good.tolist(), pairs, strict=True) if keep[e]]
        missing, rows, distinct = facts[:, keep]
        return Scanned(self.tables, self.troubles, self.lines, parent[keep], child[keep], missing, rows, distinct, prints,
                       self.fingerprint, self.held)


def _blocks(parents: int, children: int, same: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All (parent, child) of two schemas' tables, a bounded number at a time; of one schema, no table with itself."""
    step = max(1, _BLOCK // max(1, children))
    for start in range(0, parents, step):
        p, c = (g.ravel() for g in np.meshgrid(np.arange(start, min(parents, start + step)), np.arange(children), indexing="ij"))
        yield (p[p != c], c[p != c]) if same else (p, c)


def _requests(wanted: Iterable[Side]) -> tuple[dict[int, Request], dict[Side, int]]:
    key_of = {side: number for number, side in enumerate(sorted(set(wanted)))}
    return {n: Request(table, columns, numbers=numbers) for (table, columns, numbers), n in key_of.items()}, key_of


def _line(stage: str, keep: np.ndarray, records: Sequence[Mapping[str, Any]], **told: Any) -> Line:
    return Line(stage, int(keep.sum()), sum(r["rows"] for r in records), sum(r["bytes"] for r in records), told=told)
