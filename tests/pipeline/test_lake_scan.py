"""The scan of a planted lake against brute force: no stage loses a true edge, and after exact verification none is false."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import planted_lake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_lake import Lake, named, plant, truth, write, write_parquet

from tamis.operators.lake.containment import contained_tables
from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.execute import Silent
from tamis.pipeline.lake import scan as scanning
from tamis.pipeline.lake.settings import Settings
from tamis.pipeline.workspace import Workspace


class Watched(scanning._Scan):
    """A scan that remembers the edges after each stage."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.after: dict[str, set[tuple[int, int]]] = {}

    def _bounded(self) -> tuple[np.ndarray, np.ndarray]:
        parent, child = super()._bounded()
        self.after["minmax"] = _set(parent, child)
        return parent, child

    def _probed(self, parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        keep = super()._probed(parent, child)
        self.after["probe"] = _set(parent[keep], child[keep])
        return keep

    def _content(self, parent: np.ndarray, child: np.ndarray) -> Any:
        found = super()._content(parent, child)
        self.after["content"] = _set(*found[:2])
        return found


def _set(parent: np.ndarray, child: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(parent.tolist(), child.tolist(), strict=True))


def scan(root: Path, work: Path, workers: int = 1, seed: int = 0, **settings: Any) -> tuple[scanning.Scanned, Watched]:
    watched = Watched(root, Settings.of(settings, seed), Workspace(work), LocalEngine(workers), Silent())
    return watched.run(), watched


@pytest.mark.parametrize("block", range(10))
def test_no_stage_misses_and_the_last_is_exact_over_fifty_seeds(tmp_path: Path, block: int) -> None:
    for seed in range(5 * block, 5 * block + 5):
        lake = plant(seed, bases=1 + seed % 2, rows=30 + seed // 2)
        true = truth(lake)
        assert lake.contained <= true and not lake.not_contained & true
        write(lake, tmp_path / f"lake{seed}", seed)
        scanned, watched = scan((tmp_path / f"lake{seed}").resolve(), tmp_path / f"work{seed}", seed=seed)
        number = {t.name.removesuffix(".parquet"): i for i, t in enumerate(scanned.tables)}
        for stage, edges in watched.after.items():
            missed = {(p, c) for p, c in true if (number[p], number[c]) not in edges}
            assert not missed, (seed, stage, missed)
        assert named(scanned) == true, seed
        assert not scanned.troubles


def test_one_row_in_a_hundred_altered(tmp_path: Path) -> None:
    lake = plant(51, bases=1, rows=200)
    write(lake, tmp_path / "lake", 51)
    scanned, _ = scan((tmp_path / "lake").resolve(), tmp_path / "work")
    true = truth(lake)
    assert named(scanned) == true and ("base0", "base0_altered_hundredth") in lake.not_contained - true


@pytest.mark.parametrize("seed", [52, 53, 54])
def test_no_stage_misses_where_logs_cut_bounds(tmp_path: Path, seed: int) -> None:
    """Delta's log cuts texts, and time stamps to milliseconds; its Parquet files cut bounds too, and say so nowhere."""
    deltalake = pytest.importorskip("deltalake")

    def write_one(table: pa.Table, path: Path, rng: random.Random) -> Path:
        if rng.random() < 0.4:
            return write_parquet(table, path, rng)
        plain = table.cast(pa.schema([f.with_type(pa.timestamp("us")) if f.type == pa.timestamp("ns") else f for f in table.schema]))
        deltalake.write_deltalake(str(path.with_name(path.name + ".delta")), plain)
        return path

    lake = plant(seed, bases=1, rows=30)
    write(lake, tmp_path / "lake", seed, write_one)
    scanned, watched = scan((tmp_path / "lake").resolve(), tmp_path / "work")
    true = truth(lake)
    number = {t.name.rsplit(".", 1)[0]: i for i, t in enumerate(scanned.tables)}
    for stage, edges in watched.after.items():
        assert not {(p, c) for p, c in true if (number[p], number[c]) not in edges}, stage
    assert named(scanned) == true and not scanned.troubles


def test_the_schema_stage_counts_every_pair_that_names_allow(tmp_path: Path) -> None:
    lake = plant(3)
    write(lake, tmp_path / "lake")
    scanned, _ = scan((tmp_path / "lake").resolve(), tmp_path / "work")
    columns = [planted_lake.names(t) for t in lake.tables.values()]
    assert scanned.lines[0].edges == sum(a <= b for i, a in enumerate(columns) for j, b in enumerate(columns) if i != j)


def test_bags_count_repetitions(tmp_path: Path) -> None:
    lake = plant(5)
    write(lake, tmp_path / "lake", 5)
    scanned, _ = scan((tmp_path / "lake").resolve(), tmp_path / "work", bag=True)
    true = truth(lake, bag=True)
    assert named(scanned) == true
    assert ("base0", "base0_repeat") in truth(lake) - true


@pytest.mark.parametrize("tolerance", [0.02, 0.15, 0.6])
def test_approximate_containment_finds_what_misses_few_rows(tmp_path: Path, tolerance: float) -> None:
    lake = plant(7)
    write(lake, tmp_path / "lake", 7)
    scanned, _ = scan((tmp_path / "lake").resolve(), tmp_path / "work", tolerance=tolerance)
    assert named(scanned) == truth(lake, tolerance=tolerance)
    short = [t.name.rsplit(".", 1)[0] for t in scanned.tables]
    at = {(short[p], short[c]): m for p, c, m in zip(scanned.parent, scanned.child, scanned.missing, strict=True)}
    assert at["base0", "base0_altered_one"] == 1


def test_missing_as_empty_makes_null_nan_and_the_empty_text_one(tmp_path: Path) -> None:
    lake = Lake({
        "parent": pa.table({"a": pa.array(["", "x", "y"]), "b": pa.array([float("nan"), 1.0, 2.0])}),
        "null": pa.table({"a": pa.array([None, "x"]), "b": pa.array([None, 1], pa.int64())}),
        "none": pa.table({"a": pa.array([None], pa.int32())}),
        "other": pa.table({"a": pa.array(["", "z"])}),
    })
    write(lake, tmp_path / "lake")
    root = (tmp_path / "lake").resolve()
    assert named(scan(root, tmp_path / "one")[0]) == {("null", "none")}
    together = named(scan(root, tmp_path / "two", missing_values="empty")[0])
    assert together == {("parent", "null"), ("parent", "none"), ("null", "none"), ("other", "none")}


def test_the_same_whatever_the_workers_and_the_order(tmp_path: Path) -> None:
    lake = plant(11)
    write(lake, tmp_path / "lake", 11)
    root = (tmp_path / "lake").resolve()
    one, _ = scan(root, tmp_path / "one")
    two, _ = scan(root, tmp_path / "two", workers=2)
    for name in ("parent", "child", "missing", "rows", "distinct"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert [(x.stage, x.edges, x.bytes) for x in one.lines] == [(x.stage, x.edges, x.bytes) for x in two.lines]


def test_small_parts_and_hash_ranges_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = plant(12, rows=120)
    write(lake, tmp_path / "lake", 12)
    root = (tmp_path / "lake").resolve()
    whole, _ = scan(root, tmp_path / "one")
    monkeypatch.setattr("tamis.pipeline.lake.jobs.PART_ROWS", 300)
    monkeypatch.setattr("tamis.pipeline.lake.scan._BLOCK", 50)
    monkeypatch.setattr("tamis.pipeline.lake.joins.RANGE_ROWS", 90)
    cut, _ = scan(root, tmp_path / "two")
    assert named(cut) == named(whole) == truth(lake)
    assert len(list((tmp_path / "two").glob("04-content-*/done/*.json"))) > 5
    assert np.array_equal(cut.missing, whole.missing)


def test_the_memory_function_agrees(tmp_path: Path) -> None:
    lake = plant(13)
    assert set(contained_tables(lake.tables)) == truth(lake)
    assert set(contained_tables(lake.tables, bag=True)) == truth(lake, bag=True)


def test_a_second_scan_reads_no_rows_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = plant(14)
    write(lake, tmp_path / "lake", 14)
    root = (tmp_path / "lake").resolve()
    first, _ = scan(root, tmp_path / "work")

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a row was read again")

    monkeypatch.setattr("tamis.pipeline.lake.hashing.read_unit", fail)
    second, _ = scan(root, tmp_path / "work")
    assert named(second) == named(first)
    (root / "base0.parquet").touch()
    with pytest.raises(AssertionError):
        scan(root, tmp_path / "work")


def test_draws_alone_are_read_of_a_child_with_many_row_groups(tmp_path: Path) -> None:
    a = np.arange(40_000)
    parent = pa.table({"a": a, "b": a % 7, "c": a % 5})
    child = parent.select(["a", "b"]).slice(10, 30_000)
    wrong = pa.table({"a": a[10:30_010], "c": (a[10:30_010] + 1) % 5})
    root = tmp_path / "lake"
    root.mkdir()
    pq.write_table(parent, root / "parent.parquet")
    pq.write_table(child, root / "child.parquet", row_group_size=20)
    pq.write_table(wrong, root / "wrong.parquet", row_group_size=20)
    scanned, watched = scan(root.resolve(), tmp_path / "work", epsilon=0.1, delta=0.01, probe_columns=1)
    assert named(scanned) == {("parent", "child")}
    number = {t.name: i for i, t in enumerate(scanned.tables)}
    assert (number["parent.parquet"], number["wrong.parquet"]) in watched.after["probe"]
    assert (number["parent.parquet"], number["wrong.parquet"]) not in watched.after["content"]
    content = next(x for x in scanned.lines if x.stage == "content")
    assert content.rows < 40_000 + 2 * 44 * 20 + 1


def test_a_permuted_column_passes_bounds_and_lsh_ensemble_and_not_the_proof(tmp_path: Path) -> None:
    """Column-wise containment is not row-wise: the documented weakness of per-column systems."""
    from datasketch import MinHash, MinHashLSHEnsemble

    lake = plant(17, bases=1)
    write(Lake({n: lake.tables[n] for n in ("base0", "base0_permuted")}), tmp_path / "lake", 17)
    scanned, watched = scan((tmp_path / "lake").resolve(), tmp_path / "work")
    assert watched.after["minmax"] == {(0, 1), (1, 0)} and named(scanned) == set()
    for name in ("id", "day", "note", "at"):
        made = {}
        for table in ("base0", "base0_permuted"):
            values = {str(v).encode() for v in lake.tables[table].column(name).to_pylist()}
            made[table] = MinHash(num_perm=64, seed=1), len(values)
            made[table][0].update_batch(sorted(values))
        index = MinHashLSHEnsemble(threshold=1.0, num_perm=64, num_part=2)
        index.index([(t, *sketch) for t, sketch in made.items()])
        assert "base0" in set(index.query(*made["base0_permuted"]))
