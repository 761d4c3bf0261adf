"""Containment over a real lake with its truth: stages, exact and inexact baselines, and growth with the number of tables.

    python benchmarks/lake.py /work/shared/data/lake                    the stages, all tables
    python benchmarks/lake.py /work/shared/data/lake --baselines 500    beside the baselines, on the first 500 tables by hash
                                          ... --baselines 9999 --systems ensemble     one of them, on all tables
    python benchmarks/lake.py /work/shared/data/lake --growth           250, 500, 1,000 and all tables

The folder holds tables/*.parquet and containment_truth.csv (child, parent). Values are compared as there: missing is "".
Seconds are of the processor, in one process. Bytes are stored bytes of the columns read; ours count the footers too, which the
baselines' do not.
"""

import argparse
import csv
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tamis.operators.lake.exact import RowSet, missing, row_set
from tamis.operators.lake.leaves import leaves
from tamis.operators.lake.row_hashes import row_hashes, table_cells
from tamis.operators.lake.schema_graph import distinct_schemas, schema_pairs
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.execute import Silent
from tamis.pipeline.lake.scan import Line, Scanned, _Scan
from tamis.pipeline.lake.settings import Settings
from tamis.pipeline.workspace import Workspace

Edge = tuple[str, str]
Read = tuple[int, int]  # stored bytes, rows
Found = tuple[set[Edge], Read]
SYSTEMS = ("tamis", "pairs", "kept", "ensemble", "bloom", "files")


class Watched(_Scan):
    """A scan that remembers its edges after each stage."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.after: dict[str, set[Edge]] = {}

    def told(self, parent: np.ndarray, child: np.ndarray) -> set[Edge]:
        """Edges by name."""
        names = [t.name for t in self.tables]
        return {(names[p], names[c]) for p, c in zip(parent.tolist(), child.tolist(), strict=True)}

    def _timed(self, index: int, parts: int) -> Callable[[Line], None]:
        began, end = time.process_time(), super()._timed(index, parts)

        def told(line: Line) -> None:
            end(line)
            line.seconds = time.process_time() - began

        return told

    def _bounded(self) -> tuple[np.ndarray, np.ndarray]:
        self.after["minmax"] = self.told(*(found := super()._bounded()))
        return found

    def _probed(self, parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        keep = super()._probed(parent, child)
        self.after["probe"] = self.told(parent[keep], child[keep])
        return keep

    def _content(self, parent: np.ndarray, child: np.ndarray) -> Any:
        found = super()._content(parent, child)
        self.after["content"] = self.told(*found[:2])
        return found

    def _exact(self, parent: np.ndarray, child: np.ndarray, known: Any) -> Scanned:
        found = super()._exact(parent, child, known)
        self.after["exact"] = self.told(found.parent, found.child)
        return found


def scanned(root: Path) -> tuple[Scanned, Watched, float]:
    with tempfile.TemporaryDirectory() as work:
        watched = Watched(root, Settings.of({"missing_values": "empty"}), Workspace(Path(work)), LocalEngine(1), Silent())
        began = time.process_time()
        return watched.run(), watched, time.process_time() - began


def score(found: set[Edge], truth: set[Edge]) -> str:
    right = len(found & truth)
    return f"{len(found):>8,} {right:>8,} {len(found) - right:>9,} {len(truth) - right:>7,}"


def stages(root: Path, truth: set[Edge], all_pairs: int) -> None:
    done, watched, seconds = scanned(root)
    head = f"{'stage':10} {'edges':>8} {'correct':>8} {'incorrect':>9} {'missed':>7}"
    print(f"{head} {'rows read':>11} {'MB read':>8} {'seconds':>8}")
    schema = done.lines[0]
    for line in done.lines:
        edges = score(watched.after[line.stage], truth) if line.stage in watched.after else (
            f"{schema.edges:>8,} {len(truth):>8,} {schema.edges - len(truth):>9,} {0:>7,}")
        print(f"{line.stage:10} {edges} {line.rows:>11,} {line.bytes / 1e6:>8.1f} {line.seconds:>8.2f}")
    total = sum(line.bytes for line in done.lines)
    print(f"all stages: {total / 1e6:.1f} MB, {seconds:.1f} s of the processor; "
          f"all pairs would read {all_pairs / 1e6:,.0f} MB: {all_pairs / total:.1f} times")


class Lake:
    """The tables in memory of whoever compares all pairs: schemas, pairs, and what reading one takes."""

    def __init__(self, root: Path) -> None:
        self.paths = sorted(root.glob("*.parquet"))
        meta = [pq.ParquetFile(p) for p in self.paths]
        self.columns = [[leaf.name for leaf in leaves(m.schema_arrow)] for m in meta]
        self.sizes = [{n: m.metadata.row_group(0).column(i).total_compressed_size if m.metadata.num_row_groups else 0
                       for i, n in enumerate(c)} for m, c in zip(meta, self.columns, strict=True)]
        self.rows = [m.metadata.num_rows for m in meta]
        self.schemas, of = distinct_schemas(self.columns)
        members = [np.flatnonzero(of == k).tolist() for k in range(len(self.schemas))]
        both = [*schema_pairs(self.schemas).tolist(), *((k, k) for k in range(len(self.schemas)))]
        self.pairs = [(p, c, b) for a, b in both for p in members[a] for c in members[b] if p != c]
        self.names = [p.name for p in self.paths]

    def bytes(self, table: int, schema: int) -> int:
        """Stored bytes of a schema's columns in a table."""
        return sum(self.sizes[table][n] for n in self.schemas[schema])

    def hashes(self, table: int, schema: int) -> np.ndarray:
        """uint64[2, n]: the table's rows over a schema's columns, read anew."""
        names = sorted(self.schemas[schema])
        rows = pq.read_table(self.paths[table], columns=names)
        return row_hashes(table_cells(rows, missing="empty"), names, rows.num_rows)

    def read(self, wanted: Iterable[tuple[int, int]]) -> Read:
        """(stored bytes, rows) of reading each (table, schema)."""
        told = [(self.bytes(t, b), self.rows[t]) for t, b in wanted]
        return sum(size for size, _ in told), sum(rows for _, rows in told)

    def all_pairs(self) -> Read:
        """What reading both tables of every pair takes."""
        return self.read((t, b) for p, c, b in self.pairs for t in (p, c))


def all_pairs(lake: Lake, sample: int) -> tuple[float, float]:
    """Seconds of reading and joining each pair by itself: of a sample, and of all by proportion of bytes."""
    rng = np.random.default_rng(0)
    chosen = [lake.pairs[i] for i in rng.choice(len(lake.pairs), min(sample, len(lake.pairs)), replace=False)]
    began = time.process_time()
    for p, c, b in chosen:
        missing(row_set(lake.hashes(c, b)), row_set(lake.hashes(p, b)))
    spent = time.process_time() - began
    return spent, spent * len(lake.pairs) / len(chosen)


def all_pairs_cached(lake: Lake) -> Found:
    """Each (table, child schema) is read and hashed once, all kept in memory; then every pair is joined."""
    sets: dict[tuple[int, int], RowSet] = {}
    for t, b in sorted({(t, b) for p, c, b in lake.pairs for t in (p, c)}):
        sets[t, b] = row_set(lake.hashes(t, b))
    found = {(lake.names[p], lake.names[c]) for p, c, b in lake.pairs if not missing(sets[c, b], sets[p, b]).any()}
    return found, lake.read(sets)


def bloom(lake: Lake, rate: float) -> Found:
    """A Bloom filter of each parent's rows for each child schema; the child's rows are looked up in it."""
    filters: dict[tuple[int, int], tuple[np.ndarray, int, int]] = {}
    hashes: dict[tuple[int, int], np.ndarray] = {}
    found = set()
    for p, c, b in lake.pairs:
        for t in (p, c):
            if (t, b) not in hashes:
                hashes[t, b] = lake.hashes(t, b)
        if (p, b) not in filters:
            n = max(1, hashes[p, b].shape[1])
            size, k = int(-n * np.log(rate) / np.log(2) ** 2) + 8, max(1, round(-np.log2(rate)))
            bits = np.zeros(size, bool)
            for i in range(k):
                bits[_slots(hashes[p, b], i, size)] = True
            filters[p, b] = bits, size, k
        bits, size, k = filters[p, b]
        if all(bits[_slots(hashes[c, b], i, size)].all() for i in range(k)):
            found.add((lake.names[p], lake.names[c]))
    return found, lake.read(hashes)


def _slots(hashes: np.ndarray, i: int, size: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (hashes[0] + np.uint64(i) * hashes[1]) % np.uint64(size)


def ensemble(lake: Lake) -> Found:
    """datasketch's LSH Ensemble over the value sets of all columns, then all columns of a pair must be found.

    With its own defaults (128 permutations, 16 partitions), threshold 1.0; values come hashed, which spares it their text.
    """
    from datasketch import MinHash, MinHashLSHEnsemble

    sketches: dict[tuple[int, str], tuple[Any, int]] = {}
    for t, path in enumerate(lake.paths):
        cells = table_cells(pq.read_table(path), missing="empty")
        for name, sums in cells.items():
            values = np.unique(sums[0])
            made = MinHash(num_perm=128, seed=1, hashfunc=lambda v: int(v) & 0xFFFFFFFF)
            made.update_batch(values.tolist())
            sketches[t, name] = made, max(1, len(values))
    found: dict[tuple[int, str], set[int]] = {}
    for name in sorted({n for _, n in sketches}):
        own = [(t, *s) for (t, n), s in sketches.items() if n == name]
        if len(own) < 2:
            continue
        index = MinHashLSHEnsemble(threshold=1.0, num_perm=128, num_part=16)
        index.index([(t, s, n) for t, s, n in own])
        for t, s, n in own:
            found[t, name] = set(index.query(s, n))
    right = {(lake.names[p], lake.names[c]) for p, c, b in lake.pairs if all(p in found.get((c, n), ()) for n in lake.schemas[b])}
    return right, (sum(sum(s.values()) for s in lake.sizes), sum(lake.rows))


def same_files(lake: Lake) -> Found:
    """Files with the same bytes."""
    groups: dict[bytes, list[str]] = {}
    for path in lake.paths:
        groups.setdefault(hashlib.sha256(path.read_bytes()).digest(), []).append(path.name)
    same = {(a, b) for g in groups.values() for a in g for b in g if a != b}
    return same, (sum(p.stat().st_size for p in lake.paths), sum(lake.rows))


def baselines(root: Path, truth: set[Edge], sample: int, systems: Sequence[str]) -> None:
    began = time.process_time()
    lake = Lake(root)
    opened = time.process_time() - began  # footers and the schema graph: a part of every system
    print(f"{len(lake.paths):,} tables, {len(lake.pairs):,} pairs, of which {len(truth):,} are contained")
    columns = f"{'edges':>8} {'correct':>8} {'incorrect':>9} {'missed':>7} {'rows read':>12} {'MB read':>8} {'seconds':>8}"
    print(f"{'system':30} {columns}")

    def told(name: str, found: set[Edge], read: Read, seconds: float, note: str = "") -> None:
        print(f"{name:30} {score(found, truth)} {read[1]:>12,} {read[0] / 1e6:>8.1f} {seconds:>8.1f}{note}", flush=True)

    if "tamis" in systems:
        done, watched, seconds = scanned(root)
        read = sum(line.bytes for line in done.lines), sum(line.rows for line in done.lines)
        told("tamis", watched.after["exact"], read, seconds)
    if "pairs" in systems:
        _, whole = all_pairs(lake, sample)
        told("(i) all pairs, each by itself", truth, lake.all_pairs(), whole + opened, "  (of a sample)")
    others: dict[str, tuple[str, Callable[[Lake], Found]]] = {
        "kept": ("(i) all pairs, hashes kept", all_pairs_cached), "ensemble": ("(ii) LSH Ensemble, every column", ensemble),
        "bloom": ("(iii) Bloom filters, p = 0.01", lambda x: bloom(x, 0.01)), "files": ("(iv) whole-file hash", same_files),
    }
    for name in (n for n in others if n in systems):
        began = time.process_time()
        found, read = others[name][1](lake)
        told(others[name][0], found, read, time.process_time() - began + opened)


def some(root: Path, count: int, into: Path) -> Path:
    """The first tables by the hash of their names, linked into a folder."""
    into.mkdir(parents=True)
    chosen = sorted(root.glob("*.parquet"), key=lambda p: hashlib.sha256(p.name.encode()).digest())[:count]
    for path in chosen:
        shutil.copy(path, into / path.name)
    return into


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("lake", type=Path)
    arguments.add_argument("--baselines", type=int, metavar="TABLES")
    arguments.add_argument("--growth", action="store_true")
    arguments.add_argument("--sample", type=int, default=300, help="pairs that the plainest baseline is timed on")
    arguments.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, help="some of the systems of --baselines")
    how = arguments.parse_args()
    root = (how.lake / "tables").resolve()
    with (how.lake / "containment_truth.csv").open() as file:
        truth = {(f"{r['parent']}.parquet", f"{r['child']}.parquet") for r in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as warm:
        small = some(root, 250, Path(warm, "t"))  # enough for edges at every stage: compiled kernels, imports, of all systems
        scanned(small)
        all_pairs_cached(Lake(small))
    with tempfile.TemporaryDirectory() as folder:
        if how.baselines:
            part = some(root, how.baselines, Path(folder, "t"))
            names = {p.name for p in part.iterdir()}
            baselines(part, {e for e in truth if set(e) <= names}, how.sample, how.systems)
        elif how.growth:
            for count in (250, 500, 1000, 10**9):
                part = some(root, count, Path(folder, str(count)))
                done, watched, seconds = scanned(part)
                names = {t.name for t in done.tables}
                own = {e for e in truth if set(e) <= names}
                print(f"{len(names):>6,} tables: {seconds:6.2f} s, {sum(x.bytes for x in done.lines) / 1e6:6.1f} MB, "
                      f"{done.lines[0].edges:>7,} schema edges, {score(watched.after['exact'], own)}")
        else:
            stages(root, truth, Lake(root).all_pairs()[0])


if __name__ == "__main__":
    main()
